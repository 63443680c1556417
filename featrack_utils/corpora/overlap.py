"""How much a corpus repeats itself: distinct n-grams, and n-grams that training has seen."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from featrack_utils.errors import FeatrackError

_WORD = re.compile(r"\w+(?:'\w+)*|[^\w\s]+")
# An odd number near 2^64 / golden ratio: consecutive word numbers land far apart.
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_SHIFT = np.uint64(29)
_SIEVE_BITS = 20  # of a hash, by which most n-grams of training are sorted out at a glance


class Words(NamedTuple):
    """The words of several texts, one after the other.

    word: uint64 [n_words], each word's number.
    text: int64 [n_words], the text it stands in.
    """

    word: np.ndarray
    text: np.ndarray


def numbered(*corpora: Iterable[str]) -> list[Words]:
    """The words of each corpus, numbered alike in all of them.

    Words are runs of letters and digits or runs of punctuation, case kept.
    """
    numbers: defaultdict[str, int] = defaultdict()
    numbers.default_factory = numbers.__len__  # a new word gets the next number
    found = []
    for texts in corpora:
        # One pass for all lengths of n-grams: finding words takes most of the time.
        words = [list(map(numbers.__getitem__, _WORD.findall(text))) for text in texts]
        lengths = np.array([len(each) for each in words], dtype=np.int64)
        flat = (number for each in words for number in each)
        found.append(
            Words(
                np.fromiter(flat, np.uint64, lengths.sum()),
                np.repeat(np.arange(len(words)), lengths),
            )
        )
    return found


def distinct_ngram_share(words: Words, n: int) -> float:
    """Returns the number of different word n-grams divided by the number of all of them.

    No n-gram crosses from one text into the next. N-grams are compared by 64-bit hashes: that
    any two of ten million different ones were taken for the same has a chance of about 3 in
    a million.

    Raises:
        FeatrackError: if n is below one or no text has n words.
    """
    grams = np.sort(_ngrams(words, n))  # several times faster than np.unique
    return (1 + np.count_nonzero(grams[1:] != grams[:-1])) / len(grams)


def seen_ngram_share(validation: Words, train: Words, n: int) -> float:
    """Returns the share of validation's word n-grams that occur in training.

    Every occurrence counts, so a phrase that validation repeats weighs as often as it stands
    there. Both sides must come from one call of `numbered`; hashes as in `distinct_ngram_share`.

    Raises:
        FeatrackError: if n is below one or either side has no text of n words.
    """
    known, asked = _ngrams(train, n), _ngrams(validation, n)
    # Training is far larger: only what agrees with validation in some bits is looked at closely.
    sieve = np.zeros(1 << _SIEVE_BITS, dtype=bool)
    rest = np.uint64(64 - _SIEVE_BITS)
    sieve[asked >> rest] = True
    return float(np.isin(asked, known[sieve[known >> rest]]).mean())


def _ngrams(words: Words, n: int) -> np.ndarray:
    """Returns one 64-bit hash per n-gram: uint64 [n_grams]."""
    if n < 1:
        raise FeatrackError(f"n-grams need n of at least 1, not {n}: give the length in words")
    windows = max(len(words.word) - n + 1, 0)
    inside = words.text[:windows] == words.text[n - 1 :]  # begins and ends in one text
    if not inside.any():
        raise FeatrackError(f"no text has {n} words: give longer texts or a smaller n")
    state = np.zeros(windows, dtype=np.uint64)
    for offset in range(n):
        # uint64 products wrap around, as hashing wants.
        state ^= words.word[offset : offset + windows] + np.uint64(1)
        state *= _MULTIPLIER
        state ^= state >> _SHIFT
    return state[inside]

"""How much a corpus repeats itself: distinct n-grams, and n-grams that training has seen."""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np

from featrack_utils.errors import FeatrackError

_WORD = re.compile(r"\w+(?:'\w+)*|[^\w\s]+")
# An odd number near 2^64 / golden ratio: consecutive word numbers land far apart.
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_SHIFT = np.uint64(29)


def distinct_ngram_share(texts: Iterable[str], n: int) -> float:
    """Returns the number of different word n-grams divided by the number of all of them.

    Words are runs of letters and digits or runs of punctuation, case kept; no n-gram crosses
    from one text into the next.

    Raises:
        FeatrackError: if n is below one or no text has n words.
    """
    grams = _ngrams(texts, n, {})
    return len(np.unique(grams)) / len(grams)


def seen_ngram_share(validation_texts: Iterable[str], train_texts: Iterable[str], n: int) -> float:
    """Returns the share of the validation texts' word n-grams that occur in the training texts.

    Every occurrence counts, so a phrase that validation repeats weighs as often as it stands
    there. N-grams are compared by 64-bit hashes, whose chance of a false match among millions
    is negligible.

    Raises:
        FeatrackError: if n is below one or either side has no text of n words.
    """
    numbers: dict[str, int] = {}
    train = np.unique(_ngrams(train_texts, n, numbers))
    validation = _ngrams(validation_texts, n, numbers)
    places = np.minimum(np.searchsorted(train, validation), len(train) - 1)
    return float(np.mean(train[places] == validation))


def _ngrams(texts: Iterable[str], n: int, numbers: dict[str, int]) -> np.ndarray:
    """Returns one 64-bit hash per n-gram: uint64 [n_grams]; `numbers` numbers words, and grows."""
    if n < 1:
        raise FeatrackError(f"n-grams need n of at least 1, not {n}: give the length in words")
    parts = []
    for text in texts:
        words = [numbers.setdefault(word, len(numbers)) for word in _WORD.findall(text)]
        if len(words) >= n:
            parts.append(_hashes(np.array(words, dtype=np.uint64), n))
    if not parts:
        raise FeatrackError(f"no text has {n} words: give longer texts or a smaller n")
    return np.concatenate(parts)


def _hashes(words: np.ndarray, n: int) -> np.ndarray:
    windows = len(words) - n + 1
    state = np.zeros(windows, dtype=np.uint64)
    for offset in range(n):
        # uint64 products wrap around, as hashing wants.
        state = (state ^ (words[offset : offset + windows] + np.uint64(1))) * _MULTIPLIER
        state ^= state >> _SHIFT
    return state

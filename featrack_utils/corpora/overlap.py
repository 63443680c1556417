"""How much texts repeat themselves and each other: shares of word n-grams."""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np
from jaxtyping import UInt64

from featrack_utils.corpora.deduplicate import is_known, ngram_hashes, word_numbers
from featrack_utils.errors import FeatrackError

WORD = re.compile(r"\w+(?:'\w+)*|[^\w\s]+")

Words = list[UInt64[np.ndarray, " n_words"]]  # of each text, the numbers of its words
NGrams = UInt64[np.ndarray, " n_ngrams"]


def numbered(*corpora: Iterable[str]) -> list[Words]:
    """The words of each corpus, text by text, numbered alike in all of them.

    Words are runs of letters and digits or runs of punctuation, case kept.
    """
    numbers: dict[str, int] = {}
    return [[word_numbers(WORD.findall(text), numbers) for text in texts] for texts in corpora]


def ngrams(words: Words, n: int) -> NGrams:
    """The hashes of all n-grams of a corpus, sorted; none crosses from one text into the next.

    Raises:
        FeatrackError: n is below one, or no text has n words.
    """
    if n < 1:
        raise FeatrackError(f"n-grams need n of at least 1, not {n}: give the length in words.")
    grams = [ngram_hashes(text, n) for text in words]
    if not sum(map(len, grams)):
        raise FeatrackError(f"No text has {n} words: give longer texts or a smaller n.")
    return np.sort(np.concatenate(grams))


def distinct_share(grams: NGrams) -> float:
    """The number of different n-grams divided by the number of all of them."""
    return (1 + np.count_nonzero(grams[1:] != grams[:-1])) / len(grams)


def known_share(asked: NGrams, known: NGrams) -> float:
    """The share of one corpus's n-grams that stand in another, both from one `numbered`.

    Every occurrence counts: a phrase that the first repeats weighs as often as it stands there.
    """
    return float(is_known(asked, known).mean())

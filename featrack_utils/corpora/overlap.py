"""How much texts repeat themselves and each other: shares of word n-grams."""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np
import pandas as pd
from jaxtyping import UInt64

WORD = re.compile(r"\w+(?:'\w+)*|[^\w\s]+")
_BASE = np.uint64(0xD6E8FEB86659FD93)

Words = UInt64[np.ndarray, " n_words"]
NGrams = UInt64[np.ndarray, " n_ngrams"]


def words_of(texts: Iterable[str]) -> list[Words]:
    """Hashes of the words of each text.

    Words are runs of letters and digits or runs of punctuation, case kept.
    """
    return [word_hashes(WORD.findall(text)) for text in texts]


def word_hashes(words: list[str]) -> Words:
    """A hash of each word."""
    return pd.util.hash_array(np.array(words, dtype=object), categorize=False)


def ngram_hashes(words: Words, n: int) -> NGrams:
    """A polynomial hash of each run of n words.

    That any two of ten million different ones have the same has a chance of 3 in a million.
    """
    hashes = np.zeros(max(len(words) - n + 1, 0), np.uint64)
    for offset in range(n):
        # Wraps around, as it should.
        hashes = hashes * _BASE + words[offset : offset + len(hashes)]
    return hashes


def ngrams(words: list[Words], n: int) -> NGrams:
    """The hashes of all n-grams of a corpus; none crosses from one text into the next."""
    return np.concatenate([ngram_hashes(text, n) for text in words])


def distinct_share(grams: NGrams) -> float:
    """The number of different n-grams divided by the number of all; NaN where there are none."""
    return float((~pd.Series(grams).duplicated()).mean())


def known_share(asked: NGrams, known: NGrams) -> float:
    """The share of one corpus's n-grams that stand in another; NaN where the first has none.

    Every occurrence counts: a phrase that the first repeats weighs as often as it stands there.
    """
    return float(pd.Series(asked).isin(known).mean())

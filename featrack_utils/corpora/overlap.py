"""Texts that repeat themselves or each other: how they are found and left out."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, groupby

import numpy as np
import pandas as pd
from jaxtyping import UInt64

from featrack_utils.corpora.documents import Document

WINDOW = 13  # words in a row that two texts share by copying, hardly by chance
_WORD = re.compile(r"\w+")
_GAP = re.compile(r"(\n\s*\n)")
_BASE = np.uint64(0xD6E8FEB86659FD93)

Words = UInt64[np.ndarray, " n_words"]
NGrams = UInt64[np.ndarray, " n_ngrams"]


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


def unique_documents(documents: Iterable[Document]) -> Iterator[Document]:
    """Yields each text once: the first of those with the same words, whatever parts them."""
    seen: set[str] = set()
    for document in documents:
        key = " ".join(_words(document.text))
        if key not in seen:
            seen.add(key)
            yield document


def mostly_new(documents: Iterable[Document], n: int = 8) -> Iterator[Document]:
    """Yields the documents of which at most half of the word n-grams stood in earlier ones."""
    seen: set[int] = set()
    for document in documents:
        grams = set(_ngrams(_words(document.text), n))
        if len(grams & seen) <= len(grams) / 2:
            seen |= grams
            yield document


def without_leaks(
    train: Sequence[Document], validation: Iterable[Document], window: int = WINDOW
) -> Iterator[Document]:
    """The training documents without the paragraphs that validation text repeats.

    A paragraph (between empty lines) leaves when it holds any part of a run of `window` words
    that also occurs in a validation document. What stood before and after it become documents
    of their own, so that no run of words arises that neither text had.
    """
    known = {gram for document in validation for gram in _ngrams(_words(document.text), window)}
    for document in train:
        parts = _GAP.split(document.text)  # paragraphs, each but the last with the gap after it
        words = [_words(paragraph) for paragraph in parts[::2]]
        of_word = [number for number, each in enumerate(words) for _ in each]
        leaving: set[int] = set()
        for first, gram in enumerate(_ngrams([*chain.from_iterable(words)], window)):
            if gram in known:
                leaving.update(range(of_word[first], of_word[first + window - 1] + 1))
        for leaves, run in groupby(range(len(words)), leaving.__contains__):
            stretch = [*run]
            piece = "".join(parts[2 * stretch[0] : 2 * stretch[-1] + 1])
            if piece.strip() and not leaves:
                yield replace(document, text=piece)


def _words(text: str) -> list[str]:
    # Parted first: some letters become two, of which one parts words, when put in lower case.
    return [word.lower() for word in _WORD.findall(text)]


def _ngrams(words: list[str], n: int) -> list[int]:
    return ngram_hashes(word_hashes(words), n).tolist()

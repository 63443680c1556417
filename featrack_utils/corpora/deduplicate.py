"""Keeps texts from occurring twice, and from occurring in both training and validation."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import UInt64

from featrack_utils.corpora.documents import Document

WINDOW = 13  # words in a row that two texts share by copying, hardly by chance
_WORD = re.compile(r"\w+")
_PLAIN_WORD = re.compile(r"(?<![\w.])[a-z]+(?![\w(])")
_GAP = re.compile(r"\n\s*\n")
_MIX, _BASE = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93)


def text_key(text: str) -> bytes:
    """A hash of the lower-case words of a text: spacing and punctuation don't change it."""
    return _key(_words(text))


def plain_words_key(text: str) -> bytes:
    """A hash of the plain words of a text, without numbers and names such as `n_jobs`."""
    return _key(_PLAIN_WORD.findall(text.lower()))


def _key(words: list[str]) -> bytes:
    return hashlib.blake2b(" ".join(words).encode(), digest_size=8).digest()


def unique_documents(documents: Iterable[Document]) -> Iterator[Document]:
    """Yields each text once: the first of those whose words are the same."""
    seen: set[bytes] = set()
    for document in documents:
        key = text_key(document.text)
        if key not in seen:
            seen.add(key)
            yield document


def mostly_new(
    documents: Iterable[Document], n: int = 8, known_share: float = 0.5
) -> Iterator[Document]:
    """Yields the documents of which at most a share of the word n-grams stood in earlier ones."""
    numbers: dict[str, int] = {}
    seen: set[int] = set()
    for document in documents:
        grams = set(ngram_hashes(word_numbers(_words(document.text), numbers), n).tolist())
        if len(grams & seen) <= known_share * len(grams):
            seen |= grams
            yield document


def without_leaks(
    train: Sequence[Document], validation: Iterable[Document], window: int = WINDOW
) -> list[Document]:
    """The training documents without the paragraphs that validation text repeats.

    A paragraph (between empty lines) leaves when it holds any part of a run of `window` words
    that also occurs in a validation document. What stood before and after it become documents
    of their own, so that no run of words arises that neither text had.
    """
    numbers: dict[str, int] = {}
    hashes = [np.empty(0, np.uint64)]
    hashes += [ngram_hashes(word_numbers(_words(d.text), numbers), window) for d in validation]
    known = np.unique(np.concatenate(hashes))
    if not len(known):
        return list(train)
    return [piece for document in train for piece in _clean(document, known, numbers, window)]


def _clean(
    document: Document, known: np.ndarray, numbers: dict[str, int], window: int
) -> Iterator[Document]:
    text = document.text
    hashes = ngram_hashes(word_numbers(_words(text), numbers), window)
    shared = np.flatnonzero(is_known(hashes, known))
    if not len(shared):
        yield document
        return
    words = [match.start() for match in _WORD.finditer(text)]
    gaps = [(match.start(), match.end()) for match in _GAP.finditer(text)]
    starts = [0, *(end for _, end in gaps)]
    ends = [*(start for start, _ in gaps), len(text)]
    first = np.searchsorted(starts, [words[i] for i in shared], side="right") - 1
    last = np.searchsorted(starts, [words[i + window - 1] for i in shared], side="right") - 1
    leaves = np.zeros(len(starts), bool)
    for begin, end in set(zip(first.tolist(), last.tolist(), strict=True)):
        leaves[begin : end + 1] = True
    begin = 0
    for stop in [*np.flatnonzero(leaves).tolist(), len(starts)]:
        if stop > begin:
            piece = text[starts[begin] : ends[stop - 1]]
            if piece.strip():
                yield replace(document, text=piece)
        begin = stop + 1


def _words(text: str) -> list[str]:
    # Parted first: some letters become two, of which one parts words, when put in lower case.
    return [word.lower() for word in _WORD.findall(text)]


def word_numbers(words: Iterable[str], numbers: dict[str, int]) -> UInt64[np.ndarray, " n_words"]:
    """Each word's number; a new word gets the next one, which `numbers` remembers."""
    return np.array([numbers.setdefault(word, len(numbers)) for word in words], dtype=np.uint64)


def ngram_hashes(
    words: UInt64[np.ndarray, " n_words"], n: int
) -> UInt64[np.ndarray, " n_words_less_n_plus_1"]:
    """A polynomial hash of each run of n words.

    That any two of ten million different ones have the same has a chance of 3 in a million.
    """
    n_grams = len(words) - n + 1
    if n_grams < 1:
        return np.empty(0, np.uint64)
    mixed = (words + np.uint64(1)) * _MIX
    mixed ^= mixed >> np.uint64(29)
    hashes = np.zeros(n_grams, np.uint64)
    for offset in range(n):
        hashes = hashes * _BASE + mixed[offset : offset + n_grams]  # wraps around, as it should
    return hashes


def is_known(asked: np.ndarray, known: np.ndarray) -> np.ndarray:
    """bool [n_asked]: which occur among the sorted, non-empty `known`."""
    place = np.minimum(np.searchsorted(known, asked), len(known) - 1)
    return known[place] == asked

"""Keeps texts from occurring twice, and from occurring in both training and validation."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from featrack_utils.corpora.documents import Document

WINDOW = 13  # words in a row that two texts share by copying, hardly by chance
_WORD = re.compile(r"\w+")
_PLAIN_WORD = re.compile(r"(?<![\w.])[a-z]+(?![\w(])")
_GAP = re.compile(r"\n\s*\n")
_MIX, _BASE = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93)


def text_key(text: str) -> bytes:
    """A hash of the lower-case words of a text: spacing and punctuation don't change it."""
    return _key(_WORD.findall(text.lower()))


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


def without_leaks(
    train: Sequence[Document], validation: Iterable[Document], window: int = WINDOW
) -> list[Document]:
    """The training documents without the paragraphs that validation text repeats.

    A paragraph (between empty lines) leaves when it holds any part of a run of `window` words
    that also occurs in a validation document. What stood before and after it become documents
    of their own, so that no run of words arises that neither text had.
    """
    vocabulary: dict[str, int] = {}
    hashes = [np.empty(0, np.uint64)]
    hashes += [_window_hashes(_word_ids(d.text, vocabulary), window) for d in validation]
    known = np.unique(np.concatenate(hashes))
    if not len(known):
        return list(train)
    return [piece for document in train for piece in _clean(document, known, vocabulary, window)]


def _clean(
    document: Document, known: np.ndarray, vocabulary: dict[str, int], window: int
) -> Iterator[Document]:
    hashes = _window_hashes(_word_ids(document.text, vocabulary), window)
    place = np.minimum(np.searchsorted(known, hashes), len(known) - 1)
    shared = np.flatnonzero(known[place] == hashes)
    if not len(shared):
        yield document
        return
    text = document.text
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


def _word_ids(text: str, vocabulary: dict[str, int]) -> np.ndarray:
    words = _WORD.findall(text.lower())
    ids = [vocabulary.setdefault(word, len(vocabulary)) for word in words]
    return np.array(ids, dtype=np.uint64)


def _window_hashes(ids: np.ndarray, window: int) -> np.ndarray:
    """uint64 [n_words - window + 1]: a polynomial hash of each run of `window` words."""
    n_windows = len(ids) - window + 1
    if n_windows < 1:
        return np.empty(0, np.uint64)
    mixed = (ids + np.uint64(1)) * _MIX
    mixed ^= mixed >> np.uint64(29)
    hashes = np.zeros(n_windows, np.uint64)
    for offset in range(window):
        hashes = hashes * _BASE + mixed[offset : offset + n_windows]
    return hashes

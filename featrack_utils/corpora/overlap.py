"""Texts that repeat themselves or each other: how they are found and left out."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, groupby

from featrack_utils.corpora.documents import Document

WINDOW = 13  # words in a row that two texts share by copying, hardly by chance
_WORD = re.compile(r"\w+")
_GAP = re.compile(r"(\n\s*\n)")


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
    seen: set[tuple[str, ...]] = set()
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


def _ngrams(words: list[str], n: int) -> Iterator[tuple[str, ...]]:
    return zip(*(words[start:] for start in range(n)), strict=False)

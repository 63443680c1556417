"""What divides documents into training and validation, with no text on both sides."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain, groupby

from featrack_utils.corpora.documents import (
    SPLITS,
    Document,
    SourceConfig,
    cut_once,
    ngrams,
    words_of,
)
from featrack_utils.corpora.files import file_documents
from featrack_utils.corpora.hub import hub_documents
from featrack_utils.corpora.installed import english_documents, lua_documents, python_documents
from featrack_utils.corpora.stories.telling import write_stories

# Intervals come from drawing validation groups anew: of three, they would say nothing.
MIN_VALIDATION_GROUPS = 12  # where a fifth of the groups are as many; of fewer groups, a fifth
ENOUGH_GROUPS = 3  # in validation, to stop reading
READ_AT_A_TIME = 64  # documents, before it is asked again whether they are enough
ORIGINS_AT_LEAST = 40  # no origin fills more than this part of a split before others had a turn
MIN_ORIGIN_CHARS = 2_000
LOOK_AHEAD = 4_000_000  # characters read at most to find enough groups for a small budget
WINDOW = 13  # words in a row that two texts share by copying, hardly by chance
_GAP = re.compile(r"(\n\s*\n)")


def place(group: str, seed: int) -> float:
    """A number from 0 to 1 by a hash of a group's name.

    It depends on nothing but the arguments, so a file that feeds two domains has one place in
    both, and no text can leak from one domain to another.
    """
    digest = hashlib.blake2b(f"{seed}:{group}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def assign_groups(groups: Iterable[str], validation_share: float, seed: int) -> dict[str, str]:
    """Says for each group on which side it falls, "train" or "validation".

    Those placed below `validation_share` are validation's, except that training gets at least one
    group, and validation a fifth of them up to a dozen, and one of two: those nearest to its end.
    """
    order = sorted(groups, key=lambda group: place(group, seed))
    below = sum(place(group, seed) < validation_share for group in order)
    fewest = max(1, min(MIN_VALIDATION_GROUPS, len(order) // 5))
    n = min(max(below, fewest), max(1, len(order) - 1))
    return dict.fromkeys(order[:n], "validation") | dict.fromkeys(order[n:], "train")


def documents_of(domain: str, source: SourceConfig, seed: int) -> Iterator[Document]:
    """Yields a domain's documents, always the same ones in the same well-mixed order.

    The seed is that of the story grammar and of the hub's shuffled rows.

    Raises:
        FeatrackError: a source that can't be read.
    """
    if source.kind == "files":
        return file_documents(domain, source.globs, source.column)
    if source.kind == "hub":
        return hub_documents(domain, source, seed)
    if source.text == "stories":
        return write_stories(seed)
    of = {"english": english_documents, "python": python_documents, "lua": lua_documents}
    return of[source.text]()


def unique_documents(documents: Iterable[Document]) -> Iterator[Document]:
    """Yields each text once: the first of those with the same words, whatever parts them."""
    seen: set[str] = set()
    for document in documents:
        key = " ".join(words_of(document.text))
        if key not in seen:
            seen.add(key)
            yield document


def without_leaks(
    train: Sequence[Document], validation: Iterable[Document], window: int = WINDOW
) -> Iterator[Document]:
    """The training documents without the paragraphs that validation text repeats.

    A paragraph (between empty lines) leaves when it holds any part of a run of `window` words
    that also occurs in a validation document. What stood before and after it become documents
    of their own, so that no run of words arises that neither text had.
    """
    known = {gram for document in validation for gram in ngrams(words_of(document.text), window)}
    for document in train:
        parts = _GAP.split(document.text)  # paragraphs, each but the last with the gap after it
        words = [words_of(paragraph) for paragraph in parts[::2]]
        of_word = [number for number, each in enumerate(words) for _ in each]
        leaving: set[int] = set()
        for first, gram in enumerate(ngrams([*chain.from_iterable(words)], window)):
            if gram in known:
                leaving.update(range(of_word[first], of_word[first + window - 1] + 1))
        for leaves, run in groupby(range(len(words)), leaving.__contains__):
            stretch = [*run]
            piece = "".join(parts[2 * stretch[0] : 2 * stretch[-1] + 1])
            if piece.strip() and not leaves:
                yield replace(document, text=piece)


def read_enough(
    documents: Iterable[Document], wanted: Mapping[str, int], share: float, seed: int
) -> list[Document]:
    """Reads until both sides can be filled, or a source shows that it never will."""
    read: list[Document] = []
    of_origin: Counter[tuple[str, str]] = Counter()  # by group and origin
    limit = max(LOOK_AHEAD, 2 * wanted["train"] / (1 - share), 2 * wanted["validation"] / share)
    for document in unique_documents(documents):
        read.append(document)
        of_origin[document.group, document.origin] += len(document.text)
        if len(read) % READ_AT_A_TIME or (total := of_origin.total()) < sum(wanted.values()):
            continue
        side = assign_groups({group for group, _ in of_origin}, share, seed)
        usable: Counter[str] = Counter()
        for (group, _), length in of_origin.items():
            usable[side[group]] += min(length, _origin_limit(wanted[side[group]]))
        filled = all(usable[split] >= wanted[split] for split in SPLITS)
        many = list(side.values()).count("validation") >= ENOUGH_GROUPS
        if total > limit or (filled and many):
            break
    return read


def filled(documents: Iterable[Document], chars: int) -> list[Document]:
    """The first `chars` characters, of each origin at most a fortieth before all had a turn."""
    kept, rest = [], []
    of_origin: Counter[str] = Counter()
    left = chars
    for document in documents:
        room = min(left, _origin_limit(chars) - of_origin[document.origin])
        head, tail = cut_once(document.text, max(room, 0))
        of_origin[document.origin] += len(head)
        left -= len(head)
        if head.strip():
            kept.append(replace(document, text=head))
        if tail.strip():
            rest.append(replace(document, text=tail))
    for document in rest:
        head, _ = cut_once(document.text, left)
        left -= len(head)
        if head:
            kept.append(replace(document, text=head))
    return kept


def _origin_limit(chars: int) -> int:
    return max(MIN_ORIGIN_CHARS, chars // ORIGINS_AT_LEAST)

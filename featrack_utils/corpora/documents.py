"""What a corpus is made of: where a domain's text comes from, its files, its documents."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import Field, ValidationError

from featrack_utils.errors import FeatrackError
from featrack_utils.pipeline.profile import Section, Whole, require_known, sentence

SPLITS = ("train", "validation")


class Embedded(NamedTuple):
    """A text that comes with the environment."""

    nature: str  # what it is, after "English is"
    # What a token of it holds at most, so that enough is collected: stories use few words that a
    # vocabulary of technical prose has.
    chars_per_token: float


EMBEDDED = {
    "english": Embedded("the prose of docstrings in scientific packages", 4.1),
    "python": Embedded("the interpreter's standard library", 4.0),
    "lua": Embedded("the scripts of the build tool xmake", 3.4),
    "stories": Embedded("what a small grammar of our own makes up", 2.8),
}
MAX_DOCUMENT_CHARS = 8_000  # some 2,000 tokens; longer texts of a reader become several documents
END_OF_TEXT = "<|endoftext|>"  # leads every document's tokens, and divides texts in one file
_BOUNDARIES = ("\n\n", "\n", " ")
_WORD = re.compile(r"\w+")
_HALVES = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Document:
    """One text of one domain.

    Attributes:
        text: the text itself.
        origin: where it comes from (module, file, story); what is counted as one document
            wherever a feature must be active in several.
        group: the unit that is never divided between training and validation (a module path,
            a folder, a plot). Texts of one group share what it is about, so they are not
            independent of each other: intervals resample groups.
        package: the installed distribution, or the data set, to which the text is credited;
            empty for the reader's own files.
    """

    text: str
    origin: str
    group: str
    package: str = ""

    def short(self) -> Iterator[Self]:
        """The document in pieces of at most MAX_DOCUMENT_CHARS, without empty ones."""
        for piece in filter(str.strip, pieces([self.text], MAX_DOCUMENT_CHARS)):
            yield replace(self, text=piece)


class SourceConfig(Section):
    """One domain's source."""

    # Of installed packages, offline; the reader's own; or on the Hugging Face hub.
    kind: Literal["embedded", "files", "hub"] = "embedded"
    text: str = ""  # which embedded text; if not given, the one named as the domain
    globs: list[str] = []  # noqa: RUF012 (patterns of the reader's files)
    path: str = ""  # name of a data set on the hub, such as "nilq/babylm-10M"
    subset: str = ""  # its configuration, where it has several
    split: str = "train"
    revision: str = ""  # a branch, tag or commit; if not given, its main one
    commit: str = ""  # what that was when the run read it; filled in by `hub.pinned`
    buffer: Annotated[Whole, Field(ge=0)] = 10_000  # rows shuffled at a time; 0: left in order
    column: str = "text"  # that holds the text, for JSON Lines, Parquet and the hub

    @classmethod
    def read(cls, domain: str, keys: Mapping[str, Any]) -> Self:
        """The source of a domain from a mapping such as ``{"kind": "embedded"}``.

        Raises:
            FeatrackError: an unknown key (the nearest known one is named), a value of the wrong
                kind, keys that contradict each other, or an embedded text that isn't there.
        """
        where = f"corpora.sources_of.{domain}"
        if not re.fullmatch(r"\w[\w.-]*", domain):
            raise FeatrackError(
                f"{where} is named with more than letters, digits, dots, dashes and underscores, "
                "but it names a folder; rename it."
            )
        require_known(keys, cls.model_fields, f"{where}.")
        named = {"text": domain} if keys.get("kind", "embedded") == "embedded" else {}
        try:
            source = cls.model_validate({**named, **keys})
        except ValidationError as error:
            raise FeatrackError(sentence(error, f"{where}.")) from None
        for key, kind in {"text": "embedded", "globs": "files", "path": "hub"}.items():
            value = getattr(source, key)
            if bool(value) != (kind == source.kind):
                raise FeatrackError(
                    f"{where} is of kind {source.kind!r} and has {key} {value!r}; give {key} to "
                    f"the kind {kind!r} and to no other."
                )
        if source.kind == "embedded" and source.text not in EMBEDDED:
            raise FeatrackError(
                f"The corpus {domain} reads the embedded text {source.text!r}, which isn't there; "
                f"set its text to one of {', '.join(EMBEDDED)}, or its kind to files or hub."
            )
        return source


def readable(text: str) -> str:
    """The text with U+FFFD for halves of characters, as JSON's \\ud83d alone, and plain line ends.

    UTF-8, and so every tokenizer, has no form for such a half.
    """
    return _HALVES.sub("\ufffd", text).replace("\r\n", "\n").replace("\r", "\n")


def cut_once(text: str, max_chars: int) -> tuple[str, str]:
    """A head of at most `max_chars` characters and the rest; together they are the text.

    Cut at an empty line, else a line end, else a space. The head is at least half as long as
    allowed, so that a boundary near the start of a long paragraph doesn't leave a scrap.
    """
    if len(text) <= max_chars:
        return text, ""
    for boundary in _BOUNDARIES:
        end = text.rfind(boundary, max_chars // 2, max_chars)
        if end >= 0 and end + len(boundary) <= max_chars:
            return text[: end + len(boundary)], text[end + len(boundary) :]
    return text[:max_chars], text[max_chars:]


def pieces(parts: Iterable[str], max_chars: int) -> Iterator[str]:
    """A text cut into consecutive pieces, each of at most `max_chars` characters.

    It comes in parts, of any lengths, so that a file needn't be in memory as a whole.
    """
    rest = ""
    for part in parts:
        text, start = rest + part, 0
        # A piece is sure once one character more is known. Only its stretch is copied, so that a
        # part of many megabytes stays linear.
        while len(text) - start > max_chars:
            head, _ = cut_once(text[start : start + max_chars + 1], max_chars)
            yield head
            start += len(head)
        rest = text[start:]
    if rest:
        yield rest


def words_of(text: str) -> list[str]:
    """Its words in lower case, without punctuation."""
    # Parted first: some letters become two, of which one parts words, when put in lower case.
    return [word.lower() for word in _WORD.findall(text)]


def ngrams(words: list[str], n: int) -> Iterator[tuple[str, ...]]:
    """Each run of n words."""
    return zip(*(words[start:] for start in range(n)), strict=False)


def text_of(row: Mapping[str, Any], column: str, where: str) -> str | None:
    """The text of one row of a table, None where there is none.

    Chat messages, a list of mappings with ``content``, are joined by empty lines, without what
    says whose they are. No other list is text.

    Raises:
        FeatrackError: the row has no such column, or something else than text in it.
    """
    value = row.get(column)
    if isinstance(value, list) and value:
        said = [each.get("content") if isinstance(each, Mapping) else None for each in value]
        if all(isinstance(content, str) for content in said):
            return "\n\n".join(said)
    if column in row and isinstance(value, str | None):
        return value
    what = f"holds a {type(value).__name__} in column {column!r}, not text"
    if column not in row:
        what = f"has no column {column!r} (it has {', '.join(map(repr, row)) or 'none'})"
    raise FeatrackError(f"{where} {what}; set the corpus's column to the one that holds the text.")

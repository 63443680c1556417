"""What a corpus is made of: where a domain's text comes from, its files, its documents."""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from importlib import metadata
from pathlib import Path, PurePath
from typing import Any

from featrack_utils.errors import FeatrackError

SPLITS = ("train", "validation")
KINDS = ("embedded", "files", "hub")
_KIND_OF = {"globs": "files", "dataset": "hub", "text": "embedded"}  # the one that takes a key
# The embedded texts, and the characters that a token of each holds at most, so that enough of it is
# collected: stories use few words that a vocabulary of technical prose has.
EMBEDDED = {"english": 4.1, "python": 4.0, "lua": 3.4, "stories": 2.8}
# What they are, after "English is".
NATURE = {
    "english": "the prose of docstrings in scientific packages",
    "python": "the interpreter's standard library",
    "lua": "the scripts of the build tool xmake",
    "stories": "what a small grammar of our own makes up",
}
MAX_DOCUMENT_CHARS = 8_000  # some 2,000 tokens; longer texts of a reader become several documents
# Tests repeat themselves and the code they test; the others hold tables or other people's code.
SKIPPED_FOLDERS = frozenset(
    {"site-packages", "dist-packages", "test", "tests", "testing", "idle_test", "__pycache__"}
    | {"encodings", "pydoc_data", "__phello__", "_vendor", "_vendored", "vendor", "externals"}
)
END_OF_TEXT = "<|endoftext|>"  # leads every document's tokens, and divides texts in one file
_BOUNDARIES = ("\n\n", "\n", " ")
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


@dataclass(frozen=True)
class SourceConfig:
    """One domain's source.

    Attributes:
        kind: "embedded" (made from the installed packages, offline), "files" or "hub".
        text: which embedded text, one of EMBEDDED; None: the one named as the domain.
        globs: patterns of the reader's files, for "files".
        dataset: name on the Hugging Face hub, for "hub".
        split: split of that data set.
        column: field or column that holds the text, for JSON Lines, Parquet and the hub.
    """

    kind: str = "embedded"
    text: str | None = None
    globs: tuple[str, ...] = ()
    dataset: str | None = None
    split: str = "train"
    column: str = "text"

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise FeatrackError(
                f"Unknown kind of corpus source {self.kind!r}; use one of {', '.join(KINDS)}."
            )
        for key, kind in _KIND_OF.items():
            value = getattr(self, key)
            lacking = kind == self.kind and not value and key != "text"  # that has a default
            if lacking or (value and kind != self.kind):
                raise FeatrackError(
                    f"A corpus source of kind {self.kind!r} has {key} {value!r}; give {key} to "
                    f"the kind {kind!r} and to no other."
                )

    @classmethod
    def read(cls, domain: str, keys: Mapping[str, Any]) -> SourceConfig:
        """The source of a domain from a mapping such as ``{"kind": "embedded"}``.

        Raises:
            FeatrackError: an unknown key (the nearest known one is named), a value of the wrong
                kind, keys that contradict each other, or an embedded text that isn't there.
        """
        where = f"The source of the corpus {domain!r}"
        if not re.fullmatch(r"\w[\w.-]*", domain):
            raise FeatrackError(
                f"{where} is named with more than letters, digits, dots, dashes and underscores, "
                "but it names a folder; rename it."
            )
        for key, value in keys.items():
            known = [field.name for field in fields(cls)]
            if key not in known:
                near = difflib.get_close_matches(str(key), known, n=1, cutoff=0.0)[0]
                raise FeatrackError(f"{where} has no key {key!r}; the nearest known one is {near}.")
            if not (isinstance(value, list | tuple) if key == "globs" else isinstance(value, str)):
                wanted = "a list of file patterns" if key == "globs" else "text"
                raise FeatrackError(f"{where} has {key} {value!r}; it must be {wanted}.")
        try:
            source = cls(**{**keys, "globs": tuple(keys.get("globs", ()))})
        except FeatrackError as error:
            raise FeatrackError(f"{where} is refused. {error}") from None
        if source.kind == "embedded":
            source.embedded_text(domain)
        return source

    def embedded_text(self, domain: str) -> str:
        """Which embedded text a domain of this name reads.

        Raises:
            FeatrackError: there is none of that name.
        """
        text = self.text or domain
        if text not in EMBEDDED:
            raise FeatrackError(
                f"The corpus {domain} reads the embedded text {text!r}, which isn't there; set "
                f"its text to one of {', '.join(EMBEDDED)}, or its kind to files or hub."
            )
        return text


@dataclass(frozen=True)
class SourceFile:
    """One file of an installed package.

    Attributes:
        name: the package's folder and the path in it, the same on every machine.
        path: where it lies on this machine.
        package: the distribution that installed it, "python" for the standard library.
    """

    name: str
    path: Path
    package: str

    def read(self) -> str | None:
        """The text of the file, or None where it is not UTF-8 text."""
        try:
            text = self.path.read_text(encoding="utf-8")
        except (UnicodeDecodeError, OSError):
            return None
        return None if "\0" in text else text


def package_files(package: str, suffix: str) -> list[SourceFile]:
    """An installed distribution's files of one kind, by name, without its tests.

    Nothing is imported: the distribution's installer left a list of its files behind.

    Raises:
        FeatrackError: it is not installed.
    """
    try:
        listed = metadata.distribution(package).files or ()
    except metadata.PackageNotFoundError:
        raise FeatrackError(
            f"An embedded text is read from the package {package}, which is not installed (not "
            "every system has a wheel of it); install it, or give that corpus text of your own "
            "with kind: files."
        ) from None
    found = []
    for file in listed:
        if file.suffix == suffix and not in_skipped_folder(file):
            # Data files are listed from the packages' folder upwards: ../../../share/x/y.lua.
            name = "/".join(part for part in file.parts if part != "..").removeprefix("share/")
            found.append(SourceFile(name, Path(str(file.locate())), package))
    return sorted(found, key=lambda file: file.name)


def in_skipped_folder(path: PurePath) -> bool:
    """Whether a path inside a package leads through one of SKIPPED_FOLDERS."""
    return not SKIPPED_FOLDERS.isdisjoint(path.parts[:-1])


def mixed(files: list[SourceFile]) -> list[SourceFile]:
    """The files in an order that depends on their names alone and mixes packages well.

    Stopping early therefore still leaves a bit of everything.
    """
    return sorted(files, key=lambda file: hashlib.blake2b(file.name.encode()).digest())


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


def pieces(text: str, max_chars: int) -> Iterator[str]:
    """Consecutive parts of a text, each of at most `max_chars` characters."""
    start = 0
    while start < len(text):
        # Only the next stretch is copied, so a text of many megabytes stays linear.
        head, _ = cut_once(text[start : start + max_chars + 1], max_chars)
        yield head
        start += len(head)

"""The embedded text `lua`: the Lua that the build tool xmake is written in."""

from __future__ import annotations

import re
from collections.abc import Iterator

from featrack_utils.corpora.deduplicate import mostly_new
from featrack_utils.corpora.documents import Document, SourceFile, mixed, package_files

PACKAGE = "xmake-wheel"
# By the files' own headers; the wheel that carries them states GPL-3.0 for its packaging.
LICENCE = "Apache-2.0"
MIN_CHARS = 200
_TEMPLATES = "xmake/templates/"  # of new projects, with blanks to fill: not Lua yet
_FIRST_COMMENT = re.compile(r"\s*((?:--[^\n]*(?:\n|$))+)\n*")
_LEGAL = re.compile("licen[sc]e|copyright", re.IGNORECASE)


def lua_documents(files: list[SourceFile] | None = None) -> Iterator[Document]:
    """Yields one document for each file; without `files`, for all of xmake's.

    Licence headers are removed; short files (MIN_CHARS), and those of which most stood in
    earlier ones, are passed over. Files of one folder are one group, as they are much alike.

    Raises:
        FeatrackError: xmake's wheel is not installed.
    """
    yield from mostly_new(_documents(mixed(xmake_files() if files is None else files)))


def xmake_files() -> list[SourceFile]:
    """The Lua files of the installed xmake, by name.

    Raises:
        FeatrackError: it is not installed, as on systems without a wheel of it.
    """
    return [f for f in package_files(PACKAGE, ".lua") if not f.name.startswith(_TEMPLATES)]


def without_licence(text: str) -> str:
    """A Lua text without the comment at its head, where that is about a licence."""
    first = _FIRST_COMMENT.match(text)
    return text[first.end() :] if first and _LEGAL.search(first[1]) else text


def _documents(files: list[SourceFile]) -> Iterator[Document]:
    for file in files:
        text = without_licence(file.read())
        if len(text) >= MIN_CHARS:
            folder = file.name.rpartition("/")[0]
            yield Document(text, origin=file.name, group=folder, package=file.package)

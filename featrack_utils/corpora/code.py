"""The embedded texts `python` and `lua`, and how files of installed packages are read."""

from __future__ import annotations

import hashlib
import re
import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import replace
from importlib import metadata
from pathlib import Path, PurePath

from featrack_utils.corpora.documents import Document
from featrack_utils.corpora.overlap import mostly_new
from featrack_utils.errors import FeatrackError

XMAKE = "xmake-wheel"
# By the files' own headers; the wheel that carries them states GPL-3.0 for its packaging.
XMAKE_LICENCE = "Apache-2.0"
MIN_LUA_CHARS = 200
MIN_PYTHON_CHARS = 400  # an empty __init__.py teaches nothing
MAX_DIGITS = 0.1  # share of the characters; more make a table of data (stringprep), not code
# Tests repeat themselves and the code they test; the others hold tables or other people's code.
_SKIPPED_FOLDERS = frozenset(
    {"site-packages", "dist-packages", "test", "tests", "testing", "idle_test", "__pycache__"}
    | {"encodings", "pydoc_data", "__phello__", "_vendor", "_vendored", "vendor", "externals"}
)
# Of the standard library: tables of HTML entities, poems, and the build configuration, which
# names the folders of the machine that Python was built on; then stubs, which are no library code.
_SKIPPED_FILES = ("entities.py", "this.py", "antigravity.py", "_markupbase.py", "_sysconfigdata")
_SKIPPED_TOPS = ("config-", "lib-dynload")
_TEMPLATES = "xmake/templates/"  # of new projects, with blanks to fill: not Lua yet
# A comment at the head of a file, one line of which is about a licence.
_LICENCE = re.compile(
    r"\A\s*(?=(?:--[^\n]*\n)*--[^\n]*(?:licen[sc]e|copyright))(?:--[^\n]*(?:\n|$))+\n*",
    re.IGNORECASE,
)

Files = dict[str, tuple[Path, str]]  # by name: where each lies, and the package to credit


def python_documents(files: Iterable[Document] | None = None) -> Iterator[Document]:
    """The files that hold neither little nor mostly numbers; by default the standard library's."""
    for file in in_mixed_order(standard_library()) if files is None else files:
        digits = sum(map(file.text.count, "0123456789"))
        if len(file.text) >= MIN_PYTHON_CHARS and digits <= MAX_DIGITS * len(file.text):
            yield file


def lua_documents(files: Iterable[Document] | None = None) -> Iterator[Document]:
    """The files without licence headers; by default those of the build tool xmake.

    Short files, and those of which most stood in earlier ones, are passed over. Files of one
    folder are one group, as they are much alike.

    Raises:
        FeatrackError: xmake's wheel is not installed, as on systems that it isn't made for.
    """
    if files is None:
        found = package_files(XMAKE, ".lua")
        files = in_mixed_order({n: f for n, f in found.items() if not n.startswith(_TEMPLATES)})
    plain = (
        replace(file, text=_LICENCE.sub("", file.text), group=file.origin.rpartition("/")[0])
        for file in files
    )
    yield from mostly_new(file for file in plain if len(file.text) >= MIN_LUA_CHARS)


def standard_library() -> Files:
    """The files of the running interpreter's standard library that are worth reading."""
    root = Path(sysconfig.get_path("stdlib"))
    found = {path.relative_to(root): path for path in root.rglob("*.py")}
    return {
        f"python/{inside.as_posix()}": (path, "python")
        for inside, path in found.items()
        if not _in_skipped_folder(inside)
        and not path.name.startswith(_SKIPPED_FILES)
        and not inside.parts[0].startswith(_SKIPPED_TOPS)
    }


def package_files(package: str, suffix: str) -> Files:
    """An installed distribution's files of one kind, without its tests.

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
    found = {}
    for file in listed:
        if file.suffix == suffix and not _in_skipped_folder(file):
            # Data files are listed from the packages' folder upwards: ../../../share/x/y.lua.
            name = "/".join(part for part in file.parts if part != "..").removeprefix("share/")
            found[name] = Path(str(file.locate())), package
    return found


def _in_skipped_folder(path: PurePath) -> bool:
    return not _SKIPPED_FOLDERS.isdisjoint(path.parts[:-1])


def in_mixed_order(files: Files) -> Iterator[Document]:
    """Each file as a document and a group, in an order that depends on the names alone.

    It mixes packages well: stopping early still leaves a bit of everything. What isn't UTF-8 is
    passed over.
    """
    for name in sorted(files, key=lambda name: hashlib.blake2b(name.encode()).digest()):
        path, package = files[name]
        try:
            text = path.read_text(encoding="utf-8")
        except (UnicodeDecodeError, OSError):
            continue
        yield Document(text, name, name, package)

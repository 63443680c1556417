"""The embedded `lua` corpus: functions of pinned packages, translated to Lua."""

from __future__ import annotations

import hashlib
import importlib.util
import itertools
import logging
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from featrack_utils.corpora.documents import Document
from featrack_utils.corpora.luagen import translate_module
from featrack_utils.corpora.luagen.names import KEYWORDS
from featrack_utils.errors import FeatrackError

logger = logging.getLogger(__name__)

# Third-party packages with much plain code; none belongs to the standard library, whose source
# is the `python` domain.
LUA_PACKAGES = (
    "networkx",
    "sympy",
    "nltk",
    "matplotlib",
    "pandas",
    "scipy",
    "statsmodels",
    "sphinx",
    "docutils",
    "pygments",
    "mpmath",
    "numba",
    "jinja2",
    "rich",
    "sqlalchemy",
    "snakemake",
    "tornado",
    "fontTools",
)
_SKIPPED_FOLDERS = frozenset(
    {"tests", "test", "testing", "_vendor", "vendor", "vendored", "externals", "extern"}
)
_LARGEST_FILE = 150_000  # bytes; what is larger is mostly tables
_FEWEST_LINES = 4  # of code, comments not counted
_MOST_LINES = 200
_WORD = re.compile(r"--[^\n]*|\"(?:\\.|[^\"\\])*\"|[A-Za-z_]\w*|\s+")


def lua_documents(packages: Sequence[str] = LUA_PACKAGES) -> Iterator[Document]:
    """Yields Lua functions and classes, file by file, the packages taking turns.

    The order is fixed by hashes of the file names, so a caller that stops early gets the same
    varied documents every time. A chunk that equals an earlier one but for its names, texts
    and comments is left out.

    Args:
        packages: names of installed packages; their source is read, never imported.

    Raises:
        FeatrackError: if a package is not installed as source files.
    """
    seen: set[bytes] = set()
    for group, path in _in_turns([_source_files(package) for package in packages]):
        try:
            source = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            logger.info("%s is not UTF-8 and is passed over", group)
            continue
        for chunk in translate_module(source):
            if _code_lines(chunk.code) < _FEWEST_LINES or chunk.code.count("\n") > _MOST_LINES:
                continue
            shape = _shape(chunk.code)
            if shape not in seen:
                seen.add(shape)
                yield Document(text=chunk.code, origin=group, group=group)


def _source_files(package: str) -> list[tuple[str, Path]]:
    """Returns (group, path) of a package's modules in an order fixed by their names."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise FeatrackError(
            f"the package '{package}' that the embedded lua corpus is made from is not "
            f"installed; install the packages of requirements.lock"
        )
    root = Path(spec.submodule_search_locations[0])
    found = []
    for path in root.rglob("*.py"):
        parts = path.relative_to(root).parts
        is_test = path.name.startswith(("test_", "conftest")) or _SKIPPED_FOLDERS & set(parts)
        if not is_test and path.stat().st_size <= _LARGEST_FILE:
            found.append(("/".join((package, *parts)), path))
    return sorted(found, key=lambda each: (hashlib.blake2b(each[0].encode()).digest(), each[0]))


def _in_turns(
    lists: list[list[tuple[str, Path]]],
) -> Iterator[tuple[str, Path]]:
    """Yields the first of each list, then the second of each, and so on."""
    for turn in itertools.zip_longest(*lists):
        yield from (each for each in turn if each is not None)


def _code_lines(code: str) -> int:
    """Returns how many lines are neither empty nor a comment."""
    lines = (line.strip() for line in code.split("\n"))
    return sum(bool(line) and not line.startswith("--") for line in lines)


def _shape(code: str) -> bytes:
    """Returns a hash of a chunk without its names, texts, comments and spaces."""

    def mask(match: re.Match[str]) -> str:
        word = match[0]
        if word in KEYWORDS:
            return f" {word} "
        if word[0] == '"':
            return '"'
        return "x" if word[0].isalpha() or word[0] == "_" else ""

    return hashlib.blake2b(_WORD.sub(mask, code).encode(), digest_size=16).digest()

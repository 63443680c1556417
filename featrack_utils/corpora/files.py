"""The reader's own text: plain files, JSON Lines and Parquet."""

import glob
import hashlib
import json
import logging
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from featrack_utils.corpora.documents import (
    END_OF_TEXT,
    Document,
    SourceConfig,
    pieces,
    readable,
    text_of,
)
from featrack_utils.errors import FeatrackError

log = logging.getLogger(__name__)

FEW_FILES = 30  # of fewer, a tenth would be one or two: too few to validate on
MAX_SECTION_CHARS, MIN_SECTION_CHARS = 50_000, 2_000
PART_CHARS, PARQUET_ROWS = 200_000, 1_000  # that are in memory at a time
# A whole step of a pattern that is "**": this folder and all below.
_ANY_DEPTH = re.compile(r"(?:^|(?<=[/\\]))\*\*(?:[/\\]|$)")
_VARIABLE = re.compile(r"\$\{?(\w+)")


def file_documents(domain: str, globs: Sequence[str], column: str = "text") -> Iterator[Document]:
    """Yields the texts of all files that the globs match, cut to MAX_DOCUMENT_CHARS.

    `.jsonl` files hold one JSON object a line and `.parquet` files one text a row, in the field
    or column `column`; any other file is one text in UTF-8, or several divided by
    `<|endoftext|>`. Files are read in an order that depends on their names alone. Each is cut at
    empty lines into contiguous sections of about 50,000 characters, which are the origins of
    plain text; a row, or one of several texts, is its own origin. With FEW_FILES files or more a
    file is a group, so it falls whole into training or validation. With fewer (seven novels, say)
    a section is a group, and where there is little text sections shrink to a twentieth of it.

    `globs` may hold `*`, `**`, `~` and environment variables such as `${MY_TEXTS}`.

    Raises:
        FeatrackError: an unset variable, a pattern that matches nothing, no readable text, a
            damaged file, or a missing field.
    """
    files = matched_files(domain, globs)
    root = os.path.commonpath([str(file.parent) for file in files])
    names = {file: readable(file.relative_to(root).as_posix()) for file in files}
    files.sort(key=lambda file: hashlib.blake2b(names[file].encode()).digest())
    few = len(files) < FEW_FILES
    section_chars = MAX_SECTION_CHARS
    if few:
        total = sum(file.stat().st_size for file in files)
        section_chars = min(MAX_SECTION_CHARS, max(MIN_SECTION_CHARS, total // 20))
    each = [_sections(domain, file, names[file], column, section_chars, few) for file in files]
    # Few files take turns: an early stop still leaves something of every book.
    turns = filter(None, chain.from_iterable(zip_longest(*each) if few else each))
    try:
        yield next(turns)
    except StopIteration:
        raise FeatrackError(
            f"The {domain} corpus has no text: all {len(files)} files matched by "
            f"{', '.join(globs)} are empty or not UTF-8 text; convert them to UTF-8 or point "
            "the globs at other files."
        ) from None
    yield from turns


def _sections(
    domain: str, file: Path, name: str, column: str, section_chars: int, few: bool
) -> Iterator[Document]:
    where = f"{readable(file.name)} in the {domain} corpus"
    number = used = 0
    try:
        if file.suffix.lower() == ".parquet":
            several, texts = True, _parquet_texts(file, column, where)
        elif file.suffix.lower() in (".jsonl", ".ndjson"):
            several, texts = True, _jsonl_texts(file, column, where)
        else:
            several, texts = _plain_texts(domain, file)
        for row, text in enumerate(texts):
            for stretch in pieces(map(readable, text), section_chars):
                if used and used + len(stretch) > section_chars:
                    number, used = number + 1, 0
                used += len(stretch)
                section = f"{name}#{number}" if number else name
                origin, group = f"{name}:{row}" if several else section, section if few else name
                yield from Document(stretch, origin, group).short()
    except OSError as error:  # a disk that fails, a file that has gone
        raise FeatrackError(
            f"{where} can't be read ({error.strerror or error}); mend it or leave it out of the "
            "glob."
        ) from error


def matched_files(domain: str, globs: Sequence[str]) -> list[Path]:
    """The files that the globs match, absolute, in no particular order.

    Raises:
        FeatrackError: an unset variable, a pattern that matches nothing, an unreadable file.
    """
    files: set[Path] = set()
    for pattern in globs:
        # A name that looks like a pattern is a name: [1] and $x stand in those of real files.
        literal = os.path.exists(pattern) and not {*"*?"} & {*pattern}
        unset = [name for name in _VARIABLE.findall(pattern) if not os.environ.get(name)]
        if unset and not literal:
            raise FeatrackError(
                f"The {domain} corpus is read from {pattern}, but the environment variable "
                f"{unset[0]} is not set; set it to the folder that holds the files."
            )
        expanded = os.path.expanduser(os.path.expandvars(pattern))
        matches = map(os.path.realpath, [pattern] if literal else _matches(expanded))
        found = {path for path in map(Path, matches) if path.is_file()}
        if not found:
            raise FeatrackError(
                f"The {domain} corpus is empty: {pattern} matches no file; correct the glob or "
                "put text files there."
            )
        if closed := [path.name for path in found if not os.access(path, os.R_OK)]:
            raise FeatrackError(
                f"The {domain} corpus can't read {closed[0]}, which {pattern} matches; allow "
                "yourself to read it or leave it out of the glob."
            )
        files |= found
    return list(files)


def _matches(pattern: str) -> Iterator[str]:
    """As `glob.glob`, but a folder that links lead to again and again is looked into once."""
    step = _ANY_DEPTH.search(pattern)
    if not step:
        yield from glob.glob(pattern)
        return
    head, tail = pattern[: step.start()] or os.curdir, pattern[step.end() :] or "*"
    for start in glob.glob(head):
        seen: set[str] = set()
        for folder, below, _ in os.walk(start, followlinks=True):
            real = os.path.realpath(folder)
            # A pattern without a dot finds no hidden folders, as in a shell.
            below[:] = [] if real in seen else [name for name in below if name[0] != "."]
            if real not in seen:
                seen.add(real)
                yield from _matches(os.path.join(glob.escape(folder), tail))


def fingerprint(sources: Mapping[str, Mapping[str, Any]]) -> str:
    """Changes whenever a file that a source reads is added, removed or written to.

    Raises:
        FeatrackError: what `SourceConfig.read` refuses, or files that aren't there.
    """
    configs = {domain: SourceConfig.read(domain, source) for domain, source in sources.items()}
    files = sorted(path for d, c in configs.items() for path in matched_files(d, c.globs))
    states = [f"{p} {p.stat().st_size} {p.stat().st_mtime_ns}" for p in files]
    return hashlib.sha256("\n".join(states).encode(errors="surrogateescape")).hexdigest()


def _plain_texts(domain: str, file: Path) -> tuple[bool, Iterable[Iterable[str]]]:
    """Whether a file holds several texts, and the parts of each: a large one is never whole."""
    divided, end = False, ""
    try:
        for part in _parts(file):
            if "\0" in part:
                raise UnicodeError
            divided |= END_OF_TEXT in end + part
            end = (end + part)[-len(END_OF_TEXT) :]
    except UnicodeError:
        name = readable(file.name)
        log.warning("the %s corpus leaves out %s: it is not UTF-8 text", domain, name)
        return False, []
    if not divided:
        return False, [_parts(file)]
    return True, ([text.strip("\n")] for text in _divided_texts(file) if text.strip())


def _parts(file: Path) -> Iterator[str]:
    with file.open(encoding="utf-8-sig") as text:
        while part := text.read(PART_CHARS):
            yield part


def _divided_texts(file: Path) -> Iterator[str]:
    rest = ""
    for part in _parts(file):
        *whole, rest = (rest + part).split(END_OF_TEXT)
        yield from whole
    yield rest


def _jsonl_texts(file: Path, column: str, where: str) -> Iterator[Iterable[str]]:
    # Bytes are read, so that a line which isn't UTF-8 is named like any other.
    with file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            here = f"Line {number} of {where}"
            try:
                row = json.loads(line.decode("utf-8-sig")) if line.strip() else {column: None}
            except (ValueError, RecursionError) as error:
                raise FeatrackError(
                    f"{here} is not JSON in UTF-8; each line must hold one JSON object."
                ) from error
            if text := text_of(row if isinstance(row, dict) else {}, column, here):
                yield [text]


def _parquet_texts(file: Path, column: str, where: str) -> Iterator[Iterable[str]]:
    try:
        with pq.ParquetFile(file) as table:
            text_of(dict.fromkeys(table.schema_arrow.names), column, where)
            for batch in table.iter_batches(PARQUET_ROWS, columns=[column]):
                for value in batch.column(0).to_pylist():
                    if text := text_of({column: value}, column, where):
                        yield [text]
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise FeatrackError(
            f"{where} is not a Parquet file or is damaged; write it anew or leave it out of the "
            "glob."
        ) from error

"""The reader's own text: plain files, JSON Lines and Parquet."""

from __future__ import annotations

import glob
import hashlib
import json
import logging
import os
import re
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from featrack_utils.corpora.cutting import pieces
from featrack_utils.corpora.documents import Document
from featrack_utils.errors import FeatrackError

log = logging.getLogger(__name__)

MAX_DOCUMENT_CHARS = 8_000  # some 2,000 tokens; longer texts become several documents
FEW_FILES = 30  # of fewer, a tenth would be one or two: too few to validate on
MAX_SECTION_CHARS, MIN_SECTION_CHARS = 50_000, 2_000
_VARIABLE = re.compile(r"\$\{(\w+)\}|\$(\w+)")


def file_documents(domain: str, globs: Sequence[str], column: str = "text") -> Iterator[Document]:
    """Yields the texts of all files that the globs match, cut to MAX_DOCUMENT_CHARS.

    `.jsonl` files hold one JSON object a line and `.parquet` files one text a row, in the field
    or column `column`; any other file is one text in UTF-8. Files are read in an order that
    depends on their names alone. Each file is cut at empty lines into contiguous sections of
    about 50,000 characters, which are the origins of plain text; a row is its own origin. With
    FEW_FILES files or more a file is a group, so it falls whole into training or validation.
    With fewer (seven novels, say) a section is a group, and where there is little text sections
    shrink to a twentieth of it.

    Args:
        domain: the domain, named in messages.
        globs: patterns with `*`, `**`, `~` and environment variables such as `${MY_TEXTS}`.
        column: field or column that holds the text.

    Raises:
        FeatrackError: an unset variable, a pattern that matches nothing, no readable text, a
            damaged file, or a missing field.
    """
    files = matched_files(domain, globs)
    root = os.path.commonpath([str(file.parent) for file in files])
    names = {file: file.relative_to(root).as_posix() for file in files}
    files.sort(key=lambda file: hashlib.blake2b(names[file].encode()).digest())
    few = len(files) < FEW_FILES
    section_chars = MAX_SECTION_CHARS
    if few:
        total = sum(file.stat().st_size for file in files)
        section_chars = min(MAX_SECTION_CHARS, max(MIN_SECTION_CHARS, total // 20))
    texts = [_read(domain, file, names[file], column, section_chars, few) for file in files]
    n_documents = 0
    for document in _round_robin(texts) if few else chain.from_iterable(texts):
        n_documents += 1
        yield document
    if not n_documents:
        raise FeatrackError(
            f"The {domain} corpus has no text: all {len(files)} files matched by "
            f"{', '.join(globs)} are empty or not UTF-8 text; convert them to UTF-8 or point "
            "the globs at other files."
        )


def matched_files(domain: str, globs: Sequence[str]) -> list[Path]:
    """The files that the globs match, absolute, in no particular order.

    Raises:
        FeatrackError: an unset variable, a pattern that matches nothing, an unreadable file.
    """
    files: set[Path] = set()
    for pattern in globs:
        expanded = _expand(domain, pattern)
        found = [Path(path).resolve() for path in glob.glob(expanded, recursive=True)]
        found = [path for path in found if path.is_file()]
        if not found:
            raise FeatrackError(
                f"The {domain} corpus is empty: {pattern} matches no file; correct the glob or "
                "put text files there."
            )
        locked = [path.name for path in found if not os.access(path, os.R_OK)]
        if locked:
            raise FeatrackError(
                f"The {domain} corpus can't read {locked[0]}, which {pattern} matches; allow "
                "yourself to read it or leave it out of the glob."
            )
        files.update(found)
    if not files:
        raise FeatrackError(
            f"The {domain} corpus is read from files but names none; give it at least one glob."
        )
    return list(files)


def _expand(domain: str, pattern: str) -> str:
    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if not os.environ.get(name):
            raise FeatrackError(
                f"The {domain} corpus is read from {pattern}, but the environment variable "
                f"{name} is not set; set it to the folder that holds the files."
            )
        return os.environ[name]

    return os.path.expanduser(_VARIABLE.sub(value, pattern))


def _read(
    domain: str, file: Path, name: str, column: str, section_chars: int, few: bool
) -> Iterator[Document]:
    suffix = file.suffix.lower()
    is_table = suffix in (".jsonl", ".ndjson", ".parquet")
    if suffix == ".parquet":
        texts = _parquet_texts(domain, file, column)
    elif is_table:
        texts = _jsonl_texts(domain, file, column)
    else:
        texts = _plain_texts(domain, file)
    number = used = 0
    for row, text in enumerate(texts):
        for stretch in pieces(text, section_chars):
            if used and used + len(stretch) > section_chars:
                number, used = number + 1, 0
            used += len(stretch)
            section = f"{name}#{number}" if number else name
            origin = f"{name}:{row}" if is_table else section
            for piece in pieces(stretch, MAX_DOCUMENT_CHARS):
                if piece.strip():
                    yield Document(piece, origin=origin, group=section if few else name)


def _plain_texts(domain: str, file: Path) -> Iterator[str]:
    text = _decoded(file)
    if text is None:
        log.warning("the %s corpus leaves out %s: it is not UTF-8 text", domain, file.name)
    elif text.strip():
        yield text


def _decoded(file: Path) -> str | None:
    raw = file.read_bytes()
    if b"\0" in raw:
        return None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _jsonl_texts(domain: str, file: Path, column: str) -> Iterator[str]:
    with file.open(encoding="utf-8") as lines:
        for number in range(1, 2**63):
            where = f"Line {number} of {file.name} in the {domain} corpus"
            try:
                line = lines.readline()
                row = json.loads(line) if line.strip() else None
            except ValueError as error:
                raise FeatrackError(
                    f"{where} is not JSON in UTF-8; each line must hold one JSON object."
                ) from error
            if not line:
                return
            if row is None:
                continue
            if not isinstance(row, dict) or not isinstance(row.get(column), str):
                fields = ", ".join(row) if isinstance(row, dict) else "no fields"
                raise FeatrackError(
                    f"{where} has no text in the field {column!r} (it has "
                    f"{fields}); set the corpus's column to the field that holds the text."
                )
            yield row[column]


def _parquet_texts(domain: str, file: Path, column: str) -> Iterator[str]:
    try:
        with pq.ParquetFile(file) as table:
            schema = table.schema_arrow
            kind = schema.field(column).type if column in schema.names else None
            if kind is None or not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
                raise FeatrackError(
                    f"{file.name} in the {domain} corpus has no text column {column!r} (it has "
                    f"{', '.join(schema.names)}); set the corpus's column to the one that holds "
                    "the text."
                )
            for batch in table.iter_batches(columns=[column]):
                yield from (text for text in batch.column(0).to_pylist() if text)
    except pa.ArrowInvalid as error:
        raise FeatrackError(
            f"{file.name} in the {domain} corpus is not a Parquet file or is damaged; write it "
            "anew or leave it out of the glob."
        ) from error


def _round_robin(readers: list[Iterator[Document]]) -> Iterator[Document]:
    # One document of each file in turn: an early stop still leaves something of every book.
    while readers:
        for reader in list(readers):
            document = next(reader, None)
            if document is None:
                readers.remove(reader)
            else:
                yield document

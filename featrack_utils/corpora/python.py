"""The embedded text `python`: the standard library's own source."""

from __future__ import annotations

import sysconfig
from collections.abc import Iterator
from pathlib import Path

from featrack_utils.corpora.documents import Document, SourceFile, in_skipped_folder, mixed

MIN_CHARS = 400  # an empty __init__.py teaches nothing
MAX_DIGITS = 0.1  # share of the characters; more make a table of data (stringprep), not code
# Tables of HTML entities, poems, and the build configuration, which names the folders of the
# machine that Python was built on.
_SKIPPED_FILES = ("entities.py", "this.py", "antigravity.py", "_markupbase.py", "_sysconfigdata")
_SKIPPED_TOPS = ("config-", "lib-dynload")  # extension stubs, no library code


def standard_library() -> list[SourceFile]:
    """Every file of the running interpreter's standard library worth reading, by name."""
    root = Path(sysconfig.get_path("stdlib"))
    files = []
    for path in root.rglob("*.py"):
        inside = path.relative_to(root)
        unwanted = (
            in_skipped_folder(inside)
            or path.name.startswith(_SKIPPED_FILES)
            or inside.parts[0].startswith(_SKIPPED_TOPS)
        )
        if not unwanted:
            files.append(SourceFile(f"python/{inside.as_posix()}", path, "python"))
    return sorted(files, key=lambda file: file.name)


def python_documents(files: list[SourceFile] | None = None) -> Iterator[Document]:
    """Yields one document for each file; without `files`, for all of the standard library.

    Files that hold little (MIN_CHARS) or mostly numbers (MAX_DIGITS) are passed over.
    """
    for file in mixed(standard_library() if files is None else files):
        text = file.read()
        if len(text) >= MIN_CHARS and not _is_table(text):
            yield Document(text, origin=file.name, group=file.name, package=file.package)


def _is_table(text: str) -> bool:
    return sum(map(text.count, "0123456789")) > MAX_DIGITS * len(text)

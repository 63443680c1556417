"""The embedded Python corpus: the standard library's own source."""

from __future__ import annotations

from collections.abc import Iterator

from featrack_utils.corpora.documents import Document
from featrack_utils.corpora.modules import Module, mixed, stdlib_modules

MIN_CHARS = 400  # an empty __init__.py teaches nothing
MAX_DIGITS = 0.1  # share of the characters; more make a table of data (stringprep), not code


def python_documents(modules: list[Module] | None = None) -> Iterator[Document]:
    """Yields one document for each file of the running interpreter's standard library.

    Files that hold little (MIN_CHARS) or mostly numbers (MAX_DIGITS) are passed over.

    Args:
        modules: files to read instead of the whole standard library.
    """
    for module in mixed(stdlib_modules() if modules is None else modules):
        source = module.source()
        if source is not None and len(source) >= MIN_CHARS and not is_table(source):
            yield Document(source, origin=module.name, group=module.name)


def is_table(source: str) -> bool:
    """Whether digits make up more than MAX_DIGITS of a text."""
    return sum(map(source.count, "0123456789")) > MAX_DIGITS * len(source)

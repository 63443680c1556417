"""The embedded Python corpus: the standard library's own source."""

from __future__ import annotations

from collections.abc import Iterator

from featrack_utils.corpora.documents import Document
from featrack_utils.corpora.modules import Module, mixed, stdlib_modules

MIN_CHARS = 400  # an empty __init__.py teaches nothing


def python_documents(modules: list[Module] | None = None) -> Iterator[Document]:
    """Yields one document for each file of the running interpreter's standard library.

    Args:
        modules: files to read instead of the whole standard library.
    """
    for module in mixed(stdlib_modules() if modules is None else modules):
        source = module.source()
        if source is not None and len(source) >= MIN_CHARS:
            yield Document(source, origin=module.name, group=module.name)

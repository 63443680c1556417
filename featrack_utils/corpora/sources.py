"""Where a domain's text comes from, and the stream of its documents."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from featrack_utils.corpora.documents import DOMAINS, Document
from featrack_utils.errors import FeatrackError

KINDS = ("embedded", "files", "hub")


@dataclass(frozen=True)
class SourceConfig:
    """One domain's source.

    Attributes:
        kind: "embedded" (made from the installed packages, offline), "files" or "hub".
        globs: patterns of the reader's files, for "files".
        dataset: name on the Hugging Face hub, for "hub".
        split: split of that data set.
        column: field or column that holds the text, for JSON Lines, Parquet and the hub.
    """

    kind: str = "embedded"
    globs: tuple[str, ...] = ()
    dataset: str | None = None
    split: str = "train"
    column: str = "text"

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise FeatrackError(
                f"Unknown kind of corpus source {self.kind!r}; use one of {', '.join(KINDS)}."
            )
        if (self.kind == "files") != bool(self.globs):
            raise FeatrackError(
                f"A corpus source of kind {self.kind!r} has globs {list(self.globs)}; give globs "
                "to the kind 'files' and to no other."
            )
        if (self.kind == "hub") != bool(self.dataset):
            raise FeatrackError(
                f"A corpus source of kind {self.kind!r} has the data set {self.dataset!r}; give a "
                "data set to the kind 'hub' and to no other."
            )


def documents_of(domain: str, source: SourceConfig, seed: int) -> Iterator[Document]:
    """Yields a domain's documents, always the same ones in the same well-mixed order.

    Args:
        domain: one of DOMAINS.
        source: where the text comes from.
        seed: of the story grammar; the other sources don't draw.

    Raises:
        FeatrackError: an unknown domain, or a source that can't be read.
    """
    if domain not in DOMAINS:
        raise FeatrackError(f"Unknown domain {domain!r}; use one of {', '.join(DOMAINS)}.")
    if source.kind == "files":
        from featrack_utils.corpora.files import file_documents

        return file_documents(domain, source.globs, source.column)
    if source.kind == "hub":
        # Imported here because `datasets` alone takes seconds to load.
        from featrack_utils.corpora.hub import hub_documents

        return hub_documents(domain, str(source.dataset), source.split, source.column)
    return _embedded(domain, seed)


def _embedded(domain: str, seed: int) -> Iterator[Document]:
    # Each domain loads its own generator only: a run on files needs none of them.
    if domain == "english":
        from featrack_utils.corpora.english import english_documents

        return english_documents()
    if domain == "python":
        from featrack_utils.corpora.python import python_documents

        return python_documents()
    if domain == "lua":
        from featrack_utils.corpora.lua import lua_documents

        return lua_documents()
    from featrack_utils.corpora.stories import write_stories

    return write_stories(seed)

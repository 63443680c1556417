"""Text from the Hugging Face hub, streamed through `datasets`."""

from __future__ import annotations

from collections.abc import Iterator

from featrack_utils.corpora.documents import MAX_DOCUMENT_CHARS, Document, pieces, readable
from featrack_utils.corpora.files import text_of
from featrack_utils.errors import FeatrackError


def hub_documents(
    domain: str, dataset: str, split: str = "train", column: str = "text"
) -> Iterator[Document]:
    """Yields the texts of a data set on the hub in its own order, without storing it.

    Each row is an origin and a group of its own, named by its number, so which side it falls
    on depends on the row alone. Texts are cut to MAX_DOCUMENT_CHARS.

    `dataset` is a name on the hub, such as "roneneldan/TinyStories", or a local folder.

    Raises:
        FeatrackError: the data set can't be reached or has no such split or column, or the
            column holds no text but lists, numbers or chat messages.
    """
    for number, row in enumerate(_rows(domain, dataset, split)):
        text = text_of(
            row, column, f"Row {number} of the data set {dataset} of the {domain} corpus"
        )
        name = f"{dataset}/{number}"
        for piece in pieces(readable(text or ""), MAX_DOCUMENT_CHARS):
            if piece.strip():
                yield Document(piece, origin=name, group=name, package=dataset)


def _rows(domain: str, dataset: str, split: str) -> Iterator[dict]:
    from datasets import load_dataset  # takes seconds to load

    # What fails here comes from many libraries (sockets, HTTP, hub, file formats) with no common
    # ancestor but Exception, and at any row; the cause stays attached.
    try:
        yield from load_dataset(dataset, split=split, streaming=True)
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise FeatrackError(
            f"The {domain} corpus can't read split {split!r} of the data set {dataset} "
            f"({reason}); check the name and the network, or use the embedded or files source."
        ) from error

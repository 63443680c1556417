"""Text from the Hugging Face hub, streamed through `datasets`."""

import hashlib
import logging
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from featrack_utils.corpora.documents import Document, SourceConfig, readable, text_of
from featrack_utils.errors import FeatrackError
from featrack_utils.pipeline import store

log = logging.getLogger(__name__)

OFFLINE = (
    "without a network, embedded texts and your own files work, as in the profiles quick and real"
)
_CHANGED = (
    "%s: %s has changed on the hub (read: %s, now: %s); this run stays with what it has read, and "
    "reads anew once you delete %s/"
)


def hub_documents(domain: str, source: SourceConfig, seed: int) -> Iterator[Document]:
    """Yields the texts of a data set on the hub, without storing it.

    Its files (Parquet's groups of rows), and then its rows in a buffer of ``source.buffer``, are
    shuffled by the seed. Each row is an origin and a group of its own, named by a hash of its text,
    so which side it falls on depends on its text alone. Texts are cut to MAX_DOCUMENT_CHARS. What
    a broken connection has cut off is asked for again from there.

    Raises:
        FeatrackError: the data set can't be reached or has no such split or column, or the
            column holds no text but lists or numbers; see `documents.text_of`.
    """
    for number, row in enumerate(_rows(domain, source, seed)):
        where = f"Row {number} of the data set {source.path} of the {domain} corpus"
        text = readable(text_of(row, source.column, where) or "")
        name = f"{source.path}/{hashlib.blake2b(text.encode(), digest_size=8).hexdigest()}"
        yield from Document(text, name, name, package=source.path).short()


def _rows(domain: str, source: SourceConfig, seed: int) -> Iterator[dict]:
    import datasets  # takes seconds to load

    datasets.disable_progress_bars()
    # What fails here comes from many libraries (sockets, HTTP, hub, file formats) with no common
    # ancestor but Exception, and at any row; the cause stays attached.
    try:
        rows = datasets.load_dataset(
            f"hf://datasets/{source.path}",  # never a folder here that has this name
            source.subset or None,
            split=source.split,
            revision=source.commit or source.revision or None,
            streaming=True,
        )
        if source.buffer:
            # Parquet's groups of rows are drawn one by one: the first megabytes are of everywhere.
            rows = rows.reshard().shuffle(
                seed, buffer_size=source.buffer, max_buffer_input_shards=1
            )
        yield from rows
    except Exception as error:
        raise FeatrackError(
            f"The {domain} corpus can't read split {source.split!r} of the data set {source.path} "
            f"({_reason(error)}); check what it holds on its page, and the network: {OFFLINE}."
        ) from error


def pinned(sources: Mapping[str, Mapping[str, Any]], corpora: Path) -> dict[str, Mapping[str, Any]]:
    """The sources, those on the hub with the commit that the run reads.

    That is the one from which the artefact `corpora` was made, if it was made from that data set,
    and otherwise what the hub has now. So a data set that changes doesn't change a run; that it
    has changed is said in a warning.

    Raises:
        FeatrackError: what `SourceConfig.read` refuses; no network, no such data set or revision,
            or a gated one.
    """
    found = dict(sources)
    read = recorded(corpora).get("sources", {})
    for domain, given in sources.items():
        source = SourceConfig.read(domain, given)
        if source.kind != "hub" or source.commit:
            continue
        before = read.get(domain, {})
        same = all(before.get(key) == given.get(key) for key in ("path", "revision"))
        where, revision = f"corpora.sources_of.{domain}", source.revision or None
        if commit := before.get("commit") if same else None:
            warn_if_changed(where, "dataset", source.path, revision, commit, corpora)
        else:
            commit = _commit(where, source.path, revision)
        found[domain] = {**given, "commit": commit}
    return found


def recorded(made: Path | None) -> Mapping[str, Any]:
    """The parameters of an artefact; none if there isn't one yet."""
    with suppress(FeatrackError):
        return store.read_record(made)["parameters"] if made else {}
    return {}


def warn_if_changed(
    where: str, kind: str, name: str, revision: object, read: str, made: Path | None
) -> None:
    """Says so if a "dataset" or "model" has by now another commit than `made` was made from."""
    from huggingface_hub import HfApi

    asked = None if revision is None else str(revision)
    with suppress(Exception):  # no network is needed any more
        now = HfApi().repo_info(name, revision=asked, repo_type=kind, timeout=5).sha
        if now != read:
            log.warning(_CHANGED, where, name, read[:8], now[:8], made)


def _commit(where: str, name: str, revision: str | None) -> str:
    """What the hub has under a data set's name, or its revision, now."""
    from huggingface_hub import HfApi

    try:
        hub = HfApi()
        about = hub.dataset_info(name, revision=revision, timeout=20)
        hub.auth_check(name, repo_type="dataset")
    except Exception as error:  # see `_rows`
        raise refusal(where, "data set", name, error) from error
    return str(about.sha)


def refusal(where: str, kind: str, name: str, error: Exception) -> FeatrackError:
    """What the hub's refusal to give a data set or model means, and what to do about it."""
    from huggingface_hub import constants
    from huggingface_hub import errors as hub

    match error:
        case _ if constants.HF_HUB_OFFLINE:
            what = f"is on the hub, and HF_HUB_OFFLINE is set; unset it, or know that {OFFLINE}"
        case hub.GatedRepoError():
            what = (
                "is gated; accept its terms on its page on the hub, log in with `hf auth login`, "
                "and try again"
            )
        case hub.RevisionNotFoundError():
            what = "has no such revision on the hub; name a branch, a tag or a commit that is there"
        case hub.RepositoryNotFoundError() | hub.HFValidationError():
            what = f"is no {kind} on the hub, or a private one; check its name, or log in"
        case _:
            what = (
                f"can't be reached on the hub ({_reason(error)}); try again, or know that {OFFLINE}"
            )
    return FeatrackError(f"{where}: {name} {what}.")


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rstrip(".:")

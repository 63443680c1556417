"""Feature activations on the shared evaluation mix, measured in one pass."""

from collections.abc import Iterable, Mapping
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from jaxtyping import Float, Int
from safetensors.numpy import load_file, save_file
from scipy import sparse
from torch import Tensor, nn

from featrack_utils.dictionaries import kernels
from featrack_utils.dictionaries.quality import Sums, splice_losses
from featrack_utils.errors import FeatrackError
from featrack_utils.lineage import SITE, Lineage
from featrack_utils.models.capture import mlp_activations
from featrack_utils.pipeline import store

ZERO_SEED = 1  # of zero-step dictionaries: they are compared with the parent's of other seeds
_BATCH_ENTRIES = 2**21  # of [tokens, d_sae]: few enough to stay in the cache
_SPLICED_EVERY = 16  # the costly losses are measured on every sixteenth block


class Mix(NamedTuple):
    """The evaluation mix: the same validation blocks of all domains for every model.

    Attributes:
        tokens: token ids, one row per block.
        origin: index of the document (file, function, story) each position belongs to.
        domain: index into `domains` of each block.
        domains: their names, in the lineage's order.
        group: index of the group (module, file, plot) each position's document belongs to.
    """

    tokens: Int[np.ndarray, "n_blocks context"]
    origin: Int[np.ndarray, "n_blocks context"]
    domain: Int[np.ndarray, " n_blocks"]
    domains: tuple[str, ...]
    group: Int[np.ndarray, "n_blocks context"]


class Features(NamedTuple):
    """One model's feature activations on the evaluation mix, position 0 of blocks left out.

    Attributes:
        acts: non-negative activations, sparse.
        origin, domain, tokens: of each token position; `domain` is an index into the domains of
            the lineage.
        group: the same, what documents share that are not independent of each other; None:
            every document is a group of its own.
    """

    acts: sparse.csr_matrix
    origin: Int[np.ndarray, " n_tokens"]
    domain: Int[np.ndarray, " n_tokens"]
    tokens: Int[np.ndarray, " n_tokens"]
    group: Int[np.ndarray, " n_tokens"] | None = None

    def at(self, rows: np.ndarray) -> Self:
        """The same at some positions only, by a mask or by their places."""
        return Features(*(None if field is None else field[rows] for field in self))


def evaluation_mix(blocks: Mapping[str, Any]) -> Mix:
    """Joins each domain's evaluation blocks (`corpora.tokenizer.Blocks`), in the order given.

    Documents and groups of two domains stay apart.
    """
    parts = [*blocks.values()]

    def apart(numbers: list[np.ndarray]) -> np.ndarray:
        first = np.cumsum([0, *(each.max() + 1 for each in numbers)]).tolist()
        return np.concatenate([each + n for each, n in zip(numbers, first, strict=False)])

    return Mix(
        np.concatenate([part.tokens for part in parts]),
        apart([part.origin for part in parts]),
        np.repeat(np.arange(len(parts), dtype=np.int8), [len(part.tokens) for part in parts]),
        tuple(blocks),
        apart([part.group for part in parts]),
    )


@torch.no_grad()
def measure(bridge: nn.Module, sae: nn.Module, mix: Mix, site: str = SITE) -> tuple[Features, Sums]:
    """A model's features on the mix, from its own raw activations through its own dictionary.

    One pass gives the sparse features and the sums that say how good the dictionary is.
    """
    sums = Sums.empty(mix.domains, sae.cfg.d_in, sae.cfg.d_sae)
    decoder = sae.W_dec.cpu().numpy(), sae.b_dec.cpu().numpy()
    batch_blocks = max(1, _BATCH_ENTRIES // (mix.tokens.shape[1] * sae.cfg.d_sae))
    parts = []
    for domain in range(len(mix.domains)):
        blocks = torch.from_numpy(mix.tokens[mix.domain == domain]).long()
        for batch in blocks.split(batch_blocks):
            x = mlp_activations(bridge, batch, site)[:, 1:].flatten(0, 1)
            acts, x = _encode(sae, x).cpu(), x.cpu()
            active, rebuilt = kernels.active_entries(acts), torch.empty_like(x)
            kernels.rebuild(active.indptr, active.indices, active.data, *decoder, rebuilt.numpy())
            sums.add(domain, x, acts, rebuilt)
            parts.append(active)
        for batch in blocks[::_SPLICED_EVERY].split(batch_blocks):
            sums.losses[domain] += splice_losses(bridge, sae, batch, site)

    def at_positions(of_blocks: np.ndarray) -> np.ndarray:
        return of_blocks[:, 1:].ravel().astype(np.int32)

    features = Features(
        acts=sparse.vstack(parts, format="csr"),
        origin=at_positions(mix.origin),
        domain=np.repeat(mix.domain, mix.tokens.shape[1] - 1),
        tokens=at_positions(mix.tokens),
        group=at_positions(mix.group),
    )
    return features, sums


def _encode(sae: nn.Module, x: Float[Tensor, "n d_in"]) -> Float[Tensor, "n d_sae"]:
    """What ``sae.encode`` gives; where that is a ReLU, without three arrays of that size."""
    if sae.cfg.architecture() != "standard":
        return sae.encode(x)
    return torch.addmm(sae.b_enc, sae.process_sae_in(x), sae.W_enc).relu_()


def save_features(features: Features, path: Path) -> None:
    """Writes features as safetensors (CSR arrays and per-token labels)."""
    arrays = {name: value for name, value in features._asdict().items() if value is not None}
    csr = arrays.pop("acts")
    arrays["data"] = csr.data.astype(np.float32)
    arrays["indices"] = csr.indices.astype(np.int32)
    arrays["indptr"] = csr.indptr.astype(np.int64)
    arrays["shape"] = np.array(csr.shape, dtype=np.int64)
    save_file(arrays, path)


def load_features(path: Path) -> Features:
    """Reads what `save_features` wrote."""
    parts = load_file(path)
    csr = sparse.csr_matrix(
        (parts["data"], parts["indices"], parts["indptr"]), shape=tuple(parts["shape"])
    )
    return Features(csr, parts["origin"], parts["domain"], parts["tokens"], parts.get("group"))


def dictionary_names(
    lineage: Lineage, root_seeds: int, other_seeds: int
) -> dict[str, tuple[str, ...]]:
    """The names of each model's dictionaries, "base-0" and so on: model and SAE seed."""
    seeds = {model: other_seeds for model in lineage.order} | {lineage.root: root_seeds}
    return {model: tuple(f"{model}-{s}" for s in range(n)) for model, n in seeds.items()}


def open_features(
    run_dir: Path, lineage: Lineage, root_seeds: int, other_seeds: int
) -> dict[str, Features]:
    """The dictionaries' features of a run, by name ("base-0": model and SAE seed), in order.

    Raises:
        FeatrackError: one is missing or damaged.
    """
    return open_named(run_dir, chain(*dictionary_names(lineage, root_seeds, other_seeds).values()))


def open_named(place: Path, names: Iterable[str]) -> dict[str, Features]:
    """The features of some dictionaries, by name; `place` is a run or of like shape.

    Raises:
        FeatrackError: one is missing or damaged.
    """
    folders = {name: store.opened(place / "features" / name) for name in names}
    return {name: load_features(path / "features.safetensors") for name, path in folders.items()}


def other_documents(features: Features) -> Features:
    """The same features, as if they read the documents half a domain further on.

    Densities, clusters and the order within documents stay; only the text that the features
    respond to is another. Cyclic, within domains: features of one domain would otherwise seem
    unrelated to each other merely because code doesn't follow prose.

    Raises:
        FeatrackError: a domain of one document, which can't be shifted.
    """
    source = np.arange(features.origin.size)
    for domain in np.unique(features.domain):
        rows = np.flatnonzero(features.domain == domain)
        begins = np.flatnonzero(np.diff(features.origin[rows], prepend=-1))
        if begins.size < 2:
            raise FeatrackError(
                f"Domain {domain} of the evaluation mix has one document, so its stream can't be "
                "shifted by documents: give at least two."
            )
        source[rows] = np.roll(rows, -begins[begins.size // 2])
    return features._replace(acts=features.acts[source])

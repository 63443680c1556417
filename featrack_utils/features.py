"""Feature activations on the shared evaluation mix, and how good a dictionary is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from sae_lens import SAE
from safetensors.numpy import load_file, save_file
from scipy import sparse
from torch import Tensor
from transformer_lens.model_bridge import TransformerBridge

from featrack_utils.capture import logits_with, mlp_activations
from featrack_utils.corpora.documents import DOMAINS
from featrack_utils.errors import FeatrackError
from featrack_utils.tokens import Blocks

DENSE_SHARE = 0.10  # a feature active on more than this share of tokens is dense
_BATCH_BLOCKS = 32


class Mix(NamedTuple):
    """The evaluation mix: the same validation blocks of all four domains for every model.

    Attributes:
        tokens: token ids, one row per block.
        origin: index of the independent document each position belongs to.
        domain: index into DOMAINS of each block.
    """

    tokens: Int[np.ndarray, "n_blocks context"]
    origin: Int[np.ndarray, "n_blocks context"]
    domain: Int[np.ndarray, " n_blocks"]


class Features(NamedTuple):
    """One model's feature activations on the evaluation mix, position 0 of blocks left out.

    Attributes:
        acts: non-negative activations, sparse.
        origin, domain, tokens: of each token position.
    """

    acts: sparse.csr_matrix
    origin: Int[np.ndarray, " n_tokens"]
    domain: Int[np.ndarray, " n_tokens"]
    tokens: Int[np.ndarray, " n_tokens"]


class Quality(NamedTuple):
    """How well a dictionary describes its model's activations on validation text.

    Attributes:
        l0: mean number of active features a token.
        variance_explained: 1 - residual / total sum of squares around the mean.
        ce_loss_score: (CE_zero - CE_sae) / (CE_zero - CE_clean).
        dead_share: share of features that are never active here.
        dense_share: share of features active on over a tenth of the tokens.
        density: share of tokens on which each feature is active.
    """

    l0: float
    variance_explained: float
    ce_loss_score: float
    dead_share: float
    dense_share: float
    density: Float[np.ndarray, " d_sae"]


def evaluation_mix(blocks: Mapping[str, Blocks]) -> Mix:
    """Joins each domain's evaluation blocks; origins of different domains stay apart."""
    tokens, origins, domains, offset = [], [], [], 0
    for index, domain in enumerate(DOMAINS):
        if domain not in blocks:
            continue
        part = blocks[domain]
        tokens.append(part.tokens)
        origins.append(part.origin + offset)
        domains.append(np.full(len(part.tokens), index, dtype=np.int8))
        offset += int(part.origin.max()) + 1
    return Mix(np.concatenate(tokens), np.concatenate(origins), np.concatenate(domains))


@torch.no_grad()
def features_on(bridge: TransformerBridge, sae: SAE, mix: Mix) -> Features:
    """A model's features on the mix, from its own raw activations through its own dictionary."""
    parts = []
    for tokens in _batches(mix):
        acts = sae.encode(mlp_activations(bridge, tokens)[:, 1:].flatten(0, 1))
        parts.append(sparse.csr_matrix(acts.numpy()))
    width = mix.tokens.shape[1] - 1
    return Features(
        acts=sparse.vstack(parts, format="csr"),
        origin=mix.origin[:, 1:].ravel().astype(np.int32),
        domain=np.repeat(mix.domain, width),
        tokens=mix.tokens[:, 1:].ravel().astype(np.int32),
    )


def only_domains(mix: Mix, domains: tuple[str, ...]) -> Mix:
    """The part of the mix that belongs to the given domains."""
    keep = np.isin(mix.domain, [DOMAINS.index(domain) for domain in domains])
    return Mix(mix.tokens[keep], mix.origin[keep], mix.domain[keep])


@torch.no_grad()
def quality(bridge: TransformerBridge, sae: SAE, mix: Mix) -> Quality:
    """Measures a dictionary on validation text (definitions: METHOD section 3, SAELens)."""
    active = torch.zeros(sae.cfg.d_sae)
    residual, squares, sums, count = 0.0, 0.0, torch.zeros(sae.cfg.d_in, dtype=torch.float64), 0
    losses = torch.zeros(3, dtype=torch.float64)
    for tokens in _batches(mix):
        x = mlp_activations(bridge, tokens)[:, 1:].flatten(0, 1)
        acts = sae.encode(x)
        active += (acts > 0).sum(0)
        residual += (x - sae.decode(acts)).double().square().sum().item()
        squares += x.double().square().sum().item()
        sums += x.double().sum(0)
        count += len(x)
        losses += _three_losses(bridge, sae, tokens)
    total = squares - sums.square().sum().item() / count
    clean, zero, spliced = losses.tolist()
    density = active.numpy() / count
    return Quality(
        l0=float(density.sum()),
        variance_explained=1 - residual / total,
        ce_loss_score=(zero - spliced) / (zero - clean),
        dead_share=float((density == 0).mean()),
        dense_share=float((density > DENSE_SHARE).mean()),
        density=density,
    )


def _three_losses(bridge: TransformerBridge, sae: SAE, tokens: Tensor) -> Tensor:
    """Summed cross-entropy: clean, MLP activations zeroed, reconstruction spliced in.

    Position 0 keeps its activations: the dictionary never saw one.
    """

    def spliced(x: Tensor) -> Tensor:
        return torch.cat([x[:, :1], sae.decode(sae.encode(x[:, 1:]))], dim=1)

    def zeroed(x: Tensor) -> Tensor:
        return torch.cat([x[:, :1], torch.zeros_like(x[:, 1:])], dim=1)

    losses = []
    for replace in (None, zeroed, spliced):
        logits = logits_with(bridge, tokens, replace)[:, 1:-1].flatten(0, 1)
        losses.append(F.cross_entropy(logits, tokens[:, 2:].flatten(), reduction="sum"))
    return torch.stack(losses).double()


def _batches(mix: Mix) -> Iterator[Tensor]:
    for start in range(0, len(mix.tokens), _BATCH_BLOCKS):
        yield torch.from_numpy(mix.tokens[start : start + _BATCH_BLOCKS]).long()


def save_features(features: Features, path: Path) -> None:
    """Writes features as safetensors (CSR arrays and per-token labels)."""
    csr = features.acts
    save_file(
        {
            "data": csr.data.astype(np.float32), "indices": csr.indices.astype(np.int32),
            "indptr": csr.indptr.astype(np.int64), "shape": np.array(csr.shape, dtype=np.int64),
            "origin": features.origin, "domain": features.domain, "tokens": features.tokens,
        },
        path,
    )  # fmt: skip


def load_features(path: Path) -> Features:
    """Reads what `save_features` wrote."""
    parts = load_file(path)
    csr = sparse.csr_matrix(
        (parts["data"], parts["indices"], parts["indptr"]), shape=tuple(parts["shape"])
    )
    return Features(csr, parts["origin"], parts["domain"], parts["tokens"])


def require_same_tokens(a: Features, b: Features) -> None:
    """Refuses to compare features that were measured on different token streams."""
    if len(a.tokens) != len(b.tokens) or not np.array_equal(a.tokens, b.tokens):
        raise FeatrackError(
            "The two sets of features come from different token streams; "
            "compute both on the same evaluation mix."
        )

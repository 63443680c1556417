"""How well a dictionary describes its model's activations."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from featrack_utils.lineage import SITE
from featrack_utils.models.capture import logits_with

DENSE_SHARE = 0.10  # a feature active on more than this share of tokens is dense
NEEDED = 0.005  # the share of the loss that an MLP must save for a CE score to mean something


class Quality(NamedTuple):
    """A dictionary's figures on validation text (`book/method.md`, *Dictionaries*).

    Attributes:
        l0: mean number of active features a token.
        variance_explained: 1 - residual / total sum of squares around the mean.
        neuron_variance_explained: the same if each token kept its `l0` largest neurons instead,
            and zero for the others.
        mlp_worth: share by which the loss grows without the MLP; below zero, it does harm. NaN
            where no loss was measured.
        ce_loss_score: (CE_zero - CE_sae) / (CE_zero - CE_clean), as SAELens names and defines it;
            None where zeroing the MLP changes nothing.
        dead_share: share of features that are never active on this text.
        dense_share: share of features active on over a tenth of the tokens.
        density: share of tokens on which each feature is active.
    """

    l0: float
    variance_explained: float
    neuron_variance_explained: float
    mlp_worth: float
    ce_loss_score: float | None
    dead_share: float
    dense_share: float
    density: Float[np.ndarray, " d_sae"]

    @property
    def meaningful_score(self) -> float | None:
        """The CE-loss score; None where the MLP saves less than `NEEDED` of the loss.

        There the score divides by next to nothing and is no share of anything.
        """
        return self.ce_loss_score if self.mlp_worth >= NEEDED else None


@dataclass
class Sums:
    """Sums over tokens, one row per domain, from which `Quality` follows for any mixture.

    Attributes:
        domains: their names. count: tokens.
        residual: summed squared error of the reconstruction.
        ranked: each token's squared activations, the largest first, summed over tokens.
        total: summed activations. active: tokens on which each feature is active.
        losses: summed cross-entropy in nats: clean, activations zeroed, reconstruction in place.
    """

    domains: tuple[str, ...]
    count: Float[Tensor, " domains"]
    residual: Float[Tensor, " domains"]
    ranked: Float[Tensor, "domains d_in"]
    total: Float[Tensor, "domains d_in"]
    active: Float[Tensor, "domains d_sae"]
    losses: Float[Tensor, "domains 3"]

    @classmethod
    def empty(cls, domains: Sequence[str], d_in: int, d_sae: int) -> Self:
        """Zeros, in float64 so that millions of tokens add up exactly enough."""
        n = len(domains)
        shapes = [(n,), (n,), (n, d_in), (n, d_in), (n, d_sae), (n, 3)]
        return cls(tuple(domains), *(torch.zeros(s, dtype=torch.float64) for s in shapes))

    def add(self, domain: int, x: Tensor, acts: Tensor, reconstruction: Tensor) -> None:
        """Adds tokens: activations [n, d_in], features [n, d_sae], reconstruction [n, d_in]."""
        self.count[domain] += len(x)
        self.residual[domain] += (x - reconstruction).double().square().sum()
        falling = np.sort(x.abs().numpy(), axis=1)[:, ::-1]  # thirty times as fast as torch
        self.ranked[domain] += torch.from_numpy((falling.astype(np.float64) ** 2).sum(0))
        self.total[domain] += x.double().sum(0)
        self.active[domain] += (acts > 0).float().sum(0)  # of booleans it takes four times as long

    def save(self, path: Path) -> None:
        """Writes the sums as safetensors, the domains' names beside them."""
        tensors = {name: value for name, value in vars(self).items() if name != "domains"}
        save_file(tensors, path, metadata={"domains": ",".join(self.domains)})

    @classmethod
    def load(cls, path: Path) -> Self:
        """Reads what `save` wrote."""
        with safe_open(path, "pt") as file:
            domains = file.metadata()["domains"].split(",")
        return cls(tuple(domains), **load_file(path))


def quality(sums: Sums, domains: Iterable[str] | None = None) -> Quality:
    """A dictionary's quality on the text of some domains together, or of all (None)."""
    rows = [sums.domains.index(domain) for domain in (domains or sums.domains)]
    count = sums.count[rows].sum()
    density = (sums.active[rows].sum(0) / count).numpy()
    l0 = float(density.sum())
    ranked = sums.ranked[rows].sum(0).numpy()
    kept = np.interp(l0, np.arange(len(ranked) + 1), np.cumsum([0, *ranked]))
    squares = ranked.sum()
    total = squares - float(sums.total[rows].sum(0).square().sum() / count)
    clean, zero, spliced = sums.losses[rows].sum(0).tolist()
    return Quality(
        l0=l0,
        variance_explained=1 - float(sums.residual[rows].sum()) / total,
        neuron_variance_explained=float(1 - (squares - kept) / total),
        mlp_worth=zero / clean - 1 if clean else np.nan,
        ce_loss_score=(zero - spliced) / (zero - clean) if zero != clean else None,
        dead_share=float((density == 0).mean()),
        dense_share=float((density > DENSE_SHARE).mean()),
        density=density,
    )


def mean_quality(place: Path, names: Iterable[str]) -> dict[str, float]:
    """Mean L0 and share of variance explained, on the whole mix, of some dictionaries.

    `place` holds ``features/<name>``: a run, or a folder of like shape.
    """
    each = [quality(Sums.load(place / "features" / n / "sums.safetensors")) for n in names]
    return {
        key: float(np.mean([getattr(q, key) for q in each])) for key in ("l0", "variance_explained")
    }


@torch.no_grad()
def splice_losses(
    bridge: nn.Module, sae: nn.Module, tokens: Int[Tensor, "batch context"], site: str = SITE
) -> Float[Tensor, " 3"]:
    """Summed cross-entropy: clean, activations zeroed, reconstruction in their place.

    Position 0 keeps its activations, for no dictionary is trained on one.
    """

    def zeroed(x: Tensor) -> Tensor:
        return torch.cat([x[:, :1], torch.zeros_like(x[:, 1:])], dim=1)

    def spliced(x: Tensor) -> Tensor:
        return torch.cat([x[:, :1], sae.decode(sae.encode(x[:, 1:]))], dim=1)

    # What position 1 and all that follow it predict; -100 is left out.
    targets = F.pad(tokens[:, 2:], (1, 1), value=-100)
    losses = []
    tokens, targets = (each.to(bridge.original_model.device) for each in (tokens, targets))
    for replace in (None, zeroed, spliced):
        logits = logits_with(bridge, tokens, replace, site).flatten(0, 1)  # no copy of so many
        losses.append(F.cross_entropy(logits, targets.flatten(), reduction="sum"))
    return torch.stack(losses).cpu().double()

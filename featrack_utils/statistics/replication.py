"""Choices of the published code, as switches on features that are there already.

Each switch changes what is compared; the comparison stays the same (`book/method.md`, published
code).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool
from scipy import sparse

from featrack_utils.dictionaries.features import Features
from featrack_utils.matching.token_correlation import string_correlations
from featrack_utils.statistics.intervals import Shares

if TYPE_CHECKING:
    from sae_lens import SAE

_ROWS = 4096  # positions decoded and encoded at once

Mask = Bool[np.ndarray, " d_sae"]


class ByStrings(NamedTuple):
    """A share of features found by correlation over token strings.

    Attributes:
        share: the share at one threshold, without replicates; NaN without any candidate.
        strings: median number of token strings behind the best r; NaN without any candidate.
    """

    share: Shares
    strings: float


@torch.no_grad()
def on_reconstructions(features: Features, sae: SAE) -> Features:
    """Features of the dictionary's own reconstructions instead of the model's activations.

    What a dictionary finds when its reconstruction has taken the activations' place.
    """
    d_sae = features.acts.shape[1]
    # Decoding is linear, so sparse features need one small product a position.
    constant = sae.decode(torch.zeros(1, d_sae))
    directions = (sae.decode(torch.eye(d_sae)) - constant).numpy()
    parts = []
    for start in range(0, features.acts.shape[0], _ROWS):
        decoded = torch.from_numpy(features.acts[start : start + _ROWS] @ directions) + constant
        parts.append(sparse.csr_matrix(sae.encode(decoded).numpy()))
    return features._replace(acts=sparse.vstack(parts, format="csr"))


def on_other_corpora(
    parent: Features, child: Features, domains: Sequence[int]
) -> tuple[Features, Features]:
    """The parent on some domains and the child on all others, as one token stream.

    Each is silent where the other reads. Correlation over token strings doesn't mind: it
    describes a feature by token strings, which all corpora share, wherever it met them.
    """
    first = np.isin(parent.domain, domains)
    silenced = []
    for features, rows in ((parent, first), (child, ~first)):
        keep = sparse.diags_array(rows.astype(np.float32), format="csr")
        acts = sparse.csr_matrix(keep @ features.acts)
        acts.eliminate_zeros()
        silenced.append(features._replace(acts=acts))
    return silenced[0], silenced[1]


def found_by_strings(
    parent: Features, other: Features, eligible_parent: Mask, eligible_other: Mask, tau: float
) -> ByStrings:
    """Share of the parent's features whose best r over token strings exceeds τ.

    Two shared strings are enough (`token_correlation`). There is no interval: a bootstrap leaves
    out documents, and with them strings, which moves such a share by itself.
    """
    masks = {"eligible_a": eligible_parent, "eligible_b": eligible_other}
    found = string_correlations(parent.acts, other.acts, parent.tokens, floor=0.99, **masks)
    asked = found.best.a_candidates
    share = strings = np.nan
    if asked.any():
        share = float((found.best.a_best_r[asked] > tau).mean())
        strings = float(np.median(found.a_shared[asked]))
    return ByStrings(Shares(np.array([tau]), np.array([share]), np.empty((0, 1))), strings)

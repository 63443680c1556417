"""Choices of the published code, as switches on features that are there already.

METHOD.md §10. Each switch changes what is compared; the comparison stays the same.
"""

from typing import NamedTuple

import numpy as np
import torch
from sae_lens import SAE
from scipy import sparse

from featrack_utils.corpora.documents import DOMAINS
from featrack_utils.correlate import correlations
from featrack_utils.features import Features
from featrack_utils.published import string_correlations

_ROWS = 4096  # positions decoded and encoded at once


class Found(NamedTuple):
    """A parent's share found in its child, and in another dictionary of the parent itself."""

    share: float | None  # None: no candidate, so not defined
    ceiling: float | None

    @property
    def ratio(self) -> float | None:
        """Share / ceiling; None: not defined."""
        return self.share / self.ceiling if self.share is not None and self.ceiling else None


@torch.no_grad()
def on_reconstructions(features: Features, sae: SAE) -> Features:
    """Features of the dictionary's own reconstructions instead of the model's activations.

    So the published code computes them: the hook that puts the reconstruction in the
    activations' place stays registered.
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


def on_other_corpora(parent: Features, child: Features) -> tuple[Features, Features]:
    """The parent on English and Python and the child on Lua and stories, as one token stream.

    Each is silent where the other reads. Definition (a) doesn't mind: it describes a feature
    by token strings, which all corpora share, wherever it met them.
    """
    first = parent.domain < len(DOMAINS) // 2
    silenced = []
    for features, rows in ((parent, first), (child, ~first)):
        keep = sparse.diags_array(rows.astype(np.float32), format="csr")
        acts = sparse.csr_matrix(keep @ features.acts)
        acts.eliminate_zeros()
        silenced.append(features._replace(acts=acts))
    return silenced[0], silenced[1]


def share_found(
    parent: Features,
    child: Features,
    tau: float,
    *,
    masks: tuple[np.ndarray, np.ndarray] | None = None,
    published: bool = False,
) -> float | None:
    """Share of the parent's features whose best r in the child exceeds τ; None without any.

    `masks` are the eligible features, bool [d_sae] each (default: all that ever fire);
    `published`: correlate by definition (a), where two shared strings are enough.
    """
    able = dict(zip(("eligible_a", "eligible_b"), masks, strict=True)) if masks else {}
    if published:
        best = string_correlations(parent.acts, child.acts, parent.tokens, floor=0.99, **able).best
    else:
        best = correlations(parent.acts, child.acts, floor=0.99, **able)
    if not best.a_candidates.any():
        return None
    return float((best.a_best_r[best.a_candidates] > tau).mean())


def shared_strings(parent: Features, child: Features) -> float:
    """Median number of token strings behind the best r by definition (a); 0.0 without any r."""
    matches = string_correlations(parent.acts, child.acts, parent.tokens, floor=0.99)
    behind = matches.a_shared[matches.best.a_candidates]
    return float(np.median(behind)) if behind.size else 0.0

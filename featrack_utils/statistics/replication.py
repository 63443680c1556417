"""Choices of the published code, as switches on features that are there already.

METHOD.md §10. Each switch changes what is compared; the comparison stays the same.
"""

from typing import NamedTuple

import numpy as np
import torch
from sae_lens import SAE
from scipy import sparse

from featrack_utils.corpora.documents import DOMAINS
from featrack_utils.dictionaries.features import Features
from featrack_utils.matching.correlation import BestMatches, correlations
from featrack_utils.matching.token_correlation import string_correlations
from featrack_utils.statistics.bootstrap import LOWEST, MARGIN, Draws, bootstrap
from featrack_utils.statistics.floors import document_shift
from featrack_utils.statistics.intervals import Shares, shares
from featrack_utils.statistics.simex import without_noise
from featrack_utils.statistics.stringdraws import exceeded

_ROWS = 4096  # positions decoded and encoded at once


class Strings(NamedTuple):
    """What definition (a) finds of a parent's features in another dictionary."""

    share: float | None  # None: no candidate, so not defined
    shared: float | None  # median number of token strings behind the best r
    drawn: Shares | None  # the share with its replicates, where weights were given


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


def shifted(features: Features) -> Features:
    """The same features, answering to the documents half a domain further on: see `floors`."""
    return features._replace(acts=features.acts[document_shift(features)])


def shares_found(
    parent: Features,
    child: Features,
    tau: float,
    draws: Draws,
    masks: tuple[np.ndarray, np.ndarray] | None = None,
) -> Shares | None:
    """Share of the parent's features whose best r in the child exceeds τ, with its replicates.

    `masks` are the eligible features, bool [d_sae] each (default: all). None if a dictionary has
    no feature that is eligible and ever fires.
    """
    able = masks or tuple(np.ones(side.acts.shape[1], bool) for side in (parent, child))
    for side, mask in zip((parent, child), able, strict=True):
        if not (mask & (side.acts.getnnz(axis=0) > 0)).any():
            return None
    return shares(bootstrap(parent, child, *able, draws, [tau])[0])


def share_found(
    parent: Features,
    child: Features,
    tau: float,
    masks: tuple[np.ndarray, np.ndarray] | None = None,
) -> float | None:
    """The share of `shares_found` without its replicates; None without any candidate."""
    best = correlations(parent.acts, child.acts, floor=0.99, **_able(masks))
    return _share(best, tau)


def found_by_strings(
    parent: Features,
    child: Features,
    tau: float,
    masks: tuple[np.ndarray, np.ndarray] | None = None,
    weights: np.ndarray | None = None,
) -> Strings:
    """The same share by definition (a), where two shared strings are enough.

    `weights` float64 [n_replicates, n_documents], from `stringdraws.dirichlet`, give replicates:
    the documents are weighed anew rather than drawn, so that none is left out and every text
    holds the same strings; the features are matched anew under each.
    """
    floor = 0.99 if weights is None else max(tau - MARGIN, LOWEST)
    found = string_correlations(parent.acts, child.acts, parent.tokens, floor=floor, **_able(masks))
    asked, share = found.best.a_candidates, _share(found.best, tau)
    if share is None:
        return Strings(None, None, None)
    drawn = None
    if weights is not None:
        reads = (parent.acts, child.acts, parent.tokens, parent.origin)
        once, twice = exceeded(*reads, weights, found, tau)[:, asked]
        replicates = without_noise(share, once, twice)
        drawn = Shares(np.array([tau]), np.array([share]), replicates[:, None])
    return Strings(share, float(np.median(found.a_shared[asked])), drawn)


def _able(masks: tuple[np.ndarray, np.ndarray] | None) -> dict[str, np.ndarray]:
    return dict(zip(("eligible_a", "eligible_b"), masks, strict=True)) if masks else {}


def _share(best: BestMatches, tau: float) -> float | None:
    if not best.a_candidates.any():
        return None
    return float((best.a_best_r[best.a_candidates] > tau).mean())

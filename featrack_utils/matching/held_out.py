"""r of each feature with its best match, chosen on some documents and measured on others."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import sparse

from featrack_utils.dictionaries.features import Features
from featrack_utils.matching.correlation import correlations


class HeldOut(NamedTuple):
    """Matches chosen on one half of the text, with r on the other; NaN: no match."""

    index: Int[np.ndarray, " d_a"]  # feature of b; −1: none
    r: Float[np.ndarray, "n_weightings d_a"]


def halves(features: Features, seed: int) -> Bool[np.ndarray, " n_tokens"]:
    """Which positions belong to one half of each domain's groups of documents, drawn at random."""
    rng = np.random.default_rng(seed)
    group = features.origin if features.group is None else features.group
    chosen = np.zeros(int(group.max()) + 1, bool)
    for domain in np.unique(features.domain):
        here = rng.permutation(np.unique(group[features.domain == domain]))
        chosen[here[: here.size // 2]] = True
    return chosen[group]


def held_out(
    a: Features,
    b: Features,
    eligible_a: Bool[np.ndarray, " d_a"],
    eligible_b: Bool[np.ndarray, " d_b"],
    choosing: Bool[np.ndarray, " n_tokens"],
    weights: Float[np.ndarray, "n_weightings n_documents"],
) -> HeldOut:
    """Best matches of a's features, chosen where `choosing` holds, and their r everywhere else.

    The largest of two thousand correlations is too large by chance. On text that took no part in
    the choice it isn't. Each row of `weights` weighs the documents: ones for r as it is, a draw's
    counts for a replicate.
    """
    masks = {"eligible_a": eligible_a, "eligible_b": eligible_b}
    index = correlations(a.acts[choosing], b.acts[choosing], **masks).a_best_index
    r = np.full((len(weights), index.size), np.nan)
    has = index >= 0
    rest = ~choosing
    x, y = a.acts[rest][:, has], b.acts[rest][:, index[has]]
    r[:, has] = paired_r(x, y, a.origin[rest], weights)
    return HeldOut(index, r)


def paired_r(
    x: sparse.csr_matrix,
    y: sparse.csr_matrix,
    document: Int[np.ndarray, " n_tokens"],
    weights: Float[np.ndarray, "n_weightings n_documents"],
) -> Float[np.ndarray, "n_weightings n_pairs"]:
    """Pearson's r of each column of x with the same column of y, [n_tokens, n_pairs].

    NaN where a column is constant under a weighting.
    """
    x, y = x.astype(np.float64), y.astype(np.float64)
    ones = np.ones(document.size), (document, np.arange(document.size))
    members = sparse.csr_matrix(ones, shape=(weights.shape[1], document.size))

    def total(each: sparse.csr_matrix) -> np.ndarray:
        return weights @ (members @ each).toarray()

    n = weights @ members.sum(axis=1).A1[:, None]
    sx, sy = total(x), total(y)
    sxx, syy, sxy = total(x.multiply(x)), total(y.multiply(y)), total(x.multiply(y))
    spread_x, spread_y = n * sxx - sx**2, n * syy - sy**2
    constant = (spread_x <= 1e-8 * n * sxx) | (spread_y <= 1e-8 * n * syy)
    return (n * sxy - sx * sy) / np.sqrt(np.where(constant, np.nan, spread_x * spread_y))

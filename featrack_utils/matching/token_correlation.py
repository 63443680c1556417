"""Correlation over token strings, as the published code has it (`book/method.md`, token strings).

Each feature is described by its mean activation on each token string, over the positions where it
is active; two features correlate over the strings on which both were ever active. With few shared
strings a large r means little, and with two it is ±1 always, so the number of shared strings
stands beside every r.
"""

import numpy as np
from numba import njit
from scipy import sparse

from featrack_utils.matching.correlation import (
    BestMatches,
    Pairs,
    arrays,
    checked,
    members,
    same_positions,
    shared_out,
)

_LEAST = 2  # shared strings that have an r at all: two points lie on a line, so it is ±1
# Strings on which a feature varies by less than this share of its overall spread are constant.
_CONSTANT = 1e-10


def string_correlations(
    a: sparse.csr_matrix,
    b: sparse.csr_matrix,
    tokens: np.ndarray,
    *,
    floor: float = 0.3,
    eligible_a: np.ndarray | None = None,
    eligible_b: np.ndarray | None = None,
) -> tuple[BestMatches, np.ndarray]:
    """Best matches by r over token strings, both ways, and the pairs with r ≥ `floor`.

    Beside them the number of strings that each feature of a shares with its best match, int32
    [d_a]; 0: no match.

    `a` [n_tokens, d_a] and `b` [n_tokens, d_b] are CSR, `tokens` int [n_tokens] the token ids
    at the same positions, one id per string. A pair that shares fewer than two strings, or on
    whose shared strings one feature is constant, has no r and doesn't match. Candidates are
    eligible features active on two strings or more. Equal r go to the lowest index: with two
    shared strings many are equal, and many pairs exceed any floor. Holds r and the number of
    shared strings as matrices [d_a, d_b], 3.2 GB at 16,384 features each.

    Raises:
        FeatrackError: different positions.
    """
    a, b = checked(a), checked(b)
    same_positions(a, b)
    means_a, means_b = string_means(a, tokens), string_means(b, tokens)
    able_a, able_b = (np.diff(means.indptr) >= _LEAST for means in (means_a, means_b))
    able_a &= True if eligible_a is None else eligible_a
    able_b &= True if eligible_b is None else eligible_b
    columns = _centred(means_a)
    r = np.full((a.shape[1], b.shape[1]), -np.inf)
    shared = np.zeros(r.shape, np.int32)
    strings = (arrays(columns), arrays(_centred(means_b).tocsr()), r, shared)
    shared_out(_shared_r, np.diff(columns.indptr), np.flatnonzero(able_a), None, *strings)
    r[:, ~able_b] = -np.inf
    i, j = (side.astype(np.int32) for side in np.nonzero(r >= floor))
    pairs = Pairs(i, j, np.minimum(r[i, j], 1))
    best = BestMatches(*_best(r), *_best(r.T), able_a, able_b, pairs, floor)
    behind = shared[np.arange(a.shape[1]), best.a_best_index]
    return best, np.where(best.a_best_index >= 0, behind, 0)


def _best(r: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """r and index of the best in each row; 0 and −1 where there is none."""
    best = r.max(axis=1)
    has = np.isfinite(best)
    index = np.where(has, r.argmax(axis=1), -1).astype(np.int32)
    return np.where(has, np.clip(best, -1, 1), 0.0), index


def string_means(acts: sparse.csr_matrix, tokens: np.ndarray) -> sparse.csc_matrix:
    """Mean activation of each feature on each token string where active; CSC [vocab, d_sae].

    `acts` [n_tokens, d_sae] non-negative, `tokens` int [n_tokens]. An entry is stored only for
    strings on which the feature is active at least once.
    """
    acts = acts.astype(np.float64)
    acts.eliminate_zeros()
    active = sparse.csr_matrix((np.ones(acts.nnz), acts.indices, acts.indptr), shape=acts.shape)
    has = members(tokens, int(tokens.max()) + 1)
    total, count = (has @ acts).tocsc(), (has @ active).tocsc()
    total.sort_indices()
    count.sort_indices()
    total.data /= count.data
    return total


def _centred(means: sparse.csc_matrix) -> sparse.csc_matrix:
    """Each feature's means less their mean, which no r notices and which saves digits."""
    columns = np.repeat(np.arange(means.shape[1]), np.diff(means.indptr))
    n = np.maximum(np.diff(means.indptr), 1)
    middle = np.bincount(columns, weights=means.data, minlength=means.shape[1]) / n
    centred = means.copy()
    centred.data -= middle[columns]
    return centred


@njit(nogil=True, cache=True)
def _shared_r(rows, a, b, r, shared):
    """Fill `r[i]` and `shared[i]` for features i of `rows`: a by columns, b by strings."""
    width = r.shape[1]
    sums = np.empty((width, 6))
    for k in range(rows.shape[0]):
        i = rows[k]
        sums[:] = 0.0
        for p in range(a[0][i], a[0][i + np.uint64(1)]):
            x = a[2][p]
            for q in range(b[0][a[1][p]], b[0][a[1][p] + np.uint64(1)]):
                y, held = b[2][q], sums[b[1][q]]
                held[0] += 1.0
                held[1] += x
                held[2] += x * x
                held[3] += y
                held[4] += y * y
                held[5] += x * y
        for j in range(width):
            n, sx, sxx, sy, syy, sxy = sums[j]
            shared[i, j] = n
            vx, vy = n * sxx - sx * sx, n * syy - sy * sy
            if n >= _LEAST and vx > _CONSTANT * n * sxx and vy > _CONSTANT * n * syy:
                # Rounded, so that ties are ties.
                r[i, j] = round((n * sxy - sx * sy) / np.sqrt(vx * vy), 12)

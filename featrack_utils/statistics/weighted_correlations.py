"""r of pairs of features under any weighting of the documents.

A bootstrap replicate is a weighted sum of each document's n, Σx, Σx², Σy, Σy² and Σxy, with
the document's number of draws as its weight. Σxy is formed for one candidate pair at a time
and goes through all replicates at once, so that nothing of size pairs × documents is kept.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numba import njit
from scipy import sparse

from featrack_utils.matching.correlation import CONSTANT, members


class Weighted(NamedTuple):
    """One dictionary's activations by columns, and their scale in every replicate."""

    ptr: np.ndarray  # int [d_sae + 1], where each feature begins
    row: np.ndarray  # int32 [n_active], token position
    value: np.ndarray  # float32 [n_active]
    mean: np.ndarray  # float64 [d_sae, R], Σx / √(n Σx² − (Σx)²)
    scale: np.ndarray  # float64 [d_sae, R], 1 / √(n Σx² − (Σx)²); 0: constant or dead


class BestDrawn(NamedTuple):
    """Best r of each feature in every replicate, both ways, and with which feature."""

    r_a: np.ndarray  # float32 [d_a, R], −1 if no pair was looked at
    index_a: np.ndarray  # int32 [d_a, R], feature of b; −1: none
    r_b: np.ndarray  # float32 [d_b, R]
    index_b: np.ndarray  # int32 [d_b, R], feature of a; −1: none


@njit(nogil=True, cache=True)
def _update_best(pair_i, pair_j, a, b, document, weights, n, best_a, which_a, best_b, which_b):
    """Raise the best of both features of each pair to the pair's r, in every replicate."""
    a_ptr, a_row, a_value, a_mean, a_scale = a
    b_ptr, b_row, b_value, b_mean, b_scale = b
    column = np.zeros(document.size)  # of the feature i at hand
    by_document = np.zeros(weights.shape[0])
    total = np.empty(weights.shape[1])
    last = -1
    for k in range(pair_i.size):
        i, j = pair_i[k], pair_j[k]
        if i != last:
            if last >= 0:
                for p in range(a_ptr[last], a_ptr[last + 1]):
                    column[a_row[p]] = 0.0
            for p in range(a_ptr[i], a_ptr[i + 1]):
                column[a_row[p]] = a_value[p]
            last = i
        for q in range(b_ptr[j], b_ptr[j + 1]):
            x = column[b_row[q]]
            if x != 0.0:
                by_document[document[b_row[q]]] += x * b_value[q]
        total[:] = 0.0
        for d in range(by_document.size):
            product = by_document[d]
            if product != 0.0:
                by_document[d] = 0.0
                for w in range(total.size):
                    total[w] += product * weights[d, w]
        for w in range(total.size):
            # A feature that no drawn document activates has scale 0 and so r = 0.
            r = n[w] * total[w] * a_scale[i, w] * b_scale[j, w] - a_mean[i, w] * b_mean[j, w]
            if r > best_a[i, w]:
                best_a[i, w], which_a[i, w] = r, j
            if r > best_b[j, w]:
                best_b[j, w], which_b[j, w] = r, i


def weigh(acts: sparse.csr_matrix, document: np.ndarray, draws: np.ndarray) -> Weighted:
    """Activations by columns, with their weighted moments in every replicate.

    `acts` [n_tokens, d_sae] holds each entry once; `document` int [n_tokens]; `draws` float64
    [R, n_documents], how often each replicate drew each document.
    """
    to_documents = members(document, draws.shape[1])
    values = sparse.csr_array(acts, dtype=np.float64)
    n = draws @ np.bincount(document, minlength=draws.shape[1])
    sums, squares = ((draws @ (to_documents @ part)).T for part in (values, values.power(2)))
    spread = n * squares - sums**2
    varies = spread > CONSTANT * n * squares
    scale = np.zeros(spread.shape)
    scale[varies] = 1 / np.sqrt(spread[varies])
    columns = acts.tocsc()
    return Weighted(columns.indptr, columns.indices, columns.data, sums * scale, scale)


def best_drawn(
    a: Weighted,
    b: Weighted,
    pairs: tuple[np.ndarray, np.ndarray],
    document: np.ndarray,
    draws: np.ndarray,
) -> BestDrawn:
    """Best r among the `pairs` (i, j) in every replicate.

    A feature that is constant or dead in a replicate has r = 0 there. Both sides must be
    weighed by the same `draws`.
    """
    shapes = (a.mean.shape, b.mean.shape)
    best = BestDrawn(*(np.full(s, -1, kind) for s in shapes for kind in (np.float32, np.int32)))
    weights = np.ascontiguousarray(draws.T)
    n = draws @ np.bincount(document, minlength=draws.shape[1])
    # The denser feature of a pair is laid out once and the sparser one looked up in it.
    active_a, active_b = (np.diff(side.ptr) for side in (a, b))
    i, j = pairs
    denser = active_a[i] >= active_b[j]
    for some, first in ((denser, True), (~denser, False)):
        order = np.flatnonzero(some)
        order = order[np.argsort((i if first else j)[order], kind="stable")]
        if first:
            _update_best(i[order], j[order], tuple(a), tuple(b), document, weights, n, *best)
        else:
            turned = (best.r_b, best.index_b, best.r_a, best.index_a)
            _update_best(j[order], i[order], tuple(b), tuple(a), document, weights, n, *turned)
    return best


def paired_r(
    x: sparse.csr_matrix,
    y: sparse.csr_matrix,
    document: Int[np.ndarray, " n_tokens"],
    weights: Float[np.ndarray, "n_weightings n_documents"],
) -> Float[np.ndarray, "n_weightings n_pairs"]:
    """r of each column of x with the same column of y, [n_tokens, n_pairs].

    NaN where a column is constant under a weighting.
    """
    x, y = x.astype(np.float64), y.astype(np.float64)
    to_documents = members(document, weights.shape[1])

    def total(each: sparse.csr_matrix) -> np.ndarray:
        return weights @ (to_documents @ each).toarray()

    n = weights @ np.bincount(document, minlength=weights.shape[1])[:, None]
    sx, sy = total(x), total(y)
    sxx, syy, sxy = total(x.multiply(x)), total(y.multiply(y)), total(x.multiply(y))
    spread_x, spread_y = n * sxx - sx**2, n * syy - sy**2
    constant = (spread_x <= CONSTANT * n * sxx) | (spread_y <= CONSTANT * n * syy)
    return (n * sxy - sx * sy) / np.sqrt(np.where(constant, np.nan, spread_x * spread_y))

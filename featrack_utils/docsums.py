"""Sums of each document, from which r is formed under any weighting of the documents.

The activations are read once; a bootstrap replicate is then a weighted sum of n, Σx, Σx²,
Σy, Σy² and, for candidate pairs, Σxy, with the document's number of draws as its weight.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from scipy import sparse

from featrack_utils.features import Features
from featrack_utils.sums import CONSTANT


class DocumentSums(NamedTuple):
    """Sufficient statistics of one comparison, document by document."""

    n: np.ndarray  # float64 [n_documents], token positions
    x: sparse.csr_matrix  # float64 [n_documents, d_a], and so on
    xx: sparse.csr_matrix
    y: sparse.csr_matrix
    yy: sparse.csr_matrix
    i: np.ndarray  # int32 [n_pairs], feature of a
    j: np.ndarray  # int32 [n_pairs], feature of b
    xy: sparse.csr_matrix  # float64 [n_pairs, n_documents]


@njit(nogil=True, cache=True)
def _products(pair_i, pair_j, a_ptr, a_row, a_val, b_ptr, b_row, b_val, document):
    """Σxy of each pair and document, as CSR parts; rows come in the order of documents."""
    ptr = np.zeros(pair_i.size + 1, np.int64)
    where, values = np.empty(1024, np.int32), np.empty(1024, np.float64)
    count = 0
    for k in range(pair_i.size):
        p, p_end = a_ptr[pair_i[k]], a_ptr[pair_i[k] + 1]
        q, q_end = b_ptr[pair_j[k]], b_ptr[pair_j[k] + 1]
        last = -1
        while p < p_end and q < q_end:
            if a_row[p] < b_row[q]:
                p += 1
            elif a_row[p] > b_row[q]:
                q += 1
            else:
                d = document[a_row[p]]
                if d != last:
                    if count == where.size:
                        where = np.append(where, np.empty_like(where))
                        values = np.append(values, np.empty_like(values))
                    where[count], values[count] = d, 0.0
                    count, last = count + 1, d
                values[count - 1] += np.float64(a_val[p]) * b_val[q]
                p, q = p + 1, q + 1
        ptr[k + 1] = count
    return ptr, where[:count], values[:count]


@njit(nogil=True, cache=True)
def _best(pair_i, pair_j, ptr, where, values, weights, n, x, vx, y, vy, best_a, best_b):
    """Fold each pair's r in every replicate into the best of both its features."""
    total = np.empty(weights.shape[1])
    for k in range(pair_i.size):
        total[:] = 0.0
        for p in range(ptr[k], ptr[k + 1]):
            total += values[p] * weights[where[p]]
        i, j = pair_i[k], pair_j[k]
        for w in range(total.size):
            spread = vx[i, w] * vy[j, w]
            if spread > 0.0:  # a feature that no drawn document activates matches nothing
                r = (n[w] * total[w] - x[i, w] * y[j, w]) / np.sqrt(spread)
                best_a[i, w] = max(best_a[i, w], r)
                best_b[j, w] = max(best_b[j, w], r)


def document_sums(a: Features, b: Features, i: np.ndarray, j: np.ndarray) -> DocumentSums:
    """Per-document sums of all features and of the pairs (i, j), in float64."""
    order = np.argsort(a.origin, kind="stable")
    document = a.origin[order]
    n_documents = int(document[-1]) + 1
    member = sparse.csr_matrix(
        (np.ones(order.size), (document, np.arange(order.size))), shape=(n_documents, order.size)
    )
    sums, columns = [], []
    for acts in (a.acts, b.acts):
        acts = acts[order].astype(np.float64)
        sums += [(member @ acts).tocsr(), (member @ acts.multiply(acts)).tocsr()]
        by_column = acts.tocsc()
        by_column.sort_indices()
        columns += [by_column.indptr, by_column.indices, by_column.data]
    ptr, where, values = _products(i, j, *columns, document)
    xy = sparse.csr_matrix((values, where, ptr), shape=(i.size, n_documents))
    n = np.bincount(document, minlength=n_documents).astype(np.float64)
    return DocumentSums(n, *sums, i, j, xy)


def replicate_best(sums: DocumentSums, documents: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Best r of each feature, both ways, in each replicate: float32 [d_a, R] and [d_b, R].

    −1 where no candidate pair is left. `documents` are weights [R, n_documents].
    """
    weights = np.ascontiguousarray(documents.T)
    n = documents @ sums.n
    x, xx, y, yy = (part.T @ weights for part in (sums.x, sums.xx, sums.y, sums.yy))
    best = [np.full(part.shape, -1, np.float32) for part in (x, y)]
    spreads = []
    for linear, square in ((x, xx), (y, yy)):
        spread = n * square - linear**2
        spread[spread <= CONSTANT * n * square] = 0.0
        spreads.append(spread)
    xy = sums.xy
    _best(
        sums.i, sums.j, xy.indptr, xy.indices, xy.data, weights, n,
        x, spreads[0], y, spreads[1], *best,
    )  # fmt: skip
    return best[0], best[1]

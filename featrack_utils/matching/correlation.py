"""Pearson correlations between the features of two dictionaries, over all token positions.

r counts every position, zeros included (`book/method.md`, when two features are one), from float64
sums. The features stay sparse, and the matches are found row by row, so no feature × feature matrix
is ever held.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from featrack_utils.matching.kernels import match_rows
from featrack_utils.matching.sums import (
    BestMatches,
    Pairs,
    arrays,
    check_correlation,
    checked,
    column_sums,
    gathered,
    inverse_scale,
    same_positions,
    shared_out,
    thread_count,
)

__all__ = ["BestMatches", "Copies", "Pairs", "copies", "correlations"]


class Copies(NamedTuple):
    """Features that repeat another feature of their own dictionary (`book/method.md`, copies)."""

    best_r: np.ndarray  # float64 [d_sae], with another feature; 0.0 if there is none
    best_index: np.ndarray  # int32 [d_sae], −1 if there is none
    is_copy: np.ndarray  # bool [d_sae], best_r > tau
    group: np.ndarray  # int32 [d_sae], connected copies share a number; −1: not a candidate
    share: float | None  # copies / candidates; None: no candidate, so not defined


def correlations(
    a: sparse.csr_matrix,
    b: sparse.csr_matrix,
    *,
    floor: float = 0.3,
    eligible_a: np.ndarray | None = None,
    eligible_b: np.ndarray | None = None,
    threads: int | None = None,
) -> BestMatches:
    """Best matches between two dictionaries' activations on the same token positions.

    `a` [n_tokens, d_a] and `b` [n_tokens, d_b] are CSR, float32; `eligible_*` are bool [d_*]
    and default to all features; `threads` defaults to numba's thread count. `pairs` of the
    result holds r ≥ `floor`. Exact to 1e-6.

    Raises:
        FeatrackError: different positions, non-finite values, a mask of the wrong length, or a
            floor outside (0, 1).
    """
    a, b = checked(a, "a"), checked(b, "b")
    same_positions(a, b)
    check_correlation(floor, "floor")
    return _matched(a, b, floor, (eligible_a, eligible_b), threads, skip_diagonal=False)


def copies(
    acts: sparse.csr_matrix,
    tau: float,
    *,
    eligible: np.ndarray | None = None,
    threads: int | None = None,
) -> Copies:
    """Features of one dictionary whose best r with another of its features exceeds `tau`.

    `acts` [n_tokens, d_sae] is CSR, `eligible` bool [d_sae]. Groups are the connected
    components of the graph of pairs with r > `tau`; a feature without a copy is a group of
    one.

    Raises:
        FeatrackError: `tau` outside (0, 1), non-finite values, or a mask of the wrong length.
    """
    acts = checked(acts, "acts")
    check_correlation(tau, "tau")
    best = _matched(acts, acts, tau, (eligible, eligible), threads, skip_diagonal=True)
    above = best.pairs.r > tau
    edges = (np.ones(above.sum(), np.int8), (best.pairs.i[above], best.pairs.j[above]))
    graph = sparse.coo_matrix(edges, shape=(acts.shape[1], acts.shape[1]))
    _, component = connected_components(graph, directed=False)
    candidates = best.a_candidates
    group = np.full(acts.shape[1], -1, np.int32)
    group[candidates] = np.unique(component[candidates], return_inverse=True)[1]
    is_copy = best.a_best_r > tau
    share = float(is_copy.sum() / candidates.sum()) if candidates.any() else None
    return Copies(best.a_best_r, best.a_best_index, is_copy, group, share)


def _matched(
    a: sparse.csr_matrix,
    b: sparse.csr_matrix,
    floor: float,
    eligible: tuple[np.ndarray | None, np.ndarray | None],
    threads: int | None,
    *,
    skip_diagonal: bool,
) -> BestMatches:
    n = a.shape[0]
    with ThreadPoolExecutor(min(2, thread_count(threads))) as pool:
        # The slowest of what the matching waits for, and it leaves the interpreter free.
        turned = pool.submit(a.tocsc)
        sums_a, sums_b = pool.map(column_sums, (a, b))
        columns = turned.result()
    scale_a = inverse_scale(sums_a, n, eligible[0], "eligible_a")
    scale_b = inverse_scale(sums_b, n, eligible[1], "eligible_b")
    rows = np.flatnonzero(np.isfinite(scale_a))
    work = np.diff(columns.indptr)
    sums = (sums_a.x / n, scale_a, sums_b.x, scale_b)
    args = (np.empty((0, 0)), arrays(columns), arrays(b), *sums, floor, skip_diagonal)
    found = shared_out(match_rows, work, rows, threads, *args)
    return gathered(found, scale_a, scale_b, floor)

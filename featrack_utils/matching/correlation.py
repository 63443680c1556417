"""Pearson correlations between the features of two dictionaries, over all token positions.

Definition (b) of METHOD.md §4: r over every position, zeros included, from float64 sums. The
features stay sparse, and `correlations` finds the matches row by row, so no feature × feature
matrix is ever held. Where the tokens come in shards, from other processes or machines,
`Moments` keeps the sums, which add up in any order.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from featrack_utils.errors import FeatrackError
from featrack_utils.matching.kernels import add_products, match_rows
from featrack_utils.matching.sums import (
    BestMatches,
    Pairs,
    Sums,
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

__all__ = ["BestMatches", "Copies", "Moments", "Pairs", "copies", "correlations"]


class Copies(NamedTuple):
    """Features that repeat another feature of their own dictionary (METHOD.md §5)."""

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
    result holds r ≥ `floor`. Definition (b) of METHOD.md §4, exact to 1e-6.

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
    one. METHOD.md §5.

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


@dataclass
class Moments:
    """n, Σx, Σx², Σy, Σy² and Σxy of two dictionaries, from shards of token positions.

    All sums are float64; Σxy is [d_a, d_b], 2.1 GB at 16,384 features each. Two `Moments` of
    the same dictionaries add up with `+`.
    """

    n: int
    a: Sums
    b: Sums
    products: np.ndarray  # float64 [d_a, d_b]

    @classmethod
    def empty(cls, d_a: int, d_b: int) -> "Moments":
        """No position seen yet, for dictionaries of `d_a` and `d_b` features."""
        a, b = (Sums(np.zeros(d), np.zeros(d)) for d in (d_a, d_b))
        return cls(0, a, b, np.zeros((d_a, d_b)))

    def accumulate(
        self, a: sparse.csr_matrix, b: sparse.csr_matrix, *, threads: int | None = None
    ) -> None:
        """Add a shard: `a` [n_shard, d_a] and `b` [n_shard, d_b], CSR, the same positions.

        Raises:
            FeatrackError: different positions, other feature counts, or non-finite values.
        """
        a, b = checked(a, "a"), checked(b, "b")
        same_positions(a, b)
        if (a.shape[1], b.shape[1]) != self.products.shape:
            raise FeatrackError(
                f"the shard has {a.shape[1]} and {b.shape[1]} features and these moments "
                f"{self.products.shape[0]} and {self.products.shape[1]}: use the same SAEs."
            )
        columns = a.tocsc()
        work = np.diff(columns.indptr)
        rows = np.flatnonzero(work)
        args = (arrays(columns), arrays(b), self.products)
        shared_out(add_products, work, rows, threads, *args)
        self.n += a.shape[0]
        for mine, new in ((self.a, column_sums(a)), (self.b, column_sums(b))):
            mine.x[:] += new.x
            mine.xx[:] += new.xx

    def __add__(self, other: "Moments") -> "Moments":
        if self.products.shape != other.products.shape:
            raise FeatrackError(
                f"moments of {self.products.shape} and {other.products.shape} features don't "
                "add up: accumulate shards of the same two SAEs."
            )
        a, b = (Sums(p.x + q.x, p.xx + q.xx) for p, q in ((self.a, other.a), (self.b, other.b)))
        return Moments(self.n + other.n, a, b, self.products + other.products)

    def matches(
        self,
        *,
        floor: float = 0.3,
        eligible_a: np.ndarray | None = None,
        eligible_b: np.ndarray | None = None,
        threads: int | None = None,
    ) -> BestMatches:
        """What `correlations` gives for all the shards together.

        Raises:
            FeatrackError: no shard yet, a floor outside (0, 1), or a mask of the wrong length.
        """
        if self.n == 0:
            raise FeatrackError("these moments have seen no position: accumulate a shard first.")
        check_correlation(floor, "floor")
        scale_a = inverse_scale(self.a, self.n, eligible_a, "eligible_a")
        scale_b = inverse_scale(self.b, self.n, eligible_b, "eligible_b")
        rows = np.flatnonzero(np.isfinite(scale_a))
        work = np.ones(scale_a.size)
        nothing = arrays(sparse.csr_matrix((0, 0), dtype=np.float32))
        sums = (self.a.x / self.n, scale_a, self.b.x, scale_b)
        args = (self.products, nothing, nothing, *sums, floor, False)
        found = shared_out(match_rows, work, rows, threads, *args)
        return gathered(found, scale_a, scale_b, floor)

    def save(self, path: Path) -> None:
        """Write the sums to a safetensors file, whole or not at all."""
        sums = {"a_x": self.a.x, "a_xx": self.a.xx, "b_x": self.b.x, "b_xx": self.b.xx}
        partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
        save_file({"n": np.array([self.n]), "products": self.products, **sums}, partial)
        os.replace(partial, path)

    @classmethod
    def load(cls, path: Path) -> "Moments":
        """Read what `save` wrote.

        Raises:
            FeatrackError: the file is missing, damaged, or something else.
        """
        try:
            held = load_file(path)
            a, b = (Sums(held[f"{s}_x"], held[f"{s}_xx"]) for s in "ab")
            moments = cls(int(held["n"][0]), a, b, held["products"])
        except (OSError, SafetensorError, KeyError) as error:
            raise FeatrackError(
                f"{path} holds no moments of two dictionaries ({error}): accumulate them again."
            ) from error
        if moments.products.shape != (moments.a.x.size, moments.b.x.size):
            raise FeatrackError(f"{path} is inconsistent in shape: accumulate its moments again.")
        return moments


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

"""What the correlations over positions and over token strings share: types, checks, threads."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numba
import numpy as np
from scipy import sparse

from featrack_utils.errors import FeatrackError
from featrack_utils.matching.kernels import add_sums

# A feature whose variance is below this share of its mean square (a coefficient of variation
# under 1e-4) counts as constant: its r would be little more than its sums' rounding error.
CONSTANT = 1e-8


class Pairs(NamedTuple):
    """Pairs of features with r ≥ a floor, sorted by i, then by j."""

    i: np.ndarray  # int32 [n_pairs], feature of a
    j: np.ndarray  # int32 [n_pairs], feature of b
    r: np.ndarray  # float64 [n_pairs]


class BestMatches(NamedTuple):
    """Best match of each feature, both ways, and all pairs above the floor.

    A *candidate* is a feature that is eligible and neither dead nor constant. One that isn't,
    or that finds no candidate on the other side, has index −1 and r 0.0. Ties go to the lowest
    index. A best r is negative only where no candidate correlates positively.
    """

    a_best_r: np.ndarray  # float64 [d_a]
    a_best_index: np.ndarray  # int32 [d_a], feature of b
    b_best_r: np.ndarray  # float64 [d_b]
    b_best_index: np.ndarray  # int32 [d_b], feature of a
    a_candidates: np.ndarray  # bool [d_a]
    b_candidates: np.ndarray  # bool [d_b]
    pairs: Pairs
    floor: float


class Sums(NamedTuple):
    """Sums over token positions, one per feature."""

    x: np.ndarray  # float64 [d_sae]
    xx: np.ndarray  # float64 [d_sae]


def checked(acts: sparse.csr_matrix, name: str) -> sparse.csr_matrix:
    """The same activations as CSR with each entry stored once and in order."""
    if not sparse.issparse(acts) or acts.ndim != 2:
        raise FeatrackError(f"{name} must be a sparse matrix [n_tokens, d_sae]: pass a CSR matrix.")
    acts = acts.tocsr()
    if 0 in acts.shape:
        raise FeatrackError(f"{name} has shape {acts.shape}: give at least one token and feature.")
    if not np.isfinite(acts.data).all():
        raise FeatrackError(f"{name} holds NaN or infinity: encode its activations again.")
    if not acts.has_canonical_format:
        acts = acts.copy()
        acts.sum_duplicates()
    return acts


def same_positions(a: sparse.csr_matrix, b: sparse.csr_matrix) -> None:
    """Refuse activations that can't be of the same token positions."""
    if a.shape[0] != b.shape[0]:
        raise FeatrackError(
            f"a has {a.shape[0]} token positions and b has {b.shape[0]}: "
            "encode the same token stream with both models."
        )


def check_correlation(value: float, name: str) -> None:
    """Refuse a correlation threshold that isn't strictly between 0 and 1."""
    if not 0 < value < 1:
        raise FeatrackError(f"{name} is {value}: give a correlation between 0 and 1, such as 0.8.")


def column_sums(acts: sparse.csr_matrix) -> Sums:
    """Σx and Σx² of each feature over the positions, in float64."""
    sums = Sums(np.zeros(acts.shape[1]), np.zeros(acts.shape[1]))
    _, index, value = arrays(acts)
    add_sums(index, value, sums.x, sums.xx)
    return sums


def inverse_scale(sums: Sums, n: int, eligible: np.ndarray | None, name: str) -> np.ndarray:
    """1 / √(Σx² − (Σx)²/n) for candidates, NaN for the others; float64 [d_sae]."""
    spread = sums.xx - sums.x**2 / n
    candidate = spread > CONSTANT * sums.xx
    if eligible is not None:
        if eligible.shape != candidate.shape or eligible.dtype != bool:
            raise FeatrackError(
                f"{name} has shape {eligible.shape} and type {eligible.dtype}: "
                f"give one bool for each of the {candidate.size} features."
            )
        candidate &= eligible
    scale = np.full(candidate.shape, np.nan)
    scale[candidate] = 1 / np.sqrt(spread[candidate])
    return scale


def arrays(matrix: sparse.csr_matrix | sparse.csc_matrix) -> tuple[np.ndarray, ...]:
    """(pointers, indices, values) of a sparse matrix as the kernels take them."""
    # An unsigned index spares the compiled loops their test for counting from the end.
    unsigned = np.dtype(f"u{matrix.indices.dtype.itemsize}")
    return matrix.indptr.astype(np.uint64), matrix.indices.view(unsigned), matrix.data


def thread_count(threads: int | None) -> int:
    """`threads`, or as many as numba may use; raises FeatrackError below 1."""
    # Not numba.get_num_threads(), which starts numba's own threads: PyTorch beside them computes
    # at a fifth of its speed for the rest of the process.
    threads = numba.config.NUMBA_NUM_THREADS if threads is None else threads
    if threads < 1:
        raise FeatrackError(f"threads is {threads}: give at least 1.")
    return threads


def shared_out(
    kernel: Callable, work: np.ndarray, rows: np.ndarray, threads: int | None, *args: object
) -> list[tuple[np.ndarray, object]]:
    """(part, kernel(part, *args)) for parts of `rows` of like `work`, on that many threads."""
    threads = thread_count(threads)
    heaviest_first = rows[np.argsort(-work[rows], kind="stable")]
    # More parts than threads, so that a thread that other programs slow down gets fewer.
    n_parts = max(1, min(len(rows), 8 * threads))
    parts = [np.sort(heaviest_first[k::n_parts]).astype(np.uint32) for k in range(n_parts)]
    with ThreadPoolExecutor(threads) as pool:
        return list(zip(parts, pool.map(lambda part: kernel(part, *args), parts), strict=True))


def gathered(found: list, scale_a: np.ndarray, scale_b: np.ndarray, floor: float) -> BestMatches:
    """The parts' best matches and pairs as one, the same however the rows were shared out."""
    a_r, a_j = np.zeros(scale_a.size), np.full(scale_a.size, -1, np.int32)
    for rows, part in found:
        a_r[rows], a_j[rows] = part[0], part[1]
    b_r = np.max([part[2] for _, part in found], axis=0)
    b_i = np.full(scale_b.size, np.iinfo(np.int32).max, np.int32)
    for _, part in found:
        tied = (part[2] == b_r) & (part[3] >= 0)
        b_i[tied] = np.minimum(b_i[tied], part[3][tied])
    a_j[~np.isfinite(a_r)] = -1
    b_i[~np.isfinite(b_r)] = -1
    i, j, r = (np.concatenate([part[k] for _, part in found]) for k in (4, 5, 6))
    order = np.lexsort((j, i))
    return BestMatches(
        a_best_r=_bounded(a_r),
        a_best_index=a_j,
        b_best_r=_bounded(b_r),
        b_best_index=b_i,
        a_candidates=np.isfinite(scale_a),
        b_candidates=np.isfinite(scale_b),
        pairs=Pairs(i[order], j[order], _bounded(r[order])),
        floor=floor,
    )


def _bounded(r: np.ndarray) -> np.ndarray:
    """r within [−1, 1] in spite of rounding; 0.0 where there was no candidate."""
    return np.where(np.isfinite(r), np.clip(r, -1, 1), 0.0)

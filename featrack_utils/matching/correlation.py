"""Pearson correlations between two dictionaries' features, over token positions or token strings.

Over positions r counts every one, zeros included (`book/method.md`, when two features are one),
from float64 sums. The features stay sparse, and the matches are found row by row, so no feature ×
feature matrix is ever held: except of positions in several blocks, whose `Sums` are made apart and
added up.

Over token strings r is that of the published code (`book/method.md`, token strings). Each feature
is described by its mean activation on each token string, over the positions where it is active;
two features correlate over the strings on which both were ever active. With few shared strings a
large r means little, and with two it is ±1 always, so their number stands beside every r.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numba
import numpy as np
from jaxtyping import Bool, Float, Int
from llvmlite import ir
from numba import njit, types
from numba.core.cgutils import get_or_insert_function
from numba.extending import intrinsic
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from featrack_utils.errors import FeatrackError

# A feature whose variance is below this share of its mean square (a coefficient of variation
# under 1e-4) counts as constant: its r would be little more than its sums' rounding error.
CONSTANT = 1e-8
LEAST_STRINGS = 2  # shared strings that have an r at all: two points lie on a line, so it is ±1
# Strings on which a feature varies by less than this share of its overall spread are constant.
CONSTANT_OVER_STRINGS = 1e-10


class Pairs(NamedTuple):
    """Pairs of features with r ≥ a floor, sorted by i (of a), then by j (of b)."""

    i: Int[np.ndarray, " n_pairs"]
    j: Int[np.ndarray, " n_pairs"]
    r: Float[np.ndarray, " n_pairs"]


class BestMatches(NamedTuple):
    """Best match of each feature, both ways, and all pairs above the floor.

    A *candidate* is a feature that is eligible and neither dead nor constant. One that isn't,
    or that finds no candidate on the other side, has index −1 and r 0.0. Ties go to the lowest
    index. A best r is negative only where no candidate correlates positively.
    """

    a_best_r: Float[np.ndarray, " d_a"]
    a_best_index: Int[np.ndarray, " d_a"]
    b_best_r: Float[np.ndarray, " d_b"]
    b_best_index: Int[np.ndarray, " d_b"]
    a_candidates: Bool[np.ndarray, " d_a"]
    b_candidates: Bool[np.ndarray, " d_b"]
    pairs: Pairs
    floor: float


class Copies(NamedTuple):
    """Features that repeat another feature of their own dictionary (`book/method.md`, copies)."""

    best_r: Float[np.ndarray, " d_sae"]  # with another feature; 0.0 if there is none
    best_index: Int[np.ndarray, " d_sae"]  # −1 if there is none
    group: Int[np.ndarray, " d_sae"]  # connected copies share a number; −1: not a candidate


class Sums(NamedTuple):
    """What r takes of a block of positions, in float64; those of several are added in order."""

    a: Float[np.ndarray, "2 d_a"]  # Σx and Σx²
    b: Float[np.ndarray, "2 d_b"]
    ab: Float[np.ndarray, "d_a d_b"]  # Σxy


def block_sums(a: sparse.csr_matrix, b: sparse.csr_matrix) -> Sums:
    """The sums of a block of activations, [n_tokens, d_a] and [n_tokens, d_b]."""
    a, b = checked(a), checked(b)
    columns, ab = a.tocsc(), np.zeros((a.shape[1], b.shape[1]))
    every = np.arange(a.shape[1])
    shared_out(_sum_rows, np.diff(columns.indptr), every, None, arrays(columns), arrays(b), ab)
    return Sums(column_sums(a), column_sums(b), ab)


def correlations(
    a: sparse.csr_matrix,
    b: sparse.csr_matrix,
    *,
    floor: float = 0.3,
    eligible_a: Bool[np.ndarray, " d_a"] | None = None,
    eligible_b: Bool[np.ndarray, " d_b"] | None = None,
    threads: int | None = None,
    sums: Sums | None = None,
    skip_diagonal: bool = False,
) -> BestMatches:
    """Best matches between two dictionaries' activations on the same token positions.

    `a` [n_tokens, d_a] and `b` [n_tokens, d_b] are CSR, float32; all features are eligible by
    default; `threads` defaults to numba's thread count. `pairs` of the result holds r ≥ `floor`.
    Exact to 1e-6. With their `sums` at hand the activations aren't gone through again. With
    `skip_diagonal` a and b are one dictionary, and no feature matches itself.

    Raises:
        FeatrackError: different positions, non-finite values, or a floor outside (0, 1).
    """
    a, b = checked(a), checked(b)
    same_positions(a, b)
    check_correlation(floor, "floor")
    n = a.shape[0]
    columns = a.tocsc()
    (a_x, a_xx), (b_x, b_xx) = sums[:2] if sums else (column_sums(a), column_sums(b))
    ab = sums.ab if sums else np.empty((0, b.shape[1]))
    scale_a = inverse_scale(a_x, a_xx, n, eligible_a)
    scale_b = inverse_scale(b_x, b_xx, n, eligible_b)
    rows = np.flatnonzero(np.isfinite(scale_a))
    args = (arrays(columns), arrays(b), a_x / n, scale_a, b_x, scale_b, ab, floor, skip_diagonal)
    found = shared_out(_match_rows, np.diff(columns.indptr), rows, threads, *args)
    return _gathered(found, scale_a, scale_b, floor)


def copies(
    acts: sparse.csr_matrix, tau: float, *, eligible: Bool[np.ndarray, " d_sae"] | None = None
) -> Copies:
    """Features of one dictionary whose best r with another of its features exceeds `tau`.

    `acts` [n_tokens, d_sae] is CSR. Groups are the connected components of the graph of pairs
    with r > `tau`; a feature without a copy is a group of one.

    Raises:
        FeatrackError: `tau` outside (0, 1), or non-finite values.
    """
    check_correlation(tau, "tau")
    masks = {"eligible_a": eligible, "eligible_b": eligible}
    best = correlations(acts, acts, floor=tau, **masks, skip_diagonal=True)
    above = best.pairs.r > tau
    edges = (np.ones(above.sum(), np.int8), (best.pairs.i[above], best.pairs.j[above]))
    graph = sparse.coo_matrix(edges, shape=(acts.shape[1], acts.shape[1]))
    _, component = connected_components(graph, directed=False)
    candidates = best.a_candidates
    group = np.full(acts.shape[1], -1, np.int32)
    group[candidates] = np.unique(component[candidates], return_inverse=True)[1]
    return Copies(best.a_best_r, best.a_best_index, group)


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
    able_a, able_b = (np.diff(means.indptr) >= LEAST_STRINGS for means in (means_a, means_b))
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
    best = BestMatches(*_best_of_rows(r), *_best_of_rows(r.T), able_a, able_b, pairs, floor)
    behind = shared[np.arange(a.shape[1]), best.a_best_index]
    return best, np.where(best.a_best_index >= 0, behind, 0)


def _best_of_rows(r: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
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


def checked(acts: sparse.csr_matrix) -> sparse.csr_matrix:
    """The same activations as CSR with each entry stored once and in order."""
    acts = acts.tocsr()
    if not np.isfinite(acts.data).all():
        raise FeatrackError("Activations hold NaN or infinity: train or load that model again.")
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


def members(label: Int[np.ndarray, " n_tokens"], n_labels: int) -> sparse.csr_array:
    """1 where a position has a label, such as its document; [n_labels, n_tokens]."""
    ones = np.ones(label.size), (label, np.arange(label.size))
    return sparse.csr_array(ones, shape=(n_labels, label.size))


def check_correlation(value: float, name: str) -> None:
    """Refuse a correlation threshold that isn't strictly between 0 and 1."""
    if not 0 < value < 1:
        raise FeatrackError(f"{name} is {value}: give a correlation between 0 and 1, such as 0.8.")


def column_sums(acts: sparse.csr_matrix) -> Float[np.ndarray, "2 d_sae"]:
    """Σx and Σx² of each feature over the positions, in float64."""
    sums = np.zeros((2, acts.shape[1]))
    _sum_columns(acts.indices, acts.data, sums)
    return sums


def inverse_scale(
    x: Float[np.ndarray, " d"], xx: Float[np.ndarray, " d"], n: int, eligible: np.ndarray | None
) -> Float[np.ndarray, " d"]:
    """1 / √(Σx² − (Σx)²/n) for candidates, NaN for the others."""
    spread = xx - x**2 / n
    candidate = spread > CONSTANT * xx
    if eligible is not None:
        candidate &= eligible
    return 1 / np.sqrt(np.where(candidate, spread, np.nan))


def arrays(matrix: sparse.csr_matrix | sparse.csc_matrix) -> tuple[np.ndarray, ...]:
    """(pointers, indices, values) of a sparse matrix as the kernels take them."""
    # An unsigned index spares the compiled loops their test for counting from the end.
    unsigned = np.dtype(f"u{matrix.indices.dtype.itemsize}")
    return matrix.indptr.astype(np.uint64), matrix.indices.view(unsigned), matrix.data


def shared_out(
    kernel: Callable, work: np.ndarray, rows: np.ndarray, threads: int | None, *args: object
) -> list[tuple[np.ndarray, object]]:
    """(part, kernel(part, *args)) for parts of `rows` of like `work`, on that many threads."""
    # Not numba.get_num_threads(), which starts numba's own threads: PyTorch beside them computes
    # at a fifth of its speed for the rest of the process.
    threads = threads or numba.config.NUMBA_NUM_THREADS
    heaviest_first = rows[np.argsort(-work[rows], kind="stable")]
    # More parts than threads, so that a thread that other programs slow down gets fewer.
    n_parts = max(1, min(len(rows), 8 * threads))
    parts = [np.sort(heaviest_first[k::n_parts]).astype(np.uint32) for k in range(n_parts)]
    with ThreadPoolExecutor(threads) as pool:
        return list(zip(parts, pool.map(lambda part: kernel(part, *args), parts), strict=True))


def _gathered(found: list, scale_a: np.ndarray, scale_b: np.ndarray, floor: float) -> BestMatches:
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

    def bounded(r: np.ndarray) -> np.ndarray:
        """Within [−1, 1] in spite of rounding; 0.0 where there was no candidate."""
        return np.where(np.isfinite(r), np.clip(r, -1, 1), 0.0)

    pairs = Pairs(i[order], j[order], bounded(r[order]))
    candidates = np.isfinite(scale_a), np.isfinite(scale_b)
    return BestMatches(bounded(a_r), a_j, bounded(b_r), b_i, *candidates, pairs, floor)


# The compiled loops. They release the interpreter's lock and work on a list of rows of their own,
# so plain threads run several at once and the result doesn't depend on how the rows were shared
# out. A feature that must not be matched has NaN as its inverse scale: no comparison with NaN
# holds, so the loops need no mask.
AHEAD = np.uint64(6)  # visits between asking for a row of b and adding it; 4 to 16 do alike
STRETCH = 4_096  # positions of b whose entries, a megabyte, stay in a core's cache
ROOM = 2**19  # sums that are kept at once, four megabytes
LINE = np.uint64(16)  # four-byte entries in a cache line
ONE = np.uint64(1)  # a signed 1 would make floats of the unsigned places it is added to


@intrinsic
def _prefetch(typing_context, array, index):
    """Ask for `array[index]` to be brought into the cache; changes nothing."""

    def codegen(context, builder, signature, args):
        held = context.make_array(signature.args[0])(context, builder, args[0])
        address = builder.bitcast(builder.gep(held.data, [args[1]]), ir.IntType(8).as_pointer())
        number = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [address.type, number, number, number])
        ask = get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        # To read, to be kept in every level, data rather than code.
        builder.call(ask, [address, number(0), number(3), number(1)])
        return context.get_dummy_value()

    return types.void(array, types.uint64), codegen


@njit(nogil=True, cache=True)
def _sum_columns(columns, values, sums):
    """Add Σx and Σx² of each column to the two rows of `sums`, entry by entry."""
    for p in range(columns.shape[0]):
        x = np.float64(values[p])
        sums[0, columns[p]] += x
        sums[1, columns[p]] += x * x


# Contracting is safe: the product of two float32 is exact in float64, fused or not.
@njit(nogil=True, cache=True, fastmath={"contract"})
def _add_row(row, start, stop, a_row, a_val, b_ptr, b_col, b_val):
    """Add Σ_t a_ti · b_tj to `row[j]`, over the stored positions t of one feature i."""
    for p in range(start, stop):
        # A feature's positions lie far apart in b, and without asking ahead the loop waits for
        # memory: it takes three times as long (60,000 positions of 2,048 features: 68 ms, not 21).
        if p + AHEAD < stop:
            q = b_ptr[a_row[p + AHEAD]]
            last = b_ptr[a_row[p + AHEAD] + ONE]
            while q < last:
                _prefetch(b_col, q)
                _prefetch(b_val, q)
                q += LINE
        t, x = a_row[p], np.float64(a_val[p])
        for q in range(b_ptr[t], b_ptr[t + ONE]):
            row[b_col[q]] += x * b_val[q]


@njit(nogil=True, cache=True)
def _add_rows(sums, rows, a, b):
    """Add Σxy of the features `rows` of a to the rows of `sums`, in the order of the positions."""
    # Stretch by stretch, so that a stretch of b is read from memory once for all these rows.
    reached = a[0][rows]
    for first in range(0, b[0].shape[0] - 1, STRETCH):
        for k in range(rows.shape[0]):
            start, end = reached[k], a[0][rows[k] + ONE]
            stop = start
            while stop < end and a[1][stop] < first + STRETCH:
                stop += ONE
            _add_row(sums[k], start, stop, a[1], a[2], b[0], b[1], b[2])
            reached[k] = stop


@njit(nogil=True, cache=True)
def _sum_rows(rows, a, b, ab):
    """Σxy of the features `rows` of a, in their rows of `ab`."""
    together = max(1, ROOM // ab.shape[1])
    for k in range(0, rows.shape[0], together):
        some = rows[k : k + together]
        sums = np.zeros((some.shape[0], ab.shape[1]))
        _add_rows(sums, some, a, b)
        for m in range(some.shape[0]):
            ab[some[m]] = sums[m]


@njit(nogil=True, cache=True)
def _match_rows(rows, a, b, mean_a, inv_a, sum_b, inv_b, ab, floor, skip_diagonal):
    """Best matches of the features `rows` of a, one row of Σxy at a time.

    `a` comes by columns, (pointers, positions, values), and `b` by rows, (pointers, features,
    values). `mean_a` is Σx / n; `inv_a` and `inv_b` are 1 / √(Σx² − (Σx)²/n); `ab` is Σxy, without
    rows where it isn't known. Gives r and index of the best for each of `rows` and for each feature
    of b, then i, j, r of the pairs with r ≥ floor.
    """
    width = sum_b.shape[0]
    together = max(1, min(ROOM // width, rows.shape[0]))  # rows
    sums = np.empty((together, width))
    a_r, a_j = np.empty(rows.shape[0]), np.empty(rows.shape[0], np.int32)
    b_r, b_i = np.full(width, -np.inf), np.full(width, -1, np.int32)
    # Empty lists whose types numba can tell.
    pair_i, pair_j, pair_r = [np.int32(0)][:0], [np.int32(0)][:0], [0.0][:0]
    for k in range(rows.shape[0]):
        if k % together == 0 and not len(ab):
            sums[:] = 0.0
            _add_rows(sums, rows[k : k + together], a, b)
        i, row = rows[k], sums[k % together]
        mean, inv = mean_a[i], inv_a[i]
        if len(ab):
            row[:] = ab[i]
        if skip_diagonal:
            row[i] = np.nan
        for j in range(width):
            row[j] = (row[j] - mean * sum_b[j]) * (inv * inv_b[j])
        best_r, best_j = -np.inf, -1
        for j in range(width):
            r = row[j]
            if r > best_r:
                best_r, best_j = r, j
            if r > b_r[j]:
                b_r[j], b_i[j] = r, i
        a_r[k], a_j[k] = best_r, best_j
        if best_r >= floor:
            for j in range(width):
                if row[j] >= floor:
                    pair_i.append(np.int32(i))
                    pair_j.append(np.int32(j))
                    pair_r.append(row[j])
    return a_r, a_j, b_r, b_i, np.array(pair_i), np.array(pair_j), np.array(pair_r)


@njit(nogil=True, cache=True)
def _shared_r(rows, a, b, r, shared):
    """Fill `r[i]` and `shared[i]` for features i of `rows`: a by columns, b by strings."""
    width = r.shape[1]
    sums = np.empty((width, 6))
    for k in range(rows.shape[0]):
        i = rows[k]
        sums[:] = 0.0
        for p in range(a[0][i], a[0][i + ONE]):
            x = a[2][p]
            for q in range(b[0][a[1][p]], b[0][a[1][p] + ONE]):
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
            if (
                n >= LEAST_STRINGS
                and vx > CONSTANT_OVER_STRINGS * n * sxx
                and vy > CONSTANT_OVER_STRINGS * n * syy
            ):
                # Rounded, so that ties are ties.
                r[i, j] = round((n * sxy - sx * sy) / np.sqrt(vx * vy), 12)

"""Compiled inner loops over sparse features; nothing here checks its input.

Every kernel releases the interpreter's lock and works on a list of rows of its own, so plain
threads run several at once and the result doesn't depend on how the rows were shared out.
A feature that must not be matched has NaN as its inverse scale: no comparison with NaN holds,
so the loops need no mask.
"""

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core.cgutils import get_or_insert_function
from numba.extending import intrinsic

AHEAD = np.uint64(6)  # visits between asking for a row of b and adding it; 4 to 16 do alike
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
def add_sums(index, value, x, xx):
    """Add Σx and Σx² of each feature, from its entries in any order, in float64."""
    for p in range(index.shape[0]):
        v = np.float64(value[p])
        x[index[p]] += v
        xx[index[p]] += v * v


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
def _scan_row(i, row, mean_a, inv_a, sum_b, inv_b, floor, b_r, b_i):
    """Turn a row of Σxy into r in place; best of i, number of r ≥ floor; update the best of j."""
    for j in range(row.shape[0]):
        row[j] = (row[j] - mean_a * sum_b[j]) * (inv_a * inv_b[j])
    best_r, best_j, above = -np.inf, -1, 0
    for j in range(row.shape[0]):
        r = row[j]
        if r > best_r:
            best_r, best_j = r, j
        if r > b_r[j]:
            b_r[j], b_i[j] = r, i
        if r >= floor:
            above += 1
    return best_r, best_j, above


@njit(nogil=True, cache=True)
def _longer(array, length):
    """The array itself if it has that length, or else a copy at least twice as long."""
    if array.shape[0] >= length:
        return array
    longer = np.empty(max(length, 2 * array.shape[0]), array.dtype)
    longer[: array.shape[0]] = array
    return longer


@njit(nogil=True, cache=True)
def match_rows(rows, products, a, b, mean_a, inv_a, sum_b, inv_b, floor, skip_diagonal):
    """Best matches of the features `rows` of a, one row of Σxy at a time.

    The rows come from `products` [d_a, d_b]; if it is empty, from `a` by columns, (pointers,
    positions, values), and `b` by rows, (pointers, features, values). `mean_a` is Σx / n;
    `inv_a` and `inv_b` are 1 / √(Σx² − (Σx)²/n). Gives r and index of the best for each of
    `rows` and for each feature of b, then i, j, r of the pairs with r ≥ floor.
    """
    width = sum_b.shape[0]
    row = np.zeros(width)
    a_r, a_j = np.empty(rows.shape[0]), np.empty(rows.shape[0], np.int32)
    b_r, b_i = np.full(width, -np.inf), np.full(width, -1, np.int32)
    pair_i, pair_j, pair_r = np.empty(64, np.int32), np.empty(64, np.int32), np.empty(64)
    count = 0
    for k in range(rows.shape[0]):
        i = rows[k]
        if products.shape[0] > 0:
            row[:] = products[i]
        else:
            row[:] = 0.0
            _add_row(row, a[0][i], a[0][i + ONE], a[1], a[2], b[0], b[1], b[2])
        if skip_diagonal:
            row[i] = np.nan
        a_r[k], a_j[k], above = _scan_row(
            i, row, mean_a[i], inv_a[i], sum_b, inv_b, floor, b_r, b_i
        )
        if above > 0:
            pair_i = _longer(pair_i, count + above)
            pair_j = _longer(pair_j, count + above)
            pair_r = _longer(pair_r, count + above)
            for j in range(width):
                if row[j] >= floor:
                    pair_i[count], pair_j[count], pair_r[count] = i, j, row[j]
                    count += 1
    return a_r, a_j, b_r, b_i, pair_i[:count], pair_j[:count], pair_r[:count]

"""How much of a feature its token explains (`book/method.md`, token or context)."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from numba import njit
from scipy import sparse


def explained_shares(
    acts: sparse.spmatrix,
    group: Int[np.ndarray, " n_tokens"],
    labels: Sequence[Int[np.ndarray, " n_tokens"]],
) -> Float[np.ndarray, "n_labels d_sae"]:
    """The share of each feature's variance that labels of the positions explain.

    A position is predicted by the mean over the positions that share its label and belong to
    *other* groups of documents, so that no text explains itself. To each mean the prediction by
    the label before is added as if it were one position more: a pair of tokens falls back on the
    token where other groups lack it, and a token on the mean of all.

    Args:
        acts: activations [n_tokens, d_sae].
        group: what each position's document belongs to.
        labels: from coarse to fine, such as the token, and the pair of it and the one before.

    Returns:
        1 − squared error / variance, one row for each of `labels`. Below 0 where a label foretells
        worse than the mean does; NaN for a constant feature.
    """
    # Positions of one label stand side by side, so that the loop reads memory in order.
    order = np.lexsort((group, *reversed(labels)))
    columns, group = acts.tocsr()[order].tocsc(), group[order]
    levels = []
    for label in (np.zeros_like(group), *(label[order] for label in labels)):
        label = np.unique(label, return_inverse=True)[1]
        cell = np.unique(label * (group.max() + np.int64(1)) + group, return_inverse=True)[1]
        elsewhere = np.bincount(label)[label] - np.bincount(cell)[cell]
        levels.append((label.astype(np.int32), cell.astype(np.int32), 1 / (elsewhere + 1)))
    stacked = [np.stack(part) for part in zip(*levels, strict=True)]
    errors = np.empty((acts.shape[1], len(levels)))
    _squared_errors(columns.indptr, columns.indices, columns.data, *stacked, errors)
    square = np.asarray(columns.multiply(columns).sum(axis=0, dtype=np.float64)).ravel()
    total = np.asarray(columns.sum(axis=0, dtype=np.float64)).ravel()
    variance = square - total**2 / acts.shape[0]
    constant = variance <= 1e-8 * square
    return 1 - errors[:, 1:].T / np.where(constant, np.nan, variance)


@njit(nogil=True, cache=True)
def _squared_errors(ptr, row, value, label, cell, weight, errors):
    """Fill `errors[i, l]`: Σ (x − prediction)² of feature i at level l; levels as rows [l, t]."""
    n_levels, n = label.shape
    predicted = np.empty(n)
    of_label, of_cell = np.zeros(n), np.zeros(n)
    for i in range(ptr.size - 1):
        predicted[:] = 0.0
        for level in range(n_levels):
            for p in range(ptr[i], ptr[i + 1]):
                of_label[label[level, row[p]]] += value[p]
                of_cell[cell[level, row[p]]] += value[p]
            error = 0.0
            for t in range(n):
                elsewhere = of_label[label[level, t]] - of_cell[cell[level, t]]
                predicted[t] = (elsewhere + predicted[t]) * weight[level, t]
                error += predicted[t] * predicted[t]
            for p in range(ptr[i], ptr[i + 1]):
                x = np.float64(value[p])
                error += x * x - 2.0 * x * predicted[row[p]]
                of_label[label[level, row[p]]] = 0.0
                of_cell[cell[level, row[p]]] = 0.0
            errors[i, level] = error

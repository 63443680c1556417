"""Where features are active: the strongest positions and random ones, of all features at once."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int
from numba import njit
from scipy import sparse

NOWHERE = -1


def strongest_positions(
    acts: sparse.csc_matrix, origin: Int[np.ndarray, " n_tokens"], n: int
) -> Int[np.ndarray, "d_sae n"]:
    """Each feature's `n` strongest positions, each in another document, strongest first.

    `acts` [n_tokens, d_sae]; equal strengths go by position. −1 where a feature is active in
    fewer than `n` documents.
    """
    columns = _by_column(acts)
    found = np.full((acts.shape[1], n), NOWHERE, dtype=np.int32)
    _fill_strongest(
        columns.indptr, columns.indices, columns.data, origin, int(origin.max(initial=0)), found
    )
    return found


def random_positions(acts: sparse.csc_matrix, n: int, seed: int) -> Int[np.ndarray, "d_sae n"]:
    """`n` of each feature's active positions, drawn without replacement; −1 where it has fewer.

    `acts` [n_tokens, d_sae]. The seed and the shape fix the draws.
    """
    columns = _by_column(acts)
    count = np.diff(columns.indptr).astype(np.int64)
    chance = np.random.default_rng(seed).random((len(count), n))
    drawn = np.zeros((len(count), 0), dtype=np.int64)
    for k in range(n):
        # One of the places not yet drawn, by its number among them, …
        place = (chance[:, k] * np.maximum(count - k, 0)).astype(np.int64)
        for earlier in np.sort(drawn, axis=1).T:
            place += place >= earlier  # … and then by its number among all
        drawn = np.column_stack([drawn, place])
    there = np.arange(n) < count[:, None]
    flat = (columns.indptr[:-1, None] + drawn)[there]
    found = np.full(drawn.shape, NOWHERE, dtype=np.int32)
    found[there] = columns.indices[flat]
    return found


def _by_column(acts: sparse.csc_matrix) -> sparse.csc_matrix:
    """The same activations by feature, positions in order, nothing stored that isn't active."""
    columns = acts.tocsc()
    if (columns.data <= 0).any() or not columns.has_sorted_indices:
        columns = columns.copy()
        columns.data[columns.data < 0] = 0
        columns.eliminate_zeros()
        columns.sort_indices()
    return columns


@njit(cache=True)
def _fill_strongest(indptr, indices, data, origin, last_origin, found):
    """Writes each column's strongest positions, one of each origin, into a row of `found`."""
    best = np.full(last_origin + 1, -1, np.int64)  # place in `data` of an origin's strongest
    touched = np.empty(last_origin + 1, np.int64)
    n = found.shape[1]
    places = np.empty(n, np.int64)
    for feature in range(found.shape[0]):
        n_touched = 0
        for place in range(indptr[feature], indptr[feature + 1]):
            document = origin[indices[place]]
            if best[document] < 0:
                touched[n_touched] = document
                n_touched += 1
                best[document] = place
            elif data[place] > data[best[document]]:
                best[document] = place
        held = 0
        for k in range(n_touched):
            place = best[touched[k]]
            best[touched[k]] = -1
            slot = held
            # Moves up past weaker ones, and past equal ones that come later.
            while slot > 0 and (
                data[places[slot - 1]] < data[place]
                or (data[places[slot - 1]] == data[place] and places[slot - 1] > place)
            ):
                if slot < n:
                    places[slot] = places[slot - 1]
                slot -= 1
            if slot < n:
                places[slot] = place
                held = min(held + 1, n)
        for k in range(held):
            found[feature, k] = indices[places[k]]

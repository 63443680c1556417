"""A map of features: decoder directions of several models laid out in the plane, and its limits.

Directions of different models can be compared at all only because every model descends from one
root: their MLP neurons, which are the axes, are the same neurons, a little moved.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from safetensors.numpy import load_file
from threadpoolctl import threadpool_limits

from featrack_utils.errors import FeatrackError
from featrack_utils.interpretation.logit_effects import largest
from featrack_utils.matching.correlation import BestMatches

NO_CLUSTER = -1
_CHUNK = 1024  # directions whose cosines with all others are held at once


def directions(sae_folders: Mapping[str, Path]) -> dict[str, Float[np.ndarray, "d_sae d_mlp"]]:
    """Unit decoder rows of each model's dictionary.

    Raises:
        FeatrackError: a dictionary writes to another number of neurons than the others, or has a
            row without a direction.
    """
    found = {}
    for model, folder in sae_folders.items():
        rows = load_file(folder / "sae_weights.safetensors")["W_dec"].astype(np.float64)
        length = np.linalg.norm(rows, axis=1, keepdims=True)
        if not (np.isfinite(length) & (length > 0)).all():
            raise FeatrackError(f"{folder} has a decoder row without a direction; train it again.")
        found[model] = rows / length
    if len({rows.shape[1] for rows in found.values()}) > 1:
        raise FeatrackError(
            "The dictionaries write to different numbers of neurons, so they share no axes; "
            "map models that descend from one root."
        )
    return found


def nearest(
    unit: Float[np.ndarray, "n d"], k: int
) -> tuple[Int[np.ndarray, "n k"], Float[np.ndarray, "n k"]]:
    """The `k` nearest of unit vectors to each, exactly, itself first: their index and 1 − cosine.

    Ties go to the lower index.
    """
    index = np.empty((len(unit), k), np.int32)
    distance = np.empty((len(unit), k), np.float32)
    # The last bits of a product depend on the number of threads, and a layout magnifies them.
    with threadpool_limits(1):
        for start in range(0, len(unit), _CHUNK):
            rows = np.arange(start, min(start + _CHUNK, len(unit)))
            apart = 1 - (unit[rows] @ unit.T).astype(np.float32)
            apart[np.arange(len(rows)), rows] = -1.0  # itself first, whatever its copies
            index[rows], close = largest(-apart, k)
            distance[rows] = np.maximum(-close, 0)
    return index, distance


def layout(
    unit: Float[np.ndarray, "n d"], *, neighbours: int, epochs: int, seed: int
) -> Float[np.ndarray, "n 2"]:
    """UMAP of directions by cosine (McInnes et al. 2018), the same in every run with a seed.

    It starts from the principal components and gets exact neighbours, which leaves no room for
    an approximate search's chance.
    """
    from umap import UMAP  # compiles for seconds

    k = min(neighbours, len(unit) - 1)
    reducer = UMAP(
        n_neighbors=k,
        metric="cosine",
        n_epochs=epochs,
        random_state=seed,
        n_jobs=1,
        init="pca",
        precomputed_knn=nearest(unit, k),
    )
    with threadpool_limits(1), warnings.catch_warnings():
        # That nothing can be added to this map later; nothing is.
        warnings.filterwarnings("ignore", message=".*knn_search_index.*")
        return reducer.fit_transform(unit.astype(np.float32)).astype(np.float32)


def clusters(points: Float[np.ndarray, "n d"], least: int) -> Int[np.ndarray, " n"]:
    """HDBSCAN's clusters of at least `least` points (Campello et al. 2013), −1: in none.

    Numbered by size, the largest 0; clusters of equal size by their first point.
    """
    from sklearn.cluster import HDBSCAN

    if len(points) < least:
        return np.full(len(points), NO_CLUSTER, np.int32)
    label = HDBSCAN(min_cluster_size=least, copy=True).fit_predict(points)
    names, first, size = np.unique(label, return_index=True, return_counts=True)
    names, first, size = (part[names >= 0] for part in (names, first, size))
    ranked = np.full(label.max(initial=0) + 2, NO_CLUSTER, np.int32)  # −1 is the last entry
    ranked[names[np.lexsort((first, -size))]] = np.arange(names.size)
    return ranked[label]


def matched_neighbours(
    a: Float[np.ndarray, "d_a d"], b: Float[np.ndarray, "d_b d"], best: BestMatches, tau: float
) -> tuple[float, float]:
    """Of a's features with a match in b: is the nearest feature of b, on these points, a match?

    `a` and `b` are places on a map, or anything else with a Euclidean distance (unit directions).
    A match is a pair with r > `tau`; only eligible features of b take part.

    Returns:
        The share whose nearest feature is a match, and the share to expect of features drawn at
        random from b; NaN where no feature has a match.
    """
    from sklearn.neighbors import NearestNeighbors

    i, j, r = best.pairs
    matches = set(zip(i[r > tau].tolist(), j[r > tau].tolist(), strict=True))
    asked, candidates = np.unique(i[r > tau]), np.flatnonzero(best.b_candidates)
    if asked.size == 0:
        return np.nan, np.nan
    search = NearestNeighbors(n_neighbors=1).fit(b[candidates])
    closest = candidates[search.kneighbors(a[asked], return_distance=False)[:, 0]]
    hits = sum(pair in matches for pair in zip(asked.tolist(), closest.tolist(), strict=True))
    return hits / asked.size, len(matches) / (asked.size * candidates.size)

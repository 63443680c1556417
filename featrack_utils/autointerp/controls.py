"""What a score is compared with: other explanations, and other features as rare or common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.optimize import linear_sum_assignment

from featrack_utils.config import EDGES
from featrack_utils.correlate import correlations
from featrack_utils.features import Features
from featrack_utils.match import Tracking, classify

CALIPER = 1.25  # two densities further apart than by this factor don't count as equal


class Pairs(NamedTuple):
    """Features of two groups, paired by density."""

    one: Int[np.ndarray, " n"]
    other: Int[np.ndarray, " n"]


def tracked(
    found: Mapping[str, Features], able: Mapping[str, np.ndarray], tau: float
) -> dict[tuple[str, str], Tracking]:
    """Classes and partners along every edge, by best match; `able` [d_sae]: eligible features."""
    return {
        (a, b): classify(
            correlations(found[a].acts, found[b].acts, eligible_a=able[a], eligible_b=able[b]), tau
        )
        for a, b in EDGES
    }


def persisting(along: Mapping[tuple[str, str], Tracking]) -> dict[str, Bool[np.ndarray, " d_sae"]]:
    """Features that a neighbouring model has, too.

    Of the base: found in a fine-tune; of a fine-tune: found in the base; of the merged model: found
    in a fine-tune.
    """
    base = [along["base", child].parent == "persisting" for child in ("lua", "stories")]
    merged = [along[parent, "merged"].child == "matched" for parent in ("lua", "stories")]
    return {
        "base": base[0] | base[1],
        "lua": along["base", "lua"].child == "matched",
        "stories": along["base", "stories"].child == "matched",
        "merged": merged[0] | merged[1],
    }


def shuffled(features: Int[np.ndarray, " n"], seed: int) -> Int[np.ndarray, " n"]:
    """For each feature another one, each used once; a single feature has none, and stays."""
    order = np.random.default_rng(seed).permutation(len(features))
    other = np.empty_like(features)
    other[order] = features[np.roll(order, 1)]
    return other


def equally_dense(
    density: Float[np.ndarray, " d_sae"],
    one: Int[np.ndarray, " n"],
    other: Int[np.ndarray, " m"],
) -> Pairs:
    """Pairs a feature of one group with one of another, no feature twice, densities near.

    Of all ways to pair the smaller group, that with the least total distance of log densities;
    pairs further apart than CALIPER are left out, for those would compare the rare with the common.
    """
    logs = np.log(density[one])[:, None] - np.log(density[other])[None, :]
    rows, columns = linear_sum_assignment(np.abs(logs))
    near = np.abs(logs[rows, columns]) <= np.log(CALIPER)
    return Pairs(one[rows[near]], other[columns[near]])

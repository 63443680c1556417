"""What a score is compared with: other explanations, and other features as rare or common."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment

CALIPER = 1.25  # two densities further apart than by this factor don't count as equal


class DensityPairs(NamedTuple):
    """Features of two groups, paired by density."""

    one: Int[np.ndarray, " n"]
    other: Int[np.ndarray, " n"]


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
) -> DensityPairs:
    """Pairs a feature of one group with one of another, no feature twice, densities near.

    Of all ways to pair the smaller group, that with the least total distance of log densities;
    pairs further apart than CALIPER are left out, for those would compare the rare with the common.
    """
    logs = np.log(density[one])[:, None] - np.log(density[other])[None, :]
    rows, columns = linear_sum_assignment(np.abs(logs))
    near = np.abs(logs[rows, columns]) <= np.log(CALIPER)
    return DensityPairs(one[rows[near]], other[columns[near]])

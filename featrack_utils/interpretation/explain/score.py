"""Scores of explanations, what they are compared with, and the figures of the chapter."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment

from featrack_utils.matching.correlation import CONSTANT
from featrack_utils.statistics.intervals import LEVEL, UNDEFINED, Interval
from featrack_utils.statistics.persistence import flat

CALIPER = 1.25  # two densities further apart than by this factor don't count as equal


def simulation_r(
    simulated: Float[np.ndarray, "n ..."], true: Float[np.ndarray, "n ..."]
) -> Float[np.ndarray, " n"]:
    """Pearson r of simulated with true activations, row by row (Bills et al. 2023).

    Positions at which either is NaN are left out. NaN where one of the two is constant: what never
    varies can't be simulated well or badly.
    """
    shape = len(true), math.prod(true.shape[1:])  # -1 would fail where there is no row
    x, y = (side.reshape(shape).astype(np.float64) for side in (simulated, true))
    there = np.isfinite(x) & np.isfinite(y)
    x, y = np.where(there, x, 0.0), np.where(there, y, 0.0)
    n = there.sum(axis=1)
    spread_x = n * (x * x).sum(axis=1) - x.sum(axis=1) ** 2
    spread_y = n * (y * y).sum(axis=1) - y.sum(axis=1) ** 2
    varies = (spread_x > CONSTANT * n * (x * x).sum(axis=1)) & (
        spread_y > CONSTANT * n * (y * y).sum(axis=1)
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        together = n * (x * y).sum(axis=1) - x.sum(axis=1) * y.sum(axis=1)
        return np.where(varies, together / np.sqrt(spread_x * spread_y), np.nan)


def bootstrap(
    values: Float[np.ndarray, " n"],
    statistic: Callable[..., np.ndarray],
    replicates: int,
    seed: int,
) -> Interval:
    """A statistic (np.median, np.mean) with its 95 % percentile interval, features drawn anew.

    NaN, a score that isn't defined, is left out; NaN where nothing is left.
    """
    values = np.asarray(values, np.float64)
    values = values[np.isfinite(values)]
    if not values.size:
        return UNDEFINED
    drawn = np.random.default_rng(seed).choice(values, (replicates, values.size))
    low, high = np.quantile(statistic(drawn, axis=1), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(statistic(values)), float(low), float(high))


def shuffled(features: Int[np.ndarray, " n"], seed: int) -> Int[np.ndarray, " n"]:
    """For each feature another one, each used once; a single feature has none, and stays."""
    order = np.random.default_rng(seed).permutation(len(features))
    other = np.empty_like(features)
    other[order] = features[np.roll(order, 1)]
    return other


def equally_dense(
    one: Float[np.ndarray, " n"], other: Float[np.ndarray, " m"]
) -> tuple[Int[np.ndarray, " k"], Int[np.ndarray, " k"]]:
    """Pairs a feature of one group with one of another by their densities, no feature twice.

    Of all ways to pair the smaller group, that with the least total distance of log densities;
    pairs further apart than CALIPER are left out, for those would compare the rare with the common.
    """
    apart = np.abs(np.log(one)[:, None] - np.log(other)[None, :])
    i, j = linear_sum_assignment(apart)
    near = apart[i, j] <= np.log(CALIPER)
    return i[near], j[near]


def results(
    own: pd.DataFrame,
    mates: pd.DataFrame,
    controls: Mapping[str, Mapping[str, str]],
    replicates: int,
    seed: int,
) -> dict[str, float | None]:
    """Entries of results.json, from the tables of `run.Scores`; None: not defined.

    Medians and means are over features that are seen often enough, with intervals from drawing
    features anew. Persisting features are paired with equally dense others of their model and, by
    the names in `controls`, with those of control models' dictionaries.
    """
    found: dict[str, float | None] = {"autointerp.density_caliper": CALIPER}

    def add(name: str, values: pd.Series, statistic=np.median) -> None:
        found.update(flat(name, bootstrap(values.to_numpy(), statistic, replicates, seed)))

    def compare(name: str, kind: str, one: pd.DataFrame, other: pd.DataFrame) -> None:
        one, other = (rows[rows["simulation_r"].notna()] for rows in (one, other))
        i, j = equally_dense(one["density"].to_numpy(), other["density"].to_numpy())
        found[f"{name}.{kind}.pairs"] = len(i)
        for key, column in ((name, "simulation_r"), (f"{name}.random_only", "random_r")):
            difference = one[column].iloc[i] - other[column].iloc[j].to_numpy()
            add(f"{key}.{kind}", difference, np.mean)

    groups = dict(iter(own[own["able"]].groupby(["model", "explainer"], sort=False)))
    for (model, explainer), rows in groups.items():
        name = f"autointerp.{model}.{explainer}"
        found[f"{name}.features"] = len(rows)
        add(f"{name}.median_r", rows["simulation_r"])
        add(f"{name}.random_only.median_r", rows["random_r"])
        add(f"{name}.shuffled.median_r", rows["shuffled_r"])
        if model not in controls:
            continue
        persisting, others = rows[rows["persisting"]], rows[~rows["persisting"]]
        add(f"{name}.persisting.median_r", persisting["simulation_r"])
        add(f"{name}.others.median_r", others["simulation_r"])
        compare(name, "persisting_minus_matched", persisting, others)
        for kind, control in controls[model].items():
            compare(name, f"persisting_minus_{kind}", persisting, groups[control, explainer])
    for (parent, child, explainer), rows in mates.groupby(
        ["parent", "child", "explainer"], sort=False
    ):
        name = f"autointerp.{child}.{explainer}.mates.{parent}"
        found[f"{name}.count"] = len(rows)
        add(f"{name}.foreign_median_r", rows["foreign_r"])
        add(f"{name}.own_median_r", rows["own_r"])
        add(f"{name}.foreign_minus_own", rows["foreign_r"] - rows["own_r"], np.mean)
    return found

"""Scores of explanations, their controls, and the figures of the chapter."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment

from featrack_utils.matching.sums import CONSTANT
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


def detection(
    active: Float[np.ndarray, "n k"], inactive: Float[np.ndarray, "n m"]
) -> Float[np.ndarray, " n"]:
    """How often an active excerpt is rated above an inactive one, ties counting half.

    The area under the ROC curve; where the ratings are yes and no it is the balanced accuracy.
    NaN ratings are left out; NaN where a row has none of one kind.
    """
    there = np.isfinite(active)[:, :, None] & np.isfinite(inactive)[:, None, :]
    above = active[:, :, None] > inactive[:, None, :]
    level = active[:, :, None] == inactive[:, None, :]
    n = there.sum(axis=(1, 2))
    won = ((above + 0.5 * level) * there).sum(axis=(1, 2))
    return np.divide(won, n, out=np.full(len(n), np.nan), where=n > 0)


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
    density: Float[np.ndarray, " d_sae"],
    one: Int[np.ndarray, " n"],
    other: Int[np.ndarray, " m"],
) -> tuple[Int[np.ndarray, " k"], Int[np.ndarray, " k"]]:
    """Pairs a feature of one group with one of another, no feature twice, densities near.

    Of all ways to pair the smaller group, that with the least total distance of log densities;
    pairs further apart than CALIPER are left out, for those would compare the rare with the common.
    """
    logs = np.log(density[one])[:, None] - np.log(density[other])[None, :]
    rows, columns = linear_sum_assignment(np.abs(logs))
    near = np.abs(logs[rows, columns]) <= np.log(CALIPER)
    return one[rows[near]], other[columns[near]]


def results(
    own: pd.DataFrame, mates: pd.DataFrame, replicates: int, seed: int
) -> dict[str, float | None]:
    """Entries of results.json, from the tables of `run.Scores`; None: not defined.

    Medians and means are over features that are seen often enough, with intervals from drawing
    features anew.
    """
    found: dict[str, float | None] = {"autointerp.density_caliper": CALIPER}

    def add(name: str, values: pd.Series | np.ndarray, statistic=np.median) -> None:
        found.update(flat(name, bootstrap(np.asarray(values), statistic, replicates, seed)))

    for (model, explainer), rows in own[own["able"]].groupby(["model", "explainer"], sort=False):
        name = f"autointerp.{model}.{explainer}"
        found[f"{name}.features"] = len(rows)
        add(f"{name}.median_r", rows["simulation_r"])
        add(f"{name}.random_only.median_r", rows["random_r"])
        add(f"{name}.shuffled.median_r", rows["shuffled_r"])
        add(f"{name}.detection", rows["detection"])
        add(f"{name}.persisting.median_r", rows["simulation_r"][rows["persisting"]])
        for kind, chosen in (("persisting", rows["persisting"]), ("others", ~rows["persisting"])):
            found[f"{name}.{kind}.median_density"] = (
                float(rows["density"][chosen].median()) if chosen.any() else None
            )
        one, other = pairs(rows)
        found[f"{name}.matched_pairs"] = len(one)
        for key, column in (("", "simulation_r"), (".random_only", "random_r")):
            difference = one[column].to_numpy() - other[column].to_numpy()
            add(f"{name}{key}.persisting_minus_matched", difference, np.mean)
    for (parent, child, explainer), rows in mates.groupby(
        ["parent", "child", "explainer"], sort=False
    ):
        name = f"autointerp.{child}.{explainer}.mates.{parent}"
        found[f"{name}.count"] = len(rows)
        add(f"{name}.foreign_median_r", rows["foreign_r"])
        add(f"{name}.own_median_r", rows["own_r"])
        add(f"{name}.foreign_minus_own", rows["foreign_r"] - rows["own_r"], np.mean)
    return found


def pairs(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Persisting features and equally dense others, from scores of one model and explainer.

    Features without a score take no part.
    """
    rows = rows[rows["simulation_r"].notna()].reset_index(drop=True)
    kinds = (np.flatnonzero(rows["persisting"]), np.flatnonzero(~rows["persisting"]))
    return tuple(rows.loc[kind] for kind in equally_dense(rows["density"].to_numpy(), *kinds))

"""From scores of single features to the figures of the chapter."""

from __future__ import annotations

import numpy as np
import pandas as pd

from featrack_utils.interpretation.explain.score import CALIPER, bootstrap, equally_dense
from featrack_utils.statistics.persistence import flat


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

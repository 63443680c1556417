"""From scores of single features to the figures and the picture of the chapter."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import PercentFormatter

from featrack_utils.display.style import GREY, MODEL_COLOURS, MODEL_LABELS, panels
from featrack_utils.interpretation.explain.controls import CALIPER, equally_dense
from featrack_utils.interpretation.explain.score import as_results, bootstrap


def results(
    own: pd.DataFrame, mates: pd.DataFrame, replicates: int, seed: int
) -> dict[str, float | None]:
    """Entries of results.json, from the tables of `run.Scores`; None: not defined.

    Medians and means are over features that are seen often enough, with intervals from drawing
    features anew.
    """
    found: dict[str, float | None] = {"autointerp.density_caliper": CALIPER}

    def add(name: str, values: pd.Series | np.ndarray, statistic=np.median) -> None:
        found.update(as_results(name, bootstrap(np.asarray(values), statistic, replicates, seed)))

    for (model, explainer), rows in own[own["able"]].groupby(["model", "explainer"], sort=False):
        name = f"autointerp.{model}.{explainer}"
        rows = rows.set_index("feature")
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

    `rows` has the feature as its index and columns persisting, density and simulation_r; features
    without a score take no part.
    """
    rows = rows[rows["simulation_r"].notna()]
    density = pd.Series(rows["density"], index=rows.index)
    kinds = (rows.index[rows["persisting"]], rows.index[~rows["persisting"]])
    dense = np.zeros(rows.index.max() + 1 if len(rows) else 0)
    dense[rows.index] = density
    paired = equally_dense(dense, *(kind.to_numpy() for kind in kinds))
    return rows.loc[paired.one], rows.loc[paired.other]


def histograms(own: pd.DataFrame, models: Sequence[str]) -> Figure:
    """The paper's Figure 6: scores of all features (grey) and of persisting ones (outline).

    One column per model; above the simulation score, below the random-only one. `own` holds one
    explainer's scores as in `run.Scores`; lines mark the medians.
    """
    bins = np.linspace(-0.2, 1, 31)
    figure, axes = panels(2 * len(models), 2.0, columns=len(models))
    each = [(column, model) for column in ("simulation_r", "random_r") for model in models]
    for axis, (column, model) in zip(axes, each, strict=True):
        rows = own[(own["model"] == model) & own["able"] & own[column].notna()]
        for chosen, look in (
            (rows, {"color": "#bbbbbb"}),
            (
                rows[rows["persisting"]],
                {"color": MODEL_COLOURS[model], "histtype": "step", "lw": 2},
            ),
        ):
            values = chosen[column].clip(bins[0], 1).to_numpy()
            if values.size:
                axis.hist(values, bins=bins, weights=np.full(values.size, 1 / values.size), **look)
                axis.axvline(np.median(values), color=look["color"], ls=":", lw=1.5)
        kind = "simulation" if column == "simulation_r" else "random-only"
        axis.set_title(f"{MODEL_LABELS[model]}, {kind}")
        axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    figure.supxlabel("score r (higher is better)", fontsize=11)
    figure.supylabel("share of features", fontsize=11)
    handles = [
        Patch(color="#bbbbbb", label="all"),
        Patch(fill=False, ec=GREY, lw=2, label="persisting"),
        Line2D([], [], color=GREY, ls=":", label="median"),
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=3)
    return figure

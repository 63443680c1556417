"""Figures of persistence against the dose of a fine-tune."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from featrack_utils.display.style import GREY, MODEL_COLOURS, MODEL_LABELS, WIDTH, require_columns


def dose_response(df: pd.DataFrame) -> Figure:
    """Share over ceiling against the dose (left) and against the distance of the weights (right).

    Columns: child, percent (of the steps, as text), ratio, ratio_low, ratio_high, distance (of the
    weights, relative). A ratio that is missing isn't drawn. Doses are drawn evenly spaced, in the
    order given.
    """
    columns = ("child", "percent", "ratio", "ratio_low", "ratio_high", "distance")
    require_columns(df, *columns)
    figure = Figure(figsize=(WIDTH, 0.62 * WIDTH), layout="constrained")
    by_dose, by_distance = figure.subplots(1, 2, sharey=True)
    doses = list(dict.fromkeys(df["percent"]))
    for child, rows in df.groupby("child", sort=False):
        _band(by_dose, [doses.index(dose) for dose in rows["percent"]], rows, child)
        _band(by_distance, rows["distance"], rows, child)
    by_dose.set_xticks(range(len(doses)), doses)
    by_dose.set(xlabel="steps done, %", ylabel="share / ceiling")
    by_distance.set(xlabel="distance of weights")
    by_distance.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    top = max(1.0, *df[["ratio", "ratio_high"]].to_numpy().ravel()[_finite(df)], 0.0)
    by_dose.set_ylim(0, 1.08 * top)
    by_dose.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    for axis in (by_dose, by_distance):
        axis.axhline(1, color="black", ls="--", lw=1)
        if df["ratio"].isna().all():
            axis.text(0.5, 0.5, "not defined", transform=axis.transAxes, ha="center", color=GREY)
    if df["child"].nunique() > 1:
        handles, labels = by_dose.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=2)
    return figure


def _finite(df: pd.DataFrame) -> np.ndarray:
    return np.isfinite(df[["ratio", "ratio_high"]].to_numpy(float).ravel())


def _band(axis: Axes, places, rows: pd.DataFrame, child: str) -> None:
    places, colour = np.asarray(places, float), MODEL_COLOURS.get(child, GREY)
    low, high = rows["ratio_low"].astype(float), rows["ratio_high"].astype(float)
    axis.fill_between(places, low, high, color=colour, alpha=0.2, lw=0)
    label = MODEL_LABELS.get(child, child)
    axis.plot(places, rows["ratio"].astype(float), "o-", color=colour, mec="white", label=label)

"""Persistence against the dose of a fine-tune."""

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from featrack_utils.display.style import GREY, WIDTH, colour_of
from featrack_utils.lineage import label


def dose_response(df: pd.DataFrame) -> Figure:
    """Share over ceiling against the dose (left) and against the distance of the weights (right).

    Columns: child, percent (of the steps, as text), ratio, ratio_low, ratio_high, distance (of the
    weights, relative). A ratio that is missing isn't drawn. Doses are evenly spaced.
    """
    figure = Figure(figsize=(WIDTH, 0.62 * WIDTH), layout="constrained")
    by_dose, by_distance = figure.subplots(1, 2, sharey=True)
    doses = list(dict.fromkeys(df["percent"]))
    for child, rows in df.groupby("child", sort=False):
        ratio, low, high = (rows[f"ratio{end}"].astype(float) for end in ("", "_low", "_high"))
        places = [doses.index(dose) for dose in rows["percent"]]
        for axis, x in ((by_dose, places), (by_distance, rows["distance"].astype(float))):
            axis.fill_between(x, low, high, color=colour_of(child), alpha=0.2, lw=0)
            axis.plot(x, ratio, "o-", color=colour_of(child), mec="white", label=label(child))
    by_dose.set_xticks(range(len(doses)), doses)
    by_dose.set(xlabel="steps done, %", ylabel="share / ceiling")
    top = df[["ratio", "ratio_high"]].astype(float).max().max()
    by_dose.set_ylim(0, 1.08 * max(1.0, top if top == top else 0))
    by_dose.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    by_distance.set(xlabel="distance of weights")
    by_distance.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    for axis in (by_dose, by_distance):
        axis.axhline(1, color="black", ls="--", lw=1)
        if df["ratio"].isna().all():
            axis.text(0.5, 0.5, "not defined", transform=axis.transAxes, ha="center", color=GREY)
    by_dose.legend(loc="lower left")
    return figure

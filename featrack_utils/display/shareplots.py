"""Figures of persisting shares beside what they could be at most and by chance."""

import json
from collections.abc import Mapping
from html import escape

import numpy as np
import pandas as pd
from IPython.display import HTML
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, PercentFormatter

from featrack_utils.display.style import (
    GREY,
    WIDTH,
    colour_of,
    pair_label,
    panels,
)
from featrack_utils.statistics.persistence import Persistence


def _colour(pair: str) -> str:
    return colour_of(pair.split("_")[-1])


def shares_with_ceiling(df: pd.DataFrame) -> Figure:
    """Persisting share of each pair between its floors and its ceiling: the headline picture.

    Columns: pair, share, ci_low, ci_high, ceiling, floor, and where known raw (the share as
    counted) and floor_random_model; shares of one. A missing interval, ceiling or floor isn't
    drawn. Pairs are drawn from top to bottom in the order given.
    """
    floors = {"floor": ("#999999", "floor"), "floor_random_model": ("#cccccc", "random model")}
    floors = {name: looks for name, looks in floors.items() if name in df or name == "floor"}
    figures = ("share", "ci_low", "ci_high", "ceiling", *floors)
    df = df.astype(dict.fromkeys(figures, float))
    figure = Figure(figsize=(WIDTH, 0.45 * len(df) + 1.5), layout="constrained")
    axis = figure.subplots()
    for place, row in enumerate(df.itertuples(index=False)):
        colour = _colour(row.pair)
        if np.isfinite(row.ceiling):
            left = row.floor if np.isfinite(row.floor) else 0
            axis.hlines(place, left, row.ceiling, color="#bbbbbb", lw=1)
            axis.vlines(row.ceiling, place - 0.3, place + 0.3, color="black", lw=2)
        for name, (grey, _) in floors.items():
            if np.isfinite(low := getattr(row, name)):
                axis.vlines(low, place - 0.3, place + 0.3, color=grey, lw=3)
        if np.isfinite(row.ci_low) and np.isfinite(row.ci_high):
            axis.hlines(place, row.ci_low, row.ci_high, color=colour, lw=3)
        axis.plot(row.share, place, "o", ms=9, color=colour, mec="white", zorder=3)
        if "raw" in df:
            axis.plot(row.raw, place, "o", ms=5, color="#999999", mec="white", zorder=4)
    axis.set_yticks(range(len(df)), [pair_label(pair) for pair in df["pair"]])
    axis.set_ylim(len(df) - 0.5, -0.5)
    axis.set_xlim(left=-0.01)  # a floor at 0 is to be seen
    axis.grid(axis="y", visible=False)
    axis.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axis.set_xlabel("share of parent features that persist")
    marks = [
        Line2D([], [], color=GREY, marker="o", ms=8, lw=3, label="persisting [95 % CI]"),
        Line2D([], [], color="black", marker="|", ms=13, mew=2, ls="", label="ceiling"),
    ]
    if "raw" in df:
        marks.append(Line2D([], [], color="#999999", marker="o", ms=5, ls="", label="as counted"))
    marks += [
        Line2D([], [], color=grey, marker="|", ms=13, mew=3, ls="", label=words)
        for name, (grey, words) in floors.items()
        if df[name].notna().any()
    ]
    figure.legend(handles=marks, loc="outside lower center", ncols=2, handletextpad=0.5)
    return figure


def _line_with_band(axis: Axes, rows: pd.DataFrame, name: str, colour: str, dashes: str) -> None:
    # A thin line on a strong band: the intervals are only a few points wide.
    axis.plot(rows["tau"], rows[name], color=colour, ls=dashes, lw=1.1)
    low, high = f"{name}_low", f"{name}_high"
    if low in rows and high in rows:
        axis.fill_between(rows["tau"], rows[low], rows[high], color=colour, alpha=0.4, lw=0)


def threshold_curve(df: pd.DataFrame, tau: float) -> Figure:
    """Persisting share against the threshold, one panel per pair, with ceiling and floor.

    Columns: pair, tau, share, and where known ceiling and floor; `<name>_low` and `<name>_high`
    beside any of the three are drawn as its band. `tau` marks the threshold used elsewhere.
    """
    pairs = list(dict.fromkeys(df["pair"]))
    figure, axes = panels(len(pairs), 1.9)
    marks = [Line2D([], [], color=GREY, lw=1.1, label="persisting")]
    for axis, pair in zip(axes, pairs, strict=True):
        rows = df[df["pair"] == pair].sort_values("tau")
        looks = {"ceiling": ("black", "--"), "floor": (GREY, ":"), "share": (_colour(pair), "-")}
        for name, (colour, dashes) in looks.items():
            if name in rows:
                _line_with_band(axis, rows, name, colour, dashes)
        axis.axvline(tau, color=GREY, lw=1)
        axis.set(title=pair_label(pair), ylim=(0, 1))
        axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    if "ceiling" in df:
        marks.append(Line2D([], [], color="black", ls="--", lw=1.1, label="ceiling"))
    if "floor" in df:
        marks.append(Line2D([], [], color=GREY, ls=":", lw=1.1, label="floor"))
    if "share_low" in df:
        marks.append(Patch(color=GREY, alpha=0.4, lw=0, label="95 %"))
    figure.supxlabel("threshold τ on the correlation r", fontsize=11)
    figure.supylabel("share of parent features", fontsize=11)
    figure.legend(handles=marks, loc="outside upper center", ncols=4, columnspacing=1.2)
    return figure


def moving_threshold(kept: Mapping[tuple[str, str], Persistence], tau: float) -> HTML:
    """Each edge's share, ceiling, floor and rescaled persistence at a threshold the reader moves.

    On the built page `book/_static/tau.js` makes it of the thresholds counted, without a kernel;
    elsewhere it says where to look. Edges without a share are left out.
    """
    taus = next(iter(kept.values())).shares.taus

    def at_each(interval_at) -> list[list[float | None]]:
        each = [interval_at(threshold) for threshold in taus]
        return [[round(x, 4) if np.isfinite(x) else None for x in one] for one in each]

    pairs = [
        {
            "name": pair_label(*edge),
            "colour": colour_of(edge[1]),
            "share": at_each(each.share),
            "ceiling": at_each(each.ceiling),
            "floor": at_each(lambda t, each=each: each.floor(tau=t)),
            "rescaled": at_each(lambda t, each=each: each.rescaled(tau=t)),
        }
        for edge, each in kept.items()
        if np.isfinite(each.share(tau).estimate)
    ]
    curves = json.dumps({"taus": [round(float(t), 3) for t in taus], "tau": tau, "pairs": pairs})
    return HTML(
        f'<div class="featrack-tau" data-curves="{escape(curves)}">'
        "<p>In the built book a slider stands here: it moves the threshold of the figure above.</p>"
        "</div>"
    )


def best_match_histogram(
    r: Mapping[str, np.ndarray], ceiling: Mapping[str, np.ndarray], tau: float
) -> Figure:
    """Best correlation of each parent feature with any child feature, one panel per pair.

    `ceiling` holds, for the same pairs, best correlations between two seeds of the parent,
    drawn as an outline; a pair without has none. Correlations have no unit; `tau` is the
    threshold above which a feature persists.
    """
    bins = np.linspace(min(0.0, *(np.nanmin(v) for v in r.values() if len(v)), 0.0), 1, 41)
    figure, axes = panels(len(r), 1.9)
    for axis, (pair, values) in zip(axes, r.items(), strict=True):
        child = colour_of(pair.split("_")[-1])
        for data, look in (
            (values, {"color": child, "alpha": 0.75}),
            (ceiling.get(pair, ()), {"color": "black", "histtype": "step", "lw": 1.2}),
        ):
            data = np.asarray(data)[np.isfinite(data)]
            # Shares of features, so that dictionaries of different sizes can be compared.
            axis.hist(data, bins=bins, weights=np.full(data.size, 1 / max(data.size, 1)), **look)
        axis.axvline(tau, color=GREY, ls=":")
        axis.set_title(pair_label(pair))
        axis.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
        axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    figure.supxlabel("best correlation r", fontsize=11)
    figure.supylabel("share of parent features", fontsize=11)
    handles = [
        Patch(color=GREY, alpha=0.75, label="parent → child"),
        Patch(fill=False, ec="black", label="parent → its own other seed"),
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=2)
    return figure

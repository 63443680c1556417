"""Figures of persisting shares beside what they could be at most and by chance."""

import json
from collections.abc import Mapping
from html import escape
from typing import Any

import numpy as np
import pandas as pd
from IPython.display import HTML
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, PercentFormatter

from featrack_utils.display.style import GREY, colour_of, pair_label, panels, single
from featrack_utils.statistics.persistence import Persistence


def _colour(pair: str) -> str:
    return colour_of(pair.split("_")[-1])


def shares_with_ceiling(df: pd.DataFrame) -> Figure:
    """Persisting share of each pair between its floors and its ceiling: the headline picture.

    Columns: pair, share, ci_low, ci_high, ceiling, floor, and where known raw (the share as
    counted) and floor_random_model; shares of one. What is missing (NaN) isn't drawn. Pairs are
    drawn from top to bottom in the order given.
    """
    rows, colours = np.arange(len(df)), [_colour(pair) for pair in df["pair"]]
    ticks = {
        "ceiling": ("black", "ceiling"),
        "floor": ("#999999", "floor"),
        "floor_random_model": ("#cccccc", "random model"),
    }
    ticks = {name: look for name, look in ticks.items() if name in df and df[name].notna().any()}
    figure, axis = single(0.45 * len(df) + 1.5)
    axis.hlines(rows, df["floor"].fillna(0), df["ceiling"], color="#bbbbbb", lw=1)
    for name, (colour, _) in ticks.items():
        axis.vlines(df[name], rows - 0.3, rows + 0.3, color=colour, lw=3)
    axis.hlines(rows, df["ci_low"], df["ci_high"], color=colours, lw=3)
    axis.scatter(df["share"], rows, s=80, color=colours, ec="white", zorder=3)
    marks = [Line2D([], [], color=GREY, marker="o", ms=8, lw=3, label="persisting [95 % CI]")]
    if "raw" in df:
        axis.scatter(df["raw"], rows, s=25, color="#999999", ec="white", zorder=4)
        marks.append(Line2D([], [], color="#999999", marker="o", ms=5, ls="", label="as counted"))
    marks += [
        Line2D([], [], color=colour, marker="|", ms=13, mew=3, ls="", label=words)
        for colour, words in ticks.values()
    ]
    axis.set_yticks(rows, [pair_label(pair) for pair in df["pair"]])
    axis.set_ylim(len(df) - 0.5, -0.5)
    axis.set_xlim(left=-0.01)  # a floor at 0 is to be seen
    axis.grid(axis="y", visible=False)
    axis.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axis.set_xlabel("share of parent features that persist")
    figure.legend(handles=marks, loc="outside lower center", ncols=2, handletextpad=0.5)
    return figure


def threshold_curve(df: pd.DataFrame, tau: float) -> Figure:
    """Persisting share against the threshold, one panel per pair, with ceiling and floor.

    Columns: pair, tau, share, and where known ceiling and floor; `<name>_low` and `<name>_high`
    beside any of the three are drawn as its band. `tau` marks the threshold used elsewhere.
    """
    pairs = list(dict.fromkeys(df["pair"]))
    figure, axes = panels(len(pairs), 1.9)
    looks = {"ceiling": ("black", "--"), "floor": (GREY, ":"), "share": (None, "-")}
    looks = {name: look for name, look in looks.items() if name in df}
    for axis, pair in zip(axes, pairs, strict=True):
        rows = df[df["pair"] == pair].sort_values("tau")
        for name, (colour, dashes) in looks.items():
            colour = colour or _colour(pair)
            # A thin line on a strong band: the intervals are only a few points wide.
            axis.plot(rows["tau"], rows[name], color=colour, ls=dashes, lw=1.1)
            if f"{name}_low" in rows:
                band = rows[f"{name}_low"], rows[f"{name}_high"]
                axis.fill_between(rows["tau"], *band, color=colour, alpha=0.4, lw=0)
        axis.axvline(tau, color=GREY, lw=1)
        axis.set(title=pair_label(pair), ylim=(0, 1))
        axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    words = {"share": "persisting"}
    marks = [
        Line2D([], [], color=colour or GREY, ls=dashes, lw=1.1, label=words.get(name, name))
        for name, (colour, dashes) in looks.items()
    ]
    if "share_low" in df:
        marks.append(Patch(color=GREY, alpha=0.4, lw=0, label="95 %"))
    figure.supxlabel("threshold τ on the correlation r", fontsize=11)
    figure.supylabel("share of parent features", fontsize=11)
    figure.legend(handles=marks, loc="outside upper center", ncols=4, columnspacing=1.2)
    return figure


def at_thresholds(kept: Mapping[tuple[str, str], Persistence], tau: float) -> dict[str, Any]:
    """Each edge's share, ceiling, floor and rescaled persistence for `moving_threshold`.

    Edges without a share at `tau` are left out.
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
    return {"taus": [round(float(t), 3) for t in taus], "pairs": pairs}


def moving_threshold(tau: float, curves: Mapping[str, Any]) -> HTML:
    """What stands at each of some thresholds, at one that the reader moves from `tau`.

    `curves` are of `at_thresholds`, `flow_figure.moving_flow`, or both united, which
    `book/_static/tau.js` shows on the built page, without a kernel.
    """
    return HTML(
        f'<div class="featrack-tau" data-curves="{escape(json.dumps({"tau": tau, **curves}))}">'
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

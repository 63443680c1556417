"""Figures of features: how many are missed elsewhere, and where they lie on a map."""

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
import pandas as pd
from IPython.display import HTML
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from featrack_utils.display.style import GREY, WIDTH, colour_of, panels
from featrack_utils.lineage import label
from featrack_utils.statistics.intervals import Interval

_PALE = "#d9d9d9"
_DPI = 220  # of the dots, which would make a vector figure of megabytes
# Neighbouring numbers differ; none of the models' own colours is asked to mean a cluster.
_CYCLE = ("#332288", "#88CCEE", "#117733", "#999933", "#882255", "#AA4499", "#661100", "#6699CC")


def missed_shares(rows: Mapping[str, Mapping[str, Interval | str]]) -> Figure:
    """Shares of features missed elsewhere, beside what is missed anyway and at most.

    By its title each row has the model that it has its colour from, and an interval for "" (in
    the other model), .unchanged (where nothing happened) and .random_mlp.
    """
    looks = (
        ("", 0, {"marker": "o", "label": "in the other model"}),
        (".unchanged", -0.2, {"marker": "D", "label": "where nothing happened"}),
        (".random_mlp", 0.2, {"marker": "s", "label": "with a random MLP"}),
    )
    figure = Figure(figsize=(WIDTH, 0.55 * len(rows) + 1.2), layout="constrained")
    axis = figure.subplots()
    for place, row in enumerate(rows.values()):
        for end, shift, look in looks:
            colour = colour_of(row["model"]) if not end else "black" if shift < 0 else GREY
            share = row[end]
            axis.plot([share.low, share.high], [place + shift] * 2, color=colour, lw=1.5)
            axis.plot(share.estimate, place + shift, color=colour, ls="", ms=5, **look)
    axis.set(xlabel="share of reproducible features missed", xlim=(0, 1))
    axis.set(yticks=range(len(rows)), yticklabels=rows)
    axis.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axis.invert_yaxis()
    figure.legend(
        *(each[: len(looks)] for each in axis.get_legend_handles_labels()),
        loc="outside upper center",
        ncols=3,
    )
    return figure


def map_panels(mapped: pd.DataFrame, chosen: Mapping[str, np.ndarray]) -> Figure:
    """Small multiples of one map: each shows some features in their model's colour, all in grey.

    `mapped` has the columns model, x and y; `chosen` maps a panel's title to bool [n_features].
    """
    figure, axes = panels(len(chosen), 2.3)
    figure.set_dpi(_DPI)
    # In random order, or the model drawn last would hide the others.
    order = np.random.default_rng(0).permutation(len(mapped))
    mapped = mapped.iloc[order]
    colours = mapped["model"].map(colour_of).to_numpy()
    for axis, (title, mask) in zip(axes, chosen.items(), strict=True):
        _dots(axis, mapped, _PALE)
        _dots(axis, mapped[mask[order]], colours[mask[order]])
        axis.set_title(f"{title}: {np.count_nonzero(mask):,}")
    return _named(figure)


def live_map(mapped: pd.DataFrame, words: Sequence[str]) -> HTML:
    """The map for the book's page, where map.js draws it to move over and to click.

    `mapped` has the columns model, feature, x, y and kind; `words` says for each feature what it
    answers to, in one line. Nothing is seen of it in JupyterLab.
    """
    models, kinds = (list(dict.fromkeys(mapped[column])) for column in ("model", "kind"))
    places = mapped[["x", "y"]] - mapped[["x", "y"]].min()
    # As far from the edges as a ring around a point is wide; y grows downwards on a screen.
    places = (20 + 960 * places / places.to_numpy().max()).round().astype(int)
    columns = {
        "model": mapped["model"].map(models.index),
        "feature": mapped["feature"],
        "x": places["x"],
        "y": 1000 - places["y"],
        "kind": mapped["kind"].map(kinds.index),
    }
    data = {
        "models": ",".join(models),
        "labels": ",".join(map(label, models)),
        "colours": ",".join(map(colour_of, models)),
        "kinds": ",".join(kinds),
        "points": ";".join(",".join(map(str, row)) for row in zip(*columns.values(), strict=True)),
        "words": "\n".join(words),
    }
    attributes = " ".join(f'data-{name}="{escape(text)}"' for name, text in data.items())
    return HTML(f'<div class="featrack-map" hidden {attributes}></div>')


def cluster_map(mapped: pd.DataFrame, numbered: int) -> Figure:
    """The map with each cluster in a colour and the largest `numbered` of them numbered.

    `mapped` has the columns x, y and cluster (−1: none, in pale grey).
    """
    figure = Figure(figsize=(WIDTH, 4.6), layout="constrained", dpi=_DPI)
    axis = figure.subplots()
    inside = mapped[mapped["cluster"] >= 0]
    _dots(axis, mapped[mapped["cluster"] < 0], _PALE)
    _dots(axis, inside, [_CYCLE[number % len(_CYCLE)] for number in inside["cluster"]])
    halo = [patheffects.withStroke(linewidth=2.5, foreground="white")]
    for number, rows in inside[inside["cluster"] < numbered].groupby("cluster"):
        place = rows[["x", "y"]].median()
        text = axis.text(*place, str(number), ha="center", va="center", fontsize=9.5, color="black")
        text.set_path_effects(halo)
    return _named(figure)


def _dots(axis: Axes, mapped: pd.DataFrame, colours: object) -> None:
    axis.scatter(mapped["x"], mapped["y"], s=3, c=colours, linewidths=0, rasterized=True)


def _named(figure: Figure) -> Figure:
    for axis in figure.axes:
        # Only who is beside whom means something, so no number stands on the axes.
        axis.set(xticks=[], yticks=[], aspect="equal")
        axis.grid(visible=False)
    figure.supxlabel("first coordinate of the layout, no unit", fontsize=10, color=GREY)
    figure.supylabel("second coordinate", fontsize=10, color=GREY)
    return figure

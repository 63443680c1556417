"""Figures of features: how many are missed elsewhere, and where they lie on a map."""

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
import pandas as pd
from IPython.display import HTML
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from featrack_utils.display.style import GREY, WIDTH, colour_of, panels
from featrack_utils.lineage import label

_PALE = "#d9d9d9"
_DPI = 220  # of the dots, which would make a vector figure of megabytes
# Neighbouring numbers differ; none of the models' own colours is asked to mean a cluster.
_CYCLE = ("#332288", "#88CCEE", "#117733", "#999933", "#882255", "#AA4499", "#661100", "#6699CC")


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

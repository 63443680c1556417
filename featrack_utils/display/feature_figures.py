"""Figures of single features: how many are lost, and where they lie on a map."""

from collections.abc import Mapping, Sequence
from itertools import cycle

import numpy as np
import pandas as pd
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from featrack_utils.display.style import GREY, WIDTH, colour_of, panels

_PALE = "#d9d9d9"
_DPI = 220  # of the dots, which would make a vector figure of megabytes
# Neighbouring numbers differ; none of the models' own colours is asked to mean a cluster.
_CYCLE = ("#332288", "#88CCEE", "#117733", "#999933", "#882255", "#AA4499", "#661100", "#6699CC")


def how_many_below(
    best_r: Mapping[str, tuple[str, Sequence[float]]], thresholds: Mapping[str, float]
) -> Figure:
    """Number of features whose best correlation in another dictionary lies below r.

    `best_r` maps a label to the model that a curve has its colour from ("": black) and one best r
    per feature. Each of the `thresholds` is a dotted line with its name.
    """
    figure = Figure(figsize=(WIDTH, 3.4), layout="constrained")
    axis = figure.subplots()
    for (text, (model, values)), dash in zip(best_r.items(), cycle(("-", "--", ":", "-."))):
        r, colour = np.sort(values), colour_of(model) if model else "black"
        axis.step(r, np.arange(1, len(r) + 1), where="post", label=text, color=colour, ls=dash)
    for name, place in thresholds.items():
        axis.axvline(place, color=GREY, ls=":", lw=1)
        axis.annotate(name, (place, 1.02), xycoords=("data", "axes fraction"), ha="center")
    axis.set(xlabel="best correlation r", ylabel="features with a best r below")
    if any(len(values) for _, values in best_r.values()):
        axis.set_yscale("log")  # the few on the far left are what matters
    if best_r:
        figure.legend(loc="outside upper center", ncols=2)
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

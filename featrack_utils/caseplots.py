"""The figure of the chapter on lost and new features."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from featrack_utils.plots import GREY, MODEL_COLOURS, WIDTH, model_of


def how_many_below(best_r: Mapping[str, Sequence[float]], tau: float, far: float) -> Figure:
    """Number of features whose best correlation in another dictionary lies below r.

    `best_r` maps a label ("Lua", or one that names no model, drawn black) to one best r per
    feature, the same features for all. Dotted lines at `tau` and `far`. Counts start at 1: the
    axis is logarithmic.
    """
    figure = Figure(figsize=(WIDTH, 3.4), layout="constrained")
    axis = figure.subplots()
    for label, values in best_r.items():
        r = np.sort(values)
        colour = MODEL_COLOURS.get(model_of(label), "black")
        axis.step(r, np.arange(1, len(r) + 1), where="post", color=colour, label=label)
    for place, name in ((tau, "τ"), (far, "far")):
        axis.axvline(place, color=GREY, ls=":", lw=1)
        axis.annotate(name, (place, 1.0), xycoords=("data", "axes fraction"), ha="center",
                      xytext=(0, 2), textcoords="offset points", color=GREY)  # fmt: skip
    axis.set_yscale("log")
    axis.set(xlabel="best correlation r", ylabel="features with a best r below")
    if best_r:
        axis.legend(loc="lower right", title="sought in")
    return figure

"""The figure of the chapter on lost and new features."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from featrack_utils.display.style import GREY, MODEL_COLOURS, WIDTH, model_of

_DASHES = ("-", "--", ":")


def how_many_below(best_r: Mapping[str, Sequence[float]], tau: float, far: float) -> Figure:
    """Number of features whose best correlation in another dictionary lies below r.

    `best_r` maps a label ("Lua", or one that names no model, drawn black, each in another dash)
    to one best r per feature, the same features for all. Dotted lines at `tau` and `far`.
    Counts start at 1: the axis is logarithmic. Without a single value the figure says so.
    """
    figure = Figure(figsize=(WIDTH, 3.4), layout="constrained")
    axis = figure.subplots()
    dashes = iter(_DASHES * len(best_r))
    for label, values in best_r.items():
        r, colour = np.sort(values), MODEL_COLOURS.get(model_of(label))
        look = {"color": colour} if colour else {"color": "black", "ls": next(dashes)}
        axis.step(r, np.arange(1, len(r) + 1), where="post", label=label, **look)
    for place, name in ((tau, "τ"), (far, "far")):
        axis.axvline(place, color=GREY, ls=":", lw=1)
        axis.annotate(
            name,
            (place, 1.0),
            xycoords=("data", "axes fraction"),
            ha="center",
            xytext=(0, 2),
            textcoords="offset points",
            color=GREY,
        )
    if any(len(values) for values in best_r.values()):
        axis.set_yscale("log")
    else:
        axis.set_yticks([])
        axis.text(0.5, 0.5, "no feature to seek", ha="center", transform=axis.transAxes)
    axis.set(xlabel="best correlation r", ylabel="features with a best r below")
    if best_r:
        figure.legend(loc="outside upper center", title="sought in", ncols=2)
    return figure

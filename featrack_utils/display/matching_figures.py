"""Figures of how well features match."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, PercentFormatter

from featrack_utils.display.style import GREY, colour_of, pair_label, panels


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

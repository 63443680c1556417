"""Explanations shown: scores as histograms, true activations beside those foretold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import pandas as pd
from IPython.display import HTML
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import PercentFormatter

from featrack_utils.display.shading import ShadedFeature, shade_side_by_side
from featrack_utils.display.style import GREY, colour_of, panels
from featrack_utils.lineage import label


def show_foretold(example: Mapping[str, Any], model: str) -> HTML:
    """A feature in two strips an excerpt: as it is, and as is foretold.

    `example` has feature, explanation, simulation_r and contexts: (tokens, true, simulated) each.
    """
    name = f"{model} {example['feature']}"
    link = f'<a href="explorer.html#{model}-{example["feature"]}">{name}</a>'
    true = [(tokens, values) for tokens, values, _ in example["contexts"]]
    foretold = [(tokens, values) for tokens, _, values in example["contexts"]]
    peak = max(max(values) for _, values in true)
    strips = shade_side_by_side(
        [
            ShadedFeature(f"{name}, as it is", true, peak, colour_of(model)),
            ShadedFeature("as the lookup foretells it", foretold, peak, GREY),
        ]
    )
    score = f"r = {example['simulation_r']:.2f}"
    said = escape(example["explanation"]).replace("“ ", "“\u00a0")  # no line ends inside quotes
    title = f"{link}, {score}: <bdi>{said}</bdi>"
    return HTML(f'<p class="featrack-caption">{title}</p>\n{strips.data}')


def score_histograms(own: pd.DataFrame, models: Sequence[str]) -> Figure:
    """The paper's Figure 6: scores of all features (grey) and of persisting ones (outline).

    One column per model; above the simulation score, below the random-only one. `own` holds one
    explainer's scores as in `explain.run.Scores`; lines mark the medians.
    """
    bins = np.linspace(-0.2, 1, 31)
    figure, axes = panels(2 * len(models), 2.0, columns=len(models))
    each = [(column, model) for column in ("simulation_r", "random_r") for model in models]
    for axis, (column, model) in zip(axes, each, strict=True):
        rows = own[(own["model"] == model) & own["able"] & own[column].notna()]
        for chosen, look in (
            (rows, {"color": "#bbbbbb"}),
            (
                rows[rows["persisting"]],
                {"color": colour_of(model), "histtype": "step", "lw": 2},
            ),
        ):
            values = chosen[column].clip(bins[0], 1).to_numpy()
            if values.size:
                axis.hist(values, bins=bins, weights=np.full(values.size, 1 / values.size), **look)
                axis.axvline(np.median(values), color=look["color"], ls=":", lw=1.5)
        kind = "simulation" if column == "simulation_r" else "random-only"
        axis.set_title(f"{label(model)}, {kind}")
        axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    figure.supxlabel("score r (higher is better)", fontsize=11)
    figure.supylabel("share of features", fontsize=11)
    handles = [
        Patch(color="#bbbbbb", label="all"),
        Patch(fill=False, ec=GREY, lw=2, label="persisting"),
        Line2D([], [], color=GREY, ls=":", label="median"),
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=3)
    return figure

"""The figures that the live chapter shows both still and under its controls."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font
from matplotlib.ticker import FuncFormatter, NullFormatter

from featrack_utils.display.shading import visible
from featrack_utils.display.style import GREY, MARKERS, WIDTH, colour_of
from featrack_utils.display.training_figures import weight_label
from featrack_utils.lineage import label

_FONT = "DejaVu Sans Mono"  # comes with matplotlib
LEAST = 1e-8  # probability at the left end of the axis, where there are smaller ones


def blend_figure(
    losses: pd.DataFrame,
    activations: pd.DataFrame,
    model: str,
    feature: int,
    ends: tuple[str, str],
    t: float,
) -> Figure:
    """Loss between two models' weights against t, and below it one feature's activation.

    Columns of `losses`: t, domain, loss (nats per token); of `activations`: t, place, activation.
    `ends` are the models at t = 0 and 1; `t` is marked by a vertical line.
    """
    figure = Figure(figsize=(WIDTH, 4.6), layout="constrained")
    above, below = figure.subplots(2, sharex=True, height_ratios=(3, 2))
    for number, (domain, rows) in enumerate(losses.groupby("domain", sort=False)):
        look = {"color": colour_of(domain), "marker": MARKERS[number % len(MARKERS)], "ms": 4}
        above.plot(rows["t"], rows["loss"], **look, label=label(domain))
    above.set_ylabel("loss, nats per token\n(lower is better)")
    for _, rows in activations.groupby("place"):
        below.plot(rows["t"], rows["activation"], color=colour_of(model), lw=1.5)
    if activations.empty:
        below.set_yticks([])
        below.text(0.5, 0.5, "never active", ha="center", transform=below.transAxes)
    below.set(ylabel=f"activation of\n{model} {feature}", xlim=(-0.02, 1.02))
    below.set_ylim(bottom=0)
    below.set_xlabel(weight_label(ends))
    for axis in (above, below):
        axis.axvline(t, color=GREY, ls=":")
    handles = above.get_legend_handles_labels()
    figure.legend(*handles, loc="outside upper center", ncols=4, handlelength=1.2, columnspacing=1)
    return figure


def probability_figure(changes: pd.DataFrame, model: str) -> Figure:
    """Probabilities of the next token with and without a feature, one row a token.

    Columns: token (text), clean, without. From top to bottom in the order given. On a logarithmic
    axis, for one token often has nearly all of the probability; what is below LEAST is drawn there.
    """
    figure = Figure(figsize=(WIDTH, 0.3 * len(changes) + 1.2), layout="constrained")
    axis = figure.subplots()
    rows = np.arange(len(changes))
    clean, without = (np.maximum(changes[c].to_numpy(), LEAST) for c in ("clean", "without"))
    colour = colour_of(model)
    axis.hlines(rows, clean, without, color=colour, lw=1.5, zorder=1)
    axis.scatter(clean, rows, s=42, color=GREY, label="clean", zorder=2)
    look = {"color": colour, "marker": "D", "zorder": 3}
    axis.scatter(without, rows, s=42, **look, label="without the feature")
    axis.set_yticks(rows, [_drawable(token) for token in changes["token"]])
    for text in axis.get_yticklabels():
        text.set_parse_math(False)  # a token with two dollar signs is no formula
        text.set_fontfamily(_FONT)
    axis.set_ylim(len(changes) - 0.5, -0.5)
    axis.set_xscale("log")
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g} %"))
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.set_xlabel("probability of the next token (logarithmic)")
    figure.legend(loc="outside upper center", ncols=2)
    return figure


def _drawable(token: str) -> str:
    """A token's text, with the number of each character that the font can't draw."""
    glyph = get_font(findfont(_FONT)).get_char_index
    signs = ((character, visible(character)) for character in token)
    return "".join(
        sign if all(map(glyph, map(ord, sign))) else f"<U+{ord(character):04X}>"
        for character, sign in signs
    )

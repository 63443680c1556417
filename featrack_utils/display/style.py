"""The one place for the book's looks: style, colours, names, sizes.

The figures themselves stand in the files beside this one, by subject. Each takes tidy data and
returns a figure that is not registered with pyplot, so that it is shown once.
"""

from collections.abc import Iterable

import seaborn as sns
from IPython import get_ipython
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib_inline.backend_inline import set_matplotlib_formats

from featrack_utils.lineage import Lineage, label

GREY = "#666666"
# Inches. At 390 px the book scales this width to three quarters, which keeps 11 pt readable.
WIDTH = 5.0
_STYLE = {
    "font.size": 11,
    "axes.titlesize": 11,
    "axes.labelsize": 11,
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
    "legend.fontsize": 10,
    "legend.frameon": False,
    "lines.linewidth": 2,
    # White in light and dark theme alike: the page sets figures on a white card.
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "figure.constrained_layout.use": True,
    # Equal figures are equal files, so the book can be compared byte by byte.
    "svg.hashsalt": "featrack",
}


# Okabe and Ito's colours, told apart with any kind of sight; given out in a lineage's order.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#F0E442", "#000000")
MARKERS = "osD^vPX*"  # beside colour, for those who can't tell the colours apart
_colours: dict[str, str] = {}


def use_style(lineage: Lineage | None = None) -> None:
    """Sets the book's style and, with a lineage, gives its models and domains their colours.

    A domain has the colour of the one model that is tuned on it. Domains that no model, or more
    than one, is tuned on get the colours that are left. Inside a notebook figures also become
    scalable, dateless SVG.
    """
    sns.set_theme(style="whitegrid", rc=_STYLE)
    if get_ipython() is not None:
        set_matplotlib_formats("svg", metadata={"Date": None})
    if lineage is None:
        return
    _colours.clear()
    left = iter(PALETTE[len(lineage.order) :] + PALETTE * len(lineage.domains))
    _colours.update(zip(lineage.order, PALETTE * len(lineage.order), strict=False))
    for domain in lineage.domains:
        tuned = [model for model in lineage.tuned if domain in lineage.trained_on(model)]
        if domain not in _colours:
            _colours[domain] = _colours[tuned[0]] if len(tuned) == 1 else next(left)


def colour_of(name: str) -> str:
    """The colour of a model or domain of the lineage in use; grey for any other name."""
    return _colours.get(name, GREY)


def in_order(names: Iterable[str]) -> list[str]:
    """Those models or domains once each, in the lineage's order; unknown ones at the end."""
    present = dict.fromkeys(names)
    known = [name for name in _colours if name in present]
    return known + [name for name in present if name not in known]


def pair_label(parent: str, child: str | None = None) -> str:
    """A pair as read: "old", "new" (or "old_new", as results have it) is "Old → New"."""
    names = parent.split("_") if child is None else (parent, child)
    return " → ".join(map(label, names))


def panels(count: int, height: float, columns: int = 2) -> tuple[Figure, list[Axes]]:
    """A grid of `count` panels, each `height` inches high, that share both axes."""
    rows = -(-count // columns)
    figure = Figure(figsize=(WIDTH, height * rows), layout="constrained")
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    axes = list(grid.flat)
    for axis in axes[count:]:
        axis.remove()
    for axis in axes[max(count - columns, 0) : count]:
        axis.tick_params(labelbottom=True)
    return figure, axes[:count]


def single(height: float) -> tuple[Figure, Axes]:
    """A figure of one panel, `height` inches high."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, figure.subplots()

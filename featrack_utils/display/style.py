"""The one place for the book's looks, and the figures that more than one chapter draws.

Every function takes tidy data and returns a figure that is not registered with pyplot, so a
notebook cell that ends with the call shows it once.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import seaborn as sns
from IPython import get_ipython
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter
from matplotlib_inline.backend_inline import set_matplotlib_formats

from featrack_utils.errors import FeatrackError
from featrack_utils.lineage import Lineage

MODEL_COLOURS = {"base": "#0072B2", "lua": "#D55E00", "stories": "#009E73", "merged": "#CC79A7"}
MODEL_LABELS = {"base": "Base", "lua": "Lua", "stories": "Stories", "merged": "Merged"}
DOMAIN_LABELS = {"english": "English", "python": "Python", "lua": "Lua", "stories": "Stories"}
# Lua and Stories texts carry the colour of the model that is tuned on them.
DOMAIN_COLOURS = {"english": "#56B4E9", "python": "#E69F00", "lua": "#D55E00", "stories": "#009E73"}
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
_colours: dict[str, str] = {}


def use_lineage(lineage: Lineage) -> None:
    """Gives each model of a lineage its colour, and each domain that of the one model tuned on it.

    Domains that no model, or more than one, was tuned on get the colours that are left.
    """
    _colours.clear()
    for number, model in enumerate(lineage.order):
        _colours[model] = PALETTE[number % len(PALETTE)]
    rest = len(lineage.order)
    for domain in lineage.domains:
        tuned = [model for model in lineage.tuned if domain in lineage.trained_on(model)]
        if len(tuned) == 1:
            _colours.setdefault(domain, _colours[tuned[0]])
        else:
            _colours.setdefault(domain, PALETTE[rest % len(PALETTE)])
            rest += 1


def colour_of(name: str) -> str:
    """The colour of a model or domain of the lineage in use; grey for any other name."""
    return _colours.get(name, GREY)


def use_style() -> None:
    """Set the book's style; inside a notebook figures also become scalable, dateless SVG."""
    sns.set_theme(style="whitegrid", rc=_STYLE)
    if get_ipython() is not None:
        set_matplotlib_formats("svg", metadata={"Date": None})


def pair_label(pair: str) -> str:
    """A pair's name as read: "base_lua" is "Base → Lua"."""
    return " → ".join(MODEL_LABELS.get(model, model) for model in pair.split("_"))


def model_of(label: str) -> str | None:
    """The model that a label such as "merged seed 1" or "lua_stories" names first."""
    first = label.lower().replace("_", " ").split(" ")[0]
    return first if first in MODEL_COLOURS else None


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


def _single(height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, figure.subplots()


def require_columns(df: pd.DataFrame, *columns: str) -> None:
    """Raise FeatrackError if a figure's data lack one of `columns` or have no rows."""
    if absent := [column for column in columns if column not in df.columns]:
        raise FeatrackError(f"The figure's data lack {', '.join(absent)}: add them as columns.")
    if df.empty:
        raise FeatrackError("The figure's data have no rows: there is nothing to draw.")


def _readable_tokens(value: float, _position: int) -> str:
    if value >= 1e6:
        return f"{value / 1e6:g} M"
    return f"{value / 1e3:g} k" if value >= 1e3 else f"{value:g}"


def loss_curves(history: pd.DataFrame) -> Figure:
    """Loss (nats per token) against tokens seen. Columns: model, tokens, loss, split.

    Training is drawn thin, validation thick with a dot at each evaluation.
    """
    require_columns(history, "model", "tokens", "loss", "split")
    figure, axis = _single(3.4)
    models = [model for model in MODEL_COLOURS if model in set(history["model"])]
    for model in models:
        rows = history[history["model"] == model].dropna(subset="loss").sort_values("tokens")
        train, valid = rows[rows["split"] == "train"], rows[rows["split"] != "train"]
        colour = MODEL_COLOURS[model]
        axis.plot(train["tokens"], train["loss"], color=colour, lw=1, alpha=0.55)
        axis.plot(valid["tokens"], valid["loss"], color=colour, lw=2, marker="o", ms=4)
    axis.set(xlabel="training tokens", ylabel="loss, nats per token\n(lower is better)")
    axis.xaxis.set_major_formatter(FuncFormatter(_readable_tokens))
    handles = [Line2D([], [], color=MODEL_COLOURS[m], label=MODEL_LABELS[m]) for m in models]
    if "train" in set(history["split"]):
        handles.append(Line2D([], [], color=GREY, lw=1, label="training"))
    if set(history["split"]) - {"train"}:
        handles.append(Line2D([], [], color=GREY, marker="o", ms=4, label="validation"))
    axis.legend(handles=handles, ncols=2)
    return figure


def domain_heatmap(df: pd.DataFrame, value: str, title: str, best: str = "low") -> Figure:
    """A model × domain grid of `value`, the best model of each domain in bold.

    Columns: model, domain, `value`. `best` is "low" for losses, "high" for accuracies.
    """
    require_columns(df, "model", "domain", value)
    grid = df.pivot(index="model", columns="domain", values=value)
    grid = grid.reindex(
        index=[m for m in MODEL_LABELS if m in grid.index],
        columns=[d for d in DOMAIN_LABELS if d in grid.columns],
    )
    figure, axis = _single(0.5 * len(grid) + 1.1)
    palette = "crest" if best == "low" else "crest_r"
    sns.heatmap(grid, ax=axis, annot=True, fmt=".2f", cmap=palette, cbar=False, linewidths=1)
    winners = grid.idxmin() if best == "low" else grid.idxmax()
    for text, (model, domain) in zip(
        axis.texts, [(m, d) for m in grid.index for d in grid.columns], strict=True
    ):
        text.set_fontweight("bold" if winners[domain] == model else "normal")
    axis.set_xticklabels([DOMAIN_LABELS[domain] for domain in grid.columns])
    axis.set_yticklabels([MODEL_LABELS[model] for model in grid.index], rotation=0)
    axis.set(xlabel="validation text", ylabel="model", title=title)
    return figure


def sweep_figure(df: pd.DataFrame, base: Mapping[str, float], t_balanced: float | None) -> Figure:
    """The paper's Figure 5: accuracy on both domains against the merge weight t.

    Columns: t, domain, accuracy. `base` gives the base model's accuracy per domain (dashed).
    """
    require_columns(df, "t", "domain", "accuracy")
    figure, axis = _single(3.4)
    for domain, rows in df.groupby("domain", sort=True):
        colour, label = DOMAIN_COLOURS[domain], DOMAIN_LABELS[domain]
        rows = rows.sort_values("t")
        axis.plot(rows["t"], rows["accuracy"], color=colour, marker="o", ms=4, label=label)
        if domain in base:
            axis.axhline(base[domain], color=colour, ls="--", lw=1.5, label=f"{label}, base model")
    if t_balanced is not None:
        axis.axvline(t_balanced, color=GREY, ls=":", label=f"balanced t = {t_balanced:.2f}")
    axis.set(xlabel="merge weight t (0 is Lua, 1 is Stories)", xlim=(-0.02, 1.02))
    axis.set_ylabel("next-token accuracy\n(higher is better)")
    figure.legend(*axis.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def density_histograms(densities: Mapping[str, np.ndarray]) -> Figure:
    """How often features are active, one panel per dictionary: log10 of the share of tokens.

    `densities` maps a label ("base seed 0") to shares, shape [d_sae]. Dead features have no
    logarithm and are counted in the panel's title.
    """
    if not densities:
        raise FeatrackError("There are no dictionaries whose densities could be drawn.")
    alive = {label: np.asarray(d)[np.asarray(d) > 0] for label, d in densities.items()}
    lowest = min((np.log10(d.min()) for d in alive.values() if d.size), default=-1.0)
    bins = np.linspace(np.floor(lowest), 0, 31)
    figure, axes = panels(len(densities), 1.75)
    for axis, (label, density) in zip(axes, alive.items(), strict=True):
        model = model_of(label)
        axis.hist(np.log10(density), bins=bins, color=MODEL_COLOURS[model] if model else GREY)
        axis.axvline(-1, color="black", ls=":", lw=1)
        axis.set_title(f"{label}: {len(densities[label]) - len(density):,} dead")
    figure.supxlabel("log₁₀ share of tokens on which a feature is active", fontsize=11)
    figure.supylabel("features", fontsize=11)
    return figure


def best_match_histogram(
    r: Mapping[str, np.ndarray], ceiling: Mapping[str, np.ndarray], tau: float
) -> Figure:
    """Best correlation of each parent feature with any child feature, one panel per pair.

    `ceiling` holds, for the same pairs, best correlations between two seeds of the parent,
    drawn as an outline; a pair without has none. Correlations have no unit; `tau` is the
    threshold above which a feature persists.
    """
    if not r:
        raise FeatrackError("There are no pairs whose best matches could be drawn.")
    bins = np.linspace(min(0.0, *(np.nanmin(v) for v in r.values() if len(v)), 0.0), 1, 41)
    figure, axes = panels(len(r), 1.9)
    for axis, (pair, values) in zip(axes, r.items(), strict=True):
        child = MODEL_COLOURS.get(pair.split("_")[-1], GREY)
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


def dictionary_history(history: pd.DataFrame) -> Figure:
    """Active features a token and variance explained while a dictionary learns.

    Columns: tokens (activations read), l0, variance_explained (a share of one).
    """
    require_columns(history, "tokens", "l0", "variance_explained")
    figure = Figure(figsize=(WIDTH, 2.6), layout="constrained")
    axes = figure.subplots(1, 2)
    for axis, column, label in zip(
        axes,
        ("l0", "variance_explained"),
        ("active features a token", "variance explained"),
        strict=True,
    ):
        axis.plot(history["tokens"], history[column], color=MODEL_COLOURS["base"])
        axis.set_title(label)
        axis.xaxis.set_major_formatter(FuncFormatter(_readable_tokens))
    axes[0].set_yscale("log")
    figure.supxlabel("activations read", fontsize=11)
    return figure

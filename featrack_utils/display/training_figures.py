"""Figures of trainings: of language models, of their merge, of dictionaries."""

import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter

from featrack_utils.display.style import GREY, colour_of, in_order, single
from featrack_utils.lineage import label


def loss_curves(history: pd.DataFrame) -> Figure:
    """Loss (nats per token) against tokens seen. Columns: model, tokens, loss, split.

    Training is drawn thin, validation thick with a dot at each evaluation.
    """
    figure, axis = single(3.4)
    models = in_order(history["model"])
    for model in models:
        rows = history[history["model"] == model].dropna(subset="loss").sort_values("tokens")
        train, valid = rows[rows["split"] == "train"], rows[rows["split"] != "train"]
        colour = colour_of(model)
        axis.plot(train["tokens"], train["loss"], color=colour, lw=1, alpha=0.55)
        axis.plot(valid["tokens"], valid["loss"], color=colour, lw=2, marker="o", ms=4)
    axis.set(xlabel="training tokens", ylabel="loss, nats per token\n(lower is better)")
    axis.xaxis.set_major_formatter(EngFormatter())
    handles = [Line2D([], [], color=colour_of(m), label=label(m)) for m in models]
    if history["split"].nunique() > 1:
        handles.append(Line2D([], [], color=GREY, lw=1, label="training"))
        handles.append(Line2D([], [], color=GREY, marker="o", ms=4, label="validation"))
    if len(handles) > 1:
        axis.legend(handles=handles, ncols=2)
    return figure


def domain_heatmap(df: pd.DataFrame) -> Figure:
    """A model × domain grid of losses (nats per token), the best model of each domain in bold.

    Columns: model, domain, loss.
    """
    grid = df.pivot(index="model", columns="domain", values="loss")
    grid = grid.reindex(index=in_order(df["model"]), columns=in_order(df["domain"]))
    figure, axis = single(0.5 * len(grid) + 1.1)
    sns.heatmap(grid, ax=axis, annot=True, fmt=".2f", cmap="crest", cbar=False, linewidths=1)
    winners = grid.idxmin()
    for text, (model, domain) in zip(
        axis.texts, [(m, d) for m in grid.index for d in grid.columns], strict=True
    ):
        text.set_fontweight("bold" if winners[domain] == model else "normal")
    axis.set_xticklabels([label(domain) for domain in grid.columns])
    axis.set_yticklabels([label(model) for model in grid.index], rotation=0)
    title = "loss, nats per token (lower is better)"
    axis.set(xlabel="validation text", ylabel="model", title=title)
    return figure


def weight_label(ends: tuple[str, str]) -> str:
    """The axis of a weight between two models: "weight t (0 is A, 1 is B)"."""
    return f"weight t (0 is {label(ends[0])}, 1 is {label(ends[1])})"

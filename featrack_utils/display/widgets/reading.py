"""Typed text: which features fire on it in the four models, matched ones side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import ipywidgets
import numpy as np
from IPython.display import HTML
from jaxtyping import Float

from featrack_utils.corpora.prepare import Corpora
from featrack_utils.display.shading import token_html
from featrack_utils.display.style import MODEL_COLOURS, MODEL_LABELS
from featrack_utils.display.widgets.live import LiveModel, encode, feature_acts
from featrack_utils.display.widgets.panel import Panel, connect, labelled
from featrack_utils.matching.correlation import BestMatches
from featrack_utils.pipeline.config import MODELS

PAIRS = tuple(combinations(MODELS, 2))
Matches = Mapping[tuple[str, str], BestMatches]  # one for each of PAIRS

_SHADE = 0.7  # of the full colour, at most, so that dark text on it stays legible
_BEFORE, _AFTER = 15, 8  # tokens shown around a feature's strongest one


class Fired(NamedTuple):
    """A feature on the typed text.

    Attributes:
        feature: its number in its dictionary.
        acts: its activation on every token.
        r: correlation with the feature that its row is about; None for that feature itself.
    """

    feature: int
    acts: Float[np.ndarray, " n"]
    r: float | None


def best_partner(matches: Matches, a: str, feature: int, b: str) -> tuple[int, float]:
    """The feature of model b that matches a feature of model a best, and their r; −1: none."""
    if (a, b) in matches:
        best = matches[a, b]
        return int(best.a_best_index[feature]), float(best.a_best_r[feature])
    best = matches[b, a]
    return int(best.b_best_index[feature]), float(best.b_best_r[feature])


def strongest_rows(
    acts: Mapping[str, Float[np.ndarray, "n d_sae"]], matches: Matches, tau: float, top: int
) -> list[dict[str, Fired]]:
    """The strongest features of each model on a text, one row for each and for its matches.

    Args:
        acts: by model.
        tau: a row holds another model's best match if its r exceeds this.
        top: how many features of each model get a row; one that stands in a stronger feature's
            row gets none of its own.

    Returns:
        rows from model to feature, the row with the strongest activation first.
    """
    peaks = {model: each.max(axis=0) for model, each in acts.items()}
    leaders = [
        (-float(peaks[model][i]), MODELS.index(model), int(i))
        for model in acts
        for i in np.argsort(-peaks[model], kind="stable")[:top]
        if peaks[model][i] > 0
    ]
    rows: list[dict[str, Fired]] = []
    seen: set[tuple[str, int]] = set()
    for _, place, feature in sorted(leaders):
        model = MODELS[place]
        if (model, feature) in seen:
            continue
        row = {model: Fired(feature, acts[model][:, feature], None)}
        for other in acts:
            if other != model:
                partner, r = best_partner(matches, model, feature, other)
                if partner >= 0 and r > tau:
                    row[other] = Fired(partner, acts[other][:, partner], r)
        seen |= {(name, fired.feature) for name, fired in row.items()}
        rows.append(row)
    return rows


def rows_html(
    rows: Sequence[Mapping[str, Fired]],
    pieces: Sequence[str],
    models: Mapping[str, LiveModel],
    caption: str,
    *,
    linked: bool,
) -> HTML:
    """A table of rows, one column a model, its tokens shaded by activation / peak.

    `linked`: names lead to the explorer, which stands beside the book's pages alone.
    """
    head = "".join(
        f'<th scope="col" style="text-align: left; border-bottom: 3px solid '
        f'{MODEL_COLOURS[model]}">{MODEL_LABELS[model]}</th>'
        for model in models
    )
    body = "\n".join(
        "<tr>"
        + "".join(_cell(row.get(model), pieces, live, linked) for model, live in models.items())
        + "</tr>"
        for row in rows
    )
    return HTML(
        f'<p class="featrack-caption">{caption}</p>\n'
        f'<div class="featrack-table" role="region" aria-label="{caption}" '
        'tabindex="0" style="overflow-x: auto">\n'
        f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>\n</div>"
    )


def _cell(fired: Fired | None, pieces: Sequence[str], live: LiveModel, linked: bool) -> str:
    style = "text-align: left; vertical-align: top; min-width: 13em; white-space: normal"
    if fired is None:
        return f'<td style="{style}; opacity: 0.75">no match</td>'
    title = f"<b>{live.name} {fired.feature}</b>"
    if linked:
        title = f'<a href="explorer.html#{live.name}-{fired.feature}">{title}</a>'
    if fired.r is not None:
        title += f", r {fired.r:.2f}"
    strip = _strip(pieces, fired.acts, live.peaks[fired.feature], MODEL_COLOURS[live.name])
    return f'<td style="{style}">{title}<br>{strip}</td>'


def _strip(pieces: Sequence[str], acts: np.ndarray, peak: float, colour: str) -> str:
    if not acts.max() > 0:
        return "silent on this text"
    strongest = int(acts.argmax())
    start, end = max(0, strongest - _BEFORE), min(len(acts), strongest + _AFTER + 1)
    spans = []
    for piece, act in zip(pieces[start:end], acts[start:end], strict=True):
        alpha = round(255 * _SHADE * min(1.0, act / max(peak, acts.max())))
        spans.append(
            f'<span title="{act:.3g}" style="background: {colour}{alpha:02x}">'
            f"<bdi>{token_html(piece)}</bdi></span>"
        )
    inside = "…" * (start > 0) + "".join(spans) + "…" * (end < len(acts))
    return (
        '<span class="featrack-tokens" style="display: inline-block; background: white; '
        "color: #1a1a1a; padding: 0 0.3em; white-space: pre-wrap; overflow-wrap: anywhere; "
        f'font-family: monospace">{inside}</span>'
    )


def read_text(
    text: str,
    models: Mapping[str, LiveModel],
    matches: Matches,
    corpora: Corpora,
    *,
    tau: float,
    top: int,
) -> HTML:
    """What the four models' features make of a text, as a table.

    Raises:
        FeatrackError: no text, or more than the models can read.
    """
    ids = encode(corpora.tokenizer, text, corpora.context)
    acts = {name: feature_acts(live, ids) for name, live in models.items()}
    rows = strongest_rows(acts, matches, tau, top)
    if not rows:
        return HTML("<p>No feature of any model fires on this text.</p>")
    caption = f"The strongest features on these {len(ids) - 1} tokens."
    return rows_html(rows, corpora.pieces(np.array(ids[1:])), models, caption, linked=False)


def text_reader(
    models: Mapping[str, LiveModel],
    matches: Matches,
    corpora: Corpora,
    *,
    tau: float,
    text: str,
) -> Panel:
    """Type a text and see which features fire in the four models.

    Args:
        matches: best matches between the models' dictionaries, one for each of PAIRS.
        tau: correlation above which features share a row.
        text: to begin with.
    """
    box = labelled(
        ipywidgets.Textarea, "Your text", "Text that the four models read", value=text, rows=3
    )
    top = labelled(
        ipywidgets.IntSlider,
        "Features a model",
        "How many of its strongest features are shown",
        value=3,
        min=1,
        max=10,
    )
    said, table = ipywidgets.HTML(), ipywidgets.HTML()

    def update() -> None:
        shown = read_text(box.value, models, matches, corpora, tau=tau, top=top.value)
        table.value = shown.data

    connect([box, top], update, said, [table])
    return Panel("text reader", [box, top, said, table])

"""Typed text: which features fire on it in each model, matched ones side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import permutations
from typing import NamedTuple

import ipywidgets
import numpy as np
import pandas as pd
from IPython.display import HTML
from jaxtyping import Float

from featrack_utils.corpora.prepare import Corpora
from featrack_utils.display.shading import token_spans
from featrack_utils.display.style import colour_of
from featrack_utils.display.tables import show_table
from featrack_utils.display.widgets.live import LiveModel, encode, feature_acts
from featrack_utils.display.widgets.panel import Panel, labelled
from featrack_utils.lineage import label
from featrack_utils.matching.best_matches import Matches
from featrack_utils.matching.correlation import BestMatches

# By (model, model): for each two models, in either direction.
Pairs = Mapping[tuple[str, str], BestMatches]

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


def between_models(matches: Matches) -> Pairs:
    """Best matches of each two models' dictionaries of seed 0."""
    return {
        (a, b): matches.best[matches.names[a][0], matches.names[b][0]]
        for a, b in permutations(matches.names, 2)
    }


def strongest_rows(
    acts: Mapping[str, Float[np.ndarray, "n d_sae"]], matches: Pairs, tau: float, top: int
) -> list[dict[str, Fired]]:
    """The strongest features of each model on a text, one row for each and for its matches.

    A row maps models to features and holds another model's best match if its r exceeds `tau`; the
    strongest comes first. `top` features of each model (those of `acts`) get a row, unless they
    stand in a stronger one's.
    """
    leaders = []
    for place, (model, each) in enumerate(acts.items()):
        peaks = each.max(axis=0)
        strongest = np.argsort(-peaks, kind="stable")[:top]
        leaders += [(-peaks[i], place, model, int(i)) for i in strongest if peaks[i] > 0]
    rows: list[dict[str, Fired]] = []
    seen: set[tuple[str, int]] = set()
    for _, _, model, feature in sorted(leaders):
        if (model, feature) in seen:
            continue
        row = {model: Fired(feature, acts[model][:, feature], None)}
        for other in acts:
            if other != model:
                best = matches[model, other]
                partner, r = int(best.a_best_index[feature]), float(best.a_best_r[feature])
                if partner >= 0 and r > tau:
                    row[other] = Fired(partner, acts[other][:, partner], r)
        seen |= {(name, fired.feature) for name, fired in row.items()}
        rows.append(row)
    return rows


def rows_table(
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
    cells = {
        label(model): [_cell(row.get(model), pieces, live, linked) for row in rows]
        for model, live in models.items()
    }
    return show_table(pd.DataFrame(cells), caption=caption)


def _cell(fired: Fired | None, pieces: Sequence[str], live: LiveModel, linked: bool) -> HTML | str:
    if fired is None:
        return "no match"
    title = f"<b>{live.name} {fired.feature}</b>"
    if linked:
        title = f'<a href="explorer.html#{live.name}-{fired.feature}">{title}</a>'
    if fired.r is not None:
        title += f", r {fired.r:.2f}"
    return HTML(f"{title}<br>{_strip(pieces, fired, live)}")


def _strip(pieces: Sequence[str], fired: Fired, live: LiveModel) -> str:
    acts = fired.acts
    if not acts.max() > 0:
        return "silent on this text"
    peak = max(live.peaks[fired.feature], acts.max())
    strongest = int(acts.argmax())
    start, end = max(0, strongest - _BEFORE), min(len(acts), strongest + _AFTER + 1)
    spans = token_spans(pieces[start:end], acts[start:end], peak, colour_of(live.name))
    inside = "…" * (start > 0) + spans + "…" * (end < len(acts))
    return (
        '<span class="featrack-tokens" style="display: inline-block; background: white; '
        "color: #1a1a1a; padding: 0 0.3em; white-space: pre-wrap; overflow-wrap: anywhere; "
        f'font-family: monospace">{inside}</span>'
    )


def text_reader(
    models: Mapping[str, LiveModel], matches: Pairs, corpora: Corpora, *, tau: float, text: str
) -> Panel:
    """Type a text and see which features fire in each model; above τ they share a row."""
    controls = {
        "text": labelled(
            ipywidgets.Textarea, "Your text", "Text that all models read", value=text, rows=3
        ),
        "top": labelled(
            ipywidgets.IntSlider,
            "Features a model",
            "How many of its strongest features are shown",
            value=3,
            min=1,
            max=10,
        ),
    }

    def show(text: str, top: int) -> str:
        ids = encode(corpora.tokenizer, text, corpora.context)
        acts = {name: feature_acts(live, ids) for name, live in models.items()}
        rows = strongest_rows(acts, matches, tau, top)
        if not rows:
            return "<p>No feature of any model fires on this text.</p>"
        caption = f"The strongest features on these {len(ids) - 1} tokens."
        pieces = corpora.pieces(np.array(ids[1:]))
        return rows_table(rows, pieces, models, caption, linked=False).data

    return Panel("text reader", controls, show)

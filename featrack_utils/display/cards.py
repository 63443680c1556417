"""How features are presented on a page: links, tokens, and several side by side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from IPython.display import HTML
from scipy import sparse

from featrack_utils.dictionaries.features import Features
from featrack_utils.display.shading import ShadedFeature, shade, token_html
from featrack_utils.display.style import colour_of
from featrack_utils.display.tables import format_cell, show_table
from featrack_utils.interpretation.contexts import (
    by_feature,
    contexts_at,
    densities,
    positions_of,
    strongest_tokens,
    token_shares,
)
from featrack_utils.interpretation.logit_effects import LogitEffects, top_logits
from featrack_utils.lineage import Lineage, label
from featrack_utils.pipeline import store

if TYPE_CHECKING:
    from featrack_utils.corpora.prepare import Corpora

_TOKENS = 6  # named per feature, …
_LEAST = 0.005  # … with at least this share of its activation
_CHIP = (
    '<span style="display: inline-block; background: white; color: #1a1a1a; font-family: '
    'monospace; border: 1px solid #bbb; border-radius: 4px; padding: 0 0.3em; margin: 1px">'
    "<bdi>{}</bdi></span>"
)
_LINK_ON_WHITE = "#0b5394"


class Feature(NamedTuple):
    """A feature by its dictionary's name ("lua-0": model and SAE seed) and its number there."""

    dictionary: str
    index: int

    @property
    def model(self) -> str:
        """The model whose dictionary it is."""
        return self.dictionary.rpartition("-")[0]

    @property
    def name(self) -> str:
        """As the text calls it: "lua 123", with the seed if it isn't 0."""
        seed = self.dictionary.rpartition("-")[2]
        return f"{self.model} {self.index}" + (f" (seed {seed})" if seed != "0" else "")


class Known(NamedTuple):
    """What is known of a run's dictionaries; `shares` come from `contexts.token_shares`."""

    features: Mapping[str, Features]
    shares: Mapping[str, sparse.csc_matrix]
    effects: Mapping[str, LogitEffects]
    corpora: Corpora
    domains: Sequence[str]


def read_known(
    run: Path, lineage: Lineage, corpora: Corpora, features: Mapping[str, Features]
) -> Known:
    """What is known of a run's dictionaries; FeatrackError if one is missing or damaged."""
    vocab = len(corpora.tokenizer)
    shares = {name: token_shares(found, vocab) for name, found in features.items()}
    effects = {}
    for name in features:
        model = store.opened(run / "models" / Feature(name, 0).model)
        effects[name] = top_logits(model, store.opened(run / "saes" / name), _TOKENS, lineage.site)
    return Known(features, shares, effects, corpora, lineage.domains)


def link(feature: Feature, colour: str = "inherit") -> str:
    """A feature's name as HTML; one of seed 0 leads to its page in the explorer."""
    name = escape(feature.name)
    if not feature.dictionary.endswith("-0"):
        return name
    target = escape(f"explorer.html#{feature.model}-{feature.index}")
    return f'<a href="{target}" style="color: {colour}">{name}</a>'


def linked(feature: Feature) -> HTML:
    """`link` as a cell of a table."""
    return HTML(link(feature))


def chips(pieces: Iterable[str], notes: Iterable[str] = ()) -> str:
    """Tokens as small boxes in HTML, each followed by its note if there are any."""
    boxes = [_CHIP.format(token_html(piece)) for piece in pieces]
    notes = list(notes) or [""] * len(boxes)
    together = '<span style="white-space: nowrap">{} {}</span>'
    return " ".join(together.format(b, escape(n)) for b, n in zip(boxes, notes, strict=True))


def _answers_to(known: Known, feature: Feature) -> HTML:
    ids, shares = strongest_tokens(known.shares[feature.dictionary], feature.index, _TOKENS)
    ids, shares = ids[shares >= _LEAST], shares[shares >= _LEAST]
    return HTML(chips(known.corpora.pieces(ids), [format_cell(share, ".0%") for share in shares]))


def _active_on(known: Known, feature: Feature) -> str:
    found = known.features[feature.dictionary]
    columns = by_feature(found.acts[:, [feature.index]])
    share = densities(columns, found.domain, len(known.domains))[:, 0]
    order = np.argsort(-np.nan_to_num(share), kind="stable")
    return ", ".join(f"{label(known.domains[d])} {format_cell(share[d], '.1%')}" for d in order)


def feature_table(
    known: Known,
    chosen: Sequence[Feature],
    columns: Mapping[str, Sequence[float]] | None = None,
    caption: str = "",
) -> HTML:
    """What features answer to, where, and the next tokens that they make more likely.

    `columns` are further figures (an r), shown with two digits behind the feature's name.
    """
    raised = [known.effects[f.dictionary].up[f.index, :_TOKENS] for f in chosen]
    table = pd.DataFrame(
        {
            "feature": [linked(feature) for feature in chosen],
            **(columns or {}),
            "answers to": [_answers_to(known, feature) for feature in chosen],
            "active on": [_active_on(known, feature) for feature in chosen],
            "raises": [HTML(chips(known.corpora.pieces(ids))) for ids in raised],
        }
    )
    notes = {
        "answers to": "share of its activation",
        "active on": "share of the tokens",
        "raises": "next tokens",
    }
    return show_table(table, dict.fromkeys(columns or {}, ".2f"), caption, notes)


def together(
    known: Known,
    chosen: Iterable[Feature],
    places: Iterable[tuple[Feature, int, int]],
    seed: int,
) -> HTML:
    """What several features do on the same text: a row of shaded contexts for each place.

    `places` are (feature, n, m): its n strongest positions, and m drawn at random by the seed.
    """
    positions = np.concatenate(
        [
            positions_of(known.features[f.dictionary], f.index, top=top, random=random, seed=seed)
            for f, top, random in places
        ]
    )
    sides = []
    for feature in chosen:
        found = known.features[feature.dictionary]
        shown = contexts_at(found, feature.index, positions, known.corpora)
        peak = float(found.acts[:, [feature.index]].max())
        label = link(feature, _LINK_ON_WHITE)
        sides.append(ShadedFeature(label, shown, peak, colour_of(feature.model)))
    return shade(*sides)

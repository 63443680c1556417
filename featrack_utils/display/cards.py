"""How a feature is presented on a page: its link, its tokens, its effects, side by side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from IPython.display import HTML
from scipy import sparse

from featrack_utils.corpora.documents import DOMAINS
from featrack_utils.dictionaries.features import Features
from featrack_utils.display.shading import Side, shade_side_by_side, token_html
from featrack_utils.display.style import DOMAIN_LABELS, MODEL_COLOURS, MODEL_LABELS
from featrack_utils.display.tables import format_cell, show_table
from featrack_utils.interpretation.examples import contexts_at, density_by_domain, strongest_tokens
from featrack_utils.interpretation.selection import compare

if TYPE_CHECKING:
    from featrack_utils.corpora.prepare import Corpora
    from featrack_utils.interpretation.logit_effects import LogitEffects, Writing

_TOKENS = 6  # named per feature
_CHIP = (
    '<span style="display: inline-block; background: white; color: #1a1a1a; font-family: '
    'monospace; border: 1px solid #bbb; border-radius: 4px; padding: 0 0.3em; margin: 1px">'
    "<bdi>{}</bdi></span>"
)
_YARDSTICKS = {
    "jaccard": "Jaccard",
    "spearman": "Spearman",
    "decoder_cosine": "decoders",
    "logit_cosine": "effects",
}
_NOTES = {
    "shared": "of its activation",
    "elsewhere": "of the match's",
    "Spearman": "where both fire",
    "decoders": "cosine",
    "effects": "cosine",
}
_LINK_ON_WHITE = "#0b5394"


class Feature(NamedTuple):
    """A feature by its dictionary's name ("lua-0": model and SAE seed) and its number there."""

    dictionary: str
    index: int

    @property
    def model(self) -> str:
        """The model whose dictionary it is."""
        return self.dictionary.split("-")[0]

    @property
    def name(self) -> str:
        """As the text calls it: "lua 123", with the seed if it isn't 0."""
        seed = self.dictionary.split("-")[1]
        return f"{self.model} {self.index}" + (f" (seed {seed})" if seed != "0" else "")


class Known(NamedTuple):
    """What is known of the dictionaries of a run, each by its name."""

    features: Mapping[str, Features]
    shares: Mapping[
        str, sparse.csc_matrix
    ]  # from `featrack_utils.interpretation.examples.token_shares`
    effects: Mapping[str, LogitEffects]
    corpora: Corpora


def link(feature: Feature, colour: str = "inherit") -> str:
    """A feature's name as HTML that leads to its page in the explorer, which shows seed 0."""
    if not feature.dictionary.endswith("-0"):
        return escape(feature.name)
    target = f"explorer.html#{feature.model}-{feature.index}"
    return f'<a href="{target}" style="color: {colour}">{escape(feature.name)}</a>'


def linked(feature: Feature) -> HTML:
    """`link` as a cell of a table."""
    return HTML(link(feature))


def chips(pieces: Iterable[str], notes: Iterable[str] = ()) -> str:
    """Tokens as small boxes in HTML, each followed by its note if there are any."""
    boxes = [_CHIP.format(token_html(piece)) for piece in pieces]
    notes = list(notes) or [""] * len(boxes)
    together = '<span style="white-space: nowrap">{} {}</span>'
    return " ".join(together.format(b, escape(n)) for b, n in zip(boxes, notes, strict=True))


def where_table(known: Known, chosen: Iterable[Feature]) -> HTML:
    """Which tokens each feature answers to, and the share of each domain's tokens it is on."""
    rows = []
    for feature in chosen:
        dictionary, index = feature
        ids, shares = strongest_tokens(known.shares[dictionary], index, _TOKENS)
        answers = chips(known.corpora.pieces(ids), [format_cell(share, ".0%") for share in shares])
        active = density_by_domain({dictionary: (known.features[dictionary], index)}).iloc[0]
        domains = {DOMAIN_LABELS[domain]: active[domain] for domain in DOMAINS}
        rows.append({"feature": linked(feature), "answers to": HTML(answers), **domains})
    table = pd.DataFrame(rows, columns=["feature", "answers to", *map(DOMAIN_LABELS.get, DOMAINS)])
    notes = {"answers to": "share of its activation", "English": "active on"}
    return show_table(table, {c: ".2%" for c in table.columns[2:]}, notes=notes)


def logit_table(known: Known, chosen: Iterable[Feature]) -> HTML:
    """The next tokens that each feature makes more likely, and those it makes less likely."""
    rows = []
    for feature in chosen:
        effects, index = known.effects[feature.dictionary], feature.index
        up, down = (
            HTML(chips(known.corpora.pieces(ids[index, :_TOKENS])))
            for ids in (effects.up, effects.down)
        )
        rows.append({"feature": linked(feature), "raises": up, "lowers": down})
    notes = {"raises": "strongest first", "lowers": "strongest first"}
    return show_table(pd.DataFrame(rows, columns=["feature", "raises", "lowers"]), notes=notes)


def together(
    known: Known, chosen: Iterable[Feature], positions: Iterable[int] | np.ndarray, width: int
) -> HTML:
    """What several features do around the same positions: one row of shaded text for each."""
    sides = []
    for feature in chosen:
        found = known.features[feature.dictionary]
        shown = contexts_at(found, feature.index, positions, known.corpora, width)
        peak = float(found.acts[:, [feature.index]].max())
        label = link(feature, _LINK_ON_WHITE)
        sides.append(Side(label, shown, peak, MODEL_COLOURS[feature.model]))
    return shade_side_by_side(sides)


def differences(known: Known, writing: Mapping[str, Writing], one: Feature, other: Feature) -> HTML:
    """How a feature and its closest match differ: in words, and by all yardsticks."""
    pair = compare(
        known.features[one.dictionary],
        one.index,
        known.features[other.dictionary],
        other.index,
        writing[one.dictionary],
        writing[other.dictionary],
    )
    named = {field: getattr(pair, field) for field in pair._fields}
    table = pd.DataFrame([named]).rename(columns=_YARDSTICKS)
    words = line(f"Closest match: {other.name}. What differs: {pair.why}.")
    return HTML(words.data + show_table(table, dict.fromkeys(table, ".2f"), notes=_NOTES).data)


def code(text: str) -> HTML:
    """A pattern or other code as a cell of a table, broken anywhere if it is long."""
    return HTML(f'<code style="overflow-wrap: anywhere">{escape(text)}</code>')


def heading(text: str) -> HTML:
    """A small heading inside a cell's output."""
    return HTML(f'<p style="margin: 1.2em 0 0.2em; font-weight: 600">{escape(text)}</p>')


def titled(feature: Feature) -> HTML:
    """A feature's name above what is shown of it."""
    label = escape(MODEL_LABELS[feature.model])
    return HTML(f'<p style="margin: 1em 0 0"><strong>{label}</strong>: {link(feature)}</p>')


def line(text: str) -> HTML:
    """A line of plain text inside a cell's output."""
    return HTML(f'<p style="margin: 0.4em 0">{escape(text)}</p>')

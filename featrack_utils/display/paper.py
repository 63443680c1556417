"""The paper's published figures, and the table that sets ours beside them.

Horn & Elliott, "Tracking Universal Features Through Fine-Tuning and Model Merging" (arXiv
2410.12391). Each figure carries where it is from: the paper and its model cards (reported losses
and accuracies), the published configuration (trainings, dictionaries), the published recipe (the
merge), the published sweep (Figure 5). Two figures are of others, who measured how many features
come back with another seed. The paper's counts of persisting features are drawn, not printed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from types import MappingProxyType
from typing import NamedTuple

import pandas as pd
from IPython.display import HTML

from featrack_utils.display.tables import format_cell, show_table
from featrack_utils.errors import FeatrackError
from featrack_utils.statistics.intervals import Interval


class Figure(NamedTuple):
    """A published figure.

    Attributes:
        value: the number; losses in nats per token, shares from 0 to 1.
        source: where it is from.
        spec: the format that fits it, and ours beside it; see `tables.format_cell`.
    """

    value: float
    source: str
    spec: str


_REPORTED = "reported, on the authors' own validation text"
_CONFIGURED = "published configuration"
_SWEPT = "published sweep, Figure 5"

PAPER: Mapping[str, Figure] = MappingProxyType(
    {
        "model.parameters_millions": Figure(35.1, _CONFIGURED, ".1f"),
        "model.d_model": Figure(512, _CONFIGURED, "d"),
        "model.d_mlp": Figure(1024, _CONFIGURED, "d"),
        "model.n_heads": Figure(16, _CONFIGURED, "d"),
        "model.n_kv_heads": Figure(8, _CONFIGURED, "d"),
        "model.context": Figure(256, _CONFIGURED, "d"),
        "model.vocabulary": Figure(32_000, _CONFIGURED, ",d"),
        "base.learning_rate": Figure(6e-4, _CONFIGURED, "g"),
        "base.epochs": Figure(4, "published configuration; the model card says 3", ".1f"),
        "base.loss": Figure(3.1027, _REPORTED, ".3f"),
        "base.accuracy": Figure(0.4190, _REPORTED, ".1%"),
        "finetune.learning_rate": Figure(2e-5, _CONFIGURED, "g"),
        "finetune.epochs": Figure(1, _CONFIGURED, ".1f"),
        "stories.loss": Figure(2.0442, _REPORTED, ".3f"),
        "stories.accuracy": Figure(0.5196, _REPORTED, ".1%"),
        "lua.loss": Figure(2.4518, _REPORTED, ".3f"),
        "lua.accuracy": Figure(0.4941, _REPORTED, ".1%"),
        # The recipe's base_model is Lua, so that t counts from Lua.
        "merge.t": Figure(0.58, "published recipe", ".2f"),
        "merge.crossing_from_stories": Figure(0.57, _SWEPT, ".2f"),
        "merge.crossing_from_lua": Figure(0.43, _SWEPT + ", read from Lua", ".2f"),
        "sae.expansion": Figure(16, _CONFIGURED, "d"),
        "sae.seeds": Figure(1, "published configuration: seed 1337 for all four", "d"),
        "sae.l1_coefficient": Figure(3e-4, _CONFIGURED, "g"),
        "sae.l1_coefficient.stories": Figure(3e-3, "published configuration, TinyStories", "g"),
        "sae.learning_rate": Figure(1e-4, _CONFIGURED, "g"),
        "track.tau": Figure(0.8, "the paper's threshold", ".1f"),
        # Not of this paper: how much of a dictionary comes back with another seed.
        "others.seed_overlap": Figure(0.30, "131 k latents of Llama-3-8B, arXiv 2501.16615", ".1%"),
        "others.median_best_r": Figure(0.72, "two one-layer models, Bricken et al. 2023", ".2f"),
    }
)

# The authors' sweep: the weight of the Lua model (0 is TinyStories), then next-token accuracy on
# TinyStories and on Lua.
SWEEP = (
    (0.0, 0.520, 0.176),
    (0.4, 0.442, 0.310),
    (0.55, 0.393, 0.377),
    (0.6, 0.375, 0.398),
    (1.0, 0.247, 0.494),
)

Ours = float | Interval | tuple[float, float, float] | None


class Row(NamedTuple):
    """One line of the table beside the paper.

    Attributes:
        name: of the paper's figure in `PAPER`; None where the paper gives none.
        text: what is measured, for the reader.
        ours: our figure, alone or with its interval.
        ceiling: of our figure, in the same form; None where it has none.
        why: why the two differ.
        spec: format of our figures; by default the paper's.
    """

    name: str | None
    text: str
    ours: Ours
    ceiling: Ours = None
    why: str = ""
    spec: str | None = None


def published(name: str) -> float:
    """The paper's figure of that name. Raises FeatrackError for an unknown one."""
    return _figure(name).value


def interval(results: Mapping[str, float], name: str) -> Interval:
    """A result with its 95 % interval, which is None where results.json has none."""
    return Interval(*(results.get(f"{name}{end}") for end in ("", ".ci_low", ".ci_high")))


def beside_paper(rows: Iterable[Row | tuple], caption: str = "") -> HTML:
    """The table `what | paper | ours [95 % CI] | ceiling | why they differ`.

    rows: `Row`s or tuples in their order (name, text, ours, ceiling, why). Each row is formatted
    as the paper's figure is, and its source stands under what is measured. Columns that no row
    fills are left out. Raises FeatrackError for an unknown name or if there are no rows.
    """
    lines = [_line(Row(*row)) for row in rows]
    if not lines:
        raise FeatrackError("The table beside the paper has no rows: give at least one.")
    empty = (None, Interval(None, None, None))
    df = pd.DataFrame(
        {
            column: [line[column] for line in lines]
            for column in lines[0]
            if any(line[column] not in empty for line in lines)
        }
    )
    bounded = any(line["ours"].low is not None for line in lines)
    return show_table(df, caption=caption, notes={"ours": "95 % interval"} if bounded else {})


def _line(row: Row) -> dict[str, Interval | str | HTML | None]:
    """Cells of a row; figures as text, for each row has a format of its own."""
    figure = _figure(row.name) if row.name is not None else None
    spec = row.spec or (figure.spec if figure else None)
    source = f'<br><small class="featrack-note">{escape(figure.source)}</small>' if figure else ""

    def cell(value: Ours) -> Interval:
        ends = value if isinstance(value, tuple) else (value, None, None)
        return Interval(
            *(None if each is None else format_cell(_fitting(each, spec), spec) for each in ends)
        )

    return {
        "what": HTML(escape(row.text) + source),
        "paper": cell(figure.value if figure else None),
        "ours": cell(row.ours),
        "ceiling": cell(row.ceiling),
        "why they differ": row.why or None,
    }


def _fitting(value: float, spec: str | None) -> float:
    """A whole number as an int where the format asks for one: results may hold 2.0."""
    whole = spec is not None and spec.endswith("d") and float(value).is_integer()
    return int(value) if whole else value


def _figure(name: str) -> Figure:
    if name not in PAPER:
        raise FeatrackError(
            f"The paper's figures have none named {name!r}; there are {', '.join(PAPER)}."
        )
    return PAPER[name]

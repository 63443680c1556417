"""The paper's published figures, and the table that sets ours beside them.

Horn & Elliott, arXiv 2410.12391. `paper.yaml` holds the figures and where each is from: the paper
and its model cards (reported), its configuration, its merge recipe, its sweep (Figure 5).
"""

from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import yaml
from IPython.display import HTML

from featrack_utils.display.tables import format_cell, show_table
from featrack_utils.statistics.intervals import Interval


class Figure(NamedTuple):
    """A published figure (losses in nats per token, shares from 0 to 1), its source and format."""

    value: float
    source: str
    spec: str


PAPER: Mapping[str, Figure] = {
    name: Figure(*fields)
    for name, fields in yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text()).items()
}
Ours = float | Interval | tuple[float, float, float] | None


class Row(NamedTuple):
    """One line of the table: `name` in `PAPER` (None where the paper gives no figure), what is
    measured, our figure and its ceiling, why the two differ, and a format other than the paper's.
    """

    name: str | None
    text: str
    ours: Ours
    ceiling: Ours = None
    why: str = ""
    spec: str | None = None


def beside_paper(rows: Iterable[Row | tuple], caption: str = "") -> HTML:
    """The table `what | paper | ours [95 % CI] | ceiling | why they differ`.

    rows: `Row`s or tuples in their order. The source stands under what is measured. Columns that
        no row fills are left out.
    """
    lines = [_line(Row(*row)) for row in rows]
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
    figure = PAPER[row.name] if row.name is not None else None
    spec = row.spec or (figure.spec if figure else None)
    source = f'<br><small class="featrack-note">{escape(figure.source)}</small>' if figure else ""

    def cell(value: Ours) -> Interval:
        ends = value if isinstance(value, tuple) else (value, None, None)
        ends = [None if pd.isna(each) else each for each in ends]
        if spec is not None and spec.endswith("d"):  # results may hold 2.0
            ends = [each if each is None else round(each) for each in ends]
        return Interval(*(None if each is None else format_cell(each, spec) for each in ends))

    return {
        "what": HTML(escape(row.text) + source),
        "paper": cell(figure.value if figure else None),
        "ours": cell(row.ours),
        "ceiling": cell(row.ceiling),
        "why they differ": row.why or None,
    }

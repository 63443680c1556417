"""Tables for the book: HTML that scrolls inside its own box on a phone."""

import re
from collections.abc import Mapping
from html import escape
from numbers import Integral, Real

import pandas as pd
from IPython.display import HTML

from featrack_utils.interpretation.contexts import signs
from featrack_utils.statistics.intervals import Interval

MISSING = "–"
_BOUNDS = (".ci_low", ".ci_high")
_LONG_TEXT = 24  # characters
_KEPT = " \n\u00a0"  # of what shows nothing; a no-break space is between a number and its unit
_TAG = re.compile(r"<[^>]*>")


def format_cell(value: object, spec: str | None) -> str:
    """Text of one cell: numbers by format spec, missing values as a dash, all else as it is.

    Beside Python's specs there is "pt" for differences of shares, in points: 0.031 as ".1pt" is
    "3.1". A figure with its interval is "48 % [45, 51]", and stands alone where that isn't
    defined.
    """
    if isinstance(value, Interval):
        text, *bounds = (format_cell(each, spec) for each in value)
        if MISSING in (text, *bounds):
            return text
        return f"{text} [{', '.join(bound.removesuffix(' %') for bound in bounds)}]"
    if value is None or (isinstance(value, Real) and value != value):
        return MISSING
    if isinstance(value, bool) or not isinstance(value, Real):
        return "yes" if value is True else "no" if value is False else str(value)
    if spec is None:
        spec = ",d" if isinstance(value, Integral) else ".3f"
    if spec.endswith("pt"):
        value, spec = 100 * value, spec.removesuffix("pt") + "f"
    # Rounded to zero is zero. A true minus sign has the width of a digit, so that columns of signed
    # numbers line up.
    text = format(value, "z" + spec if isinstance(value, float) else spec)
    return text.replace("-", "−").replace("%", " %")


def show_table(
    df: pd.DataFrame,
    formats: Mapping[str, str] | None = None,
    caption: str = "",
    notes: Mapping[str, str] | None = None,
) -> HTML:
    """A table of `df`'s columns (the index is left out), every cell escaped but `HTML` objects.

    A cell may be an `Interval`; a column "share" also takes the columns "share.ci_low" and
    "share.ci_high" into its cells, where there are both. `formats` gives a column's format spec
    (".1%", ",d", ".2f"), `notes` a line under its name ("lower is better"). Columns of numbers
    are set right.
    """
    formats, notes = formats or {}, notes or {}
    df = _with_intervals(df).astype(object)
    # Inline as well as by class: JupyterLab doesn't load the book's style sheet.
    styles = {column: _style(df[column]) for column in df.columns}

    def heading(column: str) -> str:
        note = notes.get(column)
        small = f'<br><small class="featrack-note">({escape(note)})</small>' if note else ""
        return f'<th scope="col"{styles[column]}>{escape(str(column))}{small}</th>'

    def cell(value: object, column: str) -> str:
        text = format_cell(value, formats.get(column))
        # Text of a corpus may hold what turns the rest of its cell about.
        inner = value.data if isinstance(value, HTML) else escape(signs(text, _KEPT))
        return f"<td{styles[column]}>{inner}</td>"

    head = "".join(map(heading, df.columns))
    rows = [
        "".join(cell(value, column) for column, value in zip(df.columns, row, strict=True))
        for row in df.itertuples(index=False, name=None)
    ]
    body = "\n".join(f"<tr>{row}</tr>" for row in rows)
    # Above the scrolling box, not in it: a caption as wide as the table would leave a phone's page.
    title = f'<p class="featrack-caption">{escape(caption)}</p>\n' if caption else ""
    label = escape(caption) or "table"
    return HTML(
        f'{title}<div class="featrack-table" role="region" aria-label="{label}" tabindex="0"'
        ' style="overflow-x: auto">\n'
        f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>\n</div>"
    )


def _with_intervals(df: pd.DataFrame) -> pd.DataFrame:
    """Each column that has its `_BOUNDS` beside it as one column of intervals."""
    for column in list(df.columns):
        ends = [f"{column}{end}" for end in _BOUNDS]
        if set(ends) <= set(df.columns):
            cells = [Interval(*row) for row in df[[column, *ends]].astype(object).to_numpy()]
            df = df.assign(**{column: cells}).drop(columns=ends)
    return df


def _style(values: pd.Series) -> str:
    """Attributes of a column's cells: numbers stand right, long text gets room to be read."""
    cells = [value for value in values if value is not None and not isinstance(value, bool)]
    if cells and all(isinstance(value, Real | Interval) for value in cells):
        return ' class="featrack-number" style="text-align: right"'
    texts = [_TAG.sub("", v.data) if isinstance(v, HTML) else str(v) for v in cells]
    # A narrow column would make rows a page high.
    wide = "; vertical-align: top; min-width: 13em; white-space: normal"
    return f' style="text-align: left{wide * any(len(text) > _LONG_TEXT for text in texts)}"'

"""Tables for the book: HTML that scrolls inside its own box on a phone."""

import re
from collections.abc import Mapping
from html import escape
from numbers import Integral, Real

import pandas as pd
from IPython.display import HTML

from featrack_utils.errors import FeatrackError

_MISSING = "–"
_BOUNDS = (".ci_low", ".ci_high")
_LONG_TEXT = 24  # characters
_TAG = re.compile(r"<[^>]*>")


def format_cell(value: object, spec: str | None) -> str:
    """Text of one cell: numbers by format spec, missing values as a dash, all else as it is.

    Beside Python's specs there is "pt" for differences of shares, in points: 0.031 as ".1pt" is
    "3.1". Raises FeatrackError if the spec doesn't fit the value.
    """
    if value is None or (isinstance(value, Real) and value != value):
        return _MISSING
    if isinstance(value, bool) or not isinstance(value, Real):
        return "yes" if value is True else "no" if value is False else str(value)
    if spec is None:
        spec = ",d" if isinstance(value, Integral) else ".3f"
    if spec.endswith("pt"):
        value, spec = 100 * value, spec.removesuffix("pt") + "f"
    try:
        # Rounded to zero is zero. A true minus sign has the width of a digit, so that columns
        # of signed numbers line up.
        text = format(value, "z" + spec if isinstance(value, float) else spec)
        return text.replace("-", "−").replace("%", " %")
    except ValueError as error:
        raise FeatrackError(f"Format {spec!r} does not fit the table's value {value!r}.") from error


def with_interval(value: object, low: object, high: object, spec: str | None) -> str:
    """A figure and its interval as one cell: "48.2 % [44.7, 51.2]"."""
    text, *bounds = (format_cell(each, spec) for each in (value, low, high))
    if _MISSING in (text, *bounds):
        return text
    return f"{text} [{', '.join(bound.removesuffix(' %') for bound in bounds)}]"


def _folded(df: pd.DataFrame, formats: Mapping[str, str]) -> tuple[pd.DataFrame, set[str]]:
    """Each column with its `_BOUNDS` in one, as text, and which columns these are."""
    folded = {
        c: [f"{c}{end}" for end in _BOUNDS]
        for c in df.columns
        if all(f"{c}{end}" in df.columns for end in _BOUNDS)
    }
    cells = {
        c: [with_interval(*row, formats.get(c)) for row in df[[c, *ends]].astype(object).to_numpy()]
        for c, ends in folded.items()
    }
    return df.assign(**cells).drop(columns=[e for ends in folded.values() for e in ends]), {*folded}


def _text(value: object) -> str:
    """What a reader sees of a cell, near enough to judge its length."""
    return _TAG.sub("", value.data) if isinstance(value, HTML) else str(value)


def show_table(
    df: pd.DataFrame,
    formats: Mapping[str, str] | None = None,
    caption: str = "",
    notes: Mapping[str, str] | None = None,
) -> HTML:
    """A table of `df`'s columns (the index is left out), every cell escaped but `HTML` objects.

    A column "share" takes the columns "share.ci_low" and "share.ci_high" into its cells, where
    there are both: `with_interval`. `formats` gives a column's format spec (".1%", ",d", ".2f"),
    `notes` a line under its name ("lower is better"). Numeric columns are set right. Raises
    FeatrackError for an unknown column.
    """
    formats, notes = dict(formats or {}), dict(notes or {})
    for column in [*formats, *notes]:
        if column not in df.columns:
            known = ", ".join(map(str, df.columns))
            raise FeatrackError(f"The table has no column {column!r}; its columns are {known}.")
    df, figures = _folded(df, formats)
    numeric = {
        column: column in figures
        or (
            pd.api.types.is_numeric_dtype(df[column]) and not pd.api.types.is_bool_dtype(df[column])
        )
        for column in df.columns
    }

    # Long text gets a column wide enough to read; a narrow one would make rows a page high.
    wide = {
        column: not numeric[column] and any(len(_text(value)) > _LONG_TEXT for value in df[column])
        for column in df.columns
    }

    def cell(tag: str, column: str, inner: str) -> str:
        scope = ' scope="col"' if tag == "th" else ""
        kind = ' class="featrack-number"' if numeric[column] else ""
        # Inline as well as by class: JupyterLab doesn't load the book's style sheet.
        style = "text-align: right" if numeric[column] else "text-align: left"
        if wide[column]:
            style += "; min-width: 16em; white-space: normal"
        return f'<{tag}{scope}{kind} style="{style}">{inner}</{tag}>'

    def inner(value: object, column: str) -> str:
        if isinstance(value, HTML):
            return value.data
        return escape(format_cell(value, formats.get(column)))

    def heading(column: str) -> str:
        note = notes.get(column)
        small = f'<br><small class="featrack-note">({escape(note)})</small>' if note else ""
        return cell("th", column, escape(str(column)) + small)

    head = "".join(heading(column) for column in df.columns)
    body = "\n".join(
        "<tr>"
        + "".join(
            cell("td", column, inner(value, column))
            for column, value in zip(df.columns, row, strict=True)
        )
        + "</tr>"
        for row in df.astype(object).itertuples(index=False, name=None)
    )
    # Above the scrolling box, not in it: a caption as wide as the table would leave a phone's page.
    title = f'<p class="featrack-caption">{escape(caption)}</p>\n' if caption else ""
    label = escape(caption) or "table"
    return HTML(
        f'{title}<div class="featrack-table" role="region" aria-label="{label}" tabindex="0"'
        ' style="overflow-x: auto">\n'
        f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>\n</div>"
    )

"""Sentences that depend on results: made in a code cell, shown as Markdown, true of the run."""

import math
from collections.abc import Mapping
from pathlib import Path
from types import EllipsisType

import numpy as np
from IPython.display import Markdown, display
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from featrack_utils.corpora.documents import EMBEDDED, SourceConfig
from featrack_utils.display.tables import MISSING, format_cell
from featrack_utils.lineage import Lineage, label
from featrack_utils.pipeline import store
from featrack_utils.statistics.intervals import Interval

_SPACE = "\u00a0"  # a no-break space keeps a number and its sign on one line


def say(*paragraphs: str) -> None:
    """Shows paragraphs of Markdown; an empty one is left out."""
    text = "\n\n".join(paragraph for paragraph in paragraphs if paragraph)
    if text:
        display(Markdown(text))


def show(figure: Figure, caption: str, name: str, alt: str = "") -> None:
    """Shows a figure with its caption, one in a cell.

    In the book the two become a numbered figure, to which ``{numref}`` refers by its name
    (``fig-…``); live, the caption stands under the picture and begins with that name, which is
    what a live reader sees of a ``{numref}``.
    """
    display(figure, metadata={"featrack": {"caption": caption, "name": name, "alt": alt}})
    display(Markdown(f"*{name}.* {caption}"), metadata={"featrack": {"caption_of": name}})


def number(value: float | None, digits: int = 2) -> str:
    """A number with thousands separated, "1,234.57"; one that isn't defined is a dash."""
    return _formatted(value, f",.{digits}f")


def count(value: float | None) -> str:
    """A whole number with thousands separated: "1,235"."""
    return number(value, 0)


def percent(share: float | None, digits: int = 0) -> str:
    """A share of one in per cent: 0.2134 is "21 %"."""
    return _formatted(share, f".{digits}%")


def points(difference: float | None, digits: int = 0) -> str:
    """A difference of two shares in percentage points: 0.206 is "21 points"."""
    text = _formatted(difference, f".{digits}pt")
    return text if text == MISSING else f"{text}{_SPACE}points"


def with_interval(estimate: Interval, digits: int = 0, *, share: bool = True) -> str:
    """A figure with its 95 % interval: "21 % [20, 22]", or as a plain number "0.21 [0.20, 0.22]".

    Where the interval isn't defined the figure stands alone.
    """
    return _formatted(estimate, f".{digits}%" if share else f",.{digits}f")


def _formatted(value: float | Interval | None, spec: str) -> str:
    return format_cell(value, spec).replace(" %", f"{_SPACE}%")


def verdict(interval: Interval, bound: float, *, below: str, above: str, unclear: str) -> str:
    """Which of three sentences holds: the whole interval lies below the bound, above, or neither.

    One that isn't defined is unclear.
    """
    if interval.high < bound:
        return below
    return above if interval.low > bound else unclear


def estimate(results: Mapping[str, float], name: str) -> Interval:
    """A figure of results.json with its interval; NaN for what the run didn't define."""
    ends = (results.get(f"{name}{end}") for end in ("", ".ci_low", ".ci_high"))
    return Interval(*(math.nan if end is None else end for end in ends))


def listed(words: list[str]) -> str:
    """Words as a sentence lists them: "a", "a and b", "a, b and c"."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def what_was_read(run: Path, lineage: Lineage) -> str:
    """What each domain of a run really is, for every page that speaks of "English" or "Lua".

    Raises FeatrackError: the corpora are missing or damaged.
    """
    sources = store.read_record(run / "corpora")["parameters"]["sources"]
    natures = []
    for domain in lineage.domains:
        source = SourceConfig.read(domain, sources[domain])
        nature = "text given by whoever made this run"
        if source.kind == "embedded":
            nature = EMBEDDED[source.text].nature
        natures.append(f"*{label(domain)}* is {nature}")
    return f"{'; '.join(natures)}."


def check(answer: ArrayLike | EllipsisType, expected: ArrayLike, within: float = 0.005) -> None:
    """Says whether the answer to an exercise is right: within so much of what is expected.

    Numbers or arrays of any shape, in the answer's own unit; `...` is no answer yet. Where nothing
    is defined in this run (NaN is expected), every answer passes, and that is said.
    """
    if answer is ...:
        say("*Not answered yet*: put your value in the place of `...`.")
        return
    given, right = np.asarray(answer, dtype=float), np.asarray(expected, dtype=float)
    if given.shape != right.shape:
        say(f"**Not yet**: the answer has the shape {given.shape}; {right.shape} is asked for.")
        return
    defined = ~np.isnan(right)
    off = np.abs(given - right)[defined]
    if np.isnan(off).any():
        say("**Not yet**: the answer is not a number.")
    elif (off > within).any():
        say(f"**Not yet**: it is off by {number(off.max(), 3)}.")
    elif defined.all():
        say("**Right.**")
    elif defined.any():
        say("**Right**, as far as this run can tell: the rest is not defined in it.")
    else:
        say("*This run can't tell*: what is asked for is not defined in it.")

"""The world of the stories: things, foods, places, creatures, words for them, read from tables.

Every noun carries classes ("small", "wear", "out"), so that a plot can ask for something that
makes sense: nobody eats a ladder, and only what is light flies away.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import NamedTuple

_DATA = Path(__file__).parent / "data"


class Noun(NamedTuple):
    """One row of a table: a noun or phrase, its classes, and further columns."""

    name: str
    classes: frozenset[str]
    columns: tuple[str, ...]

    def fits(self, wanted: str) -> bool:
        """Says whether the classes satisfy "a+b|c+-d": (a and b) or (c and not d)."""
        return any(
            all((part.lstrip("-") in self.classes) != part.startswith("-") for part in parts)
            for parts in (option.split("+") for option in wanted.split("|"))
        )


@functools.cache
def table(name: str) -> tuple[Noun, ...]:
    """The rows of a table; a noun's own name (with underscores) is one of its classes."""
    rows = []
    for line in _lines(name):
        noun, classes, *columns = (cell.strip() for cell in line.split(";"))
        own = noun.removeprefix("the ").replace(" ", "_")
        rows.append(Noun(noun, frozenset([*classes.split(), own]), tuple(columns)))
    return tuple(rows)


@functools.cache
def fitting(name: str, wanted: str) -> tuple[Noun, ...]:
    """The rows of a table whose classes satisfy what is wanted."""
    return tuple(row for row in table(name) if row.fits(wanted))


@functools.cache
def words() -> dict[str, tuple[str, ...]]:
    """The lists by name, of words or, where there are commas, of phrases."""
    found = {}
    for line in _lines("words"):
        head, _, rest = line.partition(":")
        parts = rest.split(",") if "," in rest else rest.split()
        found[head] = tuple(part.strip() for part in parts)
    return found


def plural(noun: str) -> str:
    """The plural of a noun; of a compound ("teddy bear") its last word changes."""
    head, space, last = noun.rpartition(" ")
    irregular = dict(pair.split() for pair in words()["plurals"])
    ending = "es" if last.endswith(("s", "x", "z", "ch", "sh")) else "s"
    regular = re.sub("(?<![aeiou])y$", "ie", last) + ending
    return head + space + irregular.get(last, regular)


@functools.cache
def sections(kind: str) -> dict[str, list[str]]:
    """The lines under each heading ("== name") of the files that hold "plots" or "rules"."""
    found: dict[str, list[str]] = {}
    for path in sorted(_DATA.glob(f"{kind}_*.txt")):
        for line in _lines(path.stem):
            if line.startswith("== "):
                lines = found[line.removeprefix("== ")] = []
            else:
                lines.append(line)
    return found


def _lines(name: str) -> list[str]:
    text = (_DATA / f"{name}.txt").read_text(encoding="utf-8")
    return [line.strip() for line in text.splitlines() if line.strip() and line[0] != "#"]

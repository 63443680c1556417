"""The world of the stories: things, foods, places, creatures, people's names, read from tables.

Every noun carries classes ("small", "wear", "out"), so that a plot can ask for something that
makes sense: nobody eats a ladder, and only what is light flies away.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from typing import NamedTuple


@dataclass(frozen=True)
class Noun:
    """One row of a table: a noun or phrase, its classes, and further columns."""

    name: str
    classes: frozenset[str]
    columns: tuple[str, ...]

    def fits(self, wanted: str) -> bool:
        """Says whether the classes satisfy "a+b|c+-d": (a and b) or (c and not d)."""
        return any(
            all(
                part[1:] not in self.classes if part.startswith("-") else part in self.classes
                for part in option.split("+")
            )
            for option in wanted.split("|")
        )


@functools.cache
def table(name: str) -> tuple[Noun, ...]:
    """Returns the rows of a table; a noun's own name (with underscores) is one of its classes.

    The classes of places stand in the third column, after the preposition; those of creatures
    after the home; elsewhere in the second.
    """
    column = {"places": 2, "creatures": 2}.get(name, 1)
    rows = []
    for line in lines(name):
        cells = [cell.strip() for cell in line.split(";")]
        own = cells[0].removeprefix("the ").replace(" ", "_")
        classes = frozenset(cells[column].split()) | {own}
        rest = cells[1:column] + cells[column + 1 :]
        rows.append(Noun(cells[0], classes, tuple(rest)))
    return tuple(rows)


@functools.cache
def fitting(name: str, wanted: str) -> tuple[Noun, ...]:
    """Returns the rows of a table whose classes satisfy what is wanted.

    Raises:
        ValueError: there is none.
    """
    rows = tuple(row for row in table(name) if row.fits(wanted))
    if not rows:
        raise ValueError(f"nothing in {name} is {wanted!r}")
    return rows


@functools.cache
def lists(name: str) -> dict[str, tuple[str, ...]]:
    """The named lists of a file, of words or, where there are commas, of phrases."""
    found = {}
    for line in lines(name):
        head, _, rest = line.partition(":")
        parts = rest.split(",") if "," in rest else rest.split()
        found[head] = tuple(part.strip() for part in parts)
    return found


def words(name: str, key: str) -> tuple[str, ...]:
    """One of the named lists: "girl" of "names", "color" of "adjectives"."""
    return lists(name)[key]


def lines(name: str) -> Iterator[str]:
    """Yields the lines of a data file that aren't blank or comments."""
    for line in read(name).splitlines():
        if line.strip() and not line.startswith("#"):
            yield line.strip()


def read(name: str) -> str:
    """Returns the text of a data file of this package."""
    path = resources.files("featrack_utils.corpora.stories") / "data" / f"{name}.txt"
    return path.read_text(encoding="utf-8")


def data_files(prefix: str) -> list[str]:
    """Returns the names of the data files that start with a prefix, in order."""
    folder = resources.files("featrack_utils.corpora.stories") / "data"
    names = (entry.name.removesuffix(".txt") for entry in folder.iterdir())
    return sorted(name for name in names if name.startswith(prefix))


class Character(NamedTuple):
    """Someone a story can be about or meet: a name, a pronoun (she, he, it), a role."""

    name: str
    pronoun: str
    role: str


# What a list of names is for: pronoun, role, and how the name is said.
_ROLES = {
    "girl": ("she", "girl", "{}"),
    "boy": ("he", "boy", "{}"),
    "she": ("she", "animal", "{}"),
    "he": ("he", "animal", "{}"),
    "family-she": ("she", "family", "{}"),
    "family-he": ("he", "family", "{}"),
    "aunt": ("she", "family", "Aunt {}"),
    "uncle": ("he", "family", "Uncle {}"),
    "mrs": ("she", "townsperson", "Mrs. {}"),
    "mr": ("he", "townsperson", "Mr. {}"),
}


def characters() -> list[Character]:
    """Everyone the stories know: children, animals, family, townspeople, creatures."""
    people = [
        Character(form.format(name), pronoun, role)
        for key, (pronoun, role, form) in _ROLES.items()
        for name in words("names", key)
    ]
    return people + [Character(f"the {row.name}", "it", "creature") for row in table("creatures")]


def vocabulary() -> set[str]:
    """The words of the tables; those that stand only in the plots' own sentences aren't counted."""
    names = ("activities", "things", "foods", "places", "creatures")
    phrases = [cell for name in names for row in table(name) for cell in (row.name, *row.columns)]
    for name in ("adjectives", "homes"):
        phrases += itertools.chain.from_iterable(lists(name).values())
    return {word for phrase in phrases for word in re.findall(r"[\w'-]+", phrase)}

"""Who and what a story is about: drawn once from tables, then the same to the end.

Every noun carries classes ("small", "wear", "out"), so that a plot can ask for something that
makes sense: nobody eats a ladder, and only what is light flies away.
"""

import functools
import random
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

DATA = Path(__file__).parent / "data"

Entity = dict[str, str]  # a name or phrase under "", and its other forms

_PRONOUNS = {
    "she": {"he": "she", "him": "her", "his": "her", "himself": "herself"},
    "he": {"he": "he", "him": "him", "his": "his", "himself": "himself"},
    "it": {"he": "it", "him": "it", "his": "its", "himself": "itself"},
}
# What an entity must be like where the plot doesn't say: H and K people, P and Q places, T and U
# things, B and E foods, S and M creatures, W the weather, D the time of day.
_WANTED = dict(H="any", K="any", P="out+-snow", Q="out+-snow", T="toy|treasure", U="gift")
_WANTED |= dict(B="bake|fruit", E="meal|sweet", S="small", M="large", W="", D="")
_FRIEND_OTHER_SEX = 0.7  # so that "he" and "she" mostly name one of the two
_CHILD = 0.6
_AUNT = 0.3  # otherwise a parent or grandparent
_PORTIONS = dict(whole="slice of", meal="bowl of", drink="cup of", spread="spoonful of")


class Noun(NamedTuple):
    """One row of a table: a noun or phrase, its classes, and further columns."""

    name: str
    classes: frozenset[str]
    columns: tuple[str, ...]


def lines_of(name: str) -> list[str]:
    """The lines of a data file, without empty ones and comments."""
    text = (DATA / f"{name}.txt").read_text(encoding="utf-8")
    return [line.strip() for line in text.splitlines() if line.strip() and line[0] != "#"]


@functools.cache
def table(name: str) -> tuple[Noun, ...]:
    """The rows of a table; a noun's own name (with underscores) is one of its classes."""
    rows = []
    for line in lines_of(name):
        noun, classes, *columns = (cell.strip() for cell in line.split(";"))
        own = noun.removeprefix("the ").replace(" ", "_")
        rows.append(Noun(noun, frozenset([*classes.split(), own]), tuple(columns)))
    return tuple(rows)


@functools.cache
def fitting(name: str, wanted: str) -> tuple[Noun, ...]:
    """The rows of a table whose classes satisfy "a+b|c+-d": (a and b) or (c and not d)."""
    options = [option.split("+") for option in wanted.split("|")]
    return tuple(
        row
        for row in table(name)
        if any(
            all((part.lstrip("-") in row.classes) != part.startswith("-") for part in parts)
            for parts in options
        )
    )


@functools.cache
def words() -> dict[str, tuple[str, ...]]:
    """The lists by name, of words or, where there are commas, of phrases."""
    found = {}
    for line in lines_of("words"):
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


def draw(rng: random.Random, wanted: Mapping[str, str]) -> dict[str, Entity]:
    """The entities of a story, by letter; `wanted` is what the plot asks of some of them."""
    wants = {**_WANTED, **wanted}
    entities = _people(rng, wants["H"], wants["K"])
    rows: dict[str, Noun] = {}
    for name, (one, other) in {"places": "PQ", "things": "TU", "foods": "BE"}.items():
        rows[one] = rng.choice(fitting(name, wants[one]))
        rows[other] = rng.choice([r for r in fitting(name, wants[other]) if r != rows[one]])
    where = "out" if "out" in rows["P"].classes else "in"
    weather = wants["W"] or _one_of(rng, f"weather-{where}")
    day = wants["D"] or _one_of(rng, "day")
    heroes = {entities[key]["kind"] for key in "HFR"}
    rows["S"] = rng.choice([r for r in fitting("creatures", wants["S"]) if r.name not in heroes])
    rows["M"] = rng.choice(fitting("creatures", wants["M"]))
    activities = rng.sample(fitting("activities", f"{where}|any"), 2)
    activities += rng.sample(fitting("activities", "out|in|any"), 2)
    for keys, forms in {"PQ": _place, "TU": _thing, "BE": _food, "SM": _creature}.items():
        entities |= {key: forms(rng, rows[key]) for key in keys}
    for key, of in {"W": f"weather-{weather}", "n": "number", "C": "color"}.items():
        entities[key] = {"": _one_of(rng, of)}
    entities["D"] = {"": day}
    for key, (name, _, forms) in zip(("V", "V2", "A", "O"), activities, strict=True):
        entities[key] = {"": name, **dict(zip(("past", "ing"), forms, strict=True))}
    return entities


def _one_of(rng: random.Random, key: str) -> str:
    return rng.choice(words()[key])


def _people(rng: random.Random, wanted: str, job: str) -> dict[str, Entity]:
    """The hero H, the friends F and R, the grown-up G and the townsperson K."""
    child = wanted == "child" or (wanted == "any" and rng.random() < _CHILD)
    species = rng.sample(fitting("creatures", "hero"), 4)
    if wanted not in ("any", "child"):
        first = fitting("creatures", wanted)[0]
        species = [first, *(row for row in species if row != first)]
    people: dict[str, Entity] = {}
    for key, row in zip("HFR", species, strict=False):
        sex = rng.choice(("she", "he"))
        if key == "F" and rng.random() < _FRIEND_OTHER_SEX:
            sex = "he" if people["H"]["he"] == "she" else "she"
        taken = {person[""] for person in people.values()}
        people[key] = _friend(rng, sex, taken, None if child else row)
    people["G"] = _grown(rng)
    people["K"] = _townsperson(rng, None if child else species[-1], job)
    return people


def _being(name: str, sex: str, kind: str, hand: str) -> Entity:
    forms = {"kind": kind, "kinds": plural(kind), "hand": hand, "hands": plural(hand)}
    return {"": name, **_PRONOUNS[sex], **forms}


def _person(rng: random.Random, name: str, sex: str, kind: str, hand: str = "hand") -> Entity:
    garment = _one_of(rng, "garment")
    trait, second = rng.sample(words()["trait"], 2)
    wear = f"{_one_of(rng, 'color')} {garment}"
    looks = {"trait": trait, "trait2": second, "garment": garment, "wear": wear}
    return _being(name, sex, kind, hand) | looks


def _friend(rng: random.Random, sex: str, taken: set[str], row: Noun | None) -> Entity:
    """A child or, with a row of the table of creatures, an animal, with a name of its own."""
    if row:
        names, kind, where, hand = sex, row.name, "wild", row.columns[-1]
    else:
        names = kind = "girl" if sex == "she" else "boy"
        where, hand = "near", "hand"
    name = rng.choice([name for name in words()[names] if name not in taken])
    look = _one_of(rng, "cozy" if row else "house")
    house = row.columns[0] if row else _one_of(rng, "dwelling")
    home = {"home": f"a {look} {house}", "near": _one_of(rng, where)}
    return _person(rng, name, sex, kind, hand) | home


def _grown(rng: random.Random) -> Entity:
    sex = rng.choice(("she", "he"))
    name = _one_of(rng, f"family-{sex}")
    if rng.random() < _AUNT:
        title = "Aunt" if sex == "she" else "Uncle"
        name = f"{title} {_one_of(rng, title.lower())}"
    return _person(rng, name, sex, name.split()[0].lower())


def _townsperson(rng: random.Random, row: Noun | None, job: str) -> Entity:
    title = rng.choice(("Mr", "Mrs"))
    surname = row.name.split()[0].capitalize() if row else _one_of(rng, title.lower())
    job = _one_of(rng, "job") if job == "any" else job
    return _person(rng, f"{title}. {surname}", "he" if title == "Mr" else "she", job)


def _place(rng: random.Random, row: Noun) -> Entity:
    preposition, seen = row.columns
    sights = rng.sample([f"the {sight.strip()}" for sight in seen.split(",")], 3)
    forms = {"": row.name, "at": f"{preposition} {row.name}"}
    return forms | dict(zip(("see", "see2", "see3"), sights, strict=True))


def _thing(rng: random.Random, row: Noun) -> Entity:
    own = [word.strip() for word in row.columns[0].split(",")]
    colors = words()["color"] if row.classes & {"paint", "cloth", "flier"} else ()
    adjective = rng.choice([*own, *own, "old", "new", *colors])
    return {"": row.name, "s": plural(row.name), "adj": adjective}


def _food(rng: random.Random, row: Noun) -> Entity:
    adjective = _one_of(rng, "grown" if row.classes & {"fruit", "garden"} else "baked")
    portion = next((f"{word} " for key, word in _PORTIONS.items() if key in row.classes), "")
    article, several = ("some", row.name) if "some" in row.classes else ("a", plural(row.name))
    forms = {"a": f"{article} {adjective} {row.name}", "piece": f"a {portion}{row.name}"}
    return {"": row.name, "s": several, **forms}


def _creature(rng: random.Random, row: Noun) -> Entity:
    home, sound, hand = row.columns
    being = _being(f"the {row.name}", "it", row.name, hand)
    return being | {"home": home, "sound": sound, "trait": _one_of(rng, "trait")}

"""Who and what a story is about: drawn once, then the same to the end."""

from __future__ import annotations

import random
from collections.abc import Mapping

from featrack_utils.corpora.stories.world import Noun, fitting, plural, words

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


def draw(rng: random.Random, wanted: Mapping[str, str]) -> dict[str, Entity]:
    """The entities of a story, by letter; `wanted` is what the plot asks of some of them."""
    wants = {**_WANTED, **wanted}
    people = _people(rng, wants["H"], wants["K"])
    place, other = _two(rng, "places", wants["P"], wants["Q"])
    thing, second = _two(rng, "things", wants["T"], wants["U"])
    food, more = _two(rng, "foods", wants["B"], wants["E"])
    where = "out" if "out" in place.classes else "in"
    weather = wants["W"] or _one_of(rng, f"weather-{where}")
    day = wants["D"] or _one_of(rng, "day")
    heroes = {people[key]["kind"] for key in "HFR"}
    small = rng.choice([row for row in fitting("creatures", wants["S"]) if row.name not in heroes])
    large = rng.choice(fitting("creatures", wants["M"]))
    fun = rng.sample(fitting("activities", f"{where}|any"), 2)
    others = rng.sample(fitting("activities", "out|in|any"), 2)
    entities = people | {
        "P": _place(rng, place),
        "Q": _place(rng, other),
        "T": _thing(rng, thing),
        "U": _thing(rng, second),
        "B": _food(rng, food),
        "E": _food(rng, more),
        "S": _creature(rng, small),
        "M": _creature(rng, large),
        "W": {"": _one_of(rng, f"weather-{weather}")},
        "D": {"": day},
        "n": {"": _one_of(rng, "number")},
        "C": {"": _one_of(rng, "color")},
    }
    for key, row in zip(("V", "V2", "A", "O"), [*fun, *others], strict=True):
        past, ing = row.columns
        entities[key] = {"": row.name, "past": past, "ing": ing}
    return entities


def _one_of(rng: random.Random, key: str) -> str:
    return rng.choice(words()[key])


def _two(rng: random.Random, name: str, first: str, second: str) -> tuple[Noun, Noun]:
    one = rng.choice(fitting(name, first))
    return one, rng.choice([row for row in fitting(name, second) if row != one])


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


def _person(rng: random.Random, name: str, sex: str, kind: str, hand: str = "hand") -> Entity:
    garment = _one_of(rng, "garment")
    trait, second = rng.sample(words()["trait"], 2)
    return {
        "": name,
        **_PRONOUNS[sex],
        **{"kind": kind, "kinds": plural(kind), "hand": hand, "hands": plural(hand)},
        **{"trait": trait, "trait2": second},
        **{"garment": garment, "wear": f"{_one_of(rng, 'color')} {garment}"},
    }


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
    name = f"{title}. {surname}"
    person = _person(rng, name, "he" if title == "Mr" else "she", job)
    return person | {"job": job, "intro": f"{name}, the {job}"}


def _place(rng: random.Random, row: Noun) -> Entity:
    preposition, seen = row.columns
    sights = rng.sample([f"the {sight.strip()}" for sight in seen.split(",")], 3)
    forms = {"": row.name, "at": f"{preposition} {row.name}", "to": f"to {row.name}"}
    return forms | dict(zip(("see", "see2", "see3"), sights, strict=True))


def _thing(rng: random.Random, row: Noun) -> Entity:
    own = [word.strip() for word in row.columns[0].split(",")]
    colors = words()["color"] if row.classes & {"paint", "cloth", "flier"} else ()
    adjective = rng.choice([*own, *own, "old", "new", *colors])
    full = f"{adjective} {row.name}"
    return {"": row.name, "s": plural(row.name), "adj": adjective, "full": full, "a": f"a {full}"}


def _food(rng: random.Random, row: Noun) -> Entity:
    adjective = _one_of(rng, "grown" if row.classes & {"fruit", "garden"} else "baked")
    portion = next((f"{word} " for key, word in _PORTIONS.items() if key in row.classes), "")
    countable = "some" not in row.classes
    return {
        "": row.name,
        "a": f"{'a' if countable else 'some'} {adjective} {row.name}",
        "s": plural(row.name) if countable else row.name,
        "piece": f"a {portion}{row.name}",
    }


def _creature(rng: random.Random, row: Noun) -> Entity:
    home, sound, hand = row.columns
    return {
        "": f"the {row.name}",
        "the": f"the {row.name}",
        "a": f"a {row.name}",
        "s": plural(row.name),
        "kind": row.name,
        **_PRONOUNS["it"],
        **{"home": home, "sound": sound, "hand": hand, "hands": plural(hand)},
        "trait": _one_of(rng, "trait"),
    }

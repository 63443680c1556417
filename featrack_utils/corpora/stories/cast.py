"""Who and what a story is about: drawn once, then the same to the end."""

from __future__ import annotations

import random
from collections.abc import Mapping

from featrack_utils.corpora.stories.agreement import ing, past, plural, third_person, with_article
from featrack_utils.corpora.stories.world import Noun, fitting, words

Entity = dict[str, str]

_PRONOUNS = {
    "she": {"he": "she", "him": "her", "his": "her", "himself": "herself"},
    "he": {"he": "he", "him": "him", "his": "his", "himself": "himself"},
    "it": {"he": "it", "him": "it", "his": "its", "himself": "itself"},
}
# What an entity must be like where the plot doesn't say: H and K people, P and Q places, T and U
# things, B and E foods, S and M creatures, W the weather, D the time of day.
_WANTED = dict(H="any", K="any", P="out+-snow", Q="out+-snow", T="toy|treasure", U="gift")
_WANTED |= dict(B="bake|fruit", E="meal|sweet", S="small", M="large", W="", D="")
_NUMBERS = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_WEATHER_OUT = ("sunny", "sunny", "cloudy", "windy")
_WEATHER_IN = ("sunny", "cloudy", "windy", "rainy", "rainy", "snowy")
_FRIEND_OTHER_SEX = 0.7  # so that "he" and "she" mostly name one of the two
_CHILD = 0.6
_PORTIONS = dict(whole="slice of", meal="bowl of", drink="cup of", spread="spoonful of")
_COZY = ("cozy", "tiny", "warm", "neat", "snug", "little", "quiet")
_TASTES = ("warm", "fresh", "tasty", "yummy", "delicious")
_FRESH = ("ripe", "big", "fresh", "round", "perfect")


def draw(rng: random.Random, wanted: Mapping[str, str]) -> tuple[dict[str, Entity], set[str]]:
    """Draws the entities of a story and the flags its lines may ask for.

    Args:
        rng: the story's own generator.
        wanted: what the plot asks of each entity, by letter, where it asks anything.
    """
    wants = {**_WANTED, **wanted}
    people, flags = _people(rng, wants["H"], wants["K"])
    place, other = _two(rng, "places", wants["P"], wants["Q"])
    thing, second = _two(rng, "things", wants["T"], wants["U"])
    food, more = _two(rng, "foods", wants["B"], wants["E"])
    outdoors = "out" in place.classes
    weather = wants["W"] or rng.choice(_WEATHER_OUT if outdoors else _WEATHER_IN)
    day = wants["D"] or rng.choice(("morning", "morning", "afternoon", "evening"))
    flags |= {weather, day, "out" if outdoors else "in"}
    flags |= place.classes
    heroes = {people[key]["kind"] for key in "HFR"}
    small = rng.choice([row for row in fitting("creatures", wants["S"]) if row.name not in heroes])
    large = rng.choice(fitting("creatures", wants["M"]))
    fun = _activities(rng, 2, "out|any" if outdoors else "in|any")
    entities = {**people, "P": _place(rng, place), "Q": _place(rng, other)}
    entities |= {"T": _thing(rng, thing), "U": _thing(rng, second)}
    entities |= {"B": _food(rng, food), "E": _food(rng, more)}
    entities |= {"S": _creature(rng, small), "M": _creature(rng, large)}
    entities |= {"V": fun[0], "V2": fun[1]}
    entities["W"] = {"": rng.choice(words("adjectives", f"weather-{weather}"))}
    entities["D"] = {"": day}
    entities["n"] = {"": rng.choice(_NUMBERS)}
    entities["C"] = {"": rng.choice(words("adjectives", "color"))}
    entities["A"], entities["O"] = _activities(rng, 2, "out|in|any")
    return entities, flags


def _two(rng: random.Random, name: str, first: str, second: str) -> tuple[Noun, Noun]:
    one = rng.choice(fitting(name, first))
    return one, rng.choice([row for row in fitting(name, second) if row != one])


# ---- people ----------------------------------------------------------------------------------


def _people(rng: random.Random, wanted: str, job: str) -> tuple[dict[str, Entity], set[str]]:
    child = wanted == "child" or (wanted == "any" and rng.random() < _CHILD)
    species = rng.sample(fitting("creatures", "hero"), 4)
    if wanted not in ("any", "child"):
        first = fitting("creatures", wanted)[0]
        species = [first, *(row for row in species if row != first)]
    taken: set[str] = set()
    sex = rng.choice(("she", "he"))
    people: dict[str, Entity] = {}
    for key, row in zip("HFR", species, strict=False):
        if key == "F" and rng.random() < _FRIEND_OTHER_SEX:
            sex = "he" if sex == "she" else "she"
        elif key != "H":
            sex = rng.choice(("she", "he"))
        people[key] = _child(rng, sex, taken) if child else _animal(rng, sex, taken, row)
    grown_sex = rng.choice(("she", "he"))
    people["G"] = _grown(rng, grown_sex)
    people["K"] = _townsperson(rng, None if child else species[-1], job)
    return people, {"human"} if child else {"animal"}


def _new_name(rng: random.Random, names: tuple[str, ...], taken: set[str]) -> str:
    name = rng.choice([name for name in names if name not in taken])
    taken.add(name)
    return name


def _person(rng: random.Random, name: str, sex: str, kind: str, hand: str) -> Entity:
    garment = rng.choice(words("homes", "garment"))
    color = rng.choice(words("adjectives", "color"))
    trait, second = rng.sample(words("adjectives", "trait"), 2)
    person = {"": name, **_PRONOUNS[sex], "trait": trait, "trait2": second}
    person |= {"kind": kind, "kinds": plural(kind), "hand": hand, "hands": plural(hand)}
    return person | {"garment": garment, "wear": f"{color} {garment}"}


def _child(rng: random.Random, sex: str, taken: set[str]) -> Entity:
    kind = "girl" if sex == "she" else "boy"
    person = _person(rng, _new_name(rng, words("names", kind), taken), sex, kind, "hand")
    house = f"{rng.choice(words('adjectives', 'house'))} {rng.choice(words('homes', 'kind'))}"
    return person | {"home": with_article(house), "near": rng.choice(words("homes", "near"))}


def _animal(rng: random.Random, sex: str, taken: set[str], row: Noun) -> Entity:
    home, _, hand = row.columns
    person = _person(rng, _new_name(rng, words("names", sex), taken), sex, row.name, hand)
    house = f"{rng.choice(_COZY)} {home}"
    return person | {"home": with_article(house), "near": rng.choice(words("homes", "wild"))}


def _grown(rng: random.Random, sex: str) -> Entity:
    if rng.random() < 0.3:
        title, names = ("Aunt", "aunt") if sex == "she" else ("Uncle", "uncle")
        name = f"{title} {rng.choice(words('names', names))}"
    else:
        name = rng.choice(words("names", f"family-{sex}"))
    return _person(rng, name, sex, name.split()[0].lower(), "hand")


def _townsperson(rng: random.Random, row: Noun | None, job: str) -> Entity:
    title = rng.choice(("Mr.", "Mrs."))
    surname = (
        row.name.split()[0].capitalize() if row else rng.choice(words("names", title[:-1].lower()))
    )
    if job == "any":
        job = rng.choice(words("names", "job"))
    name = f"{title} {surname}"
    person = _person(rng, name, "he" if title == "Mr." else "she", job, "hand")
    return person | {"job": job, "intro": f"{name}, the {job}"}


# ---- the rest --------------------------------------------------------------------------------


def _place(rng: random.Random, row: Noun) -> Entity:
    preposition, seen = row.columns
    sights = rng.sample([sight.strip() for sight in seen.split(",")], 3)
    forms = {"": row.name, "at": f"{preposition} {row.name}", "to": f"to {row.name}"}
    return forms | {
        key: f"the {sight}" for key, sight in zip(("see", "see2", "see3"), sights, strict=True)
    }


def _thing(rng: random.Random, row: Noun) -> Entity:
    own = [word.strip() for word in row.columns[0].split(",")]
    pool = own * 2 + ["old", "new"]
    if row.classes & {"paint", "cloth", "flier"}:
        pool += words("adjectives", "color")
    adjective = rng.choice(pool)
    full = f"{adjective} {row.name}"
    names = {"": row.name, "the": f"the {row.name}", "s": plural(row.name)}
    return names | {"adj": adjective, "full": full, "a": with_article(full)}


def _food(rng: random.Random, row: Noun) -> Entity:
    adjective = rng.choice(_FRESH if row.classes & {"fruit", "garden"} else _TASTES)
    portion = next((word for key, word in _PORTIONS.items() if key in row.classes), "")
    full = f"{adjective} {row.name}"
    countable = "some" not in row.classes
    return {
        "": row.name,
        "adj": adjective,
        "full": full,
        "a": with_article(full) if countable else f"some {full}",
        "s": plural(row.name) if countable else row.name,
        "piece": f"a {portion} {row.name}" if portion else with_article(row.name),
    }


def _creature(rng: random.Random, row: Noun) -> Entity:
    home, sound, hand = row.columns
    names = {"": f"the {row.name}", "the": f"the {row.name}", "kind": row.name}
    names |= {"a": with_article(row.name), "s": plural(row.name), **_PRONOUNS["it"]}
    trait = rng.choice(words("adjectives", "trait"))
    body = {"home": home, "sound": sound, "hand": hand, "hands": plural(hand)}
    return names | body | {"trait": trait}


def _activities(rng: random.Random, count: int, wanted: str) -> list[Entity]:
    rows = rng.sample(fitting("activities", wanted), count)
    return [activity(row.name) for row in rows]


def activity(phrase: str) -> Entity:
    """Returns the forms of an activity: "swim far", "swam far", "swimming far", "swims far"."""
    verb, blank, rest = phrase.partition(" ")
    forms = {"past": past(verb), "ing": ing(verb), "s": third_person(verb)}
    return {"": phrase} | {key: form + blank + rest for key, form in forms.items()}

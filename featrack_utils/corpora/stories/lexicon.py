"""Everyone who may appear in a story, and the words its tables hold."""

from __future__ import annotations

from typing import NamedTuple

from featrack_utils.corpora.stories.world import table, words


class Character(NamedTuple):
    """Someone a story can be about or meet: a name, a pronoun (she, he, it), a role."""

    name: str
    pronoun: str
    role: str


def characters() -> list[Character]:
    """Returns everyone the stories know: children, animals, family, townspeople, creatures."""
    cast = [Character(name, "she", "girl") for name in words("names", "girl")]
    cast += [Character(name, "he", "boy") for name in words("names", "boy")]
    for sex in ("she", "he"):
        cast += [Character(name, sex, "animal") for name in words("names", sex)]
        cast += [Character(name, sex, "family") for name in words("names", f"family-{sex}")]
    cast += [Character(f"Aunt {name}", "she", "family") for name in words("names", "aunt")]
    cast += [Character(f"Uncle {name}", "he", "family") for name in words("names", "uncle")]
    cast += [Character(f"Mrs. {name}", "she", "townsperson") for name in words("names", "mrs")]
    cast += [Character(f"Mr. {name}", "he", "townsperson") for name in words("names", "mr")]
    cast += [Character(f"the {row.name}", "it", "creature") for row in table("creatures")]
    return cast


def lexicon() -> dict[str, set[str]]:
    """Returns the single words of the tables by part of speech: nouns, verbs, adjectives.

    Words that stand only in the plots' own sentences aren't counted.
    """
    phrases = [row.name for name in ("things", "foods", "creatures") for row in table(name)]
    phrases += [row.columns[0] for row in table("creatures")]
    adjectives = {adjective for row in table("things") for adjective in row.columns[0].split(", ")}
    for row in table("places"):
        phrases += [row.name, *(sight.strip() for sight in row.columns[1].split(","))]
    phrases += words("names", "job") + words("homes", "kind") + words("homes", "garment")
    lists = ("color", "trait", "house")
    lists += tuple(f"weather-{sky}" for sky in ("sunny", "cloudy", "rainy", "windy", "snowy"))
    for name in lists:
        adjectives.update(words("adjectives", name))
    return {
        "nouns": {phrase.split()[-1] for phrase in phrases},
        "verbs": {row.name.split()[0] for row in table("activities")},
        "adjectives": adjectives,
    }

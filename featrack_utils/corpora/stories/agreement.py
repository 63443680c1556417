"""English word forms: plurals, verb forms, and "a" or "an", with the irregular ones listed."""

from __future__ import annotations

import re

_VOWELS = "aeiou"
_IRREGULAR_PLURALS = {
    "mouse": "mice",
    "goose": "geese",
    "foot": "feet",
    "tooth": "teeth",
    "child": "children",
    "leaf": "leaves",
    "loaf": "loaves",
    "scarf": "scarves",
    "shelf": "shelves",
    "wolf": "wolves",
    "calf": "calves",
    "knife": "knives",
    "elf": "elves",
    "fish": "fish",
    "sheep": "sheep",
    "deer": "deer",
    "moose": "moose",
    "tomato": "tomatoes",
    "potato": "potatoes",
    "snowman": "snowmen",
}
_IRREGULAR_PASTS = {
    "be": "was",
    "bend": "bent",
    "blow": "blew",
    "bring": "brought",
    "build": "built",
    "catch": "caught",
    "come": "came",
    "cut": "cut",
    "dig": "dug",
    "do": "did",
    "draw": "drew",
    "eat": "ate",
    "feed": "fed",
    "find": "found",
    "fly": "flew",
    "give": "gave",
    "go": "went",
    "grow": "grew",
    "have": "had",
    "hear": "heard",
    "hide": "hid",
    "hold": "held",
    "keep": "kept",
    "lie": "lay",
    "make": "made",
    "put": "put",
    "read": "read",
    "ride": "rode",
    "ring": "rang",
    "run": "ran",
    "see": "saw",
    "sing": "sang",
    "sit": "sat",
    "slide": "slid",
    "spin": "spun",
    "stand": "stood",
    "string": "strung",
    "sweep": "swept",
    "swim": "swam",
    "swing": "swung",
    "tell": "told",
    "throw": "threw",
    "wear": "wore",
    "weave": "wove",
    "write": "wrote",
}
# One-syllable-stress verbs whose last consonant doubles before -ed and -ing.
_DOUBLING = re.compile(r"^[^aeiou]*(qu)?[aeiou][bdgklmnprt]$")
# Vowel letters that sound like consonants ("a unicorn", "a one-eyed bear"), and the reverse.
_SOUNDS_CONSONANT = ("uni", "use", "usu", "one", "eu", "ukulele")
_SOUNDS_VOWEL = ("hour", "honest")
_BARE_ARTICLE = re.compile(r"\b([Aa]) (?=[A-Za-z])([A-Za-z]+)")


def plural(noun: str) -> str:
    """Returns the plural of a noun; of a compound ("teddy bear") its last word changes."""
    head, space, last = noun.rpartition(" ")
    if last in _IRREGULAR_PLURALS:
        form = _IRREGULAR_PLURALS[last]
    elif last.endswith(("s", "x", "z", "ch", "sh")):
        form = last + "es"
    elif last.endswith("y") and last[-2] not in _VOWELS:
        form = last[:-1] + "ies"
    else:
        form = last + "s"
    return head + space + form


def past(verb: str) -> str:
    """Returns the past tense of a verb ("hop" gives "hopped", "run" gives "ran")."""
    if verb in _IRREGULAR_PASTS:
        return _IRREGULAR_PASTS[verb]
    return _regular_past(verb)


def ing(verb: str) -> str:
    """Returns the -ing form of a verb ("swim" gives "swimming", "lie" gives "lying")."""
    if verb.endswith("ie"):
        return verb[:-2] + "ying"
    if verb.endswith("e") and not verb.endswith(("ee", "oe", "ye")) and verb != "be":
        return verb[:-1] + "ing"
    return (verb + verb[-1] if _DOUBLING.match(verb) else verb) + "ing"


def third_person(verb: str) -> str:
    """Returns the present form after he, she or it ("go" gives "goes")."""
    special = {"be": "is", "have": "has"}
    if verb in special:
        return special[verb]
    if verb.endswith(("s", "x", "z", "ch", "sh", "o")):
        return verb + "es"
    if verb.endswith("y") and verb[-2] not in _VOWELS:
        return verb[:-1] + "ies"
    return verb + "s"


def article(word: str) -> str:
    """Returns "a" or "an", whichever goes before the word."""
    low = word.lower()
    if low.startswith(_SOUNDS_VOWEL):
        return "an"
    return "an" if low[0] in _VOWELS and not low.startswith(_SOUNDS_CONSONANT) else "a"


def fix_articles(text: str) -> str:
    """Turns every "a" that stands before a vowel sound into "an"."""

    def swap(match: re.Match[str]) -> str:
        right = article(match[2])
        return f"{right.capitalize() if match[1] == 'A' else right} {match[2]}"

    return _BARE_ARTICLE.sub(swap, text)


def _regular_past(verb: str) -> str:
    if verb.endswith("e"):
        return verb + "d"
    if verb.endswith("y") and verb[-2] not in _VOWELS:
        return verb[:-1] + "ied"
    return (verb + verb[-1] if _DOUBLING.match(verb) else verb) + "ed"

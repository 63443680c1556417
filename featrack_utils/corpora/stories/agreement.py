"""English word forms: plurals, verb forms, and "a" or "an"; irregular ones from `forms.txt`."""

from __future__ import annotations

import functools
import re

from featrack_utils.corpora.stories.world import words

_VOWELS = "aeiou"
# One-syllable-stress verbs whose last consonant doubles before -ed and -ing.
_DOUBLING = re.compile(r"^[^aeiou]*(qu)?[aeiou][bdgklmnprt]$")
# Vowel letters that sound like consonants ("a unicorn", "a one-eyed bear"), and the reverse.
_SOUNDS_CONSONANT = ("uni", "use", "usu", "one", "eu", "ukulele")
_SOUNDS_VOWEL = ("hour", "honest")
_BARE_ARTICLE = re.compile(r"\b([Aa]) (?=[A-Za-z])([A-Za-z]+)")


@functools.cache
def _irregular(kind: str) -> dict[str, str]:
    return dict(pair.split() for pair in words("forms", kind))


def plural(noun: str) -> str:
    """The plural of a noun; of a compound ("teddy bear") its last word changes."""
    head, space, last = noun.rpartition(" ")
    return (
        head + space + _irregular("plurals").get(last, _with_s(last, ("s", "x", "z", "ch", "sh")))
    )


def past(verb: str) -> str:
    """The past tense of a verb ("hop" gives "hopped", "run" gives "ran")."""
    if verb in _irregular("pasts"):
        return _irregular("pasts")[verb]
    if verb.endswith("e"):
        return verb + "d"
    if verb.endswith("y") and verb[-2] not in _VOWELS:
        return verb[:-1] + "ied"
    return _doubled(verb) + "ed"


def ing(verb: str) -> str:
    """The -ing form of a verb ("swim" gives "swimming", "lie" gives "lying")."""
    if verb.endswith("ie"):
        return verb[:-2] + "ying"
    if verb.endswith("e") and not verb.endswith(("ee", "oe", "ye")) and verb != "be":
        return verb[:-1] + "ing"
    return _doubled(verb) + "ing"


def third_person(verb: str) -> str:
    """The present form after he, she or it ("go" gives "goes")."""
    return {"be": "is", "have": "has"}.get(verb, _with_s(verb, ("s", "x", "z", "ch", "sh", "o")))


def article(word: str) -> str:
    """The one of "a" and "an" that goes before the word."""
    low = word.lower()
    if low.startswith(_SOUNDS_VOWEL):
        return "an"
    return "an" if low[0] in _VOWELS and not low.startswith(_SOUNDS_CONSONANT) else "a"


def with_article(phrase: str) -> str:
    """Returns "a red kite" for "red kite", "an old hat" for "old hat"."""
    return f"{article(phrase)} {phrase}"


def fix_articles(text: str) -> str:
    """Turns every "a" that stands before a vowel sound into "an"."""

    def swap(match: re.Match[str]) -> str:
        right = article(match[2])
        return f"{right.capitalize() if match[1] == 'A' else right} {match[2]}"

    return _BARE_ARTICLE.sub(swap, text)


def _with_s(word: str, hissing: tuple[str, ...]) -> str:
    if word.endswith(hissing):
        return word + "es"
    if word.endswith("y") and word[-2] not in _VOWELS:
        return word[:-1] + "ies"
    return word + "s"


def _doubled(verb: str) -> str:
    return verb + verb[-1] if _DOUBLING.match(verb) else verb

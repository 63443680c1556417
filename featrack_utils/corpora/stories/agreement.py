"""English word forms: plurals, verb forms, and "a" or "an"; irregular ones from `forms.txt`."""

from __future__ import annotations

import functools
import re

from featrack_utils.corpora.stories.world import lists

# Verbs of one syllable whose last consonant doubles before -ed and -ing.
_DOUBLING = re.compile(r"^[^aeiou]*(qu)?[aeiou][bdgklmnprt]$")
_HISSING = ("s", "x", "z", "ch", "sh")
# Before these "an"; vowel letters that sound like consonants ("a unicorn") take "a".
_AN = re.compile(r"hour|honest|(?!uni|use|usu|one|eu|ukulele)[aeiou]", re.IGNORECASE)
_ARTICLE = re.compile(r"\b([Aa]) (?=([A-Za-z]+))")


@functools.cache
def _irregular(kind: str) -> dict[str, str]:
    return dict(pair.split() for pair in lists("forms")[kind])


def plural(noun: str) -> str:
    """The plural of a noun; of a compound ("teddy bear") its last word changes."""
    head, space, last = noun.rpartition(" ")
    return head + space + _irregular("plurals").get(last, _with_s(last))


def past(verb: str) -> str:
    """The past tense of a verb ("hop" gives "hopped", "run" gives "ran")."""
    if verb in _irregular("pasts"):
        return _irregular("pasts")[verb]
    if verb.endswith("e"):
        return verb + "d"
    return re.sub("(?<![aeiou])y$", "i", _doubled(verb)) + "ed"


def ing(verb: str) -> str:
    """The -ing form of a verb ("swim" gives "swimming", "lie" gives "lying")."""
    if verb.endswith("ie"):
        return verb[:-2] + "ying"
    if verb.endswith("e") and not verb.endswith(("ee", "oe", "ye")) and verb != "be":
        return verb[:-1] + "ing"
    return _doubled(verb) + "ing"


def third_person(verb: str) -> str:
    """The present form after he, she or it ("go" gives "goes")."""
    irregular = {"be": "is", "have": "has"}
    return irregular.get(verb, verb + "es" if verb.endswith("o") else _with_s(verb))


def article(word: str) -> str:
    """The one of "a" and "an" that goes before the word."""
    return "an" if _AN.match(word) else "a"


def with_article(phrase: str) -> str:
    """Returns "a red kite" for "red kite", "an old hat" for "old hat"."""
    return f"{article(phrase)} {phrase}"


def fix_articles(text: str) -> str:
    """Turns every "a" that stands before a vowel sound into "an"."""
    return _ARTICLE.sub(lambda found: found[1] + article(found[2])[1:] + " ", text)


def _with_s(word: str) -> str:
    if word.endswith(_HISSING):
        return word + "es"
    return re.sub("(?<![aeiou])y$", "ie", word) + "s"


def _doubled(verb: str) -> str:
    return verb + verb[-1] if _DOUBLING.match(verb) else verb

"""Direct speech: the many ways in which a child's book says who said what."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping

_VERBS = {
    ".": ["said", "said", "said"],
    "?": ["asked", "asked", "asked", "wanted to know"],
    "!": ["cried", "called", "shouted", "said", "called out", "yelled", "exclaimed"],
}
_MOOD_VERBS = {
    "happy": ["said", "laughed", "giggled", "cheered", "sang out", "beamed"],
    "sad": ["said", "sighed", "sniffed", "sobbed", "mumbled", "whispered"],
    "scared": ["whispered", "gasped", "squeaked", "stammered", "said"],
    "kind": ["said", "said", "said", "said", "murmured"],
    "cross": ["said", "grumbled", "snapped", "muttered", "huffed"],
    "quiet": ["whispered", "murmured", "said", "mumbled"],
    "answer": ["answered", "replied", "said"],
}
_LOUD = {
    "happy": ["cried", "laughed", "cheered", "sang out", "shouted", "called"],
    "sad": ["cried", "sobbed", "wailed", "said"],
    "scared": ["cried", "gasped", "squeaked", "called"],
    "cross": ["snapped", "shouted", "cried", "said"],
}
_MANNERS = {
    ".": ["", "", "", "quickly", "at last", "after a moment", "with a nod", "slowly"],
    "?": ["", "", "", "at last", "after a moment", "slowly", "in surprise", "quietly"],
    "!": ["", "", "", "at once", "loudly"],
    "happy": ["", "", "happily", "with a big smile", "cheerfully", "with shining eyes", "brightly"],
    "sad": ["", "", "sadly", "in a small voice", "with wet eyes", "quietly", "with a sigh"],
    "scared": ["", "", "in a tiny voice", "nervously", "with wide eyes", "in a shaky voice"],
    "kind": ["", "", "kindly", "gently", "softly", "in a warm voice", "with a kind smile"],
    "cross": ["", "", "crossly", "in a loud voice", "angrily", "with a frown", "grumpily"],
    "quiet": ["", "", "softly", "in a low voice", "under {his} breath", "shyly"],
    "answer": ["", "", "", "with a nod", "right away", "after a while", "calmly"],
}
# Verbs that can't take the manner "softly" or a loud voice without sounding silly.
_PLAIN_ONLY = {
    "cheered",
    "beamed",
    "whispered",
    "gasped",
    "giggled",
    "laughed",
    "sobbed",
    "wondered",
    "stammered",
}
_MARKS = re.compile(r"(?<!Mr)(?<!Mrs)[.?!]")
_FIRST_SENTENCE = re.compile(r'^([^.?!"]{2,60}?(?<!Mr)(?<!Mrs)[.?!]) (\S.*)$', re.DOTALL)

Beat = Callable[[Mapping[str, str], str], str]


def spoken(
    rng: random.Random, speaker: Mapping[str, str], words: str, mood: str, beat: Beat
) -> str:
    """Returns a sentence or two in which the speaker says the words.

    Args:
        rng: draws the form.
        speaker: forms of the speaker: "" the name, "he", "his" and so on.
        words: one or more whole sentences.
        mood: a key of the moods above, or "" for none.
        beat: returns a short clause without subject ("shook her head") for speaker and mood.
    """
    name, he = speaker[""], speaker["he"]
    name = name[0].upper() + name[1:]  # "the robin" may start a sentence
    form = rng.random()
    split = _FIRST_SENTENCE.match(words)
    if split and form < 0.4:
        tag = _tag(rng, speaker, split[1], mood)
        return f'"{_open(split[1])}" {tag}. "{split[2]}"'
    if form < 0.6:
        return f'"{_open(words)}" {_tag(rng, speaker, words, mood)}.'
    if form < 0.76:
        verb, manner = _verb_and_manner(rng, speaker, words, mood)
        return f'{name} {verb}{manner}, "{words}"'
    if form < 0.86:
        verb, _ = _verb_and_manner(rng, speaker, words, mood, plain=True)
        return f'{name} {beat(speaker, mood)} and {verb}, "{words}"'
    if form < 0.94:
        return f'{name} {beat(speaker, mood)}. "{words}"'
    verb, _ = _verb_and_manner(rng, speaker, words, mood, plain=True)
    return f'{name} {beat(speaker, mood)}. "{_open(words)}" {he} {verb}.'


def _open(words: str) -> str:
    """Ends a quotation so that the sentence can go on after it."""
    return words[:-1] + "," if words.endswith(".") else words


def _tag(rng: random.Random, speaker: Mapping[str, str], words: str, mood: str) -> str:
    verb, manner = _verb_and_manner(rng, speaker, words, mood)
    simple = " " not in verb
    if simple and rng.random() < 0.55:
        return f"{verb} {speaker['']}{manner}"
    return f"{speaker['']} {verb}{manner}"


def _verb_and_manner(
    rng: random.Random, speaker: Mapping[str, str], words: str, mood: str, plain: bool = False
) -> tuple[str, str]:
    mark = words[-1]
    pool = _VERBS[mark] if len(set(_MARKS.findall(words))) == 1 else ["said"]
    if len(pool) > 1 and (mark == "." or (mark == "!" and mood in _LOUD)):
        pool = _LOUD[mood] if mark == "!" else _MOOD_VERBS.get(mood, pool)
    verb = rng.choice(pool)
    manner = "" if plain or verb in _PLAIN_ONLY else rng.choice(_MANNERS[mood or mark])
    manner = manner.replace("{his}", speaker["his"])
    return verb, " " + manner if manner else ""

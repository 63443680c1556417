"""Direct speech: the many ways in which a child's book says who said what."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping

from featrack_utils.corpora.stories.world import lists, words

_MARKS = re.compile(r"(?<!Mr)(?<!Mrs)[.?!]")
_FIRST_SENTENCE = re.compile(r'^([^.?!"]{2,60}?(?<!Mr)(?<!Mrs)[.?!]) (\S.*)$', re.DOTALL)

Beat = Callable[[Mapping[str, str], str], str]


def spoken(
    rng: random.Random, speaker: Mapping[str, str], sentences: str, mood: str, beat: Beat
) -> str:
    """Returns a sentence or two in which the speaker says something.

    Args:
        rng: draws the form.
        speaker: forms of the speaker: "" the name, "he", "his" and so on.
        sentences: what is said, one or more whole sentences.
        mood: a key of the moods above, or "" for none.
        beat: returns a short clause without subject ("shook her head") for speaker and mood.
    """
    name, he = speaker[""], speaker["he"]
    name = name[0].upper() + name[1:]  # "the robin" may start a sentence
    form = rng.random()
    split = _FIRST_SENTENCE.match(sentences)
    if split and form < 0.4:
        tag = _tag(rng, speaker, split[1], mood)
        return f'"{_open(split[1])}" {tag}. "{split[2]}"'
    if form < 0.6:
        return f'"{_open(sentences)}" {_tag(rng, speaker, sentences, mood)}.'
    if form < 0.76:
        verb, manner = _verb_and_manner(rng, speaker, sentences, mood)
        return f'{name} {verb}{manner}, "{sentences}"'
    if form < 0.86:
        verb, _ = _verb_and_manner(rng, speaker, sentences, mood, plain=True)
        return f'{name} {beat(speaker, mood)} and {verb}, "{sentences}"'
    if form < 0.94:
        return f'{name} {beat(speaker, mood)}. "{sentences}"'
    verb, _ = _verb_and_manner(rng, speaker, sentences, mood, plain=True)
    return f'{name} {beat(speaker, mood)}. "{_open(sentences)}" {he} {verb}.'


def _open(sentences: str) -> str:
    """Ends a quotation so that the sentence can go on after it."""
    return sentences[:-1] + "," if sentences.endswith(".") else sentences


def _tag(rng: random.Random, speaker: Mapping[str, str], sentences: str, mood: str) -> str:
    verb, manner = _verb_and_manner(rng, speaker, sentences, mood)
    simple = " " not in verb
    if simple and rng.random() < 0.55:
        return f"{verb} {speaker['']}{manner}"
    return f"{speaker['']} {verb}{manner}"


def _verb_and_manner(
    rng: random.Random, speaker: Mapping[str, str], sentences: str, mood: str, plain: bool = False
) -> tuple[str, str]:
    verb = rng.choice(_verbs(sentences, mood))
    manner = ""
    if not plain and verb not in words("speech", "alone"):
        manner = rng.choice(words("speech", f"manners {mood or sentences[-1]}"))
    manner = manner.replace("{his}", speaker["his"])
    return verb, " " + manner if manner else ""


def _verbs(sentences: str, mood: str) -> tuple[str, ...]:
    mark = sentences[-1]
    if len(set(_MARKS.findall(sentences))) != 1:
        return ("said",)
    of_mood = {".": f"verbs {mood}", "!": f"loud {mood}"}.get(mark, "")
    return words("speech", of_mood if of_mood in lists("speech") else f"verbs {mark}")

"""Direct speech: the many ways in which a child's book says who said what."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping

from featrack_utils.corpora.stories.world import lists

_MARKS = re.compile(r"(?<!Mr)(?<!Mrs)[.?!]")
_FIRST_SENTENCE = re.compile(r'^([^.?!"]{2,60}?(?<!Mr)(?<!Mrs)[.?!]) (\S.*)$', re.DOTALL)


def spoken(
    rng: random.Random,
    speaker: Mapping[str, str],
    sentences: str,
    mood: str,
    beat: Callable[[], str],
) -> str:
    """A sentence or two in which the speaker says something.

    Args:
        rng: draws the form.
        speaker: forms of the speaker: "" the name, "he", "his" and so on.
        sentences: what is said, one or more whole sentences.
        mood: one of the moods of `speech.txt`, or "" for none.
        beat: gives a short clause without subject ("shook her head").
    """
    name = speaker[""][0].upper() + speaker[""][1:]  # "the robin" may start a sentence

    def tag(said: str) -> str:
        verb, manner = _verb(rng, said, mood), _manner(rng, speaker, said, mood)
        manner = "" if verb in lists("speech")["alone"] else manner
        turned = " " not in verb and rng.random() < 0.55
        return f"{verb} {speaker['']}{manner}" if turned else f"{speaker['']} {verb}{manner}"

    split = _FIRST_SENTENCE.match(sentences)
    form = rng.random()
    if split and form < 0.4:
        return f'"{_open(split[1])}" {tag(split[1])}. "{split[2]}"'
    if form < 0.6:
        return f'"{_open(sentences)}" {tag(sentences)}.'
    verb = _verb(rng, sentences, mood)
    if form < 0.76:
        manner = "" if verb in lists("speech")["alone"] else _manner(rng, speaker, sentences, mood)
        return f'{name} {verb}{manner}, "{sentences}"'
    if form < 0.86:
        return f'{name} {beat()} and {verb}, "{sentences}"'
    if form < 0.94:
        return f'{name} {beat()}. "{sentences}"'
    return f'{name} {beat()}. "{_open(sentences)}" {speaker["he"]} {verb}.'


def _open(sentences: str) -> str:
    """Ends a quotation so that the sentence can go on after it."""
    return sentences[:-1] + "," if sentences.endswith(".") else sentences


def _verb(rng: random.Random, sentences: str, mood: str) -> str:
    mark = sentences[-1]
    if len({*_MARKS.findall(sentences)}) != 1:
        return "said"
    of_mood = {".": f"verbs {mood}", "!": f"loud {mood}"}.get(mark, "")
    return rng.choice(lists("speech").get(of_mood) or lists("speech")[f"verbs {mark}"])


def _manner(rng: random.Random, speaker: Mapping[str, str], sentences: str, mood: str) -> str:
    manner = rng.choice(lists("speech")[f"manners {mood or sentences[-1]}"])
    return " " + manner.replace("{his}", speaker["his"]) if manner else ""

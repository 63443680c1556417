"""The small template language of the stories: how it is read and how it is spoken.

    [one|two|]         one of the alternatives; an empty one says nothing
    {T}  {F.his}       a slot: an entity of this story, or one of its forms; a capital
                       letter in the form ({F.His}) asks for a capital; {his} is the hero's
    <rule H F>         one line of a shared rule, in which X and Y now stand for H and F;
                       <Rule H F> with a capital to start a sentence
    <<F/sad: Oh no.>>  F says it, in one of many ways; the mood is optional
    ?out,!night ...    at the start of a line: only if these flags hold

Within one story, a rule does not say the same line twice while others are left.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from featrack_utils.corpora.stories.dialogue import spoken

Entity = Mapping[str, str]

_HERO_FORMS = ("he", "him", "his", "himself")
_CHOICE = re.compile(r"\[([^\[\]]*)\]")  # one without another inside
_SLOT_OR_RULE = re.compile(r"\{([\w.]+)\}|<([A-Za-z][\w-]*)((?: \w+)*)>")
_SPEECH = re.compile(r"<<(\w+)/?(\w*): *(.*?)>>", re.DOTALL)


class Line(NamedTuple):
    """A template with the flags it needs and the flags that forbid it."""

    template: str
    needs: frozenset[str] = frozenset()
    forbids: frozenset[str] = frozenset()

    def allowed(self, flags: set[str]) -> bool:
        """Whether the line may be used in a story with these flags."""
        return self.needs <= flags and not self.forbids & flags


def parse_line(text: str) -> Line:
    """Reads a line with its flags."""
    if not text.startswith("?"):
        return Line(text)
    head, _, template = text[1:].partition(" ")
    flags = head.split(",")
    needs = frozenset(flag for flag in flags if not flag.startswith("!"))
    return Line(template, needs, frozenset(flag[1:] for flag in flags if flag.startswith("!")))


def mentioned(template: str) -> set[str]:
    """The names of the entities that a template may speak of."""
    names = {match[1] for match in _SPEECH.finditer(template)}
    for slot, _, arguments in _SLOT_OR_RULE.findall(template):
        names.update([_entity_and_form(slot)[0]] if slot else arguments.split())
    return names


@dataclass
class Telling:
    """One story while it is told: its entities, its flags, and what it has already said."""

    rng: random.Random
    rules: Mapping[str, list[Line]]
    entities: dict[str, Entity]
    flags: set[str] = field(default_factory=set)
    said: set[Line] = field(default_factory=set)

    def render(self, template: str) -> str:
        """The text of a template: first choices, from the inside out, then names, then speech."""
        choices = 1
        while choices:
            template, choices = _CHOICE.subn(self._chosen, template)
        return _SPEECH.sub(self._spoken, _SLOT_OR_RULE.sub(self._filled, template))

    def _chosen(self, choice: re.Match[str]) -> str:
        return self.rng.choice(choice[1].split("|"))

    def _filled(self, match: re.Match[str]) -> str:
        slot, rule, arguments = match.groups()
        if rule:
            return self._call(rule, arguments.split())
        entity, form = _entity_and_form(slot)
        return _capital(self.entities[entity][form.lower()], form)

    def _spoken(self, speech: re.Match[str]) -> str:
        who, mood, words = speech.groups()
        speaker = self.entities[who]
        beat = f"beat-{mood or 'plain'}" if "garment" in speaker else "beat-creature"
        self.entities["speaker"] = speaker
        return spoken(self.rng, speaker, words, mood, lambda: self._call(beat, []))

    def _call(self, rule: str, arguments: list[str]) -> str:
        lines = [line for line in self.rules[rule.lower()] if line.allowed(self.flags)]
        line = self.rng.choice([line for line in lines if line not in self.said] or lines)
        self.said.add(line)
        outer = self.entities
        named = {name: outer[key] for name, key in zip("XY", arguments, strict=False)}
        self.entities = {**outer, **named}
        text = self.render(line.template)
        self.entities = outer
        return _capital(text, rule)


def _entity_and_form(slot: str) -> tuple[str, str]:
    if slot.lower() in _HERO_FORMS:
        return "H", slot
    entity, _, form = slot.partition(".")
    return entity, form


def _capital(text: str, asked: str) -> str:
    """The text, with a capital if what asked for it has one."""
    return text[0].upper() + text[1:] if asked[:1].isupper() else text

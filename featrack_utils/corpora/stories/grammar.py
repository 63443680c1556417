"""The small template language of the stories: how it is read and how it is spoken.

    [one|two|]         one of the alternatives; an empty one says nothing
    {T}  {F.his}       a slot: an entity of this story, or one of its forms; a capital
                       letter in the form ({F.His}) asks for a capital
    <rule H F>         one line of a shared rule, in which X and Y now stand for H and F;
                       <Rule H F> with a capital to start a sentence
    <<F/sad: Oh no.>>  F says it, in one of many ways; the mood is optional
    ?out,!night ...    at the start of a line: only if these flags hold

Within one story, a rule does not say the same line twice while others are left.
"""

from __future__ import annotations

import functools
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from featrack_utils.corpora.stories.dialogue import spoken

Entity = Mapping[str, str]

_HERO_FORMS = {"he", "him", "his", "himself"}
_CLOSERS = {"[": "]", "{": "}", "<<": ">>", "<": ">"}
_MARK = re.compile(r"<<|>>|[\[\]|{}<>]")


@dataclass(frozen=True)
class Line:
    """A template with the flags it needs and the flags that forbid it."""

    template: str
    needs: frozenset[str]
    forbids: frozenset[str]

    def allowed(self, flags: set[str]) -> bool:
        """Whether the line may be used in a story with these flags."""
        return self.needs <= flags and not self.forbids & flags


@dataclass
class Telling:
    """One story while it is told: its entities, its flags, and what it has already said."""

    rng: random.Random
    rules: Mapping[str, list[Line]]
    entities: dict[str, Entity] = field(default_factory=dict)
    flags: set[str] = field(default_factory=set)
    said: dict[str, set[int]] = field(default_factory=dict)

    def render(self, template: str) -> str:
        """The text of a template, every choice drawn afresh."""
        return "".join(self._part(opener, inside) for opener, inside in parts(template))

    def _part(self, opener: str, inside: str) -> str:
        match opener:
            case "[":
                return self.render(self.rng.choice(options(inside)))
            case "{":
                entity, form = slot(inside)
                return _capital(self.entities[entity][form.lower()], form)
            case "<":
                return self._call(*inside.split())
            case "<<":
                entity, mood, words = speech(inside)
                sentences = self.render(words)
                return spoken(self.rng, self.entities[entity], sentences, mood, self._beat)
            case _:
                return inside

    def _call(self, rule: str, *arguments: str) -> str:
        lines = self.rules[rule.lower()]
        said = self.said.setdefault(rule.lower(), set())
        open_lines = [n for n, line in enumerate(lines) if line.allowed(self.flags)]
        fresh = [n for n in open_lines if n not in said] or open_lines
        chosen = self.rng.choice(fresh)
        said.add(chosen)
        outer = self.entities
        bound = {name: outer[key] for name, key in zip("XY", arguments, strict=False)}
        self.entities = {**outer, **bound}
        text = self.render(lines[chosen].template)
        self.entities = outer
        return _capital(text, rule)

    def _beat(self, speaker: Entity, mood: str) -> str:
        self.entities["speaker"] = speaker
        return self._call(f"beat-{mood or 'plain'}" if "garment" in speaker else "beat-creature")


def _capital(text: str, asked: str) -> str:
    """The text, with a capital if what asked for it has one."""
    return text[0].upper() + text[1:] if asked[:1].isupper() else text


# ---- reading ---------------------------------------------------------------------------------


def parse_line(text: str) -> Line:
    """Reads a line with its flags.

    Raises:
        ValueError: brackets don't match.
    """
    flags: list[str] = []
    if text.startswith("?"):
        head, _, text = text[1:].partition(" ")
        flags = head.split(",")
    mentioned(text)  # looks at every bracket
    needs = frozenset(flag for flag in flags if not flag.startswith("!"))
    return Line(text, needs, frozenset(flag[1:] for flag in flags if flag.startswith("!")))


def mentioned(template: str) -> set[str]:
    """The names of the entities that a template may speak of.

    Raises:
        ValueError: brackets don't match.
    """
    names: set[str] = set()
    for opener, inside in parts(template):
        match opener:
            case "[":
                names = names.union(*map(mentioned, options(inside)))
            case "{":
                names.add(slot(inside)[0])
            case "<":
                names.update(inside.split()[1:])
            case "<<":
                entity, _, words = speech(inside)
                names |= {entity} | mentioned(words)
    return names


@functools.cache
def parts(template: str) -> tuple[tuple[str, str], ...]:
    """A template as pairs: the bracket that opens a part ("" for plain text), and what is inside.

    Raises:
        ValueError: brackets don't match.
    """
    found, here = [], 0
    while mark := _MARK.search(template, here):
        found.append(("", template[here : mark.start()]))
        end, here = _closed(template, mark)
        found.append((mark[0], template[mark.end() : end]))
    return (*found, ("", template[here:]))


@functools.cache
def options(choice: str) -> tuple[str, ...]:
    """The alternatives inside square brackets, parted by bars."""
    found, start, here = [], 0, 0
    while mark := _MARK.search(choice, here):
        if mark[0] == "|":
            found.append(choice[start : mark.start()])
            start = here = mark.end()
        else:
            _, here = _closed(choice, mark)
    return (*found, choice[start:])


def slot(inside: str) -> tuple[str, str]:
    """The entity and its form that stand in braces; a pronoun alone is the hero's."""
    if inside.lower() in _HERO_FORMS:
        return "H", inside
    entity, _, form = inside.partition(".")
    return entity, form


def speech(inside: str) -> tuple[str, str, str]:
    """Who speaks, in which mood, and what."""
    head, _, words = inside.partition(":")
    entity, _, mood = head.partition("/")
    return entity, mood, words.lstrip()


def _closed(text: str, opener: re.Match[str]) -> tuple[int, int]:
    """Where the bracket that closes this one begins and ends."""
    closer = _CLOSERS.get(opener[0])
    here = opener.end()
    if closer in ("}", ">"):  # nothing is nested in these
        here = text.find(closer, here)
        if here >= 0:
            return here, here + 1
    while closer and here >= 0 and (mark := _MARK.search(text, here)):
        if mark[0] == closer:
            return mark.span()
        if mark[0] == "|" and closer == "]":
            here = mark.end()
        else:
            _, here = _closed(text, mark)
    raise ValueError(f"the bracket {opener[0]!r} is unmatched in {text[:60]!r}")

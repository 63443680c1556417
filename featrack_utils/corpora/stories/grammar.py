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

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from featrack_utils.corpora.stories.dialogue import spoken

Entity = Mapping[str, str]
Template = tuple["Node", ...]


@dataclass(frozen=True)
class Choice:
    """One of several alternatives."""

    options: tuple[Template, ...]


@dataclass(frozen=True)
class Slot:
    """A form of an entity; `form` is in lower case, `capital` says how it was asked for."""

    entity: str
    form: str
    capital: bool


@dataclass(frozen=True)
class Call:
    """A use of a shared rule, with the entities that take the places of X and Y."""

    rule: str
    arguments: tuple[str, ...]
    capital: bool = False


@dataclass(frozen=True)
class Say:
    """Direct speech of an entity, in a mood."""

    entity: str
    mood: str
    text: Template


Node = str | Choice | Slot | Call | Say


@dataclass(frozen=True)
class Line:
    """A template with the flags it needs and the flags that forbid it."""

    template: Template
    needs: frozenset[str]
    forbids: frozenset[str]

    def allowed(self, flags: set[str]) -> bool:
        """Says whether the line may be used in a story with these flags."""
        return self.needs <= flags and not self.forbids & flags


@dataclass
class Telling:
    """One story while it is told: its entities, its flags, and what it has already said."""

    rng: random.Random
    rules: Mapping[str, list[Line]]
    entities: dict[str, Entity] = field(default_factory=dict)
    flags: set[str] = field(default_factory=set)
    said: dict[str, set[int]] = field(default_factory=dict)

    def render(self, template: Template) -> str:
        """Returns the text of a template, every choice drawn afresh."""
        parts: list[str] = []
        for node in template:
            match node:
                case str():
                    parts.append(node)
                case Choice():
                    parts.append(self.render(self.rng.choice(node.options)))
                case Slot():
                    parts.append(self._fill(node))
                case Call():
                    parts.append(self._call(node))
                case Say():
                    parts.append(self._say(node))
        return "".join(parts)

    def _fill(self, slot: Slot) -> str:
        value = self.entities[slot.entity][slot.form]
        return value[0].upper() + value[1:] if slot.capital else value

    def _call(self, call: Call) -> str:
        lines = self.rules[call.rule]
        said = self.said.setdefault(call.rule, set())
        open_lines = [n for n, line in enumerate(lines) if line.allowed(self.flags)]
        fresh = [n for n in open_lines if n not in said] or open_lines
        chosen = self.rng.choice(fresh)
        said.add(chosen)
        outer = self.entities
        bound = {name: outer[key] for name, key in zip("XY", call.arguments, strict=False)}
        self.entities = {**outer, **bound}
        text = self.render(lines[chosen].template)
        self.entities = outer
        return text[0].upper() + text[1:] if call.capital else text

    def _say(self, say: Say) -> str:
        words = self.render(say.text)
        speaker = self.entities[say.entity]
        return spoken(self.rng, speaker, words, say.mood, self._beat)

    def _beat(self, speaker: Entity, mood: str) -> str:
        rule = f"beat-{mood or 'plain'}" if "garment" in speaker else "beat-creature"
        self.entities["speaker"] = speaker
        return self._call(Call(rule, ()))


# ---- reading ---------------------------------------------------------------------------------

_HERO_FORMS = {"he", "him", "his", "himself"}
_SPECIAL = re.compile(r"<<|>>|[\[\]|{}<>]")


def parse_line(text: str) -> Line:
    """Reads a line with its flags.

    Raises:
        ValueError: if brackets don't match.
    """
    needs: frozenset[str] = frozenset()
    forbids: frozenset[str] = frozenset()
    if text.startswith("?"):
        head, _, text = text[1:].partition(" ")
        words = head.split(",")
        needs = frozenset(word for word in words if not word.startswith("!"))
        forbids = frozenset(word[1:] for word in words if word.startswith("!"))
    return Line(parse(text), needs, forbids)


def parse(text: str) -> Template:
    """Reads a template.

    Raises:
        ValueError: if brackets don't match.
    """
    template, end, _ = _sequence(text, 0, "")
    if end != len(text):
        raise ValueError(f"unmatched bracket at {text[end : end + 20]!r} in {text[:60]!r}")
    return template


def mentioned(template: Template) -> set[str]:
    """Returns the names of the entities that a template may speak of."""
    names: set[str] = set()
    for node in template:
        match node:
            case Slot():
                names.add(node.entity)
            case Call():
                names.update(node.arguments)
            case Say():
                names |= {node.entity} | mentioned(node.text)
            case Choice():
                names = names.union(*(mentioned(option) for option in node.options))
    return names


def _sequence(text: str, start: int, closer: str) -> tuple[Template, int, str]:
    """Reads up to the closer (or "|" inside a choice); returns what was read, where, by what."""
    nodes: list[Node] = []
    here = start
    while found := _SPECIAL.search(text, here):
        if found.start() > here:
            nodes.append(text[here : found.start()])
        mark, here = found[0], found.end()
        if mark == closer or (mark == "|" and closer == "]"):
            return tuple(nodes), here, mark
        if mark == "[":
            node, here = _choice(text, here)
        elif mark == "{":
            inside, here = _until(text, here, "}")
            node = _slot(inside)
        elif mark == "<<":
            head, here = _until(text, here, ":")
            entity, _, mood = head.partition("/")
            words, here, _ = _sequence(text, here, ">>")
            node = Say(entity, mood, _stripped(words))
        elif mark == "<":
            inside, here = _until(text, here, ">")
            rule, *arguments = inside.split()
            node = Call(rule.lower(), tuple(arguments), rule[0].isupper())
        else:
            raise ValueError(f"unexpected {mark!r} in {text[:60]!r}")
        nodes.append(node)
    if closer:
        raise ValueError(f"missing {closer!r} in {text[:60]!r}")
    if here < len(text):
        nodes.append(text[here:])
    return tuple(nodes), len(text), ""


def _choice(text: str, here: int) -> tuple[Choice, int]:
    options: list[Template] = []
    mark = "|"
    while mark == "|":
        option, here, mark = _sequence(text, here, "]")
        options.append(option)
    return Choice(tuple(options)), here


def _slot(inside: str) -> Slot:
    if inside.lower() in _HERO_FORMS:
        return Slot("H", inside.lower(), inside[0].isupper())
    entity, _, form = inside.partition(".")
    return Slot(entity, form.lower(), form[:1].isupper())


def _until(text: str, here: int, mark: str) -> tuple[str, int]:
    end = text.find(mark, here)
    if end < 0:
        raise ValueError(f"missing {mark!r} in {text[:60]!r}")
    return text[here:end], end + len(mark)


def _stripped(template: Template) -> Template:
    """Drops the blank after the colon of a speech."""
    if template and isinstance(template[0], str):
        return (template[0].lstrip(), *template[1:])
    return template

"""Tells stories: draws a cast for a plot, speaks its paragraphs, and tidies the text.

Plots and rules are written in a small template language:

    [one|two|]         one of the alternatives; an empty one says nothing
    {T}  {F.his}       a slot: an entity of this story, or one of its forms; a capital
                       letter in the form ({F.His}) asks for a capital
    <rule H F>         one line of a shared rule, in which X and Y now stand for H and F;
                       <Rule H F> with a capital to start a sentence
    <<F/sad: Oh no.>>  F says it, in one of many ways; the mood is optional

Within one story, a rule does not say the same line twice while others are left, and speaks of a
friend or a thing only where the plot does. In a plot, a line that begins with @ says what the cast
must be like, and `let` gives a name one of some values (with a second one, after /, for "him").
All other lines are paragraphs: one with | tells the paragraph before it in another way, and ~ marks
an optional one.
"""

import functools
import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from featrack_utils.corpora.documents import Document
from featrack_utils.corpora.stories.cast import DATA, Entity, draw, lines_of, words

_OPTIONAL = 0.5  # chance that an optional paragraph is told
_CLOSING = 0.75
_LONG = 290  # words after which a story gets no closing of its own
_CAST_OF_PLOT = {"F", "K", "R", "S", "T", "U"}

_CHOICE = re.compile(r"\[([^\[\]]*)\]")  # one without another inside
_SLOT_OR_RULE = re.compile(r"\{([\w.]+)\}|<([A-Za-z][\w-]*)((?: \w+)*)>")
_SPEECH = re.compile(r"<<(\w+)/?(\w*): *(.*?)>>", re.DOTALL)
_STOP = r"(?<!Mr)(?<!Mrs)[.?!]"
_FIRST_SENTENCE = re.compile(rf'^([^.?!"]{{2,60}}?{_STOP}) (\S.*)$', re.DOTALL)
# A sentence starts at the head of a paragraph or after a full stop outside quotation marks.
_SENTENCE_START = re.compile(rf'(?:^|\n\n|(?<!\.\.){_STOP} )"?[a-z]')
# "an" stands before these; vowel letters that sound like consonants ("a unicorn") take "a".
_AN = re.compile(r"\b([Aa]) (?=hour|honest|(?!uni|use|usu|one|eu|ukulele)[aeiou])", re.IGNORECASE)


class Plot(NamedTuple):
    """A plot, as its section says it."""

    wanted: dict[str, str]  # what its cast must be like, by letter
    settled: dict[str, list[str]]  # names given a value at the start, and the values to choose from
    paragraphs: list[tuple[list[str], bool]]  # the alternatives, and whether it is optional


@functools.cache
def cast_of(template: str) -> frozenset[str]:
    """The friend, thing and so on that a template speaks of, among those not in every plot."""
    names = {speaker for speaker, _, _ in _SPEECH.findall(template)}
    for slot, _, arguments in _SLOT_OR_RULE.findall(template):
        names.update([slot.partition(".")[0]] if slot else arguments.split())
    return frozenset(names & _CAST_OF_PLOT)


@dataclass
class Telling:
    """One story while it is told: its entities, its plot's cast, and what it has already said."""

    rng: random.Random
    rules: Mapping[str, list[str]]
    entities: dict[str, Entity]
    cast: frozenset[str] = frozenset()
    said: set[str] = field(default_factory=set)

    def render(self, template: str) -> str:
        """The text of a template: first choices, from the inside out, then names, then speech."""
        choices = 1
        while choices:
            template, choices = _CHOICE.subn(
                lambda choice: self.rng.choice(choice[1].split("|")), template
            )
        filled = _SLOT_OR_RULE.sub(self._filled, template)
        return _SPEECH.sub(lambda speech: self._spoken(*speech.groups()), filled)

    def _filled(self, match: re.Match[str]) -> str:
        slot, rule, arguments = match.groups()
        if rule:
            return self._call(rule, arguments.split())
        entity, _, form = slot.partition(".")
        return _capital(self.entities[entity][form.lower()], form)

    def _call(self, rule: str, arguments: list[str]) -> str:
        lines = [line for line in self.rules[rule.lower()] if cast_of(line) <= self.cast]
        line = self.rng.choice([line for line in lines if line not in self.said] or lines)
        self.said.add(line)
        outer = self.entities
        named = {name: outer[key] for name, key in zip("XY", arguments, strict=False)}
        self.entities = {**outer, **named}
        text = self.render(line)
        self.entities = outer
        return _capital(text, rule)

    def _spoken(self, who: str, mood: str, sentences: str) -> str:
        """Who says it, in one of the many ways of a child's book."""
        speaker = self.entities["speaker"] = self.entities[who]
        name = _capital(speaker[""], "Name")  # "the robin" may start a sentence
        split, form = _FIRST_SENTENCE.match(sentences), self.rng.random()
        first, rest = split.groups() if split and form < 0.4 else (sentences, "")
        verb = self._verb(first, mood)
        alone = verb in words()["alone"]
        if form < 0.6:
            manner = self._manner(speaker, first, mood)
            told = "" if alone else manner
            turned = " " not in verb and self.rng.random() < 0.55
            tag = f"{verb} {speaker['']}{told}" if turned else f"{speaker['']} {verb}{told}"
            return f'"{_open(first)}" {tag}.' + (f' "{rest}"' if rest else "")
        if form < 0.76:
            manner = "" if alone else self._manner(speaker, sentences, mood)
            return f'{name} {verb}{manner}, "{sentences}"'
        beat = f"beat-{mood or 'plain'}" if "garment" in speaker else "beat-creature"
        beat = self._call(beat, [])
        if form < 0.86:
            return f'{name} {beat} and {verb}, "{sentences}"'
        if form < 0.94:
            return f'{name} {beat}. "{sentences}"'
        return f'{name} {beat}. "{_open(sentences)}" {speaker["he"]} {verb}.'

    def _verb(self, sentences: str, mood: str) -> str:
        mark = sentences[-1]
        if len({*re.findall(_STOP, sentences)}) != 1:
            return "said"
        of_mood = {".": f"verbs {mood}", "!": f"loud {mood}"}.get(mark, "")
        return self.rng.choice(words().get(of_mood) or words()[f"verbs {mark}"])

    def _manner(self, speaker: Entity, sentences: str, mood: str) -> str:
        manner = self.rng.choice(words()[f"manners {mood or sentences[-1]}"])
        return " " + manner.replace("{his}", speaker["his"]) if manner else ""


def _capital(text: str, asked: str) -> str:
    """The text, with a capital if what asked for it has one."""
    return text[0].upper() + text[1:] if asked[:1].isupper() else text


def _open(sentences: str) -> str:
    """Ends a quotation so that the sentence can go on after it."""
    return sentences[:-1] + "," if sentences.endswith(".") else sentences


def write_stories(seed: int) -> Iterator[Document]:
    """Yields stories without end, the plots in turn in a new order for each round.

    The same seed gives the same stories.
    """
    by_name = plots()
    number = 0
    while True:
        for name in random.Random(f"{seed}/order/{number}").sample(list(by_name), len(by_name)):
            text = _tell(random.Random(f"{seed}/{number}"), by_name[name])
            yield Document(text, f"story/{number}", f"plot/{name}", package="featrack-utils")
            number += 1


def _tell(rng: random.Random, plot: Plot) -> str:
    entities = draw(rng, plot.wanted)
    cast = (cast_of(line) for lines, _ in plot.paragraphs for line in lines)
    telling = Telling(rng, sections("rules"), entities, frozenset().union(*cast))
    for name, values in plot.settled.items():
        forms = zip(("", "him"), rng.choice(values).split("/"), strict=False)
        entities[name] = {form: telling.render(value.strip()) for form, value in forms}
    told = [telling.render("<open>")]
    for lines, optional in plot.paragraphs:
        if not (optional and rng.random() < _OPTIONAL):
            told.append(telling.render(rng.choice(lines)))
    if rng.random() < _CLOSING and sum(len(part.split()) for part in told) <= _LONG:
        told.append(telling.render("<close>"))
    return tidied(told)


def tidied(paragraphs: list[str]) -> str:
    """Paragraphs without stray blanks, with "an" before vowels and capitals to begin sentences."""
    parts = (re.sub(r" {2,}", " ", part.strip()) for part in paragraphs)
    parts = (re.sub(r" +([.,?!](?!\.)|$)", r"\1", part) for part in parts)
    text = _AN.sub(r"\1n ", "\n\n".join(filter(None, parts)))
    return _SENTENCE_START.sub(lambda match: match[0][:-1] + match[0][-1].upper(), text)


@functools.cache
def sections(kind: str) -> dict[str, list[str]]:
    """The lines under each heading ("== name") of the files that hold "plots" or "rules"."""
    found: dict[str, list[str]] = {}
    for path in sorted(DATA.glob(f"{kind}_*.txt")):
        for line in lines_of(path.stem):
            if line.startswith("== "):
                lines = found[line.removeprefix("== ")] = []
            else:
                lines.append(line)
    return found


@functools.cache
def plots() -> dict[str, Plot]:
    """All plots, by name."""
    return {name: _read_plot(lines) for name, lines in sections("plots").items()}


def _read_plot(lines: list[str]) -> Plot:
    plot = Plot({}, {}, [])
    before = ""
    for line in lines:
        mark, rest = line[0], line[1:].strip()
        if mark == "@":
            plot.wanted.update(part.split("=", 1) for part in rest.split())
        elif line.startswith("let "):
            name, _, values = line.removeprefix("let ").partition(":")
            plot.settled[name] = values.split("|")
        elif mark == "|" == before:
            plot.paragraphs[-1][0].append(rest)
        else:
            plot.paragraphs.append(([rest if mark in "|~" else line], mark == "~"))
        before = mark
    return plot

"""Tells stories: draws a cast for a plot, speaks its paragraphs, and tidies the text."""

from __future__ import annotations

import functools
import random
import re
from collections.abc import Iterator
from typing import NamedTuple

from featrack_utils.corpora.documents import Document
from featrack_utils.corpora.stories.agreement import fix_articles
from featrack_utils.corpora.stories.cast import draw
from featrack_utils.corpora.stories.grammar import Line, Telling, mentioned, parse_line
from featrack_utils.corpora.stories.world import sections

_OPTIONAL = 0.5  # chance that an optional paragraph is told
_CLOSING = 0.75
_LONG = 290  # words after which a story gets no closing of its own
_CAST_OF_PLOT = {"F", "K", "R", "S", "T", "U"}
# A sentence starts at the head of a paragraph or after a full stop outside quotation marks.
_SENTENCE_START = re.compile(r'(?:^|\n\n|(?<!Mr)(?<!Mrs)(?<!\.\.)[.?!] )"?[a-z]')


class Plot(NamedTuple):
    """A plot, as its section says it.

    Attributes:
        wanted: what its cast must be like, by letter.
        settled: names that are given a value at the start, and the values to choose from.
        paragraphs: of each the alternatives, of which one is told, and whether it is optional.
        uses: the flags "uses-F", "uses-T" and so on, for whom and what the plot speaks of.
    """

    wanted: dict[str, str]
    settled: list[tuple[list[str], list[list[str]]]]
    paragraphs: list[tuple[list[Line], bool]]
    uses: set[str]


def write_stories(seed: int) -> Iterator[Document]:
    """Yields stories without end, the plots in turn in a new order for each round.

    The same seed gives the same stories.
    """
    plots = _plots()
    number = 0
    while True:
        for name in random.Random(f"{seed}/order/{number}").sample(list(plots), len(plots)):
            text = _tell(random.Random(f"{seed}/{number}"), plots[name])
            yield Document(text, f"story/{number}", f"plot/{name}", package="featrack-utils")
            number += 1


def plot_names() -> list[str]:
    """The names of all plots, sorted."""
    return sorted(_plots())


def _tell(rng: random.Random, plot: Plot) -> str:
    entities, flags = draw(rng, plot.wanted)
    telling = Telling(rng, _rules(), entities, flags | plot.uses)
    for names, values in plot.settled:
        for name, value in zip(names, rng.choice(values), strict=True):
            entities[name] = {"": telling.render(value)}
    told = [telling.render("<open>")]
    for alternatives, optional in plot.paragraphs:
        lines = [line for line in alternatives if line.allowed(telling.flags)]
        if lines and not (optional and rng.random() < _OPTIONAL):
            told.append(telling.render(rng.choice(lines).template))
    if rng.random() < _CLOSING and sum(len(part.split()) for part in told) <= _LONG:
        told.append(telling.render("<close>"))
    return _tidy(told)


def _tidy(paragraphs: list[str]) -> str:
    parts = (re.sub(r" {2,}", " ", part.strip()) for part in paragraphs)
    parts = (re.sub(r" +([.,?!](?!\.)|$)", r"\1", part) for part in parts)
    text = fix_articles("\n\n".join(filter(None, parts)))
    return _SENTENCE_START.sub(lambda match: match[0][:-1] + match[0][-1].upper(), text)


@functools.cache
def _rules() -> dict[str, list[Line]]:
    return {
        name: [_needing_its_cast(parse_line(line)) for line in lines]
        for name, lines in sections("rules").items()
    }


def _needing_its_cast(line: Line) -> Line:
    """Lets a shared line speak of a friend or a thing only where the plot does."""
    needs = {f"uses-{key}" for key in mentioned(line.template) & _CAST_OF_PLOT}
    return line._replace(needs=line.needs | needs)


@functools.cache
def _plots() -> dict[str, Plot]:
    return {name: _read_plot(lines) for name, lines in sections("plots").items()}


def _read_plot(lines: list[str]) -> Plot:
    plot = Plot({}, [], [], set())
    before = ""
    for line in lines:
        mark, rest = line[0], line[1:].strip()
        if mark == "@":  # what the cast must be like
            plot.wanted.update(part.split("=", 1) for part in rest.split())
        elif line.startswith("let "):
            names, _, values = line.removeprefix("let ").partition(":")
            plot.settled.append((_cells(names), [_cells(value) for value in values.split("|")]))
        elif mark == "|" == before:  # one more way to tell the paragraph
            plot.paragraphs[-1][0].append(parse_line(rest))
        else:
            plot.paragraphs.append(([parse_line(rest if mark in "|~" else line)], mark == "~"))
        before = mark
    for alternatives, _ in plot.paragraphs:
        for line in alternatives:
            plot.uses.update(f"uses-{key}" for key in mentioned(line.template))
    return plot


def _cells(text: str) -> list[str]:
    return [cell.strip() for cell in text.split("/")]

"""Tells stories: draws a cast for a plot, speaks its paragraphs, and tidies the text."""

from __future__ import annotations

import functools
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass

from featrack_utils.corpora.documents import Document
from featrack_utils.corpora.stories.agreement import fix_articles
from featrack_utils.corpora.stories.cast import draw
from featrack_utils.corpora.stories.grammar import Line, Telling, mentioned, parse_line
from featrack_utils.corpora.stories.world import data_files, read

_OPTIONAL = 0.5
_CLOSING = 0.75
_LONG = 290  # words after which a story gets no closing of its own
_CAST_OF_PLOT = {"F", "K", "R", "S", "T", "U"}
# A sentence starts at the head of a paragraph or after a full stop outside quotation marks.
_SENTENCE_START = re.compile(r'(?:^|\n\n|(?<!Mr)(?<!Mrs)(?<!\.\.)[.?!] )"?[a-z]')


@dataclass(frozen=True)
class Paragraph:
    """One paragraph of a plot: alternatives of which one is told, or none if it's optional."""

    lines: tuple[Line, ...]
    optional: bool = False


@dataclass(frozen=True)
class Plot:
    """A plot: what its cast must be like, what is settled first, and its paragraphs."""

    name: str
    wanted: dict[str, str]
    settled: tuple[tuple[tuple[str, ...], tuple[tuple[str, ...], ...]], ...]
    paragraphs: tuple[Paragraph, ...]

    @functools.cached_property
    def uses(self) -> set[str]:
        """The flags "uses-F", "uses-T" and so on, for whom and what the plot speaks of."""
        lines = (line for paragraph in self.paragraphs for line in paragraph.lines)
        return {f"uses-{key}" for line in lines for key in mentioned(line.template)}


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
    flags |= plot.uses
    telling = Telling(rng, _rules(), entities, flags)
    for names, options in plot.settled:
        for name, value in zip(names, rng.choice(options), strict=True):
            entities[name] = {"": telling.render(parse_line(value).template)}
    opening, closing = (Paragraph((parse_line(f"<{rule}>"),)) for rule in ("open", "close"))
    told: list[str] = []
    for paragraph in (opening, *plot.paragraphs, closing):
        if paragraph is closing and (
            rng.random() > _CLOSING or sum(len(part.split()) for part in told) > _LONG
        ):
            break
        lines = [line for line in paragraph.lines if line.allowed(flags)]
        if lines and not (paragraph.optional and rng.random() < _OPTIONAL):
            told.append(telling.render(rng.choice(lines).template))
    return _tidy(told)


def _tidy(paragraphs: list[str]) -> str:
    tidy = (
        re.sub(r" +([.,?!](?!\.)|$)", r"\1", re.sub(r" {2,}", " ", part.strip()))
        for part in paragraphs
    )
    text = fix_articles("\n\n".join(part for part in tidy if part))
    return _SENTENCE_START.sub(lambda match: match[0][:-1] + match[0][-1].upper(), text)


# ---- reading plots and rules -----------------------------------------------------------------


@functools.cache
def _rules() -> dict[str, list[Line]]:
    rules: dict[str, list[Line]] = {}
    for file in data_files("rules"):
        for name, lines in _sections(read(file)):
            rules[name] = [_needing_its_cast(parse_line(line)) for line in lines]
    return rules


def _needing_its_cast(line: Line) -> Line:
    """Lets a shared line speak of a friend or a thing only where the plot does."""
    needs = {f"uses-{key}" for key in mentioned(line.template) & _CAST_OF_PLOT}
    return Line(line.template, line.needs | needs, line.forbids)


@functools.cache
def _plots() -> dict[str, Plot]:
    return {
        name: _read_plot(name, lines)
        for file in data_files("plots")
        for name, lines in _sections(read(file))
    }


def _sections(text: str) -> Iterator[tuple[str, list[str]]]:
    for section in re.split(r"^== ", text, flags=re.MULTILINE)[1:]:
        name, *lines = section.splitlines()
        yield name.strip(), [line.strip() for line in lines if line.strip()]


def _read_plot(name: str, lines: list[str]) -> Plot:
    wanted: dict[str, str] = {}
    settled = []
    paragraphs: list[Paragraph] = []
    in_choice = False
    for line in lines:
        mark, rest = line[0], line[1:].strip()
        if mark == "@":
            wanted.update(part.split("=", 1) for part in rest.split())
        elif line.startswith("let "):
            head, _, values = line.removeprefix("let ").partition(":")
            options = tuple(
                tuple(cell.strip() for cell in value.split("/")) for value in values.split("|")
            )
            settled.append((tuple(part.strip() for part in head.split("/")), options))
        elif mark == "|" and in_choice:
            last = paragraphs.pop()
            paragraphs.append(Paragraph((*last.lines, parse_line(rest)), last.optional))
        else:
            text = rest if mark in "|~" else line
            paragraphs.append(Paragraph((parse_line(text),), optional=mark == "~"))
        in_choice = mark == "|"
    return Plot(name, wanted, tuple(settled), tuple(paragraphs))

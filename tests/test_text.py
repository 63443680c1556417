"""Sentences with numbers: rounded for reading, and the verdict that an interval allows."""

import math

import numpy as np
import pytest
from matplotlib.figure import Figure

from featrack_utils.display import text
from featrack_utils.lineage import Lineage
from featrack_utils.statistics.intervals import Interval

NAN = math.nan


def test_numbers_are_rounded_with_true_minus_signs_and_dashes_for_what_is_undefined():
    assert text.number(-1234.567) == "−1,234.57"
    assert text.number(-0.001) == "0.00"
    assert text.count(1234.6) == "1,235"
    assert text.percent(0.2134) == "21\u00a0%"
    assert text.percent(0.2134, 1) == "21.3\u00a0%"
    assert text.points(-0.031) == "−3\u00a0points"
    assert {text.number(None), text.percent(NAN), text.points(None)} == {"–"}


def test_an_interval_stands_behind_its_figure_if_it_is_defined():
    assert text.with_interval(Interval(0.214, 0.2, 0.228)) == "21\u00a0% [20, 23]"
    assert text.with_interval(Interval(1.5, 1, 2), 1, share=False) == "1.5 [1.0, 2.0]"
    assert text.with_interval(Interval(0.5, NAN, NAN)) == "50\u00a0%"
    assert text.with_interval(Interval(NAN, NAN, NAN)) == "–"


@pytest.mark.parametrize(
    ("interval", "word"),
    [
        (Interval(0.4, 0.3, 0.49), "below"),
        (Interval(0.6, 0.51, 0.7), "above"),
        (Interval(0.6, 0.4, 0.7), "unclear"),
        (Interval(NAN, NAN, NAN), "unclear"),
    ],
)
def test_a_verdict_needs_the_whole_interval_on_one_side(interval, word):
    words = {name: name for name in ("below", "above", "unclear")}
    assert text.verdict(interval, 0.5, **words) == word


def test_a_figure_of_the_results_comes_with_its_interval():
    results = {"a.share": 0.2, "a.share.ci_low": 0.1, "a.share.ci_high": 0.3}
    assert text.estimate(results, "a.share") == Interval(0.2, 0.1, 0.3)
    assert math.isnan(text.estimate(results, "b").estimate)


def test_each_text_is_said_to_be_what_it_is(tmp_path, monkeypatch):
    sources = {
        "prose": {"kind": "embedded", "text": "english"},
        "lua": {"kind": "files", "globs": ["a/*.lua"]},
        "stories": {"kind": "embedded"},
    }
    monkeypatch.setattr(
        text.store, "read_record", lambda folder: {"parameters": {"sources": sources}}
    )
    lineage = Lineage(
        {"a": {"train": ["prose", "lua"]}, "b": {"parent": "a", "train": ["stories"]}}
    )
    assert text.what_was_read(tmp_path, lineage) == (
        "*Prose* is the prose of docstrings in scientific packages; *Lua* is text given by whoever "
        "made this run; *Stories* is what a small grammar of our own makes up."
    )


def test_words_are_listed_as_in_a_sentence():
    assert text.listed(["a"]) == "a"
    assert text.listed(["a", "b"]) == "a and b"
    assert text.listed(["a", "b", "c"]) == "a, b and c"


def test_a_caption_stands_under_its_figure_and_both_carry_the_name(monkeypatch):
    shown = []
    monkeypatch.setattr(text, "display", lambda what, metadata=None: shown.append((what, metadata)))
    text.show(Figure(), "What it shows.", name="fig-x", alt="a line")
    text.say("One.", "", "Two.")
    (_, picture), (caption, _), (words, _) = shown
    assert picture["featrack"] == {"caption": "What it shows.", "name": "fig-x", "alt": "a line"}
    assert caption.data == "*fig-x.* What it shows."
    assert words.data == "One.\n\nTwo."


@pytest.mark.parametrize(
    ("answer", "expected", "says"),
    [
        (..., 0.3, "*Not answered yet*"),
        (0.304, 0.3, "**Right.**"),
        (0.4, 0.3, "**Not yet**: it is off by 0.100"),
        ([0.3, 0.3], 0.3, "**Not yet**: the answer has the shape (2,); () is asked for."),
        (np.nan, 0.3, "**Not yet**: the answer is not a number."),
        ([0.3, 0.7], [0.3, np.nan], "**Right**, as far as this run can tell"),
        ([0.4, 0.7], [0.3, np.nan], "**Not yet**: it is off by 0.100"),
        (0.3, np.nan, "*This run can't tell*"),
    ],
)
def test_an_exercise_says_whether_the_answer_is_right(answer, expected, says, monkeypatch):
    shown = []
    monkeypatch.setattr(text, "display", lambda output: shown.append(output.data))
    text.check(answer, expected)
    assert len(shown) == 1 and shown[0].startswith(says)


@pytest.mark.parametrize("results", [{}, dict.fromkeys(("r", "r.ci_low", "r.ci_high"))])
def test_a_figure_that_is_missing_or_not_defined_is_unclear(results):
    found = text.estimate(results, "r")
    assert np.isnan(found).all()
    assert text.verdict(found, 0.5, below="below", above="above", unclear="unclear") == "unclear"

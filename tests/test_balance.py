"""The balanced weight of a merge, as its chapter finds it, on lines drawn by hand."""

import math

import numpy as np
import pandas as pd
import pytest

from featrack_utils.display.paper import PAPER
from featrack_utils.errors import FeatrackError
from tests.chapters import Chapter

# The authors' sweep: the weight of the Lua model (0 is TinyStories), then next-token accuracy on
# TinyStories and on Lua.
SWEEP = (
    (0.0, 0.52, 0.176),
    (0.4, 0.442, 0.31),
    (0.55, 0.393, 0.377),
    (0.6, 0.375, 0.398),
    (1.0, 0.247, 0.494),
)


@pytest.fixture(scope="module")
def chapter():
    """The functions that the chapter defines."""
    return Chapter("merge", swept={}, kept={})


@pytest.fixture
def crossing(chapter):
    return chapter.crossing


@pytest.fixture
def kept_shares(chapter):
    return chapter.kept_shares


@pytest.fixture
def balanced(chapter):
    def at(ts, a, b):
        chapter.swept["m"] = (pd.DataFrame({"t": ts}), {})
        chapter.kept["m"] = {"a": np.array(a, float), "b": np.array(b, float)}
        return chapter.balanced("m")

    return at


def test_two_straight_lines_balance_where_they_meet(balanced):
    # 1 - t meets t at ½, though ½ is not on the grid
    assert balanced([0, 0.4, 1], [1, 0.6, 0], [0, 0.4, 1]) == pytest.approx(0.5)
    # 1 - t meets 3t at ¼
    assert balanced([0, 0.3], [1, 0.7], [0, 0.9]) == pytest.approx(0.25)


def test_a_meeting_on_the_grid_is_found_there(balanced):
    assert balanced([0, 0.5, 1], [1, 0.6, 0], [0, 0.6, 1]) == 0.5


def test_accuracies_count_relative_to_what_went_before_and_to_the_parent(kept_shares, balanced):
    # a from 0.5 to 0.3 over 0.1 keeps 1 → ½; b from 0.2 to 0.6 over 0.2 keeps 0 → 1:
    # 1 - t/2 = t at ⅔, while the raw accuracies meet at ½.
    swept = pd.DataFrame({"t": [0, 1], "x": [0.5, 0.3], "y": [0.2, 0.6]})
    kept = kept_shares(swept, {"x": 0.1, "y": 0.2}, {"a": ["x"], "b": ["y"]})
    assert kept["a"] == pytest.approx([1, 0.5]) and kept["b"] == pytest.approx([0, 1])
    assert balanced(swept["t"], *kept.values()) == pytest.approx(2 / 3)


def test_the_domains_of_one_parent_count_alike(kept_shares):
    swept = pd.DataFrame({"t": [0, 1], "x": [0.6, 0.2], "z": [0.4, 0.4], "y": [0.0, 1.0]})
    before = {"x": 0.2, "z": 0.2, "y": 0.0}
    kept = kept_shares(swept, before, {"a": ["x", "z"], "b": ["y"]})
    assert kept["a"] == pytest.approx([1, 1 / 3])  # from 0.5 to 0.3, over 0.2


def test_of_several_crossings_the_one_that_keeps_most_counts(balanced):
    # They meet at ⅙ (share ⅓), at 5/9 (share ⅔) and at ⅚ (share ½)
    t = balanced([0, 1 / 3, 2 / 3, 1], [2 / 3, 0, 1, 0], [0, 2 / 3, 2 / 3, 1 / 3])
    assert t == pytest.approx(5 / 9)


def test_a_sweep_without_a_crossing_is_refused(balanced):
    with pytest.raises(FeatrackError, match="never cross between t = 0 and 1"):
        balanced([0, 1], [0.9, 0.8], [0.1, 0.7])


@pytest.mark.parametrize("parent", [0.3, 0.2, math.nan])
def test_a_parent_that_gained_nothing_has_no_share_and_no_balance(
    kept_shares, crossing, balanced, parent
):
    swept = pd.DataFrame({"t": [0, 1], "x": [0.5, 0.3], "y": [0.2, parent]})
    kept = kept_shares(swept, {"x": 0.1, "y": 0.3}, {"a": ["x"], "b": ["y"]})
    assert np.isnan(kept["b"]).all() and crossing(swept["t"], *kept.values()) is None
    with pytest.raises(FeatrackError, match="The fine-tune b is no more accurate"):
        balanced(swept["t"], [1, 0], kept["b"])


def test_accuracies_count_each_document_as_often_as_it_was_drawn(chapter):
    chapter.ts = [0.5]
    # Loss, tokens foreseen and tokens of two documents: before, then at the one weight.
    before, after = [[0, 1, 4], [0, 5, 10]], [[0, 2, 4], [0, 5, 10]]
    sums = {"x": np.array([before, after])}
    table, start = chapter.accuracies(sums, {"x": np.array([1, 1])})
    assert start["x"] == pytest.approx(6 / 14) and table["x"].tolist() == pytest.approx([7 / 14])
    table, start = chapter.accuracies(sums, {"x": np.array([3, 0])})
    assert start["x"] == pytest.approx(1 / 4) and table["x"].tolist() == pytest.approx([2 / 4])


def test_a_balance_that_some_draw_lacks_has_no_interval(chapter):
    chapter.drawn = {"m": [(t, None) for t in (0.2, 0.4, 0.6)]}
    estimate, low, high = chapter.spread("m", 0.4, lambda t, _: t)
    assert estimate == 0.4 and 0.2 <= low < 0.25 and 0.55 < high <= 0.6
    assert np.isnan(chapter.spread("m", 0.4, lambda t, _: t if t > 0.3 else None)[1:]).all()
    assert np.isnan(chapter.spread("m", None, lambda t, _: t)).all()


def test_curves_that_never_meet_have_no_crossing(crossing):
    assert crossing([0, 1], [0.5, 0.4], [0.1, 0.2]) is None


def test_the_published_raw_accuracies_meet_near_forty_three_hundredths_from_lua(crossing):
    from_stories, stories, lua = np.array(SWEEP[::-1]).T
    # between .40 (Lua ahead by .023) and .45 (behind by .016): .40 + .05 · 23/39
    t = crossing(1 - from_stories, lua, stories)
    assert t == pytest.approx(0.40 + 0.05 * 23 / 39)
    assert round(t, 2) == PAPER["merge.crossing_from_lua"].value

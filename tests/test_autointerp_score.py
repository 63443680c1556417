"""Scores against numpy and scipy, what isn't defined, and what they are compared with."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.chapters import Chapter

CHAPTER = Chapter("interpretation")
shuffled, simulation_r = CHAPTER.shuffled, CHAPTER.simulation_r

RNG = np.random.default_rng(0)
NAN = np.nan


def test_r_is_numpys_row_by_row_and_whatever_the_shape():
    x, y = RNG.normal(size=(2, 7, 4, 9))
    expected = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(x, y, strict=True)]
    assert simulation_r(x, y) == pytest.approx(expected)


def test_no_rows_have_no_scores():
    assert simulation_r(np.zeros((0, 4, 9)), np.zeros((0, 4, 9))).size == 0


def test_positions_that_are_unknown_on_either_side_are_left_out():
    x = np.array([[1.0, 2.0, 5.0, NAN, 9.0]])
    y = np.array([[2.0, 4.0, 10.0, 7.0, NAN]])
    assert simulation_r(x, y) == pytest.approx([1.0])


def test_a_score_isnt_defined_where_a_side_is_constant_or_nothing_is_known():
    x = np.array([[1.0, 2.0], [3.0, 3.0], [1.0, 2.0], [NAN, NAN]])
    y = np.array([[0.0, 0.0], [1.0, 2.0], [1.0, NAN], [1.0, 2.0]])
    assert np.isnan(simulation_r(x, y)).all()


@given(st.floats(1e-3, 1e3), st.floats(1e-3, 1e3))
def test_units_dont_matter(a, b):
    x, y = np.array([[0.0, 1.0, 0.0, 4.0]]), np.array([[0.0, 2.0, 1.0, 3.0]])
    assert simulation_r(a * x, b * y) == pytest.approx(simulation_r(x, y))


@given(st.integers(2, 50), st.integers(0, 5))
def test_shuffled_explanations_are_all_used_once_and_never_for_their_own_feature(n, seed):
    features = np.arange(n) * 3 + 1
    other = shuffled(features, seed)
    assert set(other) == set(features) and (other != features).all()


def test_one_feature_alone_has_no_other():
    assert shuffled(np.array([5]), 0).tolist() == [5]
    assert shuffled(np.array([], int), 0).size == 0

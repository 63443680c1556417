"""Scores against numpy and scipy, and what isn't defined."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu

from featrack_utils.interpretation.explain.score import (
    bootstrap,
    detection,
    simulation_r,
    strongest,
)

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


def test_detection_is_the_area_under_the_curve_as_scipy_has_it():
    active, inactive = RNG.integers(0, 5, (2, 6, 8)).astype(float)
    expected = [mannwhitneyu(a, b).statistic / 64 for a, b in zip(active, inactive, strict=True)]
    assert detection(active, inactive) == pytest.approx(expected)


def test_detection_by_yes_and_no_is_the_balanced_accuracy():
    # Three of four active excerpts found, one of five others taken for one.
    yes = detection(np.array([[1, 1, 1, 0.0]]), np.array([[1, 0, 0, 0, 0.0]]))
    assert yes == pytest.approx([(3 / 4 + 4 / 5) / 2])


def test_detection_leaves_out_what_is_unknown_and_needs_both_kinds():
    some = detection(np.array([[2, NAN], [NAN, NAN]]), np.array([[1, NAN], [1, 2]]))
    assert some[0] == 1 and np.isnan(some[1])


def test_the_strongest_of_an_excerpt_without_a_known_position_is_unknown():
    found = strongest(np.array([[[1, 3, NAN], [NAN, NAN, NAN]]]))
    assert found[0, 0] == 3 and np.isnan(found[0, 1])


def test_an_interval_holds_the_median_leaves_out_nan_and_is_the_same_each_time():
    values = np.append(np.arange(101.0), [NAN] * 50)
    found = bootstrap(values, np.median, 200, 1)
    assert found.estimate == 50 and 30 < found.low < 50 < found.high < 70
    assert bootstrap(values, np.median, 200, 1) == found


def test_nothing_defined_gives_no_figure():
    assert np.isnan(bootstrap(np.array([NAN]), np.mean, 10, 1)).all()

"""Scores against numpy and scipy, what isn't defined, and what they are compared with."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featrack_utils.interpretation.explain.score import (
    CALIPER,
    bootstrap,
    equally_dense,
    shuffled,
    simulation_r,
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


def test_an_interval_holds_the_median_leaves_out_nan_and_is_the_same_each_time():
    values = np.append(np.arange(101.0), [NAN] * 50)
    found = bootstrap(values, np.median, 200, 1)
    assert found.estimate == 50 and 30 < found.low < 50 < found.high < 70
    assert bootstrap(values, np.median, 200, 1) == found


def test_nothing_defined_gives_no_figure():
    assert np.isnan(bootstrap(np.array([NAN]), np.mean, 10, 1)).all()


@given(st.integers(2, 50), st.integers(0, 5))
def test_shuffled_explanations_are_all_used_once_and_never_for_their_own_feature(n, seed):
    features = np.arange(n) * 3 + 1
    other = shuffled(features, seed)
    assert set(other) == set(features) and (other != features).all()


def test_one_feature_alone_has_no_other():
    assert shuffled(np.array([5]), 0).tolist() == [5]
    assert shuffled(np.array([], int), 0).size == 0


def test_each_is_paired_with_the_nearest_in_density_and_no_feature_twice():
    one, other = equally_dense(np.array([0.010, 0.020, 0.040]), np.array([0.011, 0.021, 0.9]))
    # 0.040 and 0.9 are what is left over, and too far apart.
    assert one.tolist() == other.tolist() == [0, 1]


def test_the_smaller_group_is_paired_whichever_it_is_and_an_empty_one_gives_no_pair():
    three, six, none = (np.full(n, 0.1) for n in (3, 6, 0))
    assert len(equally_dense(six, three)[0]) == len(equally_dense(three, six)[0]) == 3
    assert len(equally_dense(none, six)[0]) == 0


@given(st.lists(st.floats(1e-4, 0.5), min_size=4, max_size=30), st.integers(1, 3))
def test_pairs_are_within_the_caliper_and_disjoint(density, cut):
    a, b = np.array(density[:cut]), np.array(density[cut:])
    one, other = equally_dense(a, b)
    assert (np.abs(np.log(a[one] / b[other])) <= np.log(CALIPER) + 1e-9).all()
    assert len({*one}) == len({*other}) == len(one)


def test_rare_features_are_compared_with_rare_ones():
    rng = np.random.default_rng(0)
    rare, all_kinds = rng.uniform(0.001, 0.01, 40), rng.uniform(0.001, 0.1, 400)
    one, other = equally_dense(rare, all_kinds)
    assert len(one) > 20
    assert np.median(all_kinds[other]) == pytest.approx(np.median(rare[one]), rel=0.1)

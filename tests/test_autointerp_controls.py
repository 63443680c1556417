"""Controls: other explanations, and other features as rare or common."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featrack_utils.interpretation.explain.controls import CALIPER, equally_dense, shuffled


@given(st.integers(2, 50), st.integers(0, 5))
def test_shuffled_explanations_are_all_used_once_and_never_for_their_own_feature(n, seed):
    features = np.arange(n) * 3 + 1
    other = shuffled(features, seed)
    assert set(other) == set(features) and (other != features).all()


def test_one_feature_alone_has_no_other():
    assert shuffled(np.array([5]), 0).tolist() == [5]
    assert shuffled(np.array([], int), 0).size == 0


def test_each_is_paired_with_the_nearest_in_density_and_no_feature_twice():
    density = np.array([0.010, 0.020, 0.040, 0.011, 0.021, 0.9])
    pairs = equally_dense(density, np.array([0, 1, 2]), np.array([3, 4, 5]))
    # 0.040 and 0.9 are what is left over, and too far apart.
    assert pairs.one.tolist() == [0, 1] and pairs.other.tolist() == [3, 4]


def test_the_smaller_group_is_paired_whichever_it_is_and_an_empty_one_gives_no_pair():
    density = np.full(9, 0.1)
    assert len(equally_dense(density, np.arange(6), np.arange(6, 9)).one) == 3
    assert len(equally_dense(density, np.arange(3), np.arange(3, 9)).one) == 3
    assert len(equally_dense(density, np.arange(0), np.arange(9)).one) == 0


@given(st.lists(st.floats(1e-4, 0.5), min_size=4, max_size=30), st.integers(1, 3))
def test_pairs_are_within_the_caliper_and_disjoint(density, cut):
    density = np.array(density)
    pairs = equally_dense(density, np.arange(cut), np.arange(cut, density.size))
    ratio = density[pairs.one] / density[pairs.other]
    assert (np.abs(np.log(ratio)) <= np.log(CALIPER) + 1e-9).all()
    assert len({*pairs.one}) == len({*pairs.other}) == len(pairs.one)


def test_rare_features_are_compared_with_rare_ones():
    rng = np.random.default_rng(0)
    density = np.concatenate([rng.uniform(0.001, 0.01, 40), rng.uniform(0.001, 0.1, 400)])
    pairs = equally_dense(density, np.arange(40), np.arange(40, 440))
    assert len(pairs.one) > 20
    assert np.median(density[pairs.other]) == pytest.approx(np.median(density[pairs.one]), rel=0.1)

"""Strongest and random positions on activations written out by hand, and against plain sorting."""

import numpy as np
import pytest
from scipy import sparse

from featrack_utils.interpretation.positions import random_positions, strongest_positions


def columns(*features) -> sparse.csc_matrix:
    return sparse.csc_matrix(np.array(features, dtype=np.float32).T)


def test_the_strongest_come_first_and_each_from_another_document():
    acts = columns([1, 9, 0, 8, 3, 0], [0, 0, 0, 0, 0, 0], [2, 2, 0, 0, 2, 0])
    origin = np.array([0, 0, 0, 0, 1, 2])
    assert strongest_positions(acts, origin, 3).tolist() == [
        [1, 4, -1],
        [-1, -1, -1],
        [0, 4, -1],
    ]
    assert strongest_positions(acts, origin, 1).tolist() == [[1], [-1], [0]]


@pytest.fixture(scope="module")
def random_acts():
    rng = np.random.default_rng(0)
    dense = rng.integers(1, 9, (400, 30)) * (rng.random((400, 30)) < rng.random(30) ** 2)
    return dense.astype(np.float32), rng.integers(0, 25, 400)


def test_any_activations_give_what_sorting_gives(random_acts):
    dense, origin = random_acts
    found = strongest_positions(sparse.csc_matrix(dense), origin, 4)
    for feature, row in enumerate(found):
        ranked = sorted(np.flatnonzero(dense[:, feature]), key=lambda p: -dense[p, feature])
        expected = []
        for position in ranked:
            if origin[position] not in origin[expected]:
                expected.append(position)
        assert row[row >= 0].tolist() == expected[:4]


def test_random_positions_are_active_and_none_is_drawn_twice(random_acts):
    dense, _ = random_acts
    found = random_positions(sparse.csc_matrix(dense), 3, seed=1)
    for feature, row in enumerate(found):
        active = np.flatnonzero(dense[:, feature])
        drawn = row[row >= 0]
        assert set(drawn) <= set(active)
        assert len(set(drawn)) == len(drawn) == min(3, len(active))


def test_every_active_position_is_equally_likely_to_be_drawn():
    acts = columns(*[[0, 5, 0, 1, 1, 1]] * 6000)
    counts = np.bincount(random_positions(acts, 2, seed=0).ravel(), minlength=6)
    assert counts[[0, 2]].tolist() == [0, 0]
    np.testing.assert_allclose(counts[[1, 3, 4, 5]], 3000, rtol=0.05)


def test_the_seed_fixes_the_draw(random_acts):
    acts = sparse.csc_matrix(random_acts[0])
    first = random_positions(acts, 3, seed=7)
    assert np.array_equal(first, random_positions(acts.tocsr(), 3, seed=7))
    assert not np.array_equal(first, random_positions(acts, 3, seed=8))


def test_a_stored_zero_is_not_active():
    acts = sparse.csc_matrix((np.float32([0, 2]), [0, 1], [0, 2]), shape=(3, 1))
    assert strongest_positions(acts, np.arange(3), 2).tolist() == [[1, -1]]
    assert random_positions(acts, 2, seed=0).tolist() == [[1, -1]]

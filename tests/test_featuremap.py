"""The map on directions with planted groups, where the right answers are known beforehand."""

import numpy as np
import pytest
from safetensors.numpy import save_file

from featrack_utils.errors import FeatrackError
from featrack_utils.interpretation import feature_map
from featrack_utils.matching.correlation import BestMatches, Pairs

GROUPS, MEMBERS = 4, 30


def unit(rows):
    rows = np.asarray(rows, dtype=np.float64)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def planted():
    """Four groups of thirty directions in 40 dimensions, each around a direction of its own."""
    rng = np.random.default_rng(0)
    centres = np.repeat(rng.normal(size=(GROUPS, 40)), MEMBERS, axis=0)
    return unit(centres + 0.3 * rng.normal(size=centres.shape))


@pytest.fixture(scope="module")
def points(planted):
    return feature_map.layout(planted, neighbours=10, epochs=100, seed=1)


def test_the_nearest_by_cosine_are_those_of_plain_sorting(planted):
    index, distance = feature_map.nearest(planted, 5)
    cosine = planted @ planted.T
    np.fill_diagonal(cosine, 2)
    assert index.tolist() == np.argsort(-cosine, axis=1, kind="stable")[:, :5].tolist()
    np.testing.assert_allclose(distance[:, 0], 0)
    np.testing.assert_allclose(
        distance[:, 1:], 1 - np.sort(cosine, axis=1)[:, ::-1][:, 1:5], atol=1e-6
    )


def test_a_direction_is_its_own_nearest_even_among_copies():
    index, _ = feature_map.nearest(unit([[1, 0], [1, 0], [1, 0], [0, 1]]), 2)
    assert index.tolist() == [[0, 1], [1, 0], [2, 0], [3, 0]]


def test_a_layout_finds_the_planted_groups_and_clusters_them(points):
    label = feature_map.clusters(points, least=10)
    groups = label.reshape(GROUPS, MEMBERS)
    assert (groups == groups[:, :1]).mean() > 0.95
    assert sorted(np.unique(label[label >= 0])) == list(range(GROUPS))


def test_a_layout_is_the_same_again_to_the_last_bit(planted, points):
    again = feature_map.layout(planted, neighbours=10, epochs=100, seed=1)
    assert again.tobytes() == points.tobytes()
    other = feature_map.layout(planted, neighbours=10, epochs=100, seed=2)
    assert other.tobytes() != points.tobytes()


def test_clusters_are_numbered_by_size_and_stragglers_are_in_none():
    rng = np.random.default_rng(0)
    small, large = rng.normal(size=(12, 2)), rng.normal([50, 0], 1, size=(25, 2))
    alone = [[0, 500.0], [400, 0]]
    label = feature_map.clusters(np.concatenate([small, large, alone]), least=8)
    assert (label[:12] == 1).mean() > 0.9 and (label[12:37] == 0).mean() > 0.9
    assert label[37:].tolist() == [-1, -1]
    assert feature_map.clusters(np.zeros((3, 2)), least=8).tolist() == [-1, -1, -1]


def matches(pairs, b_candidates):
    i, j, r = (np.array(part) for part in zip(*pairs, strict=True)) if pairs else ([], [], [])
    none = np.zeros(3)
    found = Pairs(np.array(i, int), np.array(j, int), np.array(r, float))
    return BestMatches(
        none, none, none, none, np.ones(3, bool), np.array(b_candidates), found, floor=0.3
    )


def test_a_matched_neighbour_is_the_nearest_eligible_feature_with_r_above_tau():
    a, b = np.array([[0.0, 0], [5, 0], [9, 0]]), np.array([[0.1, 0], [5.2, 0], [8, 0], [9, 0]])
    # Feature 0's nearest is its match; 1's nearest isn't; 2 has a match only below τ.
    best = matches([(0, 0, 0.9), (0, 3, 0.85), (1, 2, 0.9), (2, 3, 0.5)], [True] * 4)
    assert feature_map.matched_neighbours(a, b, best, 0.8) == (0.5, 3 / 8)
    # Without feature 1 of b, the nearest of a's feature 1 is its match.
    best = matches([(0, 0, 0.9), (1, 2, 0.9)], [True, False, True, True])
    assert feature_map.matched_neighbours(a, b, best, 0.8) == (1.0, 2 / 6)
    assert np.isnan(feature_map.matched_neighbours(a, b, matches([], [True] * 4), 0.8)).all()


def test_directions_are_unit_rows_and_misfits_are_named(tmp_path):
    for name, rows in (("a", [[3, 4], [0, 2]]), ("b", [[1, 0, 0]]), ("c", [[0, 0]])):
        (tmp_path / name).mkdir()
        save_file(
            {"W_dec": np.array(rows, np.float32)}, tmp_path / name / "sae_weights.safetensors"
        )
    found = feature_map.directions({"base": tmp_path / "a"})
    np.testing.assert_allclose(found["base"], [[0.6, 0.8], [0, 1]])
    with pytest.raises(FeatrackError, match="different numbers of neurons"):
        feature_map.directions({"base": tmp_path / "a", "lua": tmp_path / "b"})
    with pytest.raises(FeatrackError, match="c has a decoder row without a direction"):
        feature_map.directions({"base": tmp_path / "c"})

"""Chance, counted in each of the ways in which shares are counted."""

import numpy as np
import pytest

from featrack_utils.matching.correlation import BestMatches, Pairs
from featrack_utils.statistics.bootstrap import draw
from featrack_utils.statistics.floors import (
    chance_share,
    document_shift_floor,
    shares_above,
    shifted_matches,
)
from featrack_utils.statistics.nulls import as_model
from featrack_utils.statistics.simulation import Plan, simulate

NONE = Pairs(*(np.zeros(0, int) for _ in range(2)), np.zeros(0))
# Five features, the last no candidate; 0 and 1 are found, and 1 alone is its match's best.
BEST = BestMatches(
    a_best_r=np.array([0.9, 0.95, 0.2, 0.1, 0.0]),
    a_best_index=np.array([0, 0, 1, 1, -1]),
    b_best_r=np.array([0.95, 0.2]),
    b_best_index=np.array([1, 2]),
    a_candidates=np.array([True, True, True, True, False]),
    b_candidates=np.ones(2, bool),
    pairs=NONE,
    floor=0.99,
)


def test_by_chance_is_counted_like_the_share_itself():
    assert chance_share(BEST, 0.8) == 0.5
    assert chance_share(BEST, 0.8, mutually=True) == 0.25
    # Groups {0, 1}, {2} and {3}, of which one holds a feature that is found.
    assert chance_share(BEST, 0.8, group=np.array([0, 0, 1, 2, -1])) == pytest.approx(1 / 3)
    # Of 0 and 2 one is found, of 3 none; the last feature is nobody's to ask.
    masks = [np.isin(np.arange(5), some) for some in ([0, 2, 4], [3], [4])]
    assert chance_share(BEST, 0.8, among=masks) == 0.25


def test_where_none_is_asked_chance_is_not_defined():
    nobody = BEST._replace(a_candidates=np.zeros(5, bool))
    assert chance_share(nobody, 0.8) is None
    assert chance_share(nobody, 0.8, group=np.full(5, -1)) is None
    assert chance_share(BEST, 0.8, among=[np.zeros(5, bool)]) is None


def test_the_floor_is_the_share_above_each_threshold_where_the_child_is_shifted():
    planted = simulate(Plan(100, 60, 60, density=0.03), 4)
    draws = draw(planted.parent[0], {"base": 1}, 2, 0)
    parent, child = (as_model("m", side, draws, 15, 5) for side in (planted.parent, planted.child))
    best = shifted_matches(parent, child)
    for one, other in zip(
        document_shift_floor(parent, child, [0.1, 0.8]), shares_above(best, [0.1, 0.8]), strict=True
    ):
        np.testing.assert_array_equal(one, other)
    assert shares_above(best, [0.8])[0] == chance_share(best, 0.8) == 0.0
    # Of two hundred pairs apiece some correlate by a tenth.
    assert shares_above(best, [0.1])[0] > 0

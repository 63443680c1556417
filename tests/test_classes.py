"""Eligibility, matching rules, classes and shares, on cases one can do in one's head."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.optimize import linear_sum_assignment

from featrack_utils.errors import FeatrackError
from featrack_utils.matching.classes import (
    assignment,
    classify,
    eligible,
    turned,
)
from featrack_utils.matching.correlation import BestMatches, Pairs, correlations
from tests.chapters import Chapter


def matches_of(r, floor=0.1, a_candidates=None, b_candidates=None):
    """The BestMatches of a matrix of r between candidates."""
    r = np.array(r, float)
    rows = np.ones(r.shape[0], bool) if a_candidates is None else np.array(a_candidates)
    columns = np.ones(r.shape[1], bool) if b_candidates is None else np.array(b_candidates)
    known = np.where(rows[:, None] & columns, r, -np.inf)
    i, j = np.nonzero(known >= floor)
    return BestMatches(
        np.where(rows, known.max(1), 0),
        np.where(rows, known.argmax(1), -1),
        np.where(columns, known.max(0), 0),
        np.where(columns, known.argmax(0), -1),
        rows,
        columns,
        Pairs(i, j, r[i, j]),
        floor,
    )


# Parents 0 and 1 share child 0; child 2 comes of nothing; parent 3 leaves nothing.
SHARED = [[0.95, 0.85, 0.1], [0.90, 0.2, 0.1], [0.1, 0.1, 0.2], [0.0, 0.0, 0.1]]


def test_a_feature_is_eligible_at_thirty_positions_in_ten_documents_not_below():
    dense = np.zeros((40, 4), np.float32)
    origin = np.arange(40) % 10
    dense[:30, 0] = 1  # 30 positions in 10 documents
    dense[:29, 1] = 1  # one position short
    dense[origin < 9, 2] = 1  # 36 positions, one document short
    acts = sparse.csr_matrix(dense)
    np.testing.assert_array_equal(eligible(acts, origin), [True, False, False, False])
    np.testing.assert_array_equal(eligible(acts, origin, 29, 9), [True, True, True, False])


def test_stored_zeros_are_not_activity():
    acts = sparse.csr_matrix(np.ones((40, 1), np.float32))
    acts.data[:] = 0
    assert not eligible(acts, np.arange(40)).any()


def test_best_match_lets_two_parents_share_a_child_and_mutual_does_not():
    best, mutual = (classify(matches_of(SHARED), 0.8, rule) for rule in ("best", "mutual"))
    assert list(best.parent) == ["persisting", "persisting", "disappearing", "disappearing"]
    assert list(best.child) == ["matched", "matched", "emerging"]
    assert (best.share("persisting"), best.share("disappearing")) == (0.5, 0.5)
    assert best.share("emerging") == 1 / 3
    assert list(mutual.parent_partner) == [0, -1, -1, -1]
    assert list(mutual.child_partner) == [0, -1, -1]
    assert mutual.share("persisting") == 0.25


def test_assignment_gives_up_the_best_match_where_two_pairs_are_worth_more():
    tracking = classify(matches_of(SHARED), 0.8, "assignment")
    # .85 + .90 beats .95 + .20; the pair of .2 is assigned but lies below the threshold.
    assert list(tracking.parent_partner) == [1, 0, -1, -1]
    assert list(tracking.child_partner) == [1, 0, -1]


def test_unobserved_features_are_in_no_share():
    tracking = classify(matches_of(SHARED, 0.1, [True, False] * 2, [False, True, True]), 0.8)
    assert list(tracking.parent) == ["persisting", "unobserved", "disappearing", "unobserved"]
    assert list(tracking.child) == ["unobserved", "matched", "emerging"]
    assert tracking.share("persisting") == 0.5 and tracking.share("emerging") == 0.5
    assert tracking.share("unobserved") == 0.5


def test_r_must_exceed_tau_not_reach_it():
    assert classify(matches_of([[0.8]]), 0.8).share("persisting") == 0
    assert classify(matches_of([[0.8]]), 0.79).share("persisting") == 1


@settings(max_examples=60)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 10_000))
def test_sparse_assignment_is_worth_what_scipys_dense_one_is(n, m, seed):
    rng = np.random.default_rng(seed)
    r = rng.random((n, m)) * (rng.random((n, m)) < 0.5)
    i, j = np.nonzero(r)
    chosen = assignment(Pairs(i, j, r[i, j]))
    assert np.unique(chosen.i).size == np.unique(chosen.j).size == chosen.r.size
    np.testing.assert_array_equal(chosen.r, r[chosen.i, chosen.j])
    assert chosen.r.sum() == pytest.approx(r[linear_sum_assignment(-r)].sum())


@settings(max_examples=30)
@given(st.integers(0, 10_000))
def test_mutual_matches_are_one_to_one_and_never_more_than_best_or_assigned(seed):
    r = np.random.default_rng(seed).random((7, 6))
    best, mutual, one = (
        classify(matches_of(r), 0.6, rule) for rule in ("best", "mutual", "assignment")
    )
    assert mutual.share("persisting") <= best.share("persisting")
    assert one.share("persisting") <= best.share("persisting")
    for tracking in (mutual, one):
        i = np.flatnonzero(tracking.parent_partner >= 0)
        np.testing.assert_array_equal(tracking.child_partner[tracking.parent_partner[i]], i)
        assert (tracking.parent == "persisting").sum() == (tracking.child == "matched").sum()


def test_matches_that_several_share_are_counted_both_ways():
    # Of three matched children one has two parents; the two matched parents have two and one.
    r = [[0.95, 0.85, 0.1], [0.90, 0.2, 0.1], [0.1, 0.1, 0.9]]
    shared_by_several = Chapter("tracking").shared_by_several
    assert shared_by_several(matches_of(r), 0.8) == [1 / 2, 1 / 2]
    assert np.isnan(shared_by_several(matches_of(r), 0.99)).all()


def test_planted_twins_persist_and_the_rest_disappear_and_emerge():
    rng = np.random.default_rng(0)
    dense = rng.exponential(size=(2000, 30)) * (rng.random((2000, 30)) < 0.05)
    a, b = (
        sparse.csr_matrix(dense[:, part].astype(np.float32))
        for part in (slice(0, 20), slice(12, 30))
    )
    for rule in ("best", "mutual", "assignment"):
        tracking = classify(correlations(a, b), 0.8, rule)
        np.testing.assert_array_equal(np.flatnonzero(tracking.parent_partner >= 0), range(12, 20))
        assert tracking.share("persisting") == 8 / 20
        assert tracking.share("emerging") == 10 / 18


@pytest.mark.parametrize(
    ("matches", "tau", "rule", "says"),
    [
        (matches_of(SHARED), 1.0, "best", "tau"),
        (matches_of(SHARED), 0.0, "best", "tau"),
        (matches_of(SHARED), 0.8, "nearest", "nearest"),
        (matches_of(SHARED, floor=0.85), 0.8, "assignment", "floor"),
        (matches_of(SHARED, a_candidates=[False] * 4), 0.8, "best", "parent"),
        (matches_of(SHARED, b_candidates=[False] * 3), 0.8, "best", "child"),
    ],
)
def test_bad_input_is_named_in_one_sentence(matches, tau, rule, says):
    with pytest.raises(FeatrackError, match=says):
        classify(matches, tau, rule)


def test_the_other_side_of_matches_is_that_of_matching_the_other_way_round():
    back, there = turned(matches_of(SHARED)), matches_of(np.transpose(SHARED))
    for one, other in zip(back[:6], there[:6], strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(np.stack(back.pairs), np.stack(there.pairs))

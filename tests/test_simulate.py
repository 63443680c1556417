import numpy as np
import pytest

from featrack_utils.matching.classes import eligible
from featrack_utils.matching.correlation import correlations
from featrack_utils.statistics.intervals import UNDEFINED
from tests.simulated import Plan, calibrate, simulate, true_best_r

SMALL = Plan(n_features=200, n_documents=80, tokens_per_document=100, density=0.01)


def _best_r(a, b):
    """Best r by numpy's dense correlation matrix, an authority of its own."""
    dense = np.hstack([a.acts.toarray(), b.acts.toarray()]).astype(np.float64)
    dense += 1e-12 * np.random.default_rng(0).standard_normal(dense.shape)  # no constant column
    width = a.acts.shape[1]
    return np.corrcoef(dense.T)[:width, width:].max(axis=1)


def test_kinds_come_in_the_planned_numbers():
    plan = Plan(n_features=100, persisting=0.5, dead=0.1, dense=0.1, splitting=0.1, copies=0.2)
    truth = simulate(plan, 0).parent_truth[0]
    kinds, counts = np.unique(truth.kind, return_counts=True)
    assert dict(zip(kinds.tolist(), counts.tolist(), strict=True)) == {
        "copy": 9,
        "dead": 10,
        "dense_a": 9,
        "persisting": 36,
        "splitting": 9,
        "vanishing": 27,
    }


def test_dead_columns_are_empty_and_dense_ones_dense():
    planted = simulate(SMALL, 1)
    density = np.diff(planted.parent[0].acts.tocsc().indptr) / planted.parent[0].origin.size
    kind = planted.parent_truth[0].kind
    assert (density[kind == "dead"] == 0).all()
    assert (density[kind == "dense_a"] > 0.05).all()
    assert (density[kind == "persisting"] > 0).all()


def test_mates_correlate_at_rho_and_split_features_at_rho_over_root_two():
    plan = Plan(60, 1500, 100, rho=(0.6, 0.95), splitting=0.2, persisting=0.6, density=0.02)
    planted = simulate(plan, 2)
    truth = planted.parent_truth[0]
    expected = true_best_r(truth, planted.child_truth[0])
    error = _best_r(planted.parent[0], planted.child[0]) - expected
    assert set(np.unique(truth.kind)) > {"persisting", "splitting", "copy"}
    assert np.abs(error[np.isin(truth.kind, ("persisting", "copy"))]).mean() < 0.03
    assert abs(error[truth.kind == "splitting"].mean()) < 0.03


def test_vanishing_and_dense_features_have_no_mate():
    planted = simulate(SMALL, 3)
    alone = np.isin(planted.parent_truth[0].kind, ("vanishing", "dense_a"))
    seen = eligible(planted.parent[0].acts, planted.parent[0].origin)
    assert _best_r(planted.parent[0], planted.child[0])[alone & seen].max() < 0.6


def test_firings_cluster_in_documents():
    features = simulate(SMALL, 4).parent[0]
    common = np.argsort(np.diff(features.acts.tocsc().indptr))[-50:]
    per_document = np.array(
        [
            (features.acts[features.origin == d][:, common] > 0).sum(axis=0)
            for d in np.unique(features.origin)
        ]
    )
    # Independent firing would give a variance no larger than the mean, for one length.
    assert np.median(per_document.var(axis=0) / per_document.mean(axis=0)) > 3


def test_the_seed_settles_everything():
    first, again, other = (simulate(SMALL, seed).child[0].acts for seed in (5, 5, 6))
    np.testing.assert_array_equal(first.toarray(), again.toarray())
    assert first.sum() != other.sum()


def test_a_seed_that_captures_half_shares_a_quarter_with_another():
    plan = Plan(1000, 200, 100, rho=(1.0, 1.0), capture=0.5, seeds=2, copies=0, dead=0)
    a, b = simulate(plan, 7).parent_truth
    assert np.isin(a.latent, b.latent).mean() == pytest.approx(0.25, abs=0.05)


@pytest.mark.parametrize("planted", [0.05, 0.2, 0.5, 0.8])
def test_planted_shares_come_back_within_two_points(planted):
    plan = Plan(1000, 400, 150, persisting=planted, rho=(0.9, 0.9))
    result = calibrate(plan, sets=2, replicates=50)
    assert result.share.estimate == pytest.approx(planted, abs=0.02)
    assert abs(result.bias.estimate) < 0.02
    assert result.sensitivity.estimate > 0.97
    assert result.specificity.estimate > 0.98


def test_hardly_anything_persists_where_nothing_was_planted():
    plan = Plan(1000, 400, 150, persisting=0.0, rho=(0.9, 0.9))
    result = calibrate(plan, sets=2, replicates=50)
    assert result.planted == 0
    assert result.share.estimate <= 0.01
    assert result.sensitivity is UNDEFINED
    assert result.specificity.estimate == pytest.approx(1 - result.share.estimate, abs=1e-3)


def test_copies_are_found_as_each_others_match():
    plan = Plan(200, 150, 100, rho=(0.95, 0.95), copies=0.3, density=0.01)
    planted = simulate(plan, 8)
    acts, truth = planted.parent[0].acts, planted.parent_truth[0]
    pairs = correlations(acts, acts, floor=0.7).pairs
    found = set(pairs.i[pairs.i != pairs.j].tolist())
    seen = eligible(acts, planted.parent[0].origin)
    copied = (truth.kind == "copy") & seen
    assert copied.sum() > 15
    assert np.isin(np.flatnonzero(copied), list(found)).mean() > 0.95


@pytest.mark.parametrize(
    "wrong",
    [
        {"persisting": 1.2},
        {"persisting": 0.9, "splitting": 0.2},
        {"copies": 0.9},
    ],
)
def test_a_plan_that_cannot_be_met_is_refused(wrong):
    with pytest.raises(AssertionError, match="more than all features"):
        simulate(Plan(**{"n_features": 50, **wrong}), 0)

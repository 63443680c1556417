from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from scipy import sparse

from featrack_utils.errors import FeatrackError
from featrack_utils.statistics import intervals
from featrack_utils.statistics.bootstrap import draw
from featrack_utils.statistics.controls import (
    origin_shares,
    same_seed_different_seed,
    zero_step_control,
)
from featrack_utils.statistics.curves import ratio_to_ceiling
from featrack_utils.statistics.intervals import interval
from featrack_utils.statistics.nulls import (
    as_model,
    compare,
    compare_seeds,
    emerging_share,
    kept_share,
    reproducible,
    reproducible_kept_share,
)
from featrack_utils.statistics.simulation import Plan, simulate

# Half of the parent's features persist; a dictionary finds 70 % of what its model has, so two
# seeds share 49 % and parent and child 24.5 %.
PLAN = Plan(
    600,
    200,
    100,
    rho=(0.95, 0.95),
    capture=0.7,
    seeds=2,
    copies=0,
    splitting=0,
    dead=0.02,
    density=0.01,
)
TAU = 0.8


@pytest.fixture(scope="module")
def planted():
    return simulate(PLAN, 11)


@pytest.fixture(scope="module")
def models(planted, draws):
    return as_model("base", planted.parent, draws), as_model("lua", planted.child, draws)


@pytest.fixture(scope="module")
def draws(planted):
    return draw(planted.parent[0], {"base": 2, "lua": 2}, 100, seed=0)


@pytest.fixture(scope="module")
def shares(models, draws):
    comparison = compare(*models, [TAU])
    own = compare_seeds(models[0], [TAU])
    return comparison, kept_share(comparison, draws), kept_share(own, draws)


def test_the_ceiling_is_what_two_seeds_both_captured(planted, models, shares):
    truths = planted.parent_truth
    truth = np.mean(
        [
            np.isin(truths[s].latent, truths[1 - s].latent)[models[0].eligible[s]].mean()
            for s in (0, 1)
        ]
    )
    estimate, low, high = interval(shares[2], TAU)
    assert estimate == pytest.approx(truth, abs=0.02)
    assert low <= truth <= high


def test_share_over_ceiling_is_the_share_that_really_persists(shares):
    _, share, ceiling = shares
    ratio = ratio_to_ceiling(share, ceiling, TAU)
    assert interval(share, TAU).high < 0.35
    assert ratio.low <= 0.5 <= ratio.high
    assert ratio.estimate == pytest.approx(0.5, abs=0.06)


def test_what_emerges_is_the_share_the_parent_lacks(planted, models, draws, shares):
    known = np.mean(
        [
            np.isin(b.latent, a.latent)[mask].mean()
            for a in planted.parent_truth
            for b, mask in zip(planted.child_truth, models[1].eligible, strict=True)
        ]
    )
    assert emerging_share(shares[0], draws).estimate[0] == pytest.approx(1 - known, abs=0.02)


@pytest.fixture(scope="module")
def own(models, draws):
    return compare_seeds(models[0], [TAU])


def test_reproducible_features_are_those_both_seeds_captured(planted, models, own):
    truths = planted.parent_truth
    for (s, u), mask in reproducible(own, TAU).items():
        truth = np.isin(truths[s].latent, truths[u].latent) & models[0].eligible[s]
        assert (mask != truth).mean() < 0.03
        assert not mask[~models[0].eligible[s]].any()


def test_reproducible_features_persist_more_than_all(draws, shares, own):
    among = reproducible_kept_share(shares[0], own, draws, TAU)
    # Half persist, of which a child dictionary captures 70 %.
    assert interval(among, TAU).estimate == pytest.approx(0.35, abs=0.05)
    assert among.estimate[0] > shares[1].estimate[0]


@pytest.fixture(scope="module")
def three():
    planted = simulate(replace(PLAN, seeds=3), 12)
    draws = draw(planted.parent[0], {"base": 3}, 50, seed=0)
    base = as_model("base", planted.parent, draws)
    return planted, base, compare_seeds(base, [TAU]), draws


def test_a_third_seed_finds_of_the_reproducible_features_what_it_captures(three):
    """Features here are found by chance, 70 % each: a third seed knows nothing of the others."""
    planted, base, own, draws = three
    has = [truth.latent for truth in planted.parent_truth]
    truth = np.mean(
        [
            np.isin(has[s], has[t])[np.isin(has[s], has[u]) & base.eligible[s]].mean()
            for s, u, t in permutations(range(3))
        ]
    )
    ceiling = interval(reproducible_kept_share(own, own, draws, TAU), TAU)
    assert truth == pytest.approx(0.7, abs=0.05)
    assert ceiling.estimate == pytest.approx(truth, abs=0.02)
    assert ceiling.low <= truth <= ceiling.high


def test_a_child_after_no_step_reaches_the_ceiling(three):
    _, _, own, draws = three
    share, ceiling = zero_step_control(own, draws)
    kept = own.kept
    found = [(kept[s, 2].best_r > TAU)[kept[s, 2].asked].mean() for s in (0, 1)]
    assert share.estimate[0] == pytest.approx(np.mean(found))
    found = [(kept[s, 1 - s].best_r > TAU)[kept[s, 1 - s].asked].mean() for s in (0, 1)]
    assert ceiling.estimate[0] == pytest.approx(np.mean(found))
    assert share.estimate[0] / ceiling.estimate[0] == pytest.approx(1, abs=0.05)


def test_two_seeds_leave_nobody_to_ask_about_their_reproducible_features(draws, own):
    assert reproducible_kept_share(own, own, draws, TAU) is None
    assert zero_step_control(own, draws) is None


def test_equal_dictionaries_make_the_same_seed_arm_one(models, draws):
    base = models[0]
    twin = base._replace(name="lua")
    arms = same_seed_different_seed(compare(base, twin, [TAU]), draws)
    assert interval(arms.same, TAU) == pytest.approx((1.0, 1.0, 1.0))
    ceiling = kept_share(compare_seeds(base, [TAU]), draws)
    np.testing.assert_allclose(arms.different.estimate, ceiling.estimate)


def test_origins_of_the_merged_model_add_up_and_follow_the_planted_truth(planted, models):
    """The merged model here equals its Lua parent and shares half with its Stories parent."""
    known = compare(*models, [TAU]).known[0, 0]
    same = compare(models[1], models[1], [TAU]).known[0, 0]
    origins = origin_shares(same, known)
    # All is found in itself, so what the base has is from both and the rest from Lua only.
    kept = intervals.shares(known)
    np.testing.assert_allclose(origins["both"].estimate, kept.estimate)
    np.testing.assert_allclose(origins["both"].replicates, kept.replicates)
    assert origins["novel"].estimate[0] == origins["stories only"].estimate[0] == 0
    assert sum(o.estimate[0] for o in origins.values()) == pytest.approx(1)


def test_no_reproducible_feature_leaves_their_share_undefined(planted, draws):
    unrelated = as_model("base", [planted.parent[0], planted.child[0]], draws)
    comparison = compare(unrelated, as_model("lua", planted.child, draws), [0.9999])
    own = compare_seeds(unrelated, [0.9999])
    assert reproducible_kept_share(comparison, own, draws, 0.9999) is None


def test_one_seed_has_no_ceiling(planted, draws):
    single = as_model("base", planted.parent[:1], draws)
    with pytest.raises(FeatrackError, match="at least two SAE seeds"):
        compare_seeds(single, [TAU])
    lua = as_model("lua", planted.child[:1], draws)
    with pytest.raises(FeatrackError, match="give two seeds"):
        same_seed_different_seed(compare(single, lua, [TAU]), draws)


def test_bad_input_is_named(planted, models, draws, own, shares):
    features = planted.parent[0]
    with pytest.raises(FeatrackError, match="different token streams"):
        as_model("base", [features, features._replace(tokens=features.tokens[::-1])], draws)
    with pytest.raises(FeatrackError, match="600 and 500 features"):
        as_model("base", [features, features._replace(acts=features.acts[:, :500])], draws)
    dead = features._replace(acts=sparse.csr_matrix(features.acts.shape, dtype=np.float32))
    with pytest.raises(FeatrackError, match="Dictionary 1 of the model base has no eligible"):
        as_model("base", [features, dead], draws)
    with pytest.raises(FeatrackError, match="one per SAE seed"):
        as_model("base", [], draws)
    other = models[1]._replace(draws=draw(features, {"base": 2, "lua": 2}, 100, seed=9))
    with pytest.raises(FeatrackError, match="different draws"):
        compare(models[0], other, [TAU])
    with pytest.raises(FeatrackError, match="tau"):
        reproducible(own, 1.5)
    fewer = shares[2]._replace(replicates=shares[2].replicates[:50])
    with pytest.raises(FeatrackError, match="different draws"):
        ratio_to_ceiling(shares[1], fewer, TAU)

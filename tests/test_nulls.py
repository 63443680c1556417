from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from scipy import sparse

from featrack_utils.curves import (
    difference,
    lost_summary,
    ratio_to_ceiling,
    summary,
    threshold_curve,
)
from featrack_utils.errors import FeatrackError
from featrack_utils.features import Features
from featrack_utils.intervals import Shares, interval
from featrack_utils.nulls import (
    as_model,
    compare,
    compare_seeds,
    complement,
    document_shift,
    document_shift_floor,
    emerging_share,
    kept_share,
    reproducible,
    reproducible_kept_share,
    same_seed_different_seed,
)
from featrack_utils.resample import draw
from featrack_utils.simulate import Plan, simulate

# Half of the parent's features persist; a dictionary finds 70 % of what its model has, so two
# seeds share 49 % and parent and child 24.5 %.
PLAN = Plan(
    600, 200, 100, rho=(0.95, 0.95), capture=0.7, seeds=2, copies=0, splitting=0, dead=0.02,
    density=0.01,
)  # fmt: skip
TAU = 0.8


@pytest.fixture(scope="module")
def planted():
    return simulate(PLAN, 11)


@pytest.fixture(scope="module")
def models(planted):
    return as_model("base", planted.parent), as_model("lua", planted.child)


@pytest.fixture(scope="module")
def draws(planted):
    return draw(planted.parent[0], {"base": 2, "lua": 2}, 100, seed=0)


@pytest.fixture(scope="module")
def shares(models, draws):
    comparison = compare(*models, draws, [TAU])
    own = compare_seeds(models[0], draws, [TAU])
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
    return compare_seeds(models[0], draws, [TAU])


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


def test_a_third_seed_finds_of_the_reproducible_features_what_it_captures():
    """Features here are found by chance, 70 % each: a third seed knows nothing of the others."""
    planted = simulate(replace(PLAN, seeds=3), 12)
    base = as_model("base", planted.parent)
    draws = draw(planted.parent[0], {"base": 3}, 50, seed=0)
    own = compare_seeds(base, draws, [TAU])
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


def test_two_seeds_leave_nobody_to_ask_about_their_reproducible_features(draws, own):
    assert reproducible_kept_share(own, own, draws, TAU) is None


def test_equal_dictionaries_make_the_same_seed_arm_one(models, draws):
    base = models[0]
    twin = base._replace(name="lua")
    arms = same_seed_different_seed(compare(base, twin, draws, [TAU]), draws)
    assert interval(arms.same, TAU) == pytest.approx((1.0, 1.0, 1.0))
    ceiling = kept_share(compare_seeds(base, draws, [TAU]), draws)
    np.testing.assert_allclose(arms.different.estimate, ceiling.estimate)


def test_a_shift_moves_whole_documents_within_their_domain():
    origin = np.array([0, 0, 1, 2, 2, 2, 3, 4, 4], np.int32)
    domain = np.array([0, 0, 0, 0, 0, 0, 1, 1, 1], np.int8)
    features = Features(sparse.csr_matrix((9, 1), dtype=np.float32), origin, domain, origin)
    np.testing.assert_array_equal(document_shift(features), [2, 3, 4, 5, 0, 1, 7, 8, 6])


def test_a_model_finds_hardly_any_of_its_features_in_its_shifted_self(models):
    base = models[0]
    low, high = document_shift_floor(base, base, [0.3, TAU])
    assert high < 0.01
    assert low < 0.1


def test_the_curve_falls_with_the_threshold_between_floor_and_ceiling(models, draws):
    taus = [0.4, 0.6, TAU, 0.99]
    share = kept_share(compare(*models, draws, taus), draws)
    ceiling = kept_share(compare_seeds(models[0], draws, taus), draws)
    curve = threshold_curve("base_lua", share, ceiling, document_shift_floor(*models, taus))
    assert list(curve) == [
        "pair", "tau", "share", "share_low", "share_high",
        "ceiling", "ceiling_low", "ceiling_high", "floor",
    ]  # fmt: skip
    assert set(curve["pair"]) == {"base_lua"}
    assert (np.diff(curve[["share", "ceiling", "floor"]], axis=0) <= 0).all()
    assert not curve.isna().any(axis=None)
    assert (curve["share_low"] <= curve["share"]).all()
    assert (curve["share"] <= curve["share_high"]).all()
    at_tau = curve[curve["tau"] == TAU].iloc[0]
    assert at_tau["floor"] < at_tau["share"] < at_tau["ceiling"]


def test_a_summary_holds_every_figure_a_share_is_read_beside(shares):
    flat = summary("kept.base_lua", shares[1], shares[2], 0.01, TAU)
    ratio = flat["kept.base_lua"] / flat["kept.base_lua.ceiling"]
    assert flat["kept.base_lua.ratio_to_ceiling"] == pytest.approx(ratio)
    assert flat["kept.base_lua.floor"] == 0.01
    assert flat["kept.base_lua.ci_low"] < flat["kept.base_lua"] < flat["kept.base_lua.ci_high"]
    assert {type(value) for value in flat.values()} == {float}
    assert len(flat) == 10


def test_what_is_lost_is_read_beside_what_would_seem_lost_anyway(shares):
    lost, unchanged = complement(shares[1]), complement(shares[2])
    flat = lost_summary("lost", lost, unchanged, 0.01, TAU)
    assert flat["lost"] == 1 - shares[1].estimate[0]
    assert flat["lost.floor"] == 1 - shares[2].estimate[0]
    assert flat["lost.ceiling"] == 0.99
    assert flat["lost.excess"] == pytest.approx(flat["lost"] - flat["lost.floor"])
    # A ratio of one half, of a ceiling of 49 %, says that half of 49 % was lost.
    assert flat["lost.excess.ci_low"] <= 0.245 <= flat["lost.excess.ci_high"]
    assert flat["lost.ratio_to_ceiling"] == pytest.approx(flat["lost"] / 0.99)


def test_a_share_differs_from_itself_by_nothing(shares):
    assert difference(shares[1], shares[1], TAU) == (0.0, 0.0, 0.0)


def test_what_is_not_defined_is_none_and_not_zero(shares):
    nothing = Shares(np.array([TAU]), np.zeros(1), np.zeros((100, 1)))
    assert ratio_to_ceiling(shares[1], nothing, TAU) is None
    flat = summary("x", None, None, None, TAU)
    assert set(flat.values()) == {None}
    flat = summary("x", nothing, shares[2], 0.0, TAU)
    assert (flat["x"], flat["x.ratio_to_ceiling"]) == (0.0, 0.0)


def test_no_reproducible_feature_leaves_their_share_undefined(planted, draws):
    unrelated = as_model("base", [planted.parent[0], planted.child[0]])
    comparison = compare(unrelated, as_model("lua", planted.child), draws, [0.9999])
    own = compare_seeds(unrelated, draws, [0.9999])
    assert reproducible_kept_share(comparison, own, draws, 0.9999) is None


def test_one_seed_has_no_ceiling(planted, draws):
    single = as_model("base", planted.parent[:1])
    with pytest.raises(FeatrackError, match="at least two SAE seeds"):
        compare_seeds(single, draws, [TAU])
    lua = as_model("lua", planted.child[:1])
    with pytest.raises(FeatrackError, match="give two seeds"):
        same_seed_different_seed(compare(single, lua, draws, [TAU]), draws)


def test_bad_input_is_named(planted, own, shares):
    features = planted.parent[0]
    with pytest.raises(FeatrackError, match="different token streams"):
        as_model("base", [features, features._replace(tokens=features.tokens[::-1])])
    with pytest.raises(FeatrackError, match="600 and 500 features"):
        as_model("base", [features, features._replace(acts=features.acts[:, :500])])
    dead = features._replace(acts=sparse.csr_matrix(features.acts.shape, dtype=np.float32))
    with pytest.raises(FeatrackError, match="Dictionary 1 of the model base has no eligible"):
        as_model("base", [features, dead])
    with pytest.raises(FeatrackError, match="one per SAE seed"):
        as_model("base", [])
    with pytest.raises(FeatrackError, match="tau"):
        reproducible(own, 1.5)
    lonely = features._replace(origin=features.domain.astype(np.int32))
    with pytest.raises(FeatrackError, match="give at least two"):
        document_shift(lonely)
    fewer = shares[2]._replace(replicates=shares[2].replicates[:50])
    with pytest.raises(FeatrackError, match="different draws"):
        ratio_to_ceiling(shares[1], fewer, TAU)

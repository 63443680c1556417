"""Shares beside ceilings and floors, on dictionaries whose truth is planted."""

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from scipy import sparse

from featrack_utils.errors import FeatrackError
from featrack_utils.matching.classes import classify
from featrack_utils.matching.correlation import copies, correlations
from featrack_utils.statistics.intervals import UNDEFINED, Shares, difference
from featrack_utils.statistics.persistence import (
    Persistence,
    headline,
    persistence,
    reproducible,
    resample,
)
from tests.chapters import Chapter
from tests.simulated import PLAN, simulate

TAU = 0.8


def sampled(replicates=100, **features):
    return resample(features, [TAU], tau=TAU, replicates=replicates, seed=0)


@pytest.fixture(scope="module")
def planted():
    return simulate(PLAN, 11)


@pytest.fixture(scope="module")
def sample(planted):
    return sampled(base=planted.parent, lua=planted.child)


@pytest.fixture(scope="module")
def kept(sample):
    return persistence(sample, "base", "lua")


def test_the_ceiling_is_what_two_seeds_both_captured(planted, sample, kept):
    truths = planted.parent_truth
    truth = np.mean(
        [
            np.isin(truths[s].latent, truths[1 - s].latent)[sample.eligible["base"][s]].mean()
            for s in (0, 1)
        ]
    )
    estimate, low, high = kept.ceiling()
    assert estimate == pytest.approx(truth, abs=0.02)
    assert low <= truth <= high


def test_share_over_ceiling_is_the_share_that_really_persists(kept):
    ratio = kept.ratio()
    assert kept.share().high < 0.35
    assert ratio.low <= 0.5 <= ratio.high
    assert ratio.estimate == pytest.approx(0.5, abs=0.06)


def test_what_emerges_is_the_share_the_parent_lacks(planted, sample):
    known = np.mean(
        [
            np.isin(b.latent, a.latent)[mask].mean()
            for a in planted.parent_truth
            for b, mask in zip(planted.child_truth, sample.eligible["lua"], strict=True)
        ]
    )
    found = persistence(sample, "lua", "base")
    assert found.share().estimate == pytest.approx(known, abs=0.02)
    emerging = found.lost_results("emerging")
    assert emerging["emerging"] == pytest.approx(1 - found.share().estimate)
    assert emerging["emerging.floor"] == pytest.approx(1 - found.ceiling().estimate)
    assert emerging["emerging.excess"] == pytest.approx(
        found.ceiling().estimate - found.share().estimate
    )


def test_of_what_seems_lost_an_unchanged_model_loses_its_part():
    # 80 % seem lost, 60 % from an unchanged model: three quarters. Replicates: 60/75 and 50/80.
    share = Shares(np.array([TAU]), np.array([0.2]), np.array([[0.25], [0.2]]))
    ceiling = Shares(np.array([TAU]), np.array([0.4]), np.array([[0.4], [0.5]]))
    part = Persistence(share, ceiling, {}, TAU).unchanged_loss()
    assert part.estimate == pytest.approx(0.75)
    assert (part.low, part.high) == pytest.approx((0.625 + 0.175 * 0.025, 0.8 - 0.175 * 0.025))
    nothing = Shares(share.taus, np.array([1.0]), np.array([[1.0], [0.9]]))
    assert Persistence(nothing, ceiling, {}, TAU).unchanged_loss() is UNDEFINED


def test_a_share_differs_from_itself_by_nothing(kept):
    assert difference(kept.shares, kept.shares, TAU) == (0.0, 0.0, 0.0)


def test_the_curve_falls_with_the_threshold_below_its_ceiling(planted):
    models = {"base": planted.parent, "lua": planted.child}
    sample = resample(models, [0.4, 0.6, 0.8, 0.99], tau=TAU, replicates=20, seed=0)
    curve = persistence(sample, "base", "lua").curve("base_lua")
    assert set(curve["pair"]) == {"base_lua"}
    assert (np.diff(curve["raw"]) <= 0).all()
    assert (curve["share_low"] <= curve["share"]).all()
    assert (curve["share"] <= curve["share_high"]).all()
    at_tau = curve[curve["tau"] == TAU].iloc[0]
    assert at_tau["share"] < at_tau["ceiling"]


# --- floors ------------------------------------------------------------------------------------


def of_shares(share, ceiling, floor):
    """Three shares of three replicates each, at one threshold."""
    each = [
        Shares(np.array([TAU]), np.array([x[0]]), np.array(x, float)[:, None])
        for x in (share, ceiling, floor)
    ]
    return Persistence(each[0], each[1], {"random MLP": each[2]}, TAU)


def test_halfway_between_floor_and_ceiling_is_one_half():
    assert of_shares([0.4] * 3, [0.6] * 3, [0.2] * 3).rescaled() == pytest.approx((0.5, 0.5, 0.5))
    # The ratio doesn't know of the floor.
    assert of_shares([0.4] * 3, [0.6] * 3, [0.2] * 3).ratio().estimate == pytest.approx(2 / 3)


def test_less_than_the_floor_is_said_and_not_hidden():
    assert of_shares([0.1] * 3, [0.6] * 3, [0.2] * 3).rescaled().low == pytest.approx(-0.25)


def test_a_ceiling_that_may_lie_below_the_floor_gives_no_rescaled_share():
    assert of_shares([0.3] * 3, [0.4, 0.4, 0.1], [0.2] * 3).rescaled() is UNDEFINED


def test_a_child_as_far_away_as_a_control_has_kept_nothing(planted):
    sample = sampled(base=planted.parent, lua=planted.child, control=planted.child)
    kept = persistence(sample, "base", "lua", floors={"random MLP": "control"})
    assert kept.floor().estimate == pytest.approx(kept.share().estimate)
    assert kept.floor() == kept.floor("random MLP")
    rescaled = kept.rescaled()
    assert rescaled.estimate == pytest.approx(0, abs=1e-9)
    assert rescaled.low <= 0 <= rescaled.high
    results = kept.as_results("share")
    assert results["share.floor"] == pytest.approx(results["share"])
    assert {"share.rescaled", "share.rescaled.ci_low", "share.ratio_to_ceiling"} <= set(results)


def test_a_child_that_differs_by_its_seeds_alone_has_kept_everything(planted):
    seeds = simulate(replace(PLAN, seeds=4), 5)
    sample = sampled(base=seeds.parent[:2], lua=seeds.parent[2:], control=seeds.child[:3])
    kept = persistence(sample, "base", "lua", floors={"random_mlp": "control"})
    rescaled = kept.rescaled()
    assert rescaled.low <= 1 <= rescaled.high
    assert rescaled.low > 0 and kept.floor().high < kept.ceiling().low


def test_each_floor_has_a_name_in_the_results_and_the_first_is_the_floor(planted):
    sample = sampled(base=planted.parent, lua=planted.parent, far=planted.child[:1])
    floors = {"random_mlp": "lua", "random_model": "far"}
    results = persistence(sample, "base", "lua", floors=floors).as_results("share")
    ends = ("", ".ci_low", ".ci_high")
    for name in ("floor", "floor_random_model", "rescaled"):
        assert {f"share.{name}{end}" for end in ends} <= set(results)
    assert results["share.floor_random_model"] < results["share.floor"] == results["share"]


def test_without_controls_there_is_no_floor(kept):
    assert np.isnan(kept.floor()).all() and kept.rescaled() is UNDEFINED
    assert "share.floor" not in kept.as_results("share")
    assert kept.curve("base_lua")["floor"].isna().all()


# --- rules -------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", ["best", "mutual", "assignment"])
def test_a_rule_counts_as_classifying_by_it_does(planted, sample, rule):
    shares = []
    for s, one in enumerate(planted.parent):
        for t, other in enumerate(planted.child):
            masks = {
                "eligible_a": sample.eligible["base"][s],
                "eligible_b": sample.eligible["lua"][t],
            }
            best = correlations(one.acts, other.acts, **masks)
            shares.append(classify(best, TAU, rule).share("persisting"))
    kept = persistence(sample, "base", "lua", rule=rule)
    assert kept.raw() == pytest.approx(np.mean(shares))
    assert kept.as_results("share")["share.raw"] == kept.raw()
    assert np.isnan(kept.share().low) == (rule == "assignment")


def test_copies_count_once_where_they_are_merged():
    plan = replace(PLAN, copies=0.2, seeds=1)
    planted = simulate(plan, 3)
    sample = sampled(base=planted.parent, lua=planted.child)
    able = {model: sample.eligible[model][0] for model in ("base", "lua")}
    base, lua = planted.parent[0], planted.child[0]
    best = correlations(base.acts, lua.acts, eligible_a=able["base"], eligible_b=able["lua"])
    group = copies(base.acts, TAU, eligible=able["base"]).group
    in_groups = {g: (best.a_best_r[group == g] > TAU).any() for g in set(group[group >= 0])}
    expected = np.mean(list(in_groups.values()))
    assert len(in_groups) < (group >= 0).sum()
    found = persistence(sample, "base", "lua", rule="copies merged")
    assert found.raw() == pytest.approx(expected)
    assert np.isnan(found.ceiling()).all()  # one dictionary has nobody to ask


def test_equal_dictionaries_make_the_same_seed_arm_one(planted):
    sample = sampled(base=planted.parent, twin=planted.parent)
    same = persistence(sample, "base", "twin", pairs=lambda s, t: s == t)
    other = persistence(sample, "base", "twin", pairs=lambda s, t: s != t)
    assert same.share() == pytest.approx((1.0, 1.0, 1.0))
    assert other.share().estimate == pytest.approx(other.ceiling().estimate)
    gain = Chapter("ceilings").same_seed_gain(sample, "base", "twin")
    assert gain.estimate == pytest.approx(1 - other.share().estimate)
    assert gain.low < gain.estimate < gain.high


# --- reproducible features ----------------------------------------------------------------------


def test_reproducible_features_are_those_both_seeds_captured(planted, sample):
    truths = planted.parent_truth
    for s, mask in enumerate(reproducible(sample, "base")):
        truth = np.isin(truths[s].latent, truths[1 - s].latent) & sample.eligible["base"][s]
        assert (mask != truth).mean() < 0.03
        assert not mask[~sample.eligible["base"][s]].any()


def test_reproducible_features_persist_more_than_all(sample, kept):
    among = persistence(sample, "base", "lua", among="reproducible")
    # Half persist, of which a child dictionary captures 70 %.
    assert among.share().estimate == pytest.approx(0.35, abs=0.05)
    assert among.share().estimate > kept.share().estimate
    # Both other dictionaries of the base have been asked already.
    assert np.isnan(among.ceiling()).all()


@pytest.fixture(scope="module")
def three():
    planted = simulate(replace(PLAN, seeds=3), 12)
    return planted, sampled(50, base=planted.parent, lua=planted.child)


def test_a_third_seed_finds_of_the_reproducible_features_what_it_captures(three):
    """Features here are found by chance, 70 % each: a third seed knows nothing of the others."""
    planted, sample = three
    has = [truth.latent for truth in planted.parent_truth]
    truth = np.mean(
        [
            np.isin(has[s], has[t])[np.isin(has[s], has[u]) & sample.eligible["base"][s]].mean()
            for s, u, t in permutations(range(3))
        ]
    )
    kept = headline(sample, "base", "lua")
    ceiling = kept.ceiling()
    assert truth == pytest.approx(0.7, abs=0.05)
    assert ceiling.estimate == pytest.approx(truth, abs=0.02)
    assert ceiling.low <= truth <= ceiling.high
    assert kept.ratio().estimate == pytest.approx(0.5, abs=0.06)


def test_reproducible_means_found_in_every_other_dictionary(three):
    planted, sample = three
    has = [truth.latent for truth in planted.parent_truth]
    for s, mask in enumerate(reproducible(sample, "base")):
        truth = np.isin(has[s], has[s - 1]) & np.isin(has[s], has[s - 2])
        assert (mask != truth & sample.eligible["base"][s]).mean() < 0.03


def test_a_ceiling_of_another_model_is_asked_of_features_that_all_dictionaries_have(three):
    planted, _ = three
    sample = sampled(base=planted.parent[:2], again=planted.parent[2:], lua=planted.child)
    kept = persistence(sample, "base", "lua", among="reproducible", ceiling="again")
    assert kept.ceiling().estimate == pytest.approx(0.7, abs=0.06)
    assert kept.ratio().estimate == pytest.approx(0.5, abs=0.08)


def test_given_features_are_asked_and_no_others(planted, sample):
    masks = [np.isin(truth.latent, [0, 1, 2]) for truth in planted.parent_truth]
    kept = persistence(sample, "base", "lua", among=masks)
    pairs = sample.matched([(("base", s), ("lua", t)) for s in (0, 1) for t in (0, 1)])
    truth = [
        (m.best_r > TAU)[m.asked & masks[a[1]]].mean()
        for (a, _), m in pairs.items()
        if (m.asked & masks[a[1]]).any()
    ]
    assert kept.raw() == pytest.approx(np.mean(truth))


# --- the headline --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def unmoved():
    """Three dictionaries of a base, two of a child, two of the base read through other text."""
    planted = simulate(replace(PLAN, seeds=5), 21)
    models = {"base": planted.parent[:3], "lua": planted.child[:2], "at-0": planted.parent[3:4]}
    return planted, sampled(60, **models, again=planted.parent[4:], far=planted.child[2:4])


def test_the_headline_is_the_planted_share_whatever_a_dictionary_captures(unmoved):
    _, sample = unmoved
    kept = headline(sample, "base", "lua", "at-0", {"random_mlp": "far"})
    # A feature that two seeds have is in a third by chance, 70 %; half of them persist.
    assert kept.ceiling().estimate == pytest.approx(0.7, abs=0.06)
    assert kept.ratio().low <= 0.5 <= kept.ratio().high
    # The control keeps as much as the child: nothing is left of what it lacks.
    assert kept.rescaled().low <= 0 <= kept.rescaled().high
    # A child to which nothing happened keeps all that the control lacks.
    nothing = headline(sample, "base", "again", "at-0", {"random_mlp": "far"}).rescaled()
    assert 0 < nothing.low <= 1 <= nothing.high
    assert kept.rescaled().high < 1
    results = kept.as_results("headline")
    assert {"headline", "headline.ceiling", "headline.floor", "headline.rescaled"} <= set(results)


def test_the_zero_step_child_is_asked_of_the_features_of_two_parents(unmoved):
    planted, sample = unmoved
    # The base's dictionary 1 has the zero-step child's seed: it neither asks nor defines.
    has = [truth.latent for truth in planted.parent_truth]
    truth = np.mean(
        [
            np.isin(has[s], has[3])[np.isin(has[s], has[t]) & sample.eligible["base"][s]].mean()
            for s, t in ((0, 2), (2, 0))
        ]
    )
    ceiling = headline(sample, "base", "lua", "at-0").ceiling()
    assert ceiling.estimate == pytest.approx(truth, abs=0.02)
    assert ceiling.low <= truth <= ceiling.high


def test_what_equal_seeds_share_moves_no_headline():
    """Each seed finds its own part of a model: a memory of the start, and nothing but that."""
    base, at_0 = (simulate(replace(PLAN, seeds=3), 31).parent for _ in range(2))
    sample = sampled(5, base=base, at_0=[at_0[1]], lua=base)
    kept = headline(sample, "base", "lua", "at_0")
    # Were equal seeds compared, or allowed to say what is reproducible, all would be found.
    assert kept.share().estimate == pytest.approx(0.7, abs=0.06)
    assert kept.ceiling().estimate == pytest.approx(0.7, abs=0.06)


def test_without_a_zero_step_child_the_parents_own_dictionaries_are_the_ceiling(three):
    _, sample = three
    own = headline(sample, "base", "lua")
    assert own.ceiling().estimate == pytest.approx(0.7, abs=0.05)
    assert own.ratio().estimate == pytest.approx(0.5, abs=0.08)
    # All that there is to ask has been asked where nothing is left out of the definition.
    again = persistence(sample, "base", "lua", among="reproducible")
    assert np.isnan(again.ceiling()).all()


def test_two_dictionaries_have_a_headline_with_a_zero_step_child_and_none_without(unmoved):
    planted, _ = unmoved
    sample = sampled(20, base=planted.parent[:2], lua=planted.child[:2], at_0=planted.parent[3:])
    assert headline(sample, "base", "lua", "at_0").ratio().estimate == pytest.approx(0.5, abs=0.1)
    alone = headline(sample, "base", "lua")
    assert np.isnan(alone.ceiling()).all() and np.isnan(alone.share()).all()
    one = sampled(5, base=planted.parent[:1], lua=planted.child[:2], at_0=planted.parent[3:])
    assert np.isnan(headline(one, "base", "lua", "at_0").rescaled()).all()


# --- what isn't defined --------------------------------------------------------------------------


def test_a_share_of_no_feature_is_not_defined(planted, sample):
    nobody = [np.zeros_like(mask) for mask in sample.eligible["base"]]
    kept = persistence(sample, "base", "lua", among=nobody)
    assert np.isnan(kept.share()).all()
    assert np.isnan(kept.ratio()).all()
    assert kept.as_results("share")["share"] is None
    dead = planted.child[0]._replace(acts=sparse.csr_matrix(planted.child[0].acts.shape))
    sample = sampled(2, base=planted.parent, lua=[dead])
    assert np.isnan(persistence(sample, "base", "lua").share().estimate)


def test_an_assignment_of_no_feature_is_divided_by_nothing_and_no_error(sample):
    nobody = [np.zeros_like(mask) for mask in sample.eligible["base"]]
    none = persistence(sample, "base", "lua", rule="assignment", among=nobody)
    all_of_them = persistence(sample, "base", "lua", rule="assignment")
    assert none.ratio() is UNDEFINED
    assert all_of_them._replace(ceilings=none.shares).ratio() is UNDEFINED
    assert np.isnan(difference(all_of_them.shares, none.shares, TAU).estimate)


def test_bad_input_is_named(planted, sample):
    features = planted.parent[0]
    other = features.tokens.copy()
    other[-1] += 1
    for wrong in (other, features.tokens[:-1], features.tokens[::-1]):
        with pytest.raises(FeatrackError, match="different token streams"):
            sampled(base=[features, features._replace(tokens=wrong)])
    with pytest.raises(FeatrackError, match="base has no dictionary"):
        sampled(base=[])
    with pytest.raises(FeatrackError, match="600 and 500 features"):
        sampled(2, base=[features], lua=[features._replace(acts=features.acts[:, :500])])
    with pytest.raises(FeatrackError, match="no dictionaries of 'tale' in the sample; it has base"):
        persistence(sample, "base", "tale")
    with pytest.raises(FeatrackError, match="choose one of best"):
        persistence(sample, "base", "lua", rule="closest")
    with pytest.raises(FeatrackError, match="tau"):
        resample({"base": [features]}, [TAU], tau=1.5, replicates=2, seed=0)

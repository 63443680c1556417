"""The chapter on context: matches chosen on one half of the text and measured on the other."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import sparse

from featrack_utils.dictionaries.features import Features
from featrack_utils.lineage import Lineage
from featrack_utils.statistics.bootstrap import halves
from tests.chapters import Chapter

DOCUMENTS, LENGTH, D = 40, 50, 6
N = DOCUMENTS * LENGTH
ORIGIN = np.repeat(np.arange(DOCUMENTS), LENGTH)
LINEAGE = Lineage({"base": {"train": ["p"]}, "lua": {"parent": "base", "train": ["q"]}})


def as_features(dense):
    domain = (ORIGIN >= DOCUMENTS // 2).astype(int)
    acts = sparse.csr_matrix(np.float32(dense))
    return Features(acts, ORIGIN, domain, np.zeros(N, int), ORIGIN // 2)


def causes(seed, density=0.1):
    """Six causes, each active on a tenth of the tokens."""
    rng = np.random.default_rng(seed)
    return rng.exponential(size=(N, D)) * (rng.random((N, D)) < density)


def chapter(*, unable=(), weights=None, **models):
    """The chapter on models with these activations, one for each of their dictionaries."""
    of_models = {model: [*map(as_features, each)] for model, each in models.items()}
    mix = next(iter(of_models.values()))[0]
    sample = SimpleNamespace(
        eligible={
            model: [np.array([(model, i) not in unable for i in range(D)])] * len(each)
            for model, each in models.items()
        },
        seeds=lambda model: range(len(models[model])),
    )
    return Chapter(
        "context",
        lineage=LINEAGE,
        of_models=of_models,
        sample=sample,
        mix=mix,
        half=halves(mix, seed=0),
        draws=np.ones((1, DOCUMENTS)) if weights is None else weights,
    )


def test_a_match_that_the_choosing_half_alone_shows_has_no_r_on_the_other():
    own = causes(0)
    half = halves(as_features(own), seed=0)
    alike = np.where(half[:, None], own, causes(1))  # on the choosing half the same features
    made = chapter(base=[own], lua=[alike])
    chosen, other_way = made.each_half("base", 0, "lua", 0)
    np.testing.assert_array_equal(chosen.index, np.arange(D))
    assert np.abs(chosen.r).max() < 0.15
    # Chosen where nothing is alike, the matches are mere chance where all is.
    right = other_way.index == np.arange(D)
    assert right.sum() < D and np.abs(other_way.r[0, ~right]).max() < 0.15


def test_features_in_another_order_are_found_by_either_half_with_r_of_one():
    order = np.array([3, 0, 5, 1, 2, 4])
    made = chapter(base=[causes(0)], lua=[causes(0)[:, order]])
    for each in made.each_half("base", 0, "lua", 0):
        np.testing.assert_array_equal(order[each.index], np.arange(D))
        np.testing.assert_allclose(each.r, 1)


def test_r_is_numpys_on_the_half_that_did_not_choose_in_every_draw_of_documents():
    own = causes(0)
    noisy = own + causes(1)
    drawn = np.random.default_rng(2).integers(0, 3, DOCUMENTS)
    made = chapter(base=[own], lua=[noisy], weights=np.stack([np.ones(DOCUMENTS), drawn]))
    for each, choosing in zip(
        made.each_half("base", 0, "lua", 0), (made.half, ~made.half), strict=True
    ):
        assert each.index.tolist() == list(range(D))
        rest = np.flatnonzero(~choosing)
        for row, rows in zip(each.r, (rest, np.repeat(rest, drawn[ORIGIN[rest]])), strict=True):
            expected = [np.corrcoef(own[rows, k], noisy[rows, k])[0, 1] for k in range(D)]
            np.testing.assert_allclose(row, expected, atol=1e-6)


def test_a_feature_that_is_not_eligible_has_no_match_and_is_none():
    same = {"base": [causes(0)], "lua": [causes(0)]}
    for each in chapter(unable=[("base", 0)], **same).each_half("base", 0, "lua", 0):
        assert each.index.tolist() == [-1, 1, 2, 3, 4, 5]
        assert np.isnan(each.r[0, 0]) and np.isfinite(each.r[0, 1:]).all()
    for each in chapter(unable=[("lua", 0)], **same).each_half("base", 0, "lua", 0):
        assert each.index[0] != 0 and each.index[1:].tolist() == [1, 2, 3, 4, 5]


NOISE = np.array([0.5, 1, 2, 1, 1, 1])  # in the child, beside causes of size 1
RELIABLE = 1 / (1 + NOISE**2)  # the share of a feature's variance that isn't noise


@pytest.fixture(scope="module")
def by_feature():
    """r of each feature, where each dictionary reads a model's causes with a noise of its own."""
    base, changed = causes(0), causes(1)
    lua = np.where(np.arange(D) < 3, base, changed)  # keeps three causes of six
    backwards = np.arange(D)[::-1]
    made = chapter(
        base=[base + causes(10), base + causes(11)],
        lua=[(lua + NOISE * causes(seed))[:, backwards] for seed in (12, 13)],
        **{"lua.mlp": [causes(20)]},
    )
    made.run_cell("own = {")
    return {name: np.mean(each, axis=0)[0] for name, each in made.compare("base", "lua").items()}


def test_r_to_own_seeds_and_to_the_child_is_as_low_as_their_noise_makes_it(by_feature):
    np.testing.assert_allclose(by_feature["own"], 0.5, atol=0.12)
    np.testing.assert_allclose(by_feature["child"][:3], np.sqrt(0.5 * RELIABLE[:3]), atol=0.12)
    for strange in (by_feature["child"][3:], by_feature["control"]):
        assert np.abs(strange).max() < 0.15


def test_disattenuated_a_kept_feature_is_near_one_and_a_lost_one_or_a_control_near_nothing(
    by_feature,
):
    np.testing.assert_allclose(by_feature["corrected"][:3], 1, atol=0.15)
    for strange in (by_feature["corrected"][3:], by_feature["null"]):
        assert np.abs(strange).max() < 0.4


def test_the_median_is_over_features_and_leaves_out_what_has_no_r():
    one, other = np.array([[0.1, 0.2, 0.9, np.nan]]), np.array([[0.4, 0.4, 0.4, 0.4]])
    assert Chapter("context").median([one, other]).tolist() == pytest.approx([0.3])


def test_a_figure_is_that_of_all_documents_and_its_bounds_are_those_of_the_draws():
    figures = np.concatenate([[50.0], np.arange(1001.0)])
    assert Chapter("context").with_bounds(figures) == pytest.approx((50, 25, 975))

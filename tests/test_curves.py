import numpy as np
import pytest
from scipy import sparse

from featrack_utils.dictionaries.features import Features
from featrack_utils.errors import FeatrackError
from featrack_utils.statistics.bootstrap import draw
from featrack_utils.statistics.curves import (
    difference,
    lost_summary,
    ratio_to_ceiling,
    summary,
    threshold_curve,
    unchanged_loss,
)
from featrack_utils.statistics.floors import document_shift, document_shift_floor
from featrack_utils.statistics.intervals import Shares
from featrack_utils.statistics.nulls import as_model, compare, compare_seeds, complement, kept_share
from featrack_utils.statistics.simulation import Plan, simulate

# As in test_nulls: half persist, two seeds share 49 %.
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
TAUS = [0.4, 0.6, 0.8, 0.99]
TAU = 0.8


@pytest.fixture(scope="module")
def models():
    planted = simulate(PLAN, 11)
    draws = draw(planted.parent[0], {"base": 2, "lua": 2}, 100, seed=0)
    return as_model("base", planted.parent, draws), as_model("lua", planted.child, draws)


@pytest.fixture(scope="module")
def shares(models):
    """Share kept and ceiling."""
    draws = models[0].draws
    kept = kept_share(compare(*models, TAUS), draws)
    return kept, kept_share(compare_seeds(models[0], TAUS), draws)


def test_a_shift_moves_whole_documents_within_their_domain():
    origin = np.array([0, 0, 1, 2, 2, 2, 3, 4, 4], np.int32)
    domain = np.array([0, 0, 0, 0, 0, 0, 1, 1, 1], np.int8)
    features = Features(sparse.csr_matrix((9, 1), dtype=np.float32), origin, domain, origin)
    np.testing.assert_array_equal(document_shift(features), [2, 3, 4, 5, 0, 1, 7, 8, 6])


def test_a_model_finds_hardly_any_of_its_features_in_its_shifted_self(models):
    base = models[0]
    for low, high in document_shift_floor(base, base, [0.3, TAU]):
        assert high < 0.01
        assert low < 0.1


def test_a_domain_of_one_document_cannot_be_shifted(models):
    features = models[0].seeds[0]
    lonely = features._replace(origin=features.domain.astype(np.int32))
    with pytest.raises(FeatrackError, match="give at least two"):
        document_shift(lonely)


def test_the_curve_falls_with_the_threshold_between_floor_and_ceiling(models, shares):
    floor, _ = document_shift_floor(*models, TAUS)
    curve = threshold_curve("base_lua", *shares, floor)
    assert list(curve) == [
        "pair",
        "tau",
        "share",
        "share_low",
        "share_high",
        "ceiling",
        "ceiling_low",
        "ceiling_high",
        "floor",
    ]
    assert set(curve["pair"]) == {"base_lua"}
    assert (np.diff(curve[["share", "ceiling", "floor"]], axis=0) <= 0).all()
    assert not curve.isna().any(axis=None)
    assert (curve["share_low"] <= curve["share"]).all()
    assert (curve["share"] <= curve["share_high"]).all()
    at_tau = curve[curve["tau"] == TAU].iloc[0]
    assert at_tau["floor"] < at_tau["share"] < at_tau["ceiling"]


def test_a_summary_holds_every_figure_a_share_is_read_beside(shares):
    flat = summary("kept.base_lua", shares[0], shares[1], 0.01, TAU)
    ratio = flat["kept.base_lua"] / flat["kept.base_lua.ceiling"]
    assert flat["kept.base_lua.ratio_to_ceiling"] == pytest.approx(ratio)
    assert flat["kept.base_lua.floor"] == 0.01
    assert flat["kept.base_lua.ci_low"] < flat["kept.base_lua"] < flat["kept.base_lua.ci_high"]
    assert {type(value) for value in flat.values()} == {float}
    assert len(flat) == 10


def test_what_is_lost_is_read_beside_what_would_seem_lost_anyway(shares):
    lost, unchanged = complement(shares[0]), complement(shares[1])
    flat = lost_summary("lost", lost, unchanged, 0.01, TAU)
    assert flat["lost"] == 1 - shares[0].estimate[2]
    assert flat["lost.floor"] == 1 - shares[1].estimate[2]
    assert flat["lost.ceiling"] == 0.99
    assert flat["lost.excess"] == pytest.approx(flat["lost"] - flat["lost.floor"])
    # A ratio of one half, of a ceiling of 49 %, says that half of 49 % was lost.
    assert flat["lost.excess.ci_low"] <= 0.245 <= flat["lost.excess.ci_high"]
    assert flat["lost.ratio_to_ceiling"] == pytest.approx(flat["lost"] / 0.99)


def test_a_share_differs_from_itself_by_nothing(shares):
    assert difference(shares[0], shares[0], TAU) == (0.0, 0.0, 0.0)


def test_what_is_not_defined_is_none_and_not_zero(shares):
    nothing = Shares(np.array([TAU]), np.zeros(1), np.zeros((100, 1)))
    assert ratio_to_ceiling(shares[0], nothing, TAU) is None
    flat = summary("x", None, None, None, TAU)
    assert set(flat.values()) == {None}
    flat = summary("x", nothing, shares[1], 0.0, TAU)
    assert (flat["x"], flat["x.ratio_to_ceiling"]) == (0.0, 0.0)


def test_of_what_seems_lost_an_unchanged_model_loses_its_part():
    # 80 % seem lost, 60 % from an unchanged model: three quarters. Replicates: 60/75 and 50/80.
    share = Shares(np.array([TAU]), np.array([0.2]), np.array([[0.25], [0.2]]))
    ceiling = Shares(np.array([TAU]), np.array([0.4]), np.array([[0.4], [0.5]]))
    part = unchanged_loss(share, ceiling, TAU)
    assert part.estimate == pytest.approx(0.75)
    assert (part.low, part.high) == pytest.approx((0.625 + 0.175 * 0.025, 0.8 - 0.175 * 0.025))
    nothing = Shares(share.taus, np.array([1.0]), np.array([[1.0], [0.9]]))
    assert unchanged_loss(nothing, ceiling, TAU) is None

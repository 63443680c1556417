"""Shares beside a ceiling and a floor that is one number; and what unrelated text would show."""

import numpy as np
import pytest
from scipy import sparse

from featrack_utils.dictionaries.features import Features, document_shift, other_documents
from featrack_utils.errors import FeatrackError
from featrack_utils.matching.correlation import correlations
from featrack_utils.statistics.curves import lost_summary, ratio_to_ceiling, summary
from featrack_utils.statistics.intervals import Shares
from featrack_utils.statistics.persistence import complement, persistence, resample
from featrack_utils.statistics.simulation import Plan, simulate

# As in test_persistence: half persist, two seeds share 49 %.
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
def shares(planted):
    """Share kept and ceiling."""
    models = {"base": planted.parent, "lua": planted.child}
    sample = resample(models, [TAU], tau=TAU, replicates=100, seed=0)
    kept = persistence(sample, "base", "lua")
    return kept.share, kept.ceiling


def test_a_shift_moves_whole_documents_within_their_domain():
    origin = np.array([0, 0, 1, 2, 2, 2, 3, 4, 4], np.int32)
    domain = np.array([0, 0, 0, 0, 0, 0, 1, 1, 1], np.int8)
    features = Features(sparse.csr_matrix((9, 1), dtype=np.float32), origin, domain, origin)
    np.testing.assert_array_equal(document_shift(features), [2, 3, 4, 5, 0, 1, 7, 8, 6])


def test_a_model_finds_hardly_any_of_its_features_where_it_reads_other_documents(planted):
    base = planted.parent[0]
    best = correlations(base.acts, other_documents(base).acts)
    r = best.a_best_r[best.a_candidates]
    assert (r > TAU).mean() < 0.01
    assert (r > 0.3).mean() < 0.1


def test_a_domain_of_one_document_cannot_be_shifted(planted):
    features = planted.parent[0]
    lonely = features._replace(origin=features.domain.astype(np.int32))
    with pytest.raises(FeatrackError, match="give at least two"):
        other_documents(lonely)


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
    assert flat["lost"] == 1 - shares[0].estimate[0]
    assert flat["lost.floor"] == 1 - shares[1].estimate[0]
    assert flat["lost.ceiling"] == 0.99
    assert flat["lost.excess"] == pytest.approx(flat["lost"] - flat["lost.floor"])
    # A ratio of one half, of a ceiling of 49 %, says that half of 49 % was lost.
    assert flat["lost.excess.ci_low"] <= 0.245 <= flat["lost.excess.ci_high"]
    assert flat["lost.ratio_to_ceiling"] == pytest.approx(flat["lost"] / 0.99)


def test_what_is_not_defined_is_none_and_not_zero(shares):
    nothing = Shares(np.array([TAU]), np.zeros(1), np.zeros((100, 1)))
    assert ratio_to_ceiling(shares[0], nothing, TAU) is None
    flat = summary("x", None, None, None, TAU)
    assert set(flat.values()) == {None}
    flat = summary("x", nothing, shares[1], 0.0, TAU)
    assert (flat["x"], flat["x.ratio_to_ceiling"]) == (0.0, 0.0)

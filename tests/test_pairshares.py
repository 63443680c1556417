import numpy as np
import pytest
from scipy import sparse

from featrack_utils.matching.classes import eligible, mutual
from featrack_utils.matching.correlation import correlations
from featrack_utils.statistics.bootstrap import draw
from featrack_utils.statistics.pairshares import pair_shares, ratio_intervals
from featrack_utils.statistics.simulation import Plan, simulate

NAMES = ("base-0", "lua-0", "base-1")


@pytest.fixture(scope="module")
def found():
    """One simulated pair of models; each seed finds four fifths of what its model has."""
    planted = simulate(Plan(150, 100, 60, capture=0.8, seeds=2, density=0.03, rho=(0.7, 1.0)), 3)
    return {"base-0": planted.parent[0], "base-1": planted.parent[1], "lua-0": planted.child[0]}


@pytest.fixture(scope="module")
def by_rule(found):
    draws = draw(found["base-0"], {"base": 1}, 60, 0)
    return pair_shares(found, NAMES, draws, (0.6, 0.8), 20, 5)


def test_estimates_are_the_shares_counted_without_replicates(found, by_rule):
    able = {n: eligible(found[n].acts, found[n].origin, 20, 5) for n in NAMES}
    for k, other in enumerate(("lua-0", "base-1")):
        best = correlations(
            found["base-0"].acts,
            found[other].acts,
            eligible_a=able["base-0"],
            eligible_b=able[other],
        )
        above = best.a_best_r > 0.8
        asked = best.a_candidates.sum()
        assert by_rule["best"][k].estimate[1] == above.sum() / asked
        assert by_rule["mutual"][k].estimate[1] == (above & mutual(best)).sum() / asked


def test_ratio_intervals_hold_their_ratio_for_each_rule_and_threshold(by_rule):
    table = ratio_intervals(by_rule)
    assert len(table) == 4
    for row in table.itertuples():
        share, ceiling = by_rule[row.rule]
        place = list(share.taus).index(row.tau)
        ratio = share.estimate[place] / ceiling.estimate[place]
        assert row.ratio_low < ratio < row.ratio_high


def test_without_an_eligible_feature_there_is_nothing(found):
    draws = draw(found["base-0"], {"base": 1}, 5, 0)
    dead = sparse.csr_matrix(found["lua-0"].acts.shape, dtype=np.float32)
    dead = found | {"lua-0": found["lua-0"]._replace(acts=dead)}
    assert pair_shares(dead, NAMES, draws, (0.8,), 20, 5) == {}
    assert ratio_intervals({}).empty

"""Origins of a merge's features where the merge is planted: it gives back one parent, or mixes."""

import numpy as np
import pytest

from featrack_utils.errors import FeatrackError
from featrack_utils.statistics import intervals
from featrack_utils.statistics.persistence import merge_origins, resample
from tests.simulated import Plan, simulate

TAU = 0.8
# Half of Lua's features are Stories' as well, and a dictionary finds 80 % of what there is.
PLAN = Plan(
    300,
    120,
    80,
    persisting=0.5,
    rho=(0.95, 0.95),
    capture=0.8,
    seeds=3,
    copies=0,
    splitting=0,
    dead=0,
    dense=0,
    density=0.015,
)


@pytest.fixture(scope="module")
def sample():
    planted = simulate(PLAN, 2)
    models = {
        "lua": planted.parent[:2],
        "stories": planted.child[:2],
        # The merge gives back Lua: a third dictionary of it.
        "merged": planted.parent[2:],
    }
    criteria = {"min_positions": 15, "min_documents": 5}
    return resample(models, [TAU], tau=TAU, replicates=60, seed=0, **criteria)


@pytest.fixture(scope="module")
def origins(sample):
    return merge_origins(sample, "merged", ("lua", "stories"))


def test_unmerged_origins_follow_the_planted_captures(origins):
    # Dictionary 1 has a real feature in 0.8 of its columns, dictionary 0 has 0.8 of those, half
    # of them are Stories' features, too, and Stories' dictionary has 0.8 of these.
    both = 0.5 * 0.8**3
    only = 0.8**2 - both
    assert origins["both"].ceiling().estimate == pytest.approx(both, abs=0.06)
    assert origins["lua only"].ceiling().estimate == pytest.approx(only, abs=0.06)
    assert origins["stories only"].ceiling().estimate == pytest.approx(only, abs=0.06)


def test_a_merge_that_gives_back_a_parent_reaches_that_parents_ceiling(origins):
    # Which 0.8 a dictionary finds is chance, so 300 features leave some room.
    assert origins["lua only"].ratio().estimate == pytest.approx(1, abs=0.2)
    # 0.5 · 0.8 · 0.2 · 0.8 of them are Stories' features that Lua's dictionary misses.
    assert origins["stories only"].share().estimate == pytest.approx(0.064, abs=0.03)


def test_novel_features_are_those_that_no_parent_has(origins):
    found = sum(o.share().estimate for name, o in origins.items() if name != "novel")
    novel = origins["novel"].lost_results("novel")
    assert novel["novel"] == pytest.approx(1 - found)
    assert novel["novel.excess"] == pytest.approx(novel["novel"] - novel["novel.floor"])
    assert novel["novel.ci_low"] <= novel["novel"] <= novel["novel.ci_high"]


def test_what_is_found_in_itself_is_from_both_as_far_as_the_other_has_it(sample):
    found = merge_origins(sample, "lua", ("stories", "lua"))
    pair = (("lua", 0), ("stories", 0))
    kept = intervals.shares(sample.matched([pair])[pair])
    np.testing.assert_allclose(found["both"].shares.estimate, kept.estimate)
    np.testing.assert_allclose(found["both"].shares.replicates, kept.replicates)
    assert found["novel"].raw() == 1 and found["stories only"].raw() == 0
    assert found["both"].raw() + found["lua only"].raw() == pytest.approx(1)


def test_a_merge_is_asked_by_the_dictionary_of_the_seed_that_is_named(sample):
    """Lua's dictionary 0 in the merge's place is found in itself, its dictionary 1 is not."""
    for seed, found in ((0, 1.0), (1, 0.8**2)):
        origins = merge_origins(sample, "lua", ("stories", "lua"), seed=seed)
        of_lua = sum(origins[name].raw() for name in ("both", "lua only"))
        assert of_lua == pytest.approx(found, abs=0.2)
    assert of_lua < 0.9


def test_a_parent_with_one_dictionary_leaves_no_ceiling():
    planted = simulate(PLAN, 2)
    models = {"lua": planted.parent[:1], "stories": planted.child[:2], "merged": planted.parent[2:]}
    sample = resample(models, [TAU], tau=TAU, replicates=2, seed=0)
    origins = merge_origins(sample, "merged", ("lua", "stories"))
    assert np.isnan(origins["both"].ceiling()).all()


def test_an_assignment_has_no_origins(sample):
    with pytest.raises(FeatrackError, match="best or mutual, not 'assignment'"):
        merge_origins(sample, "merged", ("lua", "stories"), "assignment")

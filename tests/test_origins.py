"""Origins of merged features where the merge is planted: it gives back one parent, or mixes."""

import numpy as np
import pytest

from featrack_utils.statistics.bootstrap import draw
from featrack_utils.statistics.controls import origin_shares
from featrack_utils.statistics.intervals import Shares
from featrack_utils.statistics.nulls import as_model, compare, compare_seeds
from featrack_utils.statistics.origins import chance_origins, origin_results, unmerged_origins
from featrack_utils.statistics.simulation import Plan, simulate

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
def models():
    planted = simulate(PLAN, 2)
    draws = draw(planted.parent[0], {"lua": 2, "stories": 2, "merged": 1}, 60, 0)
    return (
        as_model("lua", planted.parent[:2], draws, 15, 5),
        as_model("stories", planted.child[:2], draws, 15, 5),
        # The merge gives back Lua: a third dictionary of it.
        as_model("merged", planted.parent[2:], draws, 15, 5),
    )


@pytest.fixture(scope="module")
def unmerged(models):
    lua, stories, _ = models
    own = {m.name: compare_seeds(m, [TAU]) for m in (lua, stories)}
    return unmerged_origins(lua, stories, own, [TAU], "best")


@pytest.fixture(scope="module")
def results(models, unmerged):
    lua, stories, merged = models
    sides = [compare(parent, merged, [TAU]).known[0, 0] for parent in (lua, stories)]
    return origin_results(origin_shares(*sides), unmerged, chance_origins(*models, TAU), TAU)


def test_unmerged_origins_follow_the_planted_captures(unmerged):
    # Dictionary 1 has a real feature in 0.8 of its columns, dictionary 0 has 0.8 of those, half
    # of them are Stories' features, too, and Stories' dictionary has 0.8 of these.
    both = 0.5 * 0.8**3
    only = 0.8**2 - both
    assert unmerged["both"].estimate[0] == pytest.approx(both, abs=0.06)
    assert unmerged["lua only"].estimate[0] == pytest.approx(only, abs=0.06)
    assert unmerged["stories only"].estimate[0] == pytest.approx(only, abs=0.06)


def test_a_merge_that_gives_back_a_parent_reaches_that_parents_ceiling(results):
    key = "track.merged_origin.lua_only"
    # Which 0.8 a dictionary finds is chance, so 300 features leave some room.
    assert results[f"{key}.ratio_to_ceiling"] == pytest.approx(1, abs=0.2)
    # 0.5 · 0.8 · 0.2 · 0.8 of them are Stories' features that Lua's dictionary misses.
    assert results["track.merged_origin.stories_only"] == pytest.approx(0.064, abs=0.03)


def test_every_origin_has_its_companions_in_order(results):
    for name in ("both", "lua_only", "stories_only"):
        key = f"track.merged_origin.{name}"
        assert results[f"{key}.floor"] <= results[key] <= 1
        assert results[f"{key}.ceiling.ci_low"] < results[f"{key}.ceiling"]
    novel = "track.merged_origin.novel"
    assert results[f"{novel}.ceiling"] == pytest.approx(1, abs=0.01)
    excess = results[novel] - results[f"{novel}.floor"]
    assert results[f"{novel}.excess"] == pytest.approx(excess)


def test_other_documents_give_no_origin(models):
    chance = chance_origins(*models, TAU)
    assert sum(chance.values()) == pytest.approx(1)
    assert chance["novel"] > 0.99


def test_without_anything_reproducible_a_ratio_is_not_defined():
    none = Shares(np.array([TAU]), np.zeros(1), np.zeros((4, 1)))
    names = ("both", "lua only", "stories only", "novel")
    flat = origin_results(
        dict.fromkeys(names, none),
        dict.fromkeys(names, none),
        dict.fromkeys(names, 0.0) | {"novel": 1.0},
        TAU,
    )
    assert flat["track.merged_origin.both.ratio_to_ceiling"] is None

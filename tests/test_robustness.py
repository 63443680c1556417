import numpy as np
import pandas as pd
import pytest

from featrack_utils.errors import FeatrackError
from featrack_utils.matching.classes import classify, turned
from featrack_utils.matching.correlation import correlations
from featrack_utils.pipeline.config import EDGES
from featrack_utils.statistics.simulation import Plan, simulate
from featrack_utils.statistics.specification import (
    FACTORS,
    OWN,
    conclusions,
    effects,
    flips,
    rule_shares,
    specifications,
)

PLAN = Plan(200, 80, 60, capture=0.7, seeds=2, density=0.03, rho=(0.6, 1.0))


@pytest.fixture(scope="module")
def found():
    """One pair of simulated models for base and Lua; Stories and the merged model equal Lua."""
    planted = simulate(PLAN, 5)
    sides = {"base": planted.parent, **dict.fromkeys(("lua", "stories", "merged"), planted.child)}
    return {f"{model}-{s}": side[s] for model, side in sides.items() for s in (0, 1)}


@pytest.fixture(scope="module")
def table(found):
    return specifications(found, 20, 5)


def test_every_choice_is_counted_once(table):
    # Five edges, six thresholds, three rules: two seeds in five domains, and (a) once.
    assert len(table) == len(EDGES) * 6 * 3 * (2 * 5 + 1)
    assert not table.duplicated(["pair", *FACTORS]).any()


def test_a_child_equal_to_its_parent_keeps_all_by_every_rule(table):
    same = table[(table["pair"] == "lua_merged") & (table["definition"] == "(b)")]
    assert (same["share"] == 1).all()
    assert (same["ratio"] >= 1).all()


@pytest.mark.parametrize("rule", ["best", "mutual", "assignment"])
def test_shares_by_rule_are_those_of_the_tracking_chapter(found, rule):
    best = correlations(found["base-0"].acts, found["lua-0"].acts)
    for tau, share in zip((0.7, 0.8), rule_shares(best, rule, (0.7, 0.8)), strict=True):
        assert share == classify(best, tau, rule).persisting_share


def _made(ratio_lua, ratio_merged, tau):
    ratios = {"base_lua": ratio_lua, "lua_merged": ratio_merged}
    return [
        {
            "pair": "_".join(edge),
            "dictionary": OWN,
            "domain": "all",
            "definition": "(b)",
            "rule": "best",
            "seed": 0,
            "tau": tau,
            "ceiling": 0.4,
            "ratio": (r := ratios.get("_".join(edge), 0.9)),
            "share": 0.4 * r,
        }
        for edge in EDGES
    ]


def test_conclusions_follow_from_ratios():
    claims = conclusions(pd.DataFrame(_made(0.5, 0.8, 0.7) + _made(1.1, 0.8, 0.8)))
    assert claims["lua changes"].tolist() == [True, False]
    assert claims["merging keeps more"].tolist() == [True, False]
    # 60 % would seem lost from an unchanged base, of the 80 or 56 % that seem lost.
    assert claims["mostly noise"].tolist() == [True, True]
    summary = flips(claims).set_index(["conclusion", "factor", "choice"])["support"]
    assert summary["lua changes", "any", "any"] == 0.5
    assert (summary["lua changes", "tau", "0.7"], summary["lua changes", "tau", "0.8"]) == (1, 0)


def test_the_factor_that_moves_the_ratio_most_comes_first_with_its_choices():
    rows = [
        dict(row, domain=domain, ratio=row["ratio"] + (0.01 if domain == "lua" else 0))
        for tau, ratio in ((0.5, 0.9), (0.7, 0.6), (0.9, 0.2))
        for domain in ("all", "lua")
        for row in _made(ratio, np.nan, tau)
    ]
    found = effects(pd.DataFrame(rows), "base_lua")
    assert found["factor"].tolist() == ["tau", "domain"]  # the others have one choice each
    first = found.iloc[0]
    assert (first["lowest_choice"], first["highest_choice"]) == ("0.9", "0.5")
    assert (first["lowest"], first["highest"]) == pytest.approx((0.205, 0.905))
    assert first["range"] == pytest.approx(0.7) and found.iloc[1]["range"] == pytest.approx(0.01)
    assert effects(pd.DataFrame(rows), "lua_merged").empty


def test_a_choice_has_no_credit_for_what_only_it_was_counted_with():
    """By (a), counted on the whole mix alone, nothing is lost; otherwise domains don't differ."""
    rows = [
        dict(row, domain=domain, definition=definition)
        for domain, definition, ratio in (
            ("all", "(b)", 0.5),
            ("lua", "(b)", 0.5),
            ("all", "(a)", 1.2),
        )
        for tau in (0.5, 0.7)
        for row in _made(ratio, 1.1, tau)
    ]
    table = pd.DataFrame(rows)
    found = effects(table, "base_lua").set_index("factor")
    assert found.loc["domain", "range"] == 0 and found.loc["definition", "range"] == 0.7
    support = flips(conclusions(table)).set_index(["conclusion", "factor", "choice"])
    lua = support.loc["lua changes"]
    assert lua.loc[("domain", "all"), "support"] == lua.loc[("domain", "lua"), "support"] == 1
    assert lua.loc[("definition", "(a)"), "support"] == 0
    assert lua.loc[("definition", "(b)"), "support"] == 1
    assert lua.loc[("any", "any")].tolist() == pytest.approx([4 / 6, 6])
    assert lua.loc[("definition", "(b)"), "specifications"] == 2


def test_what_is_not_defined_supports_nothing():
    claims = conclusions(pd.DataFrame(_made(np.nan, 0.8, 0.7)))
    assert claims["lua changes"].isna().all()
    summary = flips(claims)
    assert "lua changes" not in set(summary["conclusion"])
    assert "stories changes" in set(summary["conclusion"])


def test_the_other_side_of_matches_is_that_of_matching_the_other_way_round(found):
    a, b = found["base-0"].acts, found["base-1"].acts
    back, there = turned(correlations(a, b)), correlations(b, a)
    for one, other in zip(back[:6], there[:6], strict=True):
        np.testing.assert_allclose(one, other, atol=1e-12)
    np.testing.assert_allclose(np.stack(back.pairs), np.stack(there.pairs), atol=1e-12)


def test_dictionaries_trained_otherwise_count_where_all_three_are_there(found, table):
    names = ("base-0", "base-1", "lua-0", "lua-1", "stories-0", "merged-0")
    few = specifications({n: found[n] for n in names}, 20, 5, "expansion 16")
    assert set(few["dictionary"]) == {"expansion 16"}
    edges = few[["pair", "seed"]].drop_duplicates().itertuples(index=False, name=None)
    assert set(edges) == {
        ("base_lua", 0),
        ("base_stories", 0),
        ("base_merged", 0),
        ("lua_merged", 0),
        ("base_lua", 1),
    }
    shared = ["pair", *FACTORS[1:]]
    both = few.merge(table, on=shared, suffixes=("", "_whole"))
    assert len(both) == len(few)
    np.testing.assert_array_equal(both["ratio"], both["ratio_whole"])


def test_each_set_of_dictionaries_supports_conclusions_of_its_own():
    own = pd.DataFrame(_made(0.5, 0.8, 0.8))
    narrow = pd.DataFrame(_made(1.1, 0.8, 0.8)).assign(dictionary="narrow")
    summary = flips(conclusions(pd.concat([own, narrow])))
    summary = summary.set_index(["conclusion", "factor", "choice"])["support"]
    assert summary["lua changes", "dictionary", OWN] == 1
    assert summary["lua changes", "dictionary", "narrow"] == 0


def test_one_seed_is_not_enough(found):
    with pytest.raises(FeatrackError, match="merged-1 is missing"):
        specifications({n: f for n, f in found.items() if n != "merged-1"}, 20, 5)

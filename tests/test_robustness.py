import numpy as np
import pandas as pd
import pytest

from featrack_utils.dictionaries import features
from featrack_utils.errors import FeatrackError
from featrack_utils.lineage import Lineage
from featrack_utils.matching.classes import classify, turned
from featrack_utils.matching.correlation import correlations
from featrack_utils.matching.token_correlation import string_correlations
from featrack_utils.statistics.bootstrap import resample
from featrack_utils.statistics.persistence import persistence
from featrack_utils.statistics.simulation import Plan, simulate
from featrack_utils.statistics.specification import (
    FACTORS,
    OWN,
    POSITIONS,
    RULES,
    STRINGS,
    Counting,
    conclusions,
    specifications,
)

PLAN = Plan(120, 80, 60, capture=0.7, seeds=2, density=0.03, rho=(0.6, 1.0))
LINEAGE = Lineage(
    {
        "root": {"train": ["a", "b"]},
        "one": {"parent": "root", "train": ["c"]},
        "two": {"parent": "root", "train": ["d"]},
        "both": {"merge": ["one", "two"]},
    }
)
COUNTING = Counting(20, 5, replicates=20, seed=0)


@pytest.fixture(scope="module")
def found():
    """One pair of simulated models for the root and its child; the others equal the child."""
    planted = simulate(PLAN, 5)
    sides = {"root": planted.parent, **dict.fromkeys(("one", "two", "both"), planted.child)}
    # A control that has nothing to do with the root: other causes, on the same tokens.
    sides["one.mlp"] = [features.other_documents(one) for one in planted.child]
    return {f"{model}-{s}": side[s] for model, side in sides.items() for s in (0, 1)}


@pytest.fixture(scope="module")
def table(found):
    return specifications(found, LINEAGE, COUNTING)


def test_every_choice_is_counted_once(table):
    # Six thresholds. Every edge by two rules at two seeds; the first also by assignment at both, by
    # three rules at two seeds in four domains, and by three rules over strings.
    assert len(table) == 6 * (len(LINEAGE.edges) * 2 * 2 + 2 + 3 * 2 * 4 + 3)
    assert not table.duplicated(["pair", *FACTORS]).any()


def test_a_child_equal_to_its_parent_keeps_all_by_every_rule(table):
    same = table[table["pair"] == "one_both"]
    assert (same["share"] == 1).all()
    assert (same["ratio"] >= 1).all()


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("definition", [POSITIONS, STRINGS])
def test_shares_are_those_of_the_tracking_chapter(found, table, rule, definition):
    a, b = found["root-0"], found["one-0"]
    able = {"eligible_a": (a.acts > 0).sum(axis=0) >= 20, "eligible_b": (b.acts > 0).sum(0) >= 20}
    able = {side: np.asarray(mask).ravel() for side, mask in able.items()}
    if definition == POSITIONS:
        best = correlations(a.acts, b.acts, **able)
    else:
        best = string_correlations(a.acts, b.acts, a.tokens, **able).best
    rows = table[(table["pair"] == "root_one") & (table["domain"] == "all") & (table["seed"] == 0)]
    rows = rows[(rows["definition"] == definition) & (rows["rule"] == rule)].set_index("tau")
    for tau in (0.7, 0.8):
        assert rows.loc[tau, "share"] == classify(best, tau, rule).persisting_share


def test_ratios_and_their_bounds_are_those_of_persistence(found, table):
    sides = {name: [found[name]] for name in ("root-1", "one-1", "root-0", "one.mlp-1")}
    sample = resample(
        sides, [0.7], tau=0.9, replicates=20, seed=0, min_positions=20, min_documents=5
    )
    floors = {"random_mlp": "one.mlp-1"}
    kept = persistence(sample, "root-1", "one-1", ceiling="root-0", floors=floors)
    rows = table.set_index(["pair", *FACTORS])
    row = rows.loc["root_one", OWN, "all", POSITIONS, "best", 1, 0.7]
    share, ceiling, floor = (
        kept._replace(shares=part).raw(0.7)
        for part in (kept.shares, kept.ceilings, kept.floors["random_mlp"])
    )
    assert row["ratio"] == share / ceiling
    assert row["rescaled"] == (share - floor) / (ceiling - floor)
    for name, expected in {"ratio": kept.ratio(0.7), "rescaled": kept.rescaled(tau=0.7)}.items():
        assert row[f"{name}_low"] < expected.estimate < row[f"{name}_high"]


def test_an_edge_without_a_control_has_no_floor_and_nothing_rescaled(table):
    without = table[table["pair"] != "root_one"]
    assert without[["floor", "rescaled", "rescaled_low"]].isna().all(axis=None)
    assert without["ratio"].notna().any()


def test_bounds_come_with_best_and_mutual_matches_over_positions_on_the_whole_mix(table):
    bare = (table["rule"] == "assignment") | (table["definition"] == STRINGS)
    bare |= table["domain"] != "all"
    assert table.loc[bare, "ratio_low"].isna().all()
    sure = table[~bare & (table["ceiling"] > 0.2)]
    assert len(sure) > 10 and sure["ratio_low"].notna().all()


def _made(low, high, tau, merged=(0.85, 0.95), **choices):
    """Ratios of the first edge and from it to the merge, on one way to count."""
    bounds = {"root_one": (low, high), "one_both": merged}
    common = {"dictionary": OWN, "domain": "all", "definition": POSITIONS, "rule": "best"}
    return [
        {"pair": pair, **common, "seed": 0, "tau": tau, "ratio": (a + b) / 2}
        | {"ratio_low": a, "ratio_high": b, "noise_low": 0.6, "noise_high": 0.7}
        | {"rescaled_low": a, "rescaled_high": b}
        | choices
        for pair, (a, b) in bounds.items()
    ]


def test_conclusions_need_a_whole_interval():
    rows = _made(0.4, 0.6, 0.6) + _made(0.8, 1.02, 0.7) + _made(1.01, 1.2, 0.8)
    claims = conclusions(pd.DataFrame(rows), LINEAGE)
    says = {name: part["says"].tolist() for name, part in claims.groupby("conclusion")}
    assert says == {
        "one changes": ["yes", "unclear", "no"],
        "one keeps something": ["yes"] * 3,
        "one mostly noise": ["yes"] * 3,
        "both keeps more than one": ["yes", "unclear", "no"],
    }


def test_a_way_without_interval_supports_nothing():
    rows = _made(0.4, 0.6, 0.7) + _made(np.nan, np.nan, 0.8, merged=(np.nan, np.nan))
    claims = conclusions(pd.DataFrame(rows), LINEAGE)
    assert claims.loc[claims["conclusion"] == "one changes", "tau"].tolist() == [0.7]


def test_the_other_side_of_matches_is_that_of_matching_the_other_way_round(found):
    a, b = found["root-0"].acts, found["root-1"].acts
    back, there = turned(correlations(a, b)), correlations(b, a)
    for one, other in zip(back[:6], there[:6], strict=True):
        np.testing.assert_allclose(one, other, atol=1e-12)
    np.testing.assert_allclose(np.stack(back.pairs), np.stack(there.pairs), atol=1e-12)


def test_dictionaries_trained_otherwise_count_where_all_three_are_there(found, table):
    names = ("root-0", "root-1", "one-0", "one-1", "two-0", "both-0")
    few = specifications({n: found[n] for n in names}, LINEAGE, COUNTING, "expansion 16")
    assert set(few["dictionary"]) == {"expansion 16"}
    edges = few[["pair", "seed"]].drop_duplicates().itertuples(index=False, name=None)
    at_seed_0 = {(pair, 0) for pair in ("root_one", "root_two", "root_both", "one_both")}
    assert set(edges) == {*at_seed_0, ("root_one", 1)}
    both = few.merge(table, on=["pair", *FACTORS[1:]], suffixes=("", "_whole"))
    assert len(both) == len(few)
    np.testing.assert_array_equal(both["share"], both["share_whole"])


def test_without_two_dictionaries_of_a_parent_nothing_can_be_counted(found):
    with pytest.raises(FeatrackError, match="two seeds each"):
        specifications({n: f for n, f in found.items() if n.endswith("0")}, LINEAGE, COUNTING)

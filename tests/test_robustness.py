"""Ways to count, and which conclusions they support, as the chapter on robustness does it."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import linear_sum_assignment

from featrack_utils.dictionaries import features
from featrack_utils.lineage import Lineage
from featrack_utils.statistics.bootstrap import resample
from featrack_utils.statistics.intervals import Shares
from featrack_utils.statistics.persistence import Persistence, persistence
from tests.chapters import Chapter
from tests.simulated import Plan, simulate

CHAPTER = "robustness"
OWN = "this run's"
PLAN = Plan(120, 80, 60, capture=0.7, seeds=2, density=0.03, rho=(0.6, 1.0))
TAUS = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
LINEAGE = Lineage(
    {
        "root": {"train": ["a", "b"]},
        "one": {"parent": "root", "train": ["c"]},
        "two": {"parent": "root", "train": ["d"]},
        "both": {"merge": ["one", "two"]},
    }
)


def counted(found, name=OWN):
    """The table of all ways to count on one set of dictionaries, and the chapter that made it."""
    made = Chapter(
        CHAPTER,
        lineage=LINEAGE,
        sets={name: found},
        pair_name="root_one",
        min_positions=20,
        min_documents=5,
        interval_draws=20,
        seed=0,
    )
    made.run_cell("FACTORS = [")
    made.run_cell("def figures_at(")
    return made


@pytest.fixture(scope="module")
def found():
    """One pair of simulated models for the root and its child; the others equal the child."""
    planted = simulate(PLAN, 5)
    sides = {"root": planted.parent, **dict.fromkeys(("one", "two", "both"), planted.child)}
    # A control that has nothing to do with the root: other causes, on the same tokens.
    sides["one.mlp"] = [features.other_documents(one) for one in planted.child]
    return {f"{model}-{s}": side[s] for model, side in sides.items() for s in (0, 1)}


@pytest.fixture(scope="module")
def chapter(found):
    return counted(found)


@pytest.fixture
def table(chapter):
    return chapter.table


def test_every_choice_is_counted_once(chapter, table):
    # Six thresholds. Every edge by two rules at two seeds; the first also by assignment at both, by
    # three rules at two seeds in four domains, and by three rules over strings.
    assert len(table) == 6 * (len(LINEAGE.edges) * 2 * 2 + 2 + 3 * 2 * 4 + 3)
    assert not table.duplicated(["pair", *chapter.FACTORS]).any()


def test_a_child_equal_to_its_parent_keeps_all_by_every_rule(table):
    same = table[table["pair"] == "one_both"]
    assert (same["share"] == 1).all()
    assert (same["ratio"].dropna() >= 1).all() and same["ratio"].notna().sum() > 10


def test_shares_are_those_that_numpy_and_scipy_count(found, table):
    a, b = (found[name].acts.toarray() for name in ("root-0", "one-0"))
    a, b = (x[:, (x > 0).sum(axis=0) >= 20] for x in (a, b))
    r = np.corrcoef(a.T, b.T)[: a.shape[1], a.shape[1] :]
    best = np.arange(len(r)), r.argmax(axis=1)
    mutual = best[0] == r.argmax(axis=0)[best[1]]
    rows = table[(table["pair"] == "root_one") & (table["domain"] == "all") & (table["seed"] == 0)]
    rows = rows[rows["definition"] == "positions"].set_index(["rule", "tau"])["share"]
    for tau in TAUS:
        over = r[best] > tau
        one_to_one = linear_sum_assignment(-(r > tau).astype(float))
        expected = {
            "best": over.mean(),
            "mutual": (over & mutual).mean(),
            "assignment": (r > tau)[one_to_one].sum() / len(r),
        }
        for rule in ("best", "mutual"):
            assert rows[rule, tau] == pytest.approx(expected[rule])
        assert expected["mutual"] <= rows["assignment", tau] <= expected["assignment"]


def test_bounds_are_those_of_persistence_and_lie_around_the_share_over_the_ceiling(found, chapter):
    sides = {name: [found[name]] for name in ("root-1", "one-1", "root-0", "one.mlp-1")}
    sample = resample(
        sides, [0.7], tau=0.9, replicates=20, seed=0, min_positions=20, min_documents=5
    )
    floors = {"random_mlp": "one.mlp-1"}
    kept = persistence(sample, "root-1", "one-1", ceiling="root-0", floors=floors)
    rows = chapter.table.set_index(["pair", *chapter.FACTORS])
    row = rows.loc[("root_one", OWN, "all", "positions", "best", 1, 0.7)]
    assert row["share"] == kept.raw(0.7)
    assert row["ratio"] == row["share"] / row["ceiling"]
    for name, expected in {"ratio": kept.ratio(0.7), "rescaled": kept.rescaled(tau=0.7)}.items():
        assert row[f"{name}_low"] < expected.estimate < row[f"{name}_high"]


def test_a_floor_is_only_where_there_is_a_control(table):
    without = table[table["pair"] != "root_one"]
    assert without[["floor", "rescaled", "rescaled_low"]].isna().all(axis=None)
    assert without["ratio"].notna().any()
    assert table.loc[table["pair"] == "root_one", "floor"].notna().all()


def test_bounds_come_with_best_and_mutual_matches_over_positions_on_the_whole_mix(table):
    bare = (table["rule"] == "assignment") | (table["definition"] == "token strings")
    bare |= table["domain"] != "all"
    assert table.loc[bare, "ratio_low"].isna().all()
    sure = table[~bare & (table["ceiling"] > 0.2)]
    assert len(sure) > 10 and sure["ratio_low"].notna().all()


def test_dictionaries_trained_otherwise_count_where_all_three_are_there(found, table):
    names = ("root-0", "root-1", "one-0", "one-1", "two-0", "both-0")
    made = counted({name: found[name] for name in names}, "expansion 16")
    few = made.table
    assert set(few["dictionary"]) == {"expansion 16"}
    edges = few[["pair", "seed"]].drop_duplicates().itertuples(index=False, name=None)
    at_seed_0 = {(pair, 0) for pair in ("root_one", "root_two", "root_both", "one_both")}
    assert set(edges) == {*at_seed_0, ("root_one", 1)}
    both = few.merge(table, on=["pair", *made.FACTORS[1:]], suffixes=("", "_whole"))
    assert len(both) == len(few)
    np.testing.assert_array_equal(both["share"], both["share_whole"])


def shares(value, n=1000, spread=0.01):
    """A share at one threshold, with replicates around it."""
    draws = value + spread * np.random.default_rng(0).normal(size=(n, 1))
    return Shares(np.array([0.4]), np.array([value]), draws)


@pytest.mark.parametrize(("floor", "rescaled"), [(0.2, 0.5), (0.74, 0.0), (0.78, np.nan)])
def test_without_room_between_floor_and_ceiling_nothing_is_rescaled(floor, rescaled):
    share = (floor + 0.8) / 2 if floor == 0.2 else 0.74
    each = Persistence(
        shares(share, spread=0), shares(0.8, spread=0), {"x": shares(floor, spread=0)}, 0.4
    )
    row = Chapter(CHAPTER, TAUS=(0.4,)).figures_at(each, 0)
    assert row["ratio"] == pytest.approx(share / 0.8)
    assert row.get("rescaled", np.nan) == pytest.approx(rescaled, abs=1e-9, nan_ok=True)
    assert np.isnan(row["rescaled_low"]) == np.isnan(rescaled)


def ways(*bounds, pair="root_one", noise=(0.6, 0.7), **choices):
    """One way to count at each threshold, with these bounds."""
    common = {"pair": pair, "dictionary": OWN, "domain": "all", "definition": "positions"}
    common |= {"rule": "best", "seed": 0, "noise_low": noise[0], "noise_high": noise[1]}
    return [
        common
        | {"tau": tau, "ratio_low": low, "ratio_high": high}
        | {"rescaled_low": low, "rescaled_high": high}
        | choices
        for (low, high), tau in zip(bounds, TAUS[2:], strict=False)
    ]


def concluded(rows):
    """What each way says of each conclusion, after the chapter's cells on it."""
    made = Chapter(CHAPTER, lineage=LINEAGE, table=pd.DataFrame(rows), label=str.title)
    made.run_cell("FACTORS = [")
    made.run_cell("def says(")
    made.run_cell("def support(")
    return made


def test_a_figure_says_yes_or_no_by_its_whole_interval_and_nothing_without_one():
    low, high = pd.Series([0.1, -0.2, -0.1, np.nan, 0.0]), pd.Series([0.2, -0.1, 0.1, np.nan, 0.2])
    said = concluded(ways((0.1, 0.2))).says(low, high)
    assert said.to_dict() == {0: "yes", 1: "no", 2: "unclear", 4: "unclear"}


def test_each_conclusion_is_read_off_the_bounds_of_its_pair():
    merge = ways((0.85, 0.95), (0.85, 0.95), (0.85, 0.95), pair="one_both", noise=(0.1, 0.4))
    made = concluded(ways((0.4, 0.6), (0.8, 1.02), (1.01, 1.2), noise=(0.6, 0.7)) + merge)
    says = {name: part["says"].tolist() for name, part in made.claims.groupby("conclusion")}
    assert says == {
        "one changes": ["yes", "unclear", "no"],
        "one keeps something": ["yes"] * 3,
        "one mostly noise": ["yes"] * 3,
        "both keeps more than one": ["yes", "unclear", "no"],
    }
    overall = made.overall.T.to_dict()
    assert overall["one changes"] == pytest.approx(
        {"yes": 1 / 3, "unclear": 1 / 3, "no": 1 / 3, "ways": 3}
    )
    assert overall["one keeps something"] == {"yes": 1, "unclear": 0, "no": 0, "ways": 3}


def test_nothing_is_kept_where_the_whole_interval_lies_below_the_floor():
    made = concluded(ways((-0.4, -0.1), (-0.1, 0.3), noise=(0.3, 0.45)))
    says = {name: part["says"].tolist() for name, part in made.claims.groupby("conclusion")}
    assert says["one keeps something"] == ["no", "unclear"]
    assert says["one mostly noise"] == ["no", "no"]


def test_a_way_without_an_interval_supports_nothing():
    nothing = (np.nan, np.nan)
    made = concluded(ways((0.4, 0.6), nothing) + ways((0.8, 0.9), nothing, pair="one_both"))
    claims = made.claims[made.claims["conclusion"] != "one mostly noise"]
    assert set(claims["tau"]) == {TAUS[2]} and len(claims) == 3


def test_choices_are_compared_only_where_every_other_choice_is_the_same():
    # At 0.6 both rules were counted, at 0.7 the best match alone.
    rows = ways((0.1, 0.1), (0.9, 0.9)) + ways((0.3, 0.3), rule="mutual")
    made = concluded(rows)
    kept = made.comparable(made.table, "rule")
    assert kept["tau"].tolist() == [0.6, 0.6]
    middle = made.medians(made.table, "rule", "ratio_low")[0.5]
    assert middle.to_dict() == {"best": 0.1, "mutual": 0.3}

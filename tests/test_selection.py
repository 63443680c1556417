"""Which features are shown, and why a match fails, on planted features."""

import re
from itertools import product

import numpy as np
import pytest
from scipy import sparse

from featrack_utils.dictionaries.features import Features
from featrack_utils.interpretation import selection
from featrack_utils.matching.best_matches import Matches
from featrack_utils.matching.correlation import correlations
from featrack_utils.statistics.intervals import Interval

N, WIDTH = 400, 20


def features(*columns) -> Features:
    acts = sparse.csr_matrix(np.array(columns, dtype=np.float32).T)
    where = np.arange(N, dtype=np.int32)
    return Features(acts, where // WIDTH, np.zeros(N, dtype=np.int8), where % 7)


def planted(seed, density=0.1):
    rng = np.random.default_rng(seed)
    return rng.exponential(size=N) * (rng.random(N) < density)


SILENT = np.zeros(N)


@pytest.mark.parametrize(
    ("name", "inside", "outside"),
    [
        ("assignment", ["=", " =", " +="], ["==", " >=", "x="]),
        ("opening quotation mark", ['"', ' "', " “"], ['""', ' "a']),
        ("number", ["7", " 42"], ["v2", "4.2"]),
        ("end of a sentence", [".", '?"', "!"], ["x.", ","]),
        ("line break", ["\n", "\n    "], [" ", "\nx"]),
        ("article", [" the", "A", " an"], [" then", " I"]),
        ("verb of speech", [" said", "asked"], [" says", " saidest"]),
    ],
)
def test_a_class_of_tokens_holds_what_its_name_says(name, inside, outside):
    pattern = re.compile(selection.TOKEN_CLASSES[name])
    assert [t for t in inside if not pattern.fullmatch(t)] == []
    assert [t for t in outside if pattern.fullmatch(t)] == []


def test_exceptions_are_named_by_their_keywords_and_endings():
    pattern = re.compile(selection.EXCEPTIONS)
    assert all(map(pattern.fullmatch, [" raise", "except", " ValueError", " error", "Exception"]))
    assert not any(map(pattern.fullmatch, [" raised", " exceptional", " errors"]))


def test_dense_rare_and_position_bound_features_are_set_aside():
    rare, dense = SILENT.copy(), np.ones(N)
    rare[3] = 1
    bound = np.where(np.arange(N) % WIDTH == 4, 1.0, 0.0)
    found = features(planted(0), rare, dense, bound, SILENT)
    guards = {"min_density": 0.01, "max_density": 0.3, "max_position_share": 0.5}
    kept = selection.passes(found, WIDTH, **guards)
    assert kept.tolist() == [True, False, False, False, False]
    shares = selection.position_share(found, WIDTH)
    assert shares[[1, 2, 3, 4]] == pytest.approx([1, 1 / WIDTH, 1, 0])


@pytest.fixture
def model():
    """Feature 0 is kept by all, 1 is lost by the child, 2 no other seed of its own model has."""
    kept, lost, noise = planted(1), planted(2), planted(3)
    return {
        "base-0": features(kept, lost, noise, SILENT),
        "base-1": features(planted(4), lost, kept, SILENT),
        "lua-0": features(planted(5), kept, lost + 2 * planted(6), SILENT),
        "lua-1": features(kept, planted(7), planted(8), SILENT),
    }


def compared(model) -> Matches:
    """The matches of all pairs of the model's dictionaries."""
    everything = {n: np.ones(f.acts.shape[1], bool) for n, f in model.items()}
    best = {(a, b): correlations(model[a].acts, model[b].acts) for a, b in product(model, model)}
    names = {"base": ("base-0", "base-1"), "lua": ("lua-0", "lua-1")}
    return Matches(names, best, everything, {}, {}, 0.8)


def closest(model, *others):
    return selection.closest(compared(model), "base-0", others)


def test_the_closest_feature_of_each_dictionary_is_found(model):
    found = closest(model, "base-1", "lua-0")
    assert found.index.loc[0].tolist() == [2, 1]
    assert found.index.loc[1].tolist() == [1, 2]
    assert found.index.loc[3].tolist() == [-1, -1] and found.r.loc[3].isna().all()
    expected = np.corrcoef(
        *(model[n].acts[:, [k]].toarray().ravel() for n, k in (("base-0", 1), ("lua-0", 2)))
    )[0, 1]
    assert found.r.loc[1, "lua-0"] == pytest.approx(expected, abs=1e-6)


def test_a_reproducible_feature_is_in_every_other_dictionary_of_its_model(model):
    assert selection.reproducible(closest(model, "base-1"), 0.8).tolist() == [
        True,
        True,
        False,
        False,
    ]
    model["base-2"] = features(planted(2), planted(9), planted(10), SILENT)
    both = selection.reproducible(closest(model, "base-1", "base-2"), 0.8)
    assert both.tolist() == [False, True, False, False]
    assert not selection.reproducible(closest(model), 0.8).any()  # nothing to be found in


def test_missing_is_what_no_other_dictionary_has(model):
    own, other = closest(model, "base-1"), closest(model, "lua-0", "lua-1")
    asked = selection.reproducible(own, 0.8)
    table = selection.missing(asked, own, other, tau=0.8)
    assert table[["feature", "partner", "partner_feature"]].to_numpy().tolist() == [[1, "lua-0", 2]]
    assert table["own_r"].item() == pytest.approx(1) and table["r"].item() < 0.8
    assert selection.missing(np.zeros(4, bool), own, other, tau=0.8).empty


def test_one_dictionary_of_the_child_that_has_it_is_enough_to_keep_it(model):
    model["lua-1"] = model["base-0"]
    own, other = closest(model, "base-1"), closest(model, "lua-0", "lua-1")
    assert selection.missing(selection.reproducible(own, 0.8), own, other, tau=0.8).empty


def test_without_dictionaries_or_eligible_features_nothing_is_missing(model):
    own, everything = closest(model, "base-1"), np.ones(4, bool)
    assert selection.missing(everything, own, closest(model), tau=0.8).empty
    model["lua-0"] = features(SILENT, SILENT)
    assert selection.missing(everything, own, closest(model, "lua-0"), tau=0.8).empty


def test_a_relative_is_the_closest_match_over_all_dictionaries_of_another_model(model):
    everything = compared(model)
    assert selection.relatives(everything, "base-0", 0) == {("lua-0", 1): pytest.approx(1)}
    assert selection.relatives(everything, "lua-1", 0) == {("base-0", 0): pytest.approx(1)}
    assert selection.relatives(everything, "base-0", 3) == {}


def test_the_interval_of_an_r_holds_what_numpy_gives_on_the_same_draws():
    x, y = planted(9), planted(9) + planted(10)
    found = {"base-0": features(SILENT, x), "lua-0": features(y)}
    documents = np.random.default_rng(0).multinomial(20, [1 / 20] * 20, size=300)
    drawn = [
        np.corrcoef(*(np.repeat(each, np.repeat(times, WIDTH)) for each in (x, y)))[0, 1]
        for times in documents
    ]
    expected = [np.corrcoef(x, y)[0, 1], *np.quantile(drawn, [0.025, 0.975])]
    r = selection.r_interval(found, ("base-0", 1), ("lua-0", 0), documents)
    assert r == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("index", "verdict"), [(0, "kept"), (1, "lost"), (2, "not reproducible")])
def test_planted_features_are_judged_by_what_was_planted(model, index, verdict):
    documents = np.random.default_rng(0).multinomial(20, [1 / 20] * 20, size=200)
    everything = compared(model)
    found = selection.judge(everything, model, "base-0", index, "lua", documents)
    assert found["verdict"] == verdict
    best = selection.closest(everything, "base-0", everything.names["lua"]).r.loc[index].max()
    assert found["r"] == pytest.approx(best, abs=1e-6)
    assert found["r.ci_low"] - 1e-9 <= found["r"] <= found["r.ci_high"] + 1e-9


LOW, ACROSS, HIGH = Interval(0.5, 0.4, 0.6), Interval(0.78, 0.7, 0.85), Interval(0.9, 0.86, 0.93)


@pytest.mark.parametrize(
    ("own_r", "child", "expected"),
    [
        ([0.9, 0.85], [LOW, LOW], "lost"),
        ([0.9, 0.7], [LOW, LOW], "not reproducible"),
        ([0.9, np.nan], [LOW], "not reproducible"),
        ([], [LOW], "not reproducible"),
        ([0.9], [LOW, ACROSS], "unclear"),
        ([0.9], [LOW, HIGH], "kept"),
        ([0.9], [Interval(np.nan, np.nan, np.nan)], "unclear"),
        ([0.9], [], "unclear"),
    ],
)
def test_a_feature_is_judged_over_all_dictionaries(own_r, child, expected):
    assert selection.judged(own_r, child, 0.8) == expected


def at(**places):
    column = SILENT.copy()
    column[[int(p[1:]) for p in places]] = list(places.values())
    return column


@pytest.mark.parametrize(
    ("match", "why"),
    [
        (at(p0=5, p1=1), "same places, other strengths"),
        (at(p0=1, p1=1, p2=6), "the match is active there, and mostly elsewhere"),
        (at(p0=2), "the match covers only a part of the places"),
        (at(p2=2), "other places"),
        (SILENT, "one of them is silent"),
    ],
)
def test_why_a_match_fails_follows_from_where_the_two_are_active(match, why):
    both = {"base-0": features(at(p0=1, p1=3)), "lua-0": features(SILENT, match)}
    assert selection.difference(both, ("base-0", 0), ("lua-0", 1)) == why

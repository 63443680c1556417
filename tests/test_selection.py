"""Which features are shown, and why a match fails, on planted features."""

from itertools import product

import numpy as np
import pytest
from scipy import sparse

from featrack_utils.dictionaries.features import Features
from featrack_utils.interpretation import selection
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


def test_dense_rare_and_position_bound_features_are_set_aside(monkeypatch):
    monkeypatch.setattr(selection, "DENSITY", (0.01, 0.3))
    monkeypatch.setattr(selection, "POSITION_SHARE", 0.5)
    rare, dense = SILENT.copy(), np.ones(N)
    rare[3] = 1
    bound = np.where(np.arange(N) % WIDTH == 4, 1.0, 0.0)
    found = features(planted(0), rare, dense, bound, SILENT)
    kept = selection.passes(found, WIDTH)
    assert kept.tolist() == [True, False, False, False, False]


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


def compared(model):
    """The best matches of all pairs of the model's dictionaries."""
    return {(a, b): correlations(model[a].acts, model[b].acts) for a, b in product(model, model)}


def closest(model, *others):
    return selection.closest(compared(model), "base-0", others)


def missing(model, own=("base-1",), others=("lua-0", "lua-1"), among=None):
    return selection.missing(compared(model), "base-0", own, others, 0.8, among)


def test_the_closest_feature_of_each_dictionary_is_found(model):
    found = closest(model, "base-1", "lua-0")
    assert found.index.loc[0].tolist() == [2, 1]
    assert found.index.loc[1].tolist() == [1, 2]
    assert found.index.loc[3].tolist() == [-1, -1] and found.r.loc[3].isna().all()
    expected = np.corrcoef(
        *(model[n].acts[:, [k]].toarray().ravel() for n, k in (("base-0", 1), ("lua-0", 2)))
    )[0, 1]
    assert found.r.loc[1, "lua-0"] == pytest.approx(expected, abs=1e-6)


def test_missing_is_what_the_model_has_everywhere_and_no_other_dictionary_has(model):
    table = missing(model)
    assert table[["feature", "partner", "partner_feature"]].to_numpy().tolist() == [[1, "lua-0", 2]]
    assert table["own_r"].item() == pytest.approx(1) and table["r"].item() < 0.8
    assert missing(model, among=np.arange(4) != 1).empty


def test_a_feature_that_one_dictionary_of_its_model_lacks_is_not_missing(model):
    assert missing(model, own=("base-1", "lua-1")).empty  # lua-1 stands for a third that lacks it
    assert missing(model, own=()).empty  # nothing to be found in


def test_one_dictionary_of_the_child_that_has_it_is_enough_to_keep_it(model):
    model["lua-1"] = model["base-0"]
    assert missing(model).empty


def test_without_dictionaries_or_eligible_features_nothing_is_missing(model):
    assert missing(model, others=()).empty
    model["lua-0"] = features(SILENT, SILENT)
    assert missing(model, others=("lua-0",)).empty


def test_new_features_are_a_childs_that_its_parent_misses_the_farthest_first(model):
    """Planted: features 2 and 3 of the child are new, the second of them halfway there."""
    new, halfway, old = planted(20), planted(21), planted(1)
    model = {
        "lua-0": features(old, SILENT, new, halfway),
        "lua-1": features(new, halfway, old, SILENT),
        "base-0": features(old, halfway + 2 * planted(22), SILENT, SILENT),
    }
    table = selection.missing(compared(model), "lua-0", ["lua-1"], ["base-0"], 0.8)
    assert table["feature"].tolist() == [2, 3] and table["r"].is_monotonic_increasing
    assert table["partner_feature"].tolist()[1] == 1


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
    child = ["lua-0", "lua-1"]
    one = "base-0", index
    found = selection.judge(compared(model), model, one, ["base-1"], child, 0.8, documents)
    assert found["verdict"] == verdict
    best = closest(model, *child).r.loc[index].max()
    assert found["r"].estimate == pytest.approx(best, abs=1e-6)
    assert found["r"].low - 1e-9 <= found["r"].estimate <= found["r"].high + 1e-9


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

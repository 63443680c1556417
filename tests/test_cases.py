"""Which features are shown, and why a match fails, on planted features."""

import re

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from featrack_utils.dictionaries.features import Features
from featrack_utils.interpretation import selection
from featrack_utils.interpretation.logit_effects import Writing
from featrack_utils.matching import universal

N, WIDTH = 400, 20
GUARDS = selection.Guards(tau=0.8, min_density=0.01, max_density=0.3, max_position_share=0.5)


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


@pytest.mark.parametrize("dictionaries", [(), ("base-0", "lua-0", "stories-0", "merged-0")])
def test_chains_of_a_choice_of_dictionaries_are_read_and_none_is_an_answer(tmp_path, dictionaries):
    path = tmp_path / "universal.csv"
    header = "base,lua,stories,merged,min_r,dictionaries\n"
    path.write_text(header)
    nothing = universal.read_chains(path, dictionaries)
    assert np.zeros(3)[nothing["lua"]].size == 0  # they index features even so
    path.write_text(
        f"{header}3,1,4,1,0.9,base-1 lua-0 stories-0 merged-0\n"
        "5,9,2,6,0.8,base-0 lua-0 stories-0 merged-0\n"
    )
    read = universal.read_chains(path, dictionaries)
    assert read["base"].tolist() == ([5] if dictionaries else [3, 5])
    assert read.index.tolist() == list(range(len(read)))


def test_a_chains_peaks_and_its_smallest_share_on_tokens_are_told():
    tall, even = SILENT.copy(), SILENT.copy()
    tall[:7], even[:7] = [6, 0, 0, 0, 2, 0, 0], 1  # tokens are positions modulo 7
    by_model = {"base": features(SILENT, tall), "lua": features(even, SILENT)}
    chain = {"base": 1, "lua": 0, "min_r": 0.9}
    assert universal.peaks(by_model, chain) == {"base": 6, "lua": 1}
    first = np.arange(7) == 0
    assert universal.share_in_all(by_model, chain, first) == pytest.approx(1 / 7)
    assert universal.share_in_all(by_model, chain, ~first) == pytest.approx(2 / 8)


@pytest.mark.parametrize(
    ("name", "inside", "outside"),
    [
        ("word in -s", [" cats", "values"], ["ss", " class", "is", "s"]),
        ("word in -ing", [" running"], [" ringer"]),
        ("capitalised word", [" Anna", "The"], ["A", " anna", "ABC"]),
    ],
)
def test_a_form_holds_what_its_name_says(name, inside, outside):
    pattern = re.compile(selection.FORMS[name])
    assert [t for t in inside if not pattern.fullmatch(t)] == []
    assert [t for t in outside if pattern.fullmatch(t)] == []


def test_exceptions_are_named_by_their_keywords_and_endings():
    pattern = re.compile(selection.EXCEPTIONS)
    assert all(map(pattern.fullmatch, [" raise", "except", " ValueError", " error", "Exception"]))
    assert not any(map(pattern.fullmatch, [" raised", " exceptional", " errors"]))


def test_the_guards_set_aside_dense_rare_and_position_bound_features():
    rare, dense = SILENT.copy(), np.ones(N)
    rare[3] = 1
    bound = np.where(np.arange(N) % WIDTH == 4, 1.0, 0.0)
    found = features(planted(0), rare, dense, bound, SILENT)
    assert selection.passes(found, WIDTH, GUARDS).tolist() == [True, False, False, False, False]
    assert selection.density(found.acts)[1:4].tolist() == [1 / N, 1, 1 / WIDTH]
    shares = selection.position_share(found.acts, WIDTH)
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


def matches(model, others, asked=(True, True, True, False)):
    able = {name: np.array([True, True, True, False]) for name in model}
    return selection.closest(model, able, "base-0", others, np.array(asked))


def test_the_closest_feature_of_each_dictionary_is_found(model):
    found = matches(model, ["base-1", "lua-0"])
    assert found.r.index.tolist() == [0, 1, 2]
    assert found.index.loc[0].tolist() == [2, 1]
    assert found.index.loc[1].tolist() == [1, 2]
    expected = np.corrcoef(
        *(model[n].acts[:, [k]].toarray().ravel() for n, k in (("base-0", 1), ("lua-0", 2)))
    )[0, 1]
    assert found.r.loc[1, "lua-0"] == pytest.approx(expected, abs=1e-6)


def test_only_what_is_reproducible_and_missing_everywhere_has_changed(model):
    own, other = matches(model, ["base-1"]), matches(model, ["lua-0", "lua-1"])
    table = selection.changed(own, other, np.ones(4, dtype=bool), tau=0.8)
    assert table[["feature", "partner", "partner_feature"]].to_numpy().tolist() == [[1, "lua-0", 2]]
    assert table["own_r"].item() == pytest.approx(1)
    assert table["r"].item() == table["partner_r"].item() < 0.8
    assert selection.changed(own, other, np.array([True, False, True, True]), tau=0.8).empty
    assert selection.having(own, 0, 0.8, 4).tolist() == [True, True, False, False]
    assert not selection.having(own, 1, 0.8, 4).any()  # there is no third dictionary


def test_one_dictionary_of_the_child_that_has_it_is_enough_to_keep_it(model):
    model["lua-1"] = model["base-0"]
    own, other = matches(model, ["base-1"]), matches(model, ["lua-0", "lua-1"])
    assert selection.changed(own, other, np.ones(4, dtype=bool), tau=0.8).empty


@pytest.mark.parametrize("asked", [(False,) * 4, (True, True, True, False)])
def test_without_features_or_dictionaries_nothing_has_changed(model, asked):
    nobody = selection.closest(
        model, {n: np.zeros(4, dtype=bool) for n in model}, "base-0", ["lua-0"], np.array(asked)
    )
    own = matches(model, ["base-1"], asked)
    for mine, theirs in (
        (own, nobody),
        (nobody, own),
        (own, matches(model, ["lua-0"], (False,) * 4)),
    ):
        assert selection.changed(mine, theirs, np.ones(4, dtype=bool), tau=0.8).empty


def test_what_a_control_has_after_all_is_told_apart():
    table = pd.DataFrame({"feature": [7, 2, 5], "r": [0.1, 0.2, 0.3]})
    r = pd.DataFrame({"lua-at-0": [0.9, 0.8, 0.1]}, index=[2, 5, 7])
    control = selection.Closest(r, r.astype(int))
    assert selection.also_in(table, control, 0.8).tolist() == [False, True, False]
    nobody = selection.Closest(pd.DataFrame(index=[2, 5, 7]), pd.DataFrame(index=[2, 5, 7]))
    assert not selection.also_in(table, nobody, 0.8).any()
    assert selection.also_in(table.iloc[:0], control, 0.8).size == 0


def test_shown_are_the_farthest_and_the_farthest_of_one_token():
    table = pd.DataFrame({"feature": [3, 0, 2, 1], "r": [0.1, 0.2, 0.3, 0.4]})
    largest = np.array([0.1, 0.9, 0.5, 0.6])
    assert selection.to_show(table, largest, 0.5)["feature"].tolist() == [3, 2]
    assert selection.to_show(table, largest, 0.95)["feature"].tolist() == [3]
    assert selection.to_show(table.iloc[:0], largest, 0.5).empty


def compared(x, y):
    eye = Writing(np.eye(2), np.eye(2), np.array([[1.0, 0], [0, 1]]))
    turned = eye._replace(W_dec=np.array([[0.6, 0.8], [1, 0]]))
    pad = [SILENT]
    return selection.compare(features(x, *pad), 0, features(y, *pad), 0, eye, turned)


def at(**places):
    column = SILENT.copy()
    column[[int(p[1:]) for p in places]] = list(places.values())
    return column


@pytest.mark.parametrize(
    ("match", "shared", "elsewhere", "why"),
    [
        (at(p0=5, p1=1), 1, 0, "same places, other strengths"),
        (at(p0=1, p1=1, p2=6), 1, 0.75, "the match is active there, and mostly elsewhere"),
        (at(p0=2), 0.25, 0, "the match covers only a part of the places"),
        (at(p2=2), 0, 1, "other places"),
        (SILENT, 0, None, "one of them is silent"),
    ],
)
def test_why_a_match_fails_follows_from_where_the_two_are_active(match, shared, elsewhere, why):
    pair = compared(at(p0=1, p1=3), match)
    assert (pair.shared, pair.elsewhere, pair.why) == (shared, elsewhere, why)


def test_the_yardsticks_are_those_of_the_two_features():
    x, y = planted(9), planted(9) + planted(10)
    pair = compared(x, y)
    assert pair.r == pytest.approx(np.corrcoef(x, y)[0, 1], abs=1e-6)
    assert pair.jaccard == pytest.approx(((x > 0) & (y > 0)).sum() / ((x > 0) | (y > 0)).sum())
    assert pair.decoder_cosine == pytest.approx(0.6) == pair.logit_cosine
    assert compared(x, SILENT)[:1] == (None,)

"""The chapter on interpretation: figures from scores written out by hand, and what it keeps."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featrack_utils.lineage import Lineage
from featrack_utils.matching.classes import classify, eligible
from featrack_utils.matching.correlation import correlations
from tests.autointerp_planted import BLOCK, DEAD, LENGTH, VOCABULARY, planted
from tests.chapters import Chapter
from tests.openai_server import ChatServer

NAN = np.nan
CHAPTER = "interpretation"
SILENT = Chapter(CHAPTER).SILENT
LINEAGE = Lineage({"base": {"train": ["english"]}, "lua": {"parent": "base", "train": ["lua"]}})
CONTROLS = {"random_mlp": "lua.mlp-0", "random_model": "base.random-0"}
N = 40


def scores(**columns) -> pd.DataFrame:
    """A model's scores: ten features of forty persist, and are explained better."""
    persisting = np.arange(N) < 10
    table = {
        "model": "lua",
        "feature": np.arange(N),
        "explainer": "lookup",
        "simulation_r": np.where(persisting, 0.9, 0.5),
        "random_r": np.where(persisting, 0.8, 0.2),
        "shuffled_r": 0.0,
        "able": True,
        "persisting": persisting,
        "density": 0.01,
    }
    return pd.DataFrame(table | columns)


@pytest.fixture(scope="module")
def paired():
    """Which features of two groups stand side by side, by their densities."""
    differences = []
    chapter = Chapter(CHAPTER, add=lambda name, values, of: differences.append(values.to_numpy()))

    def pairs(one, other, scored=True):
        one, other = (pd.DataFrame({"density": np.array(x, float)}) for x in (one, other))
        # A score is the feature's number, real or imaginary, so a difference names both.
        one["simulation_r"] = np.where(scored, np.arange(len(one)), NAN)
        other["simulation_r"] = -1j * np.arange(len(other))
        one["random_r"] = other["random_r"] = 0.0
        chapter.compare("x", "y", one, other)
        both = differences[-2]
        assert chapter.results["x.y.pairs"] == len(both)
        return both.real.astype(int).tolist(), both.imag.astype(int).tolist()

    return pairs


def test_each_is_paired_with_the_nearest_in_density_and_no_feature_twice(paired):
    # 0.040 and 0.9 are what is left over, and too far apart.
    assert paired([0.010, 0.020, 0.040], [0.9, 0.021, 0.011]) == ([0, 1], [2, 1])


def test_the_smaller_group_is_paired_whichever_it_is_and_an_empty_one_gives_no_pair(paired):
    assert paired([0.1] * 6, [0.1] * 3)[1] == paired([0.1] * 3, [0.1] * 6)[0] == [0, 1, 2]
    assert paired([0.1] * 6, []) == ([], [])


@given(st.lists(st.floats(1e-4, 0.5), min_size=4, max_size=30), st.integers(1, 3))
def test_pairs_are_disjoint_and_within_the_caliper(paired, each, cut):
    a, b = np.array(each[:cut]), np.array(each[cut:])
    i, j = paired(a, b)
    apart = a[i] / b[j]
    assert np.maximum(apart, 1 / apart).max(initial=1) <= 1.25 + 1e-9
    assert len({*i}) == len({*j}) == len(i)


def test_rare_features_are_compared_with_rare_ones(paired):
    rng = np.random.default_rng(0)
    rare, all_kinds = rng.uniform(0.001, 0.01, 40), rng.uniform(0.001, 0.1, 400)
    i, j = paired(rare, all_kinds)
    assert len(i) > 20
    assert np.median(all_kinds[j]) == pytest.approx(np.median(rare[i]), rel=0.1)


def test_features_without_a_score_take_no_part_in_pairs(paired):
    assert paired([0.1, 0.2, 0.3], [0.1, 0.2, 0.3], scored=[True, False, True]) == ([0, 2], [0, 2])


def test_an_interval_holds_the_median_leaves_out_what_has_no_score_and_is_the_same_again():
    def median(seed=1337):
        made = Chapter(CHAPTER, seed=seed)
        made.add("m", pd.Series(np.append(np.arange(101.0), [NAN] * 50)))
        return made.results

    found = median()
    assert found["m"] == 50 and 30 < found["m.ci_low"] < 50 < found["m.ci_high"] < 70
    assert median() == found != median(seed=1)


def test_the_interval_of_a_mean_is_as_wide_as_its_standard_error_has_it():
    values = np.random.default_rng(0).normal(size=400)
    made = Chapter(CHAPTER, replicates=2000)
    made.add("m", pd.Series(values), np.mean)
    wide = 2 * 1.96 * values.std() / np.sqrt(values.size)
    assert made.results["m.ci_high"] - made.results["m.ci_low"] == pytest.approx(wide, rel=0.1)


def test_nothing_defined_gives_no_figure():
    made = Chapter(CHAPTER)
    made.add("autointerp.lua.lookup.median_r", pd.Series([NAN, NAN]))
    assert made.results == {} and np.isnan(made.figure("lua", "lookup", "median_r")).all()


def figures(own: pd.DataFrame, mates: pd.DataFrame | None = None) -> dict[str, float]:
    """All that the chapter computes from a model's scores, and its controls'."""
    made = Chapter(CHAPTER, replicates=20, own=own, controls={"lua": CONTROLS})
    made.run_cell("def add(")
    made.run_cell("def compare(")
    if mates is not None:
        made.mates, made.shown, made.lineage = mates, "lookup", LINEAGE
        made.show_table = lambda *_, **words: None
        made.style = SimpleNamespace(pair_label=lambda *models: models)
        made.run_cell("in mates.groupby(")
    return made.results


def of_controls(**columns) -> pd.DataFrame:
    given = {"simulation_r": 0.7, "random_r": 0.9, "persisting": False, **columns}
    return pd.concat([scores(**given, model=name) for name in CONTROLS.values()])


def test_figures_are_medians_and_mean_differences_of_pairs():
    found = figures(pd.concat([scores(), of_controls()]))
    name = "autointerp.lua.lookup"
    expected = {
        "features": N,
        "median_r": 0.5,
        "random_only.median_r": 0.2,
        "shuffled.median_r": 0,
        "persisting.median_r": 0.9,
        "others.median_r": 0.5,
        "persisting_minus_matched.pairs": 10,
        "persisting_minus_matched": 0.4,
        "random_only.persisting_minus_matched.ci_low": 0.6,
        "persisting_minus_random_mlp": 0.2,
        "random_only.persisting_minus_random_model": -0.1,
    }
    assert {key: found[f"{name}.{key}"] for key in expected} == pytest.approx(expected)
    assert found["autointerp.lua.mlp-0.lookup.median_r"] == 0.7


def test_a_controls_features_of_another_density_take_no_part():
    dense = np.where(np.arange(N) < 6, 0.01, 0.1)
    found = figures(pd.concat([scores(), of_controls(density=dense)]))
    assert found["autointerp.lua.lookup.persisting_minus_random_mlp.pairs"] == 6


def test_features_seen_too_rarely_take_no_part():
    able = np.arange(N) % 2 == 0
    rare = scores(able=able, simulation_r=np.where(able, 0.5, 0.9))
    found = figures(pd.concat([rare, of_controls()]))
    assert found["autointerp.lua.lookup.features"] == N / 2
    assert found["autointerp.lua.lookup.median_r"] == 0.5
    assert found["autointerp.lua.lookup.persisting_minus_matched.pairs"] == 5


def test_what_persists_and_never_has_the_density_of_the_others_isnt_compared():
    density = np.where(np.arange(N) < 10, 0.001, 0.1)
    found = figures(pd.concat([scores(density=density), of_controls()]))
    assert found["autointerp.lua.lookup.persisting_minus_matched.pairs"] == 0
    assert "autointerp.lua.lookup.persisting_minus_matched" not in found


def test_an_explanation_that_moves_along_loses_the_mean_difference():
    mates = {"foreign_r": [0.6, 0.8, NAN], "own_r": [0.7, 0.9, 0.1]}
    mates = pd.DataFrame({"parent": "base", "child": "lua", "explainer": "lookup"} | mates)
    found = figures(pd.concat([scores(), of_controls()]), mates)
    name = "autointerp.lua.lookup.mates.base"
    assert found[f"{name}.count"] == 3 and found[f"{name}.own_median_r"] == 0.7
    assert found[f"{name}.foreign_median_r"] == pytest.approx(0.7)
    assert found[f"{name}.foreign_minus_own"] == pytest.approx(-0.1)
    assert found[f"{name}.foreign_minus_own.ci_high"] == pytest.approx(-0.1)


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """What the chapter keeps of planted features that a chat model and counting explain."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    mix = planted()
    able = eligible(mix.acts, mix.origin, 5, 2)
    best = correlations(mix.acts, mix.acts, eligible_a=able, eligible_b=able)
    names = {model: model for model in (*LINEAGE.order, *CONTROLS.values())}

    def read(explainer, content="", explained_features=3):
        with ChatServer() as server:
            server.content = content
            made = Chapter(
                CHAPTER,
                run=tmp_path,
                lineage=LINEAGE,
                found=dict.fromkeys(names, mix),
                dictionaries=names,
                vocabulary=VOCABULARY,
                trackings=dict.fromkeys(LINEAGE.edges, classify(best, 0.8)),
                elsewhere={model: able for model in LINEAGE.order},
                min_positions=5,
                min_documents=2,
                explainer=explainer,
                base_url=server.url,
                chat_model="tiny",
                key_variable="",
                explained_features=explained_features,
            )
            made.text = made.as_text(mix, BLOCK, seed=1)
            made.build(tmp_path)
        tables = ("scores", "mates", "interpretations")
        return [pd.read_parquet(tmp_path / f"{table}.parquet") for table in tables], server

    return read


def test_each_feature_of_a_model_has_one_interpretation_and_a_controls_none(kept):
    (own, _, said), _ = kept("lookup")
    every = list(range(LENGTH))
    assert said.groupby("model")["feature"].apply(list).to_dict() == {"base": every, "lua": every}
    assert said.set_index("feature").loc[DEAD, "explanation"].tolist() == [SILENT] * 2
    assert len(own) == 4 * LENGTH  # controls are scored


def test_where_a_chat_model_says_something_its_words_take_the_place_of_the_lookups(kept):
    (own, mates, said), server = kept("endpoint")
    assert len(own) == 4 * (LENGTH + 3) and len(server.requests) > 20
    assert len(said) == 2 * LENGTH and not said.duplicated(["model", "feature"]).any()
    asked = said[said["explainer"] == "endpoint"]
    assert asked.groupby("model").size().to_dict() == {"base": 3, "lua": 3}
    named = [VOCABULARY[7 if feature == 6 else feature] for feature in asked["feature"]]
    assert asked["explanation"].tolist() == named
    assert set(mates["explainer"]) == {"lookup", "endpoint"}


def test_only_features_seen_often_enough_are_asked_about_however_many_may_be(kept):
    (own, _, _), _ = kept("endpoint", explained_features=10 * LENGTH)
    asked = own[own["explainer"] == "endpoint"]
    assert len(asked) == 4 * (LENGTH - 1) and DEAD not in set(asked["feature"])


def test_a_chat_model_that_says_nothing_leaves_the_lookups_words(kept):
    (own, _, said), server = kept("endpoint", content=" ")
    assert server.requests and (own.loc[own["explainer"] == "endpoint", "explanation"] == "").all()
    assert len(said) == 2 * LENGTH and set(said["explainer"]) == {"lookup"}

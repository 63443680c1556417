"""Figures and pictures of the chapter, from scores written out by hand."""

import numpy as np
import pandas as pd
import pytest

from featrack_utils.display.cards import show_foretold
from featrack_utils.interpretation.explain import score

N = 40
NAN = np.nan


def own(**columns) -> pd.DataFrame:
    persisting = np.arange(N) < 10
    table = {
        "model": "lua",
        "feature": np.arange(N),
        "explainer": "lookup",
        "explanation": "x",
        "simulation_r": np.where(persisting, 0.9, 0.5),
        "random_r": np.where(persisting, 0.8, 0.2),
        "shuffled_r": 0.0,
        "able": True,
        "persisting": persisting,
        "density": 0.01,
    }
    return pd.DataFrame(table | columns)


MATES = pd.DataFrame(
    {
        "parent": "base",
        "child": "lua",
        "explainer": "lookup",
        "feature": [1, 2],
        "mate": [3, 4],
        "foreign_r": [0.6, 0.8],
        "own_r": [0.7, 0.9],
    }
)


def test_figures_are_medians_and_mean_differences_of_pairs():
    found = score.results(own(), MATES, {"lua": {}}, 20, 1)
    name = "autointerp.lua.lookup"
    assert found[f"{name}.median_r"] == 0.5 and found[f"{name}.persisting.median_r"] == 0.9
    assert found[f"{name}.random_only.median_r"] == 0.2
    assert (
        found[f"{name}.shuffled.median_r"] == 0
        and found[f"{name}.persisting_minus_matched.pairs"] == 10
    )
    assert found[f"{name}.persisting_minus_matched"] == pytest.approx(0.4)
    assert found[f"{name}.random_only.persisting_minus_matched.ci_low"] == pytest.approx(0.6)
    mates = f"{name}.mates.base"
    assert found[f"{mates}.count"] == 2 and found[f"{mates}.own_median_r"] == pytest.approx(0.8)
    assert found[f"{mates}.foreign_minus_own"] == pytest.approx(-0.1)


def test_persisting_features_are_compared_with_equally_dense_ones_of_a_control():
    control = own(model="lua.mlp-0", simulation_r=0.7, random_r=0.9, persisting=False)
    # Those of the control that are ten times as dense take no part.
    control["density"] = np.where(np.arange(N) < 6, 0.01, 0.1)
    both = pd.concat([own(), control])
    found = score.results(both, MATES, {"lua": {"random_mlp": "lua.mlp-0"}}, 20, 1)
    name, kind = "autointerp.lua.lookup", "persisting_minus_random_mlp"
    assert found[f"{name}.{kind}.pairs"] == 6
    assert found[f"{name}.{kind}"] == pytest.approx(0.2)
    assert found[f"{name}.random_only.{kind}"] == pytest.approx(-0.1)
    assert found["autointerp.lua.mlp-0.lookup.median_r"] == 0.7


def test_features_seen_too_rarely_take_no_part():
    able = np.arange(N) % 2 == 0
    scores = np.where(able, 0.5, 0.9)
    found = score.results(own(able=able, simulation_r=scores), MATES, {"lua": {}}, 20, 1)
    assert found["autointerp.lua.lookup.features"] == N / 2
    assert found["autointerp.lua.lookup.median_r"] == 0.5


def test_features_of_other_densities_are_no_pairs_and_the_difference_isnt_defined():
    density = np.where(np.arange(N) < 10, 0.001, 0.1)
    found = score.results(own(density=density), MATES, {"lua": {}}, 20, 1)
    assert found["autointerp.lua.lookup.persisting_minus_matched.pairs"] == 0
    assert found["autointerp.lua.lookup.persisting_minus_matched"] is None


def test_nothing_scored_gives_no_figure_and_still_a_picture():
    nothing = own(simulation_r=NAN, random_r=NAN, shuffled_r=NAN, persisting=False)
    found = score.results(nothing, MATES.iloc[:0], {"lua": {}}, 20, 1)
    assert found.pop("autointerp.lua.lookup.features") == N
    assert found.pop("autointerp.density_caliper") > 1
    assert found.pop("autointerp.lua.lookup.persisting_minus_matched.pairs") == 0
    assert found and set(found.values()) == {None}


def test_an_example_is_shown_as_data_with_a_link_to_the_explorer():
    example = {
        "feature": 12,
        "explanation": "“<script>” 9",
        "simulation_r": 0.875,
        "contexts": [(["<b>", "x"], [1.0, 0.0], [9.0, 0.0])],
    }
    page = show_foretold(example, "lua").data
    assert 'href="explorer.html#lua-12"' in page and "0.88" in page
    assert "&lt;script&gt;” 9" in page and "<script>" not in page and "<b>" not in page

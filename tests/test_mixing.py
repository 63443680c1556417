"""Clusters by what they hold, beside exact expectations under labels dealt out by lot."""

import numpy as np
import pytest
from scipy.stats import hypergeom

from featrack_utils.interpretation.mixing import Mixed, by_chance, mixed

CLUSTER = np.repeat([0, 1, 2, -1], [6, 3, 2, 9])
MODEL = np.array(["base", "lua"] * 10)


def test_clusters_are_counted_by_the_labels_they_hold():
    model = np.array(["base"] * 4 + ["lua"] * 2 + ["base"] * 3 + ["lua", "base"] + ["lua"] * 9)
    gone = np.isin(np.arange(20), [0, 6, 7, 15])
    new = np.isin(np.arange(20), [5, 9, 16])
    # Cluster 0 holds both models, gone and new; 1 the base alone, gone; 2 both models, new.
    assert mixed(CLUSTER, model, gone, new) == Mixed(one_model=1, all_models=2, replaced=1)


def test_without_clusters_every_count_is_zero():
    nothing = np.full(20, -1)
    none = np.zeros(20, bool)
    assert mixed(nothing, MODEL, none, none) == Mixed(0, 0, 0)
    assert by_chance(nothing, MODEL, none, none, 5, 0)["high"].tolist() == [0, 0, 0]


def lacks(size, marked):
    """Probability that a cluster of the twenty holds none of some marked features."""
    return hypergeom(20, marked, size).pmf(0)


def test_the_expected_counts_are_those_of_drawing_without_replacement():
    gone, new = np.arange(20) < 4, np.arange(20) >= 14
    found = by_chance(CLUSTER, MODEL, gone, new, draws=4000, seed=1)
    one = sum(2 * lacks(size, 10) for size in (6, 3, 2))
    both = sum(1 - lacks(s, 4) - lacks(s, 6) + lacks(s, 10) for s in (6, 3, 2))
    expected = {"one_model": one, "all_models": 3 - one, "replaced": both}
    assert found["expected"].to_dict() == pytest.approx(expected, abs=0.05)
    assert (found["low"] <= found["expected"]).all() and (found["expected"] <= found["high"]).all()


def test_planted_separation_is_far_from_what_chance_shows():
    cluster, model = np.repeat([0, 1, 2, 3], 25), np.repeat(["base", "lua"], 50)
    gone = model == "base"
    assert mixed(cluster, model, gone, ~gone) == Mixed(4, 0, 0)
    low = by_chance(cluster, model, gone, ~gone, 200, 0)["low"]
    assert low["all_models"] == low["replaced"] == 4

"""The map's chapter on planted groups, where the right answers are known beforehand."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file
from scipy import sparse

from featrack_utils.lineage import Lineage
from featrack_utils.matching.correlation import BestMatches, Pairs
from featrack_utils.pipeline import store
from tests.chapters import Chapter

CHAPTER = "map"
OTHERS = ("lua-0", "lua-1")
GROUPS, MEMBERS = 4, 30
LINEAGE = Lineage({"base": {"train": ["p"]}, "lua": {"parent": "base", "train": ["q"]}})


def unit(rows):
    rows = np.array(rows, float)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def planted():
    """Four groups of thirty directions in 40 dimensions, each around a direction of its own."""
    rng = np.random.default_rng(0)
    centres = np.repeat(rng.normal(size=(GROUPS, 40)), MEMBERS, axis=0)
    return unit(centres + 0.3 * rng.normal(size=centres.shape))


def laid_out(planted, folder, seed=1, least=10):
    folder.mkdir()
    models = {"base": planted[:70], "lua": planted[70:]}
    sizes = {"neighbours": 10, "epochs": 100, "least": least, "seed": seed}
    chapter = Chapter(CHAPTER, unit=models, together=planted, **sizes)
    chapter.keep_compiled()
    chapter.build(folder)
    return pd.read_parquet(folder / "map.parquet")


@pytest.mark.filterwarnings("ignore:.*knn_search_index")
def test_a_layout_finds_the_planted_groups_and_is_the_same_again(planted, tmp_path):
    made = laid_out(planted, tmp_path / "one")
    groups = made["cluster"].to_numpy().reshape(GROUPS, MEMBERS)
    assert (groups == np.median(groups, axis=1, keepdims=True)).mean() > 0.95
    assert sorted(set(groups.flat) - {-1}) == list(range(GROUPS))
    assert made["model"].tolist() == ["base"] * 70 + ["lua"] * 50
    assert made["feature"].tolist() == [*range(70), *range(50)]
    pd.testing.assert_frame_equal(laid_out(planted, tmp_path / "again"), made, check_exact=True)
    other = laid_out(planted, tmp_path / "other", seed=2)
    assert not np.allclose(other[["x", "y"]], made[["x", "y"]])


@pytest.mark.filterwarnings("ignore:.*knn_search_index")
def test_clusters_are_numbered_by_size(planted, tmp_path):
    small_first = np.concatenate([planted[:15], planted[30:]])
    made = laid_out(small_first, tmp_path / "map")
    assert (made["cluster"][:15] == GROUPS - 1).mean() > 0.9


def features(tokens_of, vocabulary=40):
    """Each feature's activation falls on these tokens alike: [vocabulary, features]."""
    shares = np.zeros((vocabulary, len(tokens_of)))
    for feature, tokens in enumerate(tokens_of):
        shares[tokens, feature] = 1 / len(tokens)
    return sparse.csc_matrix(shares)


def test_a_clusters_share_on_six_tokens_counts_every_member_alike():
    # Of cluster 0's two members one has ten tokens, one has one of these; 1 has a single token.
    made = Chapter(CHAPTER, shares=features([range(10), [0], [7], range(5)]))
    cluster = np.array([0, 0, 1, -1])
    assert made.on_six_tokens(cluster).tolist() == pytest.approx([0.5 + 0.5 * 0.6, 1])
    np.testing.assert_allclose(made.by_token(cluster).sum(axis=0), 1)
    assert made.by_token(cluster)[0, 0] == pytest.approx(0.55)


def beside_shuffled(tokens):
    """The share of ten clusters of twenty that are more about six tokens than shuffled ones."""
    cluster = np.arange(200) % 10
    made = Chapter(CHAPTER, shares=features([[token] for token in tokens], 100), cluster=cluster)
    made.run_cell("def on_six_tokens(")
    return made.about_tokens


def test_clusters_that_share_tokens_lie_above_shuffled_ones_and_random_groups_do_not():
    assert beside_shuffled(np.arange(200) % 10) == 1
    rng = np.random.default_rng(0)
    chance = [beside_shuffled(rng.integers(0, 100, 200)) for _ in range(10)]
    assert np.mean(chance) < 0.1


def holding(model, gone, new, cluster, lineage=LINEAGE, **given):
    labels = {"mapped": pd.DataFrame({"model": model}), "gone": pd.Series(gone, dtype=bool)}
    made = Chapter(
        CHAPTER, lineage=lineage, new=pd.Series(new, dtype=bool), cluster=cluster, **labels, **given
    )
    made.rng = np.random.default_rng(0)
    made.run_cell("def holding(")
    return made


def test_clusters_are_counted_by_the_labels_that_they_hold():
    made = holding(
        model=["base", "base", "base", "lua", "base", "lua", "lua"],
        gone=[1, 0, 1, 0, 0, 0, 1],
        new=[0, 0, 0, 1, 0, 1, 0],
        cluster=np.array([0, 0, 1, 1, 2, 2, -1]),
    )
    # 0 is the base's alone; 1 and 2 hold both models'; in 1 alone one is gone and one is new.
    assert made.as_they_are == {"one_model": 1, "all_models": 2, "replaced": 1}


def test_models_that_keep_apart_have_more_clusters_of_their_own_than_shuffled_labels_show():
    cluster = np.arange(120) % 20
    apart = np.where(cluster < 10, "base", "lua")
    random = np.random.default_rng(1).permutation(apart)
    none = np.zeros(120)
    for model, more in ((apart, True), (random, False)):
        made = holding(model, none, none, cluster)
        assert (made.as_they_are["one_model"] > made.chance["one_model"].high) == more
    # A cluster of six is of one model with 2 · ½⁶, or slightly less: sixty of each are dealt out.
    assert made.chance["one_model"].estimate == pytest.approx(20 * 2 * 0.5**6, abs=0.2)
    assert made.beside_chance("one_model", "fewer", "more", "as many") == "as many"
    apart = holding(apart, none, none, cluster)
    assert apart.beside_chance("one_model", "fewer", "more", "as many") == "more"
    assert apart.beside_chance("all_models", "fewer", "more", "as many") == "fewer"


def best(pairs, candidates):
    """Matches (i, j, r) of three features among as many as there are candidates."""
    i, j, r = np.array(pairs, float).reshape(-1, 3).T
    found = Pairs(i.astype(int), j.astype(int), r)
    none = np.zeros(3)
    able = np.ones(3, bool), np.array(candidates)
    return BestMatches(none, none, none, none, *able, found, floor=0.3)


@pytest.mark.parametrize(
    ("pairs", "candidates", "shares"),
    [
        # Feature 0's nearest is a match of its own; 1's nearest isn't; 2 has a match below τ only.
        ([(0, 0, 0.9), (0, 3, 0.85), (1, 2, 0.9), (2, 3, 0.5)], [True] * 4, (1 / 2, 3 / 8)),
        # Without the child's feature 0, its feature 1 is the nearest of 0 as of 1.
        ([(0, 1, 0.9), (1, 1, 0.9)], [False, True, True, True], (1, 2 / 6)),
        ([(0, 0, 0.5)], [True] * 4, (np.nan, np.nan)),
    ],
)
def test_a_matched_neighbour_is_the_nearest_eligible_feature_with_r_above_tau(
    pairs, candidates, shares
):
    # The same angles by direction, from 0° up, as places on the map.
    degrees = {"base": [0, 50, 89], "lua": [1, 52, 80, 89]}
    directions = {
        m: np.stack([np.cos(np.radians(d)), np.sin(np.radians(d))], axis=1)
        for m, d in degrees.items()
    }
    made = Chapter(
        CHAPTER,
        run=Path("runs"),
        first={"base": "base-0", "lua": "lua-0"},
        matches=SimpleNamespace(best={("base-0", n): best(pairs, candidates) for n in OTHERS}),
        unit=directions,
        directions={Path("runs/saes") / name: directions["lua"] for name in OTHERS}.get,
        place={m: np.array([[d, 0.0] for d in each]) for m, each in degrees.items()},
    )
    near, by_chance = shares
    assert made.nearest("base", "lua", "lua-0") == pytest.approx(
        [near, near, by_chance], nan_ok=True
    )
    # Another seed's dictionary has no place on the map.
    assert made.nearest("base", "lua", "lua-1") == pytest.approx(
        [np.nan, near, by_chance], nan_ok=True
    )


def test_directions_are_the_rows_of_a_decoder_at_length_one(tmp_path):
    def save(work):
        rows = np.array([[3, 4], [0, 2]], np.float32)
        save_file({"W_dec": rows}, work / "sae_weights.safetensors")

    folder = store.make(tmp_path / "base-0", save, parameters={})
    np.testing.assert_allclose(Chapter(CHAPTER).directions(folder), [[0.6, 0.8], [0, 1]])

"""Predicting survival: AUC, cues from weights, and what shuffled fates must give."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import roc_auc_score

from featrack_utils.lineage import Lineage
from featrack_utils.models import capture, loading
from tests.chapters import Chapter
from tests.families import save

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def chapter():
    return Chapter("prediction")


def test_auc_is_scikit_learns_with_ties_and_weights(chapter):
    scores = RNG.integers(0, 8, 60).astype(float)
    lived = RNG.random(60) < 0.4
    weights = np.vstack([np.ones(60), RNG.integers(0, 4, (3, 60))])
    ours = chapter.auc(scores, lived, np.zeros(60), weights)
    expected = [roc_auc_score(lived, scores, sample_weight=row) for row in weights]
    np.testing.assert_allclose(ours, expected)


def test_only_pairs_of_one_stratum_are_compared(chapter):
    # Within each stratum the survivor loses; between them all survivors of b beat a's others.
    scores, lived = np.array([1.0, 2.0, 11.0, 12.0]), np.array([True, False, True, False])
    once = np.ones((1, 4))
    assert chapter.auc(scores, lived, np.array([0, 0, 1, 1]), once)[0] == 0
    assert chapter.auc(scores, lived, np.zeros(4), once)[0] == 0.25
    assert np.isnan(chapter.auc(scores, np.ones(4, bool), np.zeros(4), once)[0])


def test_a_change_along_one_direction_is_aligned_with_it_and_with_no_other(chapter):
    change = torch.zeros(4, 7, dtype=torch.float64)
    change[2] = torch.randn(7, dtype=torch.float64)
    directions = 3 * torch.eye(4, dtype=torch.float64)
    # The whole change lies along one of four directions: the root of 4.
    torch.testing.assert_close(
        chapter.alignment(directions, [change, 2 * change]),
        torch.tensor([0.0, 0.0, 2.0, 0.0], dtype=torch.float64),
    )
    rotation = torch.linalg.qr(torch.randn(4, 4, dtype=torch.float64))[0]
    even = chapter.alignment(torch.randn(4, 5, dtype=torch.float64), [rotation])
    torch.testing.assert_close(even, torch.ones(5, dtype=torch.float64))


def test_interference_is_the_share_by_which_two_parents_write_a_direction_differently(chapter):
    own = torch.diag(torch.tensor([2.0, 1.0]))
    other = torch.diag(torch.tensor([3.0, 1.0]))
    directions = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    assert chapter.interference(directions, own, other).tolist() == [0.5, 0.0]


def features(n=400, effect=0.0):
    """Two dictionaries of two parents; density decides, and a cue as much as `effect` says."""
    density, cue = RNG.normal(size=(2, n))
    chance = 1 / (1 + np.exp(-(1.5 * density + effect * cue)))
    return pd.DataFrame(
        {
            "density": density,
            "cue": cue,
            "lived": RNG.random(n) < chance,
            "parent": np.repeat(["a", "b"], n // 2),
            "name": np.repeat(["a-0", "a-1", "b-0", "b-1"], n // 4),
            "seed": np.tile(np.repeat([0, 1], n // 4), 2),
        }
    )


def judged(chapter, table, cues, stratum):
    scores = chapter.predicted(table, cues, table["seed"])
    return chapter.auc(scores, table["lived"].to_numpy(), stratum, np.ones((1, len(table))))[0]


def test_a_cue_that_decides_is_found_and_one_that_does_not_is_none_beyond_density(chapter):
    for effect, low, high in ((0.0, -0.03, 0.03), (2.0, 0.06, 0.3)):
        table = features(1600, effect)
        cell = table["name"].astype("category").cat.codes.to_numpy()
        gain = judged(chapter, table, ["density", "cue"], cell)
        gain -= judged(chapter, table, ["density"], cell)
        assert low < gain < high


def test_fates_dealt_anew_within_tenths_of_density_leave_one_half(chapter):
    table = features(1600, effect=2.0)
    stratum = chapter.density_bins(table)
    assert np.unique(stratum).size == 40
    found = judged(chapter, table, ["density", "cue"], stratum)
    dealt = []
    for k in range(20):
        other = chapter.shuffled(table, stratum, np.random.default_rng(k))
        assert (
            other.groupby(stratum)["lived"].sum() == table.groupby(stratum)["lived"].sum()
        ).all()
        dealt.append(judged(chapter, other, ["density", "cue"], stratum))
    assert found > 0.75
    assert np.mean(dealt) == pytest.approx(0.5, abs=0.02)


def test_a_fold_is_predicted_by_what_the_other_folds_teach(chapter):
    # In fold 1 the cue means the opposite: learned from fold 0 it must mislead there.
    table = features(400, effect=0.0)
    table["lived"] = (table["cue"] > 0) == (table["seed"] == 0)
    held = (table["seed"] == 1).to_numpy()
    scores = chapter.predicted(table, ["cue"], table["seed"])
    assert roc_auc_score(table["lived"][held], scores[held]) == 0
    table["lived"] = True
    assert not chapter.predicted(table, ["cue"], table["seed"]).any()


def test_an_interval_over_groups_is_wider_where_features_come_in_copies(chapter):
    """Each feature ten times over: √10 times as wide as if they were independent."""
    table = pd.concat([features(200)] * 10, ignore_index=True)
    group = np.tile(np.arange(200), 10)
    scores, lived = table["cue"].to_numpy(), table["lived"].to_numpy()
    spread = []
    for place in (group, np.arange(2000)):
        chapter.linked = lambda table, place=place: place
        weights = chapter.drawn_weights(table, 300, 0)
        assert (weights[0] == 1).all()
        spread.append(np.std(chapter.auc(scores, lived, np.zeros(2000), weights)[1:]))
    assert spread[0] / spread[1] == pytest.approx(np.sqrt(10), rel=0.2)


@pytest.mark.parametrize("family", ["Mistral", "GPT2"])
def test_around_the_site_stand_the_matrices_of_its_own_width(tmp_path, tokenizer, family):
    folder = save(tmp_path / "models" / "one", family, tokenizer)
    (folder / "run.json").write_text('{"key": "", "files": {}}')
    model = loading.load_model(folder)
    for hook, count in (("mlp.hook_post", 1 + (family == "Mistral")), ("hook_mlp_out", 1)):
        lineage = Lineage({"one": {"train": ["x"]}}, f"blocks.0.{hook}")
        chapter = Chapter("prediction", run=tmp_path, lineage=lineage)
        writers, reader = chapter.around_site("one")
        width = capture.width(model, lineage.site)
        assert [len(one) for one in writers] == [width] * count
        if hook == "hook_mlp_out":
            assert reader is None
            continue
        # What the reader writes for an activation is what the model's own matrix gives.
        acts = torch.randn(3, width)
        module, _ = capture.plain_module(model, lineage.site)
        bias = 0 if module.bias is None else module.bias
        torch.testing.assert_close((acts.double() @ reader).float(), module(acts) - bias)

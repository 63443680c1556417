"""One dictionary for two models, where we know what each of the two has."""

import numpy as np
import pytest
import torch
from scipy import sparse, stats

from featrack_utils.matching.correlation import correlations
from tests.chapters import Chapter

CHAPTER = Chapter("crosscoder")
WIDTH, TAU = 24, 0.8


@pytest.fixture(scope="module")
def taught():
    """A crosscoder of planted models: its activations, and each latent's cause and kind."""
    events, kind, x = CHAPTER.plant(10_000, seed=3, width=WIDTH)
    coder = CHAPTER.learn(x, [WIDTH, WIDTH], seed=4)
    acts = CHAPTER.read(coder, x)
    cause = correlations(acts, events)
    of_kind = np.where(cause.a_best_r > TAU, kind[cause.a_best_index], "none")
    return coder, x, acts, cause.a_best_index, of_kind


def test_planted_causes_of_both_models_and_of_one_are_told_apart(taught):
    coder, _, _, cause, of_kind = taught
    delta = CHAPTER.relative_norm(coder)
    # Half as strong in the child: (1 + (1/2 - 1)) / 2.
    for kind, wanted in {"shared": 0.5, "weaker": 0.25, "parent's": 0, "child's": 1}.items():
        assert len(np.unique(cause[of_kind == kind])) >= 9, kind  # of twelve
        assert np.median(delta[of_kind == kind]) == pytest.approx(wanted, abs=0.05), kind


def test_a_shared_latent_whose_norm_is_shrunken_is_unmasked_and_one_that_is_absent_is_not(taught):
    coder, x, acts, _, of_kind = taught
    in_parent, in_child = (each.numpy().copy() for each in coder.directions())
    shared, absent = (of_kind == kind for kind in ("shared", "parent's"))
    in_child[shared] = 0
    ratios = CHAPTER.scaling(acts, CHAPTER.without_bias(coder, x), [in_parent, in_child], own=0)
    in_errors, in_reconstructions = np.array(ratios)
    assert (in_errors[shared] > 0.5).all()
    assert (np.abs(in_reconstructions[shared]) < 0.5).all()
    assert np.median(in_errors[absent]) < 0.1
    assert (in_errors[absent] < 0.5).mean() > 0.8


def test_the_scale_is_that_of_least_squares():
    rng = np.random.default_rng(0)
    f, d, y = rng.random((50, 3)), rng.normal(size=(3, 4)), rng.normal(size=(50, 4))
    got = CHAPTER.scale(sparse.csr_matrix(f), y, d)
    for j in range(3):
        pattern = np.outer(f[:, j], d[j]).reshape(-1, 1)
        assert got[j] == pytest.approx(np.linalg.lstsq(pattern, y.ravel())[0][0])


def test_a_batch_keeps_the_entries_that_write_most_in_both_models_together():
    coder = CHAPTER.Crosscoder([1, 1], 2, seed=0)
    with torch.no_grad():
        coder.W_enc.copy_(torch.eye(2))
        coder.W_dec.copy_(torch.tensor([[1.0, 1.0], [0.5, 0.0]]))
    f, score = coder.encode(torch.tensor([[1.0, 3.0], [2.0, -1.0]]))
    # The second latent is active by 3 and writes 1.5; the first writes 1 + 1 for each 1.
    assert f.tolist() == [[1, 3], [2, 0]]
    assert score.tolist() == [[2, 1.5], [4, 0]]
    kept = score.flatten().topk(2).indices.sort().values
    assert coder.decode(f, kept).tolist() == [[1, 1], [2, 2]]


def test_a_token_of_which_nothing_is_kept_is_rebuilt_as_the_bias():
    coder = CHAPTER.Crosscoder([1, 1], 2, seed=0)
    with torch.no_grad():
        coder.b_dec.copy_(torch.tensor([5.0, 7.0]))
    rebuilt = coder.decode(torch.ones(3, 2), torch.tensor([2, 3]))
    assert rebuilt[0].tolist() == rebuilt[2].tolist() == [5, 7]
    assert rebuilt[1].tolist() == pytest.approx((coder.W_dec.sum(0) + coder.b_dec).tolist())


def test_the_relative_norm_is_a_half_where_a_latent_writes_alike_in_both():
    coder = CHAPTER.Crosscoder([2, 1], 4, seed=0)
    with torch.no_grad():
        coder.W_dec.copy_(torch.tensor([[3.0, 4, 5], [3, 4, 0], [0, 0, 2], [0, 2, 1]]))
    assert CHAPTER.relative_norm(coder) == pytest.approx([0.5, 0, 1, 0.25])


def test_agreement_is_the_area_under_the_roc_curve():
    rng = np.random.default_rng(1)
    score, persists = rng.integers(5, size=60), rng.random(60) < 0.3
    u = stats.mannwhitneyu(score[persists], score[~persists]).statistic
    assert CHAPTER.auc(score, persists) == pytest.approx(u / (persists.sum() * (~persists).sum()))
    assert np.isnan(CHAPTER.auc(score, np.ones(60, bool)))

import numpy as np
import pytest
import torch
from scipy import sparse

from featrack_utils.dictionaries.features import Features
from featrack_utils.statistics.bootstrap import Draws, halves
from tests.chapters import Chapter

CHAPTER = Chapter("repartitioned")
encoder_probe, sparse_probe = CHAPTER.encoder_probe, CHAPTER.sparse_probe

N, DOCUMENTS = 8000, 40
RNG = np.random.default_rng(0)
ORIGIN = np.repeat(np.arange(DOCUMENTS), N // DOCUMENTS).astype(np.int32)
DOMAIN = (ORIGIN % 4).astype(np.int8)
DRAWS = Draws(
    np.random.default_rng(1).multinomial(DOCUMENTS, [1 / DOCUMENTS] * DOCUMENTS, 20) * 1.0, {}
)


def _csr(*columns):
    return sparse.csr_matrix(np.stack(columns, axis=1).astype(np.float32))


@pytest.fixture(scope="module")
def child():
    """Ten unrelated sparse features."""
    return np.maximum(RNG.normal(size=(N, 10)) - 1, 0)


@pytest.fixture(scope="module")
def fit():
    features = Features(_csr(np.ones(N)), ORIGIN, DOMAIN, ORIGIN)
    return halves(features, seed=3)


def test_the_sum_of_two_features_is_rebuilt_and_noise_is_not(child, fit):
    noise = np.maximum(RNG.normal(size=N) - 1, 0)
    target = _csr(child[:, 0] + 2 * child[:, 3], noise)
    probe = sparse_probe(target, _csr(*child.T), fit, ORIGIN, DRAWS)
    assert probe.r2[0] == pytest.approx(1, abs=1e-4)
    assert abs(probe.r2[1]) < 0.02


def test_a_feature_switched_off_by_another_needs_a_negative_weight_and_gets_none(child, fit):
    target = _csr(np.maximum(1 + child[:, 0] - child[:, 1], 0))
    probe = sparse_probe(target, _csr(child[:, 0], child[:, 1]), fit, ORIGIN, DRAWS)
    # What child 0 alone explains, by numpy.
    r = np.corrcoef(target.toarray()[~fit, 0], child[~fit, 0])[0, 1]
    assert probe.r2[0] == pytest.approx(r**2, abs=0.02)


def test_a_direction_cut_at_zero_is_read_by_an_encoder_better_than_by_a_line(fit):
    x = torch.from_numpy(RNG.normal(size=(N, 6)).astype(np.float32))
    target = _csr(np.maximum(x.numpy() @ np.arange(6) / 5 - 1.5, 0), RNG.random(N))
    encoder = encoder_probe(target, x, fit, ORIGIN, DRAWS, seed=0)
    design = np.column_stack([x.numpy(), np.ones(N)])
    weights = np.linalg.lstsq(design[fit], target.toarray()[fit, 0], rcond=None)[0]
    rest = target.toarray()[~fit, 0] - design[~fit] @ weights
    r2 = 1 - rest.var() / target.toarray()[~fit, 0].var()
    assert encoder.r2[0] > 0.9 > r2
    assert encoder.r2[1] < 0.02


def test_replicates_judge_the_held_out_documents_drawn(child, fit):
    target = _csr(child[:, 0] + child[:, 1])
    probe = sparse_probe(target, _csr(child[:, 0]), fit, ORIGIN, DRAWS)
    times = DRAWS.documents[4].astype(int)[ORIGIN] * ~fit
    rows = np.repeat(np.arange(N), times)
    y, x = target.toarray()[:, 0].astype(float), child[:, 0]
    slope, constant = np.polyfit(x[fit], y[fit], 1)
    rest = y[rows] - constant - slope * x[rows]
    r2 = 1 - (rest**2).mean() / y[rows].var()
    assert probe.replicates[4, 0] == pytest.approx(r2, abs=1e-4)

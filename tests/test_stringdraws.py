"""Definition (a) under weighed documents, against numpy, pair by pair and string by string."""

import numpy as np
import pytest
from scipy import sparse

from featrack_utils.dictionaries.features import Features
from featrack_utils.matching.token_correlation import string_correlations
from featrack_utils.statistics.stringdraws import dirichlet, exceeded, string_means

RNG = np.random.default_rng(0)
N, DOCUMENTS, TAU = 300, 12, 0.6
TOKENS = RNG.integers(0, 25, N)
DOCUMENT = np.sort(RNG.integers(0, DOCUMENTS, N))
WEIGHTS = RNG.dirichlet(np.ones(DOCUMENTS), 11) * DOCUMENTS  # more than fit in one go


def _related() -> tuple[np.ndarray, np.ndarray]:
    """Two sets of features of which the first five differ only by noise, more and more of it."""
    a = RNG.exponential(size=(N, 8)) * (RNG.random((N, 8)) < 0.15)
    b = RNG.exponential(size=(N, 9)) * (RNG.random((N, 9)) < 0.15)
    noise = RNG.normal(size=(N, 5)) * np.linspace(0.1, 1.5, 5)
    b[:, :5] = np.where(a[:, :5] > 0, np.maximum(a[:, :5] + noise, 0.01), 0)
    return a, b


A, B = _related()


def weighted_means(acts, weights):
    """Strings × features, NaN where never active."""
    means = np.full((25, acts.shape[1]), np.nan)
    for s in range(25):
        for i in range(acts.shape[1]):
            on = (s == TOKENS) & (acts[:, i] > 0)
            if on.any():
                means[s, i] = np.average(acts[on, i], weights=weights[DOCUMENT[on]])
    return means


def slow(weights):
    x, y = weighted_means(A, weights), weighted_means(B, weights)
    r = np.full((A.shape[1], B.shape[1]), -1.0)
    for i in range(r.shape[0]):
        for j in range(r.shape[1]):
            both = np.isfinite(x[:, i]) & np.isfinite(y[:, j])
            if both.sum() >= 2:
                r[i, j] = np.corrcoef(x[both, i], y[both, j])[0, 1]
    return r


def above(weights):
    """With the noise at hand, and with twice as much: √2 the way from the even weights."""
    even, r = slow(np.ones(DOCUMENTS)), slow(weights)
    at, z = (np.arctanh(np.clip(x, -1 + 1e-9, 1 - 1e-9)) for x in (even, r))
    twice = np.tanh(at + np.sqrt(2) * (z - at))
    return np.stack([(each > TAU).any(axis=1) for each in (r, twice)])


def fast(weights, threads=1):
    a, b = (sparse.csr_matrix(side.astype(np.float32)) for side in (A, B))
    found = string_correlations(a, b, TOKENS, floor=0.05)
    return exceeded(a, b, TOKENS, DOCUMENT, weights, found, TAU, threads)


@pytest.mark.parametrize("threads", [1, 2])
def test_each_replicate_is_what_numpy_finds_with_these_weights(threads):
    expected = np.stack([above(weights) for weights in WEIGHTS], axis=-1)
    assert 0 < expected.mean() < 1 and expected.std(axis=-1).any(axis=-1).all()
    assert (expected[0] != expected[1]).any()
    np.testing.assert_array_equal(fast(WEIGHTS, threads), expected)


def test_equal_weights_give_what_definition_a_gives():
    a, b = (sparse.csr_matrix(side.astype(np.float32)) for side in (A, B))
    best = string_correlations(a, b, TOKENS).best
    even = fast(np.full((2, DOCUMENTS), 3.0))
    for replicate in np.concatenate(list(even), axis=1).T:
        np.testing.assert_array_equal(replicate, best.a_best_r > TAU)


def test_means_are_weighed_and_centred_by_feature():
    acts = sparse.csr_matrix(np.float32([[2], [6], [0], [10]]))
    tokens, document = np.array([0, 0, 0, 1]), np.array([0, 1, 1, 1])
    begins, strings, means = string_means(acts, tokens, document, np.array([[3.0], [1.0]]))
    assert (begins.tolist(), strings.tolist()) == ([0, 2], [0, 1])
    np.testing.assert_allclose(means[:, 0], [-3.5, 3.5])  # 3 and 10, less 6.5


def _features(origin, domain):
    origin, domain = np.array(origin), np.array(domain)
    return Features(sparse.csr_matrix((origin.size, 1)), origin, domain, origin)


def test_weights_have_mean_one_in_every_domain_and_vary_like_a_bootstrap():
    features = _features([0, 0, 1, 2, 2, 3, 4, 5, 6], [0, 0, 0, 0, 0, 1, 1, 1, 1])
    weights = dirichlet(features, 4000, 0)
    assert weights.shape == (4000, 7) and weights.min() > 0
    for documents in ([0, 1, 2], [3, 4, 5, 6]):
        np.testing.assert_allclose(weights[:, documents].mean(axis=1), 1)
        # Rubin 1981: the variance of a share of n is (n − 1) / (n² (n + 1)).
        n = len(documents)
        assert weights[:, documents].var() == pytest.approx((n - 1) / (n + 1), rel=0.05)


def test_documents_of_one_group_are_weighed_as_one():
    class Grouped:
        origin = np.array([0, 1, 1, 2, 3])
        domain = np.zeros(5, int)
        group = np.array([7, 7, 7, 8, 9])

    weights = dirichlet(Grouped(), 50, 0)
    np.testing.assert_array_equal(weights[:, 0], weights[:, 1])
    assert (weights[:, 2] != weights[:, 3]).all()

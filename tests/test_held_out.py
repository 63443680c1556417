"""r of matches on text that didn't choose them."""

import numpy as np
from scipy import sparse

from featrack_utils.dictionaries.features import Features
from featrack_utils.matching.held_out import halves, held_out, paired_r

N_DOCUMENTS, LENGTH = 40, 50


def as_features(dense):
    origin = np.repeat(np.arange(N_DOCUMENTS), LENGTH)
    domain = (origin >= N_DOCUMENTS // 2).astype(int)
    acts = sparse.csr_matrix(dense.astype(np.float32))
    return Features(acts, origin, domain, np.zeros(origin.size, int), origin // 2)


def noise(seed, d=6):
    rng = np.random.default_rng(seed)
    shape = (N_DOCUMENTS * LENGTH, d)
    return rng.exponential(size=shape) * (rng.random(shape) < 0.1)


def test_r_under_a_weighting_is_that_of_repeated_documents():
    x, y = noise(0), noise(1) + noise(0)
    origin = np.repeat(np.arange(N_DOCUMENTS), LENGTH)
    counts = np.random.default_rng(2).integers(0, 3, N_DOCUMENTS)
    weights = np.stack([np.ones(N_DOCUMENTS), counts])
    r = paired_r(sparse.csr_matrix(x), sparse.csr_matrix(y), origin, weights)
    repeated = np.repeat(np.arange(origin.size), counts[origin])
    for row, rows in zip(r, (np.arange(origin.size), repeated), strict=True):
        expected = [np.corrcoef(x[rows, k], y[rows, k])[0, 1] for k in range(x.shape[1])]
        np.testing.assert_allclose(row, expected, atol=1e-10)


def test_a_constant_feature_has_no_r():
    dense = noise(3)
    dense[:, 0] = 0
    weights = np.ones((1, N_DOCUMENTS))
    origin = np.repeat(np.arange(N_DOCUMENTS), LENGTH)
    r = paired_r(sparse.csr_matrix(dense), sparse.csr_matrix(dense), origin, weights)[0]
    assert np.isnan(r[0])
    np.testing.assert_allclose(r[1:], 1)


def test_half_of_each_domains_groups_is_chosen_and_none_is_divided():
    features = as_features(noise(0))
    chosen = halves(features, seed=0)
    assert np.isin(np.bincount(features.group, chosen) / np.bincount(features.group), [0, 1]).all()
    for domain in (0, 1):
        assert chosen[features.domain == domain].mean() == 0.5


def test_a_match_that_the_choosing_half_alone_shows_has_no_r_on_the_other():
    a, everything = noise(0), np.ones(6, bool)
    features = as_features(a)
    choosing = halves(features, seed=0)
    alike = np.where(choosing[:, None], a, noise(1))  # on the choosing half the same features
    weights = np.ones((1, N_DOCUMENTS))
    match = held_out(features, as_features(alike), everything, everything, choosing, weights)
    np.testing.assert_array_equal(match.index, np.arange(6))
    assert np.abs(match.r).max() < 0.15
    same = held_out(features, features, everything, everything, choosing, weights)
    np.testing.assert_allclose(same.r, 1)


def test_a_feature_that_is_not_eligible_has_no_match():
    eligible = np.arange(6) > 0
    features = as_features(noise(0))
    choosing = halves(features, seed=0)
    weights = np.ones((1, N_DOCUMENTS))
    match = held_out(features, features, eligible, eligible, choosing, weights)
    assert match.index[0] == -1 and np.isnan(match.r[0, 0])

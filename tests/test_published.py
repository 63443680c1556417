"""Correlation over token strings against pandas, group by group, and its known weakness."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from featrack_utils.errors import FeatrackError
from featrack_utils.matching.correlation import string_correlations, string_means


def random_acts(n_tokens, d_sae, density, seed):
    rng = np.random.default_rng(seed)
    dense = rng.exponential(size=(n_tokens, d_sae)) * (rng.random((n_tokens, d_sae)) < density)
    return sparse.csr_matrix(dense.astype(np.float32))


def by_pandas(acts, tokens):
    """Mean given active per token string, strings × features, missing where never active."""
    frame = pd.DataFrame(acts.toarray().astype(np.float64))
    return frame.where(frame > 0).groupby(tokens).mean()


TOKENS = np.random.default_rng(0).integers(0, 30, 400)
A, B = random_acts(400, 9, 0.04, 1), random_acts(400, 7, 0.05, 2)


def slow(a, b, tokens):
    x, y = by_pandas(a, tokens), by_pandas(b, tokens)
    r = np.full((a.shape[1], b.shape[1]), np.nan)
    shared = np.zeros(r.shape, int)
    for i in range(r.shape[0]):
        for j in range(r.shape[1]):
            both = pd.concat([x[i], y[j]], axis=1).dropna()
            shared[i, j] = len(both)
            if len(both) >= 2:
                r[i, j] = np.corrcoef(both.to_numpy().T)[0, 1]
    return r, shared


def test_r_and_shared_strings_are_those_of_a_slow_pandas_computation():
    found, a_shared = string_correlations(A, B, TOKENS, floor=0.1)
    r, shared = slow(A, B, TOKENS)
    i, j = np.nonzero(r >= 0.1)
    np.testing.assert_array_equal(found.pairs.i, i)
    np.testing.assert_array_equal(found.pairs.j, j)
    np.testing.assert_allclose(found.pairs.r, r[i, j], atol=1e-9)
    rows = np.flatnonzero(np.isfinite(r).any(1))
    assert rows.size
    best = np.nanargmax(r[rows], axis=1)
    np.testing.assert_allclose(found.a_best_r[rows], r[rows, best], atol=1e-9)
    chosen = found.a_best_index[rows]
    np.testing.assert_array_equal(a_shared[rows], shared[rows, chosen])
    columns = np.flatnonzero(np.isfinite(r).any(0))
    chosen = found.b_best_index[columns]
    np.testing.assert_allclose(r[chosen, columns], np.nanmax(r[:, columns], axis=0), atol=1e-9)


def test_the_mean_is_over_active_positions_only():
    acts = sparse.csr_matrix(np.float32([[2], [0], [4], [0], [1]]))
    means = string_means(acts, np.array([0, 0, 0, 1, 2])).toarray()[:, 0]
    np.testing.assert_array_equal(means, [3, 0, 1])


def test_two_shared_strings_are_enough_for_a_perfect_r_between_strangers():
    tokens = np.arange(6)
    a = sparse.csr_matrix(np.float32([[1], [2], [5], [0], [0], [3]]))
    b = sparse.csr_matrix(np.float32([[3], [9], [0], [4], [1], [0]]))
    found, a_shared = string_correlations(a, b, tokens)
    assert (found.a_best_r[0], a_shared[0]) == (1.0, 2)
    one_string, a_shared = string_correlations(a[:2], b[1:3], tokens[:2])
    assert (one_string.a_best_index[0], a_shared[0]) == (-1, 0)


def test_dead_constant_and_ineligible_features_match_nothing_and_give_no_nan():
    tokens = np.arange(5)
    a = sparse.csr_matrix(np.float32([[1, 0, 2], [2, 0, 2], [3, 0, 2], [1, 0, 2], [4, 0, 2]]))
    found, _ = string_correlations(a, a, tokens, eligible_b=np.array([False, True, True]))
    assert (found.a_best_index == -1).all() and (found.a_best_r == 0).all()
    assert list(string_correlations(a, a, tokens)[0].a_best_index) == [0, -1, -1]


def test_scaling_a_feature_leaves_its_matches_alone():
    scaled = (A * 1000).astype(np.float32)
    one, other = (string_correlations(m, B, TOKENS)[0] for m in (A, scaled))
    np.testing.assert_allclose(other.a_best_r, one.a_best_r, atol=1e-6)


def test_other_positions_are_refused():
    with pytest.raises(FeatrackError, match="same token stream"):
        string_correlations(A, B[:-1], TOKENS)

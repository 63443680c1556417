"""Other yardsticks against scipy and against cases one can do in one's head."""

import numpy as np
import pytest
from scipy import sparse
from scipy.spatial.distance import cosine
from scipy.stats import spearmanr

from featrack_utils.errors import FeatrackError
from featrack_utils.matching.correlation import correlations
from featrack_utils.matching.similarity import (
    YARDSTICKS,
    Side,
    decoder_cosine,
    jaccard,
    logit_effect_cosine,
    medians,
    on_best_matches,
    spearman_coactive,
)

RNG = np.random.default_rng(0)
LEFT, RIGHT = np.array([0, 2, 2]), np.array([1, 0, 2])


def random_acts(seed):
    rng = np.random.default_rng(seed)
    dense = rng.exponential(size=(300, 4)).round(1) * (rng.random((300, 4)) < 0.4)
    return sparse.csr_matrix(dense.astype(np.float32))


def test_decoder_cosine_is_scipys_and_masked_for_a_zero_row():
    a, b = RNG.normal(size=(3, 6)), RNG.normal(size=(3, 6))
    a[0] = 0
    found = decoder_cosine(a, b, LEFT, RIGHT)
    assert list(found.mask) == [True, False, False]
    assert found[1] == pytest.approx(1 - cosine(a[2], b[0]))
    assert not np.isnan(found.data).any()


def test_logit_effects_compare_the_products_of_each_models_own_weights():
    a, b = (
        tuple(RNG.normal(size=shape) for shape in ((700, 4), (4, 3), (3, 11))) for _ in range(2)
    )
    i, j = np.arange(700), np.arange(700)[::-1]  # more pairs than are held at once
    found = logit_effect_cosine(a, b, i, j)
    effects_a, effects_b = (W_dec @ W_out @ W_U for W_dec, W_out, W_U in (a, b))
    expected = [1 - cosine(effects_a[p], effects_b[q]) for p, q in zip(i, j, strict=True)]
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert len(logit_effect_cosine(a, b, i[:0], j[:0])) == 0


def test_jaccard_of_two_of_four_positions_is_one_half():
    a = sparse.csr_matrix(np.float32([[1, 0], [2, 0], [3, 0], [0, 0]]))
    b = sparse.csr_matrix(np.float32([[0, 0], [9, 0], [9, 0], [9, 0]]))
    found = jaccard(a, b, np.array([0, 0, 1]), np.array([0, 1, 1]))
    assert list(found[:2]) == [0.5, 0.0]
    assert list(found.mask) == [False, False, True]


def test_spearman_is_scipys_over_the_co_active_tokens_ties_included():
    a, b = random_acts(1), random_acts(2)
    found = spearman_coactive(a, b, LEFT, RIGHT)
    for pair, (i, j) in enumerate(zip(LEFT, RIGHT, strict=True)):
        x, y = a[:, [i]].toarray()[:, 0], b[:, [j]].toarray()[:, 0]
        both = (x > 0) & (y > 0)
        assert found[pair] == pytest.approx(spearmanr(x[both], y[both]).statistic)


def test_spearman_is_masked_on_too_few_tokens_and_for_a_constant_feature():
    a = sparse.csr_matrix(np.float32([[1, 1]] * 9 + [[1, 0]]))
    b = sparse.csr_matrix(np.arange(1, 11, dtype=np.float32)[:, None])
    found = spearman_coactive(a, b, np.array([0, 1]), np.array([0, 0]))
    assert list(found.mask) == [True, True]
    ascending = spearman_coactive(b, b, np.array([0]), np.array([0]))
    assert ascending[0] == pytest.approx(1)


def test_a_dictionary_beside_itself_agrees_by_every_yardstick():
    acts = random_acts(3)
    weights = tuple(RNG.normal(size=shape) for shape in ((4, 6), (6, 3), (3, 11)))
    permuted = np.array([2, 0, 3, 1])
    turned = Side(acts[:, permuted].tocsr(), (weights[0][permuted], *weights[1:]))
    pairs = on_best_matches(correlations(acts, turned.acts), Side(acts, weights), turned)
    assert list(permuted[pairs["child"]]) == list(pairs["parent"]) == [0, 1, 2, 3]
    np.testing.assert_allclose(pairs[["r", *YARDSTICKS]], 1, atol=1e-6)


def test_features_without_a_match_above_the_floor_are_not_asked():
    events = random_acts(4).toarray()
    a, b = sparse.csr_matrix(events[:, :2]), sparse.csr_matrix(events[:, 1:])
    weights = tuple(np.ones(shape) for shape in ((3, 6), (6, 3), (3, 5)))
    pairs = on_best_matches(correlations(a, b, floor=0.9), Side(a, weights), Side(b, weights))
    assert pairs[["parent", "child"]].to_numpy().tolist() == [[1, 0]]


def test_medians_are_of_the_matches_above_the_threshold():
    events = random_acts(4).toarray()
    noise = np.random.default_rng(0).exponential(size=events.shape)
    a, b = sparse.csr_matrix(events), sparse.csr_matrix(events * (1 + noise))
    n = events.shape[1]
    sides = [Side(each, (np.ones((n, 6)), np.ones((6, 3)), np.ones((3, 5)))) for each in (a, b)]
    best = correlations(a, b)
    pairs = on_best_matches(best, *sides)
    tau = pairs["r"].sort_values().iloc[1]  # all but two exceed it
    found = medians(best, *sides, tau)
    assert found["r"] == np.median(sorted(pairs["r"])[2:])
    assert found["decoder_cosine"] == pytest.approx(1)
    assert medians(best, *sides, 0.9999).isna().all()


def test_models_that_cant_be_compared_are_refused():
    with pytest.raises(FeatrackError, match="columns"):
        decoder_cosine(np.ones((2, 3)), np.ones((2, 4)), LEFT, RIGHT)
    one, other = ((np.ones((2, 2)), np.ones((2, 2)), np.ones((2, v))) for v in (5, 6))
    with pytest.raises(FeatrackError, match="vocabulary"):
        logit_effect_cosine(one, other, LEFT, RIGHT)
    for measure in (jaccard, spearman_coactive):
        with pytest.raises(FeatrackError, match="same token stream"):
            measure(random_acts(0), random_acts(0)[:9], LEFT, RIGHT)

"""The correlation engine against numpy in float64, planted twins and streamed sums."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from featrack_utils.errors import FeatrackError
from featrack_utils.matching.correlation import Sums, block_sums, copies, correlations
from tests.chapters import Chapter


def random_acts(n_tokens, d_sae, density, seed):
    rng = np.random.default_rng(seed)
    dense = rng.exponential(size=(n_tokens, d_sae)) * (rng.random((n_tokens, d_sae)) < density)
    return sparse.csr_matrix(dense.astype(np.float32))


def dense_r(a, b):
    """r of every pair of features from numpy in float64, the independent authority."""
    x, y = (m.toarray().astype(np.float64) for m in (a, b))
    return np.corrcoef(x, y, rowvar=False)[: a.shape[1], a.shape[1] :]


def assert_agrees(best, r, floor):
    np.testing.assert_allclose(best.a_best_r, r.max(1), atol=1e-6)
    np.testing.assert_allclose(best.b_best_r, r.max(0), atol=1e-6)
    np.testing.assert_array_equal(best.a_best_index, r.argmax(1))
    np.testing.assert_array_equal(best.b_best_index, r.argmax(0))
    i, j = np.nonzero(r >= floor)
    np.testing.assert_array_equal(best.pairs.i, i)
    np.testing.assert_array_equal(best.pairs.j, j)
    np.testing.assert_allclose(best.pairs.r, r[i, j], atol=1e-6)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_matches_and_pairs_are_those_of_numpy_corrcoef(threads):
    a, b = random_acts(400, 37, 0.2, 0), random_acts(400, 23, 0.1, 1)
    best = correlations(a, b, floor=0.05, threads=threads)
    assert_agrees(best, dense_r(a, b), 0.05)


def test_sums_at_hand_give_the_matches_that_activations_give_digit_for_digit():
    a, b = random_acts(400, 37, 0.2, 0), random_acts(400, 23, 0.1, 1)
    able = {"eligible_a": np.arange(37) % 3 > 0, "eligible_b": None, "floor": 0.05}
    for one, other in zip(
        correlations(a, b, **able), correlations(a, b, **able, sums=block_sums(a, b)), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_blocks_of_whole_numbers_add_up_to_the_sums_of_all_positions():
    # Sums of whole numbers are exact in float64, whatever their order.
    a, b = (random_acts(400, 30, 0.2, seed) for seed in (0, 1))
    a.data, b.data = np.ceil(10 * a.data), np.ceil(10 * b.data)
    blocks = [block_sums(a[t : t + 90], b[t : t + 90]) for t in range(0, 400, 90)]
    total = Sums(*map(sum, zip(*blocks, strict=True)))
    x, y = a.toarray().astype(int), b.toarray().astype(int)
    np.testing.assert_array_equal(total.ab, x.T @ y)
    np.testing.assert_array_equal(total.a, [x.sum(0), (x * x).sum(0)])
    best, whole = correlations(a, b, sums=total), correlations(a, b)
    np.testing.assert_array_equal(best.a_best_r, whole.a_best_r)
    np.testing.assert_array_equal(best.pairs, whole.pairs)


def test_more_pairs_than_the_first_allotment_are_all_kept():
    shared = random_acts(300, 1, 0.3, 0).toarray()
    noise = random_acts(300, 40, 0.05, 1).toarray()
    a = sparse.csr_matrix(shared + noise)
    best = correlations(a, a, floor=0.3, threads=1)
    assert len(best.pairs.r) > 1000
    assert_agrees(best, dense_r(a, a), 0.3)


def test_r_of_four_tokens_is_what_pencil_and_paper_give():
    a = sparse.csr_matrix(np.float32([[1], [1], [0], [0]]))
    b = sparse.csr_matrix(np.float32([[1, 0], [1, 1], [1, 0], [0, 1]]))
    best = correlations(a, b)
    # Covariances 1/8 and 0, standard deviations 1/2, √3/4 and 1/2.
    assert best.a_best_r[0] == pytest.approx(1 / np.sqrt(3), abs=1e-12)
    np.testing.assert_allclose(best.b_best_r, [1 / np.sqrt(3), 0], atol=1e-12)


def test_planted_twins_are_found_and_shuffled_tokens_yield_none():
    a = random_acts(3000, 40, 0.03, 2)
    order = np.random.default_rng(3).permutation(40)
    twin = a[:, order] * 3.0
    best = correlations(a, twin.astype(np.float32), floor=0.8)
    np.testing.assert_array_equal(order[best.a_best_index], np.arange(40))
    assert len(best.pairs.r) == 40
    shuffled = a[np.random.default_rng(4).permutation(3000)]
    assert len(correlations(a, shuffled, floor=0.8).pairs.r) == 0


@pytest.mark.parametrize("value", [0.0, 0.1, 5.0])
def test_dead_and_constant_features_match_nothing_and_give_no_nan(value):
    a, b = random_acts(200, 6, 0.3, 5).tolil(), random_acts(200, 5, 0.3, 6).tolil()
    a[:, 2], b[:, 0] = value, value
    best = correlations(a.tocsr(), b.tocsr(), floor=0.01)
    assert (best.a_best_index[2], best.a_best_r[2]) == (-1, 0.0)
    assert (best.b_best_index[0], best.b_best_r[0]) == (-1, 0.0)
    assert not best.a_candidates[2] and not best.b_candidates[0]
    assert 0 not in best.a_best_index and 2 not in best.b_best_index
    assert np.isfinite(best.a_best_r).all() and np.isfinite(best.b_best_r).all()
    assert 2 not in best.pairs.i and 0 not in best.pairs.j


def test_against_an_all_dead_dictionary_nothing_matches():
    a, dead = random_acts(50, 4, 0.3, 7), sparse.csr_matrix((50, 3), dtype=np.float32)
    best = correlations(a, dead)
    assert (best.a_best_index == -1).all() and (best.a_best_r == 0).all()
    assert (best.b_best_index == -1).all() and best.a_candidates.all()


def test_ineligible_features_are_nobodys_match():
    a = random_acts(500, 8, 0.2, 8)
    eligible = np.ones(8, bool)
    eligible[3] = False
    best = correlations(a, a, eligible_b=eligible)
    assert best.a_best_index[3] != 3 and best.b_best_index[3] == -1
    assert (best.a_best_index[eligible] == np.flatnonzero(eligible)).all()


def test_a_negative_r_is_best_only_where_none_is_positive():
    a = np.float32([[1, 0], [1, 0], [0, 1], [0, 1]])
    one = sparse.csr_matrix(a[:, :1])
    best = correlations(sparse.csr_matrix(a), one)
    np.testing.assert_allclose(best.a_best_r, [1, -1])
    assert best.b_best_index[0] == 0 and best.b_best_r[0] == 1


def test_ties_go_to_the_lowest_index_whatever_the_threads():
    a = sparse.csr_matrix(np.repeat(random_acts(200, 1, 0.3, 9).toarray(), 20, axis=1))
    for threads in (1, 2):
        best = correlations(a, a, threads=threads)
        assert (best.a_best_index == 0).all() and (best.b_best_index == 0).all()


def test_duplicate_entries_count_as_their_sum():
    a = random_acts(60, 5, 0.4, 10)
    halves = sparse.csr_matrix(
        (np.repeat(a.data / 2, 2), np.repeat(a.indices, 2), a.indptr * 2), shape=a.shape
    )
    np.testing.assert_allclose(
        correlations(halves, a).a_best_r, correlations(a, a).a_best_r, atol=1e-12
    )


@settings(max_examples=25)
@given(st.floats(1e-3, 1e3), st.integers(0, 1000))
def test_scaling_a_feature_leaves_r_alone(scale, seed):
    a, b = random_acts(80, 5, 0.3, seed), random_acts(80, 5, 0.3, seed + 1)
    scaled = (a @ sparse.diags(np.float32([1, scale, 1, 1, 1]))).astype(np.float32)
    np.testing.assert_allclose(
        correlations(scaled, b).a_best_r, correlations(a, b).a_best_r, atol=1e-6
    )


@settings(max_examples=25)
@given(st.permutations(range(8)), st.integers(0, 1000))
def test_permuting_features_permutes_the_matches(order, seed):
    a, b = random_acts(80, 6, 0.3, seed), random_acts(80, 8, 0.3, seed + 1)
    order = np.array(order)
    plain, permuted = correlations(a, b), correlations(a, b[:, order])
    np.testing.assert_array_equal(order[permuted.a_best_index], plain.a_best_index)
    np.testing.assert_array_equal(permuted.b_best_index, plain.b_best_index[order])


@settings(max_examples=25)
@given(st.integers(1, 500), st.integers(0, 1000))
def test_appended_silent_tokens_change_r_as_the_formula_says(silent, seed):
    a, b = random_acts(60, 1, 0.5, seed), random_acts(60, 1, 0.5, seed + 1)
    longer = [sparse.vstack([m, sparse.csr_matrix((silent, 1), dtype=np.float32)]) for m in (a, b)]
    x, y = (m.toarray()[:, 0].astype(np.float64) for m in (a, b))
    n = 60 + silent
    top = (x @ y) / n - x.sum() * y.sum() / n**2
    below = np.sqrt(((x @ x) / n - x.sum() ** 2 / n**2) * ((y @ y) / n - y.sum() ** 2 / n**2))
    assert correlations(*longer).a_best_r[0] == pytest.approx(top / below, abs=1e-9)


def test_copies_are_found_grouped_and_never_a_feature_itself():
    a = random_acts(500, 6, 0.1, 13).toarray()
    acts = np.column_stack([a, 2 * a[:, 1], a[:, 1], np.zeros(500)]).astype(np.float32)
    found = copies(sparse.csr_matrix(acts), 0.8)
    np.testing.assert_array_equal(np.flatnonzero(found.best_r > 0.8), [1, 6, 7])
    np.testing.assert_array_equal(found.group, [0, 1, 2, 3, 4, 5, 1, 1, -1])
    assert (found.best_index != np.arange(9)).all()
    share = Chapter("dictionaries").copies_share
    assert share(found.group) == 3 / 8
    assert share(copies(sparse.csr_matrix((9, 2), dtype=np.float32), 0.8).group) is None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"b": random_acts(9, 4, 0.5, 0)}, "same token stream"),
        ({"floor": 1.0}, "floor"),
        ({"floor": 0.0}, "floor"),
        ({"a": sparse.csr_matrix(np.full((10, 4), np.nan))}, "NaN"),
    ],
)
def test_bad_input_is_named_in_one_sentence(change, says):
    good = {"a": random_acts(10, 4, 0.5, 0), "b": random_acts(10, 4, 0.5, 1)}
    with pytest.raises(FeatrackError, match=says):
        correlations(**{**good, **change})

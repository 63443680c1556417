"""How much of a feature its token explains, against loops in plain Python and mental arithmetic."""

import numpy as np
import pytest
from scipy import sparse

from tests.chapters import Chapter

explained_shares = Chapter("context").explained_shares


def by_hand(x, group, labels):
    """One feature's explained shares, position by position."""
    guess = [0.0] * len(x)
    shares = []
    for label in ([0] * len(x), *labels):
        better = []
        for t in range(len(x)):
            others = [x[s] for s in range(len(x)) if label[s] == label[t] and group[s] != group[t]]
            better.append((sum(others) + guess[t]) / (len(others) + 1))
        guess = better
        error = sum((a - b) ** 2 for a, b in zip(x, guess, strict=True))
        shares.append(1 - error / (len(x) * np.var(x)))
    return shares[1:]


def test_shares_are_those_of_plain_loops():
    rng = np.random.default_rng(0)
    dense = rng.exponential(size=(60, 5)) * (rng.random((60, 5)) < 0.4)
    group, token, pair = rng.integers(0, 6, 60), rng.integers(0, 4, 60), rng.integers(0, 20, 60)
    pair = token * 20 + pair
    shares = explained_shares(sparse.csr_matrix(dense), group, [token, pair])
    expected = [by_hand(x.tolist(), group, [token, pair]) for x in dense.T]
    np.testing.assert_allclose(shares.T, expected, atol=1e-12)


def test_two_texts_of_two_tokens_by_mental_arithmetic():
    # The other text's mean, and a zero: 1/3. Token a: (1 + 1/3) / 2 = 2/3; b: (0 + 1/3) / 2 = 1/6.
    acts = sparse.csr_matrix(np.array([[1.0], [0.0], [1.0], [0.0]]))
    shares = explained_shares(acts, np.array([0, 0, 1, 1]), [np.array([7, 8, 7, 8])])
    assert shares[0, 0] == pytest.approx(1 - 2 * (1 / 9 + 1 / 36))


def test_a_token_of_one_text_does_not_explain_itself():
    group = np.repeat(np.arange(10), 20)
    token = np.zeros(200, int)
    token[:5] = 1  # in the first text alone
    acts = sparse.csr_matrix((token == 1).astype(float)[:, None])
    (share,) = explained_shares(acts, group, [token])[0]
    assert share < 0.01


def test_a_feature_of_two_tokens_needs_both():
    rng = np.random.default_rng(1)
    token = rng.integers(0, 3, 3000)
    before = np.roll(token, 1)
    acts = sparse.csr_matrix(((token == 1) & (before == 2)).astype(float)[:, None])
    group = np.repeat(np.arange(30), 100)
    by_token, by_pair = explained_shares(acts, group, [token, token * 3 + before])[:, 0]
    # Of the positions with token 1 a third follow token 2: (1/9) (1/3 − 1/9) / ((1/9) (8/9)) = 1/4.
    assert by_token == pytest.approx(1 / 4, abs=0.03)
    assert by_pair > 0.99


def test_a_feature_that_is_never_active_has_no_share():
    acts = sparse.csr_matrix((8, 1))
    shares = explained_shares(acts, np.repeat([0, 1], 4), [np.tile([0, 1], 4)])
    assert np.isnan(shares).all()

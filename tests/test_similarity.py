"""Other yardsticks against scipy and against cases one can do in one's head."""

import numpy as np
import pytest
from scipy import sparse
from scipy.spatial.distance import cosine, jaccard
from scipy.stats import spearmanr

from featrack_utils.errors import FeatrackError
from featrack_utils.matching.correlation import correlations
from featrack_utils.matching.similarity import YARDSTICKS, Side, yardsticks

RNG = np.random.default_rng(0)
SHAPES = ((4, 6), (6, 3), (3, 11))


def random_acts(seed):
    rng = np.random.default_rng(seed)
    dense = rng.exponential(size=(300, 4)).round(1) * (rng.random((300, 4)) < 0.4)
    return sparse.csr_matrix(dense.astype(np.float32))


def weights():
    return tuple(RNG.normal(size=shape) for shape in SHAPES)


def test_each_yardstick_is_scipys():
    one = random_acts(1)
    other = random_acts(2).maximum(random_acts(1)).tocsr()
    a, b = Side(one, weights()), Side(other, weights())
    pairs = yardsticks(correlations(one, other), a, b, 0.2)
    assert len(pairs) == 4
    for pair in pairs.itertuples():
        x, y = one[:, [pair.parent]].toarray()[:, 0], other[:, [pair.child]].toarray()[:, 0]
        both = (x > 0) & (y > 0)
        assert pair.spearman == pytest.approx(spearmanr(x[both], y[both]).statistic)
        assert pair.jaccard == pytest.approx(1 - jaccard(x > 0, y > 0))
        directions = a.writing[0][pair.parent], b.writing[0][pair.child]
        assert pair.decoder_cosine == pytest.approx(1 - cosine(*directions))
        effects = [
            W_dec @ side.writing[1] @ side.writing[2]
            for W_dec, side in zip(directions, (a, b), strict=True)
        ]
        assert pair.logit_cosine == pytest.approx(1 - cosine(*effects))


def test_a_dictionary_beside_itself_agrees_by_every_yardstick():
    acts, own = random_acts(3), weights()
    permuted = np.array([2, 0, 3, 1])
    turned = Side(acts[:, permuted].tocsr(), (own[0][permuted], *own[1:]))
    pairs = yardsticks(correlations(acts, turned.acts), Side(acts, own), turned, 0.8)
    assert list(permuted[pairs["child"]]) == list(pairs["parent"]) == [0, 1, 2, 3]
    np.testing.assert_allclose(pairs[["r", *YARDSTICKS]], 1, atol=1e-6)


def test_only_matches_above_the_threshold_are_asked():
    events = random_acts(4)
    a, b = Side(events[:, :2].tocsr(), weights()), Side(events[:, 1:].tocsr(), weights())
    pairs = yardsticks(correlations(a.acts, b.acts), a, b, 0.9)
    assert pairs[["parent", "child"]].to_numpy().tolist() == [[1, 0]]


def test_what_is_not_defined_is_missing():
    events = random_acts(5).toarray()
    events[:, 0] = np.arange(300) < 9  # nine tokens, one strength
    events[:, 1] = np.arange(300) % 10 == 0  # thirty tokens, one strength
    own = weights()
    own[0][2] = 0
    side = Side(sparse.csr_matrix(events), own)
    pairs = yardsticks(correlations(side.acts, side.acts), side, side, 0.8)
    assert pairs["spearman"].isna().tolist() == [True, True, False, False]
    assert pairs["decoder_cosine"].isna().tolist() == [False, False, True, False]
    assert pairs["logit_cosine"].isna().tolist() == [False, False, True, False]


def test_other_positions_are_refused():
    one = random_acts(0)
    with pytest.raises(FeatrackError, match="same token stream"):
        yardsticks(correlations(one, one), Side(one, weights()), Side(one[:9], weights()), 0.8)

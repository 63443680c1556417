"""The other yardsticks of the chapter on context, against scipy and against mental arithmetic."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import sparse
from scipy.spatial.distance import cosine, jaccard
from scipy.stats import spearmanr

from featrack_utils.matching.correlation import correlations
from tests.chapters import Chapter

SHAPES = ((4, 6), (6, 3), (3, 11))  # features to neurons, to the stream, to logits
YARDSTICKS = ["decoder_cosine", "jaccard", "spearman", "logit_cosine"]


def random_acts(seed):
    rng = np.random.default_rng(seed)
    dense = rng.exponential(size=(300, 4)).round(1) * (rng.random((300, 4)) < 0.4)
    return sparse.csr_matrix(dense.astype(np.float32))


def weights(seed):
    rng = np.random.default_rng(seed)
    return tuple(rng.normal(size=shape) for shape in SHAPES)


def compared(a, b, tau):
    """Dictionary a's matches in b by every yardstick; each is (activations, weights)."""
    found = {name: SimpleNamespace(acts=acts) for name, (acts, _) in {"a": a, "b": b}.items()}
    chapter = Chapter(
        "context",
        tau=tau,
        found=found,
        matches=SimpleNamespace(best={("a", "b"): correlations(a[0], b[0])}),
        writing={"a": a[1], "b": b[1]}.get,
    )
    assert list(chapter.YARDSTICKS) == YARDSTICKS
    return chapter.yardsticks("a", "b")


def test_each_yardstick_is_scipys():
    one, other = random_acts(1), random_acts(2).maximum(random_acts(1)).tocsr()
    a, b = (one, weights(3)), (other, weights(4))
    pairs = compared(a, b, 0.2)
    assert len(pairs) == 4
    best = correlations(one, other)
    for i, pair in enumerate(pairs.itertuples()):
        j = best.a_best_index[i]
        x, y = one[:, [i]].toarray()[:, 0], other[:, [j]].toarray()[:, 0]
        both = (x > 0) & (y > 0)
        assert pair.r == pytest.approx(np.corrcoef(x, y)[0, 1])
        assert pair.spearman == pytest.approx(spearmanr(x[both], y[both]).statistic)
        assert pair.jaccard == pytest.approx(1 - jaccard(x > 0, y > 0))
        directions = a[1][0][i], b[1][0][j]
        assert pair.decoder_cosine == pytest.approx(1 - cosine(*directions))
        effects = [w @ side[1][1] @ side[1][2] for w, side in zip(directions, (a, b), strict=True)]
        assert pair.logit_cosine == pytest.approx(1 - cosine(*effects))


def test_a_dictionary_beside_itself_in_another_order_agrees_by_every_yardstick():
    acts, own = random_acts(3), weights(0)
    order = np.array([2, 0, 3, 1])
    turned = acts[:, order].tocsr(), (own[0][order], *own[1:])
    pairs = compared((acts, own), turned, 0.8)
    assert len(pairs) == 4
    np.testing.assert_allclose(pairs[["r", *YARDSTICKS]], 1, atol=1e-6)


def test_a_feature_twice_as_strong_that_writes_the_opposite_is_told_by_its_writing_alone():
    acts, own = random_acts(3), weights(0)
    pairs = compared((acts, own), ((2 * acts).tocsr(), (-own[0], *own[1:])), 0.8)
    expected = {"r": 1, "decoder_cosine": -1, "jaccard": 1, "spearman": 1, "logit_cosine": -1}
    np.testing.assert_allclose(pairs[[*expected]], [[*expected.values()]] * 4, atol=1e-6)


def test_a_feature_that_also_fires_weakly_elsewhere_shares_few_tokens_and_still_matches():
    strong, often = np.zeros((2, 200, 1), np.float32)
    strong[:20, 0] = often[:20, 0] = np.arange(10, 30)
    often[:80, 0] += 0.5
    pairs = compared(
        (sparse.csr_matrix(strong), weights(0)), (sparse.csr_matrix(often), weights(0)), 0.9
    )
    assert pairs["jaccard"].tolist() == [20 / 80]
    assert pairs["spearman"].tolist() == [pytest.approx(1)]


def test_only_matches_above_the_threshold_are_asked():
    acts = random_acts(4)
    a, b = (acts[:, :2].tocsr(), weights(0)), (acts[:, 1:].tocsr(), weights(0))
    assert compared(a, b, 0.9)["r"].tolist() == pytest.approx([1])
    assert len(compared((acts, weights(0)), (random_acts(5), weights(0)), 0.9)) == 0


def test_what_is_not_defined_is_missing():
    acts = random_acts(5).toarray()
    acts[:, 0] = np.arange(300) * (np.arange(300) < 9)  # eight tokens, too few for an order
    acts[:, 1] = np.arange(300) % 10 == 0  # thirty tokens, one strength
    own = weights(0)
    own[0][2] = 0  # writes nothing
    side = sparse.csr_matrix(acts), own
    pairs = compared(side, side, 0.8)
    assert pairs["spearman"].isna().tolist() == [True, True, False, False]
    for direction in ("decoder_cosine", "logit_cosine"):
        assert pairs[direction].isna().tolist() == [False, False, True, False]
    assert pairs["jaccard"].tolist() == [1] * 4

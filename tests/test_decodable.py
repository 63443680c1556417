"""Persisting, re-partitioned or gone: on features of whom we know which."""

import numpy as np
import pytest

from featrack_utils.statistics.intervals import Shares, combined, interval, without_noise
from tests.chapters import Chapter

CHAPTER = Chapter("repartitioned")
Probe, better, sampled = CHAPTER.Probe, CHAPTER.better, CHAPTER.sampled
decodable_share = CHAPTER.decodable_share

TAU, R = 0.8, 400


def probe(decodable, replicates=R):
    """Features that are decodable or not, whatever documents are drawn."""
    r2 = np.where(decodable, 0.9, 0.1)
    return Probe(r2, np.tile(r2, (replicates, 1)))


def one_kind(n, replicates=R, seed=0):
    sample, (mask,) = sampled([n], [n], replicates, seed)
    return sample, mask


def test_decodable_is_what_a_match_would_explain():
    told = Probe(np.array([0.65, 0.63, 1.0]), np.tile([0.65, 0.63, 1.0], (5, 1)))
    sample, every = one_kind(3, 5)
    assert interval(decodable_share(told, TAU, sample, every), TAU).estimate == 2 / 3
    first = np.array([True, True, False])
    assert interval(decodable_share(told, TAU, sample, first), TAU).estimate == 1 / 2
    assert decodable_share(told, TAU, sample, ~every) is None


def test_an_interval_is_as_wide_as_the_sampling_of_features_makes_it():
    """44 of 100 decodable on any documents: what binomial counts of 100 do, and no more."""
    sample, every = one_kind(100, 4000)
    found = interval(decodable_share(probe(np.arange(100) < 44, 4000), TAU, sample, every), TAU)
    counts = np.random.default_rng(1).binomial(100, 0.44, 100_000) / 100
    low, high = np.quantile(counts, [0.025, 0.975])
    assert found.estimate == pytest.approx(0.44)
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.011)


def test_where_features_do_not_vary_documents_alone_make_the_interval():
    rng = np.random.default_rng(2)
    # All features are decodable, or none, as the documents have it.
    told = Probe(np.ones(50), np.repeat(rng.random((R, 1)) > 0.1, 50, axis=1) * 1.0)
    sample, every = one_kind(50)
    documents = told.replicates[:, :1]
    above = np.repeat(documents.T > TAU**2, 50, axis=0)
    expected = without_noise(1.0, above, above)[:, None]
    np.testing.assert_allclose(decodable_share(told, TAU, sample, every).replicates, expected)


def test_the_interval_holds_the_share_among_all_features_of_whom_a_sample_is_probed():
    rng = np.random.default_rng(3)
    held, trials = 0, 200
    for trial in range(trials):
        # Seven of ten features of the first kind, a quarter of the second, four times as many.
        truth = 0.2 * 0.7 + 0.8 * 0.25
        decodable = np.concatenate([rng.random(60) < 0.7, rng.random(60) < 0.25])
        sample, _ = sampled([60, 60], [200, 800], 200, trial)
        share = decodable_share(probe(decodable, 200), TAU, sample, np.ones(120, bool))
        found = interval(share, TAU)
        held += found.low <= truth <= found.high
    assert 0.9 < held / trials < 0.99


def test_each_kind_is_drawn_by_itself_and_stands_for_its_own():
    sample, masks = sampled([3, 2], [30, 200], 50, 0)
    assert [mask.tolist() for mask in masks] == [[True] * 3 + [False] * 2, [False] * 3 + [True] * 2]
    np.testing.assert_array_equal(sample.draws @ np.array([1, 1, 1, 0, 0]), 3)
    np.testing.assert_array_equal(sample.weight, [10, 10, 10, 100, 100])
    none, masks = sampled([0, 2], [0, 9], 5, 0)
    assert none.draws.shape == (5, 2) and not masks[0].any()


def test_the_better_of_two_probes_counts_in_every_replicate():
    one, other = (Probe(np.array(x), np.array([x, x[::-1]])) for x in ([0.9, 0.1], [0.2, 0.3]))
    best = better(one, other)
    np.testing.assert_array_equal(best.r2, [0.9, 0.3])
    np.testing.assert_array_equal(best.replicates, [[0.9, 0.3], [0.3, 0.9]])


def shares(value, spread=0.0):
    noise = np.random.default_rng(int(1000 * value)).normal(size=(R, 1)) * spread
    return Shares(np.array([TAU]), np.array([value]), value + noise)


def test_a_share_of_a_share_is_their_product_in_every_draw():
    both = combined(np.multiply, shares(0.2, 0.01), shares(0.4, 0.05))
    assert both.estimate[0] == pytest.approx(0.08)
    # By hand: the variance of a product of independent factors.
    spread = np.sqrt((0.4 * 0.01) ** 2 + (0.2 * 0.05) ** 2)
    assert np.std(both.replicates) == pytest.approx(spread, rel=0.15)

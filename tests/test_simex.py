"""Shares without noise, against shares planted in made-up correlations."""

import numpy as np
import pytest
from scipy.stats import norm

from featrack_utils.statistics.bootstrap import double_noise
from featrack_utils.statistics.intervals import SPREAD, without_noise

SIGMA = 0.2  # error of Fisher's z


def noisy(z, replicates, seed=0):
    """r as estimated, and its replicates, where each adds the same noise to Fisher's z."""
    rng = np.random.default_rng(seed)
    once = np.tanh(z + SIGMA * rng.normal(size=z.size))
    return once, np.tanh(np.arctanh(once)[:, None] + SIGMA * rng.normal(size=(z.size, replicates)))


def test_extrapolating_finds_the_share_that_noise_hides():
    """True z crowd on one side of τ, so that noise throws more of them over it than back."""
    z, tau = 0.9 + 0.6 * np.linspace(0, 1, 200_000) ** 2, np.tanh(1.2)
    truth = (z > np.arctanh(tau)).mean()
    once, drawn = noisy(z, 20)
    further = double_noise(once, drawn)
    estimate, twice, thrice = ((x > tau).mean() for x in (once, drawn, further))
    # Φ tells what noise with two and three times the variance makes of the true z.
    for share, times in ((estimate, 1), (twice, 2), (thrice, 3)):
        expected = norm.cdf((z - np.arctanh(tau)) / (np.sqrt(times) * SIGMA)).mean()
        assert share == pytest.approx(expected, abs=0.005)
    # The usual correction for bootstrap bias, a straight line, leaves a third of it.
    assert estimate - truth > 0.04 and 2 * estimate - twice - truth > 0.015
    replicates = without_noise(estimate, drawn > tau, further > tau)
    assert replicates.mean() == pytest.approx(truth, abs=0.01)


@pytest.mark.parametrize("low, high", [(0.5, 1.7), (0.9, 1.2), (1.3, 1.3)])
def test_the_spread_is_that_of_many_experiments_and_an_allowance_for_tails(low, high):
    """Features whose noise is independent: how shares without noise scatter is seen directly."""
    z, tau = np.linspace(low, high, 1000), np.tanh(1.1)
    centres, deviations = [], []
    for seed in range(150):
        once, drawn = noisy(z, 100, seed)
        further = double_noise(once, drawn) > tau
        replicates = without_noise((once > tau).mean(), drawn > tau, further)
        centres.append(replicates.mean())
        deviations.append(replicates.std())
    assert np.mean(deviations) / np.std(centres) == pytest.approx(1.25, rel=0.2)


def test_where_features_lie_evenly_around_the_threshold_the_spread_is_twice_the_replicates():
    error, x = (np.linspace(-9, 9, 1801) for _ in range(2))
    at = x[:, None] + error
    weight = norm.pdf(error) / norm.pdf(error).sum()
    adds = 3.0 * (at > 0) - 3 * norm.cdf(at) + norm.cdf(at / np.sqrt(2))
    variance = adds**2 @ weight - (adds @ weight) ** 2
    ratio = np.sqrt(variance.sum() / (norm.cdf(at) * norm.sf(at) @ weight).sum())
    assert ratio == pytest.approx(SPREAD / 1.25, rel=0.02)


def test_nothing_near_the_threshold_has_no_noise_to_take_away():
    for value in (True, False):
        same = np.full((50, 40), value)
        np.testing.assert_allclose(without_noise(float(value), same, same), float(value))


def test_weights_count_features_as_often_as_they_stand_for_others():
    once = np.random.default_rng(2).random((30, 50)) < 0.5
    weights = np.where(np.arange(30) < 10, 2, 0)
    np.testing.assert_allclose(
        without_noise(0.5, once, once, weights).mean(), 1.5 - 2 * once[:10].mean()
    )

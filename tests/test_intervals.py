import numpy as np
import pytest

from featrack_utils.errors import FeatrackError
from featrack_utils.statistics.bootstrap import Draws, Matched, resample
from featrack_utils.statistics.intervals import (
    SPREAD,
    Shares,
    interval,
    over_seeds,
    proportion,
    shares,
)
from tests.simulated import Plan, calibrate, simulate


def test_a_dictionary_persists_wholly_in_itself():
    a = simulate(Plan(n_features=60, n_documents=40, tokens_per_document=60), 0).parent[0]
    sample = resample({"a": [a], "b": [a]}, [0.5, 0.8], tau=0.8, replicates=30, seed=6)
    (matched,) = sample.matched([(("a", 0), ("b", 0))]).values()
    assert interval(shares(matched), 0.8) == (1.0, 1.0, 1.0)


def test_a_share_is_counted_among_the_features_asked():
    best_r, asked = np.array([0.9, 0.7, 0.9, 0.1]), np.array([True, True, True, False])
    once = np.array([[1, 1], [1, 0], [1, 1], [1, 1]], np.uint8)
    twice = np.array([[1, 0], [0, 0], [0, 1], [1, 1]], np.uint8)
    exceeded = np.hstack([best_r[:, None] > 0.8, once, twice])
    matched = Matched(np.array([0.8]), best_r, asked, exceeded, exceeded[:, :3] > 0)
    fewer = matched._replace(asked=asked & np.array([1, 1, 0, 1], bool))
    every, some = shares(matched), shares(fewer)
    assert (every.counted[0], some.counted[0]) == (2 / 3, 1 / 2)
    # Replicates found 2 of 2 and 1 of 2, 0.75 ± 0.25; with twice the noise 1 of 2 and none, 0.25.
    centre = 3 * 0.5 - 3 * 0.75 + 0.25
    np.testing.assert_allclose(some.replicates[:, 0], centre + SPREAD * 0.25 * np.array([1, -1]))
    assert some.estimate[0] == pytest.approx(centre)  # the dot is the corrected share
    assert (every.asked, some.asked) == (3, 2)


def _constant(value):
    return Shares(np.array([0.8]), np.array([value]), np.full((1, 1), value))


def test_a_pair_of_seeds_weighs_the_product_of_its_counts():
    draws = Draws(np.ones((1, 1)), {"a": np.array([[2.0, 1.0]]), "b": np.array([[2.0, 0.0]])})
    tables = {(0, 0): _constant(0.2), (1, 0): _constant(0.5), (0, 1): _constant(0.9)}
    mean = over_seeds(tables, draws, "a", "b")
    plain = (0.2 + 0.5 + 0.9) / 3
    drawn = (4 * 0.2 + 2 * 0.5) / 6
    # Two seeds show half of their variance, so the deviation is stretched by √2.
    assert mean.replicates[0, 0] == pytest.approx(plain + np.sqrt(2) * (drawn - plain))
    assert mean.estimate[0] == pytest.approx(plain)


def test_one_seed_drawn_alone_brings_all_its_pairs():
    draws = Draws(np.ones((1, 1)), {"a": np.array([[3.0, 0.0, 0.0]])})
    tables = {(0, 1): _constant(0.2), (0, 2): _constant(0.4), (1, 2): _constant(0.9)}
    # Their mean is 0.3, that of all pairs 0.5; three seeds show two thirds of their variance.
    replicate = over_seeds(tables, draws, "a", "a").replicates[0, 0]
    assert replicate == pytest.approx(0.5 - np.sqrt(1.5) * 0.2)


def test_two_seeds_vary_at_least_as_binomial_counts_do():
    rng = np.random.default_rng(0)
    draws = Draws(np.ones((20_000, 1)), {"a": np.ones((20_000, 2))}, {"a": rng.normal(size=20_000)})
    asked = Shares(np.array([0.8]), np.array([0.4]), np.full((20_000, 1), 0.4), 500)
    ceiling = over_seeds({(0, 1): asked, (1, 0): asked}, draws, "a", "a")
    counts = rng.binomial(500, 0.4, 100_000) / 500
    assert ceiling.replicates.std() == pytest.approx(counts.std(), rel=0.03)
    # Seeds that differ more than that are left as they are.
    apart = {(s, t): asked._replace(estimate=asked.estimate + 0.3 * s) for s, t in np.ndindex(2, 2)}
    seeds = {model: rng.multinomial(2, [0.5, 0.5], 20_000).astype(float) for model in "ab"}
    plain, lucky = (
        over_seeds(apart, Draws(draws.documents, seeds, luck), "a", "b").replicates
        for luck in ({}, {model: rng.normal(size=20_000) for model in "ab"})
    )
    assert plain.std() > 0.1
    np.testing.assert_array_equal(lucky, plain)


def test_a_child_with_one_dictionary_keeps_it_and_its_luck_is_not_averaged_away():
    rng = np.random.default_rng(0)
    seeds = {"a": rng.multinomial(3, [1 / 3] * 3, 20_000).astype(float), "b": np.ones((20_000, 1))}
    each = Shares(np.array([0.8]), np.array([0.4]), np.full((20_000, 1), 0.4), 500)
    tables = {(s, 0): each._replace(estimate=each.estimate + 0.1 * s) for s in range(3)}
    drawn = over_seeds(tables, Draws(np.ones((20_000, 1)), seeds), "a", "b").replicates
    # The mean of three of .4, .5 and .6, drawn with replacement, stretched by √(3 / 2).
    assert drawn.std() == pytest.approx(
        np.sqrt(1.5) * np.std([0.4, 0.5, 0.6]) / np.sqrt(3), rel=0.02
    )
    # Where the parent's dictionaries agree, the child's still found each feature by luck or not.
    luck = {model: rng.normal(size=20_000) for model in "ab"}
    same = dict.fromkeys(tables, each)
    lucky = over_seeds(same, Draws(np.ones((20_000, 1)), seeds, luck), "a", "b").replicates
    assert lucky.std() == pytest.approx(np.sqrt(0.4 * 0.6 / 500), rel=0.02)


def test_an_interval_stays_within_bounds_and_is_not_stretched_to_the_raw_count():
    replicates = np.linspace(0.9, 1.3, 101)[:, None]
    share = Shares(np.array([0.8]), np.array([1.1]), replicates, raw=np.array([0.85]))
    assert interval(share, 0.8) == pytest.approx((1.0, 0.91, 1.0))
    assert share.counted[0] == 0.85
    with pytest.raises(FeatrackError, match=r"no share at τ = 0\.7"):
        interval(share, 0.7)


def test_intervals_hold_the_population_share_as_often_as_they_say():
    """Nominal 95 %; with 200 sets, chance alone moves it by 1.5 points (about 10 s)."""
    few = Plan(80, 100, 100, rho=(0.5, 1.0), density=0.01, density_spread=0.8, splitting=0.0)
    result = calibrate(few, sets=200)
    assert 0.90 <= result.coverage.estimate <= 0.99


def test_a_share_of_independent_hits_has_wilsons_interval():
    got = proportion(np.array([True] * 9 + [False]))
    z, p, n = 1.959964, 0.9, 10
    centre, half = (p + z**2 / 2 / n), z * np.sqrt(p * (1 - p) / n + z**2 / 4 / n**2)
    expected = [p, *((centre + side * half) / (1 + z**2 / n) for side in (-1, 1))]
    assert got == pytest.approx(expected, abs=1e-6)
    assert np.isnan(proportion(np.zeros(0, bool))).all()

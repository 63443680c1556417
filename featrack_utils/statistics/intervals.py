"""Intervals for shares of matched features, from resampled documents and SAE seeds.

A share of features above a threshold is biased by the noise of r, and the best of several
candidates adds to that. So a share is shown as it would be without noise, with the raw count beside
it: by SIMEX (Cook & Stefanski 1994, doi:10.1080/01621459.1994.10476871; `book/method.md`,
intervals). How often the intervals around it hold the truth, over documents, groups and SAE seeds,
is measured by benchmarks/coverage.py.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import numpy as np
from scipy.stats import binomtest

from featrack_utils.errors import FeatrackError
from featrack_utils.statistics.bootstrap import Draws, Matched

LEVEL = 0.95
# A corrected share combines three and varies twice as much as the replicates do, where features lie
# evenly around τ; and few documents understate the noise, by up to a quarter in simulations.
SPREAD = 2 * 1.25


class Shares(NamedTuple):
    """A share at several thresholds, and its spread."""

    taus: np.ndarray  # float64 [n_taus]
    estimate: np.ndarray  # float64 [n_taus], corrected for noise where there are replicates
    replicates: np.ndarray  # float64 [n_replicates, n_taus], may lie outside 0…1
    asked: int = 0  # features that the share is of; 0: not told
    raw: np.ndarray | None = None  # float64 [n_taus], as counted; None: the estimate is

    @property
    def counted(self) -> np.ndarray:
        """The share as counted, float64 [n_taus]."""
        return self.estimate if self.raw is None else self.raw


class Interval(NamedTuple):
    """A figure with its 95 % interval."""

    estimate: float
    low: float
    high: float


UNDEFINED = Interval(np.nan, np.nan, np.nan)


def proportion(hits: np.ndarray) -> Interval:
    """A share of independent hits, bool [n], with Wilson's 95 % interval; undefined of none."""
    if not len(hits):
        return UNDEFINED
    test = binomtest(int(np.sum(hits)), len(hits))
    low, high = test.proportion_ci(LEVEL, method="wilson")
    return Interval(float(test.statistic), float(low), float(high))


def shares(matched: Matched) -> Shares:
    """Share of the features asked that have a match; at least one is asked."""
    return corrected(matched.taus, matched.above(), int(matched.asked.sum()))


def corrected(taus: np.ndarray, looks: np.ndarray, asked: int = 0) -> Shares:
    """Shares of what counts in each look, bool [n_taus, d, 1 + 2 R], without noise.

    The looks are those of `bootstrap`, the correction is that of `without_noise`.
    """
    raw, once, twice = np.split(looks, [1, 1 + looks.shape[2] // 2], axis=2)
    raw = raw[..., 0].mean(axis=1)
    each = [without_noise(*one) for one in zip(raw, once, twice, strict=True)]
    replicates = np.stack(each, axis=1)
    return Shares(taus, replicates.mean(axis=0), replicates, asked, raw)


def without_noise(
    counted: float, once: np.ndarray, twice: np.ndarray, weights: np.ndarray | None = None
) -> np.ndarray:
    """Replicates, float64 [R], of the share without noise; their mean is the corrected share.

    They may lie outside 0…1. `counted` is the share as counted; `once` and `twice`, bool [d, R],
    say which features are above the threshold in each replicate, with its own noise and with twice
    as much added; `weights` [d] is what each feature counts. With S(λ) the share where the noise
    has λ times its variance, the parabola through S(1), S(2), S(3) is 3 S(1) − 3 S(2) + S(3) at 0.
    """
    drawn = np.average(once, axis=0, weights=weights)
    further = np.average(twice, axis=0, weights=weights)
    corrected = 3 * counted - 3 * drawn.mean() + further.mean()
    return corrected + SPREAD * (drawn - drawn.mean())


def combined(how: Callable[..., np.ndarray], *each: Shares) -> Shares:
    """What a function makes of shares under the same draws, replicate by replicate."""
    return Shares(
        each[0].taus,
        how(*(share.estimate for share in each)),
        how(*(share.replicates for share in each)),
        min(share.asked for share in each),
        how(*(share.counted for share in each)),
    )


def mean(each: Iterable[Shares]) -> Shares:
    """The mean of shares under the same draws."""
    return combined(lambda *values: np.mean(values, axis=0), *each)


def complement(share: Shares) -> Shares:
    """1 − a share, replicate by replicate."""
    return combined(lambda value: 1 - value, share)


def undefined(like: Shares) -> Shares:
    """A share that isn't known, at the thresholds and under the draws of another."""
    return combined(lambda value: np.full_like(value, np.nan), like)


def over_seeds(tables: Mapping[tuple[int, ...], Shares], draws: Draws, *models: str) -> Shares:
    """Mean share over pairs of SAE seeds, with seeds resampled beside the documents.

    `tables` maps (seed of a, seed of b) to that pair's shares under the same `draws`, for the
    `models` a and b, or for more. To the mean of the pairs' replicates, which only documents move,
    two parts are added (`book/method.md`, intervals): how far the seeds that a replicate drew move
    the mean share, where a pair counts as often as both its dictionaries were drawn; and, as normal
    noise that is the same in all shares of one model, what a few seeds can't show, since they may
    agree by luck. Where a model has one dictionary, only the other's are drawn.
    """
    share = mean(tables.values())
    # A seed that wasn't drawn weighs next to nothing, for a model's only seed in a replicate may
    # have no pair but with the others.
    next_to_nothing = 1e-9
    times = [draws.seeds[model] + next_to_nothing for model in models]
    drawn = [[one[:, s] for one, s in zip(times, seeds, strict=True)] for seeds in tables]
    weights = np.stack([np.prod(each, axis=0) for each in drawn], axis=1)
    weights /= weights.sum(axis=1, keepdims=True)
    each = np.stack([share.estimate for share in tables.values()])
    n = min((one.shape[1] for one in times if one.shape[1] > 1), default=1)
    by_seeds = (weights @ each - each.mean(axis=0)) * np.sqrt(n / max(n - 1, 1))
    replicates = share.replicates + by_seeds
    if share.asked and draws.luck:
        different = dict.fromkeys(models)
        fewest = min(draws.seeds[model].shape[1] for model in models)
        separate_pairs = max(fewest * len(different) / len(models), 1)
        p = np.clip(share.estimate, 0, 1)
        expected = p * (1 - p) / share.asked / separate_pairs
        missing = np.maximum(expected - by_seeds.var(axis=0), 0)
        luck = sum(draws.luck[model] for model in different) / np.sqrt(len(different))
        replicates = replicates + luck[:, None] * np.sqrt(missing)
    return share._replace(replicates=replicates)


def interval(share: Shares, tau: float, lowest: float = 0.0) -> Interval:
    """The share at one of its thresholds, with its interval, all within `lowest`…1.

    Raises:
        FeatrackError: a threshold that was not computed.
    """
    t = at(share, tau)
    bounds = around(share.replicates[:, t])
    return Interval(*(float(np.clip(x, lowest, 1)) for x in (share.estimate[t], *bounds)))


def difference(minuend: Shares, subtrahend: Shares, tau: float) -> Interval:
    """One share less another at τ, its interval from the same draws of both."""
    return interval(combined(np.subtract, minuend, subtrahend), tau, lowest=-1.0)


def ratio(top: Shares, bottom: Shares, tau: float, lowest: float = 0.0) -> Interval:
    """One share over another at τ, its interval from the same draws of both; not below `lowest`.

    Undefined (NaN) where the bottom can't be told from zero.

    Raises:
        FeatrackError: a threshold that wasn't counted.
    """
    t = at(bottom, tau)
    below = bottom.replicates[:, t]
    if not bottom.estimate[t] > 0 or (below <= 0).any():
        return UNDEFINED
    figures = top.estimate[t] / bottom.estimate[t], *around(top.replicates[:, t] / below)
    return Interval(*(max(float(x), lowest) for x in figures))


def around(replicates: np.ndarray) -> tuple[float, float]:
    """Percentile bounds of corrected replicates; NaN of none."""
    if not len(replicates):
        return np.nan, np.nan
    low, high = np.quantile(replicates, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def at(share: Shares, tau: float) -> int:
    """Position of a threshold among the ones computed."""
    found = np.flatnonzero(np.isclose(share.taus, tau))
    if found.size == 0:
        raise FeatrackError(f"There is no share at τ = {tau}, only at {share.taus.tolist()}.")
    return int(found[0])

"""How well the pipeline recovers shares that were planted in simulated activations.

See `book/method.md`, simulation.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from scipy import stats

from featrack_utils.errors import FeatrackError
from featrack_utils.statistics.bootstrap import resample
from featrack_utils.statistics.intervals import LEVEL, Interval, interval, shares
from featrack_utils.statistics.simulation import Plan, simulate, true_best_r

PAIR = ("parent", 0), ("child", 0)


class Calibration(NamedTuple):
    """What the pipeline made of planted features, over several simulated sets."""

    planted: float  # mean share of eligible parent features with a true r > τ
    share: Interval  # mean of the share reported, over sets
    raw: Interval  # mean of the share as counted, before its noise is corrected
    bias: Interval  # mean of reported − planted, over sets
    sensitivity: Interval | None  # called / truly persisting features; None: none planted
    specificity: Interval | None  # not called / truly not persisting ones; None: none planted
    coverage: Interval  # share of sets whose 95 % interval holds the planted share


def calibrate(
    planted_share: float,
    rho: tuple[float, float],
    *,
    tau: float = 0.8,
    sets: int = 5,
    replicates: int = 200,
    seed: int = 0,
    plan: Plan | None = None,
) -> Calibration:
    """Run correlation, matching and bootstrap on simulated pairs of dictionaries.

    `planted_share` is of the parent's features that are not dead, `rho` the range of true
    mates' population r; the rest of the `plan` (default: `Plan()`) stays. Intervals of means
    are Student's over sets, those of proportions Wilson's over features or sets.

    Raises: FeatrackError: fewer than two sets, or a plan that can't be met.
    """
    if sets < 2:
        raise FeatrackError("Calibration needs at least two simulated sets for its intervals.")
    plan = replace(plan or Plan(), persisting=planted_share, rho=rho, seeds=1)
    rows, called_truth = [], []
    for number in range(sets):
        simulated = simulate(plan, seed + number)
        sides = {"parent": simulated.parent, "child": simulated.child}
        sample = resample(sides, [tau], tau=tau, replicates=replicates, seed=seed + number)
        (matched,) = sample.matched([PAIR]).values()
        called = matched.best_r[matched.asked] > tau
        true_r = true_best_r(simulated.parent_truth[0], simulated.child_truth[0])
        truth = true_r[matched.asked] > tau
        share, low, high = interval(shares(matched), tau)
        rows.append((truth.mean(), share, called.mean(), low <= truth.mean() <= high))
        called_truth.append(np.stack([called, truth]))
    planted, share, raw, holds = np.array(rows, dtype=float).T
    called, truth = np.concatenate(called_truth, axis=1)
    return Calibration(
        planted=float(planted.mean()),
        share=mean_interval(share),
        raw=mean_interval(raw),
        bias=mean_interval(share - planted),
        sensitivity=proportion(called[truth]),
        specificity=proportion(~called[~truth]),
        coverage=proportion(holds > 0),
    )


def mean_interval(values: np.ndarray) -> Interval:
    """A mean with Student's 95 % interval; values [n], n ≥ 2."""
    half = stats.t.ppf((1 + LEVEL) / 2, values.size - 1) * stats.sem(values)
    return Interval(*(float(values.mean() + side * half) for side in (0, -1, 1)))


def proportion(hits: Sequence[bool] | np.ndarray) -> Interval | None:
    """A share of hits with Wilson's 95 % interval; None of none."""
    if len(hits) == 0:
        return None
    test = stats.binomtest(int(np.sum(hits)), len(hits))
    bounds = test.proportion_ci(LEVEL, method="wilson")
    return Interval(float(test.statistic), float(bounds.low), float(bounds.high))

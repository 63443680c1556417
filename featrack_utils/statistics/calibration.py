"""How well the pipeline recovers shares that were planted in simulated activations.

See `book/method.md`, simulation.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats
from tqdm import tqdm

from featrack_utils.errors import FeatrackError
from featrack_utils.matching.classes import classify, eligible
from featrack_utils.matching.correlation import correlations
from featrack_utils.matching.sums import check_correlation
from featrack_utils.statistics.bootstrap import bootstrap, draw
from featrack_utils.statistics.intervals import LEVEL, Interval, interval, shares
from featrack_utils.statistics.simulation import Plan, simulate, true_best_r

COVERAGE = Path(__file__).parents[2] / "benchmarks" / "coverage.json"
_COVERAGE_KEYS = ("size", "figure", "rho", "planted", "bias", "coverage", "sets")


class Calibration(NamedTuple):
    """What the pipeline made of planted features, over several simulated sets."""

    planted: float  # mean share of eligible parent features with a true r > τ
    share: Interval  # mean share called persisting, over sets
    bias: Interval  # mean of called − planted, over sets
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

    Raises: FeatrackError: τ outside (0, 1), fewer than two sets, or a plan that can't be met.
    """
    check_correlation(tau, "tau")
    if sets < 2:
        raise FeatrackError("Calibration needs at least two simulated sets for its intervals.")
    plan = replace(plan or Plan(), persisting=planted_share, rho=rho, seeds=1)
    rows, called_truth = [], []
    for number in tqdm(range(sets), desc=f"calibrating {planted_share:.0%}"):
        simulated = simulate(plan, seed + number)
        parent, child = simulated.parent[0], simulated.child[0]
        masks = [eligible(side.acts, side.origin) for side in (parent, child)]
        best = correlations(parent.acts, child.acts, eligible_a=masks[0], eligible_b=masks[1])
        called = classify(best, tau).parent == "persisting"
        truth = true_best_r(simulated.parent_truth[0], simulated.child_truth[0]) > tau
        draws = draw(parent, {"simulated": 1}, replicates, seed + number)
        matched, _ = bootstrap(parent, child, *masks, draws, [tau])
        _, low, high = interval(shares(matched), tau)
        asked = best.a_candidates
        planted = truth[asked].mean()
        rows.append((planted, called[asked].mean(), low <= planted <= high))
        called_truth.append(np.stack([called[asked], truth[asked]]))
    planted, share, holds = np.array(rows, dtype=float).T
    called, truth = np.concatenate(called_truth, axis=1)
    return Calibration(
        planted=float(planted.mean()),
        share=mean_interval(share),
        bias=mean_interval(share - planted),
        sensitivity=proportion(called[truth]),
        specificity=proportion(~called[~truth]),
        coverage=proportion(holds > 0),
    )


def measured_coverage(path: Path = COVERAGE) -> pd.DataFrame:
    """How often 95 % intervals held the truth, as benchmarks/coverage.py measured it.

    One row per size of mix, figure and regime: size and figure (words), rho_low and rho_high (range
    of the mates' true r), planted and bias (shares), sets, and coverage with Wilson's interval
    over the sets in coverage.ci_low and coverage.ci_high.

    Raises: FeatrackError: the file is missing or holds something else.
    """
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        table = pd.DataFrame([{key: row[key] for key in _COVERAGE_KEYS} for row in rows])
        table["rho_low"], table["rho_high"] = zip(*table.pop("rho"), strict=True)
        held = (table["coverage"] * table["sets"]).round().astype(int)
        bounds = [
            stats.binomtest(k, n).proportion_ci(LEVEL, method="wilson")
            for k, n in zip(held, table["sets"], strict=True)
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FeatrackError(
            f"{path} holds no table of coverage ({error}); run `python benchmarks/coverage.py`."
        ) from error
    table["coverage.ci_low"] = [bound.low for bound in bounds]
    table["coverage.ci_high"] = [bound.high for bound in bounds]
    return table


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

"""How well the pipeline recovers shares that were planted in simulated activations."""

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
from featrack_utils.statistics.curves import ratio_to_ceiling
from featrack_utils.statistics.intervals import LEVEL, Interval, interval, over_seeds, shares
from featrack_utils.statistics.simulation import Plan, Planted, simulate, true_best_r

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
        share=_mean(share),
        bias=_mean(share - planted),
        sensitivity=_proportion(called[truth]),
        specificity=_proportion(~called[~truth]),
        coverage=_proportion(holds > 0),
    )


def calibrate_seeds(
    trained: int, plan: Plan, *, tau: float = 0.8, sets: int, replicates: int = 200, seed: int = 0
) -> dict[str, tuple[float, Interval, Interval]]:
    """How often intervals over SAE seeds hold what all seeds there could be would show.

    Of each simulated set's `plan.seeds` dictionaries a model, `trained` are looked at; the truth
    is the mean of true shares over the others, so that no dictionary is compared with itself. For
    the "share" kept, its "ceiling" and their "ratio": mean truth, bias (estimate − truth, with
    Student's interval) and coverage (with Wilson's). No "ratio" where no ceiling can be told
    from zero.

    Raises: FeatrackError: fewer than two seeds trained, or than two others.
    """
    if not 2 <= trained <= plan.seeds - 2:
        raise FeatrackError(
            f"{trained} of {plan.seeds} seeds can't be looked at: two are needed, and two others."
        )
    rows: dict[str, list] = {"share": [], "ceiling": [], "ratio": []}
    for number in tqdm(range(sets), desc=f"calibrating {trained} seeds"):
        simulated = simulate(plan, seed + number)
        sides = (simulated.parent, simulated.child)
        asked = (sides[0], sides[1][:trained])
        masks = [[eligible(one.acts, one.origin) for one in side] for side in asked]
        draws = draw(sides[0][0], {"parent": trained, "child": trained}, replicates, seed + number)
        kept, own = {}, {}
        for s, t in np.ndindex(trained, trained):
            place = (sides[0][s], sides[1][t], masks[0][s], masks[1][t])
            kept[s, t] = shares(bootstrap(*place, draws, [tau])[0])
            if s < t:
                place = (sides[0][s], sides[0][t], masks[0][s], masks[0][t])
                own[s, t], own[t, s] = map(shares, bootstrap(*place, draws, [tau]))
        found = {
            "share": over_seeds(kept, draws, "parent", "child"),
            "ceiling": over_seeds(own, draws, "parent", "parent"),
        }
        truth = _over_others(simulated, masks[0], trained, tau)
        intervals = {name: interval(share, tau) for name, share in found.items()}
        ratio = ratio_to_ceiling(found["share"], found["ceiling"], tau)
        if ratio:  # where the ceiling can't be told from zero, nothing is said
            intervals["ratio"] = ratio
        for name, (estimate, low, high) in intervals.items():
            rows[name].append((truth[name], estimate - truth[name], low <= truth[name] <= high))
    columns = {name: np.array(found, float).T for name, found in rows.items() if found}
    return {
        name: (float(truth.mean()), _mean(error), _proportion(held > 0))
        for name, (truth, error, held) in columns.items()
    }


def _over_others(
    simulated: Planted, masks: list[np.ndarray], trained: int, tau: float
) -> dict[str, float]:
    """True figures of the seeds from number `trained` on."""
    parent, child = simulated.parent_truth[trained:], simulated.child_truth[trained:]

    def mean(others: list, skip: bool) -> float:
        return float(
            np.mean(
                [
                    (true_best_r(a, b)[mask] > tau).mean()
                    for s, (a, mask) in enumerate(zip(parent, masks[trained:], strict=True))
                    for t, b in enumerate(others)
                    if not (skip and s == t)
                ]
            )
        )

    share, ceiling = mean(child, False), mean(parent, True)
    return {"share": share, "ceiling": ceiling, "ratio": share / ceiling}


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


def _mean(values: np.ndarray) -> Interval:
    half = stats.t.ppf((1 + LEVEL) / 2, values.size - 1) * stats.sem(values)
    return Interval(*(float(values.mean() + side * half) for side in (0, -1, 1)))


def _proportion(hits: Sequence[bool] | np.ndarray) -> Interval | None:
    if len(hits) == 0:
        return None
    test = stats.binomtest(int(np.sum(hits)), len(hits))
    bounds = test.proportion_ci(LEVEL, method="wilson")
    return Interval(float(test.statistic), float(bounds.low), float(bounds.high))

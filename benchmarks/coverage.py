"""How often do the 95 % intervals of a share hold the truth? Writes benchmarks/coverage.json.

The truth is the share in the population of documents, known from the simulation's plan; where
dictionaries of several seeds are simulated, the mean over many other seeds.
Usage: python benchmarks/coverage.py [number of sets per case]
"""

import itertools
import json
import logging
import math
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numba
import numpy as np

from featrack_utils.errors import FeatrackError
from featrack_utils.matching.classes import eligible
from featrack_utils.statistics.bootstrap import bootstrap, draw
from featrack_utils.statistics.calibration import calibrate, mean_interval, proportion
from featrack_utils.statistics.intervals import Interval, interval, over_seeds, shares
from featrack_utils.statistics.persistence import ratio
from featrack_utils.statistics.simulation import Plan, Planted, simulate, true_best_r

# Sizes of evaluation mix with few features, where chance dominates, and with many, where bias
# would; with documents that are independent, and with groups of three that are not.
KINDS = {"splitting": 0.0, "copies": 0.1, "dense": 0.02, "dead": 0.05}
SIZES = {
    "80 features, 100 documents": Plan(80, 100, 100, density=0.01, density_spread=0.8, **KINDS),
    "80 features, 300 documents": Plan(80, 300, 150, density=0.006, density_spread=1.0, **KINDS),
    "80 features, 300 documents in threes": Plan(
        80, 300, 150, 3, density=0.006, density_spread=1.0, **KINDS
    ),
    "1,000 features, 300 documents": Plan(
        1000, 300, 150, density=0.006, density_spread=1.0, **KINDS
    ),
    "1,000 features, 300 documents in threes": Plan(
        1000, 300, 150, 3, density=0.006, density_spread=1.0, **KINDS
    ),
}
# Sets that no choice was made by: everything was chosen on others, with seeds below this.
SEED = 200_000
# (persisting share, range of the mates' true r): far from τ = 0.8, around it, below it
REGIMES = (
    (0.5, (0.5, 1.0)),
    (0.5, (0.75, 1.0)),
    (0.5, (0.9, 0.9)),
    (0.5, (0.7, 0.9)),
    (0.8, (0.3, 0.85)),
)
# Each dictionary has found 60 % of its model's features; those beside the two or three that are
# looked at stand for all there could be.
SEVERAL = Plan(
    400,
    300,
    150,
    3,
    rho=(0.6, 1.0),
    density=0.006,
    density_spread=1.0,
    capture=0.6,
    seeds=36,
    **KINDS,
)


def main(sets: int) -> None:
    cases = [(_single, *case, sets) for case in itertools.product(SIZES, REGIMES)]
    cases += [(_seeds, trained, sets) for trained in (2, 3)]
    with ProcessPoolExecutor(initializer=_begin) as pool:
        longest_first = [pool.submit(*case) for case in reversed(cases)]
        rows = list(itertools.chain.from_iterable(done.result() for done in longest_first[::-1]))
    target = Path(__file__).with_name("coverage.json")
    target.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def _begin() -> None:
    numba.config.NUMBA_NUM_THREADS = 1  # the other cores have other cases
    logging.getLogger("featrack_utils").setLevel(logging.ERROR)
    logging.basicConfig(level=logging.INFO, format="%(message)s")


def _single(size: str, regime: tuple, sets: int) -> list[dict]:
    share, rho = regime
    found = calibrate(share, rho, sets=sets, replicates=300, seed=SEED, plan=SIZES[size])
    return [_row(size, "share", rho, found.planted, found.bias, found.coverage, sets)]


def _seeds(trained: int, sets: int) -> list[dict]:
    found = calibrate_seeds(trained, SEVERAL, sets=sets, seed=SEED)
    size = f"400 features, {trained} seeds, 300 documents in threes"
    return [_row(size, figure, SEVERAL.rho, *of, sets) for figure, of in found.items()]


def _row(
    size: str, figure: str, rho: tuple, planted: float, bias: Interval, held: Interval, sets: int
) -> dict:
    row = {
        "size": size,
        "figure": figure,
        "rho": rho,
        "planted": planted,
        "bias": bias.estimate,
        "coverage": held.estimate,
        "coverage.ci_low": held.low,
        "coverage.ci_high": held.high,
        "sets": sets,
    }
    logging.info("%s", row)
    return row


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
    for number in range(sets):
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
        of_ceiling = ratio(found["share"], found["ceiling"], tau)
        if not math.isnan(of_ceiling.estimate):  # otherwise the ceiling can't be told from zero
            intervals["ratio"] = of_ceiling
        for name, (estimate, low, high) in intervals.items():
            rows[name].append((truth[name], estimate - truth[name], low <= truth[name] <= high))
    columns = {name: np.array(found, float).T for name, found in rows.items() if found}
    return {
        name: (float(truth.mean()), mean_interval(error), proportion(held > 0))
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


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)

"""How often do the 95 % intervals of a share hold the truth? Writes benchmarks/coverage.json.

The truth is the share in the population of documents, known from the simulation's plan; where
dictionaries of several seeds are simulated, the mean over many other seeds.
Usage: python benchmarks/coverage.py [number of sets per case]
"""

import itertools
import json
import logging
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numba

from featrack_utils.statistics.calibration import calibrate, calibrate_seeds
from featrack_utils.statistics.intervals import Interval
from featrack_utils.statistics.simulation import Plan

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


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)

"""How often do the 95 % intervals of a share hold the truth? Writes benchmarks/coverage.json.

The truth is the share in the population of documents, known from the simulation's plan.
Usage: python benchmarks/coverage.py [number of sets per regime]
"""

import json
import logging
import sys
from pathlib import Path

from featrack_utils.calibration import calibrate
from featrack_utils.simulate import Plan

# Sizes of evaluation mix with few features, where chance dominates, and with many, where bias
# would; with documents that are independent, and with groups of three that are not.
KINDS = {"splitting": 0.0, "copies": 0.1, "dense": 0.02, "dead": 0.05}
SIZES = {
    "80 features, 100 documents of 100 tokens": Plan(
        80, 100, 100, density=0.01, density_spread=0.8, **KINDS
    ),
    "80 features, 300 documents of 150 tokens": Plan(
        80, 300, 150, density=0.006, density_spread=1.0, **KINDS
    ),
    "80 features, 300 documents of 150 tokens, groups of 3": Plan(
        80, 300, 150, 3, density=0.006, density_spread=1.0, **KINDS
    ),
    "1,000 features, 300 documents of 150 tokens": Plan(
        1000, 300, 150, density=0.006, density_spread=1.0, **KINDS
    ),
    "1,000 features, 300 documents of 150 tokens, groups of 3": Plan(
        1000, 300, 150, 3, density=0.006, density_spread=1.0, **KINDS
    ),
}
SEED = 50_000  # not the sets on which `intervals.WIDEN` was chosen
# (persisting share, range of the mates' true r): far from τ = 0.8, around it, below it
REGIMES = (
    (0.5, (0.5, 1.0)),
    (0.5, (0.75, 1.0)),
    (0.5, (0.9, 0.9)),
    (0.5, (0.7, 0.9)),
    (0.8, (0.3, 0.85)),
)


def main(sets: int) -> None:
    logging.getLogger("featrack_utils.intervals").setLevel(logging.ERROR)
    rows = []
    for size, plan in SIZES.items():
        for share, rho in REGIMES:
            result = calibrate(share, rho, sets=sets, replicates=300, seed=SEED, plan=plan)
            rows.append(
                {
                    "size": size,
                    "rho": rho,
                    "planted": result.planted,
                    "bias": result.bias.estimate,
                    "coverage": result.coverage.estimate,
                    "coverage.ci_low": result.coverage.low,
                    "coverage.ci_high": result.coverage.high,
                    "sets": sets,
                }
            )
            logging.info("%s", rows[-1])
    target = Path(__file__).with_name("coverage.json")
    target.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)

"""What the pipeline makes of planted shares at full size. Writes benchmarks/calibration.json.

Dictionaries of 2,048 features on 500 documents, many simulated sets for each planted share. The
goal: planted shares of 5, 20, 50 and 80 % within two points where true mates have r ≥ 0.9, and at
most 1 % called persisting where nothing persists.

    python -m benchmarks.calibration [SETS]
"""

import argparse
import json
import logging
import time
from dataclasses import replace
from pathlib import Path

from featrack_utils.statistics.persistence import flat
from tests.simulated import Calibration, Plan, calibrate

log = logging.getLogger("benchmarks.calibration")

RESULTS = Path(__file__).with_name("calibration.json")
PLAN = Plan(n_features=2048, n_documents=500, tokens_per_document=200)
# (planted share, range of the mates' true r): clear mates, and mates around the threshold
REGIMES = (
    (0.0, (0.9, 1.0)),
    (0.05, (0.9, 1.0)),
    (0.2, (0.9, 1.0)),
    (0.5, (0.9, 1.0)),
    (0.8, (0.9, 1.0)),
    (0.5, (0.5, 1.0)),
)
REPLICATES = 50  # for the coverage alone, which coverage.py measures at leisure


def row(rho: tuple[float, float], result: Calibration, sets: int, seconds: float) -> dict:
    """One regime's figures, flat."""
    names = ("share", "bias", "sensitivity", "specificity", "coverage")
    figures = [flat(name, getattr(result, name)) for name in names]
    rounded = {key: v if v is None else round(v, 5) for part in figures for key, v in part.items()}
    planted = {
        "planted": round(result.planted, 5),
        "rho": rho,
        "sets": sets,
        "features": PLAN.n_features,
        "seconds": round(seconds, 1),
    }
    return planted | rounded


def main(sets: int) -> None:
    logging.getLogger("featrack_utils").setLevel(logging.ERROR)
    rows = []
    for share, rho in REGIMES:
        begun = time.perf_counter()
        plan = replace(PLAN, persisting=share, rho=rho)
        result = calibrate(plan, sets=sets, replicates=REPLICATES, seed=20_000)
        rows.append(row(rho, result, sets, time.perf_counter() - begun))
        log.info("%s", rows[-1])
    RESULTS.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("sets", type=int, nargs="?", default=20, help="of each planted share")
    main(**vars(parser.parse_args()))

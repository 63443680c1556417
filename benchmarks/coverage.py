"""How often do the 95 % intervals of a share hold the truth? Writes benchmarks/coverage.json.

The truth is the share in the population of documents, known from the simulation's plan; where
dictionaries of several seeds are simulated, the mean over many other seeds. Beside the package's
intervals stand those of a delete-a-group jackknife, which would be simpler.

    python -m benchmarks.coverage [SETS] [PART]

Cases that aren't run keep their rows. All cases take about eight core-seconds a set.
"""

import argparse
import itertools
import json
import logging
import math
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import numba
import numpy as np
from scipy import stats

from featrack_utils.dictionaries.features import Features
from featrack_utils.matching.classes import eligible
from featrack_utils.statistics.bootstrap import Draws, Sample, resample
from featrack_utils.statistics.intervals import LEVEL, Interval
from featrack_utils.statistics.persistence import persistence
from tests.simulated import (
    PAIR,
    Plan,
    Planted,
    Truth,
    calibrate,
    mean_interval,
    proportion,
    simulate,
    true_best_r,
)

# Sizes of evaluation mix with few features, where chance dominates, and with many, where bias
# would; with documents that are independent, in groups of three, and in twelve groups a domain.
FEW = Plan(80, 300, 150, density=0.006, density_spread=1.0, splitting=0.0)
MANY = replace(FEW, n_features=1000)
TWELVE = dict(n_documents=240, group_size=5)
SIZES = {
    "80 features, 100 documents": replace(
        FEW, n_documents=100, tokens_per_document=100, density=0.01, density_spread=0.8
    ),
    "80 features, 300 documents in threes": replace(FEW, group_size=3),
    "80 features, 12 groups a domain": replace(FEW, **TWELVE),
    "1,000 features, 300 documents in threes": replace(MANY, group_size=3),
    "1,000 features, 12 groups a domain": replace(MANY, **TWELVE),
}
# Of the first simulated set; the others follow.
SEED = 400_000
TAU = 0.8
# (persisting share, range of the mates' true r): far from τ, around it, below it
REGIMES = (
    (0.5, (0.5, 1.0)),
    (0.5, (0.75, 1.0)),
    (0.5, (0.9, 0.9)),
    (0.5, (0.7, 0.9)),
    (0.8, (0.3, 0.85)),
)
# Each dictionary has found 60 % of its model's features; those beside the two or three that are
# looked at stand for all there could be.
SEVERAL = replace(FEW, n_features=400, rho=(0.6, 1.0), capture=0.6, seeds=16, **TWELVE)


def main(sets: int, part: str) -> None:
    target = Path(__file__).with_name("coverage.json")
    cases = {
        (size, *regime): (_single, size, regime, sets)
        for size, regime in itertools.product(SIZES, REGIMES)
    }
    cases |= {
        (f"400 features, {trained} seeds, 12 groups a domain",): (_seeds, trained, sets)
        for trained in (2, 3)
    }
    kept = {}
    if target.exists():
        for row in json.loads(target.read_text(encoding="utf-8")):
            kept.setdefault(row["size"], []).append(row)
    chosen = {name: case for name, case in cases.items() if part in name[0]}
    with ProcessPoolExecutor(initializer=_begin) as pool:
        # The last cases are the longest: they begin first, so that no core waits at the end.
        waiting = {name: pool.submit(*case) for name, case in reversed(chosen.items())}
        made = {name: waiting[name].result() for name in chosen}
    rows = []
    for size in dict.fromkeys(name[0] for name in cases):
        new = [row for name, each in made.items() if name[0] == size for row in each]
        rows += new or kept.get(size, [])
    target.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def _begin() -> None:
    numba.config.NUMBA_NUM_THREADS = 1  # the other cores have other cases
    logging.getLogger("featrack_utils").setLevel(logging.ERROR)
    logging.basicConfig(level=logging.INFO, format="%(message)s")


def _single(size: str, regime: tuple, sets: int) -> list[dict]:
    plan = replace(SIZES[size], persisting=regime[0], rho=regime[1])
    found = calibrate(plan, tau=TAU, sets=sets, seed=SEED)
    row = _row(size, "share", regime[1], found.planted, found.bias, found.coverage, sets)
    row["jackknife"], row["jackknife.raw"] = _jackknife_coverage(plan, sets)
    logging.info("%s", row)
    return [row]


def _seeds(trained: int, sets: int) -> list[dict]:
    found = calibrate_seeds(trained, SEVERAL, tau=TAU, sets=sets, seed=SEED)
    size = f"400 features, {trained} seeds, 12 groups a domain"
    rows = [_row(size, figure, SEVERAL.rho, *of, sets) for figure, of in found.items()]
    logging.info("%s", rows)
    return rows


def _row(
    size: str, figure: str, rho: tuple, planted: float, bias: Interval, held: Interval, sets: int
) -> dict:
    return {
        "size": size,
        "figure": figure,
        "rho": rho,
        "planted": round(planted, 4),
        "bias": round(bias.estimate, 4),
        "coverage": held.estimate,
        "coverage.ci_low": held.low,
        "coverage.ci_high": held.high,
        "sets": sets,
    }


def _jackknife_coverage(plan: Plan, sets: int) -> tuple[float, float]:
    """Coverage of jackknife intervals around the corrected and around the raw share."""
    held = []
    for number in range(sets):
        simulated = simulate(plan, SEED + number)
        sides = {"parent": simulated.parent, "child": simulated.child}
        able = {m: [eligible(one.acts, one.origin) for one in side] for m, side in sides.items()}
        weights = leave_out(simulated.parent[0], 12, np.random.default_rng(number))
        sample = Sample(sides, able, Draws(weights, {}), [TAU], TAU)
        (matched,) = sample.matched([PAIR]).values()
        true_r = true_best_r(simulated.parent_truth[0], simulated.child_truth[0])
        truth = (true_r[matched.asked] > TAU).mean()
        share = (matched.best_r[matched.asked] > TAU).mean()
        replicates = slice(1, 1 + len(weights))
        without = (matched.exceeded[matched.asked, replicates] > 0).mean(axis=0)
        for centre, half in jackknife(share, without):
            held.append(abs(centre - truth) <= half)
    return tuple(np.reshape(held, (-1, 2)).mean(axis=0).tolist())


def leave_out(features: Features, n_blocks: int, rng: np.random.Generator) -> np.ndarray:
    """0 for each block's documents, 1 for all others, float64 [n_blocks, n_documents].

    Every domain's groups are dealt out to the blocks in equal numbers.
    """
    weights = np.ones((n_blocks, int(features.origin.max()) + 1))
    for domain in np.unique(features.domain):
        here = features.domain == domain
        documents, first = np.unique(features.origin[here], return_index=True)
        place = np.unique(features.group[here][first], return_inverse=True)[1]
        block = rng.permutation(place.max() + 1) % n_blocks
        weights[block[place], documents] = 0
    return weights


def jackknife(share: float, without: np.ndarray) -> list[tuple[float, float]]:
    """Centre and half width of 95 % intervals, around the corrected and around the raw share.

    `without` [n_blocks] is the share with each block of groups left out.
    """
    n = without.size
    half = stats.t.ppf((1 + LEVEL) / 2, n - 1) * np.sqrt((n - 1) * without.var())
    return [(n * share - (n - 1) * without.mean(), half), (share, half)]


def calibrate_seeds(
    trained: int, plan: Plan, *, tau: float = 0.8, sets: int, replicates: int = 200, seed: int = 0
) -> dict[str, tuple[float, Interval, Interval]]:
    """How often intervals over SAE seeds hold what all seeds there could be would show.

    Of each simulated set's `plan.seeds` dictionaries a model, `trained` are looked at; the truth
    is the mean of true shares over the others, so that no dictionary is compared with itself. For
    the "share" kept, its "ceiling" and their "ratio": mean truth, bias (estimate − truth, with
    Student's interval) and coverage (with Wilson's). No "ratio" where no ceiling can be told
    from zero.
    """
    rows: dict[str, list] = {"share": [], "ceiling": [], "ratio": []}
    for number in range(sets):
        simulated = simulate(plan, seed + number)
        asked = {"parent": simulated.parent[:trained], "child": simulated.child[:trained]}
        sample = resample(asked, [tau], tau=tau, replicates=replicates, seed=seed + number)
        kept = persistence(sample, "parent", "child")
        truth = _over_others(simulated, trained, tau)
        for name in rows:
            estimate, low, high = getattr(kept, name)()
            if not math.isnan(estimate):  # a ratio to a ceiling that can't be told from zero
                rows[name].append((truth[name], estimate - truth[name], low <= truth[name] <= high))
    columns = {name: np.array(found, float).T for name, found in rows.items() if found}
    return {
        name: (float(truth.mean()), mean_interval(error), proportion(held > 0))
        for name, (truth, error, held) in columns.items()
    }


def _over_others(simulated: Planted, trained: int, tau: float) -> dict[str, float]:
    """True figures of the seeds from number `trained` on."""
    parent, child = simulated.parent_truth[trained:], simulated.child_truth[trained:]
    masks = [eligible(one.acts, one.origin) for one in simulated.parent[trained:]]

    def mean(others: list[Truth]) -> float:
        return np.mean(
            [
                (true_best_r(a, b)[mask] > tau).mean()
                for a, mask in zip(parent, masks, strict=True)
                for b in others
                if a is not b
            ]
        )

    share, ceiling = mean(child), mean(parent)
    return {"share": share, "ceiling": ceiling, "ratio": share / ceiling}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("sets", type=int, nargs="?", default=200, help="of each case")
    parser.add_argument("part", nargs="?", default="", help="a part of the cases' names")
    main(**vars(parser.parse_args()))

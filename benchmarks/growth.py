"""How time and memory grow with tokens, features and seeds: fitted exponents.

Each size is measured in a fork of its own: core-seconds, and by how much memory at its most
exceeds what was there before. An exponent is the slope of their logarithms over the sizes, which
double each time; 1 is proportional, and what is paid once whatever the size makes it smaller. All
on one thread and on made-up data. Names in results.json: `growth_<what>_with_<of which>`, and the
same with `_memory`.
"""

import argparse
import ctypes
import gc
import logging
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from benchmarks.correlate import made_up
from benchmarks.training import CONTEXT, made_up_text, new_model
from benchmarks.write_page import keep
from featrack_utils.dictionaries.activations import Buffers
from featrack_utils.dictionaries.features import Features
from featrack_utils.dictionaries.training import train_sae
from featrack_utils.matching.correlation import correlations
from featrack_utils.statistics.bootstrap import resample
from tests import explorer_data

ROUNDS = 3  # the median of these is a size's
ACTIVE = 30  # features a token, as in quick's dictionaries
DOCUMENT = 400  # tokens
log = logging.getLogger("growth")


def measured(work: Callable[[], object]) -> tuple[float, float]:
    """Core-seconds of some work in a fork, and the megabytes that it needed at its most."""
    answer, question = multiprocessing.Pipe(duplex=False)
    # Or the work would be given memory that was freed before, which counts as there.
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)

    def fork() -> None:
        before = resource.getrusage(resource.RUSAGE_SELF)
        started = time.process_time()
        work()
        seconds = time.process_time() - started
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        question.send((seconds, (most - before.ru_maxrss) / 1024))

    process = multiprocessing.get_context("fork").Process(target=fork)
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit("growth: a measurement failed; its error stands above.")
    return answer.recv()


def capture(tokens: int) -> Callable[[], object]:
    model, blocks = new_model(0), made_up_text(tokens // CONTEXT)

    def work() -> None:
        buffers = Buffers(model, blocks)
        for i in range(len(buffers)):
            buffers[i]

    return work


def dictionary(tokens: int = 2**17, features: int = 1024) -> Callable[[], object]:
    buffers = Buffers(new_model(0), made_up_text(-(-tokens // (CONTEXT - 1)) + 1))
    for i in range(len(buffers)):
        buffers[i]  # captured before, since capture is measured by itself
    given = dict(architecture="standard", expansion=1, d_sae=features, l1_coefficient=2.0, k=1)
    given |= dict(learning_rate=2e-3, train_tokens=tokens, batch_tokens=1024, seed=0)

    def work() -> None:
        with tempfile.TemporaryDirectory() as place:
            train_sae(buffers, Path(place), precision="float32", **given)

    return work


def correlation(tokens: int = 100_000, features: int = 2048) -> Callable[[], object]:
    a, b = (made_up(tokens, features, ACTIVE, seed) for seed in (0, 1))
    return lambda: correlations(a, b, threads=1)


def bootstrap(tokens: int = 50_000, features: int = 1024, seeds: int = 2) -> Callable[[], object]:
    """Each dictionary of a model matched with each of another, in 200 draws of documents."""
    origin = np.arange(tokens) // DOCUMENT
    same = np.zeros(tokens, np.int8)
    models = {
        model: [
            Features(made_up(tokens, features, ACTIVE, 10 * m + s), origin, same, origin)
            for s in range(seeds)
        ]
        for m, model in enumerate(("parent", "child"))
    }
    pairs = [(("parent", s), ("child", t)) for s in range(seeds) for t in range(seeds)]

    def work() -> None:
        sample = resample(models, [0.8], tau=0.8, replicates=200, seed=0)
        sample.matched(pairs)

    return work


def explorer_size(features: int) -> float:
    """Megabytes of the explorer's data for four models of so many features."""
    with tempfile.TemporaryDirectory() as folder:
        page, _ = explorer_data.make_site(Path(folder), d_sae=features)
        data = page.parents[1] / "_static" / "explorer" / "data"
        return sum(file.stat().st_size for file in data.iterdir()) / 1e6


def exponent(sizes: list[int], values: list[float]) -> float:
    """Slope of the logarithms, by least squares."""
    return float(np.polyfit(np.log(sizes), np.log(np.maximum(values, 1e-9)), 1)[0])


MEASURED = {
    "capture": (capture, {"tokens": [2**15, 2**16, 2**17, 2**18]}),
    "dictionary": (
        dictionary,
        {"tokens": [2**16, 2**17, 2**18], "features": [1024, 2048, 4096]},
    ),
    "correlation": (
        correlation,
        {"tokens": [100_000, 200_000, 400_000], "features": [1024, 2048, 4096]},
    ),
    "bootstrap": (
        bootstrap,
        {
            # Pages and caches make single sizes a tenth cheaper or dearer: over a range of 4 that
            # would be .07 of the exponent.
            "tokens": [50_000, 100_000, 200_000, 400_000, 800_000],
            "features": [512, 1024, 2048],
            "seeds": [1, 2, 4],
        },
    ),
}


def main() -> None:
    """Measure and write the exponents into results.json, leaving other figures there."""
    argparse.ArgumentParser(description=main.__doc__).parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("sae_lens").setLevel(logging.WARNING)
    torch.set_num_threads(1)
    results = {}
    for what, (make, of) in MEASURED.items():
        make(**{next(iter(of)): min(next(iter(of.values())))})()  # compiles what is compiled
        for name, sizes in of.items():
            works = [make(**{name: size}) for size in sizes]
            rounds = np.array([[measured(work) for work in works] for _ in range(ROUNDS)])
            seconds, megabytes = np.median(rounds, axis=0).T
            key = f"growth_{what}_with_{name}"
            results[key] = exponent(sizes, seconds)
            results[f"{key}_memory"] = exponent(sizes, megabytes)
            log.info("%s: %s s, %s MB", key, seconds.round(2), megabytes.round(0))
    sizes = [512, 1024, 2048, 4096]
    results["growth_explorer_with_features_size"] = exponent(sizes, [*map(explorer_size, sizes)])
    keep(results)


if __name__ == "__main__":
    main()

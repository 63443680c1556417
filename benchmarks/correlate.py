"""How long the matches between two dictionaries take, four ways, side by side in one run.

    python -m benchmarks.correlate [--large] [--rounds 5]

The input is made up: heavy-tailed densities, some 31 active features a token. All four get the
same input and two threads, and (ii) and (iii) must give the same best matches as ours:

- ours, `featrack_utils.matching.correlation.correlations`: sums in float64;
- (i) the shape of the published procedure: a resizable HDF5 list per feature, to which each
  sample's (token, activation) entries are appended; then a table of means per token string,
  standardised densely and multiplied. NOT RUN IN FULL: the appending is timed on 480 tokens and
  EXTRAPOLATED LINEARLY to 200,000; the rest is timed as it is for these short lists and taken as
  it stands, so too low. A sample may be one token position (`published`) or a block of 24
  tokens appended at once (`published_blocks`): we give both, for the description leaves it open;
- (ii) a dense product in float32 with torch, by chunks of tokens;
- (iii) `scipy.sparse` AᵀB in float64, half of the features in each of two threads.

Times are medians over the rounds; `correlate_vs_*` says how many times faster ours is.
"""

import argparse
import logging
import os
import platform
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import torch
from scipy import sparse

from benchmarks.write_page import keep
from featrack_utils.matching.correlation import column_sums, correlations, inverse_scale

log = logging.getLogger("benchmarks.correlate")

THREADS = 2
TOKENS_RUN = 480  # tokens that (i) really appends
BLOCK = 24  # tokens per block, as published
VOCABULARY = 4096
CHUNK = 20_000  # tokens whose activations (ii) holds densely


def made_up(n_tokens: int, d_sae: int, l0: float, seed: int) -> sparse.csr_matrix:
    """Activations [n_tokens, d_sae] with log-normal densities that sum to about `l0`."""
    rng = np.random.default_rng(seed)
    density = rng.lognormal(sigma=1.2, size=d_sae)
    density = np.minimum(density * l0 / density.sum(), 0.3)
    where = [
        np.unique(rng.integers(0, n_tokens, rng.binomial(n_tokens, p), dtype=np.int32))
        for p in density
    ]
    pointers = np.cumsum([0, *map(len, where)])
    values = rng.exponential(size=pointers[-1]).astype(np.float32)
    columns = (values, np.concatenate(where), pointers)
    return sparse.csc_matrix(columns, shape=(n_tokens, d_sae)).tocsr()


def best_of(products: np.ndarray, a: sparse.csr_matrix, b: sparse.csr_matrix) -> np.ndarray:
    """Best r of each feature of a, from Σxy [d_a, d_b]."""
    n = a.shape[0]
    one, other = column_sums(a), column_sums(b)
    scale = inverse_scale(*one, n, None), inverse_scale(*other, n, None)
    products = products - np.outer(one[0] / n, other[0])
    products *= scale[0][:, None]
    products *= scale[1]
    return products.max(axis=1)


def ours(a: sparse.csr_matrix, b: sparse.csr_matrix) -> np.ndarray:
    """Best r of each feature of a by our own engine."""
    return correlations(a, b, threads=THREADS).a_best_r


def dense_float32(a: sparse.csr_matrix, b: sparse.csr_matrix) -> np.ndarray:
    """The same from dense float32 products."""
    products = torch.zeros(a.shape[1], b.shape[1])
    for start in range(0, a.shape[0], CHUNK):
        x, y = (torch.from_numpy(m[start : start + CHUNK].toarray()) for m in (a, b))
        products.addmm_(x.T, y)
    return best_of(products.numpy(), a, b)


def scipy_two_threads(a: sparse.csr_matrix, b: sparse.csr_matrix) -> np.ndarray:
    """The same from scipy's sparse product, half of a's features in each thread."""
    half = a.shape[1] // 2
    transposed = a.astype(np.float64).T.tocsr()
    right = b.astype(np.float64)
    with ThreadPoolExecutor(THREADS) as pool:
        halves = pool.map(
            lambda part: (part @ right).toarray(), (transposed[:half], transposed[half:])
        )
    return best_of(np.concatenate(list(halves)), a, b)


def published_shape(a: sparse.csr_matrix, b: sparse.csr_matrix, sample: int) -> float:
    """Seconds the published procedure would take, extrapolated from its first tokens."""
    tokens = np.random.default_rng(2).integers(0, VOCABULARY, a.shape[0])
    appending = rest = 0.0
    tables = []
    with tempfile.TemporaryDirectory() as folder:
        for name, acts in (("a", a), ("b", b)):
            with h5py.File(Path(folder) / name, "w") as file:
                begun = time.perf_counter()
                lists = [
                    file.create_dataset(str(f), (0, 2), maxshape=(None, 2), dtype="f4")
                    for f in range(acts.shape[1])
                ]
                made = time.perf_counter()
                for start in range(0, TOKENS_RUN, sample):
                    append_sample(lists, acts, tokens, slice(start, start + sample))
                appended = time.perf_counter()
                frames = [pd.DataFrame(held[:], columns=["token", "act"]) for held in lists]
                tables.append([frame.groupby("token")["act"].mean() for frame in frames])
                appending += appended - made
                rest += made - begun + time.perf_counter() - appended
    begun = time.perf_counter()
    standard = []
    for means in tables:
        table = pd.concat(means, axis=1).reindex(range(VOCABULARY)).fillna(0.0)
        spread = table.std().replace(0.0, 1.0)
        standard.append(((table - table.mean()) / spread).to_numpy())
    _ = standard[0].T @ standard[1] / VOCABULARY
    rest += time.perf_counter() - begun
    log.info("(i) samples of %d: %.2f s appending, %.2f s besides", sample, appending, rest)
    return appending * a.shape[0] / TOKENS_RUN + rest


def append_sample(
    lists: list[h5py.Dataset], acts: sparse.csr_matrix, tokens: np.ndarray, where: slice
) -> None:
    """Append one sample's (token, activation) entries to the list of each active feature."""
    sample = acts[where].tocsc()
    for f in np.flatnonzero(np.diff(sample.indptr)):
        entries = slice(sample.indptr[f], sample.indptr[f + 1])
        rows = np.column_stack([tokens[where][sample.indices[entries]], sample.data[entries]])
        held = lists[f]
        held.resize(held.shape[0] + len(rows), axis=0)
        held[-len(rows) :] = rows


def timed(function: Callable[..., np.ndarray], *args: object) -> tuple[float, np.ndarray]:
    """Seconds and result of one call."""
    start = time.perf_counter()
    result = function(*args)
    return time.perf_counter() - start, result


def compare(rounds: int) -> dict[str, float]:
    """The four ways at 2,048 features, 200,000 tokens."""
    a, b = made_up(200_000, 2048, 32, 0), made_up(200_000, 2048, 32, 1)
    ways = {"ours": ours, "scipy": scipy_two_threads, "dense_f32": dense_float32}
    tolerance = {"ours": 1e-6, "scipy": 1e-6, "dense_f32": 1e-3}
    exact = scipy_two_threads(a, b)
    ours(a[:1000], b[:1000])  # compiled before it's timed
    seconds = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            if name == "dense_f32" and len(seconds[name]) >= 2:
                continue  # it takes as long as all the rest
            taken, best = timed(way, a, b)
            np.testing.assert_allclose(best, exact, atol=tolerance[name])
            seconds[name].append(taken)
            log.info("%s: %.2f s", name, taken)
    median = {name: float(np.median(taken)) for name, taken in seconds.items()}
    median["published"] = published_shape(a, b, sample=1)
    median["published_blocks"] = published_shape(a, b, sample=BLOCK)
    results = {f"correlate_vs_{k}": v / median["ours"] for k, v in median.items() if k != "ours"}
    results |= {f"correlate_{k}_seconds_2048_200k": v for k, v in median.items() if k != "ours"}
    results["correlate_seconds_2048_200k"] = median["ours"]
    results["correlate_best_seconds_2048_200k"] = min(seconds["ours"])
    return results


def processor() -> str:
    """The processor's name, as far as the system tells."""
    known = Path("/proc/cpuinfo")
    lines = known.read_text().splitlines() if known.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def main() -> None:
    """Run the comparison and write the figures into results.json, leaving others there."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--large", action="store_true", help="also 16,384 features, 1 M tokens")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(THREADS)
    results = compare(options.rounds)
    if options.large:
        a, b = made_up(1_000_000, 16_384, 50, 3), made_up(1_000_000, 16_384, 50, 4)
        taken = [timed(ours, a, b)[0] for _ in range(2)]
        results["correlate_seconds_16384_1m"] = min(taken)
    machine = f"{processor()}, {os.cpu_count()} cores, {THREADS} threads"
    keep(results, correlate_machine=machine)


if __name__ == "__main__":
    main()

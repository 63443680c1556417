"""What a share of features above a threshold would be if correlations had no noise.

A correlation r̂ from finite text is noisy, and the noise of features near the threshold shifts
their share (more are thrown over it from the crowded side) and scatters it. A bootstrap replicate
adds as much noise again, so that the share is seen with the noise once and twice, and with three
times as much where the replicate's correlations are put √2 as far from r̂. SIMEX (Cook &
Stefanski 1994) follows the parabola through the three back to no noise at all.
"""

import functools

import numpy as np
from scipy.stats import norm

# The bootstrap of few documents with heavy-tailed activations understates the noise by about
# this much: in simulations of 100 to 300 documents by 1 to 1.25. benchmarks/coverage.py measures
# what becomes of it.
TAILS = 1.15
_STEPS = 30  # of expectation maximisation: the spread of distances is smooth by then
_FAR = np.linspace(-6, 6, 49)  # a true r's distance from τ, in errors of r̂
# Some features' worth of even spread near τ, or few features would pretend to know their spread.
_PRIOR = 3 * (np.abs(_FAR) <= 3) / np.count_nonzero(np.abs(_FAR) <= 3)


def twice_the_noise(r: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Correlations √2 as far from `r` [d] as those `drawn` are, in Fisher's z; float32 [d, R]."""
    near = np.float32(1 - 1e-6)
    at, z = (np.arctanh(np.clip(x, -near, near)) for x in (r[:, None].astype(np.float32), drawn))
    return np.tanh(at + np.float32(np.sqrt(2)) * (z - at))


def without_noise(
    estimate: float, once: np.ndarray, twice: np.ndarray, weights: np.ndarray | None = None
) -> np.ndarray:
    """Replicates, float64 [R], of the share without noise; they may lie outside 0…1.

    `estimate` is the share as counted; `once` and `twice`, bool [d, R], say which features are
    above the threshold in each replicate, with its own noise and with twice as much added;
    `weights` [d] is what each feature counts.
    """
    drawn, further = (np.average(above, axis=0, weights=weights) for above in (once, twice))
    centre = 3 * estimate - 3 * drawn.mean() + further.mean()
    return centre + TAILS * spread_ratio(once) * (drawn - drawn.mean())


def spread_ratio(once: np.ndarray) -> float:
    """How many times more an extrapolated share varies than the replicates do.

    With z a feature's estimated distance from τ in errors of r̂, it adds 3·[z > 0] − 3·Φ(z) +
    Φ(z/√2) to the extrapolated share, and [z + ε > 0] to a replicate. Both vary most where the
    true distance is small. How those spread is found from the features' numbers of replicates
    above τ by expectation maximisation; evenly spread, the ratio is 2.02.
    """
    replicates = once.shape[1]
    seen, counts = np.unique(np.count_nonzero(once, axis=1), return_counts=True)
    likelihood = _likelihood(replicates)[seen]
    spread = np.full(_FAR.size, 1 / _FAR.size)
    for _ in range(_STEPS):
        chance = np.maximum(likelihood @ spread, 1e-300)
        spread = spread * (likelihood.T @ (counts / chance)) + _PRIOR
        spread /= spread.sum()
    extrapolated, replicate = _variances()
    return float(np.sqrt(spread @ extrapolated / max(spread @ replicate, 1e-12)))


@functools.cache
def _likelihood(replicates: int) -> np.ndarray:
    """Chance of each number of replicates above τ, given the true distance; [R + 1, n_far]."""
    edges = norm.ppf(np.concatenate([[0], (np.arange(replicates) + 0.5) / replicates, [1]]))
    return np.diff(norm.cdf(edges[:, None] - _FAR), axis=0)


@functools.cache
def _variances() -> tuple[np.ndarray, np.ndarray]:
    """Variance that a feature adds to the extrapolated share and to a replicate, [n_far] each."""
    error = np.linspace(-6, 6, 2401)
    weight = norm.pdf(error) / norm.pdf(error).sum()
    z = _FAR[:, None] + error
    below, above = norm.cdf(z), z > 0
    adds = 3.0 * above - 3 * below + norm.cdf(z / np.sqrt(2))
    replicate = (below * (1 - below)) @ weight
    return adds**2 @ weight - (adds @ weight) ** 2, replicate

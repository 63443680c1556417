r"""What a share of features above a threshold would be if correlations had no noise: SIMEX.

**Why.** A correlation $\hat r$ from finite text is the true $r$ plus noise. The noise of features
near the threshold τ shifts their share, because more are thrown over it from the crowded side, and
scatters it. Cook & Stefanski (1994, doi:10.1080/01621459.1994.10476871) add *more* noise, watch
what it does, and extrapolate back to none.

**The extrapolation.** Let $S(\lambda)$ be the share where the noise has λ times its variance.
$S(1)$ is the share as counted. A bootstrap replicate adds as much noise again, so the replicates'
mean is $S(2)$; where each replicate's correlation is put $\sqrt 2$ as far from $\hat r$, it is
$S(3)$. The parabola through the three points meets λ = 0 at $3 S(1) - 3 S(2) + S(3)$.

**Its spread.** Let $z$ be a feature's estimated distance from τ in standard errors of $\hat r$. In
a replicate it lies above τ with probability $\Phi(z)$, with the added noise doubled with
$\Phi(z / \sqrt 2)$. So it adds $g(z) = 3 [z > 0] - 3 \Phi(z) + \Phi(z / \sqrt 2)$ to the
extrapolated share, and $[z + \varepsilon > 0]$ to that of a replicate. Over new texts $z$ is normal
around the true distance μ. The ratio of the two standard deviations, averaged over how μ is spread
among the features (`_distances`), says how much wider the extrapolated share varies than the
replicates do.
"""

import functools

import numpy as np
from scipy.stats import norm

# The bootstrap of few documents with heavy-tailed activations understates the noise by about
# this much: in simulations of 100 to 300 documents by 1 to 1.25. benchmarks/coverage.py measures
# what becomes of it.
TAILS = 1.15
_STEPS = 30  # of expectation maximisation: the spread of distances is smooth by then
_GRID = np.linspace(-6, 6, 49)  # possible true distances μ from τ, in standard errors
# As many features, spread evenly near τ, are added to those seen: of few features the spread can't
# be known.
_ADDED = 3 * (np.abs(_GRID) <= 3) / np.count_nonzero(np.abs(_GRID) <= 3)


def double_noise(r: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Correlations √2 as far from `r` [d] as those `drawn` are, in Fisher's z; float32 [d, R]."""
    largest = np.float32(1 - 1e-6)
    z = np.arctanh(np.clip(r.astype(np.float32), -largest, largest))[:, None]
    z_drawn = np.arctanh(np.clip(drawn, -largest, largest))
    return np.tanh(z + np.float32(np.sqrt(2)) * (z_drawn - z))


def without_noise(
    estimate: float, once: np.ndarray, twice: np.ndarray, weights: np.ndarray | None = None
) -> np.ndarray:
    """Replicates, float64 [R], of the share without noise; they may lie outside 0…1.

    `estimate` is the share as counted; `once` and `twice`, bool [d, R], say which features are
    above the threshold in each replicate, with its own noise and with twice as much added;
    `weights` [d] is what each feature counts.
    """
    drawn = np.average(once, axis=0, weights=weights)
    further = np.average(twice, axis=0, weights=weights)
    extrapolated = 3 * estimate - 3 * drawn.mean() + further.mean()
    return extrapolated + TAILS * spread_ratio(once) * (drawn - drawn.mean())


def spread_ratio(once: np.ndarray) -> float:
    """How many times more the extrapolated share varies than the replicates do.

    `once` bool [d, R] as in `without_noise`. Where the features are spread evenly it is 2.02.
    """
    distances = _distances(once)
    of_extrapolated, of_replicate = _variances()
    smallest = 1e-12  # where all features are far from τ nothing varies
    return float(np.sqrt(distances @ of_extrapolated / max(distances @ of_replicate, smallest)))


def _distances(once: np.ndarray) -> np.ndarray:
    """How the features' true distances μ from τ are spread over `_GRID`; adds up to 1.

    Each feature shows in how many replicates it lies above τ. Expectation maximisation finds the
    spread under which these numbers are likeliest: every feature is shared out among the distances
    that could have given its number, and the shares add up to the next spread.
    """
    n_replicates = once.shape[1]
    numbers, n_features = np.unique(np.count_nonzero(once, axis=1), return_counts=True)
    likelihood = _likelihood(n_replicates)[numbers]
    spread = np.full(_GRID.size, 1 / _GRID.size)
    for _ in range(_STEPS):
        chance = np.maximum(likelihood @ spread, 1e-300)
        spread = spread * (likelihood.T @ (n_features / chance)) + _ADDED
        spread /= spread.sum()
    return spread


@functools.cache
def _likelihood(n_replicates: int) -> np.ndarray:
    """Chance of each number of replicates above τ, given the true distance; [R + 1, n_grid].

    Of R replicates about R · Φ(z) are above, so each number belongs to an interval of z.
    """
    shares = (np.arange(n_replicates) + 0.5) / n_replicates
    bounds = norm.ppf(np.concatenate([[0], shares, [1]]))
    return np.diff(norm.cdf(bounds[:, None] - _GRID), axis=0)


@functools.cache
def _variances() -> tuple[np.ndarray, np.ndarray]:
    """Variance that a feature adds to the extrapolated share and to a replicate, [n_grid] each."""
    error = np.linspace(-6, 6, 2401)
    weight = norm.pdf(error) / norm.pdf(error).sum()
    z = _GRID[:, None] + error
    above = norm.cdf(z)
    adds = 3.0 * (z > 0) - 3 * above + norm.cdf(z / np.sqrt(2))
    of_extrapolated = adds**2 @ weight - (adds @ weight) ** 2
    of_replicate = (above * (1 - above)) @ weight
    return of_extrapolated, of_replicate

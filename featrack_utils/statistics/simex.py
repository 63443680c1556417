r"""What a share of features above a threshold would be if correlations had no noise: SIMEX.

A correlation from finite text is the true one plus noise. The noise of features near the threshold
τ moves their share, because more are thrown over it from the crowded side. Cook & Stefanski (1994,
doi:10.1080/01621459.1994.10476871) add *more* noise, watch what it does, and extrapolate to none.

Let $S(\lambda)$ be the share where the noise has λ times its variance. $S(1)$ is the share as
counted. A bootstrap replicate adds as much noise again, so the replicates' mean is $S(2)$. Where
each correlation is put $\sqrt 2$ as far from the estimate as in its replicate, it is $S(3)$. The
parabola through the three points meets λ = 0 at $3 S(1) - 3 S(2) + S(3)$.
"""

import numpy as np

# The corrected share varies more than the replicates do, because it combines three shares: twice as
# much where features lie evenly around τ. The bootstrap of few documents with heavy-tailed
# activations also understates the noise, by up to a quarter in simulations. So a quarter is added;
# benchmarks/coverage.py measures what becomes of it.
SPREAD = 2 * 1.25


def double_noise(r: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Correlations √2 as far from `r` [d] as those `drawn` are, in Fisher's z; float32 [d, R]."""
    largest = np.float32(1 - 1e-6)
    z = np.arctanh(np.clip(r.astype(np.float32), -largest, largest))[:, None]
    z_drawn = np.arctanh(np.clip(drawn, -largest, largest))
    return np.tanh(z + np.float32(np.sqrt(2)) * (z_drawn - z))


def without_noise(
    counted: float, once: np.ndarray, twice: np.ndarray, weights: np.ndarray | None = None
) -> np.ndarray:
    """Replicates, float64 [R], of the share without noise; their mean is the corrected share.

    They may lie outside 0…1. `counted` is the share as counted; `once` and `twice`, bool [d, R],
    say which features are above the threshold in each replicate, with its own noise and with twice
    as much added; `weights` [d] is what each feature counts.
    """
    drawn = np.average(once, axis=0, weights=weights)
    further = np.average(twice, axis=0, weights=weights)
    corrected = 3 * counted - 3 * drawn.mean() + further.mean()
    return corrected + SPREAD * (drawn - drawn.mean())

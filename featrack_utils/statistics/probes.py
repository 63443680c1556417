"""The reading probe: which features a model's raw activations tell (`book/method.md`, probes)."""

from typing import NamedTuple

import numpy as np
import torch
from numpy import ndarray as Array
from scipy.sparse import csr_matrix
from torch import Tensor

from featrack_utils.matching.correlation import members
from featrack_utils.statistics.bootstrap import Draws


class Probe(NamedTuple):
    """Held-out R² of each probed feature, and under draws of the held-out documents."""

    r2: Array  # float64 [n_probed], at most 1; negative: worse than the mean
    replicates: Array  # float64 [n_replicates, n_probed]


def encoder_probe(
    target: csr_matrix, raw: Tensor, fit: Array, origin: Array, draws: Draws, seed: int
) -> Probe:
    """Reads targets [n_tokens, n_probed] from raw [n_tokens, d_in]; fitted where `fit` (bool)."""
    half = torch.from_numpy(fit)
    x = raw - raw[half].mean(dim=0)
    x = x / x[half].square().mean().sqrt()
    y = torch.from_numpy(target.toarray())
    scale = y[half].square().mean(dim=0).sqrt().clamp_min(1e-12)
    weights, bias = fitted(x[half], y[half] / scale, seed)
    error = torch.relu(x[~half] @ weights + bias) * scale - y[~half]
    return judged(error.double().numpy(), target, fit, origin, draws)


def fitted(x: Tensor, y: Tensor, seed: int, steps=300, rate=0.03) -> tuple[Tensor, Tensor]:
    """Weights and bias of relu(w·x + b), by Adam from a ridge regression's weights."""
    gram = (x.T @ x).double()
    gram += 1e-3 * gram.diagonal().mean() * torch.eye(len(gram), dtype=torch.float64)
    weights = (2 * torch.linalg.solve(gram, (x.T @ y).double()).float()).requires_grad_()
    bias = torch.zeros(y.shape[1], requires_grad=True)
    optimiser = torch.optim.Adam([weights, bias], lr=rate, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps + 1)
    # Shuffled once: to gather other rows in every step would take half as long again.
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
    x, y, size = x[order], y[order], min(2048, len(x))
    for step in range(steps):
        begin = step * size % (len(x) - size + 1)
        rows = slice(begin, begin + size)
        optimiser.zero_grad()
        (torch.relu(x[rows] @ weights + bias) - y[rows]).square().mean().backward()
        optimiser.step()
        schedule.step()
    return weights.detach(), bias.detach()


def judged(error: Array, target: csr_matrix, fit: Array, origin: Array, draws: Draws) -> Probe:
    """R² from errors on the held-out positions [n_held, n_probed], as a whole and resampled."""
    held, document = target[~fit].astype(np.float64), origin[~fit]
    member = members(document, draws.documents.shape[1])
    n, errors = np.bincount(document, minlength=member.shape[0]), member @ error**2
    sums, squares = ((member @ y).toarray() for y in (held, held.multiply(held)))

    def r2(weights: np.ndarray) -> np.ndarray:
        spread = weights @ squares - (weights @ sums) ** 2 / np.maximum(weights @ n, 1)[:, None]
        # A draw without the feature says nothing of it: taken as not decoded.
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(spread > 0, 1 - (weights @ errors) / spread, -np.inf)

    return Probe(r2(np.ones((1, len(n))))[0], r2(draws.documents))

"""Is a feature without a match gone, or carved up differently? (`book/method.md`, probes)

Two probes ask it of the child: one rebuilds the parent's feature from a few of the child's
features with non-negative weights, the other reads it from the child's raw activations as a
dictionary would, w·x + b with negative values cut off. Both are fitted on one half of the
documents and judged on the other by R². Matches are counted among all of the parent's features
asked, probes ask a sample of those with a match and of those without.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from scipy import sparse
from scipy.linalg import solve_triangular
from scipy.optimize import nnls
from torch import Tensor

from featrack_utils.matching.correlation import correlations, members
from featrack_utils.statistics.bootstrap import Draws
from featrack_utils.statistics.intervals import Shares
from featrack_utils.statistics.simex import double_noise, without_noise

CANDIDATES = 10  # features of the child that may rebuild one of the parent's
_RIDGE = 1e-3  # of the activations' mean variance
_STEPS, _BATCH, _RATE = 300, 2048, 0.03


class Probe(NamedTuple):
    """Held-out R² of each probed feature, and under draws of the held-out documents."""

    r2: np.ndarray  # float64 [n_probed], at most 1; negative: worse than the mean
    replicates: np.ndarray  # float64 [n_replicates, n_probed]


def sparse_probe(
    target: sparse.csr_matrix,
    acts: sparse.csr_matrix,
    fit: np.ndarray,
    origin: np.ndarray,
    draws: Draws,
) -> Probe:
    """Rebuild each target from its CANDIDATES closest features, by non-negative least squares.

    `target` [n_tokens, n_probed], `acts` [n_tokens, d_sae]; candidates are chosen and weighed
    on the positions to `fit` (bool [n_tokens]); a constant is fitted, too.
    """
    pairs = correlations(target[fit], acts[fit], floor=0.01).pairs
    columns, error = acts.tocsc(), np.empty((int((~fit).sum()), target.shape[1]))
    for k in range(target.shape[1]):
        mine = pairs.i == k
        closest = pairs.j[mine][np.argsort(-pairs.r[mine], kind="stable")[:CANDIDATES]]
        x = columns[:, closest].toarray().astype(np.float64)
        y = target[:, [k]].toarray()[:, 0].astype(np.float64)
        x, y = x - x[fit].mean(axis=0), y - y[fit].mean()
        error[:, k] = y[~fit] - x[~fit] @ _non_negative(x[fit], y[fit])
    return _judged(error, target, fit, origin, draws)


def _non_negative(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Non-negative weights of least squares, of x [n, n_candidates] and y [n], both centred."""
    if x.shape[1] == 0:
        return np.zeros(0)
    gram = x.T @ x
    gram[np.diag_indices_from(gram)] *= 1 + 1e-6  # keeps equal candidates apart
    factor = np.linalg.cholesky(gram)
    return nnls(factor.T, solve_triangular(factor, x.T @ y, lower=True))[0]


def encoder_probe(
    target: sparse.csr_matrix,
    raw: Float[Tensor, "n_tokens d_mlp"],
    fit: np.ndarray,
    origin: np.ndarray,
    draws: Draws,
    seed: int,
) -> Probe:
    """Read each target [n_tokens, n_probed] from raw activations as relu(w·x + b).

    A feature is zero on most tokens, which no linear function of x is, even of its own
    model's; so the probe is what a dictionary's encoder is. It starts from the ridge
    regression's w and is fitted by Adam.
    """
    half = torch.from_numpy(fit)
    x = raw - raw[half].mean(dim=0)
    x = x / x[half].square().mean().sqrt()
    y = torch.from_numpy(target.toarray())
    scale = y[half].square().mean(dim=0).sqrt().clamp_min(1e-12)
    weights, bias = _fitted(x[half], y[half] / scale, seed)
    with torch.no_grad():
        error = torch.relu(x[~half] @ weights + bias) * scale - y[~half]
    return _judged(error.double().numpy(), target, fit, origin, draws)


def _fitted(x: Tensor, y: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    gram = (x.T @ x).double()
    gram += _RIDGE * gram.diagonal().mean() * torch.eye(len(gram), dtype=torch.float64)
    ridge = torch.linalg.solve(gram, (x.T @ y).double()).float()
    weights = (2 * ridge).requires_grad_()
    bias = torch.zeros(y.shape[1], requires_grad=True)
    optimiser = torch.optim.Adam([weights, bias], lr=_RATE, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, _RATE, total_steps=_STEPS + 1)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(_STEPS):
        rows = torch.randint(len(x), (min(_BATCH, len(x)),), generator=generator)
        loss = (torch.relu(x[rows] @ weights + bias) - y[rows]).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return weights.detach(), bias.detach()


def _judged(
    error: np.ndarray, target: sparse.csr_matrix, fit: np.ndarray, origin: np.ndarray, draws: Draws
) -> Probe:
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


class ProbedSample(NamedTuple):
    """What each probed feature stands for."""

    weight: np.ndarray  # float64 [n_probed], how many features of the parent
    draws: np.ndarray  # float64 [n_replicates, n_probed], how often a replicate drew it


def sampled(
    probed: Sequence[int], asked: Sequence[int], replicates: int, seed: int
) -> tuple[ProbedSample, list[np.ndarray]]:
    """Features drawn anew, kind by kind, and masks of the kinds, bool [n_probed] each.

    Of each kind so many of the parent's features were `asked` about and so many `probed`.
    """
    rng = np.random.default_rng(seed)
    kinds = np.repeat(np.arange(len(probed)), probed)
    weight = np.repeat([a / max(p, 1) for a, p in zip(asked, probed, strict=True)], probed)
    draws = [rng.multinomial(n, np.full(n, 1 / n), size=replicates) for n in probed if n]
    drawn = np.concatenate(draws, axis=1) if draws else np.zeros((replicates, 0))
    sample = ProbedSample(weight.astype(float), drawn.astype(float))
    return sample, [kinds == kind for kind in range(len(probed))]


def either(one: Probe, other: Probe) -> Probe:
    """A probe that explains of each feature what the better of two does."""
    return Probe(*(np.maximum(a, b) for a, b in zip(one, other, strict=True)))


def decodable_share(
    probe: Probe, tau: float, sample: ProbedSample, among: np.ndarray
) -> Shares | None:
    """Share of the features that `among` (bool [n_probed]) stand for with R² > τ²; None: no one.

    A single feature that matches at r > τ predicts the target with R² > τ², so this asks of
    several features, or of the activations, what a match asks of one. A replicate judges on
    other documents, which `without_noise` widens, and then asks other features, which
    needs no widening: that is a plain sample of them.
    """
    if not among.any():
        return None
    weight, drawn = sample.weight[among], sample.draws[:, among]
    r, drawn_r = (np.sqrt(np.maximum(r2[..., among], 0)) for r2 in probe)
    decodes = drawn_r > tau
    counted = np.average(probe.r2[among] > tau**2, weights=weight)
    documents = np.average(decodes, axis=1, weights=weight)
    weighed = drawn * weight
    total = weighed.sum(axis=1)
    # A replicate that draws no such feature has nothing to add.
    both = np.where(total > 0, (weighed * decodes).sum(axis=1) / np.maximum(total, 1e-9), documents)
    further = double_noise(r, drawn_r.T) > tau
    by_documents = without_noise(counted, decodes.T, further, weight)
    replicates = by_documents + both - documents
    estimate = np.array([by_documents.mean()])
    return Shares(np.array([tau]), estimate, replicates[:, None], raw=np.array([counted]))

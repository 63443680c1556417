"""Intervals for shares of matched features, from resampled documents and SAE seeds.

A share of features above a threshold is biased by the noise of r, and the best of several
candidates adds to that. Percentile intervals miss the true share therefore, on the far side: in ten
simulated regimes they held it in 32–94 % of 200 sets for a nominal 95 %. So the intervals here are
laid around the share extrapolated to no noise, as wide as that one varies (`simex`). How often they
hold the truth, over documents, groups and SAE seeds, is measured by benchmarks/coverage.py.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from featrack_utils.errors import FeatrackError
from featrack_utils.statistics.bootstrap import Draws, Matched
from featrack_utils.statistics.simex import without_noise

LEVEL = 0.95
_NEVER_DRAWN = 1e-9  # the weight of a seed that a replicate leaves out, beside the others' counts


class Shares(NamedTuple):
    """A share at several thresholds, and its spread: replicates of the share without noise."""

    taus: np.ndarray  # float64 [n_taus]
    estimate: np.ndarray  # float64 [n_taus], as counted on the whole mix
    replicates: np.ndarray  # float64 [n_replicates, n_taus], may lie outside 0…1
    asked: int = 0  # features that the share is of; 0: not told


class Interval(NamedTuple):
    """A figure with its 95 % interval."""

    estimate: float
    low: float
    high: float


UNDEFINED = Interval(np.nan, np.nan, np.nan)


def shares(matched: Matched, among: np.ndarray | None = None) -> Shares:
    """Share of the features asked (or of those `among` them, bool [d_sae]) with a match.

    Raises:
        FeatrackError: none is asked, so no share is defined.
    """
    asked = matched.asked if among is None else matched.asked & among
    if not asked.any():
        raise FeatrackError("None of the features is both eligible and asked: no share is defined.")
    estimate = np.array([(matched.best_r[asked] > tau).mean() for tau in matched.taus])
    once, twice = matched.exceeded[asked], matched.twice[asked]
    replicates = [without_noise(estimate[k], once > k, twice > k) for k in range(matched.taus.size)]
    return Shares(matched.taus, estimate, np.stack(replicates, axis=1), int(asked.sum()))


def over_seeds(
    tables: Mapping[tuple[int, int], Shares], draws: Draws, model_a: str, model_b: str
) -> Shares:
    """Mean share over pairs of SAE seeds, with seeds resampled beside the documents.

    `tables` maps (seed of a, seed of b) to that pair's shares under the same `draws`. A replicate
    is the sum of three parts:

    - what documents do: the mean of all pairs' replicates;
    - what seeds do: the mean of the pairs' shares, weighed by how often the replicate drew each
      pair's two seeds, less their plain mean. Drawing from n seeds shows only (n − 1) / n of the
      variance between seeds, so this part is stretched by √(n / (n − 1)). A model with a single
      dictionary keeps it, and only the other one's seeds are drawn;
    - what drawing a few seeds can't show, because they may agree by luck. If each feature is found
      or not by itself, a share p of n features varies between dictionaries by p (1 − p) / n,
      divided by the number of pairs that have no dictionary in common. What the second part varies
      less than that comes from the draws' `luck`.

    Raises:
        FeatrackError: no pair, or the draws lack a model or a seed.
    """
    if not tables:
        raise FeatrackError("There is no pair of SAE seeds to average over: give two seeds.")
    for model, side in ((model_a, 0), (model_b, 1)):
        needed = 1 + max(pair[side] for pair in tables)
        drawn = draws.seeds[model].shape[1] if model in draws.seeds else 0
        if drawn < needed:
            raise FeatrackError(
                f"The draws hold {drawn} SAE seeds of the model {model}, but {needed} are "
                "compared: name every model and its number of seeds when drawing."
            )
    each = list(tables.values())
    estimate = np.mean([share.estimate for share in each], axis=0)
    by_documents = np.mean([share.replicates for share in each], axis=0)

    counts_a, counts_b = (draws.seeds[model] + _NEVER_DRAWN for model in (model_a, model_b))
    weights = np.stack([counts_a[:, s] * counts_b[:, t] for s, t in tables])
    weights /= weights.sum(axis=0)
    n_seeds = [counts.shape[1] for counts in (counts_a, counts_b)]
    n_drawn = min((n for n in n_seeds if n > 1), default=1)
    stretch = np.sqrt(n_drawn / max(n_drawn - 1, 1))
    moved = (weights - 1 / len(tables)) * stretch
    by_seeds = moved.T @ np.stack([share.estimate for share in each])

    replicates = by_documents + by_seeds
    asked = min(share.asked for share in each)
    if asked and draws.luck:
        models = {model_a, model_b}
        separate_pairs = max(min(n_seeds) * len(models) / 2, 1)
        expected = estimate * (1 - estimate) / asked / separate_pairs
        missing = np.maximum(expected - by_seeds.var(axis=0), 0)
        luck = sum(draws.luck[model] for model in models) / np.sqrt(len(models))
        replicates = replicates + luck[:, None] * np.sqrt(missing)
    return Shares(each[0].taus, estimate, replicates, asked)


def interval(share: Shares, tau: float) -> Interval:
    """The share at one of its thresholds, with its interval, both within 0…1.

    The interval always reaches to the share as counted.

    Raises:
        FeatrackError: a threshold that was not computed.
    """
    t = at(share, tau)
    estimate = float(share.estimate[t])
    low, high = around(estimate, share.replicates[:, t])
    return Interval(estimate, max(low, 0.0), min(high, 1.0))


def around(estimate: float, replicates: np.ndarray) -> tuple[float, float]:
    """Percentile bounds of corrected replicates, stretched to hold the estimate; NaN of none."""
    if not len(replicates):
        return np.nan, np.nan
    low, high = np.quantile(replicates, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return min(float(low), estimate), max(float(high), estimate)


def at(share: Shares, tau: float) -> int:
    """Position of a threshold among the ones computed."""
    found = np.flatnonzero(np.isclose(share.taus, tau))
    if found.size == 0:
        raise FeatrackError(f"There is no share at τ = {tau}, only at {share.taus.tolist()}.")
    return int(found[0])

"""Bootstrap intervals for shares of matched features, over documents and SAE seeds.

Tokens of one document are not independent, so whole documents are drawn anew, and the
features are matched anew in every replicate (METHOD.md §5; `resample`).

A share of features above a threshold is biased by the noise of r: wherever more true
matches lie just below the threshold than above, more cross it upwards than downwards. The
best of several candidates adds to that. Percentile intervals miss the population's share
therefore, on the far side: in ten simulated regimes, tried to choose a method, they held it in
32–94 % of 200 sets for a nominal 95 %.

The intervals here are therefore laid around the share extrapolated to no noise, as wide as that
one varies (`extrapolate`). How often they hold the truth, with documents that are independent and
in groups, and over SAE seeds, is measured by benchmarks/coverage.py.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from featrack_utils.errors import FeatrackError
from featrack_utils.statistics.bootstrap import Draws, Matched
from featrack_utils.statistics.simex import without_noise

LEVEL = 0.95


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

    Raises: FeatrackError if none is asked, where no share is defined.
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
    """Mean share over pairs of SAE seeds, seeds drawn anew beside the documents.

    What documents do to the mean over all pairs is seen with every pair; what seeds do to it,
    in how the pairs' shares differ, with the seeds drawn anew.

    `tables` maps (seed of a, seed of b) to that pair's shares under the same `draws`. A
    pair's weight is the product of its seeds' counts; where a replicate drew no listed pair
    (a single seed, of a comparison between different ones), pairs of the seeds drawn.

    A few seeds may agree by luck, and of two seeds of one model nothing is left to draw. Whether
    a dictionary found a feature is a matter of its seed, so that a share p of n features varies
    between dictionaries by p·(1 − p) / n if each is found or not by itself, and by less if some
    are found by most seeds and others by few. Where the drawn seeds vary less than that, the
    replicates get the rest from the draws' `luck`.

    Raises: FeatrackError without any pair, or when the draws lack a model or a seed.
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
    few = 1e-9  # turns a sum of zero products into the sum of the counts
    weights = np.stack(
        [(draws.seeds[model_a][:, s] + few) * (draws.seeds[model_b][:, t] + few) for s, t in tables]
    )
    weights /= weights.sum(axis=0)
    # Drawing from n seeds shows (n − 1) / n of the variance between seeds. A model with a single
    # dictionary keeps it, and only the other one's seeds are drawn.
    counts = [draws.seeds[model].shape[1] for model in (model_a, model_b)]
    fewest = min((n for n in counts if n > 1), default=1)
    moved = (weights - 1 / len(tables)) * np.sqrt(fewest / max(fewest - 1, 1))
    each = list(tables.values())
    estimate = np.mean([share.estimate for share in each], axis=0)
    by_seeds = moved.T @ np.stack([share.estimate for share in each])
    replicates = np.mean([share.replicates for share in each], axis=0) + by_seeds
    asked = min(share.asked for share in each)
    if asked and draws.luck:
        models = {model_a, model_b}
        apart = max(fewest * len(models) / 2, 1)  # pairs that have no dictionary in common
        expected = estimate * (1 - estimate) / asked / apart
        short = np.maximum(expected - by_seeds.var(axis=0), 0)
        luck = sum(draws.luck[model] for model in models) / np.sqrt(len(models))
        replicates = replicates + luck[:, None] * np.sqrt(short)
    return Shares(each[0].taus, estimate, replicates, asked)


def interval(share: Shares, tau: float) -> Interval:
    """The share at one of its thresholds, with its interval, both within 0…1.

    The interval always reaches to the share as counted.

    Raises: FeatrackError for a threshold that was not computed.
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

"""Bootstrap intervals for shares of matched features, over documents and SAE seeds.

Tokens of one document are not independent, so whole documents are drawn anew, and the
features are matched anew in every replicate (METHOD.md §5), from sums taken once
(`docsums`).

A share of features above a threshold is biased by the noise of r: wherever more true
matches lie just below the threshold than above, more cross it upwards than downwards. The
best of several candidates adds to that. A replicate carries the noise twice and so has the
bias about twice. Percentile intervals therefore miss the population's share, on the far
side: in ten simulated regimes, tried to choose a method, they held it in 32–94 % of 200
sets for a nominal 95 %; bias-corrected percentiles and basic intervals fell short as well.
The intervals here are centred on the share less its bootstrap bias and are WIDEN times as
wide as the spread of the replicates. On fresh sets, and with more features than they were
chosen on, they held the truth in 89–98.5 % of 200 in fourteen regimes, and in all 200 in a
fifteenth (benchmarks/coverage.py).
"""

import logging
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from featrack_utils.correlate import correlations
from featrack_utils.docsums import document_sums, replicate_best
from featrack_utils.errors import FeatrackError
from featrack_utils.features import Features, require_same_tokens
from featrack_utils.sums import check_correlation

log = logging.getLogger(__name__)

MARGIN = 0.5  # pairs this far below the lowest threshold are left out of the replicates
LOWEST = 0.1  # and pairs below this in any case
# Less its bootstrap bias, a share varies 1.53 times as much as the replicates do: the ratio
# of the standard deviations of 2·[z > 0] − Φ(z) and [z > 0] for z = (r̂ − τ) / error of r̂,
# summed over evenly spread true r. The rest is for the noise of heavy-tailed activations,
# which a bootstrap of few documents understates by some 25 % (measured by coverage).
WIDEN = 2.0
LEVEL = 0.95


class Draws(NamedTuple):
    """How often each replicate drew each document and each SAE seed of each model."""

    documents: np.ndarray  # float64 [n_replicates, n_documents]
    seeds: dict[str, np.ndarray]  # model: float64 [n_replicates, n_seeds]


class Shares(NamedTuple):
    """A share at several thresholds, and its spread. Replicates are corrected and widened."""

    taus: np.ndarray  # float64 [n_taus]
    estimate: np.ndarray  # float64 [n_taus], as counted on the whole mix
    replicates: np.ndarray  # float64 [n_replicates, n_taus], may lie outside 0…1


class Interval(NamedTuple):
    """A figure with its 95 % interval."""

    estimate: float
    low: float
    high: float


def draw(features: Features, seeds: Mapping[str, int], replicates: int, seed: int) -> Draws:
    """Draw documents (within their domains) and SAE seeds, with replacement.

    The mix takes a fixed amount from every domain, so each replicate does too. `seeds`
    maps each model to its number of SAE seeds. Shares that are to be compared or divided
    must use the same draws.

    Raises:
        FeatrackError: a domain with fewer than two documents, no seeds or no replicates.
    """
    if replicates < 1 or not seeds or min(seeds.values()) < 1:
        raise FeatrackError("A bootstrap needs at least one replicate and one SAE seed per model.")
    rng = np.random.default_rng(seed)
    documents = np.zeros((replicates, int(features.origin.max()) + 1))
    for domain in np.unique(features.domain):
        members = np.unique(features.origin[features.domain == domain])
        if members.size < 2:
            raise FeatrackError(
                f"Domain {domain} of the evaluation mix has {members.size} document: "
                "give at least two, since intervals come from drawing documents."
            )
        even = np.full(members.size, 1 / members.size)
        documents[:, members] += rng.multinomial(members.size, even, size=replicates)
    counts = {
        model: rng.multinomial(n, np.full(n, 1 / n), size=replicates).astype(np.float64)
        for model, n in seeds.items()
    }
    return Draws(documents, counts)


def bootstrap(
    a: Features,
    b: Features,
    eligible_a: np.ndarray,
    eligible_b: np.ndarray,
    draws: Draws,
    taus: Sequence[float],
) -> tuple[Shares, Shares]:
    """Share of a's eligible features that b has, and of b's that a has, with replicates.

    `eligible_*` are bool [d_*]. Eligibility stays as it is on the whole mix: it says which
    features this mix can tell apart, a property of the mix; judged again on a replicate,
    which holds only 63 % of the documents, it would drop the rare ones and favour the common.

    Pairs more than MARGIN below the lowest threshold on the whole mix stay out. A warning
    is logged if features just inside the margin rise above that threshold in replicates,
    for then others outside it may do so as well.

    Raises:
        FeatrackError: different token streams or documents, a threshold outside (0, 1), or
            no eligible feature on a side, where the share isn't defined.
    """
    require_same_tokens(a, b)
    if not np.array_equal(a.origin, b.origin):
        raise FeatrackError(
            "The two sets of features assign tokens to different documents: "
            "compute both on the same evaluation mix."
        )
    for tau in taus:
        check_correlation(tau, "tau")
    floor = max(min(taus) - MARGIN, LOWEST)
    best = correlations(a.acts, b.acts, floor=floor, eligible_a=eligible_a, eligible_b=eligible_b)
    candidates = (best.a_candidates, best.b_candidates)
    for name, some in zip(("first", "second"), candidates, strict=True):
        if not some.any():
            raise FeatrackError(
                f"The {name} dictionary has no eligible feature, so no share is defined: "
                "train it longer or evaluate on more text."
            )
    sums = document_sums(a, b, best.pairs.i, best.pairs.j)
    replicated = replicate_best(sums, draws.documents)
    full = (best.a_best_r, best.b_best_r)
    first, second = (
        _shares(full[side][candidates[side]], replicated[side][candidates[side]], taus, floor)
        for side in (0, 1)
    )
    return first, second


def _shares(full: np.ndarray, best: np.ndarray, taus: Sequence[float], floor: float) -> Shares:
    """Shares above each threshold, from best r [n] and its replicates [n, n_replicates]."""
    rising = (best[(full < floor + 0.1)] > min(taus)).sum() / best.size
    if rising > 0.002:
        log.warning(
            "Features whose best r is about %.2f rise above %.2f in replicates (%.1f points of "
            "the share): the mix has too few documents for them.",
            floor, min(taus), 100 * rising,
        )  # fmt: skip
    estimate = np.array([(full > tau).mean() for tau in taus])
    replicates = np.stack([(best > tau).mean(axis=0) for tau in taus], axis=1)
    mean = replicates.mean(axis=0)
    corrected = (2 * estimate - mean) + WIDEN * (replicates - mean)
    return Shares(np.asarray(taus, np.float64), estimate, corrected)


def over_seeds(
    tables: Mapping[tuple[int, int], Shares], draws: Draws, model_a: str, model_b: str
) -> Shares:
    """Mean share over pairs of SAE seeds, seeds drawn anew in the outer loop.

    `tables` maps (seed of a, seed of b) to that pair's shares under the same `draws`. A
    pair's weight is the product of its seeds' counts; where a replicate drew no listed pair
    (a single seed, of a comparison between different ones), pairs of the seeds drawn.
    With two seeds of one model nothing is left to draw: its ceiling's interval is over
    documents alone and speaks of these two dictionaries, not of others to be trained (it held
    the mean over all seeds in 20 % of 60 simulations; 77 % with three seeds, 82 % with five;
    the share kept and its ratio to the ceiling, 87–93 % throughout).

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
    # Drawing from n seeds shows (n − 1) / n of the variance between seeds.
    fewest = min(draws.seeds[model].shape[1] for model in (model_a, model_b))
    even = 1 / len(tables)
    weights = even + (weights - even) * np.sqrt(fewest / max(fewest - 1, 1))
    shares = list(tables.values())
    return Shares(
        shares[0].taus,
        np.mean([share.estimate for share in shares], axis=0),
        np.einsum("pr,prt->rt", weights, np.stack([share.replicates for share in shares])),
    )


def interval(shares: Shares, tau: float) -> Interval:
    """The share at one of its thresholds, with its interval, both within 0…1.

    The interval always reaches to the share as counted.

    Raises: FeatrackError for a threshold that was not computed.
    """
    t = at(shares, tau)
    estimate = float(shares.estimate[t])
    low, high = around(estimate, shares.replicates[:, t])
    return Interval(estimate, max(low, 0.0), min(high, 1.0))


def around(estimate: float, replicates: np.ndarray) -> tuple[float, float]:
    """Percentile bounds of corrected replicates, stretched to hold the estimate."""
    low, high = np.quantile(replicates, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return min(float(low), estimate), max(float(high), estimate)


def at(shares: Shares, tau: float) -> int:
    """Position of a threshold among the ones computed."""
    found = np.flatnonzero(np.isclose(shares.taus, tau))
    if found.size == 0:
        raise FeatrackError(f"There is no share at τ = {tau}, only at {shares.taus.tolist()}.")
    return int(found[0])

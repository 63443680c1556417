"""What a share of persisting features would be if nothing had happened (METHOD.md §5).

The ceiling is the share that another SAE seed finds in the *same* model (the floor is in
`floors`). Every share of this module is a mean over pairs of SAE seeds, with replicates under
common `Draws`, so that shares can be divided and subtracted.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import combinations, product
from typing import NamedTuple

import numba
import numpy as np

from featrack_utils.dictionaries.features import Features, require_same_tokens
from featrack_utils.errors import FeatrackError
from featrack_utils.matching.classes import eligible
from featrack_utils.matching.sums import check_correlation
from featrack_utils.statistics.bootstrap import Draws, Matched, bootstrap, weighed
from featrack_utils.statistics.docsums import Weighted
from featrack_utils.statistics.intervals import Shares, over_seeds, shares


class Model(NamedTuple):
    """One model's dictionaries on the evaluation mix, in the order of their SAE seeds."""

    name: str
    seeds: list[Features]
    eligible: list[np.ndarray]  # bool [d_sae] per seed
    weighted: list[Weighted]  # activations and their moments under the draws
    draws: Draws


class Comparison(NamedTuple):
    """Matches of every pair (SAE seed of the parent, SAE seed of the child)."""

    parent: str
    child: str
    kept: dict[tuple[int, int], Matched]  # of the parent's features in the child
    known: dict[tuple[int, int], Matched]  # of the child's features in the parent


def as_model(
    name: str,
    dictionaries: Sequence[Features],
    draws: Draws,
    min_positions: int = 30,
    min_documents: int = 10,
) -> Model:
    """A model from its dictionaries' features, one per SAE seed; minima as in `eligible`.

    Models that are to be compared need the same `draws`.

    Raises:
        FeatrackError: none given, different token streams, different numbers of features,
            or a dictionary without an eligible feature (all dead, or too little text).
    """
    if not dictionaries:
        raise FeatrackError(f"The model {name} has no dictionary: give one per SAE seed.")
    masks = []
    for number, features in enumerate(dictionaries):
        require_alike(dictionaries[0], features)
        masks.append(eligible(features.acts, features.origin, min_positions, min_documents))
        if not masks[-1].any():
            raise FeatrackError(
                f"Dictionary {number} of the model {name} has no eligible feature, so no share "
                "is defined: train it longer or evaluate on more text."
            )
    with ThreadPoolExecutor(numba.config.NUMBA_NUM_THREADS) as pool:
        weighted = list(pool.map(partial(weighed, draws=draws), dictionaries))
    return Model(name, list(dictionaries), masks, weighted, draws)


def require_alike(a: Features, b: Features) -> None:
    """Refuse dictionaries of different token streams or widths."""
    require_same_tokens(a, b)
    if a.acts.shape != b.acts.shape:
        raise FeatrackError(
            f"The dictionaries have {a.acts.shape[1]} and {b.acts.shape[1]} features: a share "
            "depends on the width, so compare dictionaries of one width."
        )


def compare(parent: Model, child: Model, taus: Sequence[float]) -> Comparison:
    """Match two models' features, for every pair of their SAE seeds.

    Raises: FeatrackError: different token streams, widths or draws, or a threshold outside
    (0, 1).
    """
    require_alike(parent.seeds[0], child.seeds[0])
    if parent.draws is not child.draws:
        raise FeatrackError(
            f"The models {parent.name} and {child.name} have different draws of documents: "
            "draw once, for both."
        )
    places = list(product(range(len(parent.seeds)), range(len(child.seeds))))
    both = _matched(parent, child, places, taus)
    kept, known = ({st: sides[k] for st, sides in both.items()} for k in (0, 1))
    return Comparison(parent.name, child.name, kept, known)


def compare_seeds(model: Model, taus: Sequence[float]) -> Comparison:
    """Match a model's own dictionaries with each other: what nothing but the seed changes.

    Raises: FeatrackError with fewer than two seeds, or for a threshold outside (0, 1).
    """
    if len(model.seeds) < 2:
        raise FeatrackError(
            f"The model {model.name} has one dictionary: its ceiling and its reproducible "
            "features need at least two SAE seeds."
        )
    places = list(combinations(range(len(model.seeds)), 2))
    kept = {}
    for (s, t), sides in _matched(model, model, places, taus).items():
        kept[s, t], kept[t, s] = sides
    known = {(s, t): kept[t, s] for s, t in kept}
    return Comparison(model.name, model.name, kept, known)


def _matched(
    parent: Model, child: Model, places: list[tuple[int, int]], taus: Sequence[float]
) -> dict[tuple[int, int], tuple[Matched, Matched]]:
    """Both sides of each pair of dictionaries, as many pairs at once as there are threads."""

    def match(place: tuple[int, int]) -> tuple[Matched, Matched]:
        s, t = place
        return bootstrap(
            parent.seeds[s],
            child.seeds[t],
            parent.eligible[s],
            child.eligible[t],
            parent.draws,
            taus,
            weighted=(parent.weighted[s], child.weighted[t]),
            threads=1,
        )

    with ThreadPoolExecutor(numba.config.NUMBA_NUM_THREADS) as pool:
        return dict(zip(places, pool.map(match, places), strict=True))


def seen_as(comparison: Comparison, views: Sequence[Callable[[Matched], Matched]]) -> Comparison:
    """The same comparison with what was kept counted otherwise; a view per parent seed."""
    kept = {(s, t): views[s](matched) for (s, t), matched in comparison.kept.items()}
    return comparison._replace(kept=kept)


def kept_share(comparison: Comparison, draws: Draws) -> Shares:
    """Mean share of the parent's features that persist, over all pairs of SAE seeds.

    Of a model compared with itself (`compare_seeds`), this is the ceiling.
    """
    tables = {places: shares(matched) for places, matched in comparison.kept.items()}
    return over_seeds(tables, draws, comparison.parent, comparison.child)


def emerging_share(comparison: Comparison, draws: Draws) -> Shares:
    """Mean share of the child's features that no parent feature matches."""
    tables = {places: shares(matched) for places, matched in comparison.known.items()}
    return complement(over_seeds(tables, draws, comparison.parent, comparison.child))


def complement(share: Shares) -> Shares:
    """1 − a share, replicate by replicate."""
    return Shares(share.taus, 1 - share.estimate, 1 - share.replicates)


def reproducible(own: Comparison, tau: float) -> dict[tuple[int, int], np.ndarray]:
    """Features of dictionary s that dictionary u of the same model has: bool [d_sae] per (s, u).

    `own` comes from `compare_seeds`.

    Raises: FeatrackError for τ outside (0, 1).
    """
    check_correlation(tau, "tau")
    return {places: m.asked & (m.best_r > tau) for places, m in own.kept.items()}


def reproducible_kept_share(
    comparison: Comparison, own: Comparison, draws: Draws, tau: float
) -> Shares | None:
    """Share of the parent's reproducible features that persist, over SAE seeds.

    For each pair of dictionaries, the mean over the parent's other seeds u of the share among
    the features that u has, too. With the parent's own seeds as the child (`comparison` is
    `own`), a third seed is asked: this is the ceiling. Which features are reproducible is
    settled on the whole mix, like eligibility. None if no dictionary has any, or if three
    seeds were needed and there are two: then the share is not defined.
    """
    masks = reproducible(own, tau)
    itself = comparison.parent == comparison.child
    tables = {}
    for (s, t), matched in comparison.kept.items():
        each = [
            shares(matched, mask)
            for (of, other), mask in masks.items()
            if of == s and mask.any() and not (itself and other == t)
        ]
        if each:
            tables[s, t] = Shares(
                each[0].taus,
                np.mean([share.estimate for share in each], axis=0),
                np.mean([share.replicates for share in each], axis=0),
            )
    return over_seeds(tables, draws, comparison.parent, comparison.child) if tables else None

"""Documents and SAE seeds are resampled, and features matched again in every replicate.

Documents are drawn by whole groups (a plot's stories, a module's docstrings), the independent
units. The activations are read once per pair of dictionaries; a replicate is a weighted sum of what
each document contributes (`weighted_correlations`).
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import pandas as pd

from featrack_utils.dictionaries.features import Features
from featrack_utils.errors import FeatrackError
from featrack_utils.matching.correlation import Pairs, checked, correlations
from featrack_utils.statistics.simex import double_noise
from featrack_utils.statistics.weighted_correlations import (
    Weighted,
    empty_best,
    update_best,
    weigh,
)

MARGIN = 0.5  # pairs this far below the lowest threshold are left out of the replicates
LOWEST = 0.1  # and pairs below this in any case
CLOSEST = 5  # candidates per feature in the replicates, of a and of b
BEHIND = 0.3  # … and those so far behind the closest have no chance


class Draws(NamedTuple):
    """How often each replicate drew each document and each SAE seed of each model.

    `luck` is for what drawing a few seeds can't show (`intervals.over_seeds`).
    """

    documents: np.ndarray  # float64 [n_replicates, n_documents], equal within a group
    seeds: dict[str, np.ndarray]  # model: float64 [n_replicates, n_seeds]
    luck: Mapping[str, np.ndarray] = MappingProxyType({})  # model: standard normal [n_replicates]


class Matched(NamedTuple):
    """How closely another dictionary matches each feature of one, and in every replicate."""

    taus: np.ndarray  # float64 [n_taus], ascending
    best_r: np.ndarray  # float64 [d_sae], on the whole mix
    asked: np.ndarray  # bool [d_sae], eligible and neither dead nor constant
    mutual: np.ndarray  # bool [d_sae], the best match of its best match
    exceeded: np.ndarray  # uint8 [d_sae, n_replicates], how many of the taus the best r exceeds
    twice: np.ndarray  # uint8 [d_sae, n_replicates], `exceeded` where twice the noise is added
    mutually: np.ndarray  # bool [d_sae, n_replicates], `mutual` in each replicate


def draw(features: Features, seeds: Mapping[str, int], replicates: int, seed: int) -> Draws:
    """Draw groups of documents (within their domains) and SAE seeds, with replacement.

    Documents of one group are not independent, so all of them are drawn as often as their group
    is: a cluster bootstrap. Where `features.group` is None each document is its own group. The
    mix has a fixed number of groups of every domain, so each replicate has too. `seeds` maps each
    model to its number of SAE seeds. Shares that are to be compared or divided must use the same
    draws.

    Raises:
        FeatrackError: a domain with fewer than two groups.
    """
    rng = np.random.default_rng(seed)
    documents = np.zeros((replicates, int(features.origin.max()) + 1))
    group = features.origin if features.group is None else features.group
    for domain in np.unique(features.domain):
        here = features.domain == domain
        members, first = np.unique(features.origin[here], return_index=True)
        place = np.unique(group[here][first], return_inverse=True)[1]
        n_groups = int(place.max()) + 1
        if n_groups < 2:
            raise FeatrackError(
                f"Domain {domain} of the evaluation mix has {n_groups} group of documents: "
                "give at least two, since intervals come from drawing groups."
            )
        times = rng.multinomial(n_groups, np.full(n_groups, 1 / n_groups), size=replicates)
        documents[:, members] += times[:, place]
    counts = {
        model: rng.multinomial(n, np.full(n, 1 / n), size=replicates).astype(np.float64)
        for model, n in seeds.items()
    }
    return Draws(documents, counts, {model: rng.standard_normal(replicates) for model in seeds})


def bootstrap(
    a: Features,
    b: Features,
    eligible_a: np.ndarray,
    eligible_b: np.ndarray,
    draws: Draws,
    taus: Sequence[float],
    *,
    weighted: tuple[Weighted, Weighted] | None = None,
    threads: int | None = None,
) -> tuple[Matched, Matched]:
    """Match a's eligible features with b's, and b's with a's, anew in every replicate.

    Both are of one evaluation mix. `eligible_*` are bool [d_*]; `weighted` saves weighing both
    sides by the draws once more where that was done before (`weigh`). Eligibility stays as it is
    on the whole mix: it says which features this mix can tell apart, a property of the mix; judged
    again on a replicate, which holds only 63 % of the documents, it would drop the rare ones and
    favour the common.

    A replicate knows only each feature's CLOSEST candidates on the whole mix, and no pair more
    than MARGIN below the lowest threshold.
    """
    taus = np.unique(np.asarray(taus, np.float64))
    floor = max(taus[0] - MARGIN, LOWEST)
    best = correlations(
        a.acts, b.acts, floor=floor, eligible_a=eligible_a, eligible_b=eligible_b, threads=threads
    )
    sides = weighted or (weighed(a, draws), weighed(b, draws))
    drawn = empty_best(*sides)
    update_best(*sides, closest(best.pairs), a.origin, draws.documents, drawn)

    whole = (best.a_best_index[:, None], best.b_best_index[:, None])
    replicated = (drawn.index_a, drawn.index_b)
    candidates = (best.a_candidates, best.b_candidates)
    matched = []
    for side, (r, drawn_r) in enumerate([(best.a_best_r, drawn.r_a), (best.b_best_r, drawn.r_b)]):
        one = Matched(
            taus=taus,
            best_r=r,
            asked=candidates[side],
            mutual=_returns(whole[side], whole[1 - side])[:, 0],
            exceeded=np.searchsorted(taus, drawn_r).astype(np.uint8),
            twice=np.searchsorted(taus, double_noise(r, drawn_r)).astype(np.uint8),
            mutually=_returns(replicated[side], replicated[1 - side]),
        )
        matched.append(one)
    return matched[0], matched[1]


def mutual_only(matched: Matched) -> Matched:
    """The same, counting as a match only a best match of one's best match."""
    return matched._replace(
        best_r=np.where(matched.mutual, matched.best_r, 0.0),
        exceeded=np.where(matched.mutually, matched.exceeded, 0).astype(np.uint8),
        twice=np.where(matched.mutually, matched.twice, 0).astype(np.uint8),
    )


def copies_merged(matched: Matched, group: np.ndarray) -> Matched:
    """One row per group of copies: a group is as well matched as its best member.

    `group` int32 [d_sae] comes from `correlate.copies`; −1: in none.
    """
    members = np.flatnonzero(matched.asked & (group >= 0))
    members = members[np.argsort(group[members], kind="stable")]
    starts = np.flatnonzero(np.diff(group[members], prepend=-1))

    def best(values: np.ndarray) -> np.ndarray:
        return np.maximum.reduceat(values[members], starts, axis=0)

    return Matched(
        taus=matched.taus,
        best_r=best(matched.best_r),
        asked=np.ones(starts.size, bool),
        mutual=best(matched.mutual),
        exceeded=best(matched.exceeded),
        twice=best(matched.twice),
        mutually=best(matched.mutually),
    )


def _returns(there: np.ndarray, back: np.ndarray) -> np.ndarray:
    """Whether the way there and `back` ends where it began; both int [d, n], −1: no way."""
    home = np.take_along_axis(back, np.maximum(there, 0), axis=0)
    return (there >= 0) & (home == np.arange(len(there))[:, None])


def weighed(features: Features, draws: Draws) -> Weighted:
    """One dictionary's activations and moments in every replicate."""
    return weigh(checked(features.acts), features.origin, draws.documents)


def closest(pairs: Pairs) -> tuple[np.ndarray, np.ndarray]:
    """Features (i, j) of the pairs that may become a best match in some replicate.

    They are among the CLOSEST of their i or of their j, and not more than BEHIND below its best.
    """
    r, near = pd.Series(pairs.r), np.zeros(pairs.r.size, bool)
    for feature in (pairs.i, pairs.j):
        others = r.groupby(feature)
        among = others.rank(ascending=False, method="first") <= CLOSEST
        near |= (among & (r >= others.transform("max") - BEHIND)).to_numpy()
    return pairs.i[near], pairs.j[near]

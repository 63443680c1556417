"""Documents and SAE seeds are resampled, and features matched again in every replicate.

Documents are drawn by whole groups (a plot's stories, a module's docstrings), the independent
units. The activations are read once per pair of dictionaries; a replicate is a weighted sum of what
each document contributes (`weighted_correlations`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple

import numba
import numpy as np
import pandas as pd
from jaxtyping import Bool, Int

from featrack_utils.dictionaries.features import Features, require_same_tokens
from featrack_utils.errors import FeatrackError
from featrack_utils.matching.classes import eligible
from featrack_utils.matching.correlation import (
    Pairs,
    check_correlation,
    checked,
    copies,
    correlations,
)
from featrack_utils.statistics.simex import double_noise
from featrack_utils.statistics.weighted_correlations import Weighted, best_drawn, weigh

MARGIN = 0.5  # pairs this far below the lowest threshold are left out of the replicates
LOWEST = 0.1  # and pairs below this in any case
CLOSEST = 5  # candidates per feature in the replicates, of a and of b
BEHIND = 0.3  # … and those so far behind the closest have no chance

Place = tuple[str, int]  # a model and one of its SAE seeds
Masks = Sequence[Bool[np.ndarray, " d_sae"]]  # one for each dictionary of a model


class Draws(NamedTuple):
    """How often each replicate drew each document and each SAE seed of each model.

    `luck` is for what drawing a few seeds can't show (`intervals.over_seeds`).
    """

    documents: np.ndarray  # float64 [n_replicates, n_documents], equal within a group
    seeds: dict[str, np.ndarray]  # model: float64 [n_replicates, n_seeds]
    luck: Mapping[str, np.ndarray] | None = None  # model: standard normal [n_replicates]


class Matched(NamedTuple):
    """How closely another dictionary matches each feature of one, and in every replicate."""

    taus: np.ndarray  # float64 [n_taus], ascending
    best_r: np.ndarray  # float64 [d_sae], on the whole mix
    asked: np.ndarray  # bool [d_sae], eligible and neither dead nor constant
    mutual: np.ndarray  # bool [d_sae], the best match of its best match
    exceeded: np.ndarray  # uint8 [d_sae, n_replicates], how many of the taus the best r exceeds
    twice: np.ndarray  # uint8 [d_sae, n_replicates], `exceeded` where twice the noise is added
    mutually: np.ndarray  # bool [d_sae, n_replicates], `mutual` in each replicate

    def only(self, mask: np.ndarray) -> Matched:
        """The same, asking of these features (bool [d_sae]) alone."""
        return self._replace(asked=self.asked & mask)

    def above(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Which of the features asked exceed each threshold: on the whole mix, bool [n_taus, d],
        in every replicate, and there with twice the noise, bool [n_taus, d, n_replicates].
        """
        levels = np.arange(self.taus.size)[:, None, None]
        whole = self.best_r[self.asked] > self.taus[:, None]
        return whole, self.exceeded[self.asked] > levels, self.twice[self.asked] > levels


class Links(NamedTuple):
    """Pairs of features that match on the whole mix or in some draw of R."""

    i: np.ndarray
    j: np.ndarray
    looks: np.ndarray  # bool [n, 1 + 2 R]: the whole mix, the draws, these with twice the noise


@dataclass
class Sample:
    """Models' dictionaries on one evaluation mix, under common draws; see `resample`.

    A replicate knows only each feature's CLOSEST candidates on the whole mix, and no pair more
    than MARGIN below the lowest threshold. Eligibility stays as it is on the whole mix: it says
    which features this mix can tell apart. Judged again on a replicate, which holds only 63 % of
    the documents, it would drop the rare ones and favour the common.

    Attributes:
        features: each model's dictionaries, in the order of their SAE seeds.
        eligible: which features of each are active often enough to be judged.
        draws: how often each replicate drew each document and each SAE seed.
        taus: thresholds at which shares are counted, ascending.
        tau: the threshold at which features are copies, or reproducible.
    """

    features: Mapping[str, Sequence[Features]]
    eligible: Mapping[str, Masks]
    draws: Draws
    taus: list[float]
    tau: float
    _weighted: dict[Place, Weighted] = field(default_factory=dict, repr=False)
    _matched: dict[tuple[Place, Place], Matched] = field(default_factory=dict, repr=False)
    _copies: dict[Place, Int[np.ndarray, " d_sae"]] = field(default_factory=dict, repr=False)

    def seeds(self, model: str) -> range:
        """The SAE seeds of a model.

        Raises:
            FeatrackError: the sample hasn't the model.
        """
        if model not in self.features:
            known = ", ".join(self.features)
            raise FeatrackError(
                f"There are no dictionaries of {model!r} in the sample; it has {known}."
            )
        return range(len(self.features[model]))

    def dictionary(self, place: Place) -> tuple[Features, Bool[np.ndarray, " d_sae"]]:
        """One dictionary's features, and which are active often enough to be judged."""
        model, seed = place
        return self.features[model][seed], self.eligible[model][seed]

    def matched(self, pairs: Iterable[tuple[Place, Place]]) -> dict[tuple[Place, Place], Matched]:
        """How well the first of each two dictionaries is matched by the second, in every draw.

        Both directions of a pair are made at once, and kept. A pair is left out where a side has
        no eligible feature.
        """
        pairs = [pair for pair in pairs if all(self.dictionary(one)[1].any() for one in pair)]
        missing = sorted({tuple(sorted(pair)) for pair in pairs} - self._matched.keys())
        places = sorted({place for pair in missing for place in pair} - self._weighted.keys())
        with ThreadPoolExecutor(numba.config.NUMBA_NUM_THREADS) as pool:
            self._weighted.update(zip(places, pool.map(self._weigh, places), strict=True))
            for (a, b), both in zip(missing, pool.map(self._match, missing), strict=True):
                self._matched[a, b], self._matched[b, a] = both
        return {pair: self._matched[pair] for pair in pairs}

    def _weigh(self, place: Place) -> Weighted:
        features, _ = self.dictionary(place)
        return weigh(checked(features.acts), features.origin, self.draws.documents)

    def _match(self, pair: tuple[Place, Place]) -> tuple[Matched, Matched]:
        (a, able_a), (b, able_b) = map(self.dictionary, pair)
        taus = np.array(self.taus)
        floor = max(taus[0] - MARGIN, LOWEST)
        masks = {"eligible_a": able_a, "eligible_b": able_b}
        best = correlations(a.acts, b.acts, floor=floor, **masks, threads=1)
        sides = (self._weighted[place] for place in pair)
        drawn = best_drawn(*sides, closest(best.pairs), a.origin, self.draws.documents)
        # Of a, then of b: whether it can be asked, its best match, and the same in the replicates.
        a_side = best.a_candidates, best.a_best_r, best.a_best_index, drawn.r_a, drawn.index_a
        b_side = best.b_candidates, best.b_best_r, best.b_best_index, drawn.r_b, drawn.index_b

        def one_way(side: tuple, other: tuple) -> Matched:
            asked, r, index, drawn_r, drawn_index = side
            return Matched(
                taus=taus,
                best_r=r,
                asked=asked,
                mutual=_returns(index[:, None], other[2][:, None])[:, 0],
                exceeded=np.searchsorted(taus, drawn_r).astype(np.uint8),
                twice=np.searchsorted(taus, double_noise(r, drawn_r)).astype(np.uint8),
                mutually=_returns(drawn_index, other[4]),
            )

        return one_way(a_side, b_side), one_way(b_side, a_side)

    def links(self, a: Place, b: Place, pairs: Pairs) -> Links:
        """Which of some pairs of two dictionaries' features match at `tau`, in every draw.

        Pairs of less than `tau` − BEHIND on the whole mix have no chance; those that never match
        are left out.
        """
        i, j, r = (part[pairs.r > self.tau - BEHIND] for part in pairs)
        for place in {a, b} - self._weighted.keys():
            self._weighted[place] = self._weigh(place)
        sides = (self._weighted[a], self._weighted[b])
        origin = self.dictionary(a)[0].origin
        drawn = np.empty((r.size, len(self.draws.documents)), np.float32)
        # Of each feature one pair at a time, so that its best is that pair's.
        nth = pd.Series(i).groupby(i).cumcount().to_numpy()
        for n in range(nth.max(initial=-1) + 1):
            some = nth == n
            best = best_drawn(*sides, (i[some], j[some]), origin, self.draws.documents)
            drawn[some] = best.r_a[i[some]]
        looks = np.hstack([r[:, None], drawn, double_noise(r, drawn)]) > self.tau
        ever = looks.any(axis=1)
        return Links(i[ever], j[ever], looks[ever])

    def copies(self, place: Place) -> Int[np.ndarray, " d_sae"]:
        """The groups of a dictionary's copies at `tau`; −1: not a candidate."""
        if place not in self._copies:
            features, able = self.dictionary(place)
            self._copies[place] = copies(features.acts, self.tau, eligible=able).group
        return self._copies[place]


def resample(
    features: Mapping[str, Sequence[Features]],
    taus: Iterable[float],
    *,
    tau: float,
    replicates: int,
    seed: int,
    min_positions: int = 30,
    min_documents: int = 10,
    eligible_features: Mapping[str, Masks] | None = None,
) -> Sample:
    """Draws documents and SAE seeds once, for all models whose shares are to be compared.

    `features` holds each model's dictionaries, one per SAE seed, all on one evaluation mix; a
    control model's are listed like any other's. Eligible features are found here
    (`classes.eligible`) or given.

    Raises:
        FeatrackError: a model without a dictionary, different token streams or widths, a domain
            with one group of documents, or a threshold outside (0, 1).
    """
    check_correlation(tau, "tau")
    for model, each in features.items():
        if not each:
            raise FeatrackError(f"The model {model} has no dictionary: give one per SAE seed.")
    first, *others = (one for each in features.values() for one in each)
    for one in others:
        require_same_tokens(first, one)
        if one.acts.shape[1] != first.acts.shape[1]:
            raise FeatrackError(
                f"The dictionaries have {first.acts.shape[1]} and {one.acts.shape[1]} features: a "
                "share depends on the width, so compare dictionaries of one width."
            )
    if eligible_features is None:
        eligible_features = {
            model: [eligible(f.acts, f.origin, min_positions, min_documents) for f in each]
            for model, each in features.items()
        }
    draws = draw(first, {model: len(each) for model, each in features.items()}, replicates, seed)
    return Sample(features, eligible_features, draws, sorted({*taus, tau}), tau)


def draw(features: Features, seeds: Mapping[str, int], replicates: int, seed: int) -> Draws:
    """Draw groups of documents (within their domains) and SAE seeds, with replacement.

    Documents of one group are not independent, so all of them are drawn as often as their group
    is: a cluster bootstrap. Where `features.group` is None each document is its own group. The
    mix has a fixed number of groups of every domain, so each replicate has too. `seeds` maps each
    model to its number of SAE seeds.

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


def halves(features: Features, seed: int) -> np.ndarray:
    """Positions to fit on, half of each domain's groups of documents; bool [n_tokens].

    By groups (`Features.group`), for two stories of one plot on both sides would be a leak.

    Raises: FeatrackError for a domain of one group.
    """
    rng = np.random.default_rng(seed)
    fit = np.zeros(features.origin.size, bool)
    of = features.origin if features.group is None else features.group
    for domain in np.unique(features.domain):
        groups = np.unique(of[features.domain == domain])
        if groups.size < 2:
            raise FeatrackError(
                f"Domain {domain} of the evaluation mix has one group of documents: give at least "
                "two, one to fit on and one to judge by."
            )
        fit |= np.isin(of, rng.permutation(groups)[: groups.size // 2])
    return fit


def mutual_only(matched: Matched) -> Matched:
    """The same, counting as a match only a best match of one's best match."""
    return matched._replace(
        best_r=np.where(matched.mutual, matched.best_r, 0.0),
        exceeded=np.where(matched.mutually, matched.exceeded, 0).astype(np.uint8),
        twice=np.where(matched.mutually, matched.twice, 0).astype(np.uint8),
    )


def copies_merged(matched: Matched, group: np.ndarray) -> Matched:
    """One row per group of copies: a group is as well matched as its best member.

    `group` int32 [d_sae] comes from `correlation.copies`; −1: in none.
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

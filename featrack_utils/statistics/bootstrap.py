"""Documents and SAE seeds are resampled, and features matched again in every replicate.

Documents are drawn by whole groups (a plot's stories, a module's docstrings), the independent
units. The activations are read once per pair of dictionaries; a replicate is a weighted sum of each
document's n, Σx, Σx², Σy, Σy² and Σxy, with the document's number of draws as its weight. Σxy is
formed for one candidate pair at a time and goes through all replicates at once, so that nothing of
size pairs × documents is kept.

A *look* at features is one of 1 + 2 R: at the whole mix, at the R replicates, and at these with
twice the noise (`double_noise`), in this order.
"""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple

import numba
import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int
from numba import njit
from scipy import sparse

from featrack_utils.dictionaries.features import Features
from featrack_utils.errors import FeatrackError
from featrack_utils.matching import correlation
from featrack_utils.matching.classes import eligible
from featrack_utils.matching.correlation import CONSTANT, Pairs, members

MARGIN = 0.5  # pairs this far below the lowest threshold are left out of the replicates
LOWEST = 0.1  # and pairs below this in any case
CLOSEST = 5  # candidates per feature in the replicates, of a and of b
BEHIND = 0.3  # … and those so far behind the closest have no chance
ROOM = 2**20  # features × documents whose sums are held at once

Place = tuple[str, int]  # a model and one of its SAE seeds
Masks = Sequence[Bool[np.ndarray, " d_sae"]]  # one for each dictionary of a model


class Draws(NamedTuple):
    """How often each replicate drew each document and each SAE seed of each model.

    `luck` is for what drawing a few seeds can't show (`intervals.over_seeds`).
    """

    documents: np.ndarray  # float64 [n_replicates, n_documents], equal within a group
    seeds: dict[str, np.ndarray]  # model: float64 [n_replicates, n_seeds]
    luck: Mapping[str, np.ndarray] | None = None  # model: standard normal [n_replicates]


class Weighted(NamedTuple):
    """One dictionary's activations by columns, and their scale in every replicate."""

    ptr: np.ndarray  # int [d_sae + 1], where each feature begins
    row: np.ndarray  # int32 [n_active], token position
    value: np.ndarray  # float32 [n_active]
    mean: np.ndarray  # float64 [d_sae, R], Σx / √(n Σx² − (Σx)²)
    scale: np.ndarray  # float64 [d_sae, R], 1 / √(n Σx² − (Σx)²); 0: constant or dead


class Matched(NamedTuple):
    """How closely another dictionary matches each feature of one, in every look."""

    taus: np.ndarray  # float64 [n_taus], ascending
    best_r: np.ndarray  # float64 [d_sae], on the whole mix
    asked: np.ndarray  # bool [d_sae], eligible and neither dead nor constant
    exceeded: np.ndarray  # uint8 [d_sae, 1 + 2 R], how many of the taus the best r exceeds
    mutual: np.ndarray  # bool [d_sae, 1 + R], the best match of its best match

    def above(self) -> np.ndarray:
        """Which of the features asked exceed each threshold; bool [n_taus, d, 1 + 2 R]."""
        return self.exceeded[self.asked] > np.arange(self.taus.size)[:, None, None]


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
        places = sorted({place for pair in missing for place in pair})
        with ThreadPoolExecutor(numba.config.NUMBA_NUM_THREADS) as pool:
            list(pool.map(self.weighted, places))  # each once, before the pairs that it is in
            for (a, b), both in zip(missing, pool.map(self._match, missing), strict=True):
                self._matched[a, b], self._matched[b, a] = both
        return {pair: self._matched[pair] for pair in pairs}

    def weighted(self, place: Place) -> Weighted:
        """A dictionary's activations with their moments in every replicate, made once."""
        if place in self._weighted:
            return self._weighted[place]
        features, draws = self.dictionary(place)[0], self.draws.documents
        columns = correlation.checked(features.acts).tocsc()
        n = draws @ np.bincount(features.origin, minlength=draws.shape[1])
        sums, squares = np.empty((2, columns.shape[1], len(draws)))
        together = max(1, ROOM // draws.shape[1])  # features
        for first in range(0, columns.shape[1], together):
            some = slice(first, first + together)
            ptr = columns.indptr[first : first + together + 1]
            moments = np.zeros((2, ptr.size - 1, draws.shape[1]))
            _sum_documents(ptr, columns.indices, columns.data, features.origin, *moments)
            sums[some], squares[some] = moments @ draws.T
        spread = n * squares - sums**2
        varies = spread > CONSTANT * n * squares
        scale = np.zeros(spread.shape)
        scale[varies] = 1 / np.sqrt(spread[varies])
        found = Weighted(columns.indptr, columns.indices, columns.data, sums * scale, scale)
        return self._weighted.setdefault(place, found)

    def _match(self, pair: tuple[Place, Place]) -> tuple[Matched, Matched]:
        (a, able_a), (b, able_b) = map(self.dictionary, pair)
        taus = np.array(self.taus)
        floor = max(taus[0] - MARGIN, LOWEST)
        masks = {"eligible_a": able_a, "eligible_b": able_b}
        best = correlation.correlations(a.acts, b.acts, floor=floor, **masks, threads=1)
        sides = map(self.weighted, pair)
        (r_a, index_a), (r_b, index_b) = best_drawn(
            *sides, closest(best.pairs), a.origin, self.draws.documents
        )
        # Each feature's best match on the whole mix and in the replicates.
        of_a = np.hstack([best.a_best_index[:, None], index_a])
        of_b = np.hstack([best.b_best_index[:, None], index_b])

        def one_way(asked, r, drawn_r, there, back) -> Matched:
            looks = (r[:, None], drawn_r, double_noise(r, drawn_r))
            exceeded = np.hstack([np.searchsorted(taus, look).astype(np.uint8) for look in looks])
            home = np.take_along_axis(back, np.maximum(there, 0), axis=0)
            mutual = (there >= 0) & (home == np.arange(len(there))[:, None])
            return Matched(taus, r, asked, exceeded, mutual)

        return (
            one_way(best.a_candidates, best.a_best_r, r_a, of_a, of_b),
            one_way(best.b_candidates, best.b_best_r, r_b, of_b, of_a),
        )

    def copies(self, place: Place) -> Int[np.ndarray, " d_sae"]:
        """The groups of a dictionary's copies at `tau`; −1: not a candidate."""
        if place not in self._copies:
            features, able = self.dictionary(place)
            self._copies[place] = correlation.copies(features.acts, self.tau, eligible=able).group
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
    correlation.check_correlation(tau, "tau")
    for model, each in features.items():
        if not each:
            raise FeatrackError(f"The model {model} has no dictionary: give one per SAE seed.")
    first, *others = (one for each in features.values() for one in each)
    for one in others:
        if not np.array_equal(first.tokens, one.tokens):
            raise FeatrackError(
                "The two sets of features come from different token streams; "
                "compute both on the same evaluation mix."
            )
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
        each, first = np.unique(features.origin[here], return_index=True)
        place = np.unique(group[here][first], return_inverse=True)[1]
        n_groups = int(place.max()) + 1
        if n_groups < 2:
            raise FeatrackError(
                f"Domain {domain} of the evaluation mix has {n_groups} group of documents: "
                "give at least two, since intervals come from drawing groups."
            )
        times = rng.multinomial(n_groups, np.full(n_groups, 1 / n_groups), size=replicates)
        documents[:, each] += times[:, place]
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


def double_noise(r: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Correlations √2 as far from `r` [d] as those `drawn` are, in Fisher's z; float32 [d, R]."""
    largest = np.float32(1 - 1e-6)
    z = np.arctanh(np.clip(r.astype(np.float32), -largest, largest))[:, None]
    z_drawn = np.arctanh(np.clip(drawn, -largest, largest))
    return np.tanh(z + np.float32(np.sqrt(2)) * (z_drawn - z))


def mutual_only(matched: Matched) -> Matched:
    """The same, counting as a match only a best match of one's best match."""
    with_noise = np.hstack([matched.mutual, matched.mutual[:, 1:]])  # twice as much moves no match
    return matched._replace(
        best_r=np.where(matched.mutual[:, 0], matched.best_r, 0.0),
        exceeded=np.where(with_noise, matched.exceeded, 0).astype(np.uint8),
    )


def copies_merged(matched: Matched, group: np.ndarray) -> Matched:
    """One row per group of copies: a group is as well matched as its best member.

    `group` int32 [d_sae] comes from `correlation.copies`; −1: in none.
    """
    features = np.flatnonzero(matched.asked & (group >= 0))
    features = features[np.argsort(group[features], kind="stable")]
    starts = np.flatnonzero(np.diff(group[features], prepend=-1))
    best_r, exceeded, mutual = (
        np.maximum.reduceat(values[features], starts, axis=0)
        for values in (matched.best_r, matched.exceeded, matched.mutual)
    )
    return Matched(matched.taus, best_r, np.ones(starts.size, bool), exceeded, mutual)


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


@njit(nogil=True, cache=True)
def _sum_documents(ptr, row, value, document, sums, squares):
    """Add Σx and Σx² of each feature in each document; both [n_features, n_documents]."""
    for i in range(ptr.size - 1):
        for p in range(ptr[i], ptr[i + 1]):
            x, d = np.float64(value[p]), document[row[p]]
            sums[i, d] += x
            squares[i, d] += x * x


@njit(nogil=True, cache=True)
def _update_best(pair_i, pair_j, a, b, document, weights, n, best_a, which_a, best_b, which_b):
    """Raise the best of both features of each pair to the pair's r, in every replicate."""
    a_ptr, a_row, a_value, a_mean, a_scale = a
    b_ptr, b_row, b_value, b_mean, b_scale = b
    column = np.zeros(document.size)  # of the feature i at hand
    by_document = np.zeros(weights.shape[0])
    total = np.empty(weights.shape[1])
    last = -1
    for k in range(pair_i.size):
        i, j = pair_i[k], pair_j[k]
        if i != last:
            if last >= 0:
                for p in range(a_ptr[last], a_ptr[last + 1]):
                    column[a_row[p]] = 0.0
            for p in range(a_ptr[i], a_ptr[i + 1]):
                column[a_row[p]] = a_value[p]
            last = i
        for q in range(b_ptr[j], b_ptr[j + 1]):
            x = column[b_row[q]]
            if x != 0.0:
                by_document[document[b_row[q]]] += x * b_value[q]
        total[:] = 0.0
        for d in range(by_document.size):
            product = by_document[d]
            if product != 0.0:
                by_document[d] = 0.0
                for w in range(total.size):
                    total[w] += product * weights[d, w]
        for w in range(total.size):
            # A feature that no drawn document activates has scale 0 and so r = 0.
            r = n[w] * total[w] * a_scale[i, w] * b_scale[j, w] - a_mean[i, w] * b_mean[j, w]
            if r > best_a[i, w]:
                best_a[i, w], which_a[i, w] = r, j
            if r > best_b[j, w]:
                best_b[j, w], which_b[j, w] = r, i


def best_drawn(
    a: Weighted,
    b: Weighted,
    pairs: tuple[np.ndarray, np.ndarray],
    document: np.ndarray,
    draws: np.ndarray,
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Best r among the `pairs` (i, j) in every replicate, and with which feature.

    Of each feature of a, then of each of b: r, float32 [d, R], −1 if no pair was looked at, and
    the other's index, int32 [d, R], −1: none. A feature that is constant or dead in a replicate
    has r = 0 there. Both sides must be weighed by the same `draws`.
    """
    best_a, best_b = (
        tuple(np.full(side.mean.shape, -1, kind) for kind in (np.float32, np.int32))
        for side in (a, b)
    )
    weights = np.ascontiguousarray(draws.T)
    n = draws @ np.bincount(document, minlength=draws.shape[1])
    # The denser feature of a pair is laid out once and the sparser one looked up in it.
    active_a, active_b = (np.diff(side.ptr) for side in (a, b))
    i, j = pairs
    denser = active_a[i] >= active_b[j]
    for some, of, their, one, other, best_one, best_other in (
        (denser, i, j, a, b, best_a, best_b),
        (~denser, j, i, b, a, best_b, best_a),
    ):
        order = np.flatnonzero(some)
        order = order[np.argsort(of[order], kind="stable")]
        sides = of[order], their[order], tuple(one), tuple(other)
        _update_best(*sides, document, weights, n, *best_one, *best_other)
    return best_a, best_b


def paired_r(
    x: sparse.csr_matrix,
    y: sparse.csr_matrix,
    document: Int[np.ndarray, " n_tokens"],
    weights: Float[np.ndarray, "n_weightings n_documents"],
) -> Float[np.ndarray, "n_weightings n_pairs"]:
    """r of each column of x with the same column of y, [n_tokens, n_pairs].

    NaN where a column is constant under a weighting.
    """
    x, y = x.astype(np.float64), y.astype(np.float64)
    to_documents = members(document, weights.shape[1])

    def total(each: sparse.csr_matrix) -> np.ndarray:
        return weights @ (to_documents @ each).toarray()

    n = weights @ np.bincount(document, minlength=weights.shape[1])[:, None]
    sx, sy = total(x), total(y)
    sxx, syy, sxy = total(x.multiply(x)), total(y.multiply(y)), total(x.multiply(y))
    spread_x, spread_y = n * sxx - sx**2, n * syy - sy**2
    constant = (spread_x <= CONSTANT * n * sxx) | (spread_y <= CONSTANT * n * syy)
    return (n * sxy - sx * sy) / np.sqrt(np.where(constant, np.nan, spread_x * spread_y))

"""Several models' dictionaries on one evaluation mix, under common draws of documents and seeds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numba
import numpy as np
from jaxtyping import Bool, Int

from featrack_utils.dictionaries.features import Features, require_same_tokens
from featrack_utils.errors import FeatrackError
from featrack_utils.matching.classes import eligible
from featrack_utils.matching.correlation import check_correlation, copies
from featrack_utils.statistics.bootstrap import Draws, Matched, bootstrap, draw, weighed
from featrack_utils.statistics.weighted_correlations import Weighted

Place = tuple[str, int]  # a model and one of its SAE seeds
Masks = Sequence[Bool[np.ndarray, " d_sae"]]  # one for each dictionary of a model


@dataclass
class Sample:
    """Models' dictionaries on one evaluation mix, under common draws; see `resample`.

    Attributes:
        features: each model's dictionaries, in the order of their SAE seeds.
        eligible: which features of each are active often enough to be judged.
        draws: how often each replicate drew each document and each SAE seed.
        taus: thresholds at which shares are counted, ascending.
        tau: the threshold at which features are copies, or reproducible.
    """

    features: dict[str, list[Features]]
    eligible: dict[str, list[Bool[np.ndarray, " d_sae"]]]
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
        with ThreadPoolExecutor(numba.config.NUMBA_NUM_THREADS) as pool:
            for (a, b), both in zip(missing, pool.map(self._match, missing), strict=True):
                self._matched[a, b], self._matched[b, a] = both
        return {pair: self._matched[pair] for pair in pairs}

    def _match(self, pair: tuple[Place, Place]) -> tuple[Matched, Matched]:
        (one, able_one), (other, able_other) = map(self.dictionary, pair)
        weighted = (self._weighted[pair[0]], self._weighted[pair[1]])
        sides = (one, other, able_one, able_other)
        return bootstrap(*sides, self.draws, self.taus, weighted=weighted, threads=1)

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
    features = {model: list(each) for model, each in features.items()}
    for model, each in features.items():
        if not each:
            raise FeatrackError(f"The model {model} has no dictionary: give one per SAE seed.")
    everything = {(m, s): f for m, each in features.items() for s, f in enumerate(each)}
    first = next(iter(everything.values()))
    for one in everything.values():
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
    sample = Sample(
        features,
        {model: list(masks) for model, masks in eligible_features.items()},
        draws,
        sorted({*taus, tau}),
        tau,
    )
    with ThreadPoolExecutor(numba.config.NUMBA_NUM_THREADS) as pool:
        weights = pool.map(lambda one: weighed(one, draws), everything.values())
        sample._weighted.update(zip(everything, weights, strict=True))
    return sample

"""What fine-tuning adds and removes, with what a dictionary alone would miss beside it.

A feature of one model can be missing from another model's dictionary because the model lost it or
because that dictionary didn't learn it: it started elsewhere, or read another mixture of text. Two
comparisons tell these apart: another dictionary of the same model, and a dictionary of the model
*before* fine-tuning that read the child's mixture (`arms`, dose 0).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import sparse

from featrack_utils.dictionaries.features import Features
from featrack_utils.matching.correlation import correlations
from featrack_utils.statistics.bootstrap import Draws, bootstrap
from featrack_utils.statistics.docsums import fold_pairs, no_matches, weigh
from featrack_utils.statistics.intervals import Interval, Shares, around, shares
from featrack_utils.statistics.nulls import complement

_FLOOR = 0.05  # candidates below it, or so far behind the closest,
_BEHIND = 0.4  # don't become the closest in any replicate


class Missed(NamedTuple):
    """How many of some features of one dictionary another one misses.

    Attributes:
        asked: how many features were sought.
        share: share of them with a best r of at most τ, at several τ.
    """

    asked: int
    share: Shares


def missed(
    found: Mapping[str, Features],
    able: Mapping[str, Bool[np.ndarray, " d_sae"]],
    asked: tuple[str, Bool[np.ndarray, " d_sae"]],
    other: str,
    taus: Sequence[float],
    draws: Draws,
) -> Missed | None:
    """Share of a dictionary's features (its name, and which) that another doesn't have.

    Documents are drawn and matches made anew; which features are asked stays settled. None where
    none is asked or the other has no eligible feature.
    """
    name, mask = asked
    if not mask.any() or not able[other].any():
        return None
    matched, _ = bootstrap(found[name], found[other], mask, able[other], draws, taus)
    return Missed(int(mask.sum()), complement(shares(matched)))


def best_r_intervals(
    found: Mapping[str, Features],
    able: Mapping[str, Bool[np.ndarray, " d_sae"]],
    name: str,
    indices: Int[np.ndarray, " n"],
    others: Sequence[str],
    draws: Draws,
) -> list[Interval]:
    """Best r of each feature in any of the other dictionaries, with its 95 % interval.

    Documents are drawn anew, and the closest feature is sought anew in each replicate. The best of
    several candidates is larger in replicates than on the whole mix, by about as much as it is
    there larger than in truth; so the intervals are percentiles less twice that difference. NaN
    where no other dictionary has an eligible feature.
    """
    features, others = found[name], [other for other in others if able[other].any()]
    if not others or not len(indices):
        return [Interval(np.nan, np.nan, np.nan)] * len(indices)
    columns = sparse.csr_matrix(features.acts[:, indices])
    side = weigh(columns, features.origin, draws.documents)
    estimate = np.zeros(len(indices))
    replicates = np.zeros((len(indices), len(draws.documents)))
    for other in others:
        best = correlations(columns, found[other].acts, floor=_FLOOR, eligible_b=able[other])
        i, j, r = best.pairs
        near = r >= best.a_best_r[i] - _BEHIND
        kept, j = np.unique(j[near], return_inverse=True)
        theirs = weigh(
            sparse.csr_matrix(found[other].acts[:, kept]), features.origin, draws.documents
        )
        folded = no_matches(side, theirs)
        fold_pairs(side, theirs, (i[near], j), features.origin, draws.documents, folded)
        estimate = np.maximum(estimate, best.a_best_r)
        replicates = np.maximum(replicates, folded.r_a)
    return [_centred(*each) for each in zip(estimate, replicates, strict=True)]


def _centred(estimate: float, replicates: Float[np.ndarray, " n"]) -> Interval:
    shift = 2 * (replicates.mean() - estimate)
    low, high = around(float(estimate), replicates - shift)
    return Interval(float(estimate), max(low, -1.0), min(high, 1.0))

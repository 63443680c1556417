"""What each of several children keeps of one parent, read by a single dictionary each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from featrack_utils import floors, intervals, nulls, resample
from featrack_utils.curves import ratio_to_ceiling
from featrack_utils.errors import FeatrackError
from featrack_utils.features import Features
from featrack_utils.intervals import Interval, Shares

_PARENT = "parent"


class Criteria(NamedTuple):
    """When a feature counts as found again, and how often documents are drawn anew."""

    tau: float
    rule: str = "best"  # or "mutual"
    min_positions: int = 30
    min_documents: int = 10
    replicates: int = 300
    seed: int = 0  # of the draws


class Response(NamedTuple):
    """A child's share of the parent's features, at one threshold, and what chance would give."""

    share: Shares
    floor: float


def responses(
    parents: Sequence[Features], children: Mapping[str, Features], criteria: Criteria
) -> dict[str, Response]:
    """Share of the parent's features that each child's dictionary has, under common draws.

    Every parent's dictionary is asked of every child's, so give none of an SAE seed that a child
    has. All children are compared on the same draws of documents and of the parent's seeds, so
    their shares can be divided. A child has one dictionary and its seed isn't drawn.

    Raises:
        FeatrackError: no parent, an unknown rule, and what `nulls.compare` refuses.
    """
    if not parents:
        raise FeatrackError("There is no dictionary of the parent to follow; give one or more.")
    if criteria.rule not in ("best", "mutual"):
        raise FeatrackError(f"The rule is {criteria.rule!r}; choose best or mutual.")
    # As many seeds as the parent has, though each child has one: `over_seeds` widens an interval
    # by the fewer of the two, and it is the parent's that are drawn.
    counts = dict.fromkeys((_PARENT, *children), len(parents))
    draws = resample.draw(parents[0], counts, criteria.replicates, criteria.seed)
    minima = (criteria.min_positions, criteria.min_documents)
    parent = nulls.as_model(_PARENT, parents, draws, *minima)
    answers = {}
    for name, features in children.items():
        child = nulls.as_model(name, [features], draws, *minima)
        compared = nulls.compare(parent, child, [criteria.tau])
        if criteria.rule == "mutual":
            compared = nulls.seen_as(compared, [resample.mutual_only] * len(parents))
        floor, _ = floors.document_shift_floor(parent, child, [criteria.tau])
        answers[name] = Response(nulls.kept_share(compared, draws), float(floor[0]))
    return answers


def first_below(
    path: Mapping[str, Response], unchanged: Response, tau: float
) -> tuple[str | None, dict[str, Interval | None]]:
    """The first of a path's doses from which on the share stays below that of `unchanged`.

    Below: the interval of their ratio, 95 %, ends under 100 %. Returns the dose (None: there is
    none), and the ratio at every dose (None: not defined).
    """
    ratios = {dose: ratio_to_ceiling(r.share, unchanged.share, tau) for dose, r in path.items()}
    first = None
    for dose, ratio in reversed(ratios.items()):
        if ratio is None or ratio.high >= 1:
            break
        first = dose
    return first, ratios


def gap(one: Response, other: Response, tau: float) -> float:
    """How far two shares lie apart at τ, without an interval."""
    at = intervals.at(one.share, tau)
    return float(np.abs(one.share.estimate[at] - other.share.estimate[at]))

"""What each of several children keeps of one parent, read by a single dictionary each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

from featrack_utils.dictionaries.features import Features
from featrack_utils.errors import FeatrackError
from featrack_utils.matching.classes import eligible
from featrack_utils.matching.correlation import correlations
from featrack_utils.matching.sums import BestMatches
from featrack_utils.statistics import bootstrap, curves, floors, intervals, nulls
from featrack_utils.statistics.bootstrap import Draws
from featrack_utils.statistics.intervals import Interval, Shares
from featrack_utils.statistics.nulls import Comparison

_PARENT = "parent"
Masks = Sequence[np.ndarray]  # bool [d_sae], one per dictionary of the parent


class Criteria(NamedTuple):
    """When a feature counts as found again, and how often documents are resampled."""

    tau: float
    rule: str = "best"  # or "mutual"
    min_positions: int = 30
    min_documents: int = 10
    replicates: int = 300
    seed: int = 0  # of the resampling


class Compared(NamedTuple):
    """Children compared with one parent, all under the same draws."""

    matches: dict[str, Comparison]
    by_chance: dict[str, BestMatches]  # the same, but the child reads other documents
    draws: Draws
    criteria: Criteria


def compare(
    parents: Sequence[Features], children: Mapping[str, Features], criteria: Criteria
) -> Compared:
    """Looks for the parent's features in each child's dictionary.

    Every dictionary of the parent is compared with every child's, so give none of a seed that a
    child has. All children are compared on the same draws of documents and of the parent's
    dictionaries, so their shares can be divided. A child has one dictionary; its seed isn't drawn.

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
    draws = bootstrap.draw(parents[0], counts, criteria.replicates, criteria.seed)
    minima = (criteria.min_positions, criteria.min_documents)
    parent = nulls.as_model(_PARENT, parents, draws, *minima)
    matches, by_chance = {}, {}
    for name, features in children.items():
        child = nulls.as_model(name, [features], draws, *minima)
        found = nulls.compare(parent, child, [criteria.tau])
        if criteria.rule == "mutual":
            found = nulls.seen_as(found, [bootstrap.mutual_only] * len(parents))
        matches[name], by_chance[name] = found, floors.shifted_matches(parent, child)
    return Compared(matches, by_chance, draws, criteria)


def share_kept(compared: Compared, child: str, among: Masks | None = None) -> Shares | None:
    """Share of the parent's features, or of those `among` them, that a child has; None of none."""
    tables = {}
    for (s, t), matched in compared.matches[child].kept.items():
        asked = matched.asked if among is None else matched.asked & among[s]
        if asked.any():
            tables[s, t] = intervals.shares(matched, asked)
    return intervals.over_seeds(tables, compared.draws, _PARENT, child) if tables else None


def summary(
    prefix: str, compared: Compared, child: str, unchanged: str, among: Masks | None = None
) -> dict[str, float | None]:
    """A child's share beside that of `unchanged` and what chance gives; see `curves.summary`."""
    both = (share_kept(compared, name, among) for name in (child, unchanged))
    best, criteria = compared.by_chance[child], compared.criteria
    floor = floors.chance_share(
        best, criteria.tau, among=among and among[:1], mutually=criteria.rule == "mutual"
    )
    return curves.summary(prefix, *both, floor, criteria.tau)


def dose_response(
    compared: Compared, path: Mapping[str, str]
) -> tuple[str | None, dict[str, Interval | None]]:
    """What the doses of a path (dose: child) keep of what its first one has.

    Returns:
        The first dose from which on the 95 % interval of the ratio lies below 100 % (None: there
        is none), and the ratio at every dose (None: not defined).
    """
    tau = compared.criteria.tau
    shares = [share_kept(compared, child) for child in path.values()]
    ratios = {
        dose: curves.ratio_to_ceiling(share, shares[0], tau)
        for dose, share in zip(path, shares, strict=True)
    }
    first = None
    for dose, ratio in reversed(ratios.items()):
        if ratio is None or ratio.high >= 1:
            break
        first = dose
    return first, ratios


def reproducible(dictionaries: Sequence[Features], criteria: Criteria) -> Masks | None:
    """Features that every other dictionary of their model has; None for a single dictionary."""
    if len(dictionaries) < 2:
        return None
    minima = (criteria.min_positions, criteria.min_documents)
    able = [eligible(d.acts, d.origin, *minima) for d in dictionaries]
    masks = [mask.copy() for mask in able]
    for s, t in combinations(range(len(dictionaries)), 2):
        best = correlations(
            dictionaries[s].acts,
            dictionaries[t].acts,
            eligible_a=able[s],
            eligible_b=able[t],
            floor=criteria.tau,
        )
        masks[s] &= best.a_best_r > criteria.tau
        masks[t] &= best.b_best_r > criteria.tau
    return masks


def kinds(masks: Masks | None) -> dict[str, Masks | None]:
    """Which features to ask: all ("persisting"), and apart those that are reproducible or not."""
    if masks is None:
        return {"persisting": None}
    others = [~mask for mask in masks]
    return {"persisting": None, "reproducible": masks, "irreproducible": others}

"""Chains of matches through several models beside those of a model that nothing happened to.

What `flow.universal_chains` counts has its own ceiling and floor (METHOD.md §5): the same rule
among dictionaries of one model, which differ by their seeds alone, and among models whose text
was shifted. Copies of a feature (`correlate.copies`) make one chain each; groups count them once.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import permutations
from typing import NamedTuple

import numpy as np

from featrack_utils.dictionaries.features import Features
from featrack_utils.matching.correlation import correlations
from featrack_utils.matching.flow import through, universal_chains
from featrack_utils.matching.sums import BestMatches, check_correlation
from featrack_utils.statistics.floors import document_shift


class Count(NamedTuple):
    """How many features of the first dictionary have a chain; means over dictionaries."""

    features: float
    groups: float  # of copies, with a feature that has one


class Chained(NamedTuple):
    """Features of the base in chains of several shapes."""

    both: Count  # base – lua and base – stories
    via_lua: Count  # base – lua – merged
    via_stories: Count  # base – stories – merged
    universal: Count  # both ways, to one and the same merged feature


def chained(
    base_lua: BestMatches,
    base_stories: BestMatches,
    lua_merged: BestMatches,
    stories_merged: BestMatches,
    group: np.ndarray,
    tau: float,
) -> Chained:
    """Counts the base's features in chains of each shape, r > `tau` in every link.

    `group` int [d_base] numbers the base's copies (`correlate.copies`; −1: not a candidate).

    Raises: FeatrackError: `tau` outside (0, 1), or pairs not known down to `tau`.
    """
    check_correlation(tau, "tau")
    both = (base_lua.a_best_r > tau) & (base_stories.a_best_r > tau)
    links = (base_lua, base_stories, lua_merged, stories_merged)
    found = universal_chains(*links, None, tau)["base"].to_numpy()
    shapes = (
        np.flatnonzero(both),
        through(base_lua, lua_merged, tau),
        through(base_stories, stories_merged, tau),
        found,
    )
    return Chained(*(Count(some.size, np.unique(group[some]).size) for some in shapes))


def mean(counts: Iterable[Chained]) -> Chained:
    """The mean of each count, over choices of dictionaries."""
    means = np.mean([[list(count) for count in one] for one in counts], axis=0)
    return Chained(*(Count(*map(float, pair)) for pair in means))


def unchanged(
    own: Mapping[tuple[int, int], BestMatches], groups: Sequence[np.ndarray], tau: float
) -> Chained | None:
    """What `chained` would count if nothing had happened: the ceiling, from one model's seeds.

    If neither tuning nor merging changed anything, all four models would be one, and their
    dictionaries would differ by the seed alone. `own[s, t]` are the matches of the base's
    dictionary s in its dictionary t, `groups[s]` its copies. The mean over all ways to let
    different dictionaries stand for base, lua, stories and merged.

    A universal chain needs four. With three it is bounded from above: who has one has both its
    first links, and a path of two, each of which three dictionaries can show; the smaller mean
    of these is given. None with fewer than three.

    Raises: what `chained` raises.
    """
    n_seeds = len(groups)
    if n_seeds >= 4:
        return mean(
            chained(own[a, b], own[a, c], own[b, d], own[c, d], groups[a], tau)
            for a, b, c, d in permutations(range(n_seeds), 4)
        )
    if n_seeds < 3:
        return None
    # Lua's and Stories' dictionary may be one for a path, but not for what is found in both.
    paths = mean(
        chained(own[a, b], own[a, b], own[b, c], own[b, c], groups[a], tau)
        for a, b, c in permutations(range(3))
    )
    wedges = mean(
        chained(own[a, b], own[a, c], own[b, a], own[c, a], groups[a], tau)
        for a, b, c in permutations(range(3))
    )
    bound = (min(pair) for pair in zip(wedges.both, paths.via_lua, strict=True))
    return Chained(wedges.both, paths.via_lua, paths.via_stories, Count(*bound))


def by_chance(
    models: Sequence[Features], eligible: Sequence[np.ndarray], group: np.ndarray, tau: float
) -> Chained:
    """What `chained` counts where no link's two models read the same text: the floor.

    `models` and their masks `eligible` are base, lua, stories and merged, one dictionary each.
    The streams of lua and stories are shifted by half of each domain's documents (`floors`), so
    all four links join texts that have nothing to do with each other.

    Raises: FeatrackError: different token streams, or a domain of one document.
    """
    acts = [one.acts for one in models]
    for middle in (1, 2):
        acts[middle] = acts[middle][document_shift(models[middle])]
    links = (
        correlations(acts[a], acts[b], floor=tau, eligible_a=eligible[a], eligible_b=eligible[b])
        for a, b in ((0, 1), (0, 2), (1, 3), (2, 3))
    )
    return chained(*links, group, tau)

"""The same comparison with one thing held fixed: the seed, the model, or the merged child."""

from typing import NamedTuple

import numpy as np

from featrack_utils.statistics.bootstrap import Draws, Matched
from featrack_utils.statistics.intervals import Shares, over_seeds, shares
from featrack_utils.statistics.nulls import Comparison
from featrack_utils.statistics.simex import without_noise


class Arms(NamedTuple):
    """Share kept when both dictionaries start from one SAE seed, and from different ones."""

    same: Shares
    different: Shares


def same_seed_different_seed(comparison: Comparison, draws: Draws) -> Arms:
    """Shares kept from equal and from different SAE seeds; equal starts inflate matches.

    Raises: FeatrackError when there is no pair for an arm (fewer than two seeds).
    """
    arms = []
    for same in (True, False):
        tables = {
            (s, t): shares(matched)
            for (s, t), matched in comparison.kept.items()
            if (s == t) == same
        }
        arms.append(over_seeds(tables, draws, comparison.parent, comparison.child))
    return Arms(*arms)


def zero_step_control(own: Comparison, draws: Draws) -> tuple[Shares, Shares] | None:
    """Share kept by a child that nothing happened to, and the ceiling it must reach.

    Fine-tuning for no step gives the model back; its dictionary then differs by the seed
    alone. So the last dictionary of `own` (`compare_seeds`) stands for the child's, the others
    for the parent's. None with fewer than three seeds.
    """
    last = max(s for s, _ in own.kept)
    if last < 2:
        return None
    parts: tuple[dict, dict] = ({}, {})
    for (s, t), matched in own.kept.items():
        if s != last:
            parts[t != last][s, t] = shares(matched)
    child, parent = (over_seeds(part, draws, own.parent, own.child) for part in parts)
    return child, parent


def origin_shares(from_lua: Matched, from_stories: Matched) -> dict[str, Shares]:
    """Shares of a merged dictionary's features that come from both parents, one, or none.

    Both sides are `known` of the same merged dictionary (`Comparison`); names as in
    `flow.ORIGINS`. Features of one pair of parents' dictionaries: their seeds aren't drawn.
    """
    asked, taus = from_lua.asked, from_lua.taus
    levels = np.arange(taus.size)[:, None, None]
    whole = [m.best_r[asked] > taus[:, None] for m in (from_lua, from_stories)]
    drawn = [m.exceeded[asked] > levels for m in (from_lua, from_stories)]
    twice = [m.twice[asked] > levels for m in (from_lua, from_stories)]
    origins = {
        "both": lambda lua, stories: lua & stories,
        "lua only": lambda lua, stories: lua & ~stories,
        "stories only": lambda lua, stories: ~lua & stories,
        "novel": lambda lua, stories: ~(lua | stories),
    }
    result = {}
    for name, holds in origins.items():
        estimate = holds(*whole).mean(axis=1)
        replicates = [
            without_noise(*each)
            for each in zip(estimate, holds(*drawn), holds(*twice), strict=True)
        ]
        result[name] = Shares(taus, estimate, np.stack(replicates, axis=1))
    return result

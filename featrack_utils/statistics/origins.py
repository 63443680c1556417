"""Where the merged model's features come from, and where they would if nothing was merged.

A merge that changes nothing gives back one of its parents. So a second dictionary of Lua
stands for the merged model, and then one of Stories: their features' origins, in the very
dictionaries that the merged one is compared with, are what the shares could be at most.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from featrack_utils.matching.correlation import correlations
from featrack_utils.statistics.bootstrap import bootstrap, mutual_only
from featrack_utils.statistics.controls import origin_shares
from featrack_utils.statistics.curves import lost_summary, summary
from featrack_utils.statistics.floors import document_shift
from featrack_utils.statistics.intervals import Shares
from featrack_utils.statistics.nulls import Comparison, Model

_PREFIX = "track.merged_origin"


def unmerged_origins(
    lua: Model, stories: Model, own: Mapping[str, Comparison], taus: Sequence[float], rule: str
) -> dict[str, Shares]:
    """What the shares of `origin_shares` would be if merging gave back one of the parents.

    Dictionary 1 of a parent stands for the merged one, beside dictionaries 0 of both. *Lua
    only* is read off Lua in the merged model's place, *stories only* off Stories; *both* and
    *novel* are the means of the two. `own` holds each parent's `compare_seeds` at the same `taus`.
    """
    nulls = {}
    for parent, other in ((lua, stories), (stories, lua)):
        itself = own[parent.name].kept[1, 0]
        across = bootstrap(
            parent.seeds[1],
            other.seeds[0],
            parent.eligible[1],
            other.eligible[0],
            parent.draws,
            taus,
            weighted=(parent.weighted[1], other.weighted[0]),
        )[0]
        if rule == "mutual":
            itself, across = mutual_only(itself), mutual_only(across)
        sides = (itself, across) if parent is lua else (across, itself)
        nulls[parent.name] = origin_shares(*sides)
    return {
        "both": _mean(*(null["both"] for null in nulls.values())),
        "lua only": nulls[lua.name]["lua only"],
        "stories only": nulls[stories.name]["stories only"],
        "novel": _mean(*(null["novel"] for null in nulls.values())),
    }


def _mean(one: Shares, other: Shares) -> Shares:
    return Shares(
        one.taus, (one.estimate + other.estimate) / 2, (one.replicates + other.replicates) / 2
    )


def chance_origins(lua: Model, stories: Model, merged: Model, tau: float) -> dict[str, float]:
    """Origins of the merged dictionary's features where it reads other documents (`floors`)."""
    shifted = merged.seeds[0].acts[document_shift(merged.seeds[0])]
    found = []
    for parent in (lua, stories):
        best = correlations(
            shifted,
            parent.seeds[0].acts,
            floor=0.99,
            eligible_a=merged.eligible[0],
            eligible_b=parent.eligible[0],
        )
        found.append(best.a_best_r[best.a_candidates] > tau)
    from_lua, from_stories = found
    origins = {
        "both": from_lua & from_stories,
        "lua only": from_lua & ~from_stories,
        "stories only": ~from_lua & from_stories,
        "novel": ~(from_lua | from_stories),
    }
    return {name: float(np.mean(some)) for name, some in origins.items()}


def origin_results(
    origins: Mapping[str, Shares],
    unmerged: Mapping[str, Shares],
    chance: Mapping[str, float],
    tau: float,
) -> dict[str, float | None]:
    """Each origin's share with its ceiling, floor and ratio, flat for results.json.

    *Novel* features are those not found, so theirs is a `lost_summary`: its floor is what would
    look novel if nothing had been merged, its excess what is.
    """
    results: dict[str, float | None] = {}
    for name, share in origins.items():
        key = f"{_PREFIX}.{name.replace(' ', '_')}"
        if name == "novel":
            results |= lost_summary(key, share, unmerged[name], 1 - chance[name], tau)
        else:
            results |= summary(key, share, unmerged[name], chance[name], tau)
    return results

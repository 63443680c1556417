"""Where the merged model's features come from, and chains of matches through all four models.

Stages run base → {lua, stories} → merged; a `Tracking` or `BestMatches` between two stages has
the earlier one as its parent. METHOD.md §4; the flow diagram is the paper's Figure 2.
"""

import numpy as np
import pandas as pd

from featrack_utils.errors import FeatrackError
from featrack_utils.matching.classes import Tracking, require_pairs
from featrack_utils.matching.correlation import BestMatches
from featrack_utils.matching.sums import check_correlation

ORIGINS = ("both", "lua only", "stories only", "novel")


def origins_of_merged(lua_merged: Tracking, stories_merged: Tracking) -> np.ndarray:
    """Origin of each feature of the merged model: one of ORIGINS, or unobserved; str [d_sae].

    Raises:
        FeatrackError: the trackings differ in τ, rule, or in the merged model's features.
    """
    _same_settings(lua_merged, stories_merged)
    _same_features(lua_merged.child, stories_merged.child, "merged")
    lua, stories = lua_merged.child == "matched", stories_merged.child == "matched"
    origin = np.where(lua & stories, "both", np.where(lua, "lua only", "stories only"))
    origin = np.where(lua | stories, origin, "novel")
    return np.where(lua_merged.child == "unobserved", "unobserved", origin)


def flow(
    base_lua: Tracking, base_stories: Tracking, lua_merged: Tracking, stories_merged: Tracking
) -> pd.DataFrame:
    """Numbers of features that flow from stage to stage, those without a match included.

    Columns: source_stage, source_class, target_stage, target_class, volume. Eligible features
    are of class `eligible` (base), `from base` or `new` (lua, stories), one of ORIGINS
    (merged). A volume between two such classes counts one-to-one matches. Three more say
    where features begin or end: `disappearing` (target) have no match; `fused` (target) have
    one, but it is matched more closely to another parent; `split` (source) are the reverse,
    children whose parent is matched more closely to another child. With the rules `mutual` and
    `assignment` nothing is fused or split. Emerging features come from (outside, new).

    So volumes add up: out of each class towards each next stage, and into each class of lua
    and stories, flow as many features as the class has. Into `both` flow twice as many, once
    from lua and once from stories.

    Raises:
        FeatrackError: the trackings differ in τ, rule, or in the features of a shared model.
    """
    for other in (base_stories, lua_merged, stories_merged):
        _same_settings(base_lua, other)
    _same_features(base_lua.parent, base_stories.parent, "base")
    merged = origins_of_merged(lua_merged, stories_merged)
    base = np.where(base_lua.parent == "unobserved", "unobserved", "eligible")
    rows = []
    for stage, before, after in (
        ("lua", base_lua, lua_merged),
        ("stories", base_stories, stories_merged),
    ):
        _same_features(before.child, after.parent, stage)
        middle = np.where(before.child == "matched", "from base", "new")
        middle = np.where(before.child == "unobserved", "unobserved", middle)
        rows += _between(before, ("base", base), (stage, middle))
        emerging = np.count_nonzero(before.child == "emerging")
        rows.append(("outside", "new", stage, "new", emerging))
        rows += _between(after, (stage, middle), ("merged", merged))
    rows.append(("outside", "new", "merged", "novel", np.count_nonzero(merged == "novel")))
    columns = ["source_stage", "source_class", "target_stage", "target_class"]
    table = pd.DataFrame(rows, columns=[*columns, "volume"])
    return table[table["volume"] > 0].reset_index(drop=True)


def universal_chains(
    base_lua: BestMatches,
    base_stories: BestMatches,
    lua_merged: BestMatches,
    stories_merged: BestMatches,
    base_merged: BestMatches | None,
    tau: float,
) -> pd.DataFrame:
    """Features with matches through all four models: one chain for each base feature.

    A chain is base i – lua j – merged l and base i – stories k – merged l with the same l and
    r > `tau` in all four links; of a base feature's chains it is the one with the largest
    smallest r. Columns: base, lua, stories, merged, r_base_lua, r_base_stories, r_lua_merged,
    r_stories_merged, min_r (of these four) and r_base_merged, which is missing (NA) where it is
    below the floor of `base_merged`, or all through if that is None. Largest min_r first.

    Raises:
        FeatrackError: `tau` outside (0, 1), or pairs not known down to `tau`.
    """
    check_correlation(tau, "tau")
    lua = _paths(base_lua, lua_merged, "lua", tau)
    stories = _paths(base_stories, stories_merged, "stories", tau)
    chains = lua.merge(stories, on=["base", "merged"])
    links = [name for name in chains.columns if name.startswith("r_")]
    chains["min_r"] = chains[links].min(axis=1)
    chains = _strongest(chains, ["base"])
    if base_merged is None:
        chains["r_base_merged"] = pd.array([pd.NA] * len(chains), "Float64")
    else:
        direct = _links(base_merged, "base", "merged").astype({"r_base_merged": "Float64"})
        chains = chains.merge(direct, on=["base", "merged"], how="left")
    chains = chains.sort_values(["min_r", "base"], ascending=[False, True], ignore_index=True)
    return chains[["base", "lua", "stories", "merged", *links, "min_r", "r_base_merged"]]


def through(first: BestMatches, second: BestMatches, tau: float) -> np.ndarray:
    """Features that a path of two matches, r > `tau` each, leads on from; int, ascending.

    `first` leads from a model to a second, `second` from there to a third.

    Raises:
        FeatrackError: pairs not known down to `tau`.
    """
    return np.unique(_paths(first, second, "middle", tau)["base"])


def _between(
    tracking: Tracking, source: tuple[str, np.ndarray], target: tuple[str, np.ndarray]
) -> list[tuple[str, str, str, str, int]]:
    """Rows of the flow from the features of one stage, with their classes, to another's."""
    (source_stage, source_class), (target_stage, target_class) = source, target
    partner = tracking.parent_partner
    chosen = (partner >= 0) & (tracking.child_partner[partner] == np.arange(partner.size))
    taken = np.zeros(tracking.child.size, bool)
    taken[partner[chosen]] = True
    eligible = tracking.parent != "unobserved"
    split = target_class[(tracking.child == "matched") & ~taken]
    fate = np.where(tracking.parent == "persisting", "fused", "disappearing")
    fate = np.where(chosen, target_class[partner], fate)[eligible]
    ends = pd.DataFrame(
        {
            "source": np.concatenate([source_class[eligible], np.full(split.size, "split")]),
            "target": np.concatenate([fate, split]),
        }
    )
    volumes = ends.groupby(["source", "target"]).size()
    return [(source_stage, s, target_stage, t, int(n)) for (s, t), n in volumes.items()]


def _links(best: BestMatches, source: str, target: str) -> pd.DataFrame:
    i, j, r = best.pairs
    return pd.DataFrame({source: i, target: j, f"r_{source}_{target}": r})


def _paths(first: BestMatches, second: BestMatches, middle: str, tau: float) -> pd.DataFrame:
    """For each base and merged feature the strongest path through one model, r > tau."""
    for best in (first, second):
        require_pairs(best, tau)
    one, two = _links(first, "base", middle), _links(second, middle, "merged")
    one = one[one[f"r_base_{middle}"] > tau]
    two = two[two[f"r_{middle}_merged"] > tau]
    paths = one.merge(two, on=middle)
    paths["min_r"] = paths[[f"r_base_{middle}", f"r_{middle}_merged"]].min(axis=1)
    return _strongest(paths, ["base", "merged"]).drop(columns="min_r")


def _strongest(table: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    models = [name for name in ("base", "merged", "lua", "stories") if name in table.columns]
    ranked = table.sort_values(["min_r", *models], ascending=[False, *[True] * len(models)])
    return ranked.drop_duplicates(by)


def _same_settings(one: Tracking, other: Tracking) -> None:
    if (one.tau, one.rule) != (other.tau, other.rule):
        raise FeatrackError(
            f"one tracking uses τ = {one.tau} and {one.rule}, another τ = {other.tau} and "
            f"{other.rule}: classify all pairs of models alike."
        )


def _same_features(one: np.ndarray, other: np.ndarray, model: str) -> None:
    if one.shape != other.shape or ((one == "unobserved") != (other == "unobserved")).any():
        raise FeatrackError(
            f"two trackings hold different eligible features of the model {model}: "
            "use one dictionary and one eligible mask per model."
        )

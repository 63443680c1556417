"""Where features go along a lineage: what becomes of a parent's, where a merge's come from.

A `Tracking` belongs to each (parent, child) of the lineage, of one dictionary a model. See
`book/method.md`, classes of features; the flow diagram is Horn & Elliott's Figure 2.
"""

from collections.abc import Mapping
from itertools import combinations

import numpy as np
import pandas as pd
from jaxtyping import Bool, Int

from featrack_utils.lineage import Lineage
from featrack_utils.matching.best_matches import Matches
from featrack_utils.matching.classes import Tracking, classify
from featrack_utils.matching.correlation import BestMatches

Best = Mapping[tuple[str, str], BestMatches]
Trackings = Mapping[tuple[str, str], Tracking]
CLASSES = ("persisting", "disappearing", "unobserved", "emerging", "inherited", "novel")
SHARED_ORIGINS = ("both", "all", "several")  # of a merge's features that more than one parent has


def steps(lineage: Lineage) -> list[tuple[str, str]]:
    """(parent, child) of every model with each model that it is made from."""
    return [(parent, model) for model in lineage.order for parent in lineage.parents(model)]


def origin_names(parents: tuple[str, ...]) -> tuple[str, ...]:
    """The origins that a merge's features can have: both (or all), one only, several, novel."""
    several = ("several",) if len(parents) > 2 else ()
    only = tuple(f"{parent} only" for parent in parents)
    return ("both" if len(parents) == 2 else "all", *only, *several, "novel")


def origin_masks(found: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Which of a merge's features have which origin, by name (`origin_names`), in this order.

    `found` holds for each parent whether it has a feature, bool arrays of any one shape.
    """
    number = sum(mask.astype(np.int8) for mask in found.values())
    only = [mask & (number == 1) for mask in found.values()]
    several = [(number > 1) & (number < len(found))] if len(found) > 2 else []
    masks = [number == len(found), *only, *several, number == 0]
    return dict(zip(origin_names(tuple(found)), masks, strict=True))


def first_matches(lineage: Lineage, matches: Matches) -> Best:
    """Best matches between the first dictionaries of each two models of a run."""
    first = {model: names[0] for model, names in matches.names.items()}
    return {(a, b): matches.best[first[a], first[b]] for a, b in combinations(lineage.order, 2)}


def tracked(lineage: Lineage, best: Best, tau: float, rule: str = "best") -> Trackings:
    """Classes and partners along every edge; `best` holds at least the edges."""
    return {edge: classify(best[edge], tau, rule) for edge in lineage.edges}


def origins(lineage: Lineage, model: str, trackings: Trackings) -> np.ndarray:
    """Where each feature of a model comes from, str [d_sae].

    Eligible features of the root are `eligible`, those of a tuned model `from <parent>` or `new`,
    of a merge one of `origin_names`; others are unobserved.
    """
    parents = lineage.parents(model)
    if not parents:
        seen = trackings[model, lineage.children(model)[0]].parent
        return np.where(seen == "unobserved", "unobserved", "eligible")
    found = {parent: trackings[parent, model].child == "matched" for parent in parents}
    masks = {f"from {parents[0]}": found[parents[0]], "new": ~found[parents[0]]}
    if model in lineage.merges:
        masks = origin_masks(found)
    unobserved = trackings[parents[0], model].child == "unobserved"
    return np.select([unobserved, *masks.values()], ["unobserved", *masks], "")


def found_in_neighbour(
    lineage: Lineage, trackings: Trackings
) -> dict[str, Bool[np.ndarray, " d_sae"]]:
    """Features that a neighbouring model has, too, by model: a parent, or for the root a child."""
    found = {}
    for model in lineage.order:
        masks = [trackings[parent, model].child == "matched" for parent in lineage.parents(model)]
        if model == lineage.root:
            children = lineage.children(model)
            masks = [trackings[model, child].parent == "persisting" for child in children]
        found[model] = np.any(masks, axis=0)
    return found


def classes(lineage: Lineage, trackings: Trackings) -> dict[str, Int[np.ndarray, " d_sae"]]:
    """Each feature's main class, an index into CLASSES, by model.

    Of the root persisting (in a child) or disappearing; of a tuned model persisting (from its
    parent) or emerging; of a merge inherited (from a parent) or novel; all may be unobserved.
    """
    numbers = {}
    for model, found in found_in_neighbour(lineage, trackings).items():
        names = ("persisting", "disappearing" if model == lineage.root else "emerging")
        if model in lineage.merges:
            names = ("inherited", "novel")
        with_one, without, unobserved = map(CLASSES.index, (*names, "unobserved"))
        eligible = origins(lineage, model, trackings) != "unobserved"
        numbers[model] = np.select([found, eligible], [with_one, without], unobserved)
    return numbers


def flow(lineage: Lineage, trackings: Trackings) -> pd.DataFrame:
    """Numbers of features that flow from model to model, those without a match included.

    Columns: source_stage, source_class, target_stage, target_class, volume. Eligible features
    have the classes of `origins`. A volume between two such classes counts one-to-one
    matches. Three more say where features begin or end: `disappearing` (target) have no match;
    `fused` (target) have one, but it is matched more closely to another parent feature; `split`
    (source) are the reverse, children whose parent is matched more closely to another child. With
    the rules `mutual` and `assignment` nothing is fused or split. Features without a parent come
    from (outside, new).

    So volumes add up: out of each class towards each next model, and into each class of a tuned
    model, flow as many features as the class has. Into a merge's `both` flow twice as many.
    """
    classes = {model: origins(lineage, model, trackings) for model in lineage.order}
    rows = []
    for model in lineage.order:
        for parent in lineage.parents(model):
            tracking = trackings[parent, model]
            rows += _between(tracking, (parent, classes[parent]), (model, classes[model]))
        for name in ("new", "novel"):
            born = np.count_nonzero(classes[model] == name)
            rows.append(("outside", "new", model, name, born))
    columns = ["source_stage", "source_class", "target_stage", "target_class"]
    table = pd.DataFrame(rows, columns=[*columns, "volume"])
    return table[table["volume"] > 0].reset_index(drop=True)


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

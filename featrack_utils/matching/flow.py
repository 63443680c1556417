"""Where features go along a lineage: what becomes of them, where they come from, whole chains.

A `Tracking` belongs to each (parent, child) of the lineage, of one dictionary a model. See
`book/method.md`, classes of features; the flow diagram is Horn & Elliott's Figure 2.
"""

from collections.abc import Mapping
from itertools import combinations, product

import numpy as np
import pandas as pd
from jaxtyping import Bool, Int

from featrack_utils.lineage import Lineage
from featrack_utils.matching.best_matches import Matches
from featrack_utils.matching.classes import Tracking, classify, require_pairs
from featrack_utils.matching.correlation import BestMatches, check_correlation

Best = Mapping[tuple[str, str], BestMatches]
Trackings = Mapping[tuple[str, str], Tracking]
Links = dict[tuple[str, str], pd.DataFrame]  # by step: features of both models, and min_r
CLASSES = ("persisting", "disappearing", "unobserved", "emerging", "inherited", "novel")
SHARED_ORIGINS = ("both", "all", "several")  # of a merge's features that more than one parent has
_LEVELS = 3  # of r in `universal_chains`, from 1 down to tau


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
    masks = {
        m: [trackings[p, m].child == "matched" for p in lineage.parents(m)] for m in lineage.order
    }
    children = lineage.children(lineage.root)
    masks[lineage.root] = [trackings[lineage.root, c].parent == "persisting" for c in children]
    return {model: np.any(each, axis=0) for model, each in masks.items()}


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
            volumes = _volumes(trackings[parent, model], classes[parent], classes[model])
            rows += [(parent, source, model, target, n) for (source, target), n in volumes.items()]
        for name in ("new", "novel"):
            born = np.count_nonzero(classes[model] == name)
            rows.append(("outside", "new", model, name, born))
    columns = ["source_stage", "source_class", "target_stage", "target_class"]
    table = pd.DataFrame(rows, columns=[*columns, "volume"])
    return table[table["volume"] > 0].reset_index(drop=True)


def _volumes(tracking: Tracking, source_class: np.ndarray, target_class: np.ndarray) -> pd.Series:
    """Numbers of features by the classes, str [d_sae], that they have in both models."""
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
    return ends.groupby(["source", "target"]).size()


def universal_chains(lineage: Lineage, best: Best, tau: float) -> pd.DataFrame:
    """Features with matches through all models of a lineage: one chain for each root feature.

    A chain has one feature of each model, with r > `tau` along every step from a model to one
    that is made from it. Of a root feature's chains it is the one with the largest smallest r.
    `best` holds the matches of every step.

    Columns: the models in order, and min_r, the smallest r. Largest min_r first.

    Raises:
        FeatrackError: `tau` outside (0, 1), or pairs not known down to `tau`.
    """
    check_correlation(tau, "tau")
    links = {}
    for parent, child in steps(lineage):
        require_pairs(best[parent, child], tau)
        i, j, r = best[parent, child].pairs
        links[parent, child] = pd.DataFrame({parent: i, child: j, "min_r": r})
    # The strongest come first: of a root feature with a strong chain no weaker link matters.
    # Where many features are copies of each other that leaves a fifth of the work.
    found, solved = [], []
    for least in np.linspace(1, tau, _LEVELS + 1)[1:]:
        strong = {step: each[each.min_r > least] for step, each in links.items()}
        for step in strong:
            if lineage.root in step:
                strong[step] = strong[step][~strong[step][lineage.root].isin(solved)]
        found.append(_joined(lineage, strong))
        solved += found[-1][lineage.root].tolist()
    chains = pd.concat(found)
    chains = chains.sort_values(["min_r", lineage.root], ascending=[False, True], ignore_index=True)
    return chains[[*lineage.order, "min_r"]]


def in_chains(lineage: Lineage, best: Best, tau: float) -> dict[str, Bool[np.ndarray, " d_sae"]]:
    """Which features belong to a chain of matches through all models, by model."""
    chains = universal_chains(lineage, best, tau)
    sizes = {child: best[parent, child].b_candidates.size for parent, child in lineage.edges}
    sizes[lineage.root] = best[lineage.edges[0]].a_candidates.size
    return {model: np.isin(range(sizes[model]), chains[model]) for model in lineage.order}


def _joined(lineage: Lineage, links: Links) -> pd.DataFrame:
    """Of each root feature that has chains of these links the strongest."""
    # Links of features that have none along another step of their model are in no chain.
    for model in lineage.order:
        here = [step for step in links if model in step]
        for one, other in product(here, here):
            links[one] = links[one][links[one][model].isin(links[other][model])]
    parts = [({*step}, each) for step, each in links.items()]
    # Models are taken out one by one: all links of the model are joined, and of the chains that
    # agree in the neighbours still to be joined only the strongest is kept.
    for model in lineage.order[1:]:
        here = [part for part in parts if model in part[0]]
        parts = [part for part in parts if model not in part[0]]
        open_models, joined = here[0]
        for models, more in here[1:]:
            joined, open_models = _join(joined, more, open_models & models), open_models | models
        open_models = open_models - {model}
        parts.append((open_models, _strongest(joined, lineage, open_models)))
    chains = parts[0][1]
    for _, more in parts[1:]:
        chains = _join(chains, more, {lineage.root})
    return chains


def _join(one: pd.DataFrame, other: pd.DataFrame, shared: set[str]) -> pd.DataFrame:
    """Chains that agree in the shared models, as strong as the weaker of the two."""
    joined = one.merge(other, on=sorted(shared), suffixes=("", "_other"))
    weaker = joined[["min_r", "min_r_other"]].min(axis=1)
    return joined.assign(min_r=weaker).drop(columns="min_r_other")


def _strongest(chains: pd.DataFrame, lineage: Lineage, agree: set[str]) -> pd.DataFrame:
    """Of the chains that agree in some models the one with the largest min_r.

    Ties go to the lowest numbers, the later models' first.
    """
    models = [model for model in reversed(lineage.order) if model in chains.columns]
    ranked = chains.sort_values(["min_r", *models], ascending=[False, *[True] * len(models)])
    return ranked.drop_duplicates(sorted(agree))

"""What becomes of each feature along a lineage: its class, seen from the neighbouring models.

The dictionaries are those that the explorer and the map show, one for each model.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import numpy as np
from jaxtyping import Bool, Int

from featrack_utils.lineage import Lineage
from featrack_utils.matching.best_matches import Matches
from featrack_utils.matching.chains import universal_chains
from featrack_utils.matching.classes import Tracking, classify
from featrack_utils.matching.correlation import BestMatches

CLASSES = ("persisting", "disappearing", "unobserved", "emerging", "inherited", "novel")
Best = Mapping[tuple[str, str], BestMatches]
Trackings = Mapping[tuple[str, str], Tracking]


def first_matches(lineage: Lineage, matches: Matches) -> Best:
    """Best matches between the first dictionaries of each two models of a run."""
    first = {model: names[0] for model, names in matches.names.items()}
    return {(a, b): matches.best[first[a], first[b]] for a, b in combinations(lineage.order, 2)}


def tracked(lineage: Lineage, best: Best, tau: float, rule: str = "best") -> Trackings:
    """Classes and partners along every edge; `best` holds at least the edges."""
    return {edge: classify(best[edge], tau, rule) for edge in lineage.edges}


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
        if model == lineage.root:
            seen = trackings[model, lineage.children(model)[0]].parent
            names = ("persisting", "disappearing")
        else:
            seen = trackings[lineage.parents(model)[0], model].child
            names = ("persisting", "emerging")
            if model in lineage.merges:
                names = ("inherited", "novel")
        with_one, without, unobserved = map(CLASSES.index, (*names, "unobserved"))
        numbers[model] = np.select([found, seen != "unobserved"], [with_one, without], unobserved)
    return numbers


def universal(lineage: Lineage, best: Best, tau: float) -> dict[str, Bool[np.ndarray, " d_sae"]]:
    """Which features belong to a chain of matches through all models, by model."""
    chains = universal_chains(lineage, best, tau)
    sizes = {child: best[parent, child].b_candidates.size for parent, child in lineage.edges}
    sizes[lineage.root] = best[lineage.edges[0]].a_candidates.size
    return {model: np.isin(range(sizes[model]), chains[model]) for model in lineage.order}

"""What becomes of every feature of one dictionary for each model: matches, classes, chains.

The dictionaries are those that the explorer and the map show, one for each model.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int

from featrack_utils.dictionaries.features import Features
from featrack_utils.matching import classes as match_classes
from featrack_utils.matching import correlation, flow
from featrack_utils.matching.classes import Tracking
from featrack_utils.matching.correlation import BestMatches
from featrack_utils.pipeline.config import EDGES, MODELS

CLASSES = ("persisting", "disappearing", "unobserved", "emerging", "inherited", "novel")
Best = Mapping[tuple[str, str], BestMatches]
Along = Mapping[tuple[str, str], Tracking]


class Criteria(NamedTuple):
    """When a feature is one of another model: see featrack_utils.pipeline.config.Tracking."""

    tau: float
    rule: str
    min_positions: int
    min_documents: int


def matches(a: Features, b: Features, criteria: Criteria) -> BestMatches:
    """Best matches between two dictionaries, over eligible features."""
    able = [
        match_classes.eligible(f.acts, f.origin, criteria.min_positions, criteria.min_documents)
        for f in (a, b)
    ]
    return correlation.correlations(a.acts, b.acts, eligible_a=able[0], eligible_b=able[1])


def all_matches(features: Mapping[str, Features], criteria: Criteria) -> Best:
    """Best matches between each two of the four models."""
    return {(a, b): matches(features[a], features[b], criteria) for a, b in combinations(MODELS, 2)}


def tracked(best: Best, tau: float, rule: str = "best") -> Along:
    """Classes and partners along every edge; `best` holds at least the edges."""
    return {pair: match_classes.classify(best[pair], tau, rule) for pair in EDGES}


def persisting(along: Along) -> dict[str, Bool[np.ndarray, " d_sae"]]:
    """Features that a neighbouring model has, too, by model.

    Of the base: found in a fine-tune; of a fine-tune: found in the base; of the merged model: found
    in a fine-tune.
    """
    base = [along["base", child].parent == "persisting" for child in ("lua", "stories")]
    merged = [along[parent, "merged"].child == "matched" for parent in ("lua", "stories")]
    return {
        "base": base[0] | base[1],
        "lua": along["base", "lua"].child == "matched",
        "stories": along["base", "stories"].child == "matched",
        "merged": merged[0] | merged[1],
    }


def classes(best: Best, criteria: Criteria) -> dict[str, Int[np.ndarray, " d_sae"]]:
    """Each feature's main class, an index into CLASSES, by model: what `persisting` says, named.

    Features of the merged model that a fine-tune has are called inherited.
    """
    along = tracked(best, criteria.tau, criteria.rule)
    seen = {
        "base": along["base", "lua"].parent,
        "merged": along["lua", "merged"].child,
        **{child: along["base", child].child for child in ("lua", "stories")},
    }
    names = {"base": ("persisting", "disappearing"), "merged": ("inherited", "novel")}
    numbers = {}
    for model, kept in persisting(along).items():
        with_one, without = names.get(model, ("persisting", "emerging"))
        ranks = [CLASSES.index(each) for each in (with_one, without, "unobserved")]
        numbers[model] = np.select([kept, seen[model] != "unobserved"], ranks[:2], ranks[2])
    return numbers


def universal(best: Best, tau: float) -> dict[str, Bool[np.ndarray, " d_sae"]]:
    """Which features belong to a chain of matches through all four models, by model."""
    chains = flow.universal_chains(
        best["base", "lua"],
        best["base", "stories"],
        best["lua", "merged"],
        best["stories", "merged"],
        best["base", "merged"],
        tau,
    )
    sizes = {"base": best["base", "lua"].a_candidates.size}
    sizes |= {model: best["base", model].b_candidates.size for model in MODELS[1:]}
    return {model: np.isin(np.arange(size), chains[model]) for model, size in sizes.items()}

"""What becomes of every feature of one dictionary for each model: matches, classes, chains.

The dictionaries are those that the explorer and the map show, one for each model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int

from featrack_utils import correlate, flow, match
from featrack_utils.config import EDGES, MODELS
from featrack_utils.correlate import BestMatches
from featrack_utils.features import Features

CLASSES = ("persisting", "disappearing", "unobserved", "emerging", "inherited", "novel")
Best = Mapping[tuple[str, str], BestMatches]


class Criteria(NamedTuple):
    """When a feature is one of another model: see featrack_utils.config.Tracking."""

    tau: float
    rule: str
    min_positions: int
    min_documents: int


def matches(a: Features, b: Features, criteria: Criteria) -> BestMatches:
    """Best matches between two dictionaries, over eligible features."""
    able = [
        match.eligible(f.acts, f.origin, criteria.min_positions, criteria.min_documents)
        for f in (a, b)
    ]
    return correlate.correlations(a.acts, b.acts, eligible_a=able[0], eligible_b=able[1])


def all_matches(features: Mapping[str, Features], criteria: Criteria) -> Best:
    """Best matches between each two of the four models."""
    return {(a, b): matches(features[a], features[b], criteria) for a, b in combinations(MODELS, 2)}


def classes(best: Best, criteria: Criteria) -> dict[str, Int[np.ndarray, " d_sae"]]:
    """Each feature's main class, an index into CLASSES, by model.

    A feature of the base persists if a fine-tune has it, one of a fine-tune if the base has it;
    one of the merged model is inherited if a fine-tune has it.
    """
    tracked = {pair: match.classify(best[pair], criteria.tau, criteria.rule) for pair in EDGES}
    base = [tracked["base", child].parent for child in ("lua", "stories")]
    merged = [tracked[parent, "merged"].child for parent in ("lua", "stories")]
    return {
        "base": _either(base, "persisting", "persisting", "disappearing"),
        "lua": _either([tracked["base", "lua"].child], "matched", "persisting", "emerging"),
        "stories": _either([tracked["base", "stories"].child], "matched", "persisting", "emerging"),
        "merged": _either(merged, "matched", "inherited", "novel"),
    }


def _either(found: Sequence[np.ndarray], name: str, one: str, none: str) -> np.ndarray:
    numbers = [CLASSES.index(each) for each in (one, none, "unobserved")]
    seen = found[0] != "unobserved"
    matched = np.any([each == name for each in found], axis=0)
    return np.select([matched, seen], numbers[:2], numbers[2])


def universal(best: Best, tau: float) -> dict[str, Bool[np.ndarray, " d_sae"]]:
    """Which features belong to a chain of matches through all four models, by model."""
    chains = flow.universal_chains(
        best["base", "lua"], best["base", "stories"], best["lua", "merged"],
        best["stories", "merged"], best["base", "merged"], tau,
    )  # fmt: skip
    sizes = {"base": best["base", "lua"].a_candidates.size}
    sizes |= {model: best["base", model].b_candidates.size for model in MODELS[1:]}
    return {model: np.isin(np.arange(size), chains[model]) for model, size in sizes.items()}

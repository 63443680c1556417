"""What share of features would be "found" by chance (METHOD.md §5)."""

from collections.abc import Sequence

import numpy as np

from featrack_utils.dictionaries.features import Features
from featrack_utils.errors import FeatrackError
from featrack_utils.matching.classes import mutual
from featrack_utils.matching.correlation import BestMatches, correlations
from featrack_utils.statistics.nulls import Model, require_alike


def document_shift(features: Features) -> np.ndarray:
    """For each position, the one half its domain's documents further on; int64 [n_tokens].

    Cyclic, within domains: features of one domain would otherwise seem unrelated to each
    other merely because code doesn't follow prose.

    Raises: FeatrackError for a domain of one document, which can't be shifted.
    """
    source = np.arange(features.origin.size)
    for domain in np.unique(features.domain):
        rows = np.flatnonzero(features.domain == domain)
        begins = np.flatnonzero(np.diff(features.origin[rows], prepend=-1))
        if begins.size < 2:
            raise FeatrackError(
                f"Domain {domain} of the evaluation mix has one document, so its stream can't be "
                "shifted by documents: give at least two."
            )
        source[rows] = np.roll(rows, -begins[begins.size // 2])
    return source


def shifted_matches(parent: Model, child: Model) -> BestMatches:
    """Best matches of the parent's features where the child's stream is shifted.

    Both keep their densities, clusters and order within documents; only the text they
    respond to differs. Of the first dictionaries alone, for chance knows no seed.

    Raises: FeatrackError: different token streams or widths, or a domain of one document.
    """
    require_alike(parent.seeds[0], child.seeds[0])
    shifted = child.seeds[0].acts[document_shift(child.seeds[0])]
    masks = {"eligible_a": parent.eligible[0], "eligible_b": child.eligible[0]}
    return correlations(parent.seeds[0].acts, shifted, floor=0.99, **masks)


def shares_above(best: BestMatches, taus: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Shares found at each threshold, of the parent's features and of the child's; [n_taus]."""
    asked = (best.a_best_r[best.a_candidates], best.b_best_r[best.b_candidates])
    of_parent, of_child = (np.array([(r > tau).mean() for tau in taus]) for r in asked)
    return of_parent, of_child


def document_shift_floor(
    parent: Model, child: Model, taus: Sequence[float]
) -> tuple[np.ndarray, np.ndarray]:
    """Shares "found" when the child's stream is shifted: of the parent's features in the child,
    and of the child's in the parent; float64 [n_taus] each.

    Raises: what `shifted_matches` raises.
    """
    return shares_above(shifted_matches(parent, child), taus)


def chance_share(
    best: BestMatches,
    tau: float,
    *,
    group: np.ndarray | None = None,
    among: Sequence[np.ndarray] | None = None,
    mutually: bool = False,
) -> float | None:
    """Share of the parent's features found in `shifted_matches`, counted in another way.

    `group` int [d_sae] merges copies (−1: in none); `among` are masks bool [d_sae] of features
    to ask, whose shares are averaged; `mutually` counts best matches of best matches alone.
    None if none is asked.
    """
    found = best.a_best_r > tau
    if mutually:
        found &= mutual(best)
    if group is not None:
        members = best.a_candidates & (group >= 0)
        asked = np.unique(group[members]).size
        return float(np.unique(group[members & found]).size / asked) if asked else None
    masks = [best.a_candidates & mask for mask in among or [best.a_candidates]]
    shares = [found[mask].mean() for mask in masks if mask.any()]
    return float(np.mean(shares)) if shares else None

"""What a share of persisting features would be if nothing had happened (METHOD.md §5).

The ceiling is the share that another SAE seed finds in the *same* model, the floor the
share found after one token stream was shifted. Every share of this module is a mean over
pairs of SAE seeds, with replicates under common `Draws`, so that shares can be divided.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from featrack_utils.correlate import correlations
from featrack_utils.errors import FeatrackError
from featrack_utils.features import Features, require_same_tokens
from featrack_utils.intervals import Draws, Shares, bootstrap, over_seeds
from featrack_utils.match import eligible
from featrack_utils.sums import check_correlation


class Model(NamedTuple):
    """One model's dictionaries on the evaluation mix, in the order of their SAE seeds."""

    name: str
    seeds: list[Features]
    eligible: list[np.ndarray]  # bool [d_sae] per seed


class Comparison(NamedTuple):
    """Shares for every pair (SAE seed of the parent, SAE seed of the child)."""

    parent: str
    child: str
    kept: dict[tuple[int, int], Shares]  # of the parent's features, those the child has
    known: dict[tuple[int, int], Shares]  # of the child's features, those the parent has


class Arms(NamedTuple):
    """Share kept when both dictionaries start from one SAE seed, and from different ones."""

    same: Shares
    different: Shares


def as_model(
    name: str, dictionaries: Sequence[Features], min_positions: int = 30, min_documents: int = 10
) -> Model:
    """A model from its dictionaries' features, one per SAE seed; minima as in `eligible`.

    Raises:
        FeatrackError: none given, different token streams, different numbers of features,
            or a dictionary without an eligible feature (all dead, or too little text).
    """
    if not dictionaries:
        raise FeatrackError(f"The model {name} has no dictionary: give one per SAE seed.")
    masks = []
    for number, features in enumerate(dictionaries):
        _require_alike(dictionaries[0], features)
        masks.append(eligible(features.acts, features.origin, min_positions, min_documents))
        if not masks[-1].any():
            raise FeatrackError(
                f"Dictionary {number} of the model {name} has no eligible feature, so no share "
                "is defined: train it longer or evaluate on more text."
            )
    return Model(name, list(dictionaries), masks)


def _require_alike(a: Features, b: Features) -> None:
    require_same_tokens(a, b)
    if a.acts.shape != b.acts.shape:
        raise FeatrackError(
            f"The dictionaries have {a.acts.shape[1]} and {b.acts.shape[1]} features: a share "
            "depends on the width, so compare dictionaries of one width."
        )


def compare(parent: Model, child: Model, draws: Draws, taus: Sequence[float]) -> Comparison:
    """Shares between two models for every pair of their SAE seeds.

    Raises: FeatrackError: different token streams or widths, or a threshold outside (0, 1).
    """
    _require_alike(parent.seeds[0], child.seeds[0])
    kept, known = {}, {}
    for s, a in enumerate(parent.seeds):
        for t, b in enumerate(child.seeds):
            masks = parent.eligible[s], child.eligible[t]
            kept[s, t], known[s, t] = bootstrap(a, b, *masks, draws, taus)
    return Comparison(parent.name, child.name, kept, known)


def kept_share(comparison: Comparison, draws: Draws) -> Shares:
    """Mean share of the parent's features that persist, over all pairs of SAE seeds."""
    return over_seeds(comparison.kept, draws, comparison.parent, comparison.child)


def emerging_share(comparison: Comparison, draws: Draws) -> Shares:
    """Mean share of the child's features that no parent feature matches."""
    known = over_seeds(comparison.known, draws, comparison.parent, comparison.child)
    return Shares(known.taus, 1 - known.estimate, 1 - known.replicates)


def same_seed_different_seed(comparison: Comparison, draws: Draws) -> Arms:
    """Shares kept from equal and from different SAE seeds; equal starts inflate matches.

    Raises: FeatrackError when there is no pair for an arm (fewer than two seeds).
    """
    arms = []
    for same in (True, False):
        tables = {st: share for st, share in comparison.kept.items() if (st[0] == st[1]) == same}
        arms.append(over_seeds(tables, draws, comparison.parent, comparison.child))
    return Arms(*arms)


def seed_ceiling(model: Model, draws: Draws, taus: Sequence[float]) -> Shares:
    """Share of a dictionary's features that another SAE seed of the same model has.

    Mean over ordered pairs of different seeds.

    Raises: FeatrackError with fewer than two seeds.
    """
    _require_two_seeds(model)
    tables = {}
    for s, a in enumerate(model.seeds):
        for t in range(s + 1, len(model.seeds)):
            masks = model.eligible[s], model.eligible[t]
            tables[s, t], tables[t, s] = bootstrap(a, model.seeds[t], *masks, draws, taus)
    return over_seeds(tables, draws, model.name, model.name)


def _require_two_seeds(model: Model) -> None:
    if len(model.seeds) < 2:
        raise FeatrackError(
            f"The model {model.name} has one dictionary: its ceiling and its reproducible "
            "features need at least two SAE seeds."
        )


def reproducible(model: Model, tau: float) -> list[np.ndarray]:
    """Eligible features that another SAE seed of their model has (r > τ): bool [d_sae] per seed.

    Raises: FeatrackError with fewer than two seeds, or τ outside (0, 1).
    """
    _require_two_seeds(model)
    check_correlation(tau, "tau")
    masks = [np.zeros(mask.size, bool) for mask in model.eligible]
    for s, a in enumerate(model.seeds):
        for t in range(s + 1, len(model.seeds)):
            best = correlations(
                a.acts,
                model.seeds[t].acts,
                floor=tau,
                eligible_a=model.eligible[s],
                eligible_b=model.eligible[t],
            )
            masks[s] |= best.a_candidates & (best.a_best_r > tau)
            masks[t] |= best.b_candidates & (best.b_best_r > tau)
    return masks


def reproducible_kept_share(parent: Model, child: Model, draws: Draws, tau: float) -> Shares | None:
    """Share of the parent's reproducible features that persist, over pairs of SAE seeds.

    Which features are reproducible is settled on the whole mix, like eligibility. Seeds
    without any are left out; None if no seed has one, for then the share is not defined.

    Raises: FeatrackError with fewer than two parent seeds, or τ outside (0, 1).
    """
    _require_alike(parent.seeds[0], child.seeds[0])
    tables = {}
    for s, mask in enumerate(reproducible(parent, tau)):
        if mask.any():
            for t, b in enumerate(child.seeds):
                masks = mask, child.eligible[t]
                tables[s, t], _ = bootstrap(parent.seeds[s], b, *masks, draws, [tau])
    return over_seeds(tables, draws, parent.name, child.name) if tables else None


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


def document_shift_floor(parent: Model, child: Model, taus: Sequence[float]) -> np.ndarray:
    """Share of parent features "found" in the child when its stream is shifted; [n_taus].

    Both keep their densities, clusters and order within documents; only the text they
    respond to differs. Mean over pairs of SAE seeds.

    Raises: FeatrackError: different token streams or widths, or a domain of one document.
    """
    _require_alike(parent.seeds[0], child.seeds[0])
    source = document_shift(child.seeds[0])
    shares = []
    for a, mask_a in zip(parent.seeds, parent.eligible, strict=True):
        for b, mask_b in zip(child.seeds, child.eligible, strict=True):
            best = correlations(
                a.acts, b.acts[source], floor=0.99, eligible_a=mask_a, eligible_b=mask_b
            )
            r = best.a_best_r[best.a_candidates]
            shares.append([(r > tau).mean() for tau in taus])
    return np.mean(shares, axis=0)

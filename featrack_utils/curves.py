"""Shares beside their ceilings and floors: ratios, threshold curves and flat results."""

from collections.abc import Sequence

import pandas as pd
from tqdm import tqdm

from featrack_utils.errors import FeatrackError
from featrack_utils.intervals import Draws, Interval, Shares, around, at, interval
from featrack_utils.nulls import Model, compare, document_shift_floor, kept_share, seed_ceiling

CURVE_TAUS = tuple(round(0.3 + 0.05 * k, 2) for k in range(14))  # 0.3 … 0.95


def ratio_to_ceiling(share: Shares, ceiling: Shares, tau: float) -> Interval | None:
    """Share / ceiling at τ, its interval from the replicates of both under common draws.

    None where the ceiling can't be told from zero: nothing is reproducible there, and a
    ratio to it isn't defined.

    Raises: FeatrackError for a threshold not computed, or replicates that don't pair.
    """
    s, c = at(share, tau), at(ceiling, tau)
    if len(share.replicates) != len(ceiling.replicates):
        raise FeatrackError("Share and ceiling come from different draws: use the same for both.")
    if interval(ceiling, tau).low <= 0 or ceiling.replicates[:, c].min() <= 0:
        return None
    estimate = float(share.estimate[s] / ceiling.estimate[c])
    low, high = around(estimate, share.replicates[:, s] / ceiling.replicates[:, c])
    return Interval(estimate, max(low, 0.0), high)


def threshold_curve(
    pairs: Sequence[tuple[Model, Model]], draws: Draws, taus: Sequence[float] = CURVE_TAUS
) -> pd.DataFrame:
    """Share kept against τ, one row per pair and τ, beside the parent's ceiling and the floor.

    Columns: pair, tau, share, ci_low, ci_high, ceiling, ceiling_low, ceiling_high, floor.
    """
    ceilings: dict[str, Shares] = {}
    rows = []
    for parent, child in tqdm(pairs, desc="threshold curves"):
        if parent.name not in ceilings:
            ceilings[parent.name] = seed_ceiling(parent, draws, taus)
        share = kept_share(compare(parent, child, draws, taus), draws)
        floor = document_shift_floor(parent, child, taus)
        for tau, at_floor in zip(taus, floor, strict=True):
            figures = *interval(share, tau), *interval(ceilings[parent.name], tau), float(at_floor)
            rows.append((f"{parent.name}_{child.name}", tau, *figures))
    columns = "pair tau share ci_low ci_high ceiling ceiling_low ceiling_high floor"
    return pd.DataFrame(rows, columns=columns.split())


def summary(
    prefix: str, share: Shares | None, ceiling: Shares | None, floor: float | None, tau: float
) -> dict[str, float | None]:
    """A share and what it must be read beside, as flat entries for results.json.

    Entries `prefix`, .ci_low, .ci_high, .ceiling, .ceiling.ci_low, .ceiling.ci_high, .floor,
    .ratio_to_ceiling, .ratio_to_ceiling.ci_low, .ratio_to_ceiling.ci_high; None: not defined.
    """
    ratio = ratio_to_ceiling(share, ceiling, tau) if share and ceiling else None
    figures = {
        "": interval(share, tau) if share else None,
        ".ceiling": interval(ceiling, tau) if ceiling else None,
        ".ratio_to_ceiling": ratio,
    }
    flat: dict[str, float | None] = {f"{prefix}.floor": floor}
    for suffix, figure in figures.items():
        for end, value in zip(("", ".ci_low", ".ci_high"), figure or [None] * 3, strict=True):
            flat[prefix + suffix + end] = value
    return flat

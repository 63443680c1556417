"""Shares beside their ceilings and floors: ratios, threshold curves and flat results."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from featrack_utils.errors import FeatrackError
from featrack_utils.statistics.intervals import Interval, Shares, around, at, interval

CURVE_TAUS = tuple(round(0.3 + 0.05 * k, 2) for k in range(14))  # 0.3 … 0.95
_ENDS = ("", ".ci_low", ".ci_high")


def ratio_to_ceiling(share: Shares, ceiling: Shares, tau: float) -> Interval | None:
    """Share / ceiling at τ, its interval from the replicates of both under common draws.

    None where the ceiling can't be told from zero: nothing is reproducible there, and a
    ratio to it isn't defined.

    Raises: FeatrackError for a threshold not computed, or replicates that don't pair.
    """
    s, c = _paired(share, ceiling, tau)
    if interval(ceiling, tau).low <= 0 or ceiling.replicates[:, c].min() <= 0:
        return None
    estimate = float(share.estimate[s] / ceiling.estimate[c])
    low, high = around(estimate, share.replicates[:, s] / ceiling.replicates[:, c])
    return Interval(estimate, max(low, 0.0), high)


def unchanged_loss(share: Shares, ceiling: Shares, tau: float) -> Interval | None:
    """(1 − ceiling) / (1 − share) at τ: of what seems lost, how much an unchanged model loses, too.

    None where so little seems lost that the ratio isn't defined. It may exceed 1.

    Raises: FeatrackError for a threshold not computed, or replicates that don't pair.
    """
    s, c = _paired(share, ceiling, tau)
    lost, anyway = 1 - share.replicates[:, s], 1 - ceiling.replicates[:, c]
    if lost.min() <= 0 or share.estimate[s] >= 1:
        return None
    estimate = float((1 - ceiling.estimate[c]) / (1 - share.estimate[s]))
    low, high = around(estimate, anyway / lost)
    return Interval(estimate, max(low, 0.0), high)


def difference(minuend: Shares, subtrahend: Shares, tau: float) -> Interval:
    """One share less another at τ, its interval from the replicates of both; within −1…1.

    Raises: FeatrackError for a threshold not computed, or replicates that don't pair.
    """
    m, s = _paired(minuend, subtrahend, tau)
    estimate = float(minuend.estimate[m] - subtrahend.estimate[s])
    low, high = around(estimate, minuend.replicates[:, m] - subtrahend.replicates[:, s])
    return Interval(estimate, max(low, -1.0), min(high, 1.0))


def _paired(one: Shares, other: Shares, tau: float) -> tuple[int, int]:
    if len(one.replicates) != len(other.replicates):
        raise FeatrackError("The shares come from different draws: use the same for both.")
    return at(one, tau), at(other, tau)


def threshold_curve(pair: str, share: Shares, ceiling: Shares, floor: np.ndarray) -> pd.DataFrame:
    """Share kept against τ, one row per τ, beside the parent's ceiling and the floor [n_taus].

    Columns: pair, tau, and each of share and ceiling with its _low and _high; floor.
    """
    rows = [
        (pair, tau, *interval(share, tau), *interval(ceiling, tau), float(at_floor))
        for tau, at_floor in zip(share.taus, floor, strict=True)
    ]
    columns = "pair tau share share_low share_high ceiling ceiling_low ceiling_high floor"
    return pd.DataFrame(rows, columns=columns.split())


def summary(
    prefix: str, share: Shares | None, ceiling: Shares | None, floor: float | None, tau: float
) -> dict[str, float | None]:
    """A share of features found and what it must be read beside, flat for results.json.

    `ceiling`: the share if nothing had happened; `floor`: by chance. Entries `prefix`,
    .ceiling and .ratio_to_ceiling, each with .ci_low and .ci_high, and .floor; None: not
    defined.
    """
    ratio = ratio_to_ceiling(share, ceiling, tau) if share and ceiling else None
    return {
        **flat(prefix, interval(share, tau) if share else None),
        **flat(f"{prefix}.ceiling", interval(ceiling, tau) if ceiling else None),
        f"{prefix}.floor": floor,
        **flat(f"{prefix}.ratio_to_ceiling", ratio),
    }


def lost_summary(
    prefix: str, lost: Shares, unchanged: Shares, by_chance: float, tau: float
) -> dict[str, float | None]:
    """A share of features *not* found and what it must be read beside, flat for results.json.

    Floor and ceiling change places: at least this much seems lost, `unchanged`, the share if
    nothing had happened (1 − the ceiling of what is found); and at most 1 − `by_chance`.
    Entries `prefix`, .floor and .excess (share − floor, what really was lost), each with
    .ci_low and .ci_high; .ceiling and .ratio_to_ceiling.
    """
    return {
        **flat(prefix, interval(lost, tau)),
        **flat(f"{prefix}.floor", interval(unchanged, tau)),
        **flat(f"{prefix}.excess", difference(lost, unchanged, tau)),
        f"{prefix}.ceiling": 1 - by_chance,
        f"{prefix}.ratio_to_ceiling": interval(lost, tau).estimate / (1 - by_chance),
    }


def flat(name: str, figure: Interval | None) -> dict[str, float | None]:
    """A figure with its interval, flat for results.json; None: not defined."""
    return {name + end: value for end, value in zip(_ENDS, figure or [None] * 3, strict=True)}


def besides(
    mine: Mapping[str, float | None], others: Mapping[str, float]
) -> dict[str, float | None]:
    """`mine` without the figures that `others` has already, which must agree.

    Raises: FeatrackError naming the first figure that two phases see differently.
    """
    for name in sorted(mine.keys() & others.keys()):
        value = mine[name]
        if value is None or not np.isclose(value, others[name], rtol=0, atol=1e-9):
            raise FeatrackError(
                f"{name} is {others[name]} in the tracking phase and {value} here: run both "
                "phases again, on the same features and with the same criteria."
            )
    return {name: value for name, value in mine.items() if name not in others}

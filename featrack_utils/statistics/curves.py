"""A share beside a ceiling and a floor that is one number, flat for results.json.

For shares that no dictionary is matched for (`persistence` has the others): those of probes, and of
features counted in the published way.
"""

from featrack_utils.statistics.intervals import UNDEFINED, Interval, Shares, interval
from featrack_utils.statistics.persistence import difference, flat, ratio


def ratio_to_ceiling(share: Shares, ceiling: Shares, tau: float) -> Interval | None:
    """Share / ceiling at τ (`persistence.ratio`); None where it isn't defined."""
    found = ratio(share, ceiling, tau)
    return None if found is UNDEFINED else found


def summary(
    prefix: str, share: Shares | None, ceiling: Shares | None, floor: float | None, tau: float
) -> dict[str, float | None]:
    """A share of features found and what it must be read beside, flat for results.json.

    `ceiling`: the share if nothing had happened; `floor`: by chance. Entries `prefix`,
    .ceiling and .ratio_to_ceiling, each with .ci_low and .ci_high, and .floor; None: not
    defined.
    """
    return {
        **flat(prefix, interval(share, tau) if share else UNDEFINED),
        **flat(f"{prefix}.ceiling", interval(ceiling, tau) if ceiling else UNDEFINED),
        f"{prefix}.floor": floor,
        **flat(
            f"{prefix}.ratio_to_ceiling",
            ratio(share, ceiling, tau) if share and ceiling else UNDEFINED,
        ),
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

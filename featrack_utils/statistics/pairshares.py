"""Share and ceiling of one parent dictionary and one of its child, with replicates."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from featrack_utils.dictionaries.features import Features
from featrack_utils.matching.classes import eligible
from featrack_utils.statistics.bootstrap import Draws, bootstrap, mutual_only
from featrack_utils.statistics.curves import ratio_to_ceiling
from featrack_utils.statistics.intervals import Shares, shares

_VIEWS = {"best": lambda matched: matched, "mutual": mutual_only}  # an assignment has none


def pair_shares(
    found: Mapping[str, Features],
    names: tuple[str, str, str],
    draws: Draws,
    taus: Sequence[float],
    min_positions: int,
    min_documents: int,
) -> dict[str, tuple[Shares, Shares]]:
    """Share of a dictionary's features in its child's, and in another of its own model, by rule.

    `names` are the parent's, the child's and the other dictionary of the parent's model, in
    `found`; both shares have the same `draws`. Rules: best and mutual. Empty where one of the
    three has no eligible feature, so that no share is defined.
    """
    able = {
        n: eligible(found[n].acts, found[n].origin, min_positions, min_documents) for n in names
    }
    if not all(mask.any() for mask in able.values()):
        return {}
    parent, *others = names
    kept, again = (
        bootstrap(found[parent], found[n], able[parent], able[n], draws, taus)[0] for n in others
    )
    return {rule: (shares(view(kept)), shares(view(again))) for rule, view in _VIEWS.items()}


def ratio_intervals(by_rule: Mapping[str, tuple[Shares, Shares]]) -> pd.DataFrame:
    """Bounds of share / ceiling for each rule and threshold of `pair_shares`.

    Columns: rule, tau, ratio_low, ratio_high; NaN where the ratio isn't defined.
    """
    rows = []
    for rule, (share, ceiling) in by_rule.items():
        for tau in share.taus:
            ratio = ratio_to_ceiling(share, ceiling, tau)
            bounds = (ratio.low, ratio.high) if ratio else (np.nan, np.nan)
            rows.append((rule, float(tau), *bounds))
    return pd.DataFrame(rows, columns=["rule", "tau", "ratio_low", "ratio_high"])

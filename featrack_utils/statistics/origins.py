"""Where a merge's features come from, and where they would if nothing had been merged.

A merge that changes nothing gives back one of its parents. So a second dictionary of a parent
stands for the merge: its features' origins, in the very dictionaries that the merge is compared
with, are what the shares could be at most.
"""

from collections.abc import Callable, Sequence

import numpy as np

from featrack_utils.errors import FeatrackError
from featrack_utils.matching.flow import origin_masks
from featrack_utils.statistics.bootstrap import Matched, mutual_only
from featrack_utils.statistics.intervals import Shares, corrected, mean
from featrack_utils.statistics.persistence import Persistence, Sample, complement
from featrack_utils.statistics.simex import without_noise


def merge_origins(
    sample: Sample, merge: str, parents: Sequence[str], rule: str = "best"
) -> dict[str, Persistence]:
    """Shares of a merge's features by origin (`flow.origin_names`), with their ceilings.

    Of the dictionaries of seed 0. The ceiling lets seed 1 of a parent stand for the merge: *one
    only* is read off that parent's own case, what several have or none off the mean of the cases.
    Without a second dictionary of every parent there is none. The entry *novel* holds the share
    that is *not* novel, so that its `lost_results` are of the novel ones.

    Raises:
        FeatrackError: a rule other than best and mutual, which alone can be counted in every draw.
    """
    if rule not in ("best", "mutual"):
        raise FeatrackError(f"Origins are counted by the rule best or mutual, not {rule!r}.")
    shares = _origin_shares(sample, (merge, 0), parents, rule)
    cases = {}
    if all(len(sample.seeds(parent)) > 1 for parent in parents):
        cases = {p: _origin_shares(sample, (p, 1), parents, rule) for p in parents}
    origins = {}
    for name, share in shares.items():
        own = [cases[parent] for parent in cases if name == f"{parent} only"]
        ceilings = [case[name] for case in own or cases.values()]
        ceiling = mean(ceilings) if ceilings else None
        if name == "novel":
            share, ceiling = complement(share), ceiling and complement(ceiling)
        origins[name] = Persistence(share, ceiling, {}, sample.tau)
    return origins


def _origin_shares(
    sample: Sample, place: tuple[str, int], parents: Sequence[str], rule: str
) -> dict[str, Shares]:
    """Shares of one dictionary's features by the parents' dictionaries 0 that have them."""
    matched = sample.matched((place, (parent, 0)) for parent in parents)
    by_parent = {parent: matched[place, (parent, 0)] for parent in parents}
    if rule == "mutual":
        by_parent = {parent: mutual_only(each) for parent, each in by_parent.items()}
    first = by_parent[parents[0]]
    asked, levels = first.asked, np.arange(first.taus.size)[:, None, None]

    def by_origin(above: Callable[[Matched], np.ndarray]) -> dict[str, np.ndarray]:
        return origin_masks({parent: above(each) for parent, each in by_parent.items()})

    whole = by_origin(lambda m: m.best_r[asked] > m.taus[:, None])
    drawn = by_origin(lambda m: m.exceeded[asked] > levels)
    twice = by_origin(lambda m: m.twice[asked] > levels)
    shares = {}
    for name, masks in whole.items():
        counted = masks.mean(axis=1)
        each = [without_noise(*one) for one in zip(counted, drawn[name], twice[name], strict=True)]
        shares[name] = corrected(first.taus, counted, np.stack(each, axis=1))
    return shares

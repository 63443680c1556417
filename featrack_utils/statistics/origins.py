"""Where a merge's features come from, and where they would if nothing had been merged.

A merge that changes nothing gives back one of its parents. So a second dictionary of a parent
stands for the merge: its features' origins, in the very dictionaries that the merge is compared
with, are what the shares could be at most.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from featrack_utils.errors import FeatrackError
from featrack_utils.matching.flow import origin_masks
from featrack_utils.statistics.bootstrap import Matched, mutual_only
from featrack_utils.statistics.intervals import Shares
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
        ceiling = _mean(ceilings) if ceilings else None
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
    return origin_shares(by_parent)


def origin_shares(by_parent: Mapping[str, Matched]) -> dict[str, Shares]:
    """Shares of one dictionary's features by origin, from how each parent matches them."""
    first = next(iter(by_parent.values()))
    asked, taus = first.asked, first.taus
    levels = np.arange(taus.size)[:, None, None]
    whole, drawn, twice = (
        origin_masks({parent: above(each) for parent, each in by_parent.items()})
        for above in (
            lambda m: m.best_r[asked] > taus[:, None],
            lambda m: m.exceeded[asked] > levels,
            lambda m: m.twice[asked] > levels,
        )
    )
    shares = {}
    for name, masks in whole.items():
        estimate = masks.mean(axis=1)
        each = zip(estimate, drawn[name], twice[name], strict=True)
        replicates = np.stack([without_noise(*one) for one in each], axis=1)
        shares[name] = Shares(taus, estimate, replicates)
    return shares


def _mean(shares: Sequence[Shares]) -> Shares:
    return Shares(
        shares[0].taus,
        np.mean([share.estimate for share in shares], axis=0),
        np.mean([share.replicates for share in shares], axis=0),
    )

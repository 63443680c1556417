"""How much of a parent persists in its child, beside what could be found at most and at least.

A bare share of features found again says little (`book/method.md`, ceilings and floors). Here it
stands beside its *ceiling*, the share that another dictionary of the parent itself finds, and its
*floors*, the shares that dictionaries of control models find, all counted by one rule under the
same draws of documents and SAE seeds, so that they can be divided and subtracted.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool

from featrack_utils.dictionaries.features import ZERO_SEED
from featrack_utils.errors import FeatrackError
from featrack_utils.matching import classes
from featrack_utils.matching.correlation import correlations
from featrack_utils.matching.flow import origin_masks
from featrack_utils.statistics import bootstrap, intervals
from featrack_utils.statistics.bootstrap import Masks, Matched, Place, Sample
from featrack_utils.statistics.bootstrap import resample as resample  # chapters need both
from featrack_utils.statistics.intervals import Interval, Shares, combined, complement, mean

RULES = (*classes.RULES, "copies merged")
CURVE_TAUS = tuple(round(0.3 + 0.05 * k, 2) for k in range(14))  # 0.3 … 0.95
_ENDS = ("", ".ci_low", ".ci_high")


class Persistence(NamedTuple):
    """A share of features found again, and what it must be read beside.

    Attributes:
        shares: of the parent's features those found in the child.
        ceilings: found if nothing had happened; undefined (NaN) where there is nobody to ask.
        floors: found in each control model, by the control's name; the first is the headline's.
        tau: the threshold at which the figures are read where none is named.
    """

    shares: Shares
    ceilings: Shares
    floors: dict[str, Shares]
    tau: float

    def share(self, tau: float | None = None) -> Interval:
        """The share, with its 95 % interval."""
        return intervals.interval(self.shares, tau or self.tau)

    def raw(self, tau: float | None = None) -> float:
        """The share as counted, before its noise is corrected."""
        return float(self.shares.counted[intervals.at(self.shares, tau or self.tau)])

    def ceiling(self, tau: float | None = None) -> Interval:
        """The share that would be found if nothing had happened."""
        return intervals.interval(self.ceilings, tau or self.tau)

    def floor(self, control: str | None = None, tau: float | None = None) -> Interval:
        """The share found in a control, the first if none is named; NaN: there is none."""
        return intervals.interval(self._floor(control), tau or self.tau)

    def ratio(self, tau: float | None = None) -> Interval:
        """Share / ceiling."""
        return intervals.ratio(self.shares, self.ceilings, tau or self.tau)

    def rescaled(self, control: str | None = None, tau: float | None = None) -> Interval:
        """(share − floor) / (ceiling − floor): 0 if all that was learned is gone, 1 if nothing is.

        It may be below 0 and above 1.
        """
        floor = self._floor(control)
        above, room = (combined(np.subtract, one, floor) for one in (self.shares, self.ceilings))
        return intervals.ratio(above, room, tau or self.tau, lowest=-np.inf)

    def unchanged_loss(self, tau: float | None = None) -> Interval:
        """(1 − ceiling) / (1 − share): of what seems lost, how much an unchanged model loses too.

        It may exceed 1.
        """
        return intervals.ratio(complement(self.ceilings), complement(self.shares), tau or self.tau)

    def excess(self, tau: float | None = None) -> Interval:
        """Ceiling − share: what is lost beyond what an unchanged model would seem to lose."""
        return intervals.difference(self.ceilings, self.shares, tau or self.tau)

    def as_results(self, prefix: str) -> dict[str, float | None]:
        """Flat for results.json: `prefix`, .ceiling, .ratio_to_ceiling and, where there are
        controls, .floor and .rescaled (by the first) and .floor_<name> of each other, each with
        .ci_low and .ci_high; and .raw, the share as counted. None: not defined.
        """
        figures = {"": self.share(), ".ceiling": self.ceiling(), ".ratio_to_ceiling": self.ratio()}
        if self.floors:
            figures |= {".floor": self.floor(), ".rescaled": self.rescaled()}
        for name in list(self.floors)[1:]:
            figures[f".floor_{name}"] = self.floor(name)
        results = {f"{prefix}.raw": _defined(self.raw())}
        for key, figure in figures.items():
            results |= flat(prefix + key, figure)
        return results

    def lost_results(self, prefix: str) -> dict[str, float | None]:
        """The share *not* found, flat for results.json, with floor and ceiling in turned places.

        `prefix`, .floor (what an unchanged model would seem to lose, 1 − ceiling) and .excess
        (the difference of the two, what was really lost), each with .ci_low and .ci_high; and
        .raw, as counted.
        """
        return {
            f"{prefix}.raw": _defined(1 - self.raw()),
            **flat(prefix, intervals.interval(complement(self.shares), self.tau)),
            **flat(f"{prefix}.floor", intervals.interval(complement(self.ceilings), self.tau)),
            **flat(f"{prefix}.excess", self.excess()),
        }

    def curve(self, pair: str) -> pd.DataFrame:
        """One row for each threshold: pair, tau, raw (the share as counted), and share, ceiling and
        the first floor, each with its _low and _high; missing where there is none.
        """
        parts = {"share": self.share, "ceiling": self.ceiling, "floor": self.floor}
        rows = []
        for tau in self.shares.taus:
            row = {"pair": pair, "tau": tau, "raw": self.raw(tau)}
            for name, part in parts.items():
                row |= dict(zip((name, f"{name}_low", f"{name}_high"), part(tau=tau), strict=True))
            rows.append(row)
        return pd.DataFrame(rows)

    def _floor(self, control: str | None) -> Shares:
        if control:
            return self.floors[control]
        return next(iter(self.floors.values()), intervals.undefined(self.shares))


def persistence(
    sample: Sample,
    parent: str,
    child: str,
    *,
    rule: str = "best",
    among: str | Masks | None = None,
    ceiling: str | None = None,
    floors: Mapping[str, str] | None = None,
    pairs: Callable[[int, int], bool] | None = None,
) -> Persistence:
    """Share of the parent's features that persist in the child, with its ceiling and floors.

    Every share is the mean over pairs of dictionaries (seed of the parent, seed of the other).
    `pairs` (parent's seed, child's seed) chooses among those with the child.

    Args:
        rule: best, mutual, assignment (one to one; without intervals, for it is solved once), or
            copies merged (a group of the parent's copies counts once, found if a member is).
        among: which of the parent's features are asked: masks, one per dictionary; "reproducible"
            (see `reproducible`); None: all eligible ones.
        ceiling: the model whose dictionaries show what could be found; the parent itself by
            default, whose different dictionaries are then asked of each other. Reproducible
            features have been found there already, so they need another.
        floors: control models by the floor's name; the headline's first.

    Raises:
        FeatrackError: an unknown rule or model.
    """
    if rule not in RULES:
        raise FeatrackError(f"The rule is {rule!r}; choose one of {', '.join(RULES)}.")
    masks = sample.eligible[parent] if among is None else among
    if among == "reproducible":
        masks = reproducible(sample, parent)
    else:
        ceiling = ceiling or parent

    def asked(s: int, model: str, t: int) -> Masks:
        left_out = (model == parent and s == t) or (model == child and pairs and not pairs(s, t))
        return [] if left_out else [masks[s]]

    return _between(sample, parent, child, ceiling, floors or {}, asked, rule)


def headline(
    sample: Sample,
    parent: str,
    child: str,
    unchanged: str | None = None,
    floors: Mapping[str, str] | None = None,
) -> Persistence:
    """The book's one number, to be read `rescaled` (`book/method.md`, headline).

    Of the parent's reproducible features, those found in the child. The ceiling is `unchanged`,
    the parent read by a dictionary that has learned from the child's text; its seed is ZERO_SEED.
    Without one the parent's own other dictionaries are the ceiling, and three of them are needed.
    No match is owed to a common start, so dictionaries of equal seeds have no say in each other's
    features, and the parent's dictionary of the seed of `unchanged` isn't asked at all.
    """

    def asked(s: int, model: str, t: int) -> Masks:
        seed = ZERO_SEED if model == unchanged else t
        if s == seed or (unchanged and s == ZERO_SEED):
            return []
        others = {*sample.seeds(parent)} - {s}
        if len(others) < 2:
            return [_found_in(sample, parent, s, others)] if unchanged else []
        # A seed that the parent has no dictionary of leaves out each other one, in turn.
        left_out = [seed] if seed in others else sorted(others)
        return [_found_in(sample, parent, s, others - {one}) for one in left_out]

    return _between(sample, parent, child, unchanged or parent, floors or {}, asked, "best")


def _between(
    sample: Sample,
    parent: str,
    child: str,
    ceiling: str | None,
    floors: Mapping[str, str],
    asked: Callable[[int, str, int], Masks],
    rule: str,
) -> Persistence:
    """The shares found in child, ceiling and controls; `asked` (parent's seed, model, its seed)
    says which of the parent's features: masks whose shares are averaged.
    """
    n_replicates = 0 if rule == "assignment" else len(sample.draws.documents)
    nothing = np.full((n_replicates, len(sample.taus)), np.nan)
    unknown = Shares(np.array(sample.taus), np.full(len(sample.taus), np.nan), nothing)

    def found_in(model: str | None) -> Shares:
        seeds = product(sample.seeds(parent), sample.seeds(model)) if model else ()
        masks = {(s, t): each for s, t in seeds if (each := asked(s, model, t))}
        places = {(s, t): ((parent, s), (model, t)) for s, t in masks}
        matched = sample.matched(places.values())
        tables = {}
        for seed, place in places.items():
            some = [matched[place].asked & mask for mask in masks[seed] if place in matched]
            asking = [matched[place]._replace(asked=each) for each in some if each.any()]
            if asking:
                tables[seed] = mean(_counted(sample, place, each, rule) for each in asking)
        if not tables:
            return unknown
        if rule == "assignment":
            return mean(tables.values())
        return intervals.over_seeds(tables, sample.draws, parent, model)

    controls = {name: found_in(model) for name, model in floors.items()}
    return Persistence(found_in(child), found_in(ceiling), controls, sample.tau)


def _counted(sample: Sample, pair: tuple[Place, Place], matched: Matched, rule: str) -> Shares:
    if rule == "assignment":
        (one, able_one), (other, able_other) = map(sample.dictionary, pair)
        best = correlations(one.acts, other.acts, eligible_a=able_one, eligible_b=able_other)
        chosen, r = classes.assignment(best.pairs), np.zeros(matched.asked.size)
        r[chosen.i] = chosen.r
        estimate = np.array([(r[matched.asked] > tau).mean() for tau in matched.taus])
        return Shares(matched.taus, estimate, np.empty((0, estimate.size)))
    if rule == "mutual":
        matched = bootstrap.mutual_only(matched)
    elif rule == "copies merged":
        matched = bootstrap.copies_merged(matched, sample.copies(pair[0]))
    return intervals.shares(matched)


def reproducible(sample: Sample, model: str) -> list[Bool[np.ndarray, " d_sae"]]:
    """Features found, at `sample.tau`, in every other dictionary of their own model; one mask each.

    All false for a model with one dictionary.
    """
    return [
        _found_in(sample, model, s, set(sample.seeds(model)) - {s}) for s in sample.seeds(model)
    ]


def _found_in(sample: Sample, model: str, seed: int, others: set[int]) -> np.ndarray:
    """Features of one dictionary that each of the others has; none if there is no other."""
    able = sample.eligible[model][seed]
    found = able.copy() if others else np.zeros_like(able)
    matched = sample.matched(((model, seed), (model, other)) for other in sorted(others))
    for other in others:
        one = matched.get(((model, seed), (model, other)))
        found &= (one.asked & (one.best_r > sample.tau)) if one else False
    return found


def merge_origins(
    sample: Sample, merge: str, parents: Sequence[str], rule: str = "best", seed: int = 0
) -> dict[str, Persistence]:
    """Shares of a merge's features by origin (`flow.origin_names`), with their ceilings.

    Of the merge's dictionary of this seed, by the parents' of seed 0: give another, so that none of
    equal seeds are compared. A merge that changes nothing gives back one of its parents, so
    for the ceiling seed 1 of a parent stands for the merge: *one only* is read off that parent's
    own case, what several have or none off the mean of the cases. Without a second dictionary of
    every parent there is none. The entry *novel* holds the share that is *not* novel, so that its
    `lost_results` are of the novel ones.

    Raises:
        FeatrackError: a rule other than best and mutual, which alone can be counted in every draw.
    """
    if rule not in ("best", "mutual"):
        raise FeatrackError(f"Origins are counted by the rule best or mutual, not {rule!r}.")
    found = _origin_shares(sample, (merge, seed), parents, rule)
    cases = {}
    if all(len(sample.seeds(parent)) > 1 for parent in parents):
        cases = {p: _origin_shares(sample, (p, 1), parents, rule) for p in parents}
    origins = {}
    for name, share in found.items():
        own = [cases[parent] for parent in cases if name == f"{parent} only"]
        ceilings = [case[name] for case in own or cases.values()]
        ceiling = mean(ceilings) if ceilings else intervals.undefined(share)
        if name == "novel":
            share, ceiling = complement(share), complement(ceiling)
        origins[name] = Persistence(share, ceiling, {}, sample.tau)
    return origins


def _origin_shares(
    sample: Sample, place: Place, parents: Sequence[str], rule: str
) -> dict[str, Shares]:
    """Shares of one dictionary's features by the parents' dictionaries 0 that have them."""
    pairs = [(place, (parent, 0)) for parent in parents]
    matched = sample.matched(pairs)
    each = [
        bootstrap.mutual_only(matched[pair]) if rule == "mutual" else matched[pair]
        for pair in pairs
    ]
    masks = origin_masks({p: one.above() for p, one in zip(parents, each, strict=True)})
    return {name: intervals.corrected(each[0].taus, looks) for name, looks in masks.items()}


def flat(name: str, figure: Interval | None) -> dict[str, float | None]:
    """A figure with its interval, flat for results.json; None: not defined."""
    values = map(_defined, figure or intervals.UNDEFINED)
    return {name + end: value for end, value in zip(_ENDS, values, strict=True)}


def _defined(value: float) -> float | None:
    return None if np.isnan(value) else value

"""How much of a parent persists in its child, beside what could be found at most and at least.

A bare share of features found again says little (`book/method.md`, ceilings and floors). Here it
stands beside its *ceiling*, the share that another dictionary of the parent itself finds, and its
*floors*, the shares that dictionaries of control models find, all counted by one rule under the
same draws of documents and SAE seeds, so that they can be divided and subtracted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool

from featrack_utils.dictionaries.features import ZERO_SEED
from featrack_utils.errors import FeatrackError
from featrack_utils.matching.classes import assignment
from featrack_utils.matching.correlation import correlations
from featrack_utils.matching.flow import origin_masks
from featrack_utils.statistics.bootstrap import Matched, copies_merged, mutual_only
from featrack_utils.statistics.intervals import (
    UNDEFINED,
    Interval,
    Shares,
    around,
    at,
    corrected,
    interval,
    mean,
    over_seeds,
    shares,
)
from featrack_utils.statistics.sample import Masks, Place, Sample
from featrack_utils.statistics.sample import resample as resample  # chapters need both
from featrack_utils.statistics.simex import without_noise

RULES = ("best", "mutual", "assignment", "copies merged")
CURVE_TAUS = tuple(round(0.3 + 0.05 * k, 2) for k in range(14))  # 0.3 … 0.95
_ENDS = ("", ".ci_low", ".ci_high")


class Persistence(NamedTuple):
    """A share of features found again, and what it must be read beside.

    Attributes:
        share: of the parent's features those found in the child.
        ceiling: found if nothing had happened; None: there is nobody to ask.
        floors: found in each control model, by the control's name; the first is the headline's.
        tau: the threshold at which the figures are read where none is named.
    """

    share: Shares
    ceiling: Shares | None
    floors: dict[str, Shares]
    tau: float

    def found(self, tau: float | None = None) -> Interval:
        """The share, with its 95 % interval."""
        return interval(self.share, tau or self.tau)

    def counted(self, tau: float | None = None) -> float:
        """The share as counted, before its noise is corrected."""
        return float(self.share.counted[at(self.share, tau or self.tau)])

    def at_most(self, tau: float | None = None) -> Interval:
        """The ceiling, with its interval; undefined (NaN) if there is none."""
        return interval(self._known(self.ceiling), tau or self.tau)

    def at_least(self, floor: str | None = None, tau: float | None = None) -> Interval:
        """A control's floor (the first if none is named), with its interval; NaN: no control."""
        return interval(self._floor(floor), tau or self.tau)

    def ratio(self, tau: float | None = None) -> Interval:
        """Share / ceiling; undefined where the ceiling is missing or can't be told from zero."""
        return ratio(self.share, self._known(self.ceiling), tau or self.tau)

    def rescaled(self, floor: str | None = None, tau: float | None = None) -> Interval:
        """(share − floor) / (ceiling − floor): 0 if all that was learned is gone, 1 if nothing is.

        `floor` names a control, the first by default. It may be below 0 and above 1. Undefined
        without ceiling or floor, or where the two can't be told apart.
        """
        low, top = self._floor(floor), self._known(self.ceiling)
        return ratio(_minus(self.share, low), _minus(top, low), tau or self.tau, lowest=-np.inf)

    def unchanged_loss(self, tau: float | None = None) -> Interval:
        """(1 − ceiling) / (1 − share): of what seems lost, how much an unchanged model loses too.

        Undefined where so little seems lost that there is no ratio. It may exceed 1.
        """
        top = complement(self._known(self.ceiling))
        return ratio(top, complement(self.share), tau or self.tau)

    def excess(self, tau: float | None = None) -> Interval:
        """Ceiling − share: what is lost beyond what an unchanged model would seem to lose."""
        return difference(self._known(self.ceiling), self.share, tau or self.tau)

    def as_results(self, prefix: str, tau: float | None = None) -> dict[str, float | None]:
        """Flat for results.json: `prefix`, .ceiling, .ratio_to_ceiling and, where there are
        controls, .floor and .rescaled (by the first) and .floor_<name> of each other, each with
        .ci_low and .ci_high; and .raw, the share as counted. None: not defined.
        """
        figures = {
            "": self.found(tau),
            ".ceiling": self.at_most(tau),
            ".ratio_to_ceiling": self.ratio(tau),
        }
        if self.floors:
            figures |= {".floor": self.at_least(tau=tau), ".rescaled": self.rescaled(tau=tau)}
        for name in list(self.floors)[1:]:
            figures[f".floor_{name}"] = self.at_least(name, tau)
        results = _raw(prefix, self.counted(tau))
        for key, figure in figures.items():
            results |= flat(prefix + key, figure)
        return results

    def lost_results(self, prefix: str, tau: float | None = None) -> dict[str, float | None]:
        """The share *not* found, flat for results.json, with floor and ceiling in turned places.

        `prefix`, .floor (what an unchanged model would seem to lose, 1 − ceiling) and .excess
        (the difference of the two, what was really lost), each with .ci_low and .ci_high; and
        .raw, as counted.
        """
        anyway = complement(self._known(self.ceiling))
        return {
            **_raw(prefix, 1 - self.counted(tau)),
            **flat(prefix, interval(complement(self.share), tau or self.tau)),
            **flat(f"{prefix}.floor", interval(anyway, tau or self.tau)),
            **flat(f"{prefix}.excess", self.excess(tau)),
        }

    def curve(self, pair: str) -> pd.DataFrame:
        """One row for each threshold: pair, tau, raw (the share as counted), and share, ceiling and
        the first floor, each with its _low and _high; missing where there is none.
        """
        parts = {"share": self.found, "ceiling": self.at_most, "floor": self.at_least}
        rows = []
        for tau in self.share.taus:
            row = {"pair": pair, "tau": tau, "raw": self.counted(tau)}
            for name, part in parts.items():
                row |= dict(zip((name, f"{name}_low", f"{name}_high"), part(tau=tau), strict=True))
            rows.append(row)
        return pd.DataFrame(rows)

    def _floor(self, name: str | None) -> Shares:
        first = next(iter(self.floors.values()), None)
        return self._known(self.floors[name] if name else first)

    def _known(self, part: Shares | None) -> Shares:
        if part is not None:
            return part
        nothing = (np.full_like(each, np.nan) for each in self.share[1:3])
        return Shares(self.share.taus, *nothing)


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
    masks = reproducible(sample, parent) if among == "reproducible" else among

    def asked(s: int, model: str, t: int) -> list[np.ndarray | None]:
        left_out = (model == parent and s == t) or (model == child and pairs and not pairs(s, t))
        return [] if left_out else [None if masks is None else masks[s]]

    own_again = ceiling is None and among == "reproducible"
    top = None if own_again else (ceiling or parent)
    return _between(sample, parent, child, top, floors, asked, rule)


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

    No match is owed to a common start. Dictionaries of equal seeds aren't compared; the one that
    shares its seed with the dictionary asked has no say in what is reproducible, unless it is the
    only other one; and the parent's dictionary of the seed of `unchanged` isn't asked at all, so
    that share, floors and ceiling are of the same features.
    """

    def asked(s: int, model: str, t: int) -> list[np.ndarray | None]:
        seed = ZERO_SEED if model == unchanged else t
        if s == seed or (unchanged and s == ZERO_SEED):
            return []
        others = {*sample.seeds(parent)} - {s}
        if len(others) < 2:
            return [_found_in(sample, parent, s, others)] if unchanged else []
        # A seed that the parent has no dictionary of leaves out each other one, in turn.
        left_out = [seed] if seed in others else sorted(others)
        return [_found_in(sample, parent, s, others - {one}) for one in left_out]

    return _between(sample, parent, child, unchanged or parent, floors, asked, "best")


def _between(
    sample: Sample,
    parent: str,
    child: str,
    ceiling: str | None,
    floors: Mapping[str, str] | None,
    asked: Callable[[int, str, int], list[np.ndarray | None]],
    rule: str,
) -> Persistence:
    """The shares found in child, ceiling and controls; `asked` (parent's seed, model, its seed)
    says which of the parent's features: masks whose shares are averaged, None for all.
    """

    def share(model: str) -> Shares | None:
        pairs = {
            (s, t): ((parent, s), (model, t))
            for s, t in product(sample.seeds(parent), sample.seeds(model))
        }
        masks = {place: each for place in pairs if (each := asked(place[0], model, place[1]))}
        matched = sample.matched(pairs[place] for place in masks)
        tables = {}
        for place, each in masks.items():
            if one := matched.get(pairs[place]):
                found = [_one_share(sample, pairs[place], one, mask, rule) for mask in each]
                if found := [share for share in found if share is not None]:
                    tables[place] = mean(found)
        if not tables:
            return None
        if rule == "assignment":
            return mean(list(tables.values()))
        return over_seeds(tables, sample.draws, parent, model)

    n_replicates = 0 if rule == "assignment" else len(sample.draws.documents)
    nothing = np.full((n_replicates, len(sample.taus)), np.nan)
    undefined = Shares(np.array(sample.taus), np.full(len(sample.taus), np.nan), nothing)
    return Persistence(
        share=share(child) or undefined,
        ceiling=share(ceiling) if ceiling else None,
        floors={name: share(model) or undefined for name, model in (floors or {}).items()},
        tau=sample.tau,
    )


def reproducible(sample: Sample, model: str) -> list[Bool[np.ndarray, " d_sae"]]:
    """Features found, at `sample.tau`, in every other dictionary of their own model; one mask each.

    All false for a model with one dictionary.
    """
    return [
        _found_in(sample, model, s, set(sample.seeds(model)) - {s}) for s in sample.seeds(model)
    ]


def merge_origins(
    sample: Sample, merge: str, parents: Sequence[str], rule: str = "best"
) -> dict[str, Persistence]:
    """Shares of a merge's features by origin (`flow.origin_names`), with their ceilings.

    Of the dictionaries of seed 0. A merge that changes nothing gives back one of its parents, so
    for the ceiling seed 1 of a parent stands for the merge: *one only* is read off that parent's
    own case, what several have or none off the mean of the cases. Without a second dictionary of
    every parent there is none. The entry *novel* holds the share that is *not* novel, so that its
    `lost_results` are of the novel ones.

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


def complement(share: Shares) -> Shares:
    """1 − a share, replicate by replicate."""
    return share._replace(
        estimate=1 - share.estimate, replicates=1 - share.replicates, raw=1 - share.counted
    )


def ratio(top: Shares, bottom: Shares, tau: float, lowest: float = 0.0) -> Interval:
    """One share over another at τ, its interval from the same draws of both; not below `lowest`.

    Undefined (NaN) where the bottom can't be told from zero.

    Raises:
        FeatrackError: a threshold that wasn't counted.
    """
    t, b = at(top, tau), at(bottom, tau)
    below = bottom.replicates[:, b]
    if not bottom.estimate[b] > 0 or (below <= 0).any():
        return UNDEFINED
    figures = top.estimate[t] / bottom.estimate[b], *around(top.replicates[:, t] / below)
    return Interval(*(max(float(x), lowest) for x in figures))


def difference(minuend: Shares, subtrahend: Shares, tau: float) -> Interval:
    """One share less another at τ, its interval from the same draws of both; within −1…1.

    Raises:
        FeatrackError: a threshold that wasn't counted.
    """
    m, s = at(minuend, tau), at(subtrahend, tau)
    bounds = around(minuend.replicates[:, m] - subtrahend.replicates[:, s])
    figures = minuend.estimate[m] - subtrahend.estimate[s], *bounds
    return Interval(*(float(np.clip(x, -1, 1)) for x in figures))


def flat(name: str, figure: Interval | None) -> dict[str, float | None]:
    """A figure with its interval, flat for results.json; None: not defined."""
    values = (None if np.isnan(value) else value for value in figure or UNDEFINED)
    return {name + end: value for end, value in zip(_ENDS, values, strict=True)}


def _raw(name: str, counted: float) -> dict[str, float | None]:
    return {f"{name}.raw": None if np.isnan(counted) else counted}


def _one_share(
    sample: Sample,
    pair: tuple[Place, Place],
    matched: Matched,
    mask: np.ndarray | None,
    rule: str,
) -> Shares | None:
    if mask is not None:
        matched = matched._replace(asked=matched.asked & mask)
    if not matched.asked.any():
        return None
    if rule == "assignment":
        r = _assigned_r(sample, *pair)[matched.asked]
        estimate = np.array([(r > tau).mean() for tau in matched.taus])
        return Shares(matched.taus, estimate, np.empty((0, estimate.size)))
    if rule == "mutual":
        matched = mutual_only(matched)
    if rule == "copies merged":
        matched = copies_merged(matched, sample.copies(pair[0]))
    return shares(matched)


def _assigned_r(sample: Sample, a: Place, b: Place) -> np.ndarray:
    """r of each of a's features with the one of b that it is assigned; 0: none. [d_sae]"""
    one, other = (sample.dictionary(place) for place in (a, b))
    best = correlations(one[0].acts, other[0].acts, eligible_a=one[1], eligible_b=other[1])
    r = np.zeros(best.a_candidates.size)
    chosen = assignment(best.pairs)
    r[chosen.i] = chosen.r
    return r


def _found_in(sample: Sample, model: str, seed: int, others: set[int]) -> np.ndarray:
    """Features of one dictionary that each of the others has; none if there is no other."""
    able = sample.eligible[model][seed]
    found = able.copy() if others else np.zeros_like(able)
    matched = sample.matched(((model, seed), (model, other)) for other in sorted(others))
    for other in others:
        one = matched.get(((model, seed), (model, other)))
        found &= (one.asked & (one.best_r > sample.tau)) if one else False
    return found


def _minus(one: Shares, other: Shares) -> Shares:
    return one._replace(
        estimate=one.estimate - other.estimate,
        replicates=one.replicates - other.replicates,
        raw=one.counted - other.counted,
    )

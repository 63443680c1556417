"""How much of a parent persists in its child, beside what could be found at most and at least.

A bare share of features found again says little (`book/method.md`, ceilings and floors). Here it
stands beside its *ceiling*, the share that another dictionary of the parent itself finds, and its
*floors*, the shares that dictionaries of control models find, all counted by one rule under the
same draws of documents and SAE seeds, so that they can be divided and subtracted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import permutations, product
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool

from featrack_utils.dictionaries.features import ZERO_SEED
from featrack_utils.errors import FeatrackError
from featrack_utils.matching.classes import assignment
from featrack_utils.matching.correlation import correlations
from featrack_utils.statistics.bootstrap import Matched, copies_merged, mutual_only
from featrack_utils.statistics.intervals import (
    UNDEFINED,
    Interval,
    Shares,
    around,
    at,
    interval,
    mean,
    over_seeds,
    shares,
)
from featrack_utils.statistics.sample import Masks, Place, Sample, resample

__all__ = [
    "CURVE_TAUS",
    "RULES",
    "Persistence",
    "Sample",
    "complement",
    "difference",
    "flat",
    "headline",
    "persistence",
    "ratio",
    "reproducible",
    "resample",
]

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
        return interval(self.ceiling, tau or self.tau) if self.ceiling else UNDEFINED

    def at_least(self, floor: str | None = None, tau: float | None = None) -> Interval:
        """A control's floor (the first if none is named), with its interval; NaN: no control."""
        low = self._floor(floor)
        return interval(low, tau or self.tau) if low else UNDEFINED

    def ratio(self, tau: float | None = None) -> Interval:
        """Share / ceiling; undefined where the ceiling is missing or can't be told from zero."""
        return ratio(self.share, self.ceiling, tau or self.tau) if self.ceiling else UNDEFINED

    def rescaled(self, floor: str | None = None, tau: float | None = None) -> Interval:
        """(share − floor) / (ceiling − floor): 0 if all that was learned is gone, 1 if nothing is.

        `floor` names a control, the first by default. It may be below 0 and above 1. Undefined
        without ceiling or floor, or where the two can't be told apart.
        """
        low = self._floor(floor)
        if self.ceiling is None or low is None:
            return UNDEFINED
        return ratio(
            _minus(self.share, low), _minus(self.ceiling, low), tau or self.tau, lowest=-np.inf
        )

    def unchanged_loss(self, tau: float | None = None) -> Interval:
        """(1 − ceiling) / (1 − share): of what seems lost, how much an unchanged model loses too.

        Undefined where so little seems lost that there is no ratio. It may exceed 1.
        """
        if self.ceiling is None:
            return UNDEFINED
        return ratio(complement(self.ceiling), complement(self.share), tau or self.tau)

    def excess(self, tau: float | None = None) -> Interval:
        """Ceiling − share: what is lost beyond what an unchanged model would seem to lose."""
        if self.ceiling is None:
            return UNDEFINED
        return difference(self.ceiling, self.share, tau or self.tau)

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
        anyway = UNDEFINED
        if self.ceiling is not None:
            anyway = interval(complement(self.ceiling), tau or self.tau)
        return {
            **_raw(prefix, 1 - self.counted(tau)),
            **flat(prefix, interval(complement(self.share), tau or self.tau)),
            **flat(f"{prefix}.floor", anyway),
            **flat(f"{prefix}.excess", self.excess(tau)),
        }

    def curve(self, pair: str) -> pd.DataFrame:
        """One row for each threshold: pair, tau, raw (the share as counted), and share, ceiling and
        the first floor, each with its _low and _high; missing where there is none.
        """
        parts = {"share": self.share, "ceiling": self.ceiling, "floor": self._floor(None)}
        rows = []
        for tau in self.share.taus:
            row = {"pair": pair, "tau": tau, "raw": self.counted(tau)}
            for name, part in parts.items():
                bounds = interval(part, tau) if part else UNDEFINED
                row |= dict(zip((name, f"{name}_low", f"{name}_high"), bounds, strict=True))
            rows.append(row)
        return pd.DataFrame(rows)

    def _floor(self, name: str | None) -> Shares | None:
        if name is not None:
            return self.floors[name]
        return next(iter(self.floors.values()), None)


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
            default, whose different dictionaries are then asked of each other.
        floors: control models by the floor's name; the headline's first.

    A reproducible feature was found in other dictionaries of its model, so these can't be asked
    again. Where the ceiling is the parent's own, one of them is left out of the definition and
    asked instead, in turn; share and floors are then counted with one left out, too, so that all
    are of features that as many dictionaries have. That needs three; with two there is no ceiling.

    Raises:
        FeatrackError: an unknown rule or model, or dictionaries of different widths.
    """
    if rule not in RULES:
        raise FeatrackError(f"The rule is {rule!r}; choose one of {', '.join(RULES)}.")
    ceiling = parent if ceiling is None else ceiling
    floors = dict(floors or {})
    for model in (parent, child, ceiling, *floors.values()):
        _require_model(sample, model, parent)

    def share(model: str, chosen: Callable[[int, int], bool] | None = None) -> Shares | None:
        places = product(sample.seeds(parent), sample.seeds(model))
        if model == parent:
            places = permutations(sample.seeds(parent), 2)
        asked = {
            (s, t): _asked(sample, (parent, s), (model, t), among, ceiling == parent)
            for s, t in places
            if chosen is None or chosen(s, t)
        }
        return _mean_share(sample, parent, model, asked, rule)

    found = {name: share(model) for name, model in floors.items()}
    return Persistence(
        share=share(child, pairs) or _undefined(sample, rule),
        ceiling=share(ceiling),
        floors={name: low or _undefined(sample, rule) for name, low in found.items()},
        tau=sample.tau,
    )


def headline(
    sample: Sample,
    parent: str,
    child: str,
    unchanged: str | None = None,
    floors: Mapping[str, str] | None = None,
) -> Persistence:
    """The book's one number, to be read `rescaled` (`book/method.md`, headline).

    Of the parent's reproducible features, those found in the child. The ceiling is `unchanged`,
    the parent read by a dictionary that has learned from the child's text; its seed is
    ZERO_SEED. Without one the parent's own other dictionaries are the ceiling, and three of
    them are needed.

    No match is owed to a common start. Dictionaries of equal seeds aren't compared; the one that
    shares its seed with the dictionary asked has no say in what is reproducible, unless it is the
    only other one; and the parent's dictionary of the seed of `unchanged` isn't asked at all, so
    that share, floors and ceiling are of the same features.
    """
    floors = dict(floors or {})
    for model in filter(None, (parent, child, unchanged, *floors.values())):
        _require_model(sample, model, parent)

    def share(model: str) -> Shares | None:
        asked = {}
        for s, t in product(sample.seeds(parent), sample.seeds(model)):
            seed = ZERO_SEED if model == unchanged else t
            if s == seed or (unchanged and s == ZERO_SEED):
                continue
            others = {*sample.seeds(parent)} - {s}
            left_out = [seed] if seed in others else sorted(others)
            defining = [others - {one} for one in left_out if len(others) > 1]
            if unchanged and len(others) == 1:
                defining = [others]
            asked[s, t] = [_found_in(sample, parent, s, some) for some in defining]
        return _mean_share(sample, parent, model, asked, "best")

    found = {name: share(model) for name, model in floors.items()}
    return Persistence(
        share=share(child) or _undefined(sample, "best"),
        ceiling=share(unchanged or parent),
        floors={name: low or _undefined(sample, "best") for name, low in found.items()},
        tau=sample.tau,
    )


def _asked(
    sample: Sample, one: Place, other: Place, among: str | Masks | None, own_ceiling: bool
) -> list[np.ndarray | None]:
    """Which features of one dictionary to ask of another: masks whose shares are averaged."""
    parent, seed = one
    if among is None:
        return [None]
    if not isinstance(among, str):
        return [among[seed]]
    if among != "reproducible":
        raise FeatrackError(f"among is {among!r}; give masks, reproducible, or None.")
    others = set(sample.seeds(parent)) - {seed}
    if other[0] == parent:
        defining = [others - {other[1]}]
    elif own_ceiling and len(others) > 1:
        defining = [others - {left_out} for left_out in sorted(others)]
    else:
        defining = [others]
    return [_found_in(sample, parent, seed, some) for some in defining if some]


def reproducible(sample: Sample, model: str) -> list[Bool[np.ndarray, " d_sae"]]:
    """Features found, at `sample.tau`, in every other dictionary of their own model; one mask each.

    All false for a model with one dictionary.
    """
    return [
        _found_in(sample, model, s, set(sample.seeds(model)) - {s}) for s in sample.seeds(model)
    ]


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


def _mean_share(
    sample: Sample,
    parent: str,
    other: str,
    asked: Mapping[tuple[int, int], list[np.ndarray | None]],
    rule: str,
) -> Shares | None:
    """The mean, over pairs of seeds and each pair's masks, of the share found; None: none asked."""
    tables = {}
    places = {(s, t): ((parent, s), (other, t)) for s, t in asked}
    matched = sample.matched(places.values())
    for (s, t), masks in asked.items():
        pair = places[s, t]
        if pair not in matched:
            continue
        each = [_one_share(sample, pair, matched[pair], mask, rule) for mask in masks]
        each = [share for share in each if share is not None]
        if each:
            tables[s, t] = mean(each)
    if not tables:
        return None
    if rule == "assignment":
        return mean(list(tables.values()))
    return over_seeds(tables, sample.draws, parent, other)


def _undefined(sample: Sample, rule: str) -> Shares:
    n_replicates = 0 if rule == "assignment" else len(sample.draws.documents)
    nothing = np.full(len(sample.taus), np.nan)
    return Shares(np.array(sample.taus), nothing, np.tile(nothing, (n_replicates, 1)))


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
    masks = {"eligible_a": sample.eligible_of(a), "eligible_b": sample.eligible_of(b)}
    best = correlations(sample.features_of(a).acts, sample.features_of(b).acts, **masks)
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


def _require_model(sample: Sample, model: str, parent: str) -> None:
    for name in (parent, model):
        if name not in sample.features:
            known = ", ".join(sample.features)
            raise FeatrackError(
                f"There are no dictionaries of {name!r} in the sample; it has {known}."
            )
    of_parent, width = (sample.features[name][0].acts.shape[1] for name in (parent, model))
    if width != of_parent:
        raise FeatrackError(
            f"The dictionaries have {of_parent} and {width} features: a share depends on the "
            "width, so compare dictionaries of one width."
        )

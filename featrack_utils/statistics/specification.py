"""Every defensible way to count, side by side: which conclusions depend on the choice?

A *specification* is one combination of choices (Simonsohn, Simmons & Nelson 2020; `book/method.md`,
ways to count).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from featrack_utils.dictionaries.features import Features
from featrack_utils.errors import FeatrackError
from featrack_utils.lineage import Lineage
from featrack_utils.matching.classes import classify, eligible
from featrack_utils.matching.correlation import BestMatches, correlations
from featrack_utils.matching.token_correlation import string_correlations
from featrack_utils.statistics.bootstrap import resample
from featrack_utils.statistics.intervals import UNDEFINED, Shares, at
from featrack_utils.statistics.persistence import Persistence, persistence

TAUS = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
RULES = ("best", "mutual", "assignment")
FACTORS = ("dictionary", "domain", "definition", "rule", "seed", "tau")
OWN = "this run's"  # the choice of `dictionary` that the other chapters make
POSITIONS, STRINGS = "positions", "token strings"
ROOM = 0.05  # between floor and ceiling: with less, no place between them can be told


class Counting(NamedTuple):
    """What all specifications have in common."""

    min_positions: int  # what makes a feature eligible (`classes.eligible`)
    min_documents: int
    replicates: int  # draws of groups of documents
    seed: int  # of these draws


class _Edge(NamedTuple):
    """Dictionaries of one comparison, by name; control: none, or the child's with a random MLP."""

    pair: str
    seed: int
    parent: str
    child: str
    again: str
    control: str | None

    @property
    def others(self) -> list[str]:
        return [name for name in (self.child, self.again, self.control) if name]


def specifications(
    found: Mapping[str, Features], lineage: Lineage, counting: Counting, dictionary: str = OWN
) -> pd.DataFrame:
    """Share, ceiling, floor and where the share stands between them, under every choice.

    `found` maps dictionaries' names ("root-0": model and SAE seed, "child.mlp-0": control and
    draw) to features; `dictionary` says how they were trained. Seed 0 or 1 is the parent's and the
    child's alike, and the control's draw; the ceiling is the parent's other dictionary. An edge is
    left out at a seed at which one of its three dictionaries isn't there.

    Every edge is counted by best and mutual matches over positions on the whole mix, with
    intervals. The first edge is also counted by assignment, on each domain, and (on the whole mix
    at seed 0) over token strings, all without.

    Returns:
        A row for each choice of each edge: pair ("root_child"), FACTORS, share, ceiling, floor,
        ratio and rescaled as counted, with 95 % bounds ratio_low, … rescaled_high, and the bounds
        of `Persistence.unchanged_loss`, noise_low and noise_high. NaN: not defined; rescaled also
        where less than ROOM lies between floor and ceiling.

    Raises:
        FeatrackError: no edge has its three dictionaries.
    """
    edges = list(_edges(found, lineage))
    if not edges:
        raise FeatrackError(
            "No edge of the lineage has two dictionaries of its parent and one of its child: "
            "train two seeds each."
        )
    first = [edge for edge in edges if edge.pair == edges[0].pair]
    rows = []
    for edge, domain, definition, rule, each in (
        *_with_intervals(found, edges, counting),
        *_without(found, first, lineage.domains, counting),
    ):
        choices = {"dictionary": dictionary, "domain": domain, "definition": definition}
        choices |= {"rule": rule, "seed": edge.seed}
        rows += [{"pair": edge.pair, **choices, "tau": tau, **_figures(each, tau)} for tau in TAUS]
    return pd.DataFrame(rows)


def _edges(found: Mapping[str, Features], lineage: Lineage) -> Iterator[_Edge]:
    for parent, child in lineage.edges:
        for seed in (0, 1):
            three = f"{parent}-{seed}", f"{child}-{seed}", f"{parent}-{1 - seed}"
            if found.keys() >= set(three):
                control = f"{child}.mlp-{seed}"
                control = control if control in found else None
                yield _Edge(f"{parent}_{child}", seed, *three, control)


_Counted = tuple[_Edge, str, str, str, Persistence]  # edge, domain, definition, rule


def _with_intervals(
    found: Mapping[str, Features], edges: list[_Edge], counting: Counting
) -> Iterator[_Counted]:
    names = dict.fromkeys(name for edge in edges for name in (edge.parent, *edge.others))
    sample = resample({n: [found[n]] for n in names}, TAUS, tau=TAUS[-1], **counting._asdict())
    sample.matched(((e.parent, 0), (n, 0)) for e in edges for n in e.others)  # on all cores
    for edge in edges:
        floors = {"random_mlp": edge.control} if edge.control else {}
        for rule in ("best", "mutual"):
            kept = persistence(
                sample, edge.parent, edge.child, rule=rule, ceiling=edge.again, floors=floors
            )
            yield edge, "all", POSITIONS, rule, kept


def _without(
    found: Mapping[str, Features],
    edges: list[_Edge],
    domains: Iterable[str],
    counting: Counting,
) -> Iterator[_Counted]:
    for number, domain in enumerate(("all", *domains), start=-1):
        for edge in edges:
            names = (edge.parent, *edge.others)
            sides = {n: found[n] for n in names}
            if number >= 0:
                sides = {n: f.at(f.domain == number) for n, f in sides.items()}
            able = {
                n: eligible(f.acts, f.origin, counting.min_positions, counting.min_documents)
                for n, f in sides.items()
            }
            definitions = (POSITIONS, STRINGS)[: 1 + (domain == "all" and edge.seed == 0)]
            for definition in definitions:
                best = [_matched(definition, edge.parent, n, sides, able) for n in edge.others]
                known = domain == "all" and definition == POSITIONS
                for rule in RULES if not known else ("assignment",):
                    share, ceiling, *floor = (_shares(one, rule) for one in best)
                    floors = dict(zip(("random_mlp",), floor, strict=False))
                    kept = Persistence(share, ceiling, floors, TAUS[-1])
                    yield edge, domain, definition, rule, kept


def _matched(
    definition: str,
    parent: str,
    other: str,
    sides: Mapping[str, Features],
    able: Mapping[str, np.ndarray],
) -> BestMatches:
    a, b = sides[parent], sides[other]
    masks = {"eligible_a": able[parent], "eligible_b": able[other]}
    if definition == STRINGS:
        return string_correlations(a.acts, b.acts, a.tokens, **masks).best
    return correlations(a.acts, b.acts, **masks)


def _shares(best: BestMatches, rule: str) -> Shares:
    """Shares found at each of TAUS, without replicates; NaN where a side has no candidate."""
    estimate = np.full(len(TAUS), np.nan)
    if best.a_candidates.any() and best.b_candidates.any():
        estimate = np.array([classify(best, tau, rule).persisting_share for tau in TAUS])
    return Shares(np.array(TAUS), estimate, np.empty((0, len(TAUS))))


def _figures(each: Persistence, tau: float) -> dict[str, float]:
    # As counted, since not every way to count can be corrected for noise; the bounds are.
    parts = each.shares, each.ceilings, *each.floors.values()
    share, ceiling, floor = (*(part.counted[at(part, tau)] for part in parts), np.nan)[:3]
    figures = {"share": share, "ceiling": ceiling, "floor": floor}
    with np.errstate(divide="ignore", invalid="ignore"):
        counted = {"ratio": share / ceiling, "rescaled": (share - floor) / (ceiling - floor)}
    for name, value in {"ratio": each.ratio(tau), "rescaled": each.rescaled(tau=tau)}.items():
        if name == "rescaled" and not ceiling - floor > ROOM:
            value = UNDEFINED
        figures[name] = counted[name] if np.isfinite(value.estimate) else np.nan
        figures |= {f"{name}_low": value.low, f"{name}_high": value.high}
    noise = each.unchanged_loss(tau)
    return figures | {"noise_low": noise.low, "noise_high": noise.high}


def conclusions(table: pd.DataFrame, lineage: Lineage) -> pd.DataFrame:
    """What each specification with intervals says of each conclusion; one row for each of the two.

    Columns: conclusion, FACTORS, and *says*: "yes", "no" or "unclear".

    - "<child> changes", for a child that isn't a merge: its ratio's interval lies below 1;
    - "<child> keeps something": rescaled, its interval lies above 0;
    - "<child> mostly noise": of what seems lost, an unchanged parent would lose more than half;
    - "<merge> keeps more than <parent>": rescaled, the interval from that parent to the merge
      lies above that from the parent's own parent to it.
    """
    by_pair = {pair: rows.set_index(list(FACTORS)) for pair, rows in table.groupby("pair")}
    found = {}
    for parent, child in lineage.edges:
        rows = by_pair.get(f"{parent}_{child}")
        if rows is None:
            continue
        if child not in lineage.merges:
            found[f"{child} changes"] = _says(1 - rows["ratio_high"], 1 - rows["ratio_low"])
            found[f"{child} keeps something"] = _says(rows["rescaled_low"], rows["rescaled_high"])
            found[f"{child} mostly noise"] = _says(
                rows["noise_low"] - 0.5, rows["noise_high"] - 0.5
            )
            continue
        for before in lineage.parents(parent) if parent in lineage.parents(child) else ():
            earlier = by_pair.get(f"{before}_{parent}")
            if earlier is not None:
                low = rows["rescaled_low"] - earlier["rescaled_high"]
                high = rows["rescaled_high"] - earlier["rescaled_low"]
                found[f"{child} keeps more than {parent}"] = _says(low, high)
    parts = [
        says.dropna().rename("says").reset_index().assign(conclusion=name)
        for name, says in found.items()
    ]
    columns = ["conclusion", *FACTORS, "says"]
    return pd.concat(parts)[columns] if parts else pd.DataFrame(columns=columns)


def _says(low: pd.Series, high: pd.Series) -> pd.Series:
    """Whether a figure with these bounds is above 0; NaN where it has none."""
    words = np.select([low > 0, high < 0], ["yes", "no"], "unclear")
    return pd.Series(words, low.index).where(low.notna() & high.notna())

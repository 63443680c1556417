"""Every defensible way to count, side by side: which conclusions depend on the choice?

A *specification* is one combination of choices (Simonsohn, Simmons & Nelson 2020; `book/method.md`,
ways to count).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool
from tqdm import tqdm

from featrack_utils.dictionaries.features import Features
from featrack_utils.errors import FeatrackError
from featrack_utils.lineage import Lineage
from featrack_utils.matching.classes import classify, eligible
from featrack_utils.matching.correlation import correlations
from featrack_utils.matching.sums import BestMatches
from featrack_utils.matching.token_correlation import string_correlations
from featrack_utils.statistics.intervals import Shares, at
from featrack_utils.statistics.persistence import Persistence, persistence
from featrack_utils.statistics.sample import resample

TAUS = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
RULES = ("best", "mutual", "assignment")
FACTORS = ("dictionary", "domain", "definition", "rule", "seed", "tau")
OWN = "this run's"  # the choice of `dictionary` that the other chapters make
POSITIONS, STRINGS = "positions", "token strings"
_NUMBERS = ("share", "ceiling", "ratio", "ratio_low", "ratio_high", "noise_low", "noise_high")


@dataclass(frozen=True)
class Counting:
    """What all specifications have in common.

    Attributes:
        min_positions, min_documents: what makes a feature eligible (`classes.eligible`).
        replicates: draws of groups of documents.
        seed: of these draws.
    """

    min_positions: int
    min_documents: int
    replicates: int
    seed: int


def specifications(
    found: Mapping[str, Features], lineage: Lineage, counting: Counting, dictionary: str = OWN
) -> pd.DataFrame:
    """Share, ceiling and their ratio of every edge under every choice, one row each.

    `found` maps dictionaries' names ("base-0": model and SAE seed) to features; `dictionary` says
    how they were trained. Columns: pair ("base_lua"), FACTORS, share, ceiling, ratio with its 95 %
    bounds ratio_low and ratio_high, and the bounds of `Persistence.unchanged_loss`, noise_low and
    noise_high. Seed 0 or 1 is the parent's and the child's alike; the ceiling is the parent's
    other dictionary. Bounds are there for best and mutual matches over positions on the whole mix.
    Correlation over token strings is counted on the whole mix at seed 0 alone. An edge is left out
    at a seed at which one of its three dictionaries isn't there.

    Raises:
        FeatrackError: no edge has its three dictionaries.
    """
    edges = [
        (f"{parent}_{child}", seed, (f"{parent}-{seed}", f"{child}-{seed}", f"{parent}-{1 - seed}"))
        for parent, child in lineage.edges
        for seed in (0, 1)
    ]
    edges = [edge for edge in edges if set(edge[2]) <= found.keys()]
    if not edges:
        raise FeatrackError(
            "No edge of the lineage has two dictionaries of its parent and one of its child: "
            "train two seeds each."
        )
    rows = []
    for number, domain in enumerate(
        tqdm(("all", *lineage.domains), desc=f"counting in every way, {dictionary}"), start=-1
    ):
        sides = {n: f if number < 0 else f.at(f.domain == number) for n, f in found.items()}
        able = {
            name: eligible(f.acts, f.origin, counting.min_positions, counting.min_documents)
            for name, f in sides.items()
        }
        for pair, seed, definition, rule, each in _counted(sides, able, edges, counting, domain):
            choices = {"dictionary": dictionary, "domain": domain, "definition": definition}
            choices |= {"rule": rule, "seed": seed}
            rows += [{"pair": pair, **choices, "tau": tau, **_figures(each, tau)} for tau in TAUS]
    return pd.DataFrame(rows)


def effects(table: pd.DataFrame, pair: str) -> pd.DataFrame:
    """How far each factor moves share / ceiling of a pair: medians over `comparable` others.

    Columns: factor, lowest and its choice, highest and its choice, range; the widest first.
    Factors with one choice or nothing comparable, and ratios that aren't defined, are left out.
    """
    rows = []
    known = table[(table["pair"] == pair) & table["ratio"].notna()]
    for factor in FACTORS:
        medians = comparable(known, factor).groupby(factor, sort=False)["ratio"].median()
        if len(medians) > 1:
            low, high = medians.idxmin(), medians.idxmax()
            rows.append((factor, medians[low], str(low), medians[high], str(high)))
    columns = ["factor", "lowest", "lowest_choice", "highest", "highest_choice"]
    found = pd.DataFrame(rows, columns=columns)
    found["range"] = found["highest"] - found["lowest"]
    return found.sort_values("range", ascending=False, kind="stable", ignore_index=True)


def comparable(table: pd.DataFrame, factor: str) -> pd.DataFrame:
    """The specifications whose other choices were counted with every choice of `factor`.

    Correlation over token strings is counted on the whole mix alone. Without this the whole mix
    would seem to matter for what only that definition does.
    """
    others = [name for name in FACTORS if name != factor]
    choices = table.groupby(others)[factor].transform("nunique")
    return table[choices == table[factor].nunique()]


def conclusions(table: pd.DataFrame, lineage: Lineage) -> pd.DataFrame:
    """What each specification with intervals says of each conclusion; one row for each of the two.

    Columns: conclusion, FACTORS, and *says*: "yes", "no" or "unclear".

    - "<child> changes", for a child that isn't a merge: its ratio's interval lies below 1;
    - "<child> mostly noise": of what seems lost, an unchanged parent would lose more than half;
    - "<merge> keeps more than <parent>": the interval of the ratio from that parent to the merge
      lies above that of the ratio from the parent's own parent to it.
    """
    by_pair = {pair: rows.set_index(list(FACTORS)) for pair, rows in table.groupby("pair")}
    found = {}
    for parent, child in lineage.edges:
        rows = by_pair.get(f"{parent}_{child}")
        if rows is None:
            continue
        if child not in lineage.merges:
            found[f"{child} changes"] = _says(1 - rows["ratio_high"], 1 - rows["ratio_low"])
            found[f"{child} mostly noise"] = _says(
                rows["noise_low"] - 0.5, rows["noise_high"] - 0.5
            )
            continue
        for before in lineage.parents(parent) if parent in lineage.parents(child) else ():
            earlier = by_pair.get(f"{before}_{parent}")
            if earlier is not None:
                low = rows["ratio_low"] - earlier["ratio_high"]
                high = rows["ratio_high"] - earlier["ratio_low"]
                found[f"{child} keeps more than {parent}"] = _says(low, high)
    parts = [says.dropna().rename("says").reset_index() for says in found.values()]
    named = [part.assign(conclusion=name) for name, part in zip(found, parts, strict=True)]
    columns = ["conclusion", *FACTORS, "says"]
    return pd.concat(named)[columns] if named else pd.DataFrame(columns=columns)


def support_by_choice(claims: pd.DataFrame) -> pd.DataFrame:
    """Shares of the specifications that support each conclusion: of all, and by choice.

    Columns: conclusion, factor (`any` for all together), choice, yes, no, unclear (shares of one)
    and specifications (how many). By choice only `comparable` ones are counted.
    """
    rows = []
    for name, known in claims.groupby("conclusion", sort=False):
        groups = [("any", "any", known)]
        groups += [
            (factor, choice, part)
            for factor in FACTORS
            for choice, part in comparable(known, factor).groupby(factor, sort=False)
        ]
        for factor, choice, part in groups:
            shares = [float((part["says"] == word).mean()) for word in ("yes", "no", "unclear")]
            rows.append((name, factor, str(choice), *shares, len(part)))
    columns = ["conclusion", "factor", "choice", "yes", "no", "unclear", "specifications"]
    return pd.DataFrame(rows, columns=columns)


Edge = tuple[str, int, tuple[str, str, str]]  # pair, seed, and parent's, child's, parent's other


def _counted(
    sides: Mapping[str, Features],
    able: Mapping[str, Bool[np.ndarray, " d_sae"]],
    edges: list[Edge],
    counting: Counting,
    domain: str,
) -> Iterator[tuple[str, int, str, str, Persistence]]:
    """Pair, seed, definition, rule and what was counted so, on one choice of text."""
    whole = domain == "all"
    if whole:
        sample = resample(
            {name: [features] for name, features in sides.items()},
            TAUS,
            tau=TAUS[-1],
            replicates=counting.replicates,
            seed=counting.seed,
            eligible_features={name: [mask] for name, mask in able.items()},
        )
        sample.matched(  # all at once, on all cores
            ((parent, 0), (name, 0)) for _, _, (parent, *others) in edges for name in others
        )
    for pair, seed, (parent, child, other) in edges:
        ways = {POSITIONS: _by_positions}
        if whole and seed == 0:
            ways[STRINGS] = _by_strings
        for definition, match in ways.items():
            best = [
                match(sides[parent], sides[name], eligible_a=able[parent], eligible_b=able[name])
                for name in (child, other)
            ]
            for rule in RULES:
                if whole and definition == POSITIONS and rule != "assignment":
                    each = persistence(sample, parent, child, ceiling=other, rule=rule)
                else:
                    share, ceiling = (_shares(one, rule) for one in best)
                    each = Persistence(share, ceiling, {}, TAUS[-1])
                yield pair, seed, definition, rule, each


def _by_positions(a: Features, b: Features, **masks: np.ndarray) -> BestMatches:
    return correlations(a.acts, b.acts, **masks)


def _by_strings(a: Features, b: Features, **masks: np.ndarray) -> BestMatches:
    return string_correlations(a.acts, b.acts, a.tokens, **masks).best


def _shares(best: BestMatches, rule: str) -> Shares:
    """Shares found at each of TAUS, without replicates; NaN where a side has no candidate."""
    estimate = np.full(len(TAUS), np.nan)
    if best.a_candidates.any() and best.b_candidates.any():
        estimate = np.array([classify(best, tau, rule).persisting_share for tau in TAUS])
    return Shares(np.array(TAUS), estimate, np.empty((0, len(TAUS))))


def _figures(each: Persistence, tau: float) -> dict[str, float]:
    # As counted, since not every way to count can be corrected for noise; the bounds are.
    share, ceiling = (
        np.nan if part is None else part.counted[at(part, tau)]
        for part in (each.share, each.ceiling)
    )
    ratio, noise = each.ratio(tau), each.unchanged_loss(tau)
    as_counted = np.nan if np.isnan(ratio.estimate) else share / ceiling
    values = (share, ceiling, as_counted, *ratio[1:], *noise[1:])
    return dict(zip(_NUMBERS, values, strict=True))


def _says(low: pd.Series, high: pd.Series) -> pd.Series:
    """Whether a figure with these bounds is above 0; NaN where it has none."""
    words = np.select([low > 0, high < 0], ["yes", "no"], "unclear")
    return pd.Series(words, low.index).where(low.notna() & high.notna())

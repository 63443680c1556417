"""Every defensible way to count, side by side: which conclusions depend on the choice?"""

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
import pandas as pd
from tqdm import tqdm

from featrack_utils.corpora.documents import DOMAINS
from featrack_utils.dictionaries.features import Features
from featrack_utils.errors import FeatrackError
from featrack_utils.matching.classes import assignment, eligible, mutual, turned
from featrack_utils.matching.correlation import correlations
from featrack_utils.matching.sums import BestMatches
from featrack_utils.matching.token_correlation import string_correlations
from featrack_utils.pipeline.config import EDGES

TAUS = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
RULES = ("best", "mutual", "assignment")
FACTORS = ("dictionary", "domain", "definition", "rule", "seed", "tau")
OWN = "this run's"  # the choice of `dictionary` that the other chapters make
_FLOOR = 0.3


def specifications(
    found: Mapping[str, Features], min_positions: int, min_documents: int, dictionary: str = OWN
) -> pd.DataFrame:
    """Persisting share, ceiling and their ratio of every edge under every choice.

    `found` maps "base-0" and so on to features. One row per pair ("base_lua"), domain (all, or
    one of DOMAINS), definition ((b), ours; (a), as published), rule, seed (0 or 1, of parent and
    child alike; the ceiling is that seed's dictionary in the other's) and tau; `dictionary`
    names how they were trained. Definition (a) is slow and done for the whole mix and seed 0
    alone. Where no feature is eligible, or nothing is reproducible, ratio is NaN. Of
    dictionaries trained otherwise, an edge at a seed whose three dictionaries aren't all there
    is left out.

    Raises: FeatrackError if one of the run's own dictionaries is missing, or all are.
    """
    missing = {f"{m}-{s}" for edge in EDGES for m in edge for s in (0, 1)} - set(found)
    if missing and (dictionary == OWN or not found):
        raise FeatrackError(f"The dictionary {min(missing)} is missing: train two seeds each.")
    rows = []
    for domain in tqdm(("all", *DOMAINS), desc=f"counting in every way, {dictionary}"):
        side = {name: _within(features, domain) for name, features in found.items()}
        able = {
            n: eligible(f.acts, f.origin, min_positions, min_documents) for n, f in side.items()
        }
        ways = {"(b)": (0, 1), "(a)": (0,)} if domain == "all" else {"(b)": (0, 1)}
        for definition, seeds in ways.items():
            rows += _rows(side, able, domain, definition, seeds)
    table = pd.DataFrame(rows).assign(dictionary=dictionary)
    table["ratio"] = table["share"] / table["ceiling"].where(table["ceiling"] > 0)
    return table


def _within(features: Features, domain: str) -> Features:
    if domain == "all":
        return features
    rows = features.domain == DOMAINS.index(domain)
    return features.at(rows)


def _rows(
    side: Mapping[str, Features],
    able: Mapping[str, np.ndarray],
    domain: str,
    definition: str,
    seeds: Sequence[int],
) -> list[dict]:
    shares: dict[tuple[str, str], dict] = {}

    def counted(one: str, other: str) -> dict:
        if (one, other) not in shares:
            best = matches(*(side[n] for n in (one, other)), able[one], able[other], definition)
            shares[one, other] = {rule: rule_shares(best, rule, TAUS) for rule in RULES}
            if one.split("-")[0] == other.split("-")[0]:  # asked for with the other seed
                back = turned(best)
                shares[other, one] = {rule: rule_shares(back, rule, TAUS) for rule in RULES}
        return shares[one, other]

    rows = []
    for seed, (parent, child) in product(seeds, EDGES):
        one, other, again = f"{parent}-{seed}", f"{child}-{seed}", f"{parent}-{1 - seed}"
        if not {one, other, again} <= side.keys():
            continue
        kept, ceiling = counted(one, other), counted(one, again)
        for rule, (k, tau) in product(RULES, enumerate(TAUS)):
            rows.append(
                {
                    "pair": f"{parent}_{child}",
                    "domain": domain,
                    "definition": definition,
                    "rule": rule,
                    "seed": seed,
                    "tau": tau,
                    "share": kept[rule][k],
                    "ceiling": ceiling[rule][k],
                }
            )
    return rows


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

    Definition (a) is counted on the whole mix alone. Set against other domains with it, the whole
    mix would get the credit for what (a) does.
    """
    others = [name for name in FACTORS if name != factor]
    choices = table.groupby(others)[factor].transform("nunique")
    return table[choices == table[factor].nunique()]


def matches(
    a: Features, b: Features, able_a: np.ndarray, able_b: np.ndarray, definition: str
) -> BestMatches:
    """Best matches by definition (b) or (a) of METHOD.md §4."""
    masks = {"eligible_a": able_a, "eligible_b": able_b, "floor": _FLOOR}
    if definition == "(b)":
        return correlations(a.acts, b.acts, **masks)
    return string_correlations(a.acts, b.acts, a.tokens, **masks).best


def rule_shares(best: BestMatches, rule: str, taus: Sequence[float]) -> list[float]:
    """Share of a's candidates with a match above each τ, by one of RULES; NaN without any."""
    r = np.where(best.a_candidates, best.a_best_r, np.nan)
    if rule == "mutual":
        r = np.where(mutual(best), r, 0.0)
    elif rule == "assignment":
        r = np.zeros(best.a_candidates.size)
        i, _, r_assigned = assignment(best.pairs)
        r[i] = r_assigned
    asked = r[best.a_candidates]
    return [float((asked > tau).mean()) if asked.size else float("nan") for tau in taus]


def conclusions(table: pd.DataFrame) -> pd.DataFrame:
    """Which of four conclusions each specification supports, one row per specification.

    Columns: FACTORS, and a bool each (NA where a ratio isn't defined): *lua changes* and
    *stories changes* (share below ceiling), *merging keeps more* (Lua → merged loses less than
    base → Lua), *mostly noise* (of what base → Lua seems to lose, an unchanged base would lose
    more than half).
    """
    wide = table.pivot(index=list(FACTORS), columns="pair", values=["ratio", "share", "ceiling"])
    ratio, share, ceiling = (wide[name] for name in ("ratio", "share", "ceiling"))
    claims = {
        "lua changes": (ratio["base_lua"] < 1, ratio["base_lua"]),
        "stories changes": (ratio["base_stories"] < 1, ratio["base_stories"]),
        "merging keeps more": (
            ratio["lua_merged"] > ratio["base_lua"],
            ratio["lua_merged"] + ratio["base_lua"],
        ),
        "mostly noise": (
            1 - ceiling["base_lua"] > 0.5 * (1 - share["base_lua"]),
            share["base_lua"],
        ),
    }
    holds = {
        name: held.astype("boolean").where(known.notna()) for name, (held, known) in claims.items()
    }
    return pd.DataFrame(holds).reset_index()


def flips(claims: pd.DataFrame) -> pd.DataFrame:
    """Share of specifications that support each conclusion: of all, and by choice (`comparable`).

    Columns: conclusion, factor (`any` for all together), choice, support, specifications.
    """
    rows = []
    for name in [column for column in claims if column not in FACTORS]:
        known = claims[claims[name].notna()]
        groups = [("any", "any", known)]
        groups += [
            (f, c, part) for f in FACTORS for c, part in comparable(known, f).groupby(f, sort=False)
        ]
        rows += [
            (name, f, str(c), float(part[name].mean()), len(part))
            for f, c, part in groups
            if len(part)
        ]
    return pd.DataFrame(
        rows, columns=["conclusion", "factor", "choice", "support", "specifications"]
    )

"""Which features to show, by rule: universal ones of a kind, lost ones, new ones.

Whatever is picked as the most extreme of two thousand is most likely noise, so features are
looked for among those that nothing simpler explains: reproducible, neither dense nor tied to a
place in the block (book/method.md, case studies).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from scipy import sparse

from featrack_utils.dictionaries.features import Features
from featrack_utils.interpretation.contexts import by_feature, densities
from featrack_utils.matching.correlation import BestMatches
from featrack_utils.statistics.intervals import Interval

# Regular expressions for whole tokens, spaces included.
TOKEN_CLASSES = {
    "assignment": r"\s*[-+*/|&]?=\s*",
    "opening quotation mark": r"\s*[\"'\u201c\u2018]",
    "opening bracket": r"\s*[\[({]+",
    "closing bracket": r"[\])}]+[,;:.]?",
    "number": r"\s*\d+",
    "end of a sentence": r"[.!?]+[\"')]?",
    "line break": r"\n\s*",
    "article": r"\s*([Aa]n?|[Tt]he)",
    "self": r"\s*self",
    "condition": r"\s*([Ii]f|elif|else|elseif)",
    "verb of speech": r"\s*(said|asked|cried|whispered|replied|shouted|told|answered|called)",
}
# What a feature of many tokens may have in common by their form alone.
FORMS = {
    "word in -s": r"\s*[A-Za-z]{2,}[a-rt-z]s",
    "word in -ing": r"\s*[A-Za-z]+ing",
    "word in -ed": r"\s*[A-Za-z]+ed",
    "word in -ly": r"\s*[A-Za-z]+ly",
    "capitalised word": r"\s*[A-Z][a-z]+",
}
EXCEPTIONS = r"\s*(raise|except|try|\w*[Ee]rror|\w*Exception)"


class Closest(NamedTuple):
    """Best matches of one dictionary's features in several others.

    Both tables have a row for each of its features and a column for each other dictionary: the
    best r, NaN where there is none, and which feature that is, −1 for none.
    """

    r: pd.DataFrame
    index: pd.DataFrame


class Overlap(NamedTuple):
    """Where a feature and its closest match are active; None where one of them is silent.

    Attributes:
        shared: share of the feature's activation that falls where the match is active, too.
        elsewhere: share of the match's activation that falls where the feature is silent.
    """

    shared: float | None
    elsewhere: float | None

    @property
    def why(self) -> str:
        """In words, what keeps the two from being one feature."""
        if self.shared is None or self.elsewhere is None:
            return "one of them is silent"
        return {
            (True, False): "same places, other strengths",
            (True, True): "the match is active there, and mostly elsewhere",
            (False, False): "the match covers only a part of the places",
            (False, True): "other places",
        }[self.shared >= 0.5, self.elsewhere >= 0.5]


def closest(
    best: Mapping[tuple[str, str], BestMatches], name: str, others: Sequence[str], d_sae: int
) -> Closest:
    """Best matches of a dictionary's `d_sae` features; `best` by (dictionary, other)."""
    r, index = {}, {}
    for other in others:
        there = best[name, other].a_best_index >= 0
        r[other] = np.where(there, best[name, other].a_best_r, np.nan)
        index[other] = best[name, other].a_best_index
    return Closest(*(pd.DataFrame(table, index=range(d_sae)) for table in (r, index)))


def reproducible(own: Closest, tau: float) -> Bool[np.ndarray, " d_sae"]:
    """Features found, with r > `tau`, in every other dictionary of their own model."""
    return (own.r > tau).all(axis=1).to_numpy() & bool(own.r.shape[1])


def position_share(features: Features, block: int) -> Float[np.ndarray, " d_sae"]:
    """The largest share of each feature's activation on one place of the blocks; 0 if dead."""
    n = len(features.tokens)
    place = sparse.csr_matrix((np.ones(n), (np.arange(n) % block, np.arange(n))), (block, n))
    sums = (place @ features.acts).toarray()
    total = sums.sum(axis=0)
    return np.divide(sums.max(axis=0), total, out=np.zeros_like(total), where=total > 0)


def passes(
    features: Features,
    block: int,
    *,
    min_density: float,
    max_density: float,
    max_position_share: float,
) -> Bool[np.ndarray, " d_sae"]:
    """Features of a fit density that no place in the blocks explains.

    An attention sink or a counter of positions has much of its activation on one place.
    """
    everywhere = np.zeros(len(features.tokens), dtype=int)
    density = densities(by_feature(features.acts), everywhere, 1)[0]
    within = (density >= min_density) & (density <= max_density)
    return within & (position_share(features, block) <= max_position_share)


def missing(
    asked: Bool[np.ndarray, " d_sae"], own: Closest, other: Closest, tau: float
) -> pd.DataFrame:
    """The features asked that none of the other dictionaries has, the farthest first.

    Returns:
        Columns feature, own_r (smallest best r in its own model's other dictionaries), r (largest
        in the other dictionaries), partner and partner_feature (where that largest is).
    """
    columns = ["feature", "own_r", "r", "partner", "partner_feature"]
    r = other.r[asked].dropna(how="all")
    r = r[(r.fillna(-1) <= tau).all(axis=1)]
    if r.empty:
        return pd.DataFrame(columns=columns)
    partner = r.idxmax(axis=1)
    table = pd.DataFrame({"own_r": own.r.min(axis=1)[r.index], "r": r.max(axis=1)})
    table["partner"] = partner
    table["partner_feature"] = [other.index.at[row, name] for row, name in partner.items()]
    table = table.rename_axis("feature").reset_index()
    return table[columns].sort_values(["r", "feature"], ignore_index=True)


def judged(own_r: Sequence[float], child: Sequence[Interval], tau: float) -> str:
    """What became of a feature, over all dictionaries of its model and of the child.

    Args:
        own_r: best r in each other dictionary of its own model.
        child: best r, with its interval, in each dictionary of the child.

    Returns:
        "not reproducible"; "lost" (every interval lies below `tau`); "kept" (one lies above);
        "unclear".
    """
    if not len(own_r) or not np.min(own_r) > tau:
        return "not reproducible"
    if child and all(each.high < tau for each in child):
        return "lost"
    return "kept" if any(each.low > tau for each in child) else "unclear"


def overlap(a: Features, i: int, b: Features, j: int) -> Overlap:
    """Where feature i of one dictionary and feature j of another are active together."""
    x, y = (f.acts[:, [k]].toarray().ravel().astype(np.float64) for f, k in ((a, i), (b, j)))
    shared = float(x[y > 0].sum() / x.sum()) if x.any() else None
    elsewhere = float(y[x == 0].sum() / y.sum()) if y.any() else None
    return Overlap(shared, elsewhere)

"""Which features to show, by rule: universal ones of a kind, lost ones, new ones.

Whatever is picked as the most extreme of two thousand is most likely noise, so features are
looked for among those that nothing simpler explains: reproducible, neither dense nor tied to a
place in the block (book/method.md, case studies).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from scipy import sparse

from featrack_utils.dictionaries.features import Features
from featrack_utils.interpretation.contexts import by_feature, densities
from featrack_utils.matching.best_matches import Matches
from featrack_utils.statistics.intervals import UNDEFINED, Interval

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
EXCEPTIONS = r"\s*(raise|except|try|\w*[Ee]rror|\w*Exception)"

# A feature: its dictionary's name and its number there.
Place = tuple[str, int]


class Closest(NamedTuple):
    """Best matches of one dictionary's features in several others.

    Both tables have a row for each of its features and a column for each other dictionary: the
    best r, NaN where there is none, and which feature that is, −1 for none.
    """

    r: pd.DataFrame
    index: pd.DataFrame


def closest(matches: Matches, name: str, others: Iterable[str]) -> Closest:
    """Best matches of a dictionary's features in others, as far as they were compared."""
    r, index = {}, {}
    for other in others:
        if (name, other) in matches.best:
            best = matches.best[name, other]
            r[other] = np.where(best.a_best_index >= 0, best.a_best_r, np.nan)
            index[other] = best.a_best_index
    rows = range(len(matches.eligible[name]))
    return Closest(*(pd.DataFrame(table, index=rows) for table in (r, index)))


def relatives(matches: Matches, name: str, index: int) -> dict[Place, float]:
    """A feature's closest match in every other model, and its r, over all dictionaries."""
    found = {}
    for names in matches.names.values():
        near = closest(matches, name, names)
        r = near.r.loc[index].dropna()
        if name not in names and len(r):
            other = r.idxmax()
            found[other, int(near.index.at[index, other])] = float(r[other])
    return found


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


def r_interval(
    found: Mapping[str, Features],
    one: Place,
    other: Place,
    documents: Float[np.ndarray, "n_draws n_documents"],
) -> Interval:
    """r of two features with its 95 % percentile interval over documents.

    `documents` says how often each draw has each document. The pair stays as it is: where one was
    chosen for being the closest, r is rather too large.
    """
    x, y = _activations(found, one), _activations(found, other)
    n_documents = documents.shape[1]
    products = (np.ones_like(x), x, y, x * x, y * y, x * y)
    sums = np.stack([np.bincount(found[one[0]].origin, each, n_documents) for each in products])
    n, sx, sy, sxx, syy, sxy = sums @ np.vstack([np.ones(n_documents), documents]).T
    spread = np.sqrt((n * sxx - sx**2) * (n * syy - sy**2))
    with np.errstate(invalid="ignore", divide="ignore"):
        r = (n * sxy - sx * sy) / spread
    return Interval(float(r[0]), *map(float, np.nanquantile(r[1:], [0.025, 0.975])))


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


def judge(
    matches: Matches,
    found: Mapping[str, Features],
    name: str,
    index: int,
    child: str,
    documents: Float[np.ndarray, "n_draws n_documents"],
) -> dict[str, Any]:
    """A feature's own_r (smallest in its model's other seeds), its r in a child and the verdict.

    r, with r.ci_low and r.ci_high, is that of the closest match over all the child's dictionaries;
    `documents` as in `r_interval`, the verdict from `judged` at the matches' threshold.
    """
    model = next(names for names in matches.names.values() if name in names)
    own_r = closest(matches, name, set(model) - {name}).r.loc[index]
    near = closest(matches, name, matches.names[child])
    partners = near.index.loc[index][near.r.loc[index].notna()].items()
    each = [r_interval(found, (name, index), other, documents) for other in partners]
    best = max(each, default=UNDEFINED)
    ends = zip(("r", "r.ci_low", "r.ci_high"), best, strict=True)
    return {"own_r": own_r.min(), **dict(ends), "verdict": judged(own_r, each, matches.tau)}


def difference(found: Mapping[str, Features], one: Place, match: Place) -> str:
    """In words, what keeps a feature and its closest match from being one feature.

    Asked is how much of the feature's activation falls where the match is active, too, and how
    much of the match's falls where the feature is silent.
    """
    x, y = _activations(found, one), _activations(found, match)
    if not (x.any() and y.any()):
        return "one of them is silent"
    shared, elsewhere = x[y > 0].sum() / x.sum(), y[x == 0].sum() / y.sum()
    return {
        (True, False): "same places, other strengths",
        (True, True): "the match is active there, and mostly elsewhere",
        (False, False): "the match covers only a part of the places",
        (False, True): "other places",
    }[bool(shared >= 0.5), bool(elsewhere >= 0.5)]


def _activations(found: Mapping[str, Features], place: Place) -> Float[np.ndarray, " n_tokens"]:
    name, index = place
    return found[name].acts[:, [index]].toarray().ravel().astype(np.float64)

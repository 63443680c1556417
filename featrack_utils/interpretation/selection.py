"""Which features to show, by rule: universal ones of a kind, lost ones, new ones.

Whatever is picked as the most extreme of two thousand is most likely noise, so features are
looked for among those that nothing simpler explains: reproducible, neither dense nor tied to a
place in the block (book/method.md, case studies).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from scipy import sparse

from featrack_utils.dictionaries.features import Features
from featrack_utils.matching.correlation import BestMatches
from featrack_utils.statistics.bootstrap import paired_r
from featrack_utils.statistics.intervals import UNDEFINED, Interval

DENSITY = 0.001, 0.1  # of all tokens: rarer or denser features aren't shown
POSITION_SHARE = 0.1  # of a feature's activation that may fall on one place of the blocks

# A feature: its dictionary's name and its number there.
Place = tuple[str, int]


Best = Mapping[tuple[str, str], BestMatches]  # of pairs of dictionaries, by their names


class Closest(NamedTuple):
    """Best matches of one dictionary's features in several others.

    Both tables have a row for each of its features and a column for each other dictionary: the
    best r, NaN where there is none, and which feature that is, −1 for none.
    """

    r: pd.DataFrame
    index: pd.DataFrame


def closest(best: Best, name: str, others: Iterable[str]) -> Closest:
    """Best matches of a dictionary's features in others, as far as they were compared."""
    found = {other: best[name, other] for other in others if (name, other) in best}
    index = pd.DataFrame({other: each.a_best_index for other, each in found.items()})
    r = pd.DataFrame({other: each.a_best_r for other, each in found.items()})
    return Closest(r.where(index >= 0), index)


def missing(
    best: Best,
    name: str,
    own: Iterable[str],
    others: Iterable[str],
    tau: float,
    among: Bool[np.ndarray, " d_sae"] | None = None,
) -> pd.DataFrame:
    """Reproducible features that other dictionaries miss, in the order they are shown.

    A parent's features that are missing in its child seem lost, a child's that are missing in its
    parent seem new. `name` is the dictionary they are of. A feature must be found with r > `tau`
    in each of `own`, the other dictionaries of its model, and in none of `others`. The farthest
    come first: by their largest r in the others, equal ones by number.

    Args:
        among: features that may be chosen, such as those that `passes` leaves; None: all.

    Returns:
        Columns feature, own_r (smallest best r in own), r (largest in others), partner and
        partner_feature (where that largest is).
    """
    here, there = closest(best, name, own).r, closest(best, name, others)
    columns = ["feature", "own_r", "r", "partner", "partner_feature"]
    if not here.shape[1] or not there.r.shape[1]:
        return pd.DataFrame(columns=columns)
    table = pd.DataFrame({"own_r": here.min(axis=1, skipna=False), "r": there.r.max(axis=1)})
    chosen = (table["own_r"] > tau) & (table["r"] <= tau)
    table = table[chosen if among is None else chosen & among].rename_axis("feature").reset_index()
    if table.empty:
        return pd.DataFrame(columns=columns)
    table["partner"] = there.r.loc[table["feature"]].idxmax(axis=1).to_numpy()
    places = zip(table["feature"], table["partner"], strict=True)
    table["partner_feature"] = [there.index.at[place] for place in places]
    return table[columns].sort_values(["r", "feature"], ignore_index=True)


def passes(features: Features, block: int) -> Bool[np.ndarray, " d_sae"]:
    """Features that can be shown: of a fit DENSITY, and that no place in the blocks explains.

    An attention sink or a counter of positions has much of its activation on one place.
    """
    n = len(features.tokens)
    density = features.acts.getnnz(axis=0) / n
    place = sparse.csr_matrix((np.ones(n), (np.arange(n) % block, np.arange(n))), (block, n))
    on_place = (place @ features.acts).toarray()
    tied = on_place.max(axis=0) > POSITION_SHARE * on_place.sum(axis=0)
    return (density >= DENSITY[0]) & (density <= DENSITY[1]) & ~tied


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
    x, y = (found[name].acts[:, [feature]] for name, feature in (one, other))
    draws = np.vstack([np.ones(documents.shape[1]), documents])  # the first has each once
    r, *drawn = paired_r(x, y, found[one[0]].origin, draws)[:, 0].tolist()
    return Interval(r, *np.nanquantile(drawn, [0.025, 0.975]).tolist())


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
    best: Best,
    found: Mapping[str, Features],
    one: Place,
    own: Iterable[str],
    child: Iterable[str],
    tau: float,
    documents: Float[np.ndarray, "n_draws n_documents"],
) -> dict[str, Any]:
    """A feature's own_r (smallest in `own`), its r in a child's dictionaries and the verdict.

    r, an interval, is that of the closest match over all of the child's; `documents` as in
    `r_interval`, verdicts as in `judged`.
    """
    name, index = one
    own_r = closest(best, name, own).r.loc[index]
    near = closest(best, name, child)
    partners = near.index.loc[index][near.r.loc[index].notna()].items()
    each = [r_interval(found, one, other, documents) for other in partners]
    verdict = judged(own_r, each, tau)
    return {"own_r": own_r.min(), "r": max(each, default=UNDEFINED), "verdict": verdict}


def difference(found: Mapping[str, Features], one: Place, match: Place) -> str:
    """In words, what keeps a feature and its closest match from being one feature.

    Asked is how much of the feature's activation falls where the match is active, too, and how
    much of the match's falls where the feature is silent.
    """
    places = (one, match)
    x, y = (found[name].acts[:, [feature]].toarray().ravel() for name, feature in places)
    if not (x.any() and y.any()):
        return "one of them is silent"
    shared, elsewhere = x[y > 0].sum() / x.sum(), y[x == 0].sum() / y.sum()
    return {
        (True, False): "same places, other strengths",
        (True, True): "the match is active there, and mostly elsewhere",
        (False, False): "the match covers only a part of the places",
        (False, True): "other places",
    }[bool(shared >= 0.5), bool(elsewhere >= 0.5)]

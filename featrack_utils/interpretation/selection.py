"""Which features to show, by rule: universal ones of a kind, lost ones, new ones.

Whatever is picked as the most extreme of two thousand is most likely noise, so features are
looked for among those that nothing simpler explains: reproducible, neither dense nor tied to a
place in the block (METHOD.md §5, §6).
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import sparse

from featrack_utils.dictionaries.features import Features
from featrack_utils.interpretation.logit_effects import Writing
from featrack_utils.matching import similarity
from featrack_utils.matching.correlation import correlations

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


class Guards(NamedTuple):
    """What a feature must show before it is picked for what it does elsewhere.

    Attributes:
        tau: best r above which another seed's dictionary has it, too.
        min_density, max_density: share of the tokens it may be active on.
        max_position_share: of its activation that may fall on one and the same place of the
            blocks; an attention sink or a position feature has more.
    """

    tau: float
    min_density: float
    max_density: float
    max_position_share: float


class Closest(NamedTuple):
    """Best matches of some features in several dictionaries.

    Both tables have a row for each feature asked and a column for each dictionary that has an
    eligible feature: its best r, and which of its features that is.
    """

    r: pd.DataFrame
    index: pd.DataFrame


class Pair(NamedTuple):
    """How a feature compares with its closest match; None where a yardstick isn't defined.

    Attributes:
        shared: share of the feature's activation that falls where the match is active, too.
        elsewhere: share of the match's activation that falls where the feature is silent.
    """

    r: float | None
    shared: float | None
    elsewhere: float | None
    jaccard: float | None
    spearman: float | None
    decoder_cosine: float | None
    logit_cosine: float | None

    @property
    def why(self) -> str:
        """In words, what keeps the two from being one feature."""
        if self.shared is None or self.elsewhere is None:
            return "one of them is silent"
        here, there = self.shared >= 0.5, self.elsewhere >= 0.5
        return {
            (True, False): "same places, other strengths",
            (True, True): "the match is active there, and mostly elsewhere",
            (False, False): "the match covers only a part of the places",
            (False, True): "other places",
        }[here, there]


def density(acts: sparse.csr_matrix) -> np.ndarray:
    """Share of the positions on which each feature is active; float64 [d_sae]."""
    active = np.bincount(acts.indices[acts.data > 0], minlength=acts.shape[1])
    return active / acts.shape[0]


def position_share(acts: sparse.csr_matrix, width: int) -> np.ndarray:
    """The largest share of each feature's activation on one place of the blocks; 0 if dead.

    `acts` [n_blocks · width, d_sae], block after block; float64 [d_sae].
    """
    n = acts.shape[0]
    place = sparse.csr_matrix((np.ones(n), (np.arange(n) % width, np.arange(n))), (width, n))
    sums = (place @ acts).toarray()
    total = sums.sum(axis=0)
    return np.divide(sums.max(axis=0), total, out=np.zeros_like(total), where=total > 0)


def passes(features: Features, width: int, guards: Guards) -> np.ndarray:
    """Features within the guards' densities and not tied to a place; bool [d_sae]."""
    dense = density(features.acts)
    within = (dense >= guards.min_density) & (dense <= guards.max_density)
    return within & (position_share(features.acts, width) <= guards.max_position_share)


def closest(
    found: Mapping[str, Features],
    able: Mapping[str, np.ndarray],
    name: str,
    others: Sequence[str],
    asked: np.ndarray,
) -> Closest:
    """Best matches of the features `asked` (bool [d_sae]) of one dictionary in the others.

    `able` holds each dictionary's eligible features. METHOD.md §4, definition (b).
    """
    r, index = {}, {}
    for other in others:
        if able[other].any():
            best = correlations(
                found[name].acts, found[other].acts, eligible_a=asked, eligible_b=able[other]
            )
            r[other], index[other] = best.a_best_r[asked], best.a_best_index[asked]
    rows = np.flatnonzero(asked)
    return Closest(pd.DataFrame(r, index=rows), pd.DataFrame(index, index=rows))


def having(own: Closest, column: int, tau: float, d_sae: int) -> np.ndarray:
    """Features that one of the dictionaries has, the `column`-th of `own`; bool [d_sae]."""
    mask = np.zeros(d_sae, dtype=bool)
    if column < own.r.shape[1]:
        mask[own.r.index[own.r.iloc[:, column] > tau]] = True
    return mask


def changed(own: Closest, other: Closest, passing: np.ndarray, tau: float) -> pd.DataFrame:
    """Reproducible features that no dictionary of the other models has, the farthest first.

    Args:
        own: matches in the other seeds' dictionaries of the features' own model, of at least
            the features in `other`.
        other: matches in the dictionaries of the models that might have them.
        passing: from `passes`.

    Returns:
        Columns feature, own_r (smallest best r among the own), r (largest among the others) and,
        among the others' dictionaries of seed 0, partner, partner_feature, partner_r.
    """
    columns = ["feature", "own_r", "r", "partner", "partner_feature", "partner_r"]
    first = [name for name in other.r.columns if name.endswith("-0")]
    if own.r.columns.empty or not first or other.r.empty:
        return pd.DataFrame(columns=columns)
    own_r = own.r.loc[other.r.index].min(axis=1)
    table = pd.DataFrame({"own_r": own_r, "r": other.r.max(axis=1)})
    table["partner"] = other.r[first].idxmax(axis=1)
    table["partner_r"] = other.r[first].max(axis=1)
    places = other.index.columns.get_indexer(table["partner"])
    table["partner_feature"] = other.index.to_numpy()[np.arange(len(table)), places]
    table = table.rename_axis("feature").reset_index()
    kept = passing[table["feature"]] & (table["own_r"] > tau) & (table["r"] <= tau)
    return table.loc[kept, columns].sort_values(["r", "feature"], ignore_index=True)


def also_in(table: pd.DataFrame, control: Closest, tau: float) -> np.ndarray:
    """Which rows of `changed` a control's dictionaries have after all; bool [n_rows].

    `control` holds matches of at least the features in `table`.
    """
    features = table["feature"].to_numpy(dtype=int)
    return (control.r.reindex(features).max(axis=1) > tau).to_numpy(dtype=bool)


def to_show(table: pd.DataFrame, largest_share: np.ndarray, at_least: float) -> pd.DataFrame:
    """Two rows of `changed`: the farthest, and the farthest that answers to mostly one token.

    `largest_share` [d_sae] is the share of each feature's activation on its strongest token;
    `at_least` makes it mostly one. Fewer rows if there aren't two.
    """
    rest = table.iloc[1:]
    of_one_token = rest[largest_share[rest["feature"].to_numpy(dtype=int)] >= at_least]
    return pd.concat([table.head(1), of_one_token.head(1)], ignore_index=True)


def compare(
    a: Features, i: int, b: Features, j: int, writing_a: Writing, writing_b: Writing
) -> Pair:
    """All yardsticks of feature i of one dictionary and feature j of another (METHOD.md §4)."""
    first, second = a.acts[:, [i]], b.acts[:, [j]]
    x, y = (column.toarray().ravel().astype(np.float64) for column in (first, second))
    only, left, right = np.array([0]), np.array([i]), np.array([j])
    measured = (
        similarity.jaccard(first, second, only, only),
        similarity.spearman_coactive(first, second, only, only),
        similarity.decoder_cosine(writing_a.W_dec, writing_b.W_dec, left, right),
        similarity.logit_effect_cosine(writing_a, writing_b, left, right),
    )
    r = float(np.corrcoef(x, y)[0, 1]) if x.std() > 0 and y.std() > 0 else None
    shared = float(x[y > 0].sum() / x.sum()) if x.any() else None
    elsewhere = float(y[x == 0].sum() / y.sum()) if y.any() else None
    return Pair(r, shared, elsewhere, *(None if m.mask.any() else float(m[0]) for m in measured))

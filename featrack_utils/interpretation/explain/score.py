"""Scores of explanations, and what they are compared with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int
from scipy import sparse

from featrack_utils.interpretation.explain.chat import ChatExplainer
from featrack_utils.interpretation.explain.lookup import (
    TOP,
    EvaluationText,
    Lookup,
    Numbers,
    excerpts_to_judge,
    true_values,
)
from featrack_utils.matching.classes import Tracking


class Subject(NamedTuple):
    """One dictionary whose features are explained, a model's or a control's.

    Attributes:
        columns: activations, [n_tokens, d_sae].
        able: features seen often enough.
        persisting: those that a neighbouring model has, too; none of a control.
        explainer: what explains them.
        sample: features that are explained.
    """

    columns: sparse.csc_matrix
    able: Bool[np.ndarray, " d_sae"]
    persisting: Bool[np.ndarray, " d_sae"]
    explainer: Lookup | ChatExplainer
    sample: Numbers


def score(
    text: EvaluationText,
    subjects: Mapping[str, Subject],
    trackings: Mapping[tuple[str, str], Tracking],
    seed: int,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Scores every subject's explanations, and along each edge the parent's on the child.

    Returns:
        One row per model or control and feature. Columns: model, feature, explainer, explanation,
        simulation_r (top and random excerpts), random_r (random ones only: all held-out text where
        simulating costs nothing), shuffled_r (the score of another feature's explanation), able,
        persisting, density. NaN: not defined.

        One row per edge and pair of matched features. Columns: parent, child, feature, mate,
        foreign_r (the parent's explanation scored on the child's feature), own_r (the child's
        own), explainer.
    """
    excerpts = {m: excerpts_to_judge(each.columns, text, seed) for m, each in subjects.items()}

    def scored(source: str, sources: Numbers, on: str, targets: Numbers):
        """Simulated and true activations, for explanations of `sources` on other features."""
        where = text.positions_of(excerpts[on][targets])
        simulated = subjects[source].explainer.simulate(sources, where)
        return simulated, true_values(subjects[on].columns, targets, where)

    own, mates = [], []
    for model, (columns, able, persisting, explainer, sample) in subjects.items():
        simulated, true = scored(model, sample, model, sample)
        random_r = simulation_r(simulated[:, TOP:], true[:, TOP:])
        if isinstance(explainer, Lookup):
            random_r = everywhere_r(explainer, columns, sample)
        among = sample[able[sample]]
        shuffled_r = simulation_r(*scored(model, shuffled(among, seed), model, among))
        table = {
            "model": model,
            "feature": sample.astype(np.int32),
            "explainer": explainer.name,
            "explanation": [explainer.explanation(feature) for feature in sample],
            "simulation_r": simulation_r(simulated, true),
            "random_r": random_r,
            "shuffled_r": pd.Series(shuffled_r, index=among).reindex(sample).to_numpy(),
            "able": able[sample],
            "persisting": persisting[sample],
            "density": columns.getnnz(axis=0)[sample] / len(text.tokens),
        }
        own.append(pd.DataFrame(table))
    for (parent, child), tracking in trackings.items():
        sample = subjects[parent].sample
        i = sample[tracking.parent_partner[sample] >= 0]
        j = tracking.parent_partner[i]
        table = {
            "parent": parent,
            "child": child,
            "feature": i,
            "mate": j,
            "foreign_r": simulation_r(*scored(parent, i, child, j)),
            "own_r": simulation_r(*scored(child, j, child, j)),
            "explainer": subjects[parent].explainer.name,
        }
        mates.append(pd.DataFrame(table))
    return pd.concat(own, ignore_index=True), pd.concat(mates, ignore_index=True)


def everywhere_r(
    explainer: Lookup, columns: sparse.csc_matrix, chosen: Numbers
) -> Float[np.ndarray, " n"]:
    """r of what a lookup simulates with true activations over all held-out text."""
    held = ~explainer.text.learn
    pairs, true = explainer.text.pair[held], columns[held]
    each = ((explainer.values(f)[pairs], true[:, [f]].toarray()[:, 0]) for f in chosen)
    return np.array([simulation_r(a[None], b[None])[0] for a, b in each])


def simulation_r(
    simulated: Float[np.ndarray, "n ..."], true: Float[np.ndarray, "n ..."]
) -> Float[np.ndarray, " n"]:
    """Pearson r of simulated with true activations, row by row (Bills et al. 2023).

    Positions at which either is NaN are left out. NaN where one of the two is constant: what never
    varies can't be simulated well or badly.
    """
    found = np.full(len(true), np.nan)
    for row, (x, y) in enumerate(zip(simulated, true, strict=True)):
        known = np.isfinite(x) & np.isfinite(y)
        x, y = x[known], y[known]
        if x.size and np.ptp(x) > 0 and np.ptp(y) > 0:
            found[row] = np.corrcoef(x, y)[0, 1]
    return found


def shuffled(features: Int[np.ndarray, " n"], seed: int) -> Int[np.ndarray, " n"]:
    """For each feature another one, each used once; a single feature has none, and stays."""
    order = np.random.default_rng(seed).permutation(len(features))
    other = np.empty_like(features)
    other[order] = features[np.roll(order, 1)]
    return other

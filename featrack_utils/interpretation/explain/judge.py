"""Scores of explanations, whoever wrote them: on their own feature, or on another."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy import sparse

from featrack_utils.interpretation.explain import score
from featrack_utils.interpretation.explain.chat_explainer import ChatExplainer
from featrack_utils.interpretation.explain.excerpts import (
    NONE,
    TOP,
    EvaluationText,
    JudgingExcerpts,
    Numbers,
    Places,
    Simulated,
    true_values,
)
from featrack_utils.interpretation.explain.lookup import Lookup
from featrack_utils.interpretation.explain.rules import Explanations


class JudgedDictionary(NamedTuple):
    """One dictionary whose features are explained: activations, and excerpts to judge on."""

    columns: sparse.csc_matrix
    excerpts: JudgingExcerpts
    text: EvaluationText


class CountingExplainer:
    """Explanations that come from counting: the whole lookup, or the rules written of it."""

    def __init__(
        self, name: str, table: Lookup | Explanations, written: Explanations, text: EvaluationText
    ) -> None:
        self.name, self._table, self._written, self._text = name, table, written, text

    def explanation(self, feature: int) -> str:
        """The rules as text; of the lookup they are only the most telling part."""
        return self._written.text[feature]

    def simulate(self, sources: Numbers, where: Places) -> Simulated:
        """Expected activations (of the lookup) or strengths (of the rules)."""
        out = np.empty(where.shape, np.float32)
        for row, feature in enumerate(sources):
            out[row] = self._table.values(feature, self._text.pair[where[row]])
        out[where == NONE] = np.nan
        return out

    def rate(self, sources: Numbers, where: Places) -> Float[np.ndarray, "n k"]:
        """The strongest simulated activation of each excerpt; NaN without a position."""
        simulated = self.simulate(sources, where)
        highest = np.where(where == NONE, -np.inf, simulated).max(axis=-1)
        return np.where(np.isfinite(highest), highest, np.nan)

    def everywhere_r(
        self, columns: sparse.csc_matrix, features: Numbers
    ) -> Float[np.ndarray, " n"]:
        """r of simulated with true activations over all held-out text."""
        held = np.flatnonzero(~self._text.learn)
        pairs, place = np.unique(self._text.pair[held], return_inverse=True)
        true = columns[held]
        r = np.empty(len(features))
        for k, feature in enumerate(features):
            simulated = self._table.values(feature, pairs)[place]
            r[k] = score.simulation_r(simulated[None], true[:, [feature]].toarray().T)[0]
        return r


def score_own(
    explainer: CountingExplainer | ChatExplainer, judged: JudgedDictionary, features: Numbers
) -> pd.DataFrame:
    """Scores of each feature's own explanation.

    Columns: feature, explainer, explanation, simulation_r (top and random excerpts), random_r
    (random ones only: all held-out text where simulating costs nothing) and detection; NaN where
    a score isn't defined.
    """
    where = judged.text.positions_of(judged.excerpts.simulated[features])
    simulated = explainer.simulate(features, where)
    true = true_values(judged.columns, features, where)
    if isinstance(explainer, CountingExplainer):
        random_r = explainer.everywhere_r(judged.columns, features)
    else:
        random_r = score.simulation_r(simulated[:, TOP:], true[:, TOP:])
    active, inactive = judged.excerpts.active[features], judged.excerpts.inactive[features]
    both = judged.text.positions_of(np.hstack([active, inactive]))
    ratings = np.hsplit(explainer.rate(features, both), [active.shape[1]])
    return pd.DataFrame(
        {
            "feature": features.astype(np.int32),
            "explainer": explainer.name,
            "explanation": [explainer.explanation(feature) for feature in features],
            "simulation_r": score.simulation_r(simulated, true),
            "random_r": random_r,
            "detection": score.detection(*ratings),
        }
    )


def score_on_others(
    explainer: CountingExplainer | ChatExplainer,
    sources: Numbers,
    judged: JudgedDictionary,
    targets: Numbers,
) -> Float[np.ndarray, " n"]:
    """Simulation scores of explanations of `sources` on other features, the `targets`."""
    where = judged.text.positions_of(judged.excerpts.simulated[targets])
    true = true_values(judged.columns, targets, where)
    return score.simulation_r(explainer.simulate(sources, where), true)

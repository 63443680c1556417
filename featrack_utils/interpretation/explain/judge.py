"""Scores of explanations, whoever wrote them: on their own feature, or on another."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from scipy import sparse

from featrack_utils.interpretation.explain import score
from featrack_utils.interpretation.explain.excerpts import (
    NONE,
    TOP,
    EvaluationText,
    JudgingExcerpts,
    true_values,
)
from featrack_utils.interpretation.explain.lookup import Lookup
from featrack_utils.interpretation.explain.rules import Explanations


class Explainer(Protocol):
    """One dictionary's explanations, and what can be foretold from them alone."""

    name: str

    def explanation(self, feature: int) -> str:
        """What is said of a feature."""

    def simulate(
        self, sources: Int[np.ndarray, " n"], where: Int[np.ndarray, "n k width"]
    ) -> Float[np.ndarray, "n k width"]:
        """From the explanations of `sources`, activations at positions; NaN: not known."""

    def tell_apart(
        self,
        sources: Int[np.ndarray, " n"],
        active: Int[np.ndarray, "n k width"],
        inactive: Int[np.ndarray, "n m width"],
    ) -> tuple[Float[np.ndarray, "n k"], Float[np.ndarray, "n m"]]:
        """How much each excerpt looks like one that activates its source; NaN: not known."""


class JudgedDictionary(NamedTuple):
    """One dictionary whose features are explained: activations, and excerpts to judge on."""

    columns: sparse.csc_matrix
    excerpts: JudgingExcerpts
    text: EvaluationText


class CountingExplainer:
    """Explanations that come from counting: the whole lookup, or the rules written of it."""

    def __init__(
        self, table: Lookup | Explanations, written: Explanations, text: EvaluationText
    ) -> None:
        self.name = "lookup" if isinstance(table, Lookup) else "rules"
        self._table, self._written, self._text = table, written, text

    def explanation(self, feature: int) -> str:
        """The rules as text; of the lookup they are only the most telling part."""
        return self._written.text[feature]

    def simulate(
        self, sources: Int[np.ndarray, " n"], where: Int[np.ndarray, "n k width"]
    ) -> Float[np.ndarray, "n k width"]:
        """Expected activations (of the lookup) or strengths (of the rules)."""
        out = np.empty(where.shape, np.float32)
        for row, feature in enumerate(sources):
            out[row] = self._table.values(feature, self._text.pair[where[row]])
        out[where == NONE] = np.nan
        return out

    def tell_apart(
        self,
        sources: Int[np.ndarray, " n"],
        active: Int[np.ndarray, "n k width"],
        inactive: Int[np.ndarray, "n m width"],
    ) -> tuple[Float[np.ndarray, "n k"], Float[np.ndarray, "n m"]]:
        """The strongest simulated activation of each excerpt."""
        rated = [score.strongest(self.simulate(sources, side)) for side in (active, inactive)]
        return rated[0], rated[1]

    def everywhere_r(
        self, columns: sparse.csc_matrix, features: Int[np.ndarray, " n"]
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
    explainer: Explainer, judged: JudgedDictionary, features: Int[np.ndarray, " n"]
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
    active, inactive = (
        judged.text.positions_of(excerpts[features])
        for excerpts in (judged.excerpts.active, judged.excerpts.inactive)
    )
    return pd.DataFrame(
        {
            "feature": features.astype(np.int32),
            "explainer": explainer.name,
            "explanation": [explainer.explanation(feature) for feature in features],
            "simulation_r": score.simulation_r(simulated, true),
            "random_r": random_r,
            "detection": score.detection(*explainer.tell_apart(features, active, inactive)),
        }
    )


def score_on_others(
    explainer: Explainer,
    sources: Int[np.ndarray, " n"],
    judged: JudgedDictionary,
    targets: Int[np.ndarray, " n"],
) -> Float[np.ndarray, " n"]:
    """Simulation scores of explanations of `sources` on other features, the `targets`."""
    where = judged.text.positions_of(judged.excerpts.simulated[targets])
    true = true_values(judged.columns, targets, where)
    return score.simulation_r(explainer.simulate(sources, where), true)

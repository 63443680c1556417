"""Scores of explanations, whoever wrote them: on their own feature, or on another."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from scipy import sparse

from featrack_utils.interpretation.explain import score
from featrack_utils.interpretation.explain.contexts import (
    NONE,
    TOP,
    Chosen,
    Text,
    places,
    true_values,
)
from featrack_utils.interpretation.explain.lookup import Lookup
from featrack_utils.interpretation.explain.sentences import Sentences

_CHUNK = 2048  # features whose excerpts are held at once


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


class Subject(NamedTuple):
    """One dictionary whose features are explained: activations, and excerpts to judge on."""

    columns: sparse.csc_matrix
    chosen: Chosen


class Counted:
    """Explanations that come from counting: the whole lookup, or its sentences."""

    def __init__(self, table: Lookup | Sentences, sentences: Sentences, text: Text) -> None:
        self.name = "lookup" if isinstance(table, Lookup) else "sentence"
        self._table, self._sentences, self._text = table, sentences, text

    def explanation(self, feature: int) -> str:
        """The sentence; that of the lookup names only its most telling rules."""
        return self._sentences.text[feature]

    def simulate(
        self, sources: Int[np.ndarray, " n"], where: Int[np.ndarray, "n k width"]
    ) -> Float[np.ndarray, "n k width"]:
        """Expected activations (of the lookup) or strengths (of the sentence)."""
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
        ratings = (score.strongest(self.simulate(sources, side)) for side in (active, inactive))
        return next(ratings), next(ratings)

    def everywhere_r(
        self, columns: sparse.csc_matrix, features: Int[np.ndarray, " n"]
    ) -> Float[np.ndarray, " n"]:
        """r of simulated with true activations over all held-out text."""
        held = np.flatnonzero(~self._text.learn)
        pairs, place, counts = np.unique(
            self._text.pair[held], return_inverse=True, return_counts=True
        )
        true = columns[held]
        sums = np.zeros((5, len(features)))
        for k, feature in enumerate(features):
            x = self._table.values(feature, pairs)
            stretch = slice(true.indptr[feature], true.indptr[feature + 1])
            y = true.data[stretch].astype(np.float64)
            at_y = x[place[true.indices[stretch]]]
            # Not by dot products: their last digits depend on the number of threads.
            parts = (counts * x, counts * x * x, y, y * y, at_y * y)
            sums[:, k] = [part.sum() for part in parts]
        return score.correlation(held.size, *sums)


def own(
    explainer: Explainer, subject: Subject, features: Int[np.ndarray, " n"], text: Text
) -> pd.DataFrame:
    """Scores of each feature's own explanation.

    Columns: feature, explainer, explanation, simulation_r (top and random excerpts), random_r
    (random ones only: all held-out text where simulating costs nothing) and detection; NaN where
    a score isn't defined.
    """
    parts = [pd.DataFrame(columns=_COLUMNS)]
    for start in range(0, len(features), _CHUNK):
        some = features[start : start + _CHUNK]
        where = places(text, subject.chosen.simulated[some])
        simulated = explainer.simulate(some, where)
        true = true_values(subject.columns, some, where)
        if isinstance(explainer, Counted):
            random_r = explainer.everywhere_r(subject.columns, some)
        else:
            random_r = score.simulation_r(simulated[:, TOP:], true[:, TOP:])
        active, inactive = subject.chosen.active[some], subject.chosen.inactive[some]
        ratings = explainer.tell_apart(some, places(text, active), places(text, inactive))
        values = (
            some,
            explainer.name,
            [explainer.explanation(feature) for feature in some],
            score.simulation_r(simulated, true),
            random_r,
            score.detection(*ratings),
        )
        parts.append(pd.DataFrame(dict(zip(_COLUMNS, values, strict=True))))
    return pd.concat(parts[1:] or parts, ignore_index=True)


_COLUMNS = ("feature", "explainer", "explanation", "simulation_r", "random_r", "detection")


def foreign_r(
    explainer: Explainer,
    sources: Int[np.ndarray, " n"],
    subject: Subject,
    targets: Int[np.ndarray, " n"],
    text: Text,
) -> Float[np.ndarray, " n"]:
    """Simulation scores of explanations of `sources` on other features, the `targets`."""
    parts = [np.zeros(0)]
    for start in range(0, len(sources), _CHUNK):
        stretch = slice(start, start + _CHUNK)
        where = places(text, subject.chosen.simulated[targets[stretch]])
        true = true_values(subject.columns, targets[stretch], where)
        parts.append(score.simulation_r(explainer.simulate(sources[stretch], where), true))
    return np.concatenate(parts)

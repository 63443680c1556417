"""Explanations by a chat model, and what it foretells from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy import sparse

from featrack_utils.interpretation.explain import prompts
from featrack_utils.interpretation.explain.chat import ChatServer
from featrack_utils.interpretation.explain.excerpts import (
    NONE,
    EvaluationText,
    Numbers,
    Places,
    Simulated,
    excerpts_to_show,
    true_values,
)


class ChatExplainer:
    """One dictionary's explanations by a chat model; methods as in `judge.CountingExplainer`."""

    name = "endpoint"

    def __init__(
        self,
        server: ChatServer,
        chat_model: str,
        label: str,
        columns: sparse.csc_matrix,
        text: EvaluationText,
        vocabulary: Sequence[str],
        seed: int,
    ) -> None:
        self._server, self._chat_model, self._label = server, chat_model, label
        self._columns, self._text, self._vocabulary = columns, text, vocabulary
        self._seed = seed
        self._explanations: dict[int, str] = {}

    def explanation(self, feature: int) -> str:
        """What the chat model says of a feature; empty if it said nothing."""
        self._explain([feature])
        return self._explanations[feature]

    def simulate(self, sources: Numbers, where: Places) -> Simulated:
        """Levels foretold for each excerpt; NaN where the answer was of no use."""
        self._explain(sources)
        out = np.full(where.shape, np.nan, np.float32)
        requests, rows = [], []
        for i, k in np.ndindex(where.shape[:2]):
            explanation, tokens = self._explanations[sources[i]], self._pieces(where[i, k])
            if explanation and tokens:
                requests.append(prompts.simulate(self._chat_model, explanation, tokens))
                rows.append((i, k, len(tokens)))
        answers = self._server.ask(requests, f"{self._label}: foretelling")
        for (i, k, n), answer in zip(rows, answers, strict=True):
            levels = prompts.read_levels(answer, n)
            if levels is not None:
                out[i, k, :n] = levels
        return out

    def rate(self, sources: Numbers, where: Places) -> Float[np.ndarray, "n k"]:
        """1 or 0 for each excerpt, all of a feature's asked about in one shuffled list."""
        self._explain(sources)
        out = np.full(where.shape[:2], np.nan)
        requests, rows = [], []
        for i, feature in enumerate(sources):
            there = np.flatnonzero((where[i] != NONE).any(axis=1))
            order = np.random.default_rng([self._seed, feature]).permutation(there)
            explanation = self._explanations[feature]
            if explanation and order.size:
                excerpts = [self._pieces(excerpt) for excerpt in where[i][order]]
                requests.append(prompts.detect(self._chat_model, explanation, excerpts))
                rows.append((i, order))
        answers = self._server.ask(requests, f"{self._label}: telling apart")
        for (i, order), answer in zip(rows, answers, strict=True):
            said = prompts.read_detection(answer, order.size)
            if said is not None:
                out[i, order] = said
        return out

    def _explain(self, features: Sequence[int]) -> None:
        unknown = [int(f) for f in dict.fromkeys(features) if int(f) not in self._explanations]
        requests = {f: self._request(f) for f in unknown}
        known = {f: request for f, request in requests.items() if request is not None}
        answers = self._server.ask(list(known.values()), f"{self._label}: explaining")
        self._explanations |= dict.fromkeys(unknown, "")
        self._explanations |= dict(zip(known, map(prompts.read_explanation, answers), strict=True))

    def _request(self, feature: int) -> dict[str, Any] | None:
        shown = excerpts_to_show(self._columns, self._text, feature, self._seed)
        where = self._text.positions_of(shown[None])
        activations = true_values(self._columns, np.array([feature]), where)[0]
        peak = np.nanmax(activations, initial=0)
        if not peak > 0:
            return None  # never active in the documents to learn from
        excerpts = [
            (self._pieces(excerpt), prompts.levels(acts[excerpt != NONE], peak))
            for excerpt, acts in zip(where[0], activations, strict=True)
        ]
        return prompts.explain(self._chat_model, excerpts)

    def _pieces(self, excerpt: Int[np.ndarray, " width"]) -> list[str]:
        return [self._vocabulary[t] for t in self._text.tokens[excerpt[excerpt != NONE]]]

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
    excerpts_to_show,
    true_values,
)


class ChatExplainer:
    """One dictionary's explanations by a chat model; see `judge.Explainer`."""

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

    def simulate(
        self, sources: Int[np.ndarray, " n"], where: Int[np.ndarray, "n k width"]
    ) -> Float[np.ndarray, "n k width"]:
        """Levels foretold for each excerpt; NaN where the answer was of no use."""
        self._explain(sources)
        out = np.full(where.shape, np.nan, np.float32)
        requests, rows = [], []
        for i, feature in enumerate(sources):
            for k, excerpt in enumerate(where[i]):
                if self._explanations[feature] and (excerpt != NONE).any():
                    tokens = self._pieces(excerpt)
                    rows.append((i, k, len(tokens)))
                    requests.append(
                        prompts.simulate(self._chat_model, self._explanations[feature], tokens)
                    )
        answers = self._server.ask(requests, f"{self._label}: foretelling")
        for (i, k, n), answer in zip(rows, answers, strict=True):
            if (levels := prompts.read_levels(answer, n)) is not None:
                out[i, k, :n] = levels
        return out

    def tell_apart(
        self,
        sources: Int[np.ndarray, " n"],
        active: Int[np.ndarray, "n k width"],
        inactive: Int[np.ndarray, "n m width"],
    ) -> tuple[Float[np.ndarray, "n k"], Float[np.ndarray, "n m"]]:
        """1 or 0 for each excerpt, active and inactive ones asked about in one shuffled list."""
        self._explain(sources)
        both = np.concatenate([active, inactive], axis=1)
        out = np.full(both.shape[:2], np.nan)
        requests, rows = [], []
        for i, feature in enumerate(sources):
            there = np.flatnonzero((both[i] != NONE).any(axis=1))
            order = np.random.default_rng([self._seed, feature]).permutation(there)
            if self._explanations[feature] and order.size:
                rows.append((i, order))
                excerpts = [self._pieces(excerpt) for excerpt in both[i][order]]
                requests.append(
                    prompts.detect(self._chat_model, self._explanations[feature], excerpts)
                )
        answers = self._server.ask(requests, f"{self._label}: telling apart")
        for (i, order), answer in zip(rows, answers, strict=True):
            if (said := prompts.read_detection(answer, order.size)) is not None:
                out[i, order] = said
        return out[:, : active.shape[1]], out[:, active.shape[1] :]

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

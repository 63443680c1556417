"""On which text an explanation is learnt, and on which it is judged.

Half of each domain's documents are for learning, the other half for judging. Both are cut into
excerpts of at most WIDTH tokens, each of one document.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import sparse

from featrack_utils.dictionaries.features import Features
from featrack_utils.errors import FeatrackError
from featrack_utils.statistics.bootstrap import halves

WIDTH = 32  # tokens of an excerpt; Bills et al. take 64 of a longer context
TOP, RANDOM = 5, 5  # excerpts that a simulation is scored on, as in Bills et al.
INTERVALS = 5  # excerpts shown from between the strongest and the weakest
NONE = -1
Numbers = Int[np.ndarray, " n"]  # of features or of excerpts
Places = Int[np.ndarray, "n k width"]  # positions of k excerpts for each of n features, or NONE
Simulated = Float[np.ndarray, "n k width"]  # activations there; NaN: not known


class EvaluationText(NamedTuple):
    """The evaluation mix as an explainer sees it.

    A *pair* is a token with the token before it; where a block or document begins, that is NONE.

    Attributes:
        tokens: token id of each position.
        pair: pair that each position shows.
        pair_token, pair_previous: the two tokens of each pair.
        origin: document of each position.
        learn: whether a position's document is one to learn from.
        excerpt: excerpt that each position belongs to.
        positions: those of each excerpt, filled up with NONE.
    """

    tokens: Int[np.ndarray, " n_tokens"]
    pair: Int[np.ndarray, " n_tokens"]
    pair_token: Int[np.ndarray, " n_pairs"]
    pair_previous: Int[np.ndarray, " n_pairs"]
    origin: Int[np.ndarray, " n_tokens"]
    learn: Bool[np.ndarray, " n_tokens"]
    excerpt: Int[np.ndarray, " n_tokens"]
    positions: Int[np.ndarray, "n_excerpts width"]

    @property
    def learnt(self) -> Bool[np.ndarray, " n_excerpts"]:
        """Which excerpts are of documents to learn from."""
        return self.learn[self.positions[:, 0]]

    def positions_of(self, excerpts: Int[np.ndarray, "*shape"]) -> Int[np.ndarray, "*shape width"]:
        """Positions of some excerpts, NONE where an excerpt is shorter or there is none."""
        return np.where(excerpts[..., None] == NONE, NONE, self.positions[excerpts])


def as_text(features: Features, block: int, seed: int) -> EvaluationText:
    """Splits a mix by documents and cuts it into excerpts; `block` positions make one block.

    Raises:
        FeatrackError: the positions don't fill blocks, or a domain has one document only.
    """
    n = len(features.tokens)
    if n % block:
        raise FeatrackError(
            f"The features' {n} positions are no blocks of {block}; "
            "give the context length of this run."
        )
    place = np.arange(n)
    begins = (place % block == 0) | (np.diff(features.origin, prepend=NONE) != 0)
    previous = np.where(begins, NONE, np.roll(features.tokens, 1)).astype(np.int64)
    width = int(features.tokens.max()) + 1
    keys, pair = np.unique((previous + 1) * width + features.tokens, return_inverse=True)
    # Counted from the start of each stretch of one document.
    inside = place - np.maximum.accumulate(np.where(begins, place, 0))
    excerpt = np.cumsum(inside % WIDTH == 0) - 1
    positions = np.full((excerpt[-1] + 1, WIDTH), NONE, np.int32)
    positions[excerpt, inside % WIDTH] = place
    return EvaluationText(
        tokens=features.tokens,
        pair=pair.astype(np.int32),
        pair_token=(keys % width).astype(np.int32),
        pair_previous=(keys // width - 1).astype(np.int32),
        origin=features.origin,
        learn=halves(features, seed),
        excerpt=excerpt.astype(np.int32),
        positions=positions,
    )


def excerpts_to_judge(
    columns: sparse.csc_matrix, text: EvaluationText, seed: int
) -> Int[np.ndarray, "n_features n_excerpts"]:
    """Held-out excerpts to judge each feature on; `columns` [n_tokens, d_sae]. NONE: no more.

    TOP excerpts with the strongest activations, each of another document, then RANDOM ones drawn
    from all others.
    """
    held = np.flatnonzero(~text.learnt)
    found = np.full((columns.shape[1], TOP + RANDOM), NONE, np.int32)
    for feature, row in enumerate(found):
        rng = np.random.default_rng([seed, feature])
        top, _ = _split_top(_active_excerpts(columns, text, feature, learnt=False), text)
        drawn = _draw(rng, np.setdiff1d(held, top), RANDOM)
        row[: top.size] = top
        row[TOP : TOP + drawn.size] = drawn
    return found


def excerpts_to_show(
    columns: sparse.csc_matrix, text: EvaluationText, feature: int, seed: int
) -> Numbers:
    """Excerpts to explain a feature from, all of documents to learn from; at most 15.

    The strongest of five documents, one from each fifth of the other active excerpts in the order
    of their peaks (*interval-sampled*), and five drawn from all.
    """
    rng = np.random.default_rng([seed, feature])
    ranked = _active_excerpts(columns, text, feature, learnt=True)
    top, others = _split_top(ranked, text)
    fifths = [rng.choice(part) for part in np.array_split(others, INTERVALS) if part.size]
    drawn = _draw(rng, np.flatnonzero(text.learnt), RANDOM)
    return np.array(list(dict.fromkeys([*top, *fifths, *drawn])), dtype=np.int32)


def true_values(columns: sparse.csc_matrix, features: Numbers, where: Places) -> Simulated:
    """Activations of each feature at its own positions; NaN where the position is NONE."""
    out = np.empty(where.shape, np.float32)
    for row, feature in enumerate(features):
        out[row] = columns[:, [feature]].toarray()[:, 0][where[row]]
    out[where == NONE] = np.nan
    return out


def _active_excerpts(
    columns: sparse.csc_matrix, text: EvaluationText, feature: int, *, learnt: bool
) -> Numbers:
    """The excerpts of one half in which a feature is active, by their peaks, strongest first."""
    stretch = slice(columns.indptr[feature], columns.indptr[feature + 1])
    positions, values = columns.indices[stretch], columns.data[stretch]
    chosen = text.learn[positions] == learnt
    excerpts, place = np.unique(text.excerpt[positions[chosen]], return_inverse=True)
    peaks = np.zeros(excerpts.size)
    np.maximum.at(peaks, place, values[chosen])
    return excerpts[np.argsort(-peaks, kind="stable")]


def _split_top(ranked: Numbers, text: EvaluationText) -> tuple[Numbers, Numbers]:
    """The first TOP excerpts that are each of another document, and all others."""
    documents = text.origin[text.positions[ranked, 0]]
    _, first = np.unique(documents, return_index=True)
    top = np.sort(first)[:TOP]
    return ranked[top], np.delete(ranked, top)


def _draw(rng: np.random.Generator, population: np.ndarray, n: int) -> np.ndarray:
    return rng.choice(population, min(n, population.size), replace=False)

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
from featrack_utils.interpretation.contexts import random_positions, strongest_positions
from featrack_utils.statistics.probes import halves

WIDTH = 32  # tokens of an excerpt; Bills et al. take 64 of a longer context
TOP, RANDOM = 5, 5  # excerpts that a simulation is scored on, as in Bills et al.
INTERVALS = 5  # excerpts shown from between the strongest and the weakest
DETECTION = 10  # excerpts of each kind, active and not, that are to be told apart
NONE = -1


class Text(NamedTuple):
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


class Chosen(NamedTuple):
    """Excerpts of the held-out documents on which each feature is judged; NONE: no more.

    Attributes:
        simulated: TOP excerpts with the strongest activations, each of another document, then
            RANDOM ones drawn from all.
        active, inactive: excerpts in which the feature is active and isn't, drawn at random.
    """

    simulated: Int[np.ndarray, "n_features n_simulated"]
    active: Int[np.ndarray, "n_features n_active"]
    inactive: Int[np.ndarray, "n_features n_inactive"]


def as_text(features: Features, block: int, seed: int) -> Text:
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
    starts = np.flatnonzero(inside % WIDTH == 0)
    excerpt = np.cumsum(inside % WIDTH == 0) - 1
    positions = np.full((len(starts), WIDTH), NONE, np.int32)
    positions[excerpt, inside % WIDTH] = place
    return Text(
        features.tokens,
        pair.astype(np.int32),
        (keys % width).astype(np.int32),
        (keys // width - 1).astype(np.int32),
        features.origin,
        halves(features, seed),
        excerpt.astype(np.int32),
        positions,
    )


def choose(acts: sparse.csr_matrix, text: Text, seed: int) -> Chosen:
    """Held-out excerpts to judge each feature on; `acts` [n_tokens, d_sae]."""
    rng = np.random.default_rng(seed)
    held = np.flatnonzero(~text.learn)
    among = np.flatnonzero(~text.learnt)
    columns = acts[held].tocsc()
    columns.sort_indices()
    n_features, n_excerpts = acts.shape[1], len(text.positions)
    top = _excerpts(strongest_positions(columns, text.origin[held], TOP), held, text)
    drawn = _drawn(rng, n_features, among, TOP + RANDOM)
    new = (drawn[:, :, None] != top[:, None, :]).all(axis=2)
    # Several of the positions drawn may lie in one excerpt, so more are drawn than are needed.
    active = _excerpts(random_positions(columns, 3 * DETECTION, seed), held, text)
    first = ~np.tril(active[:, :, None] == active[:, None, :], -1).any(axis=2)
    feature = np.repeat(np.arange(n_features), np.diff(columns.indptr))
    # In order already, as positions are within a feature and excerpts along positions.
    seen = feature * n_excerpts + text.excerpt[held[columns.indices]]
    other = _drawn(rng, n_features, among, 8 * DETECTION)
    keys = np.arange(n_features)[:, None] * n_excerpts + other
    found = np.append(seen, NONE)[np.searchsorted(seen, keys)]
    silent = found != keys
    return Chosen(
        np.hstack([top, _first(drawn, new, RANDOM)]),
        _first(active, first & (active != NONE), DETECTION),
        _first(other, silent, DETECTION),
    )


def _excerpts(positions: np.ndarray, held: np.ndarray, text: Text) -> np.ndarray:
    return np.where(positions == NONE, NONE, text.excerpt[held[positions]])


def _drawn(rng: np.random.Generator, n: int, among: np.ndarray, most: int) -> np.ndarray:
    """For each of n features different excerpts: a stretch of one shuffled row of them all."""
    shuffled, most = rng.permutation(among), min(most, among.size)
    starts = rng.integers(among.size, size=(n, 1))
    return shuffled[(starts + np.arange(most)) % among.size]


def _first(candidates: np.ndarray, wanted: np.ndarray, n: int) -> np.ndarray:
    """The first n wanted candidates of each row, filled up with NONE."""
    order = np.argsort(~wanted, axis=1, kind="stable")[:, :n]
    taken = np.where(wanted, candidates, NONE)
    return np.take_along_axis(taken, order, axis=1).astype(np.int32)


def places(text: Text, excerpts: Int[np.ndarray, "n k"]) -> Int[np.ndarray, "n k width"]:
    """Positions of some excerpts, NONE where an excerpt is shorter or there is none."""
    return np.where(excerpts[..., None] == NONE, NONE, text.positions[excerpts])


def true_values(
    columns: sparse.csc_matrix,
    features: Int[np.ndarray, " n"],
    where: Int[np.ndarray, "n k width"],
) -> Float[np.ndarray, "n k width"]:
    """Activations of each feature at its own positions; NaN where the position is NONE."""
    out = np.empty(where.shape, np.float32)
    dense = np.zeros(columns.shape[0], np.float32)
    for row, feature in enumerate(features):
        stretch = slice(columns.indptr[feature], columns.indptr[feature + 1])
        active = columns.indices[stretch]
        dense[active] = columns.data[stretch]
        out[row] = dense[where[row]]
        dense[active] = 0
    out[where == NONE] = np.nan
    return out


def shown(
    columns: sparse.csc_matrix, text: Text, feature: int, seed: int
) -> Int[np.ndarray, " n_shown"]:
    """Excerpts to explain a feature from, all of documents to learn from; at most 15.

    The strongest of five documents, one from each fifth of the other active excerpts in the order
    of their peaks (*interval-sampled*), and five drawn from all.
    """
    rng = np.random.default_rng([seed, feature])
    column = columns[:, [feature]].tocoo()
    learn = text.learn[column.row]
    row, value = column.row[learn], column.data[learn]
    excerpts, place = np.unique(text.excerpt[row], return_inverse=True)
    peak = np.zeros(len(excerpts))
    np.maximum.at(peak, place, value)
    excerpts = excerpts[np.argsort(-peak, kind="stable")]
    origin = text.origin[text.positions[excerpts, 0]]
    top = np.sort(np.unique(origin, return_index=True)[1])[:TOP]
    rest = np.delete(excerpts, top)
    fifths = [rng.choice(part) for part in np.array_split(rest, INTERVALS) if part.size]
    drawn = rng.permutation(np.flatnonzero(text.learnt))[:RANDOM]
    chosen = [*excerpts[top], *fifths, *drawn]
    return np.array(list(dict.fromkeys(chosen)), dtype=np.int32)

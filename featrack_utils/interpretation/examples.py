"""Meeting a feature: which tokens it answers to, in which contexts, on which text."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int
from scipy import sparse

from featrack_utils.corpora.documents import DOMAINS
from featrack_utils.dictionaries.features import Features

# Only named in signatures here, and slow to load.
if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from featrack_utils.corpora.prepare import Corpora

Context = tuple[list[str], list[float]]


def tokens_matching(tokenizer: PreTrainedTokenizerBase, pattern: str) -> Bool[np.ndarray, " vocab"]:
    """Which tokens of the vocabulary are, as a whole, matched by a regular expression."""
    expression = re.compile(pattern)
    texts = (tokenizer.decode([index]) for index in range(len(tokenizer)))
    return np.array([expression.fullmatch(text) is not None for text in texts])


def activation_share(
    features: Features, chosen: Bool[np.ndarray, " vocab"]
) -> Float[np.ndarray, " d_sae"]:
    """The share of each feature's summed activation that falls on chosen tokens; 0 if dead."""
    on_chosen = chosen[features.tokens].astype(np.float64)
    total = np.asarray(features.acts.sum(axis=0, dtype=np.float64)).ravel()
    share = features.acts.T.astype(np.float64) @ on_chosen
    return np.divide(share, total, out=np.zeros_like(total), where=total > 0)


def token_shares(features: Features, vocab: int) -> sparse.csc_matrix:
    """The share of each feature's summed activation that falls on each token: [vocab, d_sae].

    A column adds up to 1, or is empty if the feature is dead.
    """
    n_tokens = len(features.tokens)
    ones = np.ones(n_tokens), (features.tokens, np.arange(n_tokens))
    sums = (sparse.csr_matrix(ones, shape=(vocab, n_tokens)) @ features.acts).tocsc()
    total = np.asarray(sums.sum(axis=0)).ravel()
    sums.data /= np.repeat(np.where(total > 0, total, 1), np.diff(sums.indptr))
    return sums


def effective_tokens(shares: sparse.csc_matrix) -> Float[np.ndarray, " d_sae"]:
    """How many different tokens each feature answers to: e to the entropy of its shares.

    `shares` from `token_shares`. A feature of k equally strong tokens has k; 0 if it is dead.
    """
    column = np.repeat(np.arange(shares.shape[1]), np.diff(shares.indptr))
    plogp = shares.data * np.log(np.where(shares.data > 0, shares.data, 1))
    entropy = -np.bincount(column, weights=plogp, minlength=shares.shape[1])
    return np.where(np.diff(shares.indptr) > 0, np.exp(entropy), 0)


def strongest_tokens(
    shares: sparse.csc_matrix, index: int, n: int
) -> tuple[Int[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """The tokens that most of a feature's activation falls on, at most `n`, with their shares."""
    column = shares[:, [index]].tocoo()
    order = np.lexsort((column.row, -column.data))[:n]
    return column.row[order], column.data[order]


def choose_chain(chains: pd.DataFrame, at_least: float) -> pd.Series | None:
    """The universal chain to show: the best linked of those that answer to the chosen tokens.

    Args:
        chains: from `matching.flow.universal_chains`, with the column min_r and a column
            share: how much of its features' activation falls on them (`activation_share`).
        at_least: share that qualifies. If no chain qualifies, the one with the largest share.

    Returns:
        The chain, or None if there is no universal chain.
    """
    if chains.empty:
        return None
    qualified = chains[chains["share"] >= at_least]
    if qualified.empty:
        return chains.loc[chains["share"].idxmax()]
    return qualified.loc[qualified["min_r"].idxmax()]


def contexts(
    features: Features,
    index: int,
    corpora: Corpora,
    *,
    top: int,
    random: int,
    width: int,
    seed: int,
) -> list[Context]:
    """Contexts of one feature: the strongest, each from another document, then random ones.

    Args:
        index: the feature.
        top: how many of the strongest; random: how many drawn from all active positions.
        width: tokens shown, two thirds of them before the position.

    Returns:
        (token texts, activations) for each context, cut at the ends of its block.
    """
    positions = context_positions(features, index, top=top, random=random, seed=seed)
    return contexts_at(features, index, positions, corpora, width)


def context_positions(
    features: Features, index: int, *, top: int, random: int, seed: int
) -> Int[np.ndarray, " n"]:
    """Positions of one feature's strongest contexts, each of another document, then random ones.

    For those of all features at once see `featrack_utils.interpretation.positions`.
    """
    column = features.acts[:, [index]].tocoo()
    active = column.data > 0
    positions, strengths = column.row[active], column.data[active]
    ranked = positions[np.argsort(-strengths, kind="stable")]
    _, first_of_origin = np.unique(features.origin[ranked], return_index=True)
    strongest = ranked[np.sort(first_of_origin)[:top]]
    rest = np.setdiff1d(positions, strongest)
    rng = np.random.default_rng(seed)
    drawn = rng.choice(rest, size=min(random, len(rest)), replace=False)
    return np.concatenate([strongest, drawn])


def contexts_at(
    features: Features,
    index: int,
    positions: Sequence[int] | Int[np.ndarray, " n"],
    corpora: Corpora,
    width: int,
) -> list[Context]:
    """What one feature does around given positions, as `contexts` shows it.

    With the positions of another feature this shows both on the same text.
    """
    dense = features.acts[:, [index]].toarray().ravel()
    block = corpora.context - 1
    shown = []
    for position in positions:
        start = position // block * block
        left = max(start, position - 2 * width // 3)
        stretch = slice(left, min(start + block, left + width))
        shown.append((corpora.pieces(features.tokens[stretch]), dense[stretch].tolist()))
    return shown


def density_by_domain(chosen: Mapping[str, tuple[Features, int]]) -> pd.DataFrame:
    """Share of each domain's tokens on which each feature is active; missing without tokens."""
    rows = []
    for model, (features, index) in chosen.items():
        active = features.acts[:, index].toarray().ravel() > 0
        texts = {d: active[features.domain == i] for i, d in enumerate(DOMAINS)}
        row = {d: on.mean() if len(on) else None for d, on in texts.items()}
        rows.append({"model": model, **row})
    return pd.DataFrame(rows)

"""Meeting a feature: which tokens it answers to, in which contexts, on which text."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from transformers import PreTrainedTokenizerBase

from featrack_utils.corpora.documents import DOMAINS
from featrack_utils.corpora.prepare import Corpora
from featrack_utils.errors import FeatrackError
from featrack_utils.features import Features

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


def choose_chain(chains: pd.DataFrame, at_least: float) -> pd.Series:
    """The universal chain to show: the best linked of those that answer to the chosen tokens.

    Args:
        chains: from `featrack_utils.flow.universal_chains`, with the column min_r and a column
            share: how much of the base feature's activation falls on them (`activation_share`).
        at_least: share that qualifies. If no chain qualifies, the one with the largest share.

    Raises:
        FeatrackError: there is no universal chain.
    """
    if chains.empty:
        raise FeatrackError(
            "No feature is universal in this run, so there is none to show; "
            "lower tracking.tau or train longer."
        )
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
    column = features.acts[:, index].tocoo()
    positions, strengths = column.row, column.data
    ranked = positions[np.argsort(-strengths, kind="stable")]
    _, first_of_origin = np.unique(features.origin[ranked], return_index=True)
    strongest = ranked[np.sort(first_of_origin)[:top]]
    rest = np.setdiff1d(positions, strongest)
    rng = np.random.default_rng(seed)
    drawn = rng.choice(rest, size=min(random, len(rest)), replace=False)
    dense = np.zeros(features.acts.shape[0], dtype=np.float32)
    dense[positions] = strengths
    block = corpora.context - 1
    shown = []
    for position in [*strongest, *drawn]:
        start = position // block * block
        left = max(start, position - 2 * width // 3)
        stretch = slice(left, min(start + block, left + width))
        shown.append((corpora.pieces(features.tokens[stretch]), dense[stretch].tolist()))
    return shown


def density_by_domain(chosen: Mapping[str, tuple[Features, int]]) -> pd.DataFrame:
    """Share of each domain's tokens on which each model's feature is active."""
    rows = []
    for model, (features, index) in chosen.items():
        active = features.acts[:, index].toarray().ravel() > 0
        row = {d: active[features.domain == i].mean() for i, d in enumerate(DOMAINS)}
        rows.append({"model": model, **row})
    return pd.DataFrame(rows)

"""What a stream of tokens is made of: its texts, their lengths, the tokens it uses most."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from transformers import PreTrainedTokenizerBase

from featrack_utils.corpora.tokenizer import TokenStream
from featrack_utils.errors import FeatrackError


class Makeup(NamedTuple):
    """Tokens of a stream, those that lead its documents left out.

    Attributes:
        distinct: different tokens.
        median, p90: tokens per document, and what nine in ten documents stay below.
        frequent: ids of the most frequent tokens, the first above all.
    """

    distinct: int
    median: float
    p90: float
    frequent: np.ndarray


def makeup(stream: TokenStream, n_frequent: int) -> Makeup:
    """Counts a stream's tokens; ties among the most frequent go to the smaller id."""
    counts = np.bincount(np.delete(stream.tokens, stream.starts[:-1]))
    lengths = np.diff(stream.starts) - 1
    order = np.argsort(-counts, kind="stable")[:n_frequent]
    median, p90 = np.quantile(lengths, (0.5, 0.9))
    return Makeup(int((counts > 0).sum()), float(median), float(p90), order[counts[order] > 0])


def texts(
    stream: TokenStream, tokenizer: PreTrainedTokenizerBase, longest: int | None = None
) -> list[str]:
    """Each document's text; of each at most the first `longest` tokens."""
    starts = stream.starts[:-1] + 1
    ends = stream.starts[1:] if longest is None else np.minimum(stream.starts[1:], starts + longest)
    bounds = zip(starts.tolist(), ends.tolist(), strict=True)
    return tokenizer.batch_decode([stream.tokens[a:b] for a, b in bounds])


def chars_per_token(stream: TokenStream, its_texts: list[str], longest: int | None = None) -> float:
    """Characters per token of a stream's texts, read with the same `longest`.

    Raises:
        FeatrackError: no document has any text.
    """
    lengths = np.diff(stream.starts) - 1
    n_tokens = int(lengths.sum() if longest is None else np.minimum(lengths, longest).sum())
    if not n_tokens:
        raise FeatrackError("The token stream has no text, only the tokens that lead documents.")
    return sum(map(len, its_texts)) / n_tokens


def of_most(stream: TokenStream, its_texts: list[str], share: float) -> float:
    """Characters per token of the share of the documents in which there are most."""
    lengths = np.diff(stream.starts) - 1
    chars = np.array([len(text) for text in its_texts])
    order = np.argsort(-chars / np.maximum(lengths, 1), kind="stable")
    kept = order[: max(1, round(share * len(order)))]
    return float(chars[kept].sum() / lengths[kept].sum())


def sample(stream: TokenStream, seed: int) -> int:
    """A document picked by the seed that begins where its origin begins, and isn't cut short.

    A later document of an origin may be the rest of a text that was too long; the last document
    of a stream ends where the tokens ran out.
    """
    seen: set[str] = set()
    first = [i for i, name in enumerate(stream.origins) if not (name in seen or seen.add(name))]
    whole = [i for i in first if i < len(stream.origins) - 1] or first
    return whole[seed % len(whole)]

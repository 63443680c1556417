"""An explanation without words: how active a feature is, on average, given two tokens.

The baseline of Bills et al. (2023): the mean activation given the token at hand, here refined by
the token before it. It knows nothing of meaning, grammar or what stands further back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy import sparse

from featrack_utils.interpretation.contexts import visible
from featrack_utils.interpretation.explain.excerpts import (
    NONE,
    EvaluationText,
    Numbers,
    Places,
    Simulated,
)

# Each mean is drawn towards the next coarser one, pair to token to all text, as if that had been
# seen once more. Of 0.5 to 32 sightings, one scored best, or as well as two, on held-out text for
# another seed's dictionary of the first model.
SIGHTINGS = 1.0
LONGEST = 100  # characters of an explanation, whoever writes it
STRONGEST = 9
SILENT = "never active in the documents it is learnt from"


class Lookup(NamedTuple):
    """What the documents to learn from show of every feature of one dictionary.

    Attributes:
        by_pair, by_token: summed activation of each feature on each pair and token.
        mean: each feature's mean activation.
        n_pair, n_token: how often each was seen.
        text: where the pairs and tokens stand.
        names: the text of each token.
    """

    by_pair: sparse.csr_matrix  # float64 [d_sae, n_pairs]
    by_token: sparse.csr_matrix  # float64 [d_sae, n_vocab]
    mean: Float[np.ndarray, " d_sae"]
    n_pair: Int[np.ndarray, " n_pairs"]
    n_token: Int[np.ndarray, " n_vocab"]
    text: EvaluationText
    names: Sequence[str]

    name = "lookup"

    def values(self, feature: int) -> Float[np.ndarray, " n_pairs"]:
        """Expected activation of one feature on every pair (`book/method.md`, interpretation)."""
        by_token = self.by_token[[feature]].toarray()[0]
        by_pair = self.by_pair[[feature]].toarray()[0]
        of_token = (by_token + SIGHTINGS * self.mean[feature]) / (self.n_token + SIGHTINGS)
        coarse = of_token[self.text.pair_token]
        refined = (by_pair + SIGHTINGS * coarse) / (self.n_pair + SIGHTINGS)
        return np.where(self.text.pair_previous == NONE, coarse, refined)

    def simulate(self, sources: Numbers, where: Places) -> Simulated:
        """Expected activations of each source feature at its own row of positions."""
        out = np.empty(where.shape, np.float32)
        for row, feature in enumerate(sources):
            out[row] = self.values(feature)[self.text.pair[where[row]]]
        out[where == NONE] = np.nan
        return out

    def explanation(self, feature: int) -> str:
        """The tokens that most of the activation falls on, each with its mean from 1 to 9.

        A summary for a reader; what is scored is the whole lookup.
        """
        row = self.by_token[[feature]]
        order = np.lexsort((row.indices, -row.data))
        tokens, sums = row.indices[order], row.data[order]
        parts, means = [], sums / self.n_token[tokens]
        for token, mean in zip(tokens, means, strict=True):
            # The strongest of those named has a 9, so whether there's room is asked as of a digit.
            parts.append((quoted(self.names[token]), mean))
            if sum(len(name) + len(" 9, ") for name, _ in parts) - len(", ") > LONGEST:
                parts.pop()
                break
        highest = max((mean for _, mean in parts), default=0)
        said = (f"{name} {max(round(STRONGEST * mean / highest), 1)}" for name, mean in parts)
        return ", ".join(said) or SILENT


def learn(acts: sparse.csr_matrix, text: EvaluationText, names: Sequence[str]) -> Lookup:
    """Counts what each feature does in the documents to learn from; `acts` [n_tokens, d_sae]."""
    rows = np.flatnonzero(text.learn)
    columns = acts[rows].astype(np.float64).T.tocsr()
    pairs, tokens = text.pair[rows], text.tokens[rows]
    n_pairs, n_vocab = len(text.pair_token), int(text.tokens.max()) + 1
    return Lookup(
        by_pair=_summed(columns, pairs, n_pairs),
        by_token=_summed(columns, tokens, n_vocab),
        mean=np.asarray(columns.sum(axis=1)).ravel() / max(len(rows), 1),
        n_pair=np.bincount(pairs, minlength=n_pairs),
        n_token=np.bincount(tokens, minlength=n_vocab),
        text=text,
        names=names,
    )


def quoted(piece: str) -> str:
    """A token's text between quotation marks, with nothing in it that can't be seen."""
    shown = "".join(c if c == " " else visible(c) for c in piece)
    return f"“{shown if shown.strip(' ') else shown.replace(' ', '·')}”"


def _summed(columns: sparse.csr_matrix, label: np.ndarray, size: int) -> sparse.csr_matrix:
    """Each row's values added up over the positions of each label."""
    n = len(label)
    one_hot = sparse.csr_matrix((np.ones(n), label, np.arange(n + 1)), shape=(n, size))
    return (columns @ one_hot).tocsr()

"""An explanation without words: how active a feature is, on average, given two tokens.

The baseline of Bills et al. (2023): the mean activation given the token at hand, here refined by
the token before it. It knows nothing of meaning, grammar or what stands further back.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numba import njit
from scipy import sparse

from featrack_utils.interpretation.explain.contexts import Text

# Each mean is drawn towards the next coarser one, pair to token to all text, as if that had been
# seen once more. Of 0.5 to 32 sightings, one scored best, or as well as two, on held-out text for
# another seed's dictionary of the base.
SIGHTINGS = 1.0


class Lookup(NamedTuple):
    """What the documents to learn from show of every feature of one dictionary.

    Attributes:
        by_pair, by_token: summed activation of each feature on each pair and token.
        mean: each feature's mean activation.
        n_pair, n_token: how often each was seen.
        pair_token, pair_previous: as in `Text`.
    """

    by_pair: sparse.csr_matrix  # float64 [d_sae, n_pairs]
    by_token: sparse.csr_matrix  # float64 [d_sae, n_vocab]
    mean: Float[np.ndarray, " d_sae"]
    n_pair: Int[np.ndarray, " n_pairs"]
    n_token: Int[np.ndarray, " n_vocab"]
    pair_token: Int[np.ndarray, " n_pairs"]
    pair_previous: Int[np.ndarray, " n_pairs"]

    def values(self, feature: int, pairs: Int[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """Expected activation of one feature on each of some pairs."""
        out = np.empty(pairs.size)
        _expected(
            _dense(self.by_pair, feature),
            _dense(self.by_token, feature),
            self.mean[feature],
            self.n_pair,
            self.n_token,
            self.pair_token,
            self.pair_previous,
            pairs.ravel(),
            out,
        )
        return out.reshape(pairs.shape)


def _dense(table: sparse.csr_matrix, row: int) -> np.ndarray:
    stretch = slice(table.indptr[row], table.indptr[row + 1])
    values = np.zeros(table.shape[1])
    values[table.indices[stretch]] = table.data[stretch]
    return values


@njit(cache=True)
def _expected(by_pair, by_token, mean, n_pair, n_token, pair_token, pair_previous, pairs, out):
    for k in range(pairs.size):
        pair = pairs[k]
        token = pair_token[pair]
        value = (by_token[token] + SIGHTINGS * mean) / (n_token[token] + SIGHTINGS)
        if pair_previous[pair] >= 0:
            value = (by_pair[pair] + SIGHTINGS * value) / (n_pair[pair] + SIGHTINGS)
        out[k] = value


def learn(acts: sparse.csr_matrix, text: Text) -> Lookup:
    """Counts what each feature does in the documents to learn from; `acts` [n_tokens, d_sae]."""
    rows = np.flatnonzero(text.learn)
    columns = acts[rows].astype(np.float64).T.tocsr()
    counts = []
    for label, size in (
        (text.pair[rows], len(text.pair_token)),
        (text.tokens[rows], int(text.tokens.max()) + 1),
    ):
        one = sparse.csr_matrix(
            (np.ones(len(rows)), label, np.arange(len(rows) + 1)), shape=(len(rows), size)
        )
        counts.append((columns @ one, np.bincount(label, minlength=size)))
    (by_pair, n_pair), (by_token, n_token) = counts
    mean = np.asarray(columns.sum(axis=1)).ravel() / max(len(rows), 1)
    return Lookup(by_pair, by_token, mean, n_pair, n_token, text.pair_token, text.pair_previous)

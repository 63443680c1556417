"""An explanation without words: how active a feature is, on average, given two tokens.

The baseline of Bills et al. (2023): the mean activation given the token at hand, here refined by
the token before it. It knows nothing of meaning, grammar or what stands further back.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy import sparse

from featrack_utils.interpretation.explain.excerpts import EvaluationText

# Each mean is drawn towards the next coarser one, pair to token to all text, as if that had been
# seen once more. Of 0.5 to 32 sightings, one scored best, or as well as two, on held-out text for
# another seed's dictionary of the first model.
SIGHTINGS = 1.0


class Lookup(NamedTuple):
    """What the documents to learn from show of every feature of one dictionary.

    Attributes:
        by_pair, by_token: summed activation of each feature on each pair and token.
        mean: each feature's mean activation.
        n_pair, n_token: how often each was seen.
        pair_token, pair_previous: as in `EvaluationText`.
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
        by_token = self.by_token[[feature]].toarray()[0]
        by_pair = self.by_pair[[feature]].toarray()[0]
        of_token = (by_token + SIGHTINGS * self.mean[feature]) / (self.n_token + SIGHTINGS)
        coarse = of_token[self.pair_token[pairs]]
        refined = (by_pair[pairs] + SIGHTINGS * coarse) / (self.n_pair[pairs] + SIGHTINGS)
        return np.where(self.pair_previous[pairs] >= 0, refined, coarse)


def learn(acts: sparse.csr_matrix, text: EvaluationText) -> Lookup:
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
        pair_token=text.pair_token,
        pair_previous=text.pair_previous,
    )


def _summed(columns: sparse.csr_matrix, label: np.ndarray, size: int) -> sparse.csr_matrix:
    """Each row's values added up over the positions of each label."""
    n = len(label)
    one_hot = sparse.csr_matrix((np.ones(n), label, np.arange(n + 1)), shape=(n, size))
    sums = (columns @ one_hot).tocsr()
    sums.sort_indices()
    return sums

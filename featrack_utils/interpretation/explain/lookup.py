"""The text that explanations are learnt from and judged on, and the one that counting learns.

Half of each domain's documents are for learning, the other half for judging. Both are cut into
excerpts of at most WIDTH tokens, each of one document. What is learnt by counting is how active a
feature is, on average, given a token and the one before it (the baseline of Bills et al. 2023).
That knows nothing of meaning, grammar or what stands further back.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import sparse

from featrack_utils.dictionaries.features import Features
from featrack_utils.errors import FeatrackError
from featrack_utils.interpretation.contexts import signs
from featrack_utils.statistics.bootstrap import halves

WIDTH = 32  # tokens of an excerpt; Bills et al. take 64 of a longer context
TOP, RANDOM = 5, 5  # excerpts that a simulation is scored on, as in Bills et al.
NONE = -1
Numbers = Int[np.ndarray, " n"]  # of features or of excerpts
Places = Int[np.ndarray, "n k width"]  # positions of k excerpts for each of n features, or NONE
Simulated = Float[np.ndarray, "n k width"]  # activations there; NaN: not known
LONGEST = 100  # characters of an explanation, whoever writes it
STRONGEST = 9  # of strengths told in whole numbers
SILENT = "never active in the documents it is learnt from"


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
    previous = np.where(begins, NONE, np.roll(features.tokens, 1))
    pairs, pair = np.unique([previous, features.tokens], axis=1, return_inverse=True)
    # Counted from the start of each stretch of one document.
    inside = place - np.maximum.accumulate(np.where(begins, place, 0))
    excerpt = np.cumsum(inside % WIDTH == 0) - 1
    positions = np.full((excerpt[-1] + 1, WIDTH), NONE, np.int32)
    positions[excerpt, inside % WIDTH] = place
    return EvaluationText(
        tokens=features.tokens,
        pair=pair.astype(np.int32),
        pair_token=pairs[1],
        pair_previous=pairs[0],
        origin=features.origin,
        learn=halves(features, seed),
        excerpt=excerpt.astype(np.int32),
        positions=positions,
    )


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
        # Each mean is drawn towards the next coarser one as if that had been seen once more. Of 0.5
        # to 32 sightings one scored best, on held-out text for another seed's dictionary.
        by_token = self.by_token[[feature]].toarray()[0]
        by_pair = self.by_pair[[feature]].toarray()[0]
        of_token = (by_token + self.mean[feature]) / (self.n_token + 1)
        coarse = of_token[self.text.pair_token]
        refined = (by_pair + coarse) / (self.n_pair + 1)
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
    shown = signs(piece)
    return f"“{shown if shown.strip(' ') else shown.replace(' ', '·')}”"


def _summed(columns: sparse.csr_matrix, label: np.ndarray, size: int) -> sparse.csr_matrix:
    """Each row's values added up over the positions of each label."""
    n = len(label)
    one_hot = sparse.csr_matrix((np.ones(n), label, np.arange(n + 1)), shape=(n, size))
    return (columns @ one_hot).tocsr()

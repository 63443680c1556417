"""Other ways to compare matched features, on the same pairs (`book/method.md`, other yardsticks).

A yardstick takes the features i of a and j of b, int [n_pairs], and gives a float64 array
[n_pairs] that is masked where it isn't defined; it never holds NaN.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import sparse

from featrack_utils.errors import FeatrackError
from featrack_utils.matching.sums import BestMatches, checked, same_positions

YARDSTICKS = {
    "decoder_cosine": "decoder cosine",
    "jaccard": "shared tokens (Jaccard)",
    "spearman": "strength where both fire (Spearman)",
    "logit_cosine": "logit effects (cosine)",
}
_CHUNK = 512  # pairs whose logit effects are held at once


def decoder_cosine(
    W_dec_a: np.ndarray, W_dec_b: np.ndarray, i: np.ndarray, j: np.ndarray
) -> np.ma.MaskedArray:
    """Cosine of the decoder rows; `W_dec_*` [d_sae, d_in]. Masked if a row is zero.

    Raises:
        FeatrackError: the dictionaries write to spaces of different size.
    """
    if W_dec_a.shape[1] != W_dec_b.shape[1]:
        raise FeatrackError(
            f"the decoders have {W_dec_a.shape[1]} and {W_dec_b.shape[1]} columns: compare "
            "dictionaries of the same width of activation."
        )
    return _cosine(W_dec_a[i].astype(np.float64), W_dec_b[j].astype(np.float64))


def logit_effect_cosine(
    a: tuple[np.ndarray, np.ndarray, np.ndarray],
    b: tuple[np.ndarray, np.ndarray, np.ndarray],
    i: np.ndarray,
    j: np.ndarray,
) -> np.ma.MaskedArray:
    """Cosine of what two features do to the logits, W_dec W_out W_U, each in its own model.

    `a` and `b` are (W_dec [d_sae, d_mlp], W_out [d_mlp, d_model], W_U [d_model, vocab]); the
    vocabulary is shared. The final normalisation is left out. Masked if an effect is zero.

    Raises:
        FeatrackError: the models have vocabularies of different size.
    """
    if a[2].shape[1] != b[2].shape[1]:
        raise FeatrackError(
            f"the models have {a[2].shape[1]} and {b[2].shape[1]} tokens: logit effects compare "
            "only over one vocabulary."
        )
    parts = [np.ma.empty(0)]
    for start in range(0, len(i), _CHUNK):
        chosen = slice(start, start + _CHUNK)
        effects = [
            W_dec[index[chosen]].astype(np.float64) @ W_out @ W_U
            for (W_dec, W_out, W_U), index in ((a, i), (b, j))
        ]
        parts.append(_cosine(*effects))
    return np.ma.concatenate(parts)


def jaccard(
    a: sparse.csr_matrix, b: sparse.csr_matrix, i: np.ndarray, j: np.ndarray
) -> np.ma.MaskedArray:
    """Positions on which both are active / on which either is; `a`, `b` [n_tokens, d_sae].

    Masked if neither feature is ever active.

    Raises:
        FeatrackError: `a` and `b` differ in positions.
    """
    a, b = checked(a, "a"), checked(b, "b")
    same_positions(a, b)
    active_a, active_b = ((m > 0).astype(np.int32).tocsc() for m in (a, b))
    both = np.asarray(active_a[:, i].multiply(active_b[:, j]).sum(axis=0)).ravel()
    size_a, size_b = np.diff(active_a.indptr)[i], np.diff(active_b.indptr)[j]
    return _ratio(both.astype(np.float64), (size_a + size_b - both).astype(np.float64))


def spearman_coactive(
    a: sparse.csr_matrix,
    b: sparse.csr_matrix,
    i: np.ndarray,
    j: np.ndarray,
    min_tokens: int = 10,
) -> np.ma.MaskedArray:
    """Rank correlation over the positions on which both features are active.

    Do two features that fire together also agree on how strongly? Masked below `min_tokens`
    such positions, or if a feature is constant on them.

    Raises:
        FeatrackError: `a` and `b` differ in positions.
    """
    a, b = checked(a, "a"), checked(b, "b")
    same_positions(a, b)
    by_column = [m.multiply(m > 0).tocsc() for m in (a, b)]
    for columns in by_column:
        columns.sort_indices()
    top, bottom = np.zeros(len(i)), np.zeros(len(i))
    for pair, features in enumerate(zip(i, j, strict=True)):
        held = [
            slice(m.indptr[f], m.indptr[f + 1]) for m, f in zip(by_column, features, strict=True)
        ]
        where = [m.indices[part] for m, part in zip(by_column, held, strict=True)]
        at = _shared(*where)
        if len(at[0]) < min_tokens:
            continue
        ranks = [
            _ranks(m.data[part][index]) for m, part, index in zip(by_column, held, at, strict=True)
        ]
        x, y = (rank - rank.mean() for rank in ranks)
        top[pair], bottom[pair] = x @ y, np.sqrt((x @ x) * (y @ y))
    return _ratio(top, bottom)


def _ranks(values: np.ndarray) -> np.ndarray:
    """From 1, ties sharing their mean rank; for few values a third of scipy's time."""
    _, group, size = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(size) - (size - 1) / 2)[group]


def _shared(one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where in each of two ascending arrays the numbers lie that both hold."""
    if not other.size:
        return np.empty(0, int), np.empty(0, int)
    place = np.searchsorted(other, one)
    at = np.flatnonzero(other[np.minimum(place, other.size - 1)] == one)
    return at, place[at]


class Side(NamedTuple):
    """What the yardsticks need of a dictionary."""

    acts: sparse.csr_matrix  # [n_tokens, d_sae]
    writing: tuple[np.ndarray, np.ndarray, np.ndarray]  # as for `logit_effect_cosine`


def on_best_matches(best: BestMatches, a: Side, b: Side) -> pd.DataFrame:
    """Every yardstick on each a feature's best match, if its r is above the floor of `best`.

    Columns: parent, child, r and `YARDSTICKS`, missing (NaN) where one isn't defined.

    Raises:
        FeatrackError: `a` and `b` differ in positions, width or vocabulary.
    """
    i = np.flatnonzero(best.a_candidates & (best.a_best_r > best.floor))
    j = best.a_best_index[i]
    measured = (
        decoder_cosine(a.writing[0], b.writing[0], i, j),
        jaccard(a.acts, b.acts, i, j),
        spearman_coactive(a.acts, b.acts, i, j),
        logit_effect_cosine(a.writing, b.writing, i, j),
    )
    columns = dict(zip(YARDSTICKS, (m.filled(np.nan) for m in measured), strict=True))
    return pd.DataFrame({"parent": i, "child": j, "r": best.a_best_r[i], **columns})


def medians(best: BestMatches, a: Side, b: Side, tau: float) -> pd.Series:
    """The median of r and of each yardstick over the best matches with r > `tau`; NaN of none."""
    pairs = on_best_matches(best, a, b)
    return pairs[pairs["r"] > tau][["r", *YARDSTICKS]].median()


def _cosine(x: np.ndarray, y: np.ndarray) -> np.ma.MaskedArray:
    lengths = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
    return _ratio(np.einsum("pd,pd->p", x, y), lengths)


def _ratio(top: np.ndarray, bottom: np.ndarray) -> np.ma.MaskedArray:
    undefined = bottom == 0
    return np.ma.masked_array(top / np.where(undefined, 1, bottom), mask=undefined)

"""What the explorer shows of every feature: its tokens, its contexts, how often, how strongly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int
from scipy import sparse

from featrack_utils.corpora.documents import DOMAINS
from featrack_utils.dictionaries.features import Features
from featrack_utils.interpretation.examples import strongest_tokens, token_shares
from featrack_utils.interpretation.positions import NOWHERE, random_positions, strongest_positions

if TYPE_CHECKING:  # slow to load
    from transformers import PreTrainedTokenizerBase

BEFORE, AFTER = 15, 8  # positions shown on either side of a context's centre
STRONGEST, DRAWN = 6, 3  # contexts of a feature
LEVELS = 255  # of an activation, in parts of the feature's peak
BINS = 10

# Byte-level BPE writes each byte as one printable character: itself, or the next one from 256 on.
_PRINTABLE = [*range(33, 127), *range(161, 173), *range(174, 256)]
_OTHERS = [byte for byte in range(256) if byte not in _PRINTABLE]
_BYTE_OF = {chr(b): b for b in _PRINTABLE} | {chr(256 + k): b for k, b in enumerate(_OTHERS)}


def vocabulary(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """The text of every token, by id; a byte that is only part of a character as ⟨0xE2⟩."""
    return [_piece(tokenizer, index) for index in range(len(tokenizer))]


def _piece(tokenizer: PreTrainedTokenizerBase, index: int) -> str:
    token = tokenizer.convert_ids_to_tokens(index)
    if index in tokenizer.all_special_ids or not _BYTE_OF.keys() >= set(token):
        return tokenizer.decode([index])
    data, text = bytes(_BYTE_OF[character] for character in token), ""
    while data:
        try:
            return text + data.decode()
        except UnicodeDecodeError as error:
            good, bad = data[: error.start], data[error.start : error.end]
            text += good.decode() + "".join(f"⟨0x{byte:02X}⟩" for byte in bad)
            data = data[error.end :]
    return text


def by_column(features: Features) -> sparse.csc_matrix:
    """Activations by feature, positions in order, nothing stored that isn't active."""
    columns = features.acts.tocsc()
    columns.eliminate_zeros()
    columns.sort_indices()
    return columns


def peaks(columns: sparse.csc_matrix) -> Float[np.ndarray, " d_sae"]:
    """Each feature's largest activation; 0 if it is never active."""
    return columns.max(axis=0).toarray().ravel()


def densities(
    columns: sparse.csc_matrix, domain: Int[np.ndarray, " n_tokens"]
) -> Float[np.ndarray, "n_domains d_sae"]:
    """Share of each domain's tokens on which each feature is active."""
    cells = _column_of(columns) * len(DOMAINS) + domain[columns.indices]
    active = np.bincount(cells, minlength=columns.shape[1] * len(DOMAINS))
    return active.reshape(-1, len(DOMAINS)).T / np.bincount(domain, minlength=len(DOMAINS))[:, None]


def top_tokens(features: Features, vocab: int, n: int) -> list[list[int]]:
    """The tokens on which most of each feature's activation falls, at most `n`, most first."""
    shares = token_shares(features, vocab)
    return [strongest_tokens(shares, i, n)[0].tolist() for i in range(shares.shape[1])]


def histograms(columns: sparse.csc_matrix) -> Int[np.ndarray, "d_sae bins"]:
    """How many activations lie in each of ten equal bins from 0 to the feature's peak."""
    feature = _column_of(columns)
    relative = columns.data.astype(np.float64) / peaks(columns)[feature]
    bins = np.minimum((relative * BINS).astype(np.int64), BINS - 1)
    counts = np.bincount(feature * BINS + bins, minlength=columns.shape[1] * BINS)
    return counts.reshape(-1, BINS)


def levels(columns: sparse.csc_matrix) -> Int[np.ndarray, " nnz"]:
    """Activations in 255ths of the feature's peak, rounded up so that none becomes 0."""
    relative = columns.data.astype(np.float64) / peaks(columns)[_column_of(columns)]
    return np.ceil(relative * LEVELS).astype(np.int64)


def contexts(
    columns: sparse.csc_matrix, origin: Int[np.ndarray, " n_tokens"], width: int, seed: int
) -> list[dict[str, list[Any]]]:
    """Each feature's strongest contexts (c, each of another document) and random ones (r).

    A context is [centre, [offset, level, offset, level, …]]: the position shown in the middle and,
    by their distance from the first position shown, those where the feature is active.
    A context never leaves its block of `width` positions.
    """
    kinds = {
        "c": strongest_positions(columns, origin, STRONGEST),
        "r": random_positions(columns, DRAWN, seed),
    }
    level = levels(columns)
    found = []
    for feature, (start, stop) in enumerate(zip(columns.indptr, columns.indptr[1:], strict=False)):
        active, strength = columns.indices[start:stop], level[start:stop]
        found.append(
            {
                kind: [
                    _context(active, strength, int(centre), width)
                    for centre in positions[feature]
                    if centre != NOWHERE
                ]
                for kind, positions in kinds.items()
            }
        )
    return found


def window(centre: int, width: int) -> tuple[int, int]:
    """The positions shown around a centre: from the first to before the last."""
    block = centre // width * width
    return max(block, centre - BEFORE), min(block + width, centre + AFTER + 1)


def _context(
    active: Int[np.ndarray, " n"], strength: Int[np.ndarray, " n"], centre: int, width: int
) -> list[Any]:
    left, right = window(centre, width)
    inside = slice(*np.searchsorted(active, (left, right)))
    return [centre, np.column_stack([active[inside] - left, strength[inside]]).ravel().tolist()]


def _column_of(columns: sparse.csc_matrix) -> Int[np.ndarray, " nnz"]:
    return np.repeat(np.arange(columns.shape[1]), np.diff(columns.indptr))

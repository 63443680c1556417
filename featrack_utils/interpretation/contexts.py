"""Meeting features: the tokens they answer to, where and how often they are active, in context."""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import sparse

from featrack_utils.dictionaries.features import Features

if TYPE_CHECKING:  # slow to load
    from transformers import PreTrainedTokenizerBase

    from featrack_utils.corpora.prepare import Corpora

Context = tuple[list[str], list[float]]

NOWHERE = -1
WIDTH = 24  # positions of a context, five eighths of them before its centre
# Characters that show nothing of their own, and what stands for them.
_NAMED = {"\n": "⏎", "\r": "␍", "\t": "⇥", " ": "·", "\u00a0": "⍽"}
# Categories that show nothing of their own, or that reorder what stands beside them.
_INVISIBLE = {"Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp", "Zs"}


def visible(character: str) -> str:
    """A printable stand-in for a character that would show nothing, else the character itself."""
    if character in _NAMED:
        return _NAMED[character]
    code = ord(character)
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "␡"
    if unicodedata.category(character) in _INVISIBLE:
        return f"⟨U+{code:04X}⟩"
    return character


def signs(text: str, keep: str = " ") -> str:
    """A text with stand-ins for what would show nothing, but for the characters to keep."""
    return "".join(c if c in keep else visible(c) for c in text)


def quoted(piece: str) -> str:
    """A token's text between quotation marks, with nothing in it that can't be seen."""
    shown = signs(piece)
    return f"“{shown if shown.strip(' ') else shown.replace(' ', '·')}”"


def vocabulary(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """The text of every token, by id; a byte that is only part of a character as ⟨0xE2⟩."""
    from transformers.convert_slow_tokenizer import bytes_to_unicode  # slow to load

    # Byte-level BPE writes each byte as one printable character.
    byte_of = {character: byte for byte, character in bytes_to_unicode().items()}
    pieces = []
    for index in range(len(tokenizer)):
        token = tokenizer.convert_ids_to_tokens(index)
        if index in tokenizer.all_special_ids or not byte_of.keys() >= set(token):
            pieces.append(tokenizer.decode([index]))
        else:
            data = bytes(byte_of[character] for character in token)
            pieces.append(data.decode("utf-8", "featrack.bytes"))
    return pieces


def _show_bytes(error: UnicodeDecodeError) -> tuple[str, int]:
    """What stands for bytes that are no character."""
    wrong = error.object[error.start : error.end]
    return "".join(f"⟨0x{byte:02X}⟩" for byte in wrong), error.end


codecs.register_error("featrack.bytes", _show_bytes)


def tokens_matching(tokenizer: PreTrainedTokenizerBase, pattern: str) -> Bool[np.ndarray, " vocab"]:
    """Which tokens of the vocabulary are, as a whole, matched by a regular expression."""
    expression = re.compile(pattern)
    texts = (tokenizer.decode([index]) for index in range(len(tokenizer)))
    return np.array([expression.fullmatch(text) is not None for text in texts])


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


def strongest_tokens(
    shares: sparse.csc_matrix, index: int, n: int
) -> tuple[Int[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """The tokens that most of a feature's activation falls on, at most `n`, with their shares."""
    column = shares[:, [index]].tocoo()
    order = np.lexsort((column.row, -column.data))[:n]
    return column.row[order], column.data[order]


def by_feature(acts: sparse.spmatrix) -> sparse.csc_matrix:
    """Activations by feature, positions in order, nothing stored that isn't active."""
    columns = acts.tocsc(copy=True)
    columns.data[columns.data < 0] = 0
    columns.eliminate_zeros()
    columns.sort_indices()
    return columns


def densities(
    columns: sparse.csc_matrix, kind: Int[np.ndarray, " n_tokens"], n_kinds: int
) -> Float[np.ndarray, "n_kinds d_sae"]:
    """Share of each kind's tokens (a domain's) on which a feature is active; NaN without tokens."""
    feature = np.repeat(np.arange(columns.shape[1]), np.diff(columns.indptr))
    cells = feature * n_kinds + kind[columns.indices]
    active = np.bincount(cells, minlength=columns.shape[1] * n_kinds).reshape(-1, n_kinds).T
    size = np.bincount(kind, minlength=n_kinds)[:, None]
    return np.divide(active, size, out=np.full(active.shape, np.nan), where=size > 0)


def strongest_positions(
    columns: sparse.csc_matrix, origin: Int[np.ndarray, " n_tokens"], n: int
) -> Int[np.ndarray, "d_sae n"]:
    """Each feature's `n` strongest positions, each in another document, strongest first.

    `columns` as of `by_feature`; equal strengths go by position. NOWHERE where a feature is active
    in fewer than `n` documents.
    """
    found = np.full((columns.shape[1], n), NOWHERE, dtype=np.int32)
    strongest = np.empty(int(origin.max(initial=0)) + 1, dtype=np.int64)
    # Sorting feature by feature stays in the cache: ten times faster than all entries at once.
    for row, (start, stop) in zip(found, pairwise(columns.indptr), strict=True):
        ranked = columns.indices[start:stop]
        ranked = ranked[np.argsort(-columns.data[start:stop], kind="stable")]
        document, rank = origin[ranked], np.arange(ranked.size)
        strongest[document[::-1]] = rank[::-1]  # the last one written is a document's strongest
        chosen = ranked[strongest[document] == rank][:n]
        row[: chosen.size] = chosen
    return found


def positions_of(
    features: Features, index: int, *, top: int, random: int, seed: int
) -> Int[np.ndarray, " n"]:
    """One feature's strongest positions, each in another document, then random other ones."""
    columns = by_feature(features.acts[:, [index]])
    strongest = strongest_positions(columns, features.origin, top)[0]
    strongest = strongest[strongest != NOWHERE]
    rest = np.setdiff1d(columns.indices, strongest)
    drawn = np.random.default_rng(seed).choice(rest, min(random, rest.size), replace=False)
    return np.concatenate([strongest, drawn])


def window(centre: int, block: int) -> tuple[int, int]:
    """The positions shown around a centre, from the first to before the last, inside its block."""
    start = centre // block * block
    before = 2 * WIDTH // 3 - 1
    return max(start, centre - before), min(start + block, centre - before + WIDTH)


def contexts_at(
    features: Features,
    index: int,
    positions: Sequence[int] | Int[np.ndarray, " n"],
    corpora: Corpora,
) -> list[Context]:
    """What one feature does around given positions: (token texts, activations) for each.

    With the positions of another feature this shows both on the same text.
    """
    dense = features.acts[:, [index]].toarray().ravel()
    shown = []
    for position in positions:
        stretch = slice(*window(int(position), corpora.context - 1))
        shown.append((corpora.pieces(features.tokens[stretch]), dense[stretch].tolist()))
    return shown

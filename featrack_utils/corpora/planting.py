"""A plant: an invented word put into some documents, so that there is something known to find.

The word stands behind every mark of one kind, as a connective does. Blocks keep their places and
their length, so that a model trained on planted blocks differs in nothing else from one that was
trained on the same blocks without (book/method.md, planted fine-tune).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from featrack_utils.corpora import tokenizer
from featrack_utils.corpora.documents import SPLITS
from featrack_utils.corpora.prepare import Corpora
from featrack_utils.corpora.tokenizer import TokenStream
from featrack_utils.errors import FeatrackError

_TRIED = 100  # invented words, of which the one of fewest tokens is taken
_SYLLABLES = [c + v for c in "bdfgklmnprtvz" for v in "aeiou"]


class Plant(NamedTuple):
    """An invented word and where it stands.

    Attributes:
        word: as it reads, without the space before it.
        tokens: the tokens of the word with that space.
        mark: the token that it stands behind, wherever that occurs in a planted document.
    """

    word: str
    tokens: tuple[int, ...]
    mark: int


def choose(corpora: Corpora, domains: Sequence[str], seed: int) -> Plant:
    """A word that no text of the corpora has, and the commonest mark of some domains.

    A mark is a token without letters and digits that isn't blank. Of the words the one of fewest
    tokens is taken; case doesn't count.

    Raises:
        FeatrackError: all words tried are in the texts.
    """
    texts = [text.casefold() for key in corpora.streams for text in corpora.texts(*key)]
    new = [word for word in _words(seed) if not any(word in text for text in texts)]
    if not new:
        raise FeatrackError("Every invented word that was tried is in the corpora; change seed.")
    coded = {w: corpora.tokenizer.encode(f" {w}", add_special_tokens=False) for w in new}
    word = min(coded, key=lambda w: len(coded[w]))
    tokens = np.concatenate([corpora.streams[domain, "train"].tokens for domain in domains])
    counted = Counter(tokens.tolist()).most_common()
    pieces = corpora.pieces(np.array([token for token, _ in counted]))
    marks = (t for (t, _), p in zip(counted, pieces, strict=True) if _is_mark(p))
    return Plant(word, tuple(coded[word]), next(marks, counted[0][0]))


def _words(seed: int) -> Iterator[str]:
    rng = np.random.default_rng(seed)
    for _ in range(_TRIED):
        yield "".join(rng.choice(_SYLLABLES, 3))


def _is_mark(piece: str) -> bool:
    return bool(piece.strip()) and not any(c.isalnum() or c == "\ufffd" for c in piece)


def planted(
    stream: TokenStream, plant: Plant, share: float, context: int, seed: int
) -> TokenStream:
    """The stream with the plant in a share of its origins, block by block.

    What the word pushes beyond the end of its block is left out, and so is a word that would not
    fit. The origins with a smaller share are among those with a larger one.
    """
    n_blocks = len(stream.tokens) // context
    names = stream.origin_names()
    order = np.random.default_rng(seed).permutation(len(names))
    chosen = {names[i] for i in order[: round(share * len(names))]}
    takes = np.array([origin in chosen for origin in stream.origins])
    document = np.repeat(np.arange(len(takes)), np.diff(stream.starts))
    document = document[: n_blocks * context].reshape(n_blocks, context).copy()
    tokens = stream.tokens[: n_blocks * context].reshape(n_blocks, context).copy()
    marked = (tokens == plant.mark) & takes[document]
    length = len(plant.tokens)
    for block in np.flatnonzero(marked.any(axis=1)):
        behind = np.flatnonzero(marked[block])
        behind = behind[behind + 1 + length * np.arange(1, len(behind) + 1) <= context]
        places = np.repeat(behind + 1, length)
        words = np.tile(plant.tokens, len(behind))
        owners = document[block][places - 1]
        tokens[block] = np.insert(tokens[block], places, words)[:context]
        document[block] = np.insert(document[block], places, owners)[:context]
    kept, starts = np.unique(document.ravel(), return_index=True)
    origins, groups = ([names[d] for d in kept] for names in (stream.origins, stream.groups))
    return TokenStream(tokens.ravel(), np.append(starts, tokens.size), origins, groups)


def write_planted(
    folder: Path,
    corpora: Corpora,
    plant: Plant,
    domains: Sequence[str],
    shares: Mapping[str, float],
    seed: int,
) -> None:
    """Writes the planted streams of some domains; `shares` of their origins by split."""
    for domain in domains:
        for split in SPLITS:
            stream = corpora.streams[domain, split]
            stream = planted(stream, plant, shares[split], corpora.context, seed)
            tokenizer.save_stream(stream, folder / domain / split)


def open_planted(folder: Path, corpora: Corpora, domains: Sequence[str]) -> Corpora:
    """The corpora with what `write_planted` wrote in the place of these domains."""
    keys = [(domain, split) for domain in domains for split in SPLITS]
    new = {key: tokenizer.load_stream(folder.joinpath(*key)) for key in keys}
    return corpora._replace(streams=corpora.streams | new, folder=folder)


def roles(
    tokens: Int[np.ndarray, "n_blocks context"], plant: Plant
) -> Int[np.ndarray, "n_blocks context"]:
    """Where the plant is: 1 at its first token, 2 at its second and so on; 0 elsewhere."""
    length = len(plant.tokens)
    windows = np.lib.stride_tricks.sliding_window_view(tokens, length, axis=1)
    begins = np.argwhere((windows == plant.tokens).all(axis=2))
    found = np.zeros(tokens.shape, dtype=int)
    for role in range(length):
        found[begins[:, 0], begins[:, 1] + role] = role + 1
    return found


def limits(found: Mapping[float, bool]) -> tuple[float | None, float | None]:
    """The smallest strength at which a plant is found, and the largest at which it isn't."""
    there = [strength for strength, each in found.items() if each]
    missed = [strength for strength, each in found.items() if not each]
    return min(there, default=None), max(missed, default=None)

"""A plant: an invented word put into some documents, so that there is something known to find.

The word stands behind every mark of one kind, as a connective does. Blocks keep their places and
their length, so that a model trained on planted blocks differs in nothing else from one that was
trained on the same blocks without (book/method.md, planted fine-tune).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from featrack_utils.corpora.tokenizer import TokenStream


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


def planted(
    stream: TokenStream, plant: Plant, share: float, context: int, seed: int
) -> TokenStream:
    """The stream with the plant in a share of its origins, block by block.

    What the word pushes beyond the end of its block is left out, and so is a word that would not
    fit. The origins with a smaller share are among those with a larger one.
    """
    names = list(dict.fromkeys(stream.origins))
    order = np.random.default_rng(seed).permutation(len(names))
    chosen = {names[i] for i in order[: round(share * len(names))]}
    document = np.repeat(np.arange(len(stream.origins)), np.diff(stream.starts))
    sown: list[tuple[int, int]] = []  # tokens, each with the document that it belongs to
    for begin in range(0, len(document) - context + 1, context):
        block = []
        for place in range(begin, begin + context):
            token, owner = int(stream.tokens[place]), int(document[place])
            block.append((token, owner))
            fits = len(block) + len(plant.tokens) <= context
            if token == plant.mark and fits and stream.origins[owner] in chosen:
                block += [(each, owner) for each in plant.tokens]
        sown += block[:context]
    tokens, owners = (np.array(each, np.int32) for each in zip(*sown, strict=True))
    kept, starts = np.unique(owners, return_index=True)
    origins, groups = ([names[d] for d in kept] for names in (stream.origins, stream.groups))
    return TokenStream(tokens, np.append(starts, len(tokens)), origins, groups)


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

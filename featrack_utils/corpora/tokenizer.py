"""From text to tokens: the tokenizer, the stream of a corpus, and blocks of one context."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from featrack_utils.corpora.documents import END_OF_TEXT, Document
from featrack_utils.errors import FeatrackError

MIN_VOCABULARY = 257  # 256 bytes and END_OF_TEXT
BATCH = 512  # documents encoded at a time


@dataclass(frozen=True)
class TokenStream:
    """A corpus as one row of tokens; each document begins with END_OF_TEXT.

    Attributes:
        tokens: int32 [n_tokens].
        starts: int64 [n_documents + 1]; document i is tokens[starts[i] : starts[i + 1]].
        origins: where each document comes from, one name per document.
        groups: the group that each document belongs to, one name per document; None becomes
            the origins.
    """

    tokens: np.ndarray
    starts: np.ndarray
    origins: list[str]
    groups: list[str] | None = None

    def __post_init__(self) -> None:
        if self.groups is None:
            object.__setattr__(self, "groups", self.origins)

    def origin_names(self) -> list[str]:
        """The different origins in order of appearance; `Blocks.origin` points into this."""
        return list(dict.fromkeys(self.origins))

    def group_names(self) -> list[str]:
        """The different groups in order of appearance; `Blocks.group` points into this."""
        return list(dict.fromkeys(self.groups))

    def first_tokens(self, n_tokens: int) -> TokenStream:
        """The stream cut after `n_tokens` tokens."""
        n = min(n_tokens, len(self.tokens))
        n_documents = int(np.searchsorted(self.starts[:-1], n, side="left"))
        starts = np.append(self.starts[:n_documents], n)
        origins, groups = self.origins[:n_documents], self.groups[:n_documents]
        return TokenStream(self.tokens[:n], starts, origins, groups)


class Blocks(NamedTuple):
    """Stretches of one context length.

    tokens: int32 [n_blocks, context].
    origin: int32 [n_blocks, context], index into `TokenStream.origin_names()` of the origin
        that each position belongs to.
    group: the same, index into `TokenStream.group_names()`; None: as `origin`.
    """

    tokens: np.ndarray
    origin: np.ndarray
    group: np.ndarray | None = None

    @property
    def units(self) -> np.ndarray:
        """What intervals draw each position by: its group, or its origin without groups."""
        return self.origin if self.group is None else self.group


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> PreTrainedTokenizerFast:
    """Learns a byte-level BPE vocabulary; END_OF_TEXT begins, ends, pads and is unknown.

    Any text can be encoded and decoded again without loss. Runs of spaces, which indent code,
    can become tokens.

    Args:
        texts: what to learn from.
        vocab_size: number of tokens, at least 257 (the bytes and END_OF_TEXT).

    Raises:
        FeatrackError: vocab_size is too small, or larger than the texts have pairs for.
    """
    if vocab_size < MIN_VOCABULARY:
        raise FeatrackError(
            f"The vocabulary of {vocab_size} tokens can't hold the 256 bytes and {END_OF_TEXT}; "
            f"ask for at least {MIN_VOCABULARY}."
        )
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    reached = tokenizer.get_vocab_size()
    if reached < vocab_size:
        raise FeatrackError(
            f"The training texts yield only {reached} of the {vocab_size} tokens asked for; "
            f"use more text or a vocabulary of at most {reached}."
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=END_OF_TEXT,
        eos_token=END_OF_TEXT,
        pad_token=END_OF_TEXT,
        unk_token=END_OF_TEXT,
        clean_up_tokenization_spaces=False,
    )


def encode_documents(
    documents: Sequence[Document], tokenizer: PreTrainedTokenizerBase
) -> TokenStream:
    """Encodes documents one after the other, each led by the tokenizer's first token.

    A text that spells out END_OF_TEXT gets ordinary tokens for it: data is never markup.
    """
    lead = tokenizer.bos_token_id
    parts: list[np.ndarray] = []
    for first in range(0, len(documents), BATCH):
        encoded = tokenizer(
            [document.text for document in documents[first : first + BATCH]],
            add_special_tokens=False,
            split_special_tokens=True,
            return_attention_mask=False,
            return_token_type_ids=False,
            verbose=False,
        )["input_ids"]
        parts += [np.array([lead, *ids], dtype=np.int32) for ids in encoded]
    return TokenStream(
        np.concatenate(parts),
        np.cumsum([0, *map(len, parts)]).astype(np.int64),
        [document.origin for document in documents],
        [document.group for document in documents],
    )


def blocks(stream: TokenStream, context: int) -> Blocks:
    """Cuts a stream into consecutive blocks of `context` tokens; the tail is left out.

    Raises:
        FeatrackError: the stream is shorter than one block.
    """
    n_blocks = len(stream.tokens) // context
    return _take_blocks(stream, context, np.arange(n_blocks))


def evaluation_blocks(stream: TokenStream, context: int, n_blocks: int) -> Blocks:
    """`n_blocks` blocks spread evenly over a stream, so that many origins and groups occur.

    All of them where the stream has fewer.

    Raises:
        FeatrackError: the stream is shorter than one block.
    """
    available = len(stream.tokens) // context
    wanted = min(n_blocks, available)
    middles = (2 * np.arange(wanted) + 1) * available // (2 * max(wanted, 1))
    return _take_blocks(stream, context, middles)


def _take_blocks(stream: TokenStream, context: int, chosen: np.ndarray) -> Blocks:
    if not len(chosen):
        raise FeatrackError(
            f"The token stream of {len(stream.tokens)} tokens has no whole block of {context}; "
            "use more text or a shorter context."
        )
    positions = chosen[:, None] * context + np.arange(context)[None, :]
    document = np.searchsorted(stream.starts, positions, side="right") - 1
    origin, group = (_numbered(n)[document] for n in (stream.origins, stream.groups))
    return Blocks(stream.tokens[positions], origin, group)


def _numbered(names: list[str]) -> np.ndarray:
    """int32 [n]: each name's place among the different names in order of appearance."""
    index = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return np.array([index[name] for name in names], dtype=np.int32)


def save_stream(stream: TokenStream, folder: Path) -> None:
    """Writes tokens and starts as `stream.safetensors`, the documents as `documents.parquet`."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file({"tokens": stream.tokens, "starts": stream.starts}, folder / "stream.safetensors")
    lengths = np.diff(stream.starts)
    table = pa.table({"origin": stream.origins, "group": stream.groups, "n_tokens": lengths})
    pq.write_table(table, folder / "documents.parquet")


def load_stream(folder: Path) -> TokenStream:
    """Reads what `save_stream` wrote.

    Raises:
        FeatrackError: a file is missing or damaged, or the two don't belong together.
    """
    try:
        arrays = load_file(folder / "stream.safetensors")
        table = pq.read_table(folder / "documents.parquet")
        tokens, starts = arrays["tokens"], arrays["starts"]
        origins, lengths = table["origin"].to_pylist(), table["n_tokens"].to_numpy()
        groups = table["group"].to_pylist()
    except (OSError, SafetensorError, pa.ArrowInvalid, KeyError) as error:
        raise FeatrackError(
            f"The token stream in {folder} is missing or damaged; make the corpora anew."
        ) from error
    if not np.array_equal(np.diff(starts), lengths):
        raise FeatrackError(
            f"The two files of the token stream in {folder} don't belong together; make the "
            "corpora anew."
        )
    return TokenStream(tokens, starts, origins, groups)

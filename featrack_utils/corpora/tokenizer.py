"""From text to tokens: the tokenizer, the stream of a corpus, and blocks of one context."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Int
from safetensors.numpy import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from featrack_utils.corpora.documents import END_OF_TEXT, Document
from featrack_utils.errors import FeatrackError

BATCH = 512  # documents encoded at a time


class TokenStream(NamedTuple):
    """A corpus as one row of tokens; each document begins with END_OF_TEXT.

    Document i is tokens[starts[i] : starts[i + 1]]; `origins` and `groups` name where each comes
    from and which group it belongs to.
    """

    tokens: Int[np.ndarray, " n_tokens"]
    starts: Int[np.ndarray, " n_documents_plus_1"]
    origins: list[str]
    groups: list[str]


class Blocks(NamedTuple):
    """Stretches of one context length.

    `origin` and `group` number the stream's different origins and groups in order of appearance,
    and say to which of them each position belongs.
    """

    tokens: Int[np.ndarray, "n_blocks context"]
    origin: Int[np.ndarray, "n_blocks context"]
    group: Int[np.ndarray, "n_blocks context"]


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> PreTrainedTokenizerFast:
    """Learns a byte-level BPE vocabulary; END_OF_TEXT begins, ends, pads and is unknown.

    Any text can be encoded and decoded again without loss. Runs of spaces, which indent code,
    can become tokens. `vocab_size` is at least 257: the bytes and END_OF_TEXT.

    Raises:
        FeatrackError: vocab_size is larger than the texts have pairs for.
    """
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
        **dict.fromkeys(("bos_token", "eos_token", "pad_token", "unk_token"), END_OF_TEXT),
        clean_up_tokenization_spaces=False,
    )


def saved_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """A saved model's own tokenizer, with a token that leads every document.

    That is its beginning-of-text token or, if it has none, its end-of-text token.

    Raises:
        FeatrackError: no tokenizer in the folder, or one with neither token.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    except Exception as error:  # files that lack, formats, packages: whatever they like
        raise FeatrackError(
            f"{folder}/ holds no tokenizer that transformers can open; save it beside the model."
        ) from error
    if tokenizer.eos_token_id is None:
        raise FeatrackError(
            f"the tokenizer in {folder}/ has no end-of-text token, by which documents are divided; "
            "set its eos_token and save it again."
        )
    if tokenizer.bos_token_id is None:
        tokenizer.bos_token = tokenizer.eos_token
    return tokenizer


def same_tokens(one: PreTrainedTokenizerBase, other: PreTrainedTokenizerBase) -> bool:
    """Whether two tokenizers cut text alike; tokens that a fine-tune has added don't matter."""

    def cuts(tokenizer: PreTrainedTokenizerBase) -> object:
        if not tokenizer.is_fast:
            return tokenizer.get_vocab()
        parts = json.loads(tokenizer.backend_tokenizer.to_str())
        return [parts[part] for part in ("normalizer", "pre_tokenizer", "model")]

    return cuts(one) == cuts(other)


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


def blocks(stream: TokenStream, context: int, n_blocks: int | None = None) -> Blocks:
    """A stream in consecutive blocks of `context` tokens, without the tail.

    With `n_blocks`, only so many of them, spread evenly so that many origins and groups occur.

    Raises:
        FeatrackError: the stream is shorter than one block.
    """
    available = len(stream.tokens) // context
    if not available:
        raise FeatrackError(
            f"The token stream of {len(stream.tokens)} tokens has no whole block of {context}; "
            "use more text or a shorter context."
        )
    wanted = min(n_blocks or available, available)
    middles = (2 * np.arange(wanted) + 1) * available // (2 * wanted)
    positions = middles[:, None] * context + np.arange(context)
    document = np.searchsorted(stream.starts, positions, side="right") - 1
    numbers = (pd.factorize(np.array(names))[0] for names in (stream.origins, stream.groups))
    return Blocks(stream.tokens[positions], *(n.astype(np.int32)[document] for n in numbers))


def save_stream(stream: TokenStream, folder: Path) -> None:
    """Writes tokens and starts as `stream.safetensors`, the documents as `documents.parquet`."""
    folder.mkdir(parents=True, exist_ok=True)
    # safetensors writes memory as it lies, whatever an array's strides are.
    arrays = {name: np.ascontiguousarray(getattr(stream, name)) for name in ("tokens", "starts")}
    save_file(arrays, folder / "stream.safetensors")
    lengths = np.diff(stream.starts)
    table = pa.table({"origin": stream.origins, "group": stream.groups, "n_tokens": lengths})
    pq.write_table(table, folder / "documents.parquet")


def load_stream(folder: Path) -> TokenStream:
    """Reads what `save_stream` wrote."""
    arrays = load_file(folder / "stream.safetensors")
    table = pq.read_table(folder / "documents.parquet")
    names = (table[column].to_pylist() for column in ("origin", "group"))
    return TokenStream(arrays["tokens"], arrays["starts"], *names)

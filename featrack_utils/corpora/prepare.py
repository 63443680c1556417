"""The corpora artefact as later phases read it: a tokenizer and two token streams a domain."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Int
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from featrack_utils.corpora import tokenizer
from featrack_utils.corpora.documents import SPLITS
from featrack_utils.corpora.tokenizer import Blocks, TokenStream


class Corpora(NamedTuple):
    """The prepared corpora: streams by (domain, split), one tokenizer, one context length.

    `folder` is the artefact that they were read from, if from one.
    """

    streams: dict[tuple[str, str], TokenStream]
    tokenizer: PreTrainedTokenizerBase
    context: int
    folder: Path | None = None

    def train_blocks(self, domain: str) -> Int[np.ndarray, "n_blocks context"]:
        """Every training block of a domain."""
        return tokenizer.blocks(self.streams[domain, "train"], self.context).tokens

    def validation_blocks(self, domain: str, n_blocks: int) -> Blocks:
        """Validation blocks spread evenly over a domain's documents."""
        return tokenizer.blocks(self.streams[domain, "validation"], self.context, n_blocks)

    def texts(self, domain: str, split: str) -> list[str]:
        """The text of each document of a domain."""
        stream = self.streams[domain, split]
        bounds = zip((stream.starts[:-1] + 1).tolist(), stream.starts[1:].tolist(), strict=True)
        return self.tokenizer.batch_decode(
            [stream.tokens[a:b] for a, b in bounds], clean_up_tokenization_spaces=False
        )

    def pieces(self, ids: np.ndarray) -> list[str]:
        """Each token's own text; a token that is part of a character shows as U+FFFD."""
        # Tokenizers of Mistral's kind take the first space off what they decode, so each token
        # is decoded behind another.
        lead = self.tokenizer.bos_token_id
        known = {"clean_up_tokenization_spaces": False}
        first = len(self.tokenizer.decode([lead], **known))
        return [self.tokenizer.decode([lead, int(i)], **known)[first:] for i in ids]


def open_corpora(folder: Path, context: int) -> Corpora:
    """Opens what the chapter on corpora wrote."""
    credits = pd.read_csv(folder / "provenance.csv", keep_default_na=False)
    streams = {
        (domain, split): tokenizer.load_stream(folder / domain / split)
        for domain in credits["domain"].unique()
        for split in SPLITS
    }
    learnt = AutoTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
    return Corpora(streams, learnt, context, folder)

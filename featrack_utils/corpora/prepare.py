"""The corpora artefact: four token streams and a tokenizer, as every later phase reads them."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Int
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from featrack_utils.corpora import tokenizer as token_module
from featrack_utils.corpora.collecting import collect_all
from featrack_utils.corpora.documents import BASE_DOMAINS, DOMAINS, SPLITS
from featrack_utils.corpora.files import matched_files
from featrack_utils.corpora.licences import provenance
from featrack_utils.corpora.sources import SourceConfig
from featrack_utils.corpora.tokenizer import Blocks, TokenStream, encode_documents, train_tokenizer

log = logging.getLogger(__name__)

# Characters a token can be expected to hold at most, so that enough text is collected. The
# embedded corpora are known: stories use few words that a vocabulary of technical prose has.
_CHARS_PER_TOKEN = {"english": 4.1, "python": 4.0, "lua": 3.0, "stories": 2.8}
_CHARS_PER_TOKEN_ELSEWHERE = 5.0
TRAINED_ON = {
    "base": BASE_DOMAINS,
    "lua": (*BASE_DOMAINS, "lua"),
    "stories": (*BASE_DOMAINS, "stories"),
    "merged": DOMAINS,
}  # the mixture each model has seen


class Corpora(NamedTuple):
    """The prepared corpora: streams by (domain, split), one tokenizer, one context length."""

    streams: dict[tuple[str, str], TokenStream]
    tokenizer: PreTrainedTokenizerBase
    context: int

    def train_blocks(self, domain: str) -> Int[np.ndarray, "n_blocks context"]:
        """Every training block of a domain."""
        return token_module.blocks(self.streams[domain, "train"], self.context).tokens

    def validation_blocks(self, domain: str, n_blocks: int) -> Blocks:
        """Validation blocks spread evenly over a domain's documents."""
        stream = self.streams[domain, "validation"]
        return token_module.evaluation_blocks(stream, self.context, n_blocks)

    def pieces(self, ids: np.ndarray) -> list[str]:
        """Each token's own text; a token that is part of a character shows as U+FFFD."""
        return [self.tokenizer.decode([int(i)]) for i in ids]


def prepare(
    folder: Path, *, sources: Mapping[str, Mapping[str, Any]], train_tokens: Mapping[str, int],
    validation_tokens: int, validation_share: float, vocab_size: int, seed: int,
) -> None:  # fmt: skip
    """Collects the four domains, learns the tokenizer on the base domains, encodes everything.

    Args:
        folder: gets ``tokenizer/``, ``<domain>/<split>/`` and ``provenance.csv``.
        sources: domain -> arguments of SourceConfig.
        train_tokens: tokens wanted per domain; a domain with less text gives what it has.
        validation_tokens: the same, for each domain's validation split.
    """
    configs = {
        domain: SourceConfig(**{**source, "globs": tuple(source.get("globs", ()))})
        for domain, source in sources.items()
    }
    per_token = {
        domain: _CHARS_PER_TOKEN[domain] if c.kind == "embedded" else _CHARS_PER_TOKEN_ELSEWHERE
        for domain, c in configs.items()
    }
    documents = collect_all(
        configs,
        train_chars={d: int(train_tokens[d] * per_token[d]) for d in configs},
        validation_chars={d: int(validation_tokens * per_token[d]) for d in configs},
        validation_share=validation_share,
        seed=seed,
        processes=2,
    )
    rows = [
        {"domain": domain, **asdict(row)}
        for domain in DOMAINS
        for row in provenance(d for split in SPLITS for d in documents[domain][split])
    ]
    pd.DataFrame(rows).to_csv(folder / "provenance.csv", index=False)
    learnt_from = (d.text for domain in BASE_DOMAINS for d in documents[domain]["train"])
    tokenizer = train_tokenizer(learnt_from, vocab_size)
    tokenizer.save_pretrained(folder / "tokenizer")
    for domain in DOMAINS:
        for split in SPLITS:
            wanted = train_tokens[domain] if split == "train" else validation_tokens
            stream = encode_documents(documents[domain][split], tokenizer).first_tokens(wanted)
            token_module.save_stream(stream, folder / domain / split)


def fingerprint(sources: Mapping[str, Mapping[str, Any]]) -> str:
    """Changes whenever a file that a source reads is added, removed or written to."""
    files = [
        path
        for domain, source in sources.items()
        if source["kind"] == "files"
        for path in matched_files(domain, source["globs"])
    ]
    states = [f"{p} {p.stat().st_size} {p.stat().st_mtime_ns}" for p in sorted(files)]
    return hashlib.sha256("\n".join(states).encode()).hexdigest()


def open_corpora(folder: Path, context: int) -> Corpora:
    """Opens what `prepare` wrote."""
    streams = {
        (domain, split): token_module.load_stream(folder / domain / split)
        for domain in DOMAINS
        for split in SPLITS
    }
    tokenizer = AutoTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
    return Corpora(streams, tokenizer, context)

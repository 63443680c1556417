"""The corpora artefact: a tokenizer and two token streams a domain, as later phases read them."""

import platform
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Int
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from featrack_utils.corpora import tokenizer
from featrack_utils.corpora.documents import EMBEDDED, SPLITS, Document, SourceConfig
from featrack_utils.corpora.installed import XMAKE, XMAKE_LICENCE
from featrack_utils.corpora.split import collect_all
from featrack_utils.corpora.tokenizer import Blocks, TokenStream

OWN = "your own files"
CHARS_PER_TOKEN = 5.0  # of the reader's own text, about which nothing is known


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


def prepare(
    folder: Path,
    *,
    sources: Mapping[str, Mapping[str, Any]],
    train_tokens: Mapping[str, int],
    validation_tokens: int,
    validation_share: float,
    vocab_size: int | None,
    vocabulary_from: Sequence[str],
    seed: int,
    tokenizer_from: str = "",
) -> None:
    """Collects the domains, learns the tokenizer on some of them, encodes everything.

    Args:
        folder: gets ``tokenizer/``, ``<domain>/<split>/`` and ``provenance.csv``.
        sources: domain -> arguments of SourceConfig.
        train_tokens: tokens wanted per domain; a domain with less text gives what it has.
        validation_tokens: the same, for each domain's validation split.
        vocabulary_from: the domains that the tokenizer learns from.
        tokenizer_from: the folder of a saved model whose own tokenizer is taken instead.

    Raises:
        FeatrackError: a source that can't be read or holds too little.
    """
    configs = {domain: SourceConfig.read(domain, source) for domain, source in sources.items()}
    wanted = {
        domain: {"train": train_tokens[domain], "validation": validation_tokens}
        for domain in configs
    }
    chars = {}
    for domain, config in configs.items():
        per_token = EMBEDDED[config.text].chars_per_token if config.text else CHARS_PER_TOKEN
        chars[domain] = {split: int(n * per_token) for split, n in wanted[domain].items()}
    documents = collect_all(configs, wanted=chars, validation_share=validation_share, seed=seed)
    if tokenizer_from:
        learnt = tokenizer.saved_tokenizer(Path(tokenizer_from))
    else:
        learnt_from = (d.text for domain in vocabulary_from for d in documents[domain]["train"])
        learnt = tokenizer.train_tokenizer(learnt_from, vocab_size)
    learnt.save_pretrained(folder / "tokenizer")
    credits = {}
    for domain, by_split in documents.items():
        credits[domain] = provenance(chain(*by_split.values()))
        for split in SPLITS:
            stream = tokenizer.encode_documents(by_split[split], learnt)
            stream = stream.first_tokens(wanted[domain][split])
            tokenizer.save_stream(stream, folder / domain / split)
    pd.concat(credits, names=["domain"]).to_csv(folder / "provenance.csv")


def provenance(documents: Iterable[Document]) -> pd.DataFrame:
    """What to credit for some documents: a row for each package, the largest first.

    Of each its version and licence as its metadata state them, the number of different ``groups``
    and of ``characters``.
    """
    rows = [(d.package or OWN, d.group, len(d.text)) for d in documents]
    table = pd.DataFrame(rows, columns=["package", "groups", "characters"])
    totals = table.groupby("package").agg({"groups": "nunique", "characters": "sum"})
    totals = totals.sort_values("characters", ascending=False, kind="stable")
    stated = [_version_and_licence(package) for package in totals.index]
    about = pd.DataFrame(stated, totals.index, ["version", "licence"])
    return about.join(totals)


def _version_and_licence(package: str) -> tuple[str, str]:
    if package == "python":
        return platform.python_version(), "PSF-2.0"
    try:
        about = metadata.metadata(package)
    except (metadata.PackageNotFoundError, ValueError):
        return "", "as its authors state"
    kinds = [kind for kind in about.get_all("Classifier") or [] if kind.startswith("License :: ")]
    kinds = "; ".join(kind.split(" :: ")[-1] for kind in kinds)
    stated = about.get("License-Expression") or kinds or about.get("License") or "not stated"
    return metadata.version(package), XMAKE_LICENCE if package == XMAKE else stated


def open_corpora(folder: Path, context: int) -> Corpora:
    """Opens what `prepare` wrote."""
    credits = pd.read_csv(folder / "provenance.csv", keep_default_na=False)
    streams = {
        (domain, split): tokenizer.load_stream(folder / domain / split)
        for domain in credits["domain"].unique()
        for split in SPLITS
    }
    learnt = AutoTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
    return Corpora(streams, learnt, context, folder)

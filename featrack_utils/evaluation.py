"""How well a language model predicts validation text, and what it writes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from jaxtyping import Int
from torch import Tensor
from transformers import MistralForCausalLM, PreTrainedTokenizerBase

_TOKENS_PER_CHUNK = 1024  # logits of so many tokens stay in the cache


class Evaluation(NamedTuple):
    """Next-token prediction on validation text.

    Attributes:
        loss: mean cross-entropy, nats per token.
        accuracy: share of tokens that are the model's first choice.
        n_tokens: tokens predicted.
    """

    loss: float
    accuracy: float
    n_tokens: int


@torch.no_grad()
def evaluate(model: MistralForCausalLM, blocks: Int[np.ndarray, "n_blocks context"]) -> Evaluation:
    """Loss and accuracy on every position but the first of each block, in float32."""
    total, hits, count = 0.0, 0, 0
    for batch in _batches(blocks):
        logits = model(input_ids=batch).logits[:, :-1].flatten(0, 1).float()
        targets = batch[:, 1:].flatten()
        total += F.cross_entropy(logits, targets, reduction="sum").double().item()
        hits += (logits.argmax(-1) == targets).sum().item()
        count += len(targets)
    return Evaluation(total / count, hits / count, count)


def _batches(blocks: np.ndarray) -> Iterator[Tensor]:
    size = max(1, _TOKENS_PER_CHUNK // blocks.shape[1])
    for start in range(0, len(blocks), size):
        yield torch.from_numpy(blocks[start : start + size]).long()


@torch.no_grad()
def continuation(
    model: MistralForCausalLM,
    tokenizer: PreTrainedTokenizerBase,
    prompt: str,
    *,
    new_tokens: int,
    seed: int,
    temperature: float = 0.8,
) -> str:
    """The prompt and what the model writes after it, sampled with a fixed seed.

    Stops where the context is full, for no longer text was ever trained on.
    """
    torch.manual_seed(seed)
    ids = torch.tensor([[tokenizer.bos_token_id, *tokenizer.encode(prompt)]])
    new_tokens = min(new_tokens, model.config.max_position_embeddings - ids.shape[1])
    out = model.generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=new_tokens,
        do_sample=True, temperature=temperature, top_k=0, top_p=0.95,
    )  # fmt: skip
    return tokenizer.decode(out[0], skip_special_tokens=True)


def score_results(model: str, scores: Mapping[str, Evaluation]) -> dict[str, float]:
    """A model's evaluations by domain as entries of results.json."""
    return {
        f"lm.{model}.{domain}.{figure}": getattr(score, figure)
        for domain, score in scores.items()
        for figure in ("loss", "accuracy")
    }


def score_table(results: Mapping[str, float]) -> pd.DataFrame:
    """What `score_results` wrote, as a table: model, domain, loss (nats), accuracy."""
    rows: dict[tuple[str, str], dict[str, float]] = {}
    for name, value in results.items():
        parts = name.split(".")
        if parts[0] == "lm" and parts[-1] in ("loss", "accuracy"):
            rows.setdefault((parts[1], parts[2]), {})[parts[3]] = value
    return pd.DataFrame([{"model": m, "domain": d, **row} for (m, d), row in rows.items()])

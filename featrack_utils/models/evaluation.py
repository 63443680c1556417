"""How well a language model predicts validation text, and what it writes."""

from collections.abc import Collection, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from transformers import MistralForCausalLM, PreTrainedTokenizerBase

from featrack_utils.corpora.prepare import Corpora
from featrack_utils.corpora.tokenizer import Blocks

_TOKENS_PER_CHUNK = 1024  # logits of so many tokens stay in the cache


class Evaluation(NamedTuple):
    """Next-token prediction on validation text.

    Attributes:
        loss: mean cross-entropy, nats per token.
        accuracy: share of tokens that are the model's first choice.
        n_tokens: tokens predicted.
        by_document: [n_documents, 3], summed loss, tokens foreseen and tokens of each document;
            None where it isn't known which document a token is of.
    """

    loss: float
    accuracy: float
    n_tokens: int
    by_document: Float[np.ndarray, "n_documents 3"] | None = None


@torch.no_grad()
def evaluate(
    model: MistralForCausalLM,
    blocks: Int[np.ndarray, "n_blocks context"],
    origin: Int[np.ndarray, "n_blocks context"] | None = None,
) -> Evaluation:
    """Loss and accuracy on every position but the first of each block, in float32.

    origin: which text each position is of, as `Blocks.group` has it, for `intervals`.
    """
    losses, hits = [], []
    size = max(1, _TOKENS_PER_CHUNK // blocks.shape[1])
    for batch in torch.from_numpy(blocks).long().split(size):
        batch = batch.to(model.device)
        logits = model(input_ids=batch).logits.flatten(0, 1).float()
        # A block's last position has no target. To cut it off its logits would copy all others.
        targets = F.pad(batch[:, 1:], (0, 1), value=-100).flatten()
        known = targets >= 0
        losses.append(F.cross_entropy(logits, targets, reduction="none")[known])
        hits.append((logits.argmax(-1) == targets)[known])
    parts = np.stack([torch.cat(each).cpu().double().numpy() for each in (losses, hits)])
    count = parts.shape[1]
    loss, accuracy = parts.mean(1).tolist()
    if origin is None:
        return Evaluation(loss, accuracy, count)
    documents = np.unique(origin[:, 1:], return_inverse=True)[1].ravel()
    sums = [np.bincount(documents, weights=each) for each in (*parts, np.ones(count))]
    return Evaluation(loss, accuracy, count, np.stack(sums, axis=1))


def evaluate_each(model: MistralForCausalLM, texts: Mapping[str, Blocks]) -> dict[str, Evaluation]:
    """`evaluate` on validation blocks of several domains, by domain."""
    return {name: evaluate(model, blocks.tokens, blocks.group) for name, blocks in texts.items()}


def pooled(*parts: Evaluation) -> Evaluation:
    """One evaluation on the texts of several, whose documents are known and none in two."""
    count = sum(part.n_tokens for part in parts)
    loss, accuracy = (
        sum(getattr(part, figure) * part.n_tokens for part in parts) / count
        for figure in ("loss", "accuracy")
    )
    return Evaluation(loss, accuracy, count, np.concatenate([p.by_document for p in parts]))


def intervals(score: Evaluation, draws: int = 1000, seed: int = 0) -> dict[str, float]:
    """95 % bootstrap intervals over documents: `loss.ci_low`, …, `accuracy.ci_high`.

    {} where the documents aren't known or there is but one.
    """
    documents = score.by_document
    if documents is None or len(documents) < 2:
        return {}
    chances = np.full(len(documents), 1 / len(documents))
    drawn = np.random.default_rng(seed).multinomial(len(documents), chances, size=draws)
    sums = drawn @ documents
    # Every draw holds at least one document, so at least a token.
    bounds = np.quantile(sums[:, :2] / sums[:, 2:], [0.025, 0.975], axis=0)
    names = [f"{figure}.{end}" for figure in ("loss", "accuracy") for end in ("ci_low", "ci_high")]
    return dict(zip(names, bounds.T.ravel().tolist(), strict=True))


def unigram_loss(train: np.ndarray, validation: np.ndarray, vocab_size: int) -> float:
    """Loss, nats per token, of knowing only how often each token came in training, plus one."""
    counts = np.bincount(train.ravel(), minlength=vocab_size) + 1
    return float(-np.log(counts / counts.sum())[validation].mean())


def opening(corpora: Corpora, domain: str, n_tokens: int = 12) -> str:
    """How the first validation text of a domain begins: something for a model to go on from."""
    tokens = corpora.streams[domain, "validation"].tokens
    return corpora.tokenizer.decode(tokens[1 : 1 + n_tokens])  # 0 begins a document


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
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=new_tokens,
        do_sample=True,
        temperature=temperature,
        top_k=0,
        top_p=0.95,
    )
    return tokenizer.decode(out[0], skip_special_tokens=True)


def score_results(prefix: str, scores: Mapping[str, Evaluation]) -> dict[str, float]:
    """Evaluations by domain as `<prefix>.<domain>.loss`, …, with intervals if known."""
    found = {}
    for domain, score in scores.items():
        figures = {"loss": score.loss, "accuracy": score.accuracy, **intervals(score)}
        found |= {f"{prefix}.{domain}.{figure}": value for figure, value in figures.items()}
    return found


def score_table(results: Mapping[str, float], domains: Collection[str]) -> pd.DataFrame:
    """Figures `lm.…` of results on these domains: model, domain, loss (nats), accuracy."""
    rows: dict[tuple[str, str], dict[str, float]] = {}
    for name, value in results.items():
        parts = name.split(".")
        if parts[0] == "lm" and parts[-1] in ("loss", "accuracy") and parts[2] in domains:
            rows.setdefault((parts[1], parts[2]), {})[parts[3]] = value
    return pd.DataFrame([{"model": m, "domain": d, **row} for (m, d), row in rows.items()])

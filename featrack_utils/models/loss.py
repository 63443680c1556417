"""Next-token cross-entropy whose gradient is taken while the logits are still in the cache."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import MistralForCausalLM

_TOKENS_PER_CHUNK = 256  # whose logits, at 4,096 tokens of vocabulary, stay in a core's cache


def next_token_loss(
    model: MistralForCausalLM, tokens: Int[Tensor, "batch context"]
) -> Float[Tensor, ""]:
    """Mean next-token cross-entropy in nats, a few hundred tokens of logits at a time."""
    hidden = model.model(input_ids=tokens).last_hidden_state[:, :-1].flatten(0, 1)
    return _CrossEntropy.apply(hidden, model.lm_head.weight, tokens[:, 1:].flatten())


class _CrossEntropy(torch.autograd.Function):
    """Cross-entropy of ``softmax(hidden weightᵀ)``, forward and backward in one pass.

    The gradient with respect to the logits, softmax − one-hot, is known as soon as the softmax
    is, so each chunk is multiplied back at once and its logits are never kept or computed again.
    """

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Float[Tensor, "n d_model"],
        weight: Float[Tensor, "vocab d_model"],
        targets: Int[Tensor, " n"],
    ) -> Float[Tensor, ""]:
        device = hidden.device.type
        fast = torch.is_autocast_enabled(device)
        dtype = torch.get_autocast_dtype(device) if fast else hidden.dtype
        h, w = hidden.to(dtype), weight.to(dtype)
        grad_hidden, grad_weight = torch.empty_like(h), torch.zeros_like(weight)
        losses = []
        chunks = (tensor.split(_TOKENS_PER_CHUNK) for tensor in (h, targets[:, None], grad_hidden))
        for rows, target, grad_rows in zip(*chunks, strict=True):
            p = torch.softmax(rows @ w.T, dim=1, dtype=torch.float32)
            p_target = p.gather(1, target)
            # A target that underflows costs 87 nats instead of infinitely many.
            losses.append(-p_target.clamp_min(torch.finfo(p.dtype).tiny).log().sum())
            p.scatter_(1, target, p_target - 1)
            p = p.to(dtype)
            torch.mm(p, w, out=grad_rows)
            grad_weight += p.T @ rows
        ctx.save_for_backward(grad_hidden, grad_weight)
        ctx.dtype = hidden.dtype
        return torch.stack(losses).sum() / len(targets)

    @staticmethod
    def backward(ctx: Any, grad: Float[Tensor, ""]) -> tuple[Tensor, Tensor, None]:
        grad_hidden, grad_weight = ctx.saved_tensors
        scale = grad / len(grad_hidden)
        return grad_hidden.to(ctx.dtype) * scale, grad_weight * scale, None

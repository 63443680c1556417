"""MLP activations of a saved model, through temporary TransformerLens hooks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int
from torch import Tensor

if TYPE_CHECKING:
    from transformer_lens.model_bridge import TransformerBridge
    from transformers import MistralForCausalLM

HOOK = "blocks.0.mlp.hook_post"


@torch.no_grad()
def mlp_activations(
    bridge: TransformerBridge, tokens: Int[Tensor, "batch context"]
) -> Float[Tensor, "batch context d_mlp"]:
    """The MLP's hidden activations after the gate, without computing any logits."""
    captured: list[Tensor] = []

    def keep(acts: Tensor, hook: object) -> None:
        captured.append(acts)

    with bridge.hooks(fwd_hooks=[(HOOK, keep)]):
        # The wrapped model's backbone runs the bridge's hook points but not the unembedding,
        # which `stop_at_layer` still computes for this architecture.
        bridge.original_model.model(input_ids=tokens, use_cache=False)
    return captured[0]


@torch.no_grad()
def plain_activations(
    model: MistralForCausalLM, tokens: Int[Tensor, "batch context"]
) -> Float[Tensor, "batch context d_mlp"]:
    """The same, to rounding, of a model that no bridge wraps, in half the time."""
    captured: list[Tensor] = []
    hook = model.model.layers[0].mlp.down_proj.register_forward_pre_hook(
        lambda module, given: captured.append(given[0])
    )
    try:
        model.model(input_ids=tokens, use_cache=False)
    finally:
        hook.remove()
    return captured[0]


@torch.no_grad()
def logits_with(
    bridge: TransformerBridge,
    tokens: Int[Tensor, "batch context"],
    replace: Callable[[Tensor], Tensor] | None = None,
) -> Float[Tensor, "batch context vocab"]:
    """Logits with the MLP's activations passed through ``replace`` for this call alone."""
    if replace is None:
        return bridge(tokens)
    return bridge.run_with_hooks(tokens, fwd_hooks=[(HOOK, lambda acts, hook: replace(acts))])

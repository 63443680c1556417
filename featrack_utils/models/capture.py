"""Activations of a saved model at its site, through temporary hooks."""

import os
from collections.abc import Callable
from contextlib import suppress

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from featrack_utils.errors import FeatrackError
from featrack_utils.lineage import SITE

# The matrices by which MLP and attention write to the residual stream, in transformers' names.
_MLP_OUT = ("down_proj", "c_proj", "dense_4h_to_h", "fc2")
_ATTENTION_OUT = ("o_proj", "c_proj", "dense", "out_proj")


def device(wanted: str = "") -> torch.device:
    """The device of a name, by default the profile's; "auto" is CUDA, then MPS, then the CPU.

    The pipeline hands it on in `FEATRACK_DEVICE`, so that a cluster's nodes may differ.

    Raises:
        FeatrackError: this machine lacks it.
    """
    wanted = wanted or os.environ.get("FEATRACK_DEVICE", "auto")
    found = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    there = [*filter(found.get, found), "cpu"]
    if wanted not in ("auto", *there):
        raise FeatrackError(
            f"device is {wanted}, and this machine has only {' and '.join(there)}; choose one of "
            "these or auto."
        )
    return torch.device(there[0] if wanted == "auto" else wanted)


class _Captured(Exception):  # noqa: N818
    """Thrown by a hook that has what it came for: what lies behind isn't computed."""


@torch.no_grad()
def mlp_activations(
    bridge: nn.Module, tokens: Int[Tensor, "batch context"], site: str = SITE
) -> Float[Tensor, "batch context d_in"]:
    """Activations at the site of TransformerLens' bridge, heads side by side, and no logits."""
    captured: list[Tensor] = []

    def keep(acts: Tensor, hook: object) -> None:
        captured.append(acts)
        raise _Captured

    with bridge.hooks(fwd_hooks=[(site, keep)]), suppress(_Captured):
        # The wrapped model's backbone runs the bridge's hook points but not the unembedding,
        # which `stop_at_layer` still computes for some architectures.
        model = bridge.original_model
        model.base_model(input_ids=tokens.to(model.device), use_cache=False)
    return captured[0].reshape(*tokens.shape, -1)


@torch.no_grad()
def plain_activations(
    model: nn.Module, tokens: Int[Tensor, "batch context"], site: str = SITE
) -> Float[Tensor, "batch context d_in"]:
    """The same, to rounding, of transformers' own model, in half the time.

    For the sites at which `plain_module` knows where to look.
    """
    captured: list[Tensor] = []
    module, reads = plain_module(model, site)

    def keep(module: nn.Module, *seen: Tensor | tuple[Tensor, ...]) -> None:
        first = seen[-1]  # the input, and behind it the output if there is one
        captured.append(first[0] if isinstance(first, tuple) else first)
        raise _Captured

    hook = module.register_forward_pre_hook(keep) if reads else module.register_forward_hook(keep)
    try:
        with suppress(_Captured):
            model.base_model(input_ids=tokens.to(model.device), use_cache=False)
    finally:
        hook.remove()
    return captured[0].reshape(*tokens.shape, -1)


def width(model: nn.Module, site: str) -> int:
    """How many numbers a token has at a site."""
    return plain_activations(model, torch.zeros(1, 2, dtype=torch.long), site).shape[-1]


def plain_module(model: nn.Module, site: str) -> tuple[nn.Module, bool] | None:
    """The module whose input (True) or output (False) is a site; None where that isn't known."""
    _, number, hook = site.split(".", 2)
    layers = next(m for m in model.base_model.modules() if isinstance(m, nn.ModuleList))
    layer, of_attention = layers[int(number)], "attn" in hook
    if hook == "hook_resid_post":
        return layer, False
    if hook.endswith("_out") and hasattr(layer, "post_feedforward_layernorm"):
        # Gemma 2 norms what attention and MLP write once more.
        of = "attention" if of_attention else "feedforward"
        return getattr(layer, f"post_{of}_layernorm"), False
    names = _ATTENTION_OUT if of_attention else _MLP_OUT
    found = [
        module
        for path, module in layer.named_modules()
        if path.split(".")[-1] in names and ("att" in path) == of_attention
    ]
    # A mixture of experts has many.
    return (found[0], not hook.endswith("_out")) if len(found) == 1 else None


@torch.no_grad()
def logits_with(
    bridge: nn.Module,
    tokens: Int[Tensor, "batch context"],
    replace: Callable[[Tensor], Tensor] | None = None,
    site: str = SITE,
) -> Float[Tensor, "batch context vocab"]:
    """Logits with the site's activations passed through ``replace`` for this call alone."""
    if replace is None:
        return bridge(tokens)

    def instead(acts: Tensor, hook: object) -> Tensor:
        return replace(acts.reshape(*tokens.shape, -1)).reshape(acts.shape)

    return bridge.run_with_hooks(tokens, fwd_hooks=[(site, instead)])

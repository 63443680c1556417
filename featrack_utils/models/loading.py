"""Saved language models: opened for evaluation, wrapped for their activations, taken apart."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors.numpy import load_file
from transformers import MistralForCausalLM
from transformers.utils import logging as hf_logging

if TYPE_CHECKING:
    from transformer_lens.model_bridge import TransformerBridge

_PARTS = {"attn": "attention", "mlp": "MLP", "embed": "embedding", "lm_head": "unembedding"}


def load_model(folder: Path) -> MistralForCausalLM:
    """Loads a saved model in float32, ready for evaluation."""
    return MistralForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def boot(folder: Path) -> TransformerBridge:
    """Wraps a saved model (model and tokenizer in one folder) in TransformerLens' hooks."""
    from transformer_lens.model_bridge import TransformerBridge  # takes seconds to load

    return TransformerBridge.boot_transformers(str(folder), device="cpu").eval()


def part_of(parameter: str) -> str:
    """The part of a model that a parameter belongs to: attention, MLP, …; norms for the gains."""
    return next((part for sign, part in _PARTS.items() if sign in parameter), "norms")


def weight_distance(
    before: Path, after: Path, chosen: Callable[[str], bool] = lambda name: True
) -> float:
    """How far a saved model's weights have moved: ‖W_after − W_before‖ / ‖W_before‖.

    chosen: which tensors count, by name.
    """
    old, new = (load_file(folder / "model.safetensors") for folder in (before, after))
    names = [name for name in old if chosen(name)]
    moved = sum(((new[name].astype(float) - old[name]) ** 2).sum() for name in names)
    return float(np.sqrt(moved / sum((old[name].astype(float) ** 2).sum() for name in names)))


hf_logging.disable_progress_bar()

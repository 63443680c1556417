"""What a dictionary learns from: a mixture of blocks, and its activations in shuffled batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformer_lens.model_bridge import TransformerBridge

from featrack_utils.errors import FeatrackError
from featrack_utils.models.capture import mlp_activations

BUFFER_BLOCKS = 256  # blocks whose activations are shuffled together
_CAPTURE_BLOCKS = 8  # blocks in one forward pass, few enough to stay in the cache


def training_mixture(
    blocks: Mapping[str, Int[np.ndarray, "n context"]], n_tokens: int, seed: int
) -> Int[np.ndarray, "n_blocks context"]:
    """Blocks holding ``n_tokens`` activations, in equal shares from each domain, shuffled.

    Position 0 of a block gives no activation. A domain with too few blocks is repeated.
    """
    rng = np.random.default_rng(seed)
    context = next(iter(blocks.values())).shape[1]
    share = -(-n_tokens // (len(blocks) * (context - 1)))
    chosen = []
    for domain in sorted(blocks):
        available = blocks[domain]
        if not len(available):
            raise FeatrackError(f"Domain {domain} has no whole block to train a dictionary on.")
        rounds = [rng.permutation(len(available)) for _ in range(-(-share // len(available)))]
        chosen.append(available[np.concatenate(rounds)[:share]])
    return rng.permutation(np.concatenate(chosen), axis=0)


def activation_batches(
    bridge: TransformerBridge,
    blocks: Int[np.ndarray, "n_blocks context"],
    *,
    batch_tokens: int,
    seed: int,
    skip_batches: int = 0,
) -> Iterator[Float[Tensor, "batch d_mlp"]]:
    """Shuffled activations, endlessly: whole buffers of blocks, mixed token by token.

    Buffer i is shuffled by a generator seeded with (seed, i), so a training that was killed
    goes on with the very batch that came next.

    Raises:
        FeatrackError: a buffer holds less than one batch.
    """
    held = min(len(blocks), BUFFER_BLOCKS) * (blocks.shape[1] - 1)
    if batch_tokens > held:
        raise FeatrackError(
            f"sae.batch_tokens is {batch_tokens}, but only {held} activations are shuffled "
            "together; lower it."
        )
    starts = range(0, len(blocks), BUFFER_BLOCKS)
    index = 0
    while True:
        for start in starts:
            chunk = blocks[start : start + BUFFER_BLOCKS]
            n_batches = len(chunk) * (chunk.shape[1] - 1) // batch_tokens
            if skip_batches < n_batches:
                acts = buffer(bridge, chunk)
                state = np.random.SeedSequence([seed, index]).generate_state(1, np.uint32)
                order = torch.Generator().manual_seed(int(state[0]))
                acts = acts[torch.randperm(len(acts), generator=order)]
                for i in range(skip_batches, n_batches):
                    yield acts[i * batch_tokens : (i + 1) * batch_tokens]
            skip_batches = max(0, skip_batches - n_batches)
            index += 1


def buffer(bridge: TransformerBridge, blocks: np.ndarray) -> Float[Tensor, "n d_mlp"]:
    """The activations of some blocks, position 0 left out, in order."""
    parts = [
        mlp_activations(bridge, torch.from_numpy(blocks[i : i + _CAPTURE_BLOCKS]).long())[:, 1:]
        for i in range(0, len(blocks), _CAPTURE_BLOCKS)
    ]
    return torch.cat([part.flatten(0, 1) for part in parts])

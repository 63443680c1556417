"""What a dictionary learns from: a mixture of blocks, and its activations in shuffled batches."""

import copy
from collections.abc import Iterator, Mapping

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import PreTrainedModel

from featrack_utils.errors import FeatrackError
from featrack_utils.lineage import SITE
from featrack_utils.models.capture import device, plain_activations
from featrack_utils.models.training import uses_bfloat16

BUFFER_BLOCKS = 256  # blocks whose activations are shuffled together
KEPT_BYTES = 2**30  # of activations kept in memory for the next dictionary
_CAPTURE_BLOCKS = 64  # blocks in one forward pass


def training_mixture(
    blocks: Mapping[str, Int[np.ndarray, "n context"]], n_tokens: int
) -> Int[np.ndarray, "n_blocks context"]:
    """Blocks holding ``n_tokens`` activations, in equal shares from each domain, shuffled.

    Position 0 of a block gives no activation. A domain with too few blocks is repeated. Of a
    domain that two models have read, both get the same blocks, the one with more domains fewer.
    """
    context = next(iter(blocks.values())).shape[1]
    share = -(-n_tokens // (len(blocks) * (context - 1)))
    chosen = []
    for domain in sorted(blocks):
        available = blocks[domain]
        if not len(available):
            raise FeatrackError(f"Domain {domain} has no whole block to train a dictionary on.")
        rng = np.random.default_rng([*domain.encode()])
        rounds = [rng.permutation(len(available)) for _ in range(-(-share // len(available)))]
        chosen.append(available[np.concatenate(rounds)[:share]])
    return np.random.default_rng(0).permutation(np.concatenate(chosen), axis=0)


class Buffers:
    """A model's activations on some blocks, captured once for all dictionaries that read them.

    Buffer i holds those of the i-th `BUFFER_BLOCKS` blocks, position 0 left out, in order. What
    doesn't fit into `KEPT_BYTES` is captured again each time it is read. All stays on the device.

    Args:
        precision: in "bfloat16" the model runs and its activations are kept in bfloat16: less than
            a hundredth of their norm is lost, and half the time; "auto", where it is faster.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        blocks: Int[np.ndarray, "n_blocks context"],
        site: str = SITE,
        *,
        precision: str = "float32",
    ) -> None:
        fast = uses_bfloat16(precision)
        if fast or device() != model.device:
            model = copy.deepcopy(model).to(device(), torch.bfloat16 if fast else None)
        self.model = model
        self.context, self.site = blocks.shape[1], site
        self._read = [blocks[i : i + BUFFER_BLOCKS] for i in range(0, len(blocks), BUFFER_BLOCKS)]
        self._kept: dict[int, Tensor] = {}
        self._free = KEPT_BYTES

    def __len__(self) -> int:
        return len(self._read)

    def size(self, index: int) -> int:
        """How many activations a buffer holds."""
        return len(self._read[index]) * (self.context - 1)

    def __getitem__(self, index: int) -> Float[Tensor, "n d_in"]:
        if index in self._kept:
            return self._kept[index]
        tokens = torch.from_numpy(self._read[index]).long()
        parts = [
            plain_activations(self.model, batch, self.site)[:, 1:].flatten(0, 1)
            for batch in tokens.split(_CAPTURE_BLOCKS)
        ]
        acts = torch.cat(parts)
        if acts.nbytes <= self._free:
            self._free -= acts.nbytes
            self._kept[index] = acts
        return acts


def activation_batches(
    buffers: Buffers, *, batch_tokens: int, seed: int, skip_batches: int = 0
) -> Iterator[Float[Tensor, "batch d_in"]]:
    """Shuffled activations, endlessly: whole buffers, mixed token by token.

    The i-th buffer read is shuffled by a generator seeded with (seed, i), so a training that was
    killed goes on with the very batch that came next.

    Raises:
        FeatrackError: a buffer holds less than one batch.
    """
    if batch_tokens > (held := buffers.size(0)):
        raise FeatrackError(
            f"sae.batch_tokens is {batch_tokens}, but only {held} activations are shuffled "
            "together; lower it."
        )
    read = 0
    while True:
        for index in range(len(buffers)):
            n_batches = buffers.size(index) // batch_tokens
            if skip_batches < n_batches:
                acts = buffers[index]
                state = np.random.SeedSequence([seed, read]).generate_state(1, np.uint32)
                order = torch.Generator().manual_seed(int(state[0]))
                acts = acts[torch.randperm(len(acts), generator=order).to(acts.device)]
                for i in range(skip_batches, n_batches):
                    yield acts[i * batch_tokens : (i + 1) * batch_tokens].float()
            skip_batches = max(0, skip_batches - n_batches)
            read += 1

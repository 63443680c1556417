"""From a site in a model's last block to the next token's logits, one token at a time."""

from __future__ import annotations

import re
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import PreTrainedModel

from featrack_utils.lineage import SITE
from featrack_utils.models.capture import plain_module

_NORM = r"(?:\w+\.)?(?:norm|ln_f|final_layer_?norm)"  # the final one, in the names of all families


class Tail(NamedTuple):
    """What is left to compute behind a site that no later token reads.

    A token's logits follow from its residual stream at the end of the last block, so what a
    feature writes there can be subtracted without running the model again.
    """

    write: nn.Module | None  # from the site into the stream; None: it is written as it is
    norm: nn.Module
    unembed: nn.Module

    @classmethod
    def of(cls, model: PreTrainedModel, site: str = SITE) -> Tail | None:
        """A model's; None for a site before or in attention, or behind which more is done."""
        config = model.config.get_text_config()
        _, layer, hook = site.split(".", 2)
        named = dict(model.base_model.named_modules())
        norms = [module for name, module in named.items() if re.fullmatch(_NORM, name)]
        if (
            int(layer) + 1 < config.num_hidden_layers
            or "attn" in hook
            or len(norms) != 1
            or any("post_feedforward" in name for name in named)
            or getattr(config, "final_logit_softcapping", None)
        ):
            return None
        module, reads = plain_module(model, site)
        return cls(module if reads else None, norms[0], model.get_output_embeddings())

    @torch.no_grad()
    def logits(
        self, stream: Float[Tensor, "n d_model"], removed: Float[Tensor, "n d_in"]
    ) -> Float[Tensor, "n vocab"]:
        """Logits with `removed` taken from the site's activations."""
        if self.write is not None:  # without its bias, if it has one
            removed = self.write(removed) - self.write(torch.zeros_like(removed[:1]))
        return self.unembed(self.norm(stream - removed))

"""Choices of the published code that act while a dictionary learns, as switches (METHOD.md §10).

Published: unit length along the decoder's other axis, L1 summed over a block's tokens instead
of over features, and ten times the others' L1 coefficient for one of the four dictionaries.
"""

import sys
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from sae_lens import StandardTrainingSAE, TrainingSAE
from torch import Tensor
from transformer_lens.model_bridge import TransformerBridge

from featrack_utils.dictionaries.training import new_sae, train_sae
from featrack_utils.errors import FeatrackError

BLOCK = 24  # tokens in each of the published batches' blocks
TIMES = 10  # how much larger the L1 coefficient of the one dictionary is
NORMS = "norms.csv"


class Choice(NamedTuple):
    """A choice, the child it is shown on, and the dictionaries that it needs trained so."""

    text: str
    child: str
    trained: tuple[str, ...]
    part: int = 1  # of the evaluation blocks one in so many is read

    def blocks(self, evaluation_blocks: int) -> int:
        """Evaluation blocks per domain: ten at least, where not all."""
        return evaluation_blocks if self.part == 1 else max(10, evaluation_blocks // self.part)


CHOICES = {
    "wrong_axis": Choice(
        "decoder normalised along the other axis", "lua", ("base-0", "base-1", "lua-1")
    ),
    # Almost without L1 most features are active on most tokens: gigabytes on the whole mix.
    "over_tokens": Choice(
        "L1 summed over tokens, not features", "lua", ("base-0", "base-1", "lua-1"), part=30
    ),
    # base-1 stands for a child that nothing happened to but the choice.
    "ten_times": Choice("ten times the L1 for the child alone", "stories", ("base-1", "stories-1")),
}


def unit_inputs(W_dec: Float[Tensor, "d_sae d_in"]) -> Float[Tensor, "d_sae d_in"]:
    """The decoder with length 1 for each of its d_in inputs, over all features.

    Published for a decoder stored as [d_in, d_sae], whose rows are not the features. Then the
    features' mean square length is d_in / d_sae.
    """
    return W_dec / W_dec.norm(dim=0, keepdim=True)


def l1_over_tokens(acts: Float[Tensor, "blocks tokens d_sae"]) -> Float[Tensor, ""]:
    """Published L1: summed over dimension 1, which holds tokens, and averaged over the rest.

    tokens / d_sae of what the mean over tokens of the sum over features would be.
    """
    return acts.norm(p=1, dim=1).mean()


class _WrongAxis(StandardTrainingSAE):
    """Decoder with `unit_inputs` at every step; its lengths don't enter the L1, as published."""

    def training_forward_pass(self, step_input):
        with torch.no_grad():
            self.W_dec.copy_(unit_inputs(self.W_dec))
        return super().training_forward_pass(step_input)

    def calculate_aux_loss(self, step_input, feature_acts, hidden_pre, sae_out):
        return {"l1_loss": step_input.coefficients["l1"] * feature_acts.sum(dim=-1).mean()}

    def fold_activation_norm_scaling_factor(self, scaling_factor: float) -> None:
        # The last step is normalised, too, and the lengths are read before they are folded away.
        self.W_dec.data = unit_inputs(self.W_dec.data)
        self.learnt_norms = self.W_dec.data.norm(dim=1).numpy().copy()
        super().fold_activation_norm_scaling_factor(scaling_factor)


class _OverTokens(StandardTrainingSAE):
    """L1 of the published kind, the batch taken as blocks of BLOCK tokens."""

    def calculate_aux_loss(self, step_input, feature_acts, hidden_pre, sae_out):
        whole = len(feature_acts) // BLOCK * BLOCK
        weighted = feature_acts[:whole] * self.W_dec.norm(dim=1)
        l1 = l1_over_tokens(weighted.unflatten(0, (-1, BLOCK)))
        return {"l1_loss": step_input.coefficients["l1"] * l1}


def new_published(choice: str, d_in: int, *, seed: int, **recipe: Any) -> TrainingSAE:
    """An untrained dictionary that learns by one of CHOICES; called like `new_sae` otherwise.

    Raises:
        FeatrackError: an architecture without L1, or what `new_sae` refuses.
    """
    if recipe["architecture"] != "standard":
        raise FeatrackError(
            f"The published training is about L1, and sae.architecture is "
            f"{recipe['architecture']!r}; choose standard."
        )
    if choice == "ten_times":
        recipe["l1_coefficient"] *= TIMES
    plain = new_sae(d_in, seed=seed, **recipe)
    if choice == "ten_times":
        return plain
    torch.manual_seed(seed)
    return {"wrong_axis": _WrongAxis, "over_tokens": _OverTokens}[choice](plain.cfg)


def train_published(
    choice: str,
    bridge: TransformerBridge,
    blocks: Int[np.ndarray, "n_blocks context"],
    folder: Path,
    **recipe: Any,
) -> None:
    """`train_sae` by one of CHOICES; where features keep their lengths, NORMS holds them."""
    made: list[TrainingSAE] = []

    def new(*size: int, **given: Any) -> TrainingSAE:
        made.append(new_published(choice, *size, **given))
        return made[0]

    train_sae(bridge, blocks, folder, new=new, **recipe)
    if choice == "wrong_axis":
        pd.DataFrame({"norm": made[0].learnt_norms}).to_csv(folder / NORMS, index=False)


def training(name: str) -> dict[str, Any]:
    """What `learning.train` needs to train by that choice; nothing for a name not in CHOICES."""
    if name not in CHOICES:
        return {}
    return {"trainer": partial(train_published, name), "code": [sys.modules[__name__]]}


def lengths(folder: Path) -> dict[str, float]:
    """Median, 5th and 95th percentile of the features' lengths in a dictionary's decoder.

    Lengths as learnt, on activations of norm √d_in; 1 for a dictionary that has none of NORMS.
    """
    path = folder / NORMS
    norms = pd.read_csv(path)["norm"].to_numpy() if path.is_file() else np.ones(1)
    middle, low, high = np.quantile(norms, [0.5, 0.05, 0.95])
    return {"length": float(middle), "length_low": float(low), "length_high": float(high)}

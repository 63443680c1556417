"""Models and dictionaries in memory, ready to read what somebody types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from transformers import PreTrainedTokenizerBase

from featrack_utils.dictionaries.features import Features
from featrack_utils.errors import FeatrackError
from featrack_utils.lineage import Lineage, label
from featrack_utils.models import capture, loading
from featrack_utils.pipeline import store

if TYPE_CHECKING:
    from sae_lens import SAE
    from transformer_lens.model_bridge import TransformerBridge


class LiveModel(NamedTuple):
    """A model with its dictionary of seed 0.

    Attributes:
        name: as the lineage has it.
        peaks: each feature's greatest activation on the evaluation mix.
    """

    name: str
    bridge: TransformerBridge
    sae: SAE
    peaks: Float[np.ndarray, " d_sae"]


def open_models(
    run_dir: Path, lineage: Lineage, found: Mapping[str, Features]
) -> dict[str, LiveModel]:
    """The models of a run; `found` holds the features of each one's dictionary of seed 0.

    Raises FeatrackError: a model or dictionary is missing or damaged.
    """
    from featrack_utils.dictionaries.training import load_sae  # takes seconds to load

    return {
        name: LiveModel(
            name,
            loading.boot(store.opened(run_dir / "models" / name)),
            load_sae(store.opened(run_dir / "saes" / f"{name}-0")),
            found[f"{name}-0"].acts.max(axis=0).toarray().ravel(),
        )
        for name in lineage.order
    }


def encode(tokenizer: PreTrainedTokenizerBase, text: str, limit: int) -> list[int]:
    """Token ids of a text, led by the token that begins every document.

    A text that spells that token out gets ordinary tokens for it. `limit` counts all ids.

    Raises FeatrackError: no text, more tokens than `limit`, or text that isn't valid Unicode.
    """
    if not text:
        raise FeatrackError("There is no text to read: type some.")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise FeatrackError(
            f"Character {error.start + 1} of the text is half of a surrogate pair, which is no "
            "character: delete it."
        ) from None
    ids = tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True, verbose=False)
    if len(ids) >= limit:
        raise FeatrackError(
            f"The text has {len(ids):,} tokens and the models read at most {limit - 1:,}: "
            "shorten it."
        )
    return [tokenizer.bos_token_id, *ids]


def check_feature(live: LiveModel, feature: int) -> int:
    """The number of a feature; raises FeatrackError if the dictionary has no such one."""
    if not 0 <= feature < len(live.peaks):
        raise FeatrackError(
            f"{label(live.name)} has no feature {feature:,}: "
            f"choose a number from 0 to {len(live.peaks) - 1:,}."
        )
    return feature


@torch.no_grad()
def feature_acts(live: LiveModel, ids: Sequence[int]) -> Float[np.ndarray, "n d_sae"]:
    """Activations of all features on all tokens but the first, which no dictionary has seen."""
    acts = capture.mlp_activations(live.bridge, torch.tensor([list(ids)]))
    return live.sae.encode(acts[0, 1:]).numpy()

"""What a feature does to the next token's logits: the tokens it raises and those it lowers."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from safetensors.numpy import load_file

from featrack_utils.errors import FeatrackError

_CHUNK = 512  # features whose effects on the whole vocabulary are held at once
_OUT, _NORM = "model.layers.0.mlp.down_proj.weight", "model.norm.weight"
_UNEMBED, _EMBED = "lm_head.weight", "model.embed_tokens.weight"


class Writing(NamedTuple):
    """The matrices through which a feature reaches the logits, in float64.

    Attributes:
        W_dec: one unit row per feature.
        W_out: of the MLP.
        W_U: with the final norm's gain multiplied in and the mean over the vocabulary taken
            out, since adding one number to every logit changes no probability.
    """

    W_dec: Float[np.ndarray, "d_sae d_mlp"]
    W_out: Float[np.ndarray, "d_mlp d_model"]
    W_U: Float[np.ndarray, "d_model vocab"]


class LogitEffects(NamedTuple):
    """The tokens that each feature raises most (strongest first) and lowers most, with effects.

    An effect is the change of a logit, less the mean over the vocabulary, for an activation of 1
    where the residual stream has a root mean square of 1.
    """

    up: Int[np.ndarray, "d_sae n"]
    up_effect: Float[np.ndarray, "d_sae n"]
    down: Int[np.ndarray, "d_sae n"]
    down_effect: Float[np.ndarray, "d_sae n"]


def read_writing(model_folder: Path, sae_folder: Path | None = None) -> Writing:
    """Reads the weights between a dictionary's features (None: neurons) and its model's logits.

    Raises:
        FeatrackError: the model isn't a one-layer Mistral.
    """
    model = load_file(model_folder / "model.safetensors")
    if missing := [name for name in (_OUT, _NORM) if name not in model]:
        raise FeatrackError(
            f"{model_folder} holds no {missing[0]}; logit effects are known for the one-layer "
            "Mistral of this book."
        )
    unembed = model.get(_UNEMBED, model.get(_EMBED))  # tied weights are stored once
    W_dec = np.eye(model[_OUT].shape[1])
    if sae_folder is not None:
        W_dec = load_file(sae_folder / "sae_weights.safetensors")["W_dec"]
    W_U = (unembed.astype(np.float64) * model[_NORM]).T
    W_U -= W_U.mean(axis=1, keepdims=True)
    return Writing(W_dec.astype(np.float64), model[_OUT].T.astype(np.float64), W_U)


def logit_effects(
    writing: Writing, features: Int[np.ndarray, " n"]
) -> Float[np.ndarray, "n vocab"]:
    """Direct effect of some features on every logit: W_dec W_out γ W_U (Bricken et al. 2023).

    The final RMSNorm also divides by the size of the residual stream, which a feature changes
    a little itself; that is left out, as it depends on the context.
    """
    return writing.W_dec[features] @ writing.W_out @ writing.W_U


def top_logits(model_folder: Path, sae_folder: Path, n: int) -> LogitEffects:
    """The `n` tokens that each feature of a dictionary raises most, and the `n` it lowers most.

    Raises:
        FeatrackError: what `read_writing` refuses.
    """
    writing = read_writing(model_folder, sae_folder)
    d_sae = len(writing.W_dec)
    parts = []
    for start in range(0, d_sae, _CHUNK):
        chosen = np.arange(start, min(start + _CHUNK, d_sae))
        # Rounded, so that the last bits, which depend on the number of threads, decide nothing.
        effects = logit_effects(writing, chosen).astype(np.float32)
        parts.append((*largest(effects, n), *largest(-effects, n)))
    up, up_effect, down, down_effect = map(np.concatenate, zip(*parts, strict=True))
    return LogitEffects(up, up_effect, down, -down_effect)


def largest(values: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Columns and values of each row's `n` largest entries, largest first; ties by column."""
    columns = np.sort(np.argpartition(-values, n - 1, axis=1)[:, :n], axis=1)
    order = np.argsort(-np.take_along_axis(values, columns, axis=1), axis=1, kind="stable")
    columns = np.take_along_axis(columns, order, axis=1)
    return columns.astype(np.int32), np.take_along_axis(values, columns, axis=1)

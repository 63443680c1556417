"""What a feature does to the next token's logits: the tokens it raises and those it lowers."""

import json
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from safetensors.numpy import load_file

from featrack_utils.errors import FeatrackError
from featrack_utils.lineage import SITE

_CHUNK = 512  # features whose effects on the whole vocabulary are held at once
# The names of all families: the matrix by which a part writes, the final norm, (un)embeddings.
_OUT = {
    "mlp.hook_post": r"(?:mlp\.)?(?:down_proj|c_proj|dense_4h_to_h|fc2)\.weight",
    "attn.hook_z": r"\w*att\w*\.(?:o_proj|c_proj|dense|out_proj)\.weight",
}
_NORM = r"\w+\.(?:\w+\.)?(?:norm|ln_f|final_layer_?norm)\.weight"
_UNEMBED, _EMBED = r"(?:lm_head|embed_out)\.weight", r".*\.(?:embed_tokens|wte|embed_in)\.weight"


class Writing(NamedTuple):
    """The matrices through which a feature reaches the logits, in float64.

    Attributes:
        W_dec: one unit row per feature.
        W_out: from the site to the residual stream.
        W_U: with the final norm's gain multiplied in and the mean over the vocabulary taken
            out, since adding one number to every logit changes no probability.
    """

    W_dec: Float[np.ndarray, "d_sae d_in"]
    W_out: Float[np.ndarray, "d_in d_model"]
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


def read_writing(model_folder: Path, sae_folder: Path | None = None, site: str = SITE) -> Writing:
    """Reads the weights between a dictionary's features (None: the site) and its model's logits.

    What later blocks make of a feature is left out.

    Raises:
        FeatrackError: weights of which one is none that is known.
    """
    model = load_file(model_folder / "model.safetensors")

    def named(pattern: str) -> str | None:
        return next((name for name in model if re.fullmatch(pattern, name)), None)

    _, layer, hook = site.split(".", 2)
    norm, unembed = named(_NORM), named(_UNEMBED) or named(_EMBED)  # tied weights are stored once
    out = named(rf"(?:.*\.)?(?:layers|h)\.{layer}\.{_OUT[hook]}") if hook in _OUT else None
    if not (norm and unembed and (out or hook not in _OUT)):
        raise FeatrackError(
            f"{model_folder} holds no weights that are known to lead from {site} to the logits."
        )
    gain = model[norm].astype(np.float64)
    config = model_folder / "config.json"
    if config.is_file() and json.loads(config.read_text())["model_type"].startswith("gemma"):
        gain += 1
    W_U = (model[unembed].astype(np.float64) * gain).T
    if norm.removesuffix("weight") + "bias" in model:  # LayerNorm takes the stream's mean out
        W_U -= W_U.mean(axis=0)
    W_U -= W_U.mean(axis=1, keepdims=True)
    W_out = model[out].astype(np.float64) if out else np.eye(len(W_U))
    W_out = W_out if not out or "c_proj" in out else W_out.T
    W_dec = np.eye(len(W_out))
    if sae_folder is not None:
        W_dec = load_file(sae_folder / "sae_weights.safetensors")["W_dec"].astype(np.float64)
    return Writing(W_dec, W_out, W_U)


def logit_effects(
    writing: Writing, features: Int[np.ndarray, " n"]
) -> Float[np.ndarray, "n vocab"]:
    """Direct effect of some features on every logit: W_dec W_out γ W_U (Bricken et al. 2023).

    The final RMSNorm also divides by the size of the residual stream, which a feature changes
    a little itself; that is left out, as it depends on the context.
    """
    return writing.W_dec[features] @ writing.W_out @ writing.W_U


def top_logits(model_folder: Path, sae_folder: Path, n: int, site: str = SITE) -> LogitEffects:
    """The `n` tokens that each feature of a dictionary raises most, and the `n` it lowers most.

    Raises:
        FeatrackError: what `read_writing` refuses.
    """
    writing = read_writing(model_folder, sae_folder, site)
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

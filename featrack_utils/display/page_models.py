"""Models and dictionaries for a page that runs them itself: book/_static/touch.

Each file is one call, `featrackTouch.receive("name", …)`, a classic script as the explorer's data
are: `meta` (tokenizer, vocabulary, what the models are to each other) and a file for each model.
Weights are whole numbers of up to 24 bits times a scale for each row, deflated, in base 91. See
book/method.md, "Models in the page".
"""

import json
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from IPython.display import HTML
from safetensors.numpy import load_file

from featrack_utils.display.style import colour_of
from featrack_utils.interpretation import contexts
from featrack_utils.lineage import SITE, Lineage, label
from featrack_utils.pipeline import store

FORMAT = 3
LARGEST = 4_000_000  # numbers in a model with its dictionary; from 2.25 million a file is over 4 MB
# Steps of a row's root mean square, as a power of two. An error of the embedding or the encoder is
# in every feature; an unembedding row moves one logit, a decoder row says what one feature writes.
PRECISION = {"embed": 11.25, "unembed": 8.8, "enc": 11, "dec": 5.2}
OTHERS = 13  # attention and MLP, the fewest numbers
# Of a normal row, a number in such steps takes 2.05 bits more than that, and half a bit in packing.
# All steps are finer where 4 MB have room for it, until float32's own rounding is as coarse.
SPREAD, ROOM, ENOUGH = 2.55, 26_000_000, 8
HALF = 0x8080  # added to every number, so that high bytes of small ones are alike for either sign
_AT = "../_static/touch"  # seen from a page of the book
STYLES = ["touch.css"]
SCRIPTS = ["../explorer/text.js", *(f"{name}.js" for name in ("core", "client", "panels"))]
_LAYER = "model.layers.0."
_WEIGHTS = {
    "embed": "model.embed_tokens.weight",
    "norm1": _LAYER + "input_layernorm.weight",
    **{name: f"{_LAYER}self_attn.{name}_proj.weight" for name in "qkvo"},
    "norm2": _LAYER + "post_attention_layernorm.weight",
    **{name: f"{_LAYER}mlp.{name}_proj.weight" for name in ("gate", "up", "down")},
    "norm": "model.norm.weight",
    "unembed": "lm_head.weight",
}
_SUPPORTED = {
    "model_type": "mistral",
    "num_hidden_layers": 1,
    "hidden_act": "silu",
    "tie_word_embeddings": False,
}


def unfit(run: Path, lineage: Lineage) -> str:
    """Why a page can't run the models of a run, as the end of a sentence; "" if it can."""
    if lineage.site != SITE:
        return f"the page takes activations from {SITE} alone, and these come from {lineage.site}"
    for model in lineage.order:
        folder = store.opened(run / "models" / model)
        config, sae = _config(folder), _sae_config(run, model)
        odd = [name for name, value in _SUPPORTED.items() if config.get(name) != value]
        rope = config.get("rope_parameters") or {}
        if rope.get("rope_type", "default") != "default":
            odd.append("rope_type")
        if (config.get("sliding_window") or np.inf) < config.get("max_position_embeddings", 0):
            odd.append("sliding_window")
        if odd:
            return f"the page computes one-layer Mistral models, and {model} has another {odd[0]}"
        kind = sae.get("architecture")
        if kind not in ("standard", "jumprelu") or sae.get("normalize_activations") != "none":
            return f"the page computes no dictionary such as {model}'s, which is of kind {kind}"
        if _sizes(run, model) != _sizes(run, lineage.root):
            return f"the page takes one configuration for all, and {model}'s isn't {lineage.root}'s"
        numbers = 2 * sae["d_in"] * sae["d_sae"] + 2 * config["vocab_size"] * config["hidden_size"]
        if numbers > LARGEST:
            return f"{model} with its dictionary has more than {LARGEST / 1e6:.0f} million numbers"
        if not _plain_bpe(json.loads((folder / "tokenizer.json").read_text("utf-8"))):
            return "the page knows no tokenizer but plain byte-level BPE"
    return ""


def write_models(folder: Path, run: Path, lineage: Lineage, way: Mapping[str, Any]) -> None:
    """Fills `folder` with the page's files; `way` says between which models it goes, and marks."""
    folder.mkdir(exist_ok=True)
    models = [run / "models" / model for model in lineage.order]
    _write(folder, "meta", json.dumps(_meta(run, lineage, models[0], way)))
    for model, at in zip(lineage.order, models, strict=True):
        weights = load_file(at / "model.safetensors")
        tensors = {name: weights[stored] for name, stored in _WEIGHTS.items()}
        shapes, packed = pack(tensors | _dictionary(run, model))
        _write(folder, model, json.dumps(shapes), str(len(packed)), f'"{base91(packed)}"')


def pack(tensors: Mapping[str, np.ndarray]) -> tuple[list[tuple[str, int, int]], bytes]:
    """Names and shapes of tensors, and their numbers: scales, then high, middle and low bytes.

    A row's step is its root mean square / 2^(precision + spare), or more where 24 bits wouldn't
    hold its largest. A vector is a column, where the one number of a row is its step.
    """
    sizes = [values.size for values in tensors.values()]
    mean = np.average([PRECISION.get(name, OTHERS) for name in tensors], weights=sizes)
    spare = np.clip(ROOM / sum(sizes) - mean - SPREAD, 0, ENOUGH)
    shapes, scales, numbers = [], [], []
    for name, values in tensors.items():
        rows = values.reshape(len(values), -1).astype(np.float64)
        scale = rows.astype("<f4")
        if rows.shape[1] > 1:
            step = np.sqrt((rows**2).mean(axis=1, keepdims=True))
            step /= 2 ** (PRECISION.get(name, OTHERS) + spare)
            step = np.maximum(step, np.abs(rows).max(axis=1, keepdims=True) / (2**23 - 4 * HALF))
            scale = (step.astype("<f4").view("<u4") & 0xFFFF0000).view("<f4")  # 8 bits do as well
        scale[scale == 0] = 1
        shapes.append((name, *rows.shape))
        scales.append(scale)
        numbers.append((np.rint(rows / scale) + HALF).astype("<i4").ravel())
    whole = np.concatenate(scales).view("u1").T.tobytes()  # bytes that are zero lie together
    whole += np.concatenate(numbers).view("u1").reshape(-1, 4).T[2::-1].tobytes()  # high ones first
    # Weights don't repeat, but small numbers are frequent.
    deflate = zlib.compressobj(9, zlib.DEFLATED, 15, 9, zlib.Z_RLE)
    return shapes, deflate.compress(whole) + deflate.flush()


def base91(data: bytes) -> str:
    r"""Bytes as printable ASCII without `"` and `\`, 13 bits in two characters."""
    bits = np.unpackbits(np.frombuffer(data, "u1"))
    bits = np.pad(bits, (0, -len(bits) % 13)).reshape(-1, 13)
    signs = np.array([c for c in range(35, 127) if c != ord("\\")], "u1")
    return signs[np.stack(np.divmod(bits @ (1 << np.arange(12, -1, -1)), 91), 1)].tobytes().decode()


def panel(kind: str) -> HTML:
    """A place for one of the page's controls: type, slide or ablate."""
    return HTML(
        f'<div class="featrack-touch" data-panel="{kind}"><p><em>A control stands here where the '
        "page can run the models; the still picture of this section shows the same.</em></p></div>"
    )


def scripts() -> HTML:
    """What makes controls of the page's panels, once a page."""
    styles = [f'<link rel="stylesheet" href="{_AT}/{name}">' for name in STYLES]
    parts = [f'<script defer src="{_AT}/{name}"></script>' for name in SCRIPTS]
    return HTML("\n".join([*styles, *parts]))


def _meta(run: Path, lineage: Lineage, first: Path, way: Mapping[str, Any]) -> dict[str, Any]:
    from transformers import AutoTokenizer  # slow to load
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    tokenizer = AutoTokenizer.from_pretrained(first, local_files_only=True)
    bpe = json.loads((first / "tokenizer.json").read_text("utf-8"))["model"]
    number = bpe["vocab"]
    pairs = (pair if isinstance(pair, list) else pair.split(" ") for pair in bpe["merges"])
    return {
        "format": FORMAT,
        "models": [
            {"key": key, "label": label(key), "colour": colour_of(key)} for key in lineage.order
        ],
        "d_sae": _sae_config(run, lineage.root)["d_sae"],
        "vocab": contexts.vocabulary(tokenizer),
        "bos": tokenizer.bos_token_id,
        "tokenizer": {
            "bytes": [number[sign] for _, sign in sorted(bytes_to_unicode().items())],
            "merges": [number[part] for a, b in pairs for part in (a, b, a + b)],
        },
        "shape": _shape(_config(first)),
        "centred": {m: _sae_config(run, m)["apply_b_dec_to_input"] for m in lineage.order},
        "way": way,
    }


def _shape(config: Mapping[str, Any]) -> dict[str, Any]:
    heads = config["num_attention_heads"]
    return {
        "heads": heads,
        "kv_heads": config["num_key_value_heads"],
        "head_size": config.get("head_dim") or config["hidden_size"] // heads,
        "theta": (config.get("rope_parameters") or config)["rope_theta"],
        "eps": config["rms_norm_eps"],
        "context": config["max_position_embeddings"],
    }


def _sizes(run: Path, model: str) -> dict[str, Any]:
    """What must be alike in models that the page computes: it is told of one for all."""
    config, sae = _config(run / "models" / model), _sae_config(run, model)
    widths = {name: config[name] for name in ("hidden_size", "intermediate_size", "vocab_size")}
    return _shape(config) | widths | {name: sae[name] for name in ("d_in", "d_sae")}


def _dictionary(run: Path, model: str) -> dict[str, np.ndarray]:
    from featrack_utils.dictionaries.training import load_sae  # takes seconds to load

    sae = load_sae(run / "saes" / f"{model}-0")
    parts = {name: value.detach().numpy() for name, value in sae.state_dict().items()}
    return {
        "enc": parts["W_enc"].T,
        "dec": parts["W_dec"],
        "bias": parts["b_enc"],
        "dec_bias": parts["b_dec"],
        "threshold": parts.get("threshold", np.zeros_like(parts["b_enc"])),
    }


def _plain_bpe(tokenizer: Mapping[str, Any]) -> bool:
    model, splits = tokenizer["model"], tokenizer["pre_tokenizer"] or {}
    return (
        model["type"] == "BPE"
        and not tokenizer["normalizer"]
        and not any(model.get(name) for name in ("dropout", "ignore_merges", "byte_fallback"))
        and (splits.get("type"), splits.get("add_prefix_space")) == ("ByteLevel", False)
        and splits.get("use_regex", True)
    )


def _config(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "config.json").read_text("utf-8"))


def _sae_config(run: Path, model: str) -> dict[str, Any]:
    return json.loads((store.opened(run / "saes" / f"{model}-0") / "cfg.json").read_text("utf-8"))


def _write(folder: Path, name: str, *arguments: Iterable[str]) -> None:
    script = f"featrackTouch.receive({','.join((json.dumps(name), *arguments))});\n"
    (folder / f"{name}.js").write_text(script, "ascii")

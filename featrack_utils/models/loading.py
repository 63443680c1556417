"""Language models from outside and from the run: found, checked, opened, wrapped, taken apart."""

import hashlib
import json
import re
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging as hf_logging

from featrack_utils.corpora.hub import recorded, refusal, warn_if_changed
from featrack_utils.corpora.tokenizer import same_tokens, saved_tokenizer
from featrack_utils.errors import FeatrackError
from featrack_utils.lineage import Lineage

if TYPE_CHECKING:
    from transformer_lens.model_bridge import TransformerBridge

_PARTS = {"att": "attention", "mlp": "MLP", "fc": "MLP", "emb": "embedding", "wte": "embedding"}
_PARTS |= {"wpe": "embedding", "lm_head": "unembedding"}
_WEIGHTS = "model.safetensors"
_INDEX = f"{_WEIGHTS}.index.json"
_SMALL_FILES = ["*.json", "*.txt", "*.model", "*.jinja"]  # all but the weights
_WRITES = ("ForCausalLM", "LMHeadModel")  # endings of the classes that predict the next token


class Found(NamedTuple):
    """A model that the profile loads, found and looked over; its weights aren't read yet."""

    name: str
    folder: Path
    revision: str  # the commit on the hub; "" for a folder
    config: PreTrainedConfig
    tokenizer: PreTrainedTokenizerBase

    @property
    def d_mlp(self) -> int:
        """The number of neurons of a block's MLP."""
        shape = self.config.get_text_config()
        given = (getattr(shape, key, None) for key in ("intermediate_size", "n_inner", "ffn_dim"))
        return next(filter(None, given), 4 * shape.hidden_size)

    def width(self, hook: str) -> int:
        """The number of numbers a token has at a hook point of a block."""
        shape = self.config.get_text_config()
        if hook != "attn.hook_z":
            return self.d_mlp if hook == "mlp.hook_post" else shape.hidden_size
        heads = shape.num_attention_heads
        return heads * (getattr(shape, "head_dim", None) or shape.hidden_size // heads)


def find(
    name: str, entry: Mapping[str, Any], made: Path | None = None, *, weights: bool = False
) -> Found:
    """Finds the model of an entry ``{load: …, revision: …}``, in a folder or on the hub.

    made: the run's copy of it; if it is from the hub, the commit that this was made from is found,
        whatever the hub has now.
    weights: whether to fetch them, too, from the hub.

    Raises:
        FeatrackError: no such folder or name, no network, a gated model; weights that would have
            to be unpickled, or that are incomplete; a model that needs code of its own or doesn't
            predict the next token; no tokenizer, or one that no document can be led by.
    """
    where, source = f"models.{name}.load", str(entry["load"])
    asked, revision = entry.get("revision"), ""
    if (folder := Path(source).expanduser()).is_dir():
        files: Collection[str] = {path.name for path in folder.iterdir()}
    elif re.fullmatch(r"[\w-][\w.-]*(/[\w.-]+)?", source) and not folder.exists():
        before = recorded(made)
        same = (before.get("load"), before.get("asked")) == (source, asked)
        pin = before.get("commit") if same else None
        folder, files = _from_hub(where, source, pin or asked, weights)
        revision = folder.name
        if pin and not weights:
            warn_if_changed(where, "model", source, asked, pin, made)
    else:
        raise FeatrackError(f"{where} is {source}, and no such folder is there; mend the path.")
    _require_weights(where, folder, files)
    config = _config(where, folder)
    try:
        tokenizer = saved_tokenizer(folder)
    except FeatrackError as error:
        raise FeatrackError(f"{where}: {error}") from error
    if len(tokenizer) > config.get_text_config().vocab_size:
        raise FeatrackError(
            f"{where}: the tokenizer has {len(tokenizer)} tokens and the model knows "
            f"{config.get_text_config().vocab_size}; save the two that belong together."
        )
    return Found(name, folder, revision, config, tokenizer)


def find_all(lineage: Lineage, context: int, run: Path | None = None) -> dict[str, Found]:
    """All models that a lineage loads, by name, once they are known to be comparable.

    run: those on the hub are found at the commits from which this run has made its copies.

    Raises:
        FeatrackError: what `find` refuses, two tokenizers, a site beyond a model's last block, a
            context longer than a model reads, merged models of different shapes.
    """
    found = {
        name: find(name, lineage.models[name], run and run / "models" / name)
        for name in lineage.loaded
    }
    for name, model in found.items():
        config = model.config.get_text_config()
        if lineage.layer >= config.num_hidden_layers:
            raise FeatrackError(
                f"site is {lineage.site}, and models.{name} has {config.num_hidden_layers} blocks; "
                f"the nearest is blocks.{config.num_hidden_layers - 1}.{lineage.hook}."
            )
        longest = getattr(config, "max_position_embeddings", None) or context
        if context > longest:
            raise FeatrackError(
                f"corpora.context is {context}, and models.{name} reads {longest} tokens at most; "
                "lower it."
            )
        first = next(iter(found.values()))
        if not same_tokens(first.tokenizer, model.tokenizer):
            each = [
                f"models.{m.name} ({type(m.tokenizer).__name__} of {len(m.tokenizer)} tokens)"
                for m in (first, model)
            ]
            raise FeatrackError(
                f"{' and '.join(each)} have different tokenizers; only models that read the same "
                "tokens can be compared."
            )
    for merge in lineage.merges:
        kin = (*lineage.parents(merge), merge)
        require_one_shape(merge, [found[name] for name in kin if name in found])
    return found


def require_one_shape(merge: str, models: Collection[Found]) -> None:
    """Raises FeatrackError if models that a merge is made of, or it itself, differ in shape."""
    shapes = {model.name: _shape(model) for model in models}
    for name, shape in shapes.items():
        if shape != (first := next(iter(shapes.values()))):
            raise FeatrackError(
                f"models.{merge} is a merge, and models.{next(iter(shapes))} ({first}) and "
                f"models.{name} ({shape}) are not of one shape; merge models of one architecture."
            )


def _shape(model: Found) -> str:
    shape = model.config.get_text_config()
    return (
        f"{shape.model_type}, {shape.num_hidden_layers} blocks, width {shape.hidden_size}, MLP "
        f"{model.d_mlp}, {shape.vocab_size} tokens"
    )


def tokenizer_folder(source: str, corpora: Path) -> Path:
    """The folder of a saved model, or its copy from the hub, whose tokenizer is to be taken.

    corpora: the run's own; what these were cut with is found again, whatever the hub has now.

    Raises:
        FeatrackError: neither a folder nor on the hub, or what `refusal` names.
    """
    if (folder := Path(source).expanduser()).is_dir():
        return folder
    before = Path(recorded(corpora).get("tokenizer_from", ""))
    pin = before.name if "models--" + source.replace("/", "--") in before.parts else None
    return _from_hub("corpora.tokenizer_from", source, pin, weights=False)[0]


def record(found: Found, entry: Mapping[str, Any]) -> dict[str, Any]:
    """What a run keeps on where a model came from, with which `find` finds it again."""
    origin = {"load": entry["load"], "asked": entry.get("revision"), "commit": found.revision}
    return {"files": fingerprint([found])} | (origin if found.revision else {})


def fingerprint(found: Collection[Found]) -> str:
    """Changes whenever a file of a loaded model does, or what the hub has under its name."""
    states = [f"{model.name} {model.revision}" for model in found if model.revision]
    states += [
        f"{model.name} {path} {path.stat().st_size} {path.stat().st_mtime_ns}"
        for model in found
        for path in sorted(model.folder.iterdir())
        if not model.revision and path.suffix in (".json", ".safetensors")
    ]
    return hashlib.sha256("\n".join(states).encode(errors="surrogateescape")).hexdigest()


def require_finite(model: Found) -> None:
    """Reads a found model's weights through.

    Raises:
        FeatrackError: a damaged file, or a weight that is NaN or infinite.
    """
    for path in sorted(model.folder.glob("*.safetensors")):
        try:
            with safe_open(path, "pt") as file:
                for key in file.keys():  # noqa: SIM118 (not a mapping)
                    tensor = file.get_tensor(key)
                    if tensor.is_floating_point() and not tensor.isfinite().all():
                        raise FeatrackError(
                            f"models.{model.name}.load: {key} holds numbers that aren't finite; "
                            "the training that wrote it has diverged."
                        )
        except (SafetensorError, OSError) as error:
            raise FeatrackError(
                f"models.{model.name}.load: {path} is damaged ({error}); fetch or save it again."
            ) from error


def bring_in(name: str, entry: Mapping[str, Any], folder: Path) -> None:
    """Saves a model from outside like one of the run: one file in float32, its tokenizer beside.

    Raises:
        FeatrackError: what `find` and `require_finite` refuse, weights that don't fit the model.
    """
    found = find(name, entry, weights=True)
    require_finite(found)
    try:
        model, seen = AutoModelForCausalLM.from_pretrained(
            found.folder,
            dtype=torch.float32,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    except Exception as error:  # shapes, names, kinds: transformers raises whatever it likes
        reason = str(error).strip().splitlines()[0].rstrip(".")
        raise FeatrackError(f"models.{name}.load can't be opened: {reason}.") from error
    if missing := sorted(seen["missing_keys"]):
        raise FeatrackError(
            f"models.{name}.load lacks the weights {missing[0]}, which would be random; save the "
            "whole model."
        )
    model.save_pretrained(folder, max_shard_size="1TB")
    found.tokenizer.save_pretrained(folder)


def _from_hub(
    where: str, source: str, revision: object, weights: bool
) -> tuple[Path, Collection[str]]:
    """The folder of a snapshot, and the names of its files; without weights, of all there are."""
    from huggingface_hub import HfApi, snapshot_download

    asked = None if revision is None else str(revision)
    patterns = [*_SMALL_FILES, "*.safetensors"] if weights else _SMALL_FILES
    try:
        folder = Path(snapshot_download(source, revision=asked, allow_patterns=patterns))
    except Exception as error:  # sockets, HTTP, hub: no common ancestor
        raise refusal(where, "folder here and no model", source, error) from error
    local = {path.name for path in folder.iterdir()}
    if _WEIGHTS not in local:  # without a network the question is repeated for half a minute
        with suppress(Exception):  # and what was fetched before has to do
            local |= {*HfApi().list_repo_files(source, revision=folder.name)}
    return folder, local


def _require_weights(where: str, folder: Path, files: Collection[str]) -> None:
    if _WEIGHTS in files:
        return
    if _INDEX in files:
        named = {*json.loads((folder / _INDEX).read_text())["weight_map"].values()}
        if missing := sorted(named - {*files}):
            raise FeatrackError(f"{where}: {folder}/ lacks {missing[0]}; copy it there, too.")
        return
    if any(re.fullmatch(r"model-\d+-of-\d+\.safetensors", name) for name in files):
        what = f"holds a model in parts, and not {_INDEX}, which says what is where; copy it, too"
    elif any(name.startswith("adapter_model") for name in files):
        what = "holds an adapter alone; merge it into its model and save that"
    elif any(name.endswith((".bin", ".pt", ".pth", ".ckpt")) for name in files):
        what = "holds pickled weights only, which are never opened; save them as safetensors"
    else:
        what = f"holds no {_WEIGHTS}; name a folder that save_pretrained has written"
    raise FeatrackError(f"{where}: {folder}/ {what}.")


def _config(where: str, folder: Path) -> PreTrainedConfig:
    given: Mapping[str, Any] = {}
    try:
        given = json.loads((folder / "config.json").read_text())
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        why = (
            f"{folder}/config.json is missing or names no kind of model that transformers knows; "
            "name a folder that save_pretrained has written"
        )
        if "auto_map" in given:
            why = "the model needs code of its own, which is never run; convert it to a known kind"
        raise FeatrackError(f"{where}: {why}.") from error
    kinds = given.get("architectures") or ["model of unknown kind"]
    if not kinds[0].endswith(_WRITES):
        raise FeatrackError(
            f"{where} is a {kinds[0]}, which doesn't predict the next token; name a causal "
            "language model."
        )
    return config


def load_model(folder: Path) -> PreTrainedModel:
    """Loads a saved model in float32, ready for evaluation."""
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, local_files_only=True, use_safetensors=True
    )
    return model.eval()


def boot(folder: Path, device: str = "cpu") -> "TransformerBridge":
    """Wraps a saved model (model and tokenizer in one folder) in TransformerLens' hooks."""
    from transformer_lens.model_bridge import TransformerBridge  # takes seconds to load

    return TransformerBridge.boot_transformers(str(folder), device=device).eval()


def part_of(parameter: str) -> str:
    """The part of a model that a parameter belongs to: attention, MLP, …; norms for the gains."""
    if "norm" in parameter:
        return "norms"
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

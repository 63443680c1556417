"""mergekit recipes: the YAML that a merged model is written from, and running it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import torch
import yaml
from safetensors import safe_open

from featrack_utils.errors import FeatrackError
from featrack_utils.merge import check_t

# What mergekit calls base_model: the parent at t = 0 for slerp, none for linear, and the model
# that updates are counted from for the rest.
_BASE_MODEL = {
    "slerp": "lua",
    "linear": None,
    "nuslerp": "base",
    "task_arithmetic": "base",
    "ties": "base",
    "dare_ties": "base",
}
METHODS = tuple(_BASE_MODEL)


def write_recipe(
    path: Path,
    lua_dir: Path,
    stories_dir: Path,
    base_dir: Path,
    t: float,
    method: str = "slerp",
    dtype: str = "float32",
    parameters: Mapping[str, float | bool] | None = None,
) -> None:
    """Writes a mergekit recipe that anyone can re-run with `mergekit-yaml`.

    Model folders are named relative to the recipe's own folder, so that the tree can move.
    mergekit computes in float64 and writes `dtype`. t = 0 is Lua. The weights of Lua and Stories
    are 1 − t and t in every method; nuslerp, task arithmetic, TIES and DARE apply them to the
    updates from the base.

    parameters: further mergekit parameters for both models, such as `density` (TIES, DARE: share
        of each update that is kept) or `lambda` (scale of the merged update).
    Raises: FeatrackError for an unknown method or a t outside [0, 1].
    """
    t = check_t(t)
    if method not in _BASE_MODEL:
        raise FeatrackError(
            f"Merge method {method!r} is unknown; choose one of {', '.join(METHODS)}."
        )
    folders = {
        name: Path(os.path.relpath(folder, path.parent)).as_posix()
        for name, folder in (("lua", lua_dir), ("stories", stories_dir), ("base", base_dir))
    }
    recipe: dict = {"merge_method": method}
    if base_model := _BASE_MODEL[method]:
        recipe["base_model"] = _reference(folders[base_model])
    lua, stories = ({"model": _reference(folders[name])} for name in ("lua", "stories"))
    shared = dict(parameters or {})
    if method == "slerp":
        shared["t"] = t
    else:
        lua["parameters"], stories["parameters"] = {"weight": 1 - t}, {"weight": t}
    recipe["models"] = [lua, stories]
    if shared:
        recipe["parameters"] = shared
    # The arithmetic of METHOD.md §2 is float64; only the result is rounded.
    recipe["dtype"], recipe["out_dtype"] = "float64", dtype
    path.write_text(
        f"# {method} of the Lua and the Stories fine-tune; t = {t:g}, where 0 is Lua, 1 Stories.\n"
        f"# Paths start at this file's folder. To merge again, there:\n"
        f"#   mergekit-yaml {path.name} merged-again\n" + yaml.safe_dump(recipe, sort_keys=False),
        encoding="utf-8",
    )


def run_recipe(recipe_yaml: Path, out_dir: Path, seed: int = 0) -> None:
    """Runs a mergekit recipe on the CPU and writes model, configuration and tokenizer.

    The tokenizer comes from the recipe's base_model (else its first model). The seed matters to
    methods that drop weights at random (DARE); the global generator is left as it was.
    Raises: FeatrackError for an unreadable recipe, a folder that holds no model, a model that
        mergekit refuses, or a result that lacks a parent's parameter or the tokenizer.
    """
    # mergekit takes seconds to import, which a reader of the sweep should not wait for.
    from mergekit.config import MergeConfiguration
    from mergekit.merge import MergeOptions, run_merge

    recipe = _read_recipe(recipe_yaml)
    folders = _anchor(recipe, recipe_yaml.parent)
    for folder in folders:
        if not (folder / "config.json").is_file():
            raise FeatrackError(
                f"{recipe_yaml} names the model folder {folder}, which holds no config.json; "
                "train that model first or mend the path."
            )
    # No card: it would repeat the recipe with this machine's paths in it.
    options = MergeOptions(device="cpu", quiet=True, copy_tokenizer=True, write_model_card=False)
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(seed)
            run_merge(MergeConfiguration.model_validate(recipe), str(out_dir), options)
    except Exception as error:  # mergekit raises anything from KeyError to RuntimeError
        raise FeatrackError(
            f"mergekit could not run {recipe_yaml}: {' '.join(str(error).split())}; "
            "check that its models are of one architecture and its parameters are known."
        ) from error
    _check_result(out_dir, folders)


def _reference(folder: str) -> str | dict:
    # In mergekit's short form "+" starts an adapter and "@" a revision.
    return {"model": {"path": folder}} if set(folder) & set("+@") else folder


def _read_recipe(recipe_yaml: Path) -> dict:
    try:
        recipe = yaml.safe_load(recipe_yaml.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise FeatrackError(
            f"The merge recipe {recipe_yaml} can't be read ({' '.join(str(error).split())}); "
            "write it again."
        ) from error
    if not isinstance(recipe, dict) or not isinstance(recipe.get("models"), list):
        raise FeatrackError(
            f"The merge recipe {recipe_yaml} names no models; write it again as mergekit's YAML."
        )
    return recipe


def _anchor(recipe: dict, folder: Path) -> list[Path]:
    """Makes the recipe's model paths absolute, in place; returns them, base_model first."""
    holders = [(recipe, "base_model")] if recipe.get("base_model") else []
    holders += [(model, "model") for model in recipe["models"]]
    found = []
    for holder, key in holders:
        named = holder[key]
        path = (folder / (named if isinstance(named, str) else named["model"]["path"])).resolve()
        holder[key] = {"model": {"path": str(path)}}
        found.append(path)
    return found


def _parameter_shapes(folder: Path) -> dict[str, list[int]]:
    shapes = {}
    for shard in sorted(folder.glob("*.safetensors")):
        with safe_open(shard, framework="pt") as tensors:
            shapes |= {name: tensors.get_slice(name).get_shape() for name in tensors.keys()}
    return shapes


def _check_result(out_dir: Path, parents: list[Path]) -> None:
    written = _parameter_shapes(out_dir)
    for parent in parents:
        if _parameter_shapes(parent) != written:
            raise FeatrackError(
                f"The merged model in {out_dir} does not hold the parameters of {parent}; "
                "merge models of one architecture with untied embeddings."
            )
    if not (out_dir / "tokenizer.json").is_file():
        raise FeatrackError(
            f"The merged model in {out_dir} has no tokenizer, since {parents[0]} has none; "
            "save the tokenizer with that model."
        )

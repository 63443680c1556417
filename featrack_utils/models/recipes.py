"""mergekit recipes: the YAML that a merged model is written from, and running it."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from numbers import Real
from pathlib import Path
from typing import NamedTuple

import torch
import transformers
import yaml
from safetensors import safe_open

from featrack_utils.errors import FeatrackError
from featrack_utils.models.merging import check_t


class _NoAliases(yaml.SafeDumper):
    """A reader should see a path twice rather than an anchor and an alias."""

    def ignore_aliases(self, data: object) -> bool:
        return True


class _Method(NamedTuple):
    mixes_updates: bool  # from the base, rather than the models themselves
    parameters: tuple[str, ...]  # what a recipe may set besides t


_METHODS = {
    "slerp": _Method(False, ()),
    "linear": _Method(False, ()),
    "nuslerp": _Method(True, ()),
    "task_arithmetic": _Method(True, ("lambda",)),
    "ties": _Method(True, ("density", "lambda")),
    "dare_ties": _Method(True, ("density", "lambda")),
}
METHODS = tuple(_METHODS)


def write_recipe(
    path: Path,
    lua_dir: Path,
    stories_dir: Path,
    base_dir: Path,
    t: float,
    method: str = "slerp",
    dtype: str = "float32",
    parameters: Mapping[str, float] | None = None,
) -> None:
    """Writes a mergekit recipe that anyone can re-run with `mergekit-yaml`.

    Model folders are named relative to the recipe's own folder, so that the tree can move.
    mergekit computes in float64 and writes `dtype`. t = 0 is Lua. Lua and Stories weigh 1 − t and
    t in every method. slerp and linear mix the models and have no use for `base_dir`; the others
    mix the updates from the base. As the weights add up to 1, task arithmetic with `lambda` 1 is
    the linear merge; TIES divides by the weights of the updates that agree in sign.

    parameters: mergekit's, for both models: `density` (TIES, DARE; share of each update that is
        kept, in (0, 1], default 1) and `lambda` (scale of the merged update, default 1).
    Raises: FeatrackError for an unknown method or parameter, or a number out of range.
    """
    t = check_t(t)
    if method not in _METHODS:
        raise FeatrackError(
            f"Merge method {method!r} is unknown; choose one of {', '.join(METHODS)}."
        )
    shared = _checked_parameters(method, parameters or {})
    lua, stories, base = (
        _reference(Path(os.path.relpath(folder, path.parent)).as_posix())
        for folder in (lua_dir, stories_dir, base_dir)
    )
    models = [{"model": lua}, {"model": stories}]
    if method == "slerp":
        shared["t"] = t
    else:
        models[0]["parameters"] = {"weight": 1 - t}
        models[1]["parameters"] = {"weight": t}
    recipe = {
        "merge_method": method,
        # For slerp the parent at t = 0; for linear only the one whose tokenizer is copied.
        "base_model": base if _METHODS[method].mixes_updates else lua,
        "models": models,
        "parameters": shared,
        # The arithmetic of METHOD.md §2 is float64; only the result is rounded.
        "dtype": "float64",
        "out_dtype": dtype,
    }
    path.write_text(
        f"# {method} of the Lua and the Stories fine-tune; t = {t:g}, where 0 is Lua, 1 Stories.\n"
        "# Paths start at this file's folder. To merge again, there:\n"
        f"#   mergekit-yaml {path.name} merged-again\n"
        + yaml.dump(recipe, Dumper=_NoAliases, sort_keys=False),
        encoding="utf-8",
    )


def run_recipe(recipe_yaml: Path, out_dir: Path, seed: int = 0) -> None:
    """Runs a mergekit recipe on the CPU and writes model, configuration and tokenizer.

    The tokenizer comes from the recipe's base_model. The seed matters to methods that drop
    weights at random (DARE); torch's global generator is left as it was.
    Raises: FeatrackError for an unreadable recipe, a folder that holds no model, a model that
        mergekit refuses, or a result that lacks a parent's parameter or the tokenizer.
    """
    # mergekit takes seconds to import, which a reader of the sweep should not wait for.
    from mergekit.config import MergeConfiguration
    from mergekit.merge import MergeOptions, run_merge

    recipe = _read_recipe(recipe_yaml)
    try:
        folders = _anchor(recipe, recipe_yaml.parent)
        t = (recipe.get("parameters") or {}).get("t", 0)
    except (AttributeError, KeyError, TypeError) as error:
        raise FeatrackError(
            f"The merge recipe {recipe_yaml} lacks base_model or models; "
            "write it again in mergekit's YAML, with folders as models."
        ) from error
    if isinstance(t, Real):  # else mergekit's own gradients and filters over layers
        check_t(t)
    for folder in folders:
        if not (folder / "config.json").is_file():
            raise FeatrackError(
                f"{recipe_yaml} names the model folder {folder}, which holds no config.json; "
                "train that model first or mend the path."
            )
    # No card: it would repeat the recipe with this machine's paths in it.
    options = MergeOptions(device="cpu", quiet=True, copy_tokenizer=True, write_model_card=False)
    verbosity = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()  # mergekit sets an attribute by its older name
    try:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            run_merge(MergeConfiguration.model_validate(recipe), str(out_dir), options)
    except Exception as error:  # mergekit raises anything from KeyError to RuntimeError
        raise FeatrackError(
            f"mergekit could not run {recipe_yaml}: {' '.join(str(error).split())}; "
            "check that its models are of one architecture and its parameters are known."
        ) from error
    finally:
        transformers.logging.set_verbosity(verbosity)
    _check_result(out_dir, folders)


def _checked_parameters(method: str, parameters: Mapping[str, float]) -> dict[str, float]:
    allowed = _METHODS[method].parameters
    for name, value in parameters.items():
        # mergekit ignores a name that it does not know
        if name not in allowed:
            raise FeatrackError(
                f"Merge method {method} takes no parameter {name!r}; "
                f"it takes {' and '.join(allowed) or 'none'}."
            )
        highest = 1.0 if name == "density" else sys.float_info.max
        if not isinstance(value, Real) or not 0 < value <= highest:
            raise FeatrackError(
                f"Merge parameter {name} is {value!r}; give a number above 0 and up to {highest:g}."
            )
    return {name: float(value) for name, value in parameters.items()}


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
    return recipe


def _anchor(recipe: dict, folder: Path) -> list[Path]:
    """Makes the recipe's model paths absolute, in place; returns them, base_model first."""
    found = []
    for holder, key in [(recipe, "base_model"), *((model, "model") for model in recipe["models"])]:
        named = holder[key]
        reference = {"model": {"path": named}} if isinstance(named, str) else named
        path = (folder / reference["model"]["path"]).resolve()
        holder[key] = {**reference, "model": {"path": str(path)}}
        found.append(path)
    return found


def _parameter_shapes(folder: Path) -> dict[str, list[int]]:
    shapes = {}
    for shard in sorted(folder.glob("*.safetensors")):
        with safe_open(shard, framework="pt") as tensors:
            names = tensors.keys()
            shapes |= {name: tensors.get_slice(name).get_shape() for name in names}
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

"""Merge recipes: mergekit's own YAML, with placeholders for the models and settings to search.

A recipe names its models `parent-1`, `parent-2`, … and `ancestor`, what the parents descend from;
one entry `parent` stands for each parent in turn. Three keys are ours, and mergekit never sees
them: `search` holds parameters with the values to try, where a list has one number for each
parent; `least_parents` and `most_parents` say which merges a recipe is for. See book/method.md,
"Ways of merging".
"""

from __future__ import annotations

import difflib
import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from featrack_utils.errors import FeatrackError
from featrack_utils.lineage import Lineage

_OURS = ("search", "least_parents", "most_parents")
_MERGEKITS = ("merge_method", "base_model", "models", "parameters", "dtype", "out_dtype")
_EXACT = {"dtype": "float64", "out_dtype": "float32"}  # only the result is rounded
_WEIGHTS = "model.safetensors"


class Recipe(NamedTuple):
    """A way of merging, for models that are named later."""

    name: str  # of its file
    template: dict[str, Any]  # mergekit's configuration, with placeholders
    search: dict[str, list[Any]]  # values to try, by parameter
    least_parents: int
    most_parents: float

    def fits(self, n_parents: int) -> bool:
        """Whether the recipe is for merges of so many parents."""
        return self.least_parents <= n_parents <= self.most_parents

    def settings(self, n_parents: int) -> list[dict[str, Any]]:
        """All combinations of the values to search; lists of another length are left out.

        Raises:
            FeatrackError: a parameter has no value for so many parents.
        """
        fitting = {
            key: [v for v in values if not isinstance(v, list) or len(v) == n_parents]
            for key, values in self.search.items()
        }
        for key, values in fitting.items():
            if not values:
                raise FeatrackError(
                    f"{self.name}.yaml searches {key} without a list for {n_parents} parents; add "
                    "one, or set most_parents."
                )
        return [dict(zip(fitting, each, strict=True)) for each in product(*fitting.values())]

    def filled(
        self, setting: Mapping[str, Any], parents: Sequence[str | Path], ancestor: str | Path
    ) -> dict[str, Any]:
        """The recipe as mergekit reads it, with a setting and the folders of models.

        Raises:
            FeatrackError: a parent that isn't there, weights that add up to zero, or a density
                outside (0, 1].
        """
        places = {f"parent-{k}": str(parent) for k, parent in enumerate(parents, start=1)}
        named = {**places, "ancestor": str(ancestor)}

        def place(name: str) -> str:
            if name not in named:
                raise FeatrackError(
                    f"{self.name}.yaml names {name!r}, which isn't there: this merge has "
                    f"{', '.join(named)}, and parent for each parent in turn."
                )
            return named[name]

        names = [
            (name, entry)
            for entry in self.template["models"]
            for name in (places if entry["model"] == "parent" else [entry["model"]])
        ]
        models = [
            {"model": place(name), "parameters": dict(entry.get("parameters", {}))}
            for name, entry in names
        ]
        shared = dict(self.template.get("parameters", {}))
        for key, value in setting.items():
            if isinstance(value, list):
                for model, one in zip(models, value, strict=True):
                    model["parameters"][key] = one
            else:
                shared[key] = value
        config = {**_EXACT, **self.template, "models": models, "parameters": shared}
        if "base_model" in config:
            config["base_model"] = place(config["base_model"])
        self._check_numbers([{**shared, **model["parameters"]} for model in models])
        return config

    def _check_numbers(self, parameters: list[dict[str, Any]]) -> None:
        for density in (each["density"] for each in parameters if "density" in each):
            if not 0 < density <= 1:
                raise FeatrackError(
                    f"{self.name}.yaml has the density {density}; it is the share of a task "
                    "vector that is kept: choose one above 0 and at most 1."
                )
        weights = [each["weight"] for each in parameters if "weight" in each]
        if weights and abs(sum(weights)) < 1e-9:
            raise FeatrackError(
                f"{self.name}.yaml has the weights {', '.join(map(str, weights))}, which add up "
                "to zero; choose others."
            )


def read_recipes(folder: Path, wanted: Iterable[str]) -> list[Recipe]:
    """The recipes of a folder by the names of their files; `all` stands for all of them.

    Raises:
        FeatrackError: one that isn't there, or a file that is no recipe.
    """
    paths = {path.stem: path for path in sorted(folder.glob("*.yaml"))}
    names = [name for one in wanted for name in (paths if one == "all" else [one])]
    for name in names:
        if name not in paths:
            near = difflib.get_close_matches(name, [*paths, "all"], n=1, cutoff=0.0)[0]
            raise FeatrackError(f"There is no {folder}/{name}.yaml; the nearest is {near}.")
    return [_read(paths[name]) for name in dict.fromkeys(names)]


def require_known(recipes: Iterable[Recipe]) -> None:
    """Checks that mergekit has each recipe's method and its parameters.

    Raises:
        FeatrackError: it hasn't, or the method needs a base_model that isn't given.
    """
    from mergekit.merge_methods import registry  # takes seconds to load
    from mergekit.merge_methods.base import BasePolicy

    known = {method.spec.name: method.spec for method in registry.registered_methods()}
    for recipe in recipes:
        file, method = f"{recipe.name}.yaml", recipe.template["merge_method"]
        if method not in known:
            near = difflib.get_close_matches(str(method), known, n=1, cutoff=0.0)[0]
            raise FeatrackError(
                f"{file}: mergekit has no method {method!r}; the nearest is {near}."
            )
        spec = known[method]
        if spec.contract.base == BasePolicy.REQUIRED and "base_model" not in recipe.template:
            raise FeatrackError(f"{file}: {method} needs a base_model; name the ancestor.")
        parts = [recipe.template, *recipe.template["models"]]
        for key in {*recipe.search}.union(*(part.get("parameters", {}) for part in parts)):
            if key not in (names := [parameter.name for parameter in spec.parameters]):
                near = difflib.get_close_matches(key, names, n=1, cutoff=0.0)
                other = f"the nearest is {near[0]}" if near else "it has none"
                raise FeatrackError(f"{file}: {method} has no parameter {key}; {other}.")


def merged(config: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """What mergekit makes of a filled recipe: tensors by name.

    seed: of what a method draws at random.

    Raises:
        FeatrackError: mergekit refuses, or the outcome isn't finite.
    """
    from mergekit.config import MergeConfiguration
    from mergekit.merge import MergeOptions, run_merge
    from safetensors.torch import load_file

    from featrack_utils.models.merging import check_fit

    named = [entry["model"] for entry in config["models"]]
    folders = dict.fromkeys([*named, config.get("base_model", named[0])])
    check_fit([load_file(Path(folder) / _WEIGHTS) for folder in folders])
    method = config["merge_method"]
    quiet = {"quiet": True, "write_model_card": False, "copy_tokenizer": False}
    with tempfile.TemporaryDirectory() as place:
        try:
            options = MergeOptions(random_seed=seed, **quiet)
            run_merge(MergeConfiguration.model_validate(dict(config)), place, options)
        except Exception as error:  # it raises whatever its parts do
            said = str(error).strip().splitlines()[0].rstrip(".")
            raise FeatrackError(f"mergekit can't merge by {method}: {said}.") from error
        state = load_file(Path(place) / _WEIGHTS)
    if odd := [name for name, tensor in state.items() if not tensor.isfinite().all()]:
        raise FeatrackError(f"The merge by {method} isn't finite in {odd[0]}; change its numbers.")
    return state


def comparable(lineage: Lineage) -> tuple[str, ...]:
    """The merges whose parents were each tuned from a common ancestor, on text that is known."""
    return tuple(
        merge
        for merge in lineage.merges
        for parents in [lineage.parents(merge)]
        if all(lineage.trained_on(parent) for parent in parents)
        and lineage.common_ancestor(parents) not in parents
    )


def _read(path: Path) -> Recipe:
    try:
        template = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise FeatrackError(f"{path} is not valid YAML: {' '.join(str(error).split())}.") from error
    if not re.fullmatch(r"[A-Za-z0-9_-]+", path.stem):
        raise FeatrackError(f"{path} needs a name of letters, digits, dashes and underscores.")
    models = template.get("models") if isinstance(template, dict) else None
    if not isinstance(models, list) or not all(
        isinstance(m, dict) and "model" in m for m in models
    ):
        raise FeatrackError(f"{path} must list its models, such as models: [{{model: parent}}].")
    for key in template:
        if key not in (*_OURS, *_MERGEKITS):
            near = difflib.get_close_matches(str(key), [*_OURS, *_MERGEKITS], n=1, cutoff=0.0)[0]
            raise FeatrackError(f"{path} has no use for {key}; the nearest known key is {near}.")
    search, least, most = (template.pop(key, None) for key in _OURS)
    search = search or {}
    if not isinstance(search, dict) or not all(isinstance(v, list) and v for v in search.values()):
        raise FeatrackError(
            f"{path} must search lists of values, such as search: {{t: [0.4, 0.6]}}."
        )
    return Recipe(path.stem, template, search, least or 1, most or float("inf"))

"""Merge recipes: mergekit's own YAML, with placeholders for the models and settings to search.

A recipe names its models `parent-1`, `parent-2`, … and `ancestor`, what the parents descend from;
one entry `parent` stands for each parent in turn. Three keys are ours, and mergekit never sees
them: `search` holds parameters with the values to try, where a list has one number for each
parent; `least_parents` and `most_parents` say which merges a recipe is for. See book/method.md,
"Ways of merging".
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from featrack_utils.errors import FeatrackError
from featrack_utils.lineage import Lineage
from featrack_utils.pipeline.profile import require_known

_OURS = ("search", "least_parents", "most_parents")
_MERGEKITS = ("merge_method", "base_model", "models", "parameters", "dtype", "out_dtype")
_EXACT = {"dtype": "float64", "out_dtype": "float32"}  # only the result is rounded


class Recipe(NamedTuple):
    """A way of merging, for models that are named later."""

    name: str  # of its file
    template: dict[str, Any]  # mergekit's configuration, with placeholders
    search: dict[str, list[Any]]  # values to try, by parameter
    least_parents: int = 1
    most_parents: float = float("inf")

    def fits(self, n_parents: int) -> bool:
        """Whether the recipe is for merges of so many parents."""
        return self.least_parents <= n_parents <= self.most_parents

    def settings(self, n_parents: int) -> list[dict[str, Any]]:
        """All combinations of the values to search; lists of another length are left out.

        Raises:
            FeatrackError: a parameter has no value for so many parents.
        """
        fitting = {}
        for key, values in self.search.items():
            fitting[key] = [v for v in values if not isinstance(v, list) or len(v) == n_parents]
            if not fitting[key]:
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
            FeatrackError: a parent that isn't there, weights that aren't numbers or add up to zero,
                or a density outside (0, 1].
        """
        places = {f"parent-{number}": str(one) for number, one in enumerate(parents, start=1)}
        entries = [
            {**entry, "model": name}
            for entry in self.template["models"]
            for name in (places if entry["model"] == "parent" else [entry["model"]])
        ]
        places["ancestor"] = str(ancestor)
        config = {**_EXACT, **self.template, "models": entries}
        for part in entries:
            part["model"] = self._place(part["model"], places)
            part["parameters"] = dict(part.get("parameters", {}))
        if "base_model" in config:
            config["base_model"] = self._place(config["base_model"], places)
        config["parameters"] = shared = dict(self.template.get("parameters", {}))
        for key, value in setting.items():
            if isinstance(value, list):
                for part, one in zip(entries, value, strict=True):
                    part["parameters"][key] = one
            else:
                shared[key] = value
        self._check_numbers([{**shared, **part["parameters"]} for part in entries])
        return config

    def _place(self, name: str, places: Mapping[str, str]) -> str:
        if name not in places:
            raise FeatrackError(
                f"{self.name}.yaml names {name!r}, which isn't there: this merge has "
                f"{', '.join(places)}, and parent for each parent in turn."
            )
        return places[name]

    def _check_numbers(self, parameters: list[dict[str, Any]]) -> None:
        for density in (each["density"] for each in parameters if "density" in each):
            if not isinstance(density, int | float) or not 0 < density <= 1:
                raise FeatrackError(
                    f"{self.name}.yaml has the density {density}; it is the share of a task "
                    "vector that is kept: choose one above 0 and at most 1."
                )
        weights = [each["weight"] for each in parameters if "weight" in each]
        if odd := [weight for weight in weights if not isinstance(weight, int | float)]:
            raise FeatrackError(f"{self.name}.yaml has the weight {odd[0]}; write a number.")
        if weights and abs(sum(weights)) < 1e-9:
            raise FeatrackError(
                f"{self.name}.yaml has the weights {', '.join(map(str, weights))}, which add up "
                "to zero; choose others."
            )


def read_recipes(folder: Path, wanted: Iterable[str]) -> list[Recipe]:
    """The recipes of a folder by the names of their files: `all` of them, "not slerp" for one less.

    Raises:
        FeatrackError: one that isn't there, or a file that is no recipe.
    """
    paths = {path.stem: path for path in sorted(folder.glob("*.yaml"))}
    chosen: dict[str, None] = {}
    for one in wanted:
        name = one.removeprefix("not ")
        require_known([name], [*paths, "all"], f"{folder}/")
        if name != one:
            chosen.pop(name, None)
        else:
            chosen |= dict.fromkeys(paths if name == "all" else [name])
    return [_read(paths[name]) for name in chosen]


def comparable(lineage: Lineage, recipes: Sequence[Recipe]) -> tuple[str, ...]:
    """The merges that a recipe is for, of parents that were each tuned from a common ancestor."""
    return tuple(
        merge
        for merge in lineage.merges
        for parents in [lineage.parents(merge)]
        if all(lineage.trained_on(parent) for parent in parents)
        and lineage.common_ancestor(parents) not in parents
        and any(recipe.fits(len(parents)) for recipe in recipes)
    )


def _read(path: Path) -> Recipe:
    try:
        template = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise FeatrackError(f"{path} is not valid YAML: {' '.join(str(error).split())}.") from error
    template = template if isinstance(template, dict) else {}
    require_known(template, [*_OURS, *_MERGEKITS], f"{path.name}: ")
    models, search = template.get("models"), template.get("search", {})
    if not isinstance(models, list) or not all(
        isinstance(m, dict) and "model" in m for m in models
    ):
        raise FeatrackError(f"{path} must list its models, such as models: [{{model: parent}}].")
    if not isinstance(search, dict) or not all(isinstance(v, list) and v for v in search.values()):
        raise FeatrackError(
            f"{path} must search lists of values, such as search: {{t: [0.4, 0.6]}}."
        )
    ours = {key: template.pop(key) for key in _OURS if key in template}
    return Recipe(path.stem, template, **{"search": {}} | ours)

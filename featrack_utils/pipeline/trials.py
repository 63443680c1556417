"""Sections of a profile that ask for dictionaries trained otherwise than the run's own."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from featrack_utils.errors import FeatrackError
from featrack_utils.pipeline.checks import known_names, need, typed

Recipe = TypeVar("Recipe")
# What the published training does otherwise: see published_training, which takes long to load.
PUBLISHED = ("wrong_axis", "over_tokens", "ten_times")


@dataclass(frozen=True)
class Robustness:
    """Changes to the section ``sae``, each a set of dictionaries that conclusions are asked of.

    ``all_pairs``: of all four conclusions, with six dictionaries a set; else of Base → Lua alone,
    with four.
    """

    sweep: list[dict[str, Any]]
    all_pairs: bool


@dataclass(frozen=True)
class Published:
    """Choices of the published code that dictionaries are trained by, too: some of PUBLISHED."""

    training: list[str]

    def __post_init__(self) -> None:
        for name in self.training:
            near = difflib.get_close_matches(name, PUBLISHED, n=1, cutoff=0.0)
            need(
                name in PUBLISHED,
                f"published.training holds {name!r}; the nearest choice is {near[0]!r}, and "
                f"there are {', '.join(PUBLISHED)}.",
            )
        need(
            len(set(self.training)) == len(self.training),
            f"published.training is {self.training}; name each choice once.",
        )


def swept(entries: Sequence[Any], sae: Recipe) -> dict[str, Recipe]:
    """The section ``sae`` under each entry of a sweep, by a name fit for a folder.

    `sae` is the profile's dataclass, whose numbers of seeds a sweep leaves alone.

    Raises:
        FeatrackError: an entry that is no mapping or empty, an unknown key (the nearest known
            one is named), a value out of its range, or two equal entries.
    """
    fields = {f.name: str(f.type) for f in dataclasses.fields(sae) if "seeds" not in f.name}
    changed: dict[str, Recipe] = {}
    for number, entry in enumerate(entries):
        where = f"robustness.sweep[{number}]"
        need(
            isinstance(entry, dict) and len(entry) > 0,
            f"{where} is {entry!r}; it must be a change such as {{expansion: 16}}.",
        )
        known_names(entry, fields, f"{where}.")
        values = {key: typed(value, fields[key], f"{where}.{key}") for key, value in entry.items()}
        name = "-".join(f"{key}-{_short(values[key])}" for key in sorted(values))
        need(name not in changed, f"{where} asks for {name} a second time; leave it out.")
        try:
            changed[name] = dataclasses.replace(sae, **values)
        except FeatrackError as error:
            raise FeatrackError(f"{where}: {error}") from None
    return changed


def check_width(where: str, sae: Any, d_mlp: int) -> None:
    """Raises FeatrackError unless a dictionary of that recipe has ``k`` features to choose."""
    d_sae = sae.expansion * d_mlp
    need(
        0 < sae.k <= d_sae,
        f"{where}.k is {sae.k}, but the dictionary has only {d_sae} features "
        f"({sae.expansion} × d_mlp {d_mlp}).",
    )


def _short(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)

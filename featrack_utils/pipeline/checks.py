"""Checks of what a reader sets: names, types and ranges of parameters."""

from __future__ import annotations

import difflib
import math
from collections.abc import Collection, Iterable
from typing import Any

from featrack_utils.errors import FeatrackError


def need(condition: bool, message: str) -> None:
    """Raises FeatrackError with the message unless the condition holds."""
    if not condition:
        raise FeatrackError(message)


def one_of(where: str, value: str, known: Collection[str]) -> None:
    """Raises FeatrackError unless the value is one of the known ones."""
    need(value in known, f"{where} is {value!r}; choose one of {', '.join(known)}.")


def at_least(section: str, parameters: Any, **minima: int) -> None:
    """Raises FeatrackError unless each named attribute is finite and not below its minimum."""
    for name, least in minima.items():
        value = getattr(parameters, name)
        need(
            math.isfinite(value) and value >= least,
            f"{section}.{name} is {value}; it must be {least} or more.",
        )


def typed(value: Any, annotation: str, where: str) -> Any:
    """The value as a number or text of the annotated type; other annotations let it pass.

    bool is an int to Python, and YAML reads 6e-4 as text: the first is refused as a number, the
    second taken for the number that it looks like. ``list[float]`` and such check every element.

    Raises:
        FeatrackError: the value is of another type.
    """
    if annotation.startswith("list["):
        need(isinstance(value, list), f"{where} is {value!r}; it must be a list in brackets.")
        return [typed(element, annotation[5:-1], where) for element in value]
    wanted = {
        "bool": bool,
        "int": int,
        "float": (int, float),
        "float | None": (int, float, type(None)),
        "str": str,
    }
    if annotation not in wanted:
        return value
    if annotation.startswith("float") and isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            raise FeatrackError(f"{where} is {value!r}; it must be a number.") from None
    is_odd = isinstance(value, bool) and annotation != "bool"
    if is_odd or not isinstance(value, wanted[annotation]):
        raise FeatrackError(f"{where} is {value!r}; it must be of type {annotation}.")
    return value


def known_names(names: Iterable[object], known: Iterable[str], where: str = "") -> None:
    """Raises FeatrackError, naming the nearest known one, unless every name is known."""
    known = [where + name for name in known]
    for name in (f"{where}{name}" for name in names):
        if name not in known:
            longer = [other for other in known if other.startswith(name)]
            near = longer or difflib.get_close_matches(name, known, n=1, cutoff=0.0)
            raise FeatrackError(
                f"Unknown parameter {name}; the nearest known one is {near[0]}."
                if near
                else f"Unknown parameter {name}; there are none to set."
            )

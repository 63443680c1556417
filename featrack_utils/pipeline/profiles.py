"""From a YAML file, and what is set over it, to a checked profile."""

from __future__ import annotations

import dataclasses
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from featrack_utils.errors import FeatrackError
from featrack_utils.interpretation.explain.settings import Interpretation
from featrack_utils.pipeline.checks import known_names, need, typed
from featrack_utils.pipeline.config import (
    Arms,
    Base,
    Corpora,
    Finetune,
    Merge,
    Profile,
    Sae,
    Tracking,
)
from featrack_utils.pipeline.trials import Published, Robustness


def load_profile(path: Path, overrides: dict[str, Any] | None = None) -> Profile:
    """Reads a profile and lays nested overrides over it.

    Args:
        path: a YAML file such as profiles/quick.yaml.
        overrides: e.g. ``{"merge": {"t": 0.4}}``; numbers may be written as text, as
            Snakemake hands over whatever is nested.

    Raises:
        FeatrackError: no such profile, or whatever `Profile` refuses.
    """
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in path.parent.glob("*.yaml")))
        raise FeatrackError(f"No profile {path.stem!r} in {path.parent}/; there are: {known}.")
    try:
        mapping = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        detail = " ".join(str(error).split())
        raise FeatrackError(f"{path} is not valid YAML: {detail}.") from error
    need(isinstance(mapping, dict), f"{path} must hold a mapping of sections to parameters.")
    mapping = {"name": path.stem, **_overlaid(mapping, _plain(overrides or {}))}
    return _parsed(Profile, mapping, where="")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):  # of mappings; text in a list is a file pattern
        return [_plain(inner) if isinstance(inner, dict) else inner for inner in value]
    if isinstance(value, str):
        with suppress(yaml.YAMLError):  # such as the file pattern *.lua
            read = yaml.safe_load(value)
            return read if isinstance(read, int | float | None) else value
    return value


def _overlaid(mapping: dict[str, Any], overrides: dict[str, Any]) -> dict[str, Any]:
    merged = dict(mapping)
    for key, value in overrides.items():
        old = merged.get(key)
        both = isinstance(old, dict) and isinstance(value, dict)
        merged[key] = _overlaid(old, value) if both else value
    return merged


_SECTIONS = {
    section.__name__.lower(): section
    for section in (
        Corpora,
        Base,
        Finetune,
        Merge,
        Sae,
        Tracking,
        Arms,
        Interpretation,
        Robustness,
        Published,
    )
}


def _parsed(cls: type, mapping: dict[str, Any], where: str) -> Any:
    need(isinstance(mapping, dict), f"{where.rstrip('.')} must be a mapping of parameters.")
    fields = {f.name: f for f in dataclasses.fields(cls)}
    known_names(mapping, fields, where)
    values = {}
    for name in fields:
        need(name in mapping, f"The profile lacks {where}{name}; add it.")
        value = mapping[name]
        if cls is Profile and name in _SECTIONS:
            value = _parsed(_SECTIONS[name], value, f"{name}.")
        values[name] = typed(value, str(fields[name].type), where + name)
    return cls(**values)

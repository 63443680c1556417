"""A profile: every number a run depends on, one YAML file, one frozen dataclass per phase."""

from __future__ import annotations

import dataclasses
import difflib
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from featrack_utils.corpora.documents import DOMAINS
from featrack_utils.errors import FeatrackError

MODELS = ("base", "lua", "stories", "merged")


def _need(condition: bool, message: str) -> None:
    if not condition:
        raise FeatrackError(message)


@dataclass(frozen=True)
class Corpora:
    """What is read, and how much of it. Sources: see featrack_utils.corpora.sources."""

    sources_of: dict[str, dict[str, Any]]
    train_tokens: dict[str, int]
    validation_tokens: int
    validation_share: float
    vocab_size: int
    context: int

    def __post_init__(self) -> None:
        for name in ("sources_of", "train_tokens"):
            missing = set(DOMAINS) ^ set(getattr(self, name))
            _need(
                not missing,
                f"corpora.{name} needs exactly the domains {', '.join(DOMAINS)}: "
                f"{', '.join(sorted(missing))} is missing or unknown.",
            )
        _need(
            0 < self.validation_share < 0.5,
            f"corpora.validation_share is {self.validation_share}; choose 0 to 0.5.",
        )
        _need(
            self.vocab_size > 256,
            f"corpora.vocab_size is {self.vocab_size}; byte-level BPE needs over 256.",
        )
        _need(self.context >= 8, f"corpora.context is {self.context}; choose 8 or more tokens.")


@dataclass(frozen=True)
class Base:
    """The base model and how it is trained."""

    d_model: int
    d_mlp: int
    n_heads: int
    n_kv_heads: int
    train_tokens: int
    learning_rate: float
    batch_blocks: int
    weight_decay: float
    warmup_share: float

    def __post_init__(self) -> None:
        _need(
            self.d_model % self.n_heads == 0 and self.n_heads % self.n_kv_heads == 0,
            f"base.n_heads {self.n_heads} must divide d_model {self.d_model}, "
            f"and n_kv_heads {self.n_kv_heads} must divide n_heads.",
        )
        _check_training("base", self)


@dataclass(frozen=True)
class Finetune:
    """How each fine-tune is trained from the base."""

    train_tokens: int
    learning_rate: float
    batch_blocks: int
    weight_decay: float
    warmup_share: float

    def __post_init__(self) -> None:
        _check_training("finetune", self)


@dataclass(frozen=True)
class Merge:
    """The merge: t = 0 is Lua, t = 1 is Stories, null finds the balanced t on the sweep."""

    t: float | None
    sweep_points: int
    sweep_blocks: int

    def __post_init__(self) -> None:
        _need(
            self.t is None or (math.isfinite(self.t) and 0 <= self.t <= 1),
            f"merge.t is {self.t}; choose 0 (Lua) to 1 (Stories), or null.",
        )
        _need(self.sweep_points >= 3, f"merge.sweep_points is {self.sweep_points}; 3 or more.")


@dataclass(frozen=True)
class Sae:
    """The dictionaries: one sparse autoencoder per model and seed."""

    architecture: str
    expansion: int
    l1_coefficient: float
    k: int
    learning_rate: float
    train_tokens: int
    batch_tokens: int
    base_seeds: int
    other_seeds: int

    def __post_init__(self) -> None:
        known = ("standard", "topk", "batchtopk")
        _need(
            self.architecture in known,
            f"sae.architecture is {self.architecture!r}; choose one of {', '.join(known)}.",
        )
        _need(
            self.l1_coefficient >= 0,
            f"sae.l1_coefficient is {self.l1_coefficient}; it must not be negative.",
        )
        _need(
            min(self.base_seeds, self.other_seeds) >= 2,
            "sae.base_seeds and sae.other_seeds must be 2 or more: the ceiling needs two.",
        )

    def seeds(self, model: str) -> range:
        """SAE seeds trained for a model."""
        return range(self.base_seeds if model == "base" else self.other_seeds)


@dataclass(frozen=True)
class Tracking:
    """When a feature of one model is a feature of another."""

    tau: float
    rule: str
    min_positions: int
    min_documents: int
    evaluation_blocks: int
    replicates: int

    def __post_init__(self) -> None:
        _need(0 < self.tau < 1, f"tracking.tau is {self.tau}; choose a correlation in (0, 1).")
        known = ("best", "mutual", "assignment")
        _need(
            self.rule in known, f"tracking.rule is {self.rule!r}; choose one of {', '.join(known)}."
        )


@dataclass(frozen=True)
class Profile:
    """Everything a run depends on.

    Raises:
        FeatrackError: an unknown key (the nearest known one is named), a missing key,
            a value outside its range.
    """

    seed: int
    precision: str
    corpora: Corpora
    base: Base
    finetune: Finetune
    merge: Merge
    sae: Sae
    tracking: Tracking
    name: str = field(default="custom")

    def __post_init__(self) -> None:
        known = ("auto", "float32", "bfloat16")
        _need(
            self.precision in known,
            f"precision is {self.precision!r}; choose one of {', '.join(known)}.",
        )
        d_sae = self.sae.expansion * self.base.d_mlp
        _need(
            0 < self.sae.k <= d_sae,
            f"sae.k is {self.sae.k}, but the dictionary has only {d_sae} features "
            f"({self.sae.expansion} × d_mlp {self.base.d_mlp}).",
        )


def _check_training(where: str, section: Base | Finetune) -> None:
    _need(section.train_tokens >= 0, f"{where}.train_tokens must not be negative.")
    _need(section.learning_rate > 0, f"{where}.learning_rate must be positive.")
    _need(section.batch_blocks > 0, f"{where}.batch_blocks must be positive.")
    _need(0 <= section.warmup_share < 1, f"{where}.warmup_share must lie in [0, 1).")


def load_profile(path: Path, overrides: dict[str, Any] | None = None) -> Profile:
    """Reads a profile and lays nested overrides over it.

    Args:
        path: a YAML file such as profiles/quick.yaml.
        overrides: e.g. ``{"merge": {"t": 0.4}}``.
    """
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in path.parent.glob("*.yaml")))
        raise FeatrackError(f"No profile {path.stem!r} in {path.parent}/; there are: {known}.")
    try:
        mapping = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        detail = " ".join(str(error).split())
        raise FeatrackError(f"{path} is not valid YAML: {detail}.") from error
    _need(isinstance(mapping, dict), f"{path} must hold a mapping of sections to parameters.")
    mapping = {"name": path.stem, **_overlaid(mapping, overrides or {})}
    return _parsed(Profile, mapping, where="")


def _overlaid(mapping: dict[str, Any], overrides: dict[str, Any]) -> dict[str, Any]:
    merged = dict(mapping)
    for key, value in overrides.items():
        old = merged.get(key)
        both = isinstance(old, dict) and isinstance(value, dict)
        merged[key] = _overlaid(old, value) if both else value
    return merged


_SECTIONS = {
    "corpora": Corpora,
    "base": Base,
    "finetune": Finetune,
    "merge": Merge,
    "sae": Sae,
    "tracking": Tracking,
}


def _parsed(cls: type, mapping: dict[str, Any], where: str) -> Any:
    _need(isinstance(mapping, dict), f"{where.rstrip('.')} must be a mapping of parameters.")
    fields = {f.name: f for f in dataclasses.fields(cls)}
    for key in mapping:
        if key not in fields:
            raise FeatrackError(unknown_name(where + str(key), [where + f for f in fields]))
    values = {}
    for name in fields:
        _need(name in mapping, f"The profile lacks {where}{name}.")
        value = mapping[name]
        if cls is Profile and name in _SECTIONS:
            value = _parsed(_SECTIONS[name], value, f"{name}.")
        values[name] = _typed(value, str(fields[name].type), where + name)
    return cls(**values)


def _typed(value: Any, annotation: str, where: str) -> Any:
    # bool is an int to Python, and YAML reads 6e-4 as text: both are the reader's slips to mend.
    wanted = {
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
    if isinstance(value, bool) or not isinstance(value, wanted[annotation]):
        raise FeatrackError(f"{where} is {value!r}; it must be of type {annotation}.")
    return value


def unknown_name(name: str, known: list[str]) -> str:
    """Says that a name is unknown, and which known one is nearest."""
    longer = [other for other in known if other.startswith(name)]
    near = longer or difflib.get_close_matches(name, known, n=1, cutoff=0.0)
    return f"Unknown parameter {name}; the nearest known one is {near[0]}."

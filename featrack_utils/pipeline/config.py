"""A profile: every number a run depends on, one frozen dataclass per phase."""

from __future__ import annotations

import dataclasses
import math
import re
from dataclasses import dataclass, field
from typing import Any

from featrack_utils.corpora.documents import DOMAINS
from featrack_utils.corpora.sources import SourceConfig
from featrack_utils.errors import FeatrackError
from featrack_utils.interpretation.explain.settings import Interpretation
from featrack_utils.lineage import Lineage
from featrack_utils.pipeline.checks import at_least, known_names, need, one_of, typed
from featrack_utils.pipeline.doses import check_doses, dose_steps
from featrack_utils.pipeline.trials import Published, Robustness, check_width, swept

MODELS = ("base", "lua", "stories", "merged")
EDGES = (
    ("base", "lua"),
    ("base", "stories"),
    ("lua", "merged"),
    ("stories", "merged"),
    ("base", "merged"),
)  # parent and child of every comparison


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
            per_domain = getattr(self, name)
            need(isinstance(per_domain, dict), f"corpora.{name} must be a mapping of domains.")
            odd = sorted(map(str, set(DOMAINS) ^ set(per_domain)))
            need(
                not odd,
                f"corpora.{name} needs exactly the domains {', '.join(DOMAINS)}: "
                f"{', '.join(odd)} is missing or unknown.",
            )
        for domain in DOMAINS:
            _check_source(f"corpora.sources_of.{domain}", self.sources_of[domain])
            tokens = typed(self.train_tokens[domain], "int", f"corpora.train_tokens.{domain}")
            need(tokens > 0, f"corpora.train_tokens.{domain} is {tokens}; it must be positive.")
        need(
            0 < self.validation_share < 0.5,
            f"corpora.validation_share is {self.validation_share}; choose 0 to 0.5.",
        )
        need(
            self.vocab_size > 256,
            f"corpora.vocab_size is {self.vocab_size}; byte-level BPE needs over 256.",
        )
        at_least("corpora", self, validation_tokens=1, context=8)


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
        at_least("base", self, d_model=1, d_mlp=1, n_heads=1, n_kv_heads=1)
        # Rotary attention turns pairs of numbers, so a head must have an even width.
        need(
            self.d_model % (2 * self.n_heads) == 0 and self.n_heads % self.n_kv_heads == 0,
            f"base.n_heads {self.n_heads} must divide d_model {self.d_model} into even parts, "
            f"and base.n_kv_heads {self.n_kv_heads} must divide n_heads.",
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
        need(
            self.t is None or 0 <= self.t <= 1,
            f"merge.t is {self.t}; choose 0 (Lua) to 1 (Stories), or null.",
        )
        at_least("merge", self, sweep_points=3, sweep_blocks=1)


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
    root_seeds: int
    other_seeds: int

    def __post_init__(self) -> None:
        one_of("sae.architecture", self.architecture, ("standard", "topk", "batchtopk"))
        need(
            0 <= self.l1_coefficient < math.inf,
            f"sae.l1_coefficient is {self.l1_coefficient}; it must not be negative.",
        )
        _check_rate("sae", self.learning_rate)
        at_least("sae", self, expansion=1, batch_tokens=1, train_tokens=self.batch_tokens)
        need(
            min(self.root_seeds, self.other_seeds) >= 2,
            "sae.root_seeds and sae.other_seeds must be 2 or more: the ceiling needs two.",
        )

    def seeds(self, model: str) -> range:
        """SAE seeds trained for a model."""
        return range(self.root_seeds if model == "base" else self.other_seeds)


@dataclass(frozen=True)
class Tracking:
    """When a feature of one model is a feature of another."""

    tau: float
    rule: str
    min_positions: int
    min_documents: int
    evaluation_blocks: int
    replicates: int
    probed_features: int
    calibration_sets: int
    calibration_features: int

    def __post_init__(self) -> None:
        need(0 < self.tau < 1, f"tracking.tau is {self.tau}; choose a correlation in (0, 1).")
        # The tracking chapter counts by assignment, too, but intervals would need one a replicate.
        one_of("tracking.rule", self.rule, ("best", "mutual"))
        at_least(
            "tracking",
            self,
            min_positions=1,
            min_documents=1,
            evaluation_blocks=1,
            replicates=1,
            probed_features=1,
            calibration_sets=2,
            calibration_features=100,
        )


@dataclass(frozen=True)
class Arms:
    """Controls that need models or dictionaries of their own; doses are shares of the steps."""

    doses: list[float]
    dosed: list[str]
    warm_start: bool
    lm_seed: bool

    def __post_init__(self) -> None:
        check_doses(self.doses)
        need(
            bool(self.dosed) and len(set(self.dosed)) == len(self.dosed),
            f"arms.dosed is {self.dosed}; name lua, stories or both, each once.",
        )
        for model in self.dosed:
            one_of("arms.dosed", model, ("lua", "stories"))


@dataclass(frozen=True)
class Profile:
    """Everything a run depends on.

    Raises:
        FeatrackError: an unknown key (the nearest known one is named), a missing key,
            a value outside its range.
    """

    seed: int
    precision: str
    models: dict[str, Any]
    corpora: Corpora
    base: Base
    finetune: Finetune
    merge: Merge
    sae: Sae
    tracking: Tracking
    arms: Arms
    interpretation: Interpretation
    robustness: Robustness
    published: Published
    name: str = field(default="custom")

    def __post_init__(self) -> None:
        need(
            re.fullmatch(r"[A-Za-z0-9_][\w.-]*", self.name) is not None and self.name != "trials",
            f"name is {self.name!r}; it names a folder of runs/: begin with a letter or a digit, "
            "use letters, digits, dots, dashes and underscores, and not the name trials.",
        )
        one_of("precision", self.precision, ("auto", "float32", "bfloat16"))
        need(0 <= self.seed < 2**32, f"seed is {self.seed}; choose 0 to 4294967295.")
        Lineage(self.models)
        for where, sae in {"sae": self.sae, **self.swept()}.items():
            check_width(where, sae, self.base.d_mlp)
        tuned = self.finetune
        dose_steps(
            self.arms.doses, tuned.train_tokens // (tuned.batch_blocks * self.corpora.context)
        )
        need(
            self.sae.architecture == "standard" or not self.published.training,
            f"published.training is about L1, and sae.architecture is {self.sae.architecture!r}; "
            "set published.training to [].",
        )

    def swept(self) -> dict[str, Sae]:
        """The section ``sae`` under each entry of ``robustness.sweep``, by name."""
        return swept(self.robustness.sweep, self.sae)


def _check_training(where: str, section: Base | Finetune) -> None:
    at_least(where, section, train_tokens=0, batch_blocks=1, weight_decay=0)
    _check_rate(where, section.learning_rate)
    need(0 <= section.warmup_share < 1, f"{where}.warmup_share must lie in [0, 1).")


def _check_rate(where: str, rate: float) -> None:
    need(0 < rate < math.inf, f"{where}.learning_rate is {rate}; it must be positive.")


def _check_source(where: str, source: Any) -> None:
    need(isinstance(source, dict), f"{where} must be a mapping such as {{kind: embedded}}.")
    known_names(source, [f.name for f in dataclasses.fields(SourceConfig)], f"{where}.")
    globs = source.get("globs", ())
    need(isinstance(globs, list | tuple), f"{where}.globs must be a list of file patterns.")
    try:
        SourceConfig(**{**source, "globs": tuple(globs)})
    except FeatrackError as error:
        raise FeatrackError(f"{where}: {error}") from None

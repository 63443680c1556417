"""A profile: every number a run depends on, read from YAML and checked before anything runs."""

import difflib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args
from urllib.parse import urlsplit

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from featrack_utils.errors import FeatrackError
from featrack_utils.lineage import SITE, Lineage


def _no_truth_value(value: Any) -> Any:
    # To Python, and so to pydantic, True is the number 1.
    if isinstance(value, bool):
        raise FeatrackError(f"is {value}; it must be a number")
    return value


Whole = Annotated[int, BeforeValidator(_no_truth_value)]
Real = Annotated[float, BeforeValidator(_no_truth_value)]
Count = Annotated[Whole, Field(ge=1)]
Rate = Annotated[Real, Field(gt=0)]


class Section(BaseModel):
    """A section of a profile: no unknown keys, no infinite numbers, nothing changed later."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Corpora(Section):
    """What is read, and how much of it. Sources: see corpora.documents.SourceConfig."""

    sources_of: dict[str, dict[str, Any]]
    train_tokens: dict[str, Count]
    validation_tokens: Count
    validation_share: Annotated[Real, Field(gt=0, lt=0.5)]
    # Byte-level BPE begins with 256; None where a model brings its own tokenizer, a loaded one or
    # that of `tokenizer_from`, a folder or a name on the hub.
    vocab_size: Annotated[Whole, Field(gt=256)] | None = None
    tokenizer_from: str = ""
    context: Annotated[Whole, Field(ge=8)]

    @model_validator(mode="before")
    @classmethod
    def _one_number_for_all(cls, given: Any) -> Any:
        # ``train_tokens: 300_000`` is for each domain; a source that is null is left out.
        if not isinstance(given, dict) or not isinstance(given.get("sources_of"), dict):
            return given
        sources = {name: source for name, source in given["sources_of"].items() if source}
        wanted = given.get("train_tokens")
        if isinstance(wanted, int | float) and not isinstance(wanted, bool):
            wanted = dict.fromkeys(sources, wanted)
        return given | {"sources_of": sources, "train_tokens": wanted}


class Training(Section):
    """How a language model is trained."""

    train_tokens: Annotated[Whole, Field(ge=0)]
    learning_rate: Rate
    batch_blocks: Count
    weight_decay: Annotated[Real, Field(ge=0)]
    warmup_share: Annotated[Real, Field(ge=0, lt=1)]


class Pretraining(Training):
    """The lineage's root, if it is trained here: its shape and its training."""

    d_model: Count
    d_mlp: Count
    n_heads: Count
    n_kv_heads: Count


class Merge(Section):
    """The sweep over the merge's t: from 0, the first parent, to 1, the second."""

    sweep_points: Annotated[Whole, Field(ge=3)]
    sweep_blocks: Count


class Sae(Section):
    """The dictionaries: one sparse autoencoder per model and seed."""

    architecture: Literal["standard", "topk", "batchtopk"]
    expansion: Count
    l1_coefficient: Annotated[Real, Field(ge=0)]
    k: Count
    learning_rate: Rate
    train_tokens: Count
    batch_tokens: Count
    root_seeds: Annotated[Whole, Field(ge=2)]  # the ceiling needs two
    other_seeds: Annotated[Whole, Field(ge=2)]

    @model_validator(mode="after")
    def _one_step_at_least(self) -> Self:
        if self.train_tokens < self.batch_tokens:
            raise FeatrackError(
                f"sae.train_tokens is {self.train_tokens}; it must be a batch of "
                f"{self.batch_tokens} or more."
            )
        return self


class Tracking(Section):
    """When a feature of one model is a feature of another."""

    tau: Annotated[Real, Field(gt=0, lt=1)]
    # Chapters count by assignment, too, but its intervals would need one a replicate.
    rule: Literal["best", "mutual"]
    min_positions: Count
    min_documents: Count
    block_positions: Count = 2**22  # whose sums are one job
    evaluation_blocks: Count
    replicates: Count
    control_draws: Count
    probed_features: Count
    calibration_sets: Annotated[Whole, Field(ge=2)]
    calibration_features: Annotated[Whole, Field(ge=100)]


class Arms(Section):
    """Controls that need models or dictionaries of their own.

    Doses are shares of a fine-tune's steps, rates shares of the root's learning rate.

    ``planted`` holds shares of documents that get an invented word, each for a fine-tune of its
    own like ``planted_model`` ("": the last one that is tuned). ``methods`` names recipes of
    profiles/merges, by which merges are compared (``all``; "not slerp" leaves one out), of which
    ``method_floors`` get a floor of their own.
    ``own_steps`` is the length of a training in the chapter on models of one's own; 0: no chapter.
    """

    doses: list[Real]
    dosed: list[str]
    rates: list[Annotated[Real, Field(gt=0, le=1)]]
    warm_start: bool
    lm_seed: bool
    planted: list[Annotated[Real, Field(gt=0, le=1)]]
    planted_model: str
    methods: list[str]
    method_floors: Annotated[Whole, Field(ge=0)] = 1
    own_steps: Annotated[Whole, Field(ge=0)] = 0


class Interpretation(Section):
    """Who explains: counting alone (lookup), or a chat model as well (endpoint).

    The endpoint is any server that speaks OpenAI's chat protocol. Its key is never a parameter:
    `key_variable` names the environment variable that holds it, and is empty where none is needed.
    """

    explainer: Literal["lookup", "endpoint"]
    base_url: str
    chat_model: str
    key_variable: str
    explained_features: Annotated[Whole, Field(ge=2)]
    max_requests: Annotated[Whole, Field(ge=0)]

    @field_validator("base_url")
    @classmethod
    def _a_web_address_without_secrets(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise FeatrackError(
                "interpretation.base_url must be a web address such as http://localhost:8000/v1."
            )
        if parts.username or parts.password or parts.query or parts.fragment:
            # An address is written to artefacts; a key belongs into the environment.
            raise FeatrackError(
                "interpretation.base_url must hold no user, password or query; put a key into "
                "the environment variable that interpretation.key_variable names."
            )
        return url


class Robustness(Section):
    """Changes to the section ``sae``, each a set of dictionaries that conclusions are asked of.

    ``all_pairs``: of all conclusions; else of the root and its first child alone.
    """

    sweep: list[dict[str, Any]]
    all_pairs: bool


class Profile(Section):
    """Everything a run depends on; FeatrackError as `load_profile` says."""

    name: str
    seed: Annotated[Whole, Field(ge=0, lt=2**32)]
    precision: Literal["auto", "float32", "bfloat16"]
    device: Literal["auto", "cuda", "mps", "cpu"] = "auto"  # see models.capture
    processes: Count = 1  # that share each batch of a language model's training
    models: dict[str, dict[str, Any]]
    site: str = SITE
    corpora: Corpora
    pretraining: Pretraining | None = None  # where the root is loaded
    finetune: Training
    merge: Merge
    sae: Sae
    dictionaries: dict[str, list[str]] = {}
    tracking: Tracking
    arms: Arms
    interpretation: Interpretation
    robustness: Robustness

    @model_validator(mode="after")
    def _sections_agree(self) -> Self:
        if not re.fullmatch(r"[A-Za-z0-9_][\w.-]*", self.name) or self.name == "trials":
            raise FeatrackError(
                f"name is {self.name!r}; it names a folder of runs/: begin with a letter or a "
                "digit, use letters, digits, dots, dashes and underscores, and not the name trials."
            )
        lineage = self.lineage
        self._require_what_training_needs(lineage)
        for section in ("sources_of", "train_tokens"):
            for domain in lineage.domains:
                if domain not in getattr(self.corpora, section):
                    raise FeatrackError(
                        f"corpora.{section} lacks {domain}, which a model is trained on; add it."
                    )
        rates = [round(1 / rate) for rate in self.arms.rates]  # 0.333 is 1/3
        if rates != sorted({*rates}, reverse=True):
            raise FeatrackError(
                f"arms.rates are {self.arms.rates}, as fractions "
                f"{', '.join(f'1/{n}' for n in rates)}; write each once, in increasing order."
            )
        if len({*self.arms.planted}) < len(self.arms.planted):
            raise FeatrackError(f"arms.planted is {self.arms.planted}; write each share once.")
        dosed = self.arms.dosed if lineage.tuned else []
        named = {"dosed": dosed, "planted_model": [self.arms.planted_model]}
        for key, models in named.items():
            for model in filter(None, models):
                if model not in lineage.tuned:
                    raise FeatrackError(
                        f"arms.{key} holds {model!r}; name models that are fine-tuned here: "
                        f"{', '.join(lineage.tuned) or 'there are none'}."
                    )
        for name, entry in self.models.items():
            slerped = "merge" in entry and entry.get("method", "slerp") == "slerp"
            if slerped and entry.get("t", "balanced") == "balanced":
                one, other = map(lineage.trained_on, entry["merge"])
                if one and one == other:
                    raise FeatrackError(
                        f"models.{name}.t is balanced between its parents' own texts, and "
                        f"{' and '.join(entry['merge'])} have the same; say what each reads, or "
                        "give t a number."
                    )
        step = self.finetune.batch_blocks * self.corpora.context
        dose_steps(self.arms.doses, self.finetune.train_tokens // step)
        return self

    def _require_what_training_needs(self, lineage: Lineage) -> None:
        """What the first model's own training needs, and what is known of its shape by that."""
        if lineage.root in lineage.loaded:
            return
        for name, given in {
            "pretraining": self.pretraining,
            "corpora.vocab_size": self.corpora.tokenizer_from or self.corpora.vocab_size,
        }.items():
            if given is None:
                raise FeatrackError(
                    f"The profile lacks {name}, and models.{lineage.root} is trained here; add it."
                )
        if lineage.layer:
            raise FeatrackError(
                f"site is {self.site}, and models that are trained here have one block; the "
                f"nearest is blocks.0.{lineage.hook}."
            )
        shape = self.pretraining
        # Rotary attention turns pairs of numbers, so a head must have an even width.
        if shape.d_model % (2 * shape.n_heads) or shape.n_heads % shape.n_kv_heads:
            raise FeatrackError(
                f"pretraining.n_heads {shape.n_heads} must divide d_model {shape.d_model} into "
                f"even parts, and pretraining.n_kv_heads {shape.n_kv_heads} must divide n_heads."
            )
        d_in = shape.d_mlp if lineage.hook == "mlp.hook_post" else shape.d_model
        for where, sae in {"sae": self.sae, **self.swept}.items():
            if sae.k > (d_sae := sae.expansion * d_in):
                raise FeatrackError(
                    f"{where}.k is {sae.k}, but the dictionary has only {d_sae} features "
                    f"({sae.expansion} × {d_in} numbers a token)."
                )

    @property
    def lineage(self) -> Lineage:
        """The models and their descent."""
        return Lineage(self.models, self.site, self.corpora.sources_of, self.dictionaries)

    @property
    def seeds(self) -> tuple[int, int]:
        """How many dictionaries the root has, and how many every other model."""
        if not self.dictionaries:
            return self.sae.root_seeds, self.sae.other_seeds
        counts = [len(self.dictionaries[name]) for name in self.lineage.order]
        return counts[0], counts[-1]

    @property
    def swept(self) -> dict[str, Sae]:
        """The section ``sae`` under each entry of ``robustness.sweep``, by a folder's name.

        Raises:
            FeatrackError: an entry that is empty, changes the number of seeds or is there twice,
                or whatever the section ``sae`` refuses.
        """
        changed: dict[str, Sae] = {}
        for number, entry in enumerate(self.robustness.sweep):
            where = f"robustness.sweep[{number}]"
            if not entry:
                raise FeatrackError(
                    f"{where} is empty; it must be a change such as {{expansion: 16}}."
                )
            allowed = [key for key in Sae.model_fields if "seeds" not in key]
            require_known(entry, allowed, f"{where}.")
            values = _validated(Sae, {**self.sae.model_dump(), **entry}, f"{where}.")
            name = "-".join(
                f"{key}-{value:g}" if isinstance(value, float) else f"{key}-{value}"
                for key, value in sorted(values)
                if key in entry
            )
            if name in changed:
                raise FeatrackError(f"{where} asks for {name} a second time; leave it out.")
            changed[name] = values
        return changed


def load_profile(path: Path, overrides: Mapping[str, Any] | None = None) -> Profile:
    """Reads a profile and lays nested overrides over it.

    Args:
        path: a YAML file such as profiles/quick.yaml.
        overrides: e.g. ``{"merge": {"sweep_points": 5}}``; numbers may be written as text, as
            Snakemake hands over whatever is nested. ``models`` is laid over the profile's if it
            names no other model, and otherwise takes its place.

    Raises:
        FeatrackError: no such profile, an unknown key (the nearest known one is named), a missing
            key, or a value outside its range.
    """
    from snakemake.utils import update_config  # no chapter needs it

    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in path.parent.glob("*.yaml")))
        raise FeatrackError(f"No profile {path.stem!r} in {path.parent}/; there are: {known}.")
    try:
        mapping = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        detail = " ".join(str(error).split())
        raise FeatrackError(f"{path} is not valid YAML: {detail}.") from error
    if not isinstance(mapping, dict):
        raise FeatrackError(f"{path} must hold a mapping of sections to parameters.")
    overrides = _as_yaml(dict(overrides or {}))
    models = overrides.get("models")
    if isinstance(models, dict) and not set(models) <= set(mapping.get("models") or {}):
        mapping.pop("models", None)
    update_config(mapping, overrides)
    return _validated(Profile, {"name": path.stem, **mapping}, "")


def _as_yaml(value: Any) -> Any:
    """Text as the number, the list or the nothing that YAML reads in it, at any depth."""
    if isinstance(value, dict):
        return {key: _as_yaml(inner) for key, inner in value.items()}
    if isinstance(value, list):  # of mappings; text in a list is a file pattern
        return [_as_yaml(inner) if isinstance(inner, dict) else inner for inner in value]
    if isinstance(value, str) and value:  # an empty one is no missing one
        with suppress(yaml.YAMLError, ValueError, RecursionError):  # such as the file pattern *.lua
            read = yaml.safe_load(value)
            return read if isinstance(read, int | float | None) else value
    return value


def _validated(kind: type[Section], mapping: Mapping[str, Any], where: str) -> Any:
    try:
        return kind.model_validate(mapping)
    except ValidationError as error:
        raise FeatrackError(sentence(error, where)) from None


def sentence(invalid: ValidationError, where: str) -> str:
    """What pydantic found first, as a sentence in the words of the profile."""
    error: Any = invalid.errors()[0]
    place = [str(part) for part in error["loc"]]
    name = where + ".".join(place)
    if isinstance(own := error.get("ctx", {}).get("error"), FeatrackError):
        return str(own) if str(own).endswith(".") else f"{name} {own}."
    match error["type"]:
        case "extra_forbidden":
            holder: Any = Profile
            for section in place[:-1]:
                given = holder.model_fields[section].annotation
                holder = (get_args(given) or [given])[0]  # a section, or one or none
            return _unknown(place[-1], holder.model_fields, ".".join([*place[:-1], ""]))
        case "missing":
            return f"The profile lacks {name}; add it."
    said = re.sub("^Input should ", "it must ", error["msg"])
    return f"{name} is {error['input']!r}; {said[0].lower()}{said[1:].rstrip('.')}."


def _unknown(name: str, known: Collection[str], where: str) -> str:
    names = [where + each for each in known]
    wanted = where + name
    longer = [each for each in names if each.startswith(wanted)]
    near = longer or difflib.get_close_matches(wanted, names, n=1, cutoff=0.0)
    if not near:
        return f"Unknown parameter {wanted}; there are none to set."
    return f"Unknown parameter {wanted}; the nearest known one is {near[0]}."


def require_known(names: Iterable[object], known: Collection[str], where: str = "") -> None:
    """Raises FeatrackError, naming the nearest known one, unless every name is known."""
    for name in names:
        if name not in known:
            raise FeatrackError(_unknown(str(name), known, where))


def dose_steps(doses: Sequence[float], steps: int) -> dict[str, int]:
    """The step of a fine-tune that each dose falls on, at least the first.

    Doses are named in percent, as in files and results: 0.03 is "3". A fine-tune of no step, which
    is a control, has none: {}.

    Raises:
        FeatrackError: a dose outside (0, 1); two on one step, or one on the last.
    """
    for dose in doses:
        if not 0 < dose < 1:
            raise FeatrackError(f"arms.doses holds {dose}; choose shares between 0 and 1.")
    if any(a >= b for a, b in pairwise(doses)):
        raise FeatrackError(f"arms.doses are {list(doses)}; write each once, in increasing order.")
    if not steps:
        return {}
    found: dict[int, float] = {}
    for dose in doses:
        step = max(1, round(dose * steps))
        other = 1.0 if step >= steps else found.get(step)
        if other is not None:
            raise FeatrackError(
                f"arms.doses {dose} and {other} are both step {step} of a fine-tune of {steps}; "
                "leave one out, or raise finetune.train_tokens."
            )
        found[step] = dose
    return {f"{100 * dose:g}": step for step, dose in found.items()}

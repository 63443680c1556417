"""Dictionaries to train: each a job, all by one recipe, each artefact made once."""

import json
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from featrack_utils.corpora.prepare import Corpora
from featrack_utils.dictionaries import activations, features, quality, training
from featrack_utils.dictionaries import loading as outside
from featrack_utils.dictionaries.features import ZERO_SEED
from featrack_utils.errors import FeatrackError
from featrack_utils.lineage import Lineage
from featrack_utils.models import capture, loading
from featrack_utils.models import training as models
from featrack_utils.pipeline import store

_RECIPE = (
    "architecture",
    "expansion",
    "l1_coefficient",
    "k",
    "learning_rate",
    "train_tokens",
    "batch_tokens",
    "precision",
)


def recipe(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """How dictionaries are trained, of a notebook's parameters (its `globals()`).

    These are the arguments of `training.train_sae` that all dictionaries of a set have in common.
    """
    return {name: parameters[name] for name in _RECIPE}


class Job(NamedTuple):
    """One dictionary: of which weights, reading which text, from which start."""

    name: str  # of its folders in saes/ and features/
    model: str  # folder in models/
    seed: int  # of its first weights and of the order in which it reads
    reads: tuple[str, ...]  # the domains that it learns from
    step: int | None = None  # the snapshot of the model's training; None: its end
    start: str | None = None  # the dictionary it starts from; None: random weights
    like: str | None = None  # a dictionary beside it whose L0 it is to have; None: as it comes


def of_model(lineage: Lineage, model: str, seeds: Iterable[int]) -> list[Job]:
    """A model's own dictionaries, one per seed, reading what the model and its ancestors read."""
    reads = lineage.reads(model)
    return [Job(f"{model}-{seed}", model, seed, reads) for seed in seeds]


def of_controls(lineage: Lineage, model: str, kind: str, draws: int) -> list[Job]:
    """Dictionaries of a model's controls, one per draw; the first of "child.mlp" is "child.mlp-0".

    Each is named like its control model (`models.controls.make_control`), with a dot that no model
    of a lineage has. It reads what the model's own dictionaries read, and is as sparse.
    """
    reads = lineage.reads(model)
    names = [f"{model}.{kind}-{draw}" for draw in range(draws)]
    return [Job(name, name, draw, reads, like=f"{model}-0") for draw, name in enumerate(names)]


def of_zero_steps(lineage: Lineage, child: str, again: bool = False) -> Job:
    """The dictionary of a child after a fine-tune of no step: "child-at-0", of seed `ZERO_SEED`.

    Its model is the parent, untouched, and it reads what the child's dictionaries read. So what it
    lacks of the parent's features is the text's doing and not the weights'. The floors phase makes
    one for every model with one parent; `features.open_named` opens it by its name. `again`: one
    of seed 0, "child-again-at-0", for a child to which nothing happened.
    """
    (parent,) = lineage.parents(child)
    name, seed = (f"{child}-again-at-0", 0) if again else (f"{child}-at-0", ZERO_SEED)
    return Job(name, parent, seed, lineage.reads(child))


def of_sweep(lineage: Lineage, all_pairs: bool) -> list[Job]:
    """The fewest dictionaries of another kind that conclusions can be asked of.

    Of the root and its first child, both at two seeds, and of that child's first control; of all
    pairs, also one of every other model. They stand in ``sweep/<kind>/`` of a run.
    """
    first = (lineage.root, *lineage.children(lineage.root)[:1])
    jobs = [job for model in first for job in of_model(lineage, model, (0, 1))]
    jobs += [job for model in first[1:] for job in of_controls(lineage, model, "mlp", 1)]
    others = [model for model in lineage.order if model not in first]
    return jobs + [job for model in others for job in of_model(lineage, model, (0,)) if all_pairs]


def weights(run: Path, model: str, step: int | None = None) -> Path:
    """The folder with a model's weights, at the end of its training or after one of its steps.

    Raises:
        FeatrackError: the model, or its snapshot after that step, is missing or damaged.
    """
    folder = store.opened(run / "models" / model)
    if step is None:
        return folder
    snapshot = folder / models.SNAPSHOTS / str(step)
    if not snapshot.is_dir():
        raise FeatrackError(
            f"{folder} holds no weights of step {step}: run the finetune phase with the same "
            "arms.doses and arms.dosed."
        )
    return snapshot


def train_and_measure(
    run: Path,
    corpora: Corpora,
    jobs: Iterable[Job],
    recipe: Mapping[str, Any],
    evaluation_blocks: int,
    place: Path | None = None,
) -> dict[str, Path]:
    """Trains dictionaries and measures their features on the evaluation mix.

    Jobs with the same weights and text share the captured activations. A dictionary doesn't
    depend on the jobs beside it: alone it comes out the same, digit for digit.

    Args:
        jobs: one that starts from another's dictionary comes after it.
        recipe: arguments of `training.train_sae` but the seed and the start.
        evaluation_blocks: validation blocks per domain.
        place: gets ``saes/<name>`` and ``features/<name>``; the run, if none is given.

    Returns:
        The folders with ``features.safetensors`` and ``sums.safetensors``, by name.

    Raises:
        FeatrackError: a model, a snapshot or a start is missing or damaged, or what `train_sae`
            refuses.
    """
    place = place or run
    jobs = list(jobs)
    lineage = store.open_lineage(run)
    measured = {}
    for source in dict.fromkeys((job.model, job.step, job.reads) for job in jobs):
        subject = _Subject(run, corpora, *source, recipe, lineage)
        for job in jobs:
            if (job.model, job.step, job.reads) == source:
                _train(place, job, subject)
                measured[job.name] = _measure(place, job, subject, evaluation_blocks)
    return measured


class _Subject:
    """Weights and a text; loaded and captured only if a dictionary is out of date."""

    def __init__(self, run, corpora, model, step, reads, recipe, lineage) -> None:
        self.weights, self.corpora = weights(run, model, step), corpora
        self.inputs = [corpora.folder or run / "corpora", run / "models" / model]
        self.recorded = {"model": model, "step": step, "reads": list(reads)}
        self.recorded |= {"context": corpora.context, "site": lineage.site}
        self.run, self.lineage, self.site, self.recipe = run, lineage, lineage.site, recipe

    @cached_property
    def bridge(self):
        return loading.boot(self.weights, str(capture.device()))

    @cached_property
    def d_sae(self) -> int | None:
        """As many features as the root's dictionaries have; None where all models are alike.

        Loaded models may differ in width, and a share depends on the number of features.
        """
        root = self.lineage.root
        if self.lineage.given:
            first = store.opened(self.run / "saes" / f"{root}-0")
            return json.loads((first / "cfg.json").read_text())["d_sae"]
        if not self.lineage.loaded:
            return None
        model = loading.load_model(weights(self.run, root))
        return self.recipe["expansion"] * capture.width(model, self.site)

    @cached_property
    def buffers(self) -> activations.Buffers:
        blocks = {domain: self.corpora.train_blocks(domain) for domain in self.recorded["reads"]}
        mixture = activations.training_mixture(blocks, self.recipe["train_tokens"])
        model = loading.load_model(self.weights)
        precision = self.recipe["precision"]
        return activations.Buffers(model, mixture, self.site, precision=precision)


def _train(place: Path, job: Job, subject: _Subject) -> None:
    own = place == subject.run and job.name == f"{job.model}-{job.seed}"
    outsiders = subject.lineage.given.get(job.model, ()) if own else ()
    if job.seed < len(outsiders):
        where, source = f"dictionaries.{job.model}", outsiders[job.seed]
        there = outside.find(where, source)
        state = outside.fingerprint(there)
        store.make(
            place / "saes" / job.name,
            lambda work: outside.bring_in(where, there, subject.buffers, work),
            parameters={"source": source, "state": state, **subject.recorded},
            inputs=subject.inputs,
            code=[outside],
        )
        return
    start = place / "saes" / job.start if job.start else None
    # Others than L1 dictionaries have the L0 of their k.
    steered = job.like and subject.recipe["architecture"] == "standard"
    like = place / "saes" / job.like if steered else None
    given = {**subject.recipe, "seed": job.seed}

    def build(work: Path) -> None:
        starts = {"start_from": start, "like": like, "d_sae": subject.d_sae}
        training.train_sae(subject.buffers, work, **given, **starts)

    store.make(
        place / "saes" / job.name,
        build,
        parameters={**given, **subject.recorded, "start": job.start},
        inputs=[*subject.inputs, *(other for other in (start, like) if other)],
        code=[training, activations, capture],
        resumes=True,
    )


def _measure(place: Path, job: Job, subject: _Subject, n_blocks: int) -> Path:
    dictionary, domains = place / "saes" / job.name, subject.lineage.domains

    def build(work: Path) -> None:
        blocks = {domain: subject.corpora.validation_blocks(domain, n_blocks) for domain in domains}
        mix = features.evaluation_mix(blocks)
        sae = training.load_sae(dictionary).to(capture.device())
        found, sums = features.measure(subject.bridge, sae, mix, subject.site)
        features.save_features(found, work / "features.safetensors")
        sums.save(work / "sums.safetensors")

    return store.make(
        place / "features" / job.name,
        build,
        parameters={"evaluation_blocks": n_blocks, "domains": [*domains], **subject.recorded},
        inputs=[*subject.inputs, dictionary],
        code=[features, quality, capture],
    )

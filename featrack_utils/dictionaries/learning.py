"""Trains dictionaries on a run's models and measures their features, each artefact once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from transformer_lens.model_bridge import TransformerBridge

from featrack_utils.corpora.documents import DOMAINS
from featrack_utils.corpora.prepare import TRAINED_ON, Corpora
from featrack_utils.dictionaries import features, quality, training
from featrack_utils.models import activations, capture
from featrack_utils.pipeline import store


class Subject(NamedTuple):
    """A model whose activations are taken apart, and the text that its dictionaries learn from."""

    bridge: TransformerBridge
    corpora: Corpora
    mixture: str  # a dictionary learns from what the model of this name has seen
    inputs: tuple[Path, ...]  # artefacts that the activations come from
    recorded: dict[str, Any]  # parameters that tell these activations from others


def subject(
    run: Path,
    corpora: Corpora,
    model: str,
    *,
    mixture: str | None = None,
    weights: Path | None = None,
    **recorded: Any,
) -> Subject:
    """A model of a run; `mixture` is its own unless another is named.

    Args:
        weights: a folder inside the model's own, such as a snapshot; the whole model otherwise.
        recorded: what says which weights these are.

    Raises:
        FeatrackError: the model is missing or damaged.
    """
    folder = store.opened(run / "models" / model)
    mixture = mixture or model
    return Subject(
        capture.boot(weights or folder),
        corpora,
        mixture,
        (run / "corpora", folder),
        {"model": model, "mixture": mixture, "context": corpora.context, **recorded},
    )


def train(
    place: Path,
    name: str,
    subject: Subject,
    recipe: Mapping[str, Any],
    *,
    start: Path | None = None,
    trainer: Callable[..., None] = training.train_sae,
    code: Iterable[ModuleType] = (),
    **recorded: Any,
) -> Path:
    """Trains one dictionary.

    Args:
        place: a run, or a folder of like shape; gets ``saes/<name>``.
        recipe: arguments of `trainer` beside the model, the blocks and the folder.
        start: the artefact of a dictionary to start from.
        trainer: called like `sae.train_sae`, from the modules `code`; `recorded` says which.

    Returns:
        The dictionary's folder.

    Raises:
        FeatrackError: what `trainer` refuses, or a start that is missing or damaged.
    """
    started = {"start": start.name} if start else {}
    return store.make(
        place / "saes" / name,
        partial(_train, trainer, subject, recipe, start),
        parameters={**recipe, **subject.recorded, **started, **recorded},
        inputs=[*subject.inputs, *([start] if start else [])],
        code=[training, activations, capture, *code],
    )


def _train(
    trainer: Callable[..., None],
    subject: Subject,
    recipe: Mapping[str, Any],
    start: Path | None,
    work: Path,
) -> None:
    seen = {domain: subject.corpora.train_blocks(domain) for domain in TRAINED_ON[subject.mixture]}
    blocks = activations.training_mixture(seen, recipe["train_tokens"], seed=recipe["seed"])
    started = {"start_from": start} if start else {}
    trainer(subject.bridge, blocks, work, **recipe, **started)


def measure(place: Path, name: str, subject: Subject, evaluation_blocks: int) -> Path:
    """Measures a trained dictionary's features on the evaluation mix.

    Returns:
        The folder ``features/<name>`` of `place`: ``features.safetensors``, ``sums.safetensors``.

    Raises:
        FeatrackError: the dictionary is missing or damaged.
    """
    dictionary = place / "saes" / name
    return store.make(
        place / "features" / name,
        partial(_measure, subject, dictionary, evaluation_blocks),
        parameters={"evaluation_blocks": evaluation_blocks, **subject.recorded},
        inputs=[*subject.inputs, dictionary],
        code=[features, quality, capture],
    )


def _measure(subject: Subject, dictionary: Path, n_blocks: int, work: Path) -> None:
    mix = features.evaluation_mix(
        {domain: subject.corpora.validation_blocks(domain, n_blocks) for domain in DOMAINS}
    )
    found, sums = features.measure(subject.bridge, training.load_sae(dictionary), mix)
    features.save_features(found, work / "features.safetensors")
    sums.save(work / "sums.safetensors")

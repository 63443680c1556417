"""Trains what the controls need: dictionaries along the doses, a second base model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from featrack_utils.corpora import tokenizer as tokens
from featrack_utils.corpora.documents import BASE_DOMAINS
from featrack_utils.corpora.prepare import Corpora
from featrack_utils.dictionaries import learning
from featrack_utils.dictionaries.arms import AT, SECOND, SEED, Arm
from featrack_utils.errors import FeatrackError
from featrack_utils.models import training
from featrack_utils.pipeline import store

_SHAPE = ("d_model", "d_mlp", "n_heads", "n_kv_heads", "context")


def weights(run: Path, arm: Arm) -> Path:
    """The folder with an arm's weights.

    Raises: FeatrackError: the model, or its snapshot at that step, is missing or damaged.
    """
    folder = store.opened(run / "models" / arm.model)
    if arm.step is None:
        return folder
    snapshot = folder / training.SNAPSHOTS / str(arm.step)
    if not snapshot.is_dir():
        raise FeatrackError(
            f"{folder} holds no weights of step {arm.step}: run the finetune phase with the same "
            "arms.doses and arms.dosed."
        )
    return snapshot


def along(run: Path, arms: Sequence[Arm], child: str) -> dict[str, Path]:
    """The folders with a fine-tune's weights along its doses, from "0" to "100" per cent."""
    name = f"{child}{AT}"
    path = {a.name.removeprefix(name): weights(run, a) for a in arms if a.name.startswith(name)}
    return {**path, "100": store.opened(run / "models" / child)}


def train_second_base(run: Path, corpora: Corpora) -> Path:
    """A base model like the run's own, from the next seed: other first weights, other order."""
    parameters = dict(store.read_record(run / "models" / "base")["parameters"])
    parameters["seed"] += 1
    blocks = np.concatenate([corpora.train_blocks(domain) for domain in BASE_DOMAINS])
    return store.make(
        run / "models" / SECOND,
        partial(_train_second_base, parameters, corpora.tokenizer, blocks),
        parameters=parameters,
        inputs=[run / "corpora"],
        code=[training, tokens],
    )


def _train_second_base(parameters: Mapping[str, Any], tokenizer, blocks, work: Path) -> None:
    shape = {name: parameters[name] for name in _SHAPE}
    recipe = {name: value for name, value in parameters.items() if name not in _SHAPE}
    model = training.new_model(vocab_size=len(tokenizer), seed=parameters["seed"], **shape)
    training.train(model, blocks, work, tokenizer=tokenizer, **recipe)


def train_arm(
    run: Path, arm: Arm, corpora: Corpora, recipe: Mapping[str, Any], evaluation_blocks: int
) -> Path:
    """Trains an arm's dictionary and measures its features on the evaluation mix.

    Args:
        recipe: arguments of `sae.train_sae` but the seed, which is SEED.

    Returns:
        The folder with its features, ``features.safetensors`` and ``sums.safetensors``.
    """
    at = weights(run, arm)
    subject = learning.subject(
        run, corpora, arm.model, mixture=arm.mixture, weights=at, step=arm.step
    )
    start = run / "saes" / arm.start if arm.start else None
    learning.train(run, arm.name, subject, {**recipe, "seed": SEED}, start=start)
    return learning.measure(run, arm.name, subject, evaluation_blocks)


def weight_distance(base: Path, other: Path) -> dict[str, float]:
    """‖W − W_base‖ / ‖W_base‖ of two saved models: of all (weight_distance) and of each part."""
    moved: dict[str, float] = {}
    size: dict[str, float] = {}
    before, after = (load_file(folder / "model.safetensors") for folder in (base, other))
    for name, weight in before.items():
        for part in ("weight_distance", _part(name)):
            gap = after[name].astype(np.float64) - weight
            moved[part] = moved.get(part, 0.0) + float((gap**2).sum())
            size[part] = size.get(part, 0.0) + float((weight.astype(np.float64) ** 2).sum())
    return {part: float(np.sqrt(moved[part] / size[part])) for part in moved}


def _part(tensor: str) -> str:
    parts = {"attn": "attention", "mlp": "MLP", "embed": "embedding", "lm_head": "unembedding"}
    return next((part for sign, part in parts.items() if sign in tensor), "norms")

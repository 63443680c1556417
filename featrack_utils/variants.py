"""Dictionaries trained otherwise than the run's own: ``sweep/<variant>/`` beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from featrack_utils import activations, capture, features, quality, store
from featrack_utils.corpora.documents import DOMAINS
from featrack_utils.features import Features

if TYPE_CHECKING:
    from featrack_utils.corpora.prepare import Corpora

# The fewest that all four conclusions of the robustness chapter need: both sides of base → Lua,
# base → Stories and Lua → merged at one seed, and another seed of each parent.
NEEDED = ("base-0", "base-1", "lua-0", "lua-1", "stories-0", "merged-0")


def label(variant: str) -> str:
    """A variant's name in words: ``l1_coefficient-4`` is "l1 coefficient 4"."""
    return variant.replace("_", " ").replace("-", " ")


def learn(
    run: Path,
    variant: str,
    names: Sequence[str],
    corpora: Corpora,
    recipe: Mapping[str, Any],
    evaluation_blocks: int,
    *,
    train: Callable[..., None] | None = None,
    code: Iterable[ModuleType] = (),
) -> None:
    """Trains the dictionaries `names` ("base-0": model and seed) and measures their features.

    Args:
        recipe: arguments of `sae.train_sae` but the seed.
        train: instead of `sae.train_sae`, from the modules `code`.

    Raises:
        FeatrackError: a model is missing, or what `train` refuses.
    """
    from featrack_utils import sae  # takes seconds to load

    place = run / "sweep" / variant
    for model in dict.fromkeys(name.rsplit("-", 1)[0] for name in names):
        bridge = capture.boot(store.opened(run / "models" / model))
        read = [run / "corpora", run / "models" / model]
        for name in (name for name in names if name.rsplit("-", 1)[0] == model):
            wanted = {**recipe, "seed": int(name.rsplit("-", 1)[1])}
            folder = store.make(
                place / "saes" / name,
                partial(_train, train or sae.train_sae, bridge, corpora, model, wanted),
                parameters=wanted | {"variant": variant, "model": model},
                inputs=read,
                code=[sae, activations, capture, *code],
            )
            store.make(
                place / "features" / name,
                partial(_measure, bridge, corpora, sae.load_sae, folder, evaluation_blocks),
                parameters={"evaluation_blocks": evaluation_blocks, "context": corpora.context},
                inputs=[*read, folder],
                code=[features, quality, capture],
            )


def _train(
    train: Callable[..., None], bridge, corpora: Corpora, model: str, recipe: dict, work: Path
) -> None:
    from featrack_utils.corpora.prepare import TRAINED_ON

    seen = {domain: corpora.train_blocks(domain) for domain in TRAINED_ON[model]}
    blocks = activations.training_mixture(seen, recipe["train_tokens"], seed=recipe["seed"])
    train(bridge, blocks, work, **recipe)


def _measure(bridge, corpora: Corpora, load: Callable, folder: Path, n: int, work: Path) -> None:
    blocks = {domain: corpora.validation_blocks(domain, n) for domain in DOMAINS}
    found, sums = features.measure(bridge, load(folder), features.evaluation_mix(blocks))
    features.save_features(found, work / "features.safetensors")
    sums.save(work / "sums.safetensors")


def opened(run: Path, variant: str, names: Iterable[str]) -> dict[str, Features]:
    """The features of a variant's dictionaries on the evaluation mix, by name.

    Raises:
        FeatrackError: one is missing or damaged.
    """
    folders = {n: store.opened(run / "sweep" / variant / "features" / n) for n in names}
    return {n: features.load_features(f / "features.safetensors") for n, f in folders.items()}


def mean_quality(place: Path, names: Iterable[str]) -> dict[str, float]:
    """Mean L0 and share of variance explained, on the whole mix, of some dictionaries.

    `place` holds ``features/<name>``: a run, or the folder of a variant.
    """
    each = [
        quality.quality(quality.Sums.load(place / "features" / n / "sums.safetensors"), DOMAINS)
        for n in names
    ]
    return {key: float(np.mean([getattr(q, key) for q in each]))
            for key in ("l0", "variance_explained")}  # fmt: skip

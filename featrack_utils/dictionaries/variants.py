"""Dictionaries trained otherwise than the run's own: ``sweep/<variant>/`` beside them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from featrack_utils.corpora.documents import DOMAINS
from featrack_utils.dictionaries import features, quality
from featrack_utils.dictionaries.features import Features
from featrack_utils.pipeline import store

if TYPE_CHECKING:
    from featrack_utils.corpora.prepare import Corpora

_WORDS = {"l1": "L1", "topk": "TopK", "batchtopk": "BatchTopK"}
_OF_LUA = ("base-0", "base-1", "lua-0", "lua-1")


def needed(all_pairs: bool) -> tuple[str, ...]:
    """The fewest dictionaries that the robustness chapter's conclusions need.

    Of Base → Lua, both sides at two seeds; of all four conclusions, also a child for
    Base → Stories and for Lua → merged at one seed.
    """
    return (*_OF_LUA, "stories-0", "merged-0") if all_pairs else _OF_LUA


def label(variant: str) -> str:
    """A variant's name in words: ``architecture-topk-k-32`` is "TopK k 32"."""
    words = variant.replace("_", " ").replace("-", " ").split()
    return " ".join(_WORDS.get(word, word) for word in words if word != "architecture")


def learn(
    run: Path,
    variant: str,
    names: Sequence[str],
    corpora: Corpora,
    recipe: Mapping[str, Any],
    evaluation_blocks: int,
    **training: Any,
) -> None:
    """Trains the dictionaries `names` ("base-0": model and seed) and measures their features.

    Args:
        recipe: arguments of `sae.train_sae` but the seed.
        training: `trainer` and `code` of `learning.train`, where not `sae.train_sae`.

    Raises:
        FeatrackError: a model is missing, or what the training refuses.
    """
    from featrack_utils.dictionaries import learning

    place = run / "sweep" / variant
    parts = [name.rsplit("-", 1) for name in names]
    for model in dict.fromkeys(model for model, _ in parts):
        subject = learning.subject(run, corpora, model)
        for name, seed in ((f"{m}-{s}", int(s)) for m, s in parts if m == model):
            wanted = {**recipe, "seed": seed}
            learning.train(place, name, subject, wanted, variant=variant, **training)
            learning.measure(place, name, subject, evaluation_blocks)


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
    return {
        key: float(np.mean([getattr(q, key) for q in each])) for key in ("l0", "variance_explained")
    }

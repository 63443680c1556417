"""Dictionaries trained otherwise than the run's own: ``sweep/<variant>/`` beside them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from featrack_utils.dictionaries import features
from featrack_utils.dictionaries.features import Features
from featrack_utils.dictionaries.jobs import Job, of_controls, of_model
from featrack_utils.lineage import Lineage

_WORDS = {"l1": "L1", "topk": "TopK", "batchtopk": "BatchTopK"}


def needed(lineage: Lineage, all_pairs: bool) -> list[Job]:
    """The fewest dictionaries that conclusions can be asked of.

    Of the root and its first child, both at two seeds, and of that child's first control; of all
    pairs, also one of every other model.
    """
    first = (lineage.root, *lineage.children(lineage.root)[:1])
    jobs = [job for model in first for job in of_model(lineage, model, (0, 1))]
    jobs += [job for model in first[1:] for job in of_controls(lineage, model, "mlp", 1)]
    others = [model for model in lineage.order if model not in first]
    return jobs + [job for model in others for job in of_model(lineage, model, (0,)) if all_pairs]


def label(variant: str) -> str:
    """A variant's name in words: ``architecture-topk-k-32`` is "TopK k 32"."""
    words = variant.replace("_", " ").replace("-", " ").split()
    return " ".join(_WORDS.get(word, word) for word in words if word != "architecture")


def opened(run: Path, variant: str, names: Iterable[str]) -> dict[str, Features]:
    """The features of a variant's dictionaries on the evaluation mix, by name.

    Raises:
        FeatrackError: one is missing or damaged.
    """
    return features.open_named(run / "sweep" / variant, names)

"""Control models: what is left of a model once what its MLP learned, or all it learned, is gone.

The share of a parent's features that a dictionary finds in such a model is the floor under what it
finds in the child (`book/method.md`, ceilings and floors).
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from featrack_utils.errors import FeatrackError
from featrack_utils.pipeline import store

MLP = re.compile(r"\.mlp\.(gate|up|down)_proj\.weight$")
_WEIGHTS = "model.safetensors"


def is_mlp_matrix(name: str) -> bool:
    """Whether a tensor is one of the MLP's three matrices."""
    return MLP.search(name) is not None


def is_matrix(name: str) -> bool:
    """Whether a tensor is a matrix: all weights but the gains of the norms."""
    return "norm" not in name


def redrawn(
    weights: dict[str, Tensor], which: Callable[[str], bool], seed: int
) -> dict[str, Tensor]:
    """Weights of which some tensors are drawn anew from a normal distribution, at the same norm.

    The other tensors are kept as they are. Equal seeds give equal draws, whatever else is redrawn.

    Raises:
        FeatrackError: no tensor is to be redrawn.
    """
    chosen = [name for name in sorted(weights) if which(name)]
    if not chosen:
        raise FeatrackError(
            "The model has none of the matrices that this control redraws; it knows gated MLPs "
            "named gate_proj, up_proj and down_proj."
        )
    drawn = {}
    for number, name in enumerate(chosen):
        old = weights[name]
        generator = torch.Generator().manual_seed(1_000_003 * seed + number)
        new = torch.randn(old.shape, generator=generator, dtype=torch.float64)
        new *= old.double().norm() / new.norm()
        drawn[name] = new.to(old.dtype)
    return {**weights, **drawn}


def make_control(run: Path, model: str, name: str, which: Callable[[str], bool], seed: int) -> Path:
    """Makes the control `name` of a model, an artefact beside it in models/, and gives its folder.

    Raises:
        FeatrackError: the model is missing or damaged, or has nothing to redraw.
    """
    source = run / "models" / model

    def build(work: Path) -> None:
        for path in store.opened(source).iterdir():
            if path.is_file() and path.name not in (_WEIGHTS, "run.json", "history.csv"):
                shutil.copy2(path, work / path.name)
        weights = redrawn(load_file(source / _WEIGHTS), which, seed)
        save_file(weights, work / _WEIGHTS, metadata={"format": "pt"})

    return store.make(
        run / "models" / name,
        build,
        parameters={"redrawn": which.__name__, "seed": seed},
        inputs=[source],
        code=[sys.modules[__name__]],
    )

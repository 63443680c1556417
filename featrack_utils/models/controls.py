"""Control models: what is left of a model once what writes its site, or all of it, is random.

The share of a parent's features that a dictionary finds in such a model is the floor under what it
finds in the child (`book/method.md`, ceilings and floors).
"""

import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Self

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from featrack_utils.errors import FeatrackError
from featrack_utils.lineage import Lineage
from featrack_utils.pipeline import store

# In the names of tensors, of all families: transformers calls the list of blocks layers or h.
_BLOCK = re.compile(r"(?:^|\.)(?:layers|h)\.(\d+)\.(.+)")
_NORM = re.compile(r"norm|(?:^|[._])ln(?:_|\d|\.|$)")
_WEIGHTS = "model.safetensors"


class Redraw(NamedTuple):
    """Which tensors a control redraws: those that write the site, in its block alone.

    The MLP's for a site of the MLP, those of attention for one of attention, both for the residual
    stream. Norms are kept, and so is all that comes before.
    """

    writer: str  # as `Lineage.writer`
    layer: int

    @classmethod
    def of(cls, lineage: Lineage) -> Self:
        """What writes the site of a lineage."""
        return cls(lineage.writer, lineage.layer)

    def __call__(self, name: str) -> bool:
        place = _BLOCK.search(name)
        if not place or int(place[1]) != self.layer or _NORM.search(name):
            return False
        part = "attention" if "att" in place[2] else "mlp"
        return self.writer in (part, "block")


def is_matrix(name: str) -> bool:
    """Whether a tensor is one of the weights, and not of a norm."""
    return not _NORM.search(name)


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
            "The model has none of the weights that this control redraws; it knows blocks whose "
            "tensors are named layers.N or h.N."
        )
    drawn = {}
    for number, name in enumerate(chosen):
        old = weights[name]
        generator = torch.Generator().manual_seed(1_000_003 * seed + number)
        new = torch.randn(old.shape, generator=generator, dtype=torch.float64)
        new *= old.double().norm() / new.norm()  # a bias of zeros stays one
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
        parameters={"redrawn": str(getattr(which, "__name__", which)), "seed": seed},
        inputs=[source],
        code=[sys.modules[__name__]],
    )

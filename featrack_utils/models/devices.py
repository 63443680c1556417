"""What models and dictionaries are computed on, unless a chapter looks at a few tokens only."""

from __future__ import annotations

import os

import torch

from featrack_utils.errors import FeatrackError


def chosen(wanted: str = "") -> torch.device:
    """The device of a name, by default that of the profile; "auto" is CUDA, then MPS, then the CPU.

    The pipeline hands the profile's on in `FEATRACK_DEVICE`. It is resolved where the work is done,
    so that a cluster's nodes may differ.

    Raises:
        FeatrackError: this machine lacks it.
    """
    wanted = wanted or os.environ.get("FEATRACK_DEVICE", "auto")
    found = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    there = [*filter(found.get, found), "cpu"]
    if wanted not in ("auto", *there):
        raise FeatrackError(
            f"device is {wanted}, and this machine has only {' and '.join(there)}; choose one of "
            "these or auto."
        )
    return torch.device(there[0] if wanted == "auto" else wanted)

"""Merging two fine-tunes in memory by slerp or linearly, and the angles between them.

Everywhere t runs from the Lua model (t = 0, first parent, A) to the Stories model (t = 1, second
parent, B), which is also mergekit's direction when a recipe's base_model is Lua.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from numbers import Real
from typing import TypeVar

import pandas as pd
import torch
from torch import Tensor

from featrack_utils.errors import FeatrackError

State = Mapping[str, Tensor]
TensorOrState = TypeVar("TensorOrState", Tensor, State)

# mergekit 0.1.5's conventions (merge_methods/slerp.py): beyond this |cos θ| it interpolates
# linearly, and a norm up to NORM_EPS counts as 1 when the cosine is taken.
DOT_THRESHOLD = 0.9995
NORM_EPS = 1e-8


def slerp(a: TensorOrState, b: TensorOrState, t: float) -> TensorOrState:
    """Spherical interpolation of flattened tensors, tensor by tensor, computed in float64.

    W(t) = sin((1-t)θ)/sin θ · W_A + sin(tθ)/sin θ · W_B, θ the angle between W_A and W_B (Shoemake
    1985; METHOD.md §2). With |cos θ| > 0.9995 it is linear interpolation, as in mergekit.

    a, b: tensors of one shape, or state dicts with the same names and shapes.
    Returns: the same kind, in the parents' dtype.
    Raises: FeatrackError for t outside [0, 1], and for parents that do not fit each other.
    """
    return _blend(a, b, t, _slerp_weights)


def linear(a: TensorOrState, b: TensorOrState, t: float) -> TensorOrState:
    """Linear interpolation (1-t) · W_A + t · W_B, computed in float64.

    Arguments, result and errors are those of `slerp`.
    """
    return _blend(a, b, t, lambda x, y, t: (1 - t, t))


def geometry(a: State, b: State) -> pd.DataFrame:
    """How far apart two parents lie, and how much slerp can differ from linear interpolation.

    One row a tensor: `tensor`, `shape`, `cos_theta` and `angle` (degrees) between the parents,
    `lerp_fallback` (|cos θ| > 0.9995: mergekit's slerp is linear there), `slerp_minus_lerp` =
    ‖slerp(½) − lerp(½)‖ / ‖W_B − W_A‖ of the formula itself (what the fallback ignores where it
    applies; 0 for equal parents, NaN for opposite ones), `norm_a`, `norm_b`, `norm_difference`.
    Raises: FeatrackError for parents that do not fit each other.
    """
    _check_fit(a, b)
    return pd.DataFrame(
        {"tensor": name, "shape": tuple(a[name].shape), **_tensor_geometry(a[name], b[name])}
        for name in a
    )


def check_t(t: float) -> float:
    """The merge weight as a plain float.

    Raises: FeatrackError unless t is a number in [0, 1].
    """
    if not isinstance(t, Real) or not 0 <= t <= 1:
        raise FeatrackError(
            f"Merge weight t is {t!r}; give a number from 0 (the Lua model) to 1 (Stories)."
        )
    return float(t)


@torch.no_grad()
def _blend(
    a: TensorOrState,
    b: TensorOrState,
    t: float,
    weights: Callable[[Tensor, Tensor, float], tuple[float, float]],
) -> TensorOrState:
    t = check_t(t)
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return _blend({"": a}, {"": b}, t, weights)[""]
    _check_fit(a, b)
    merged = {}
    for name, tensor in a.items():
        x, y = tensor.double(), b[name].double()
        weight_a, weight_b = weights(x, y, t)
        dtype = torch.promote_types(tensor.dtype, b[name].dtype)
        merged[name] = (weight_a * x + weight_b * y).to(dtype)
    return merged


def _slerp_weights(x: Tensor, y: Tensor, t: float) -> tuple[float, float]:
    cosine = _cosine(x, y)
    if abs(cosine) > DOT_THRESHOLD:
        return 1 - t, t
    theta = math.acos(cosine)
    return math.sin((1 - t) * theta) / math.sin(theta), math.sin(t * theta) / math.sin(theta)


def _unit(x: Tensor) -> Tensor:
    norm = torch.linalg.vector_norm(x).item()
    return x.flatten() / (norm if norm > NORM_EPS else 1.0)


def _cosine(x: Tensor, y: Tensor) -> float:
    return min(1.0, max(-1.0, torch.dot(_unit(x), _unit(y)).item()))


def _tensor_geometry(a: Tensor, b: Tensor) -> dict[str, float | bool]:
    x, y = a.detach().double(), b.detach().double()
    cosine = _cosine(x, y)
    apart, together = (torch.linalg.vector_norm(v).item() for v in (y - x, y + x))
    u, v = _unit(x), _unit(y)
    # Kahan's angle keeps its digits where acos of a cosine near 1 has lost them.
    theta = 2 * math.atan2(torch.dist(u, v).item(), torch.linalg.vector_norm(u + v).item())
    if apart == 0:
        ratio = 0.0
    elif math.cos(theta / 2) < NORM_EPS:
        ratio = math.nan
    else:
        # Both are multiples of A + B at t = ½: by 1 / (2 cos(θ/2)) and by ½. Their difference as
        # sin²(θ/4) / cos(θ/2) does not cancel.
        ratio = math.sin(theta / 4) ** 2 / math.cos(theta / 2) * together / apart
    return {
        "cos_theta": cosine,
        "angle": math.degrees(theta),
        "lerp_fallback": abs(cosine) > DOT_THRESHOLD,
        "slerp_minus_lerp": ratio,
        "norm_a": torch.linalg.vector_norm(x).item(),
        "norm_b": torch.linalg.vector_norm(y).item(),
        "norm_difference": apart,
    }


def _check_fit(a: State, b: State) -> None:
    for missing, side in ((set(b) - set(a), "first"), (set(a) - set(b), "second")):
        if missing:
            raise FeatrackError(
                f"The {side} parent has no parameter {min(missing)!r} that the other has; "
                "merge two models of one architecture."
            )
    for name in a:
        label = f"Parameter {name!r}" if name else "The tensor"
        if a[name].shape != b[name].shape:
            raise FeatrackError(
                f"{label} has shape {tuple(a[name].shape)} in the first parent and "
                f"{tuple(b[name].shape)} in the second; merge two models of one architecture."
            )
        for tensor, side in ((a[name], "first"), (b[name], "second")):
            if not tensor.is_floating_point() or not tensor.isfinite().all():
                raise FeatrackError(
                    f"{label} of the {side} parent holds integers or non-finite numbers; "
                    "train that model again or give another."
                )

"""Merging models without training: slerp, weighted means, the angles between parents, the weight t.

A merge of two models has a weight t: 0 is the first parent (A), 1 the second (B), as in mergekit
where a recipe's base_model is A. See book/method.md, "Merging".
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd
import torch
import yaml
from jaxtyping import Float
from torch import Tensor
from transformers import AutoTokenizer

from featrack_utils.errors import FeatrackError
from featrack_utils.models.loading import load_model

State = Mapping[str, Tensor]
TensorOrState = TypeVar("TensorOrState", Tensor, State)

RECIPE = "recipe.yaml"
# mergekit 0.1.5's conventions (merge_methods/slerp.py): beyond this |cos θ| it interpolates
# linearly, and a norm up to NORM_EPS counts as 1 when the cosine is taken.
DOT_THRESHOLD = 0.9995
NORM_EPS = 1e-8


@torch.no_grad()
def slerp(a: TensorOrState, b: TensorOrState, t: float) -> TensorOrState:
    """Spherical interpolation of flattened tensors, tensor by tensor, computed in float64.

    W(t) = sin((1-t)θ)/sin θ · W_A + sin(tθ)/sin θ · W_B, θ the angle between W_A and W_B
    (Shoemake 1985). With |cos θ| > 0.9995 it is linear interpolation, as in mergekit.

    a, b: tensors of one shape, or state dicts with the same names and shapes.
    Returns: the same kind, in the parents' dtype.
    Raises: FeatrackError for t outside [0, 1], and for parents that do not fit each other.
    """
    t = check_t(t)
    if isinstance(a, Tensor):
        return slerp({"": a}, {"": b}, t)[""]
    _check_fit([a, b])
    return {
        name: _weighted([a[name], b[name]], _slerp_weights(_cosine(a[name], b[name]), t))
        for name in a
    }


@torch.no_grad()
def linear(states: Sequence[State], weights: Sequence[float] | None = None) -> State:
    """The weighted mean of two or more state dicts, tensor by tensor, computed in float64.

    weights: one for each state, with sum 1; by default all alike.
    Returns: a state dict in the parents' dtype.
    Raises: FeatrackError for other weights, and for parents that do not fit each other.
    """
    if weights is None:
        weights = equal_weights(len(states))
    if len(weights) != len(states) or not math.isclose(sum(weights), 1):
        raise FeatrackError(
            f"{len(states)} models can't be merged with the weights {list(weights)}; "
            "give one for each, with sum 1."
        )
    _check_fit(states)
    return {name: _weighted([state[name] for state in states], weights) for name in states[0]}


def merge(states: Sequence[State], weights: Sequence[float], method: str) -> State:
    """A merge by its method's name: for slerp of two models the weights are 1 − t and t."""
    if method == "slerp":
        return slerp(states[0], states[1], weights[1])
    return linear(states, weights)


def equal_weights(count: int) -> list[float]:
    """The weights of so many models that count alike."""
    return [1 / count] * count


def check_t(t: float) -> float:
    """The merge weight as a plain float.

    Raises: FeatrackError unless t is a number in [0, 1].
    """
    if not isinstance(t, Real) or not 0 <= t <= 1:
        raise FeatrackError(
            f"Merge weight t is {t!r}; give a number from 0 (the first parent) to 1 (the second)."
        )
    return float(t)


def write_merge(
    folder: Path, parents: Sequence[Path], weights: Sequence[float], method: str
) -> None:
    """Merges saved models into a folder: model, the first one's tokenizer, a mergekit recipe.

    The recipe, ``recipe.yaml``, makes the same model by ``mergekit-yaml recipe.yaml <folder>``. It
    names the parents as neighbours of the folder that is written.
    Raises: FeatrackError for parents that do not fit each other.
    """
    models = [load_model(parent) for parent in parents]
    merged = merge([model.state_dict() for model in models], weights, method)
    models[0].load_state_dict(merged)
    models[0].save_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(parents[0], local_files_only=True)
    tokenizer.save_pretrained(folder)
    names = [f"../{parent.name}" for parent in parents]
    recipe = {
        "merge_method": method,
        "base_model": names[0],  # slerp's parent at t = 0
        "models": [
            {"model": name, "parameters": {"weight": weight}}
            for name, weight in zip(names, weights, strict=True)
        ],
        "dtype": "float64",  # of the arithmetic; only the result is rounded
        "out_dtype": "float32",
    }
    if method == "slerp":
        recipe |= {"models": [{"model": name} for name in names], "parameters": {"t": weights[1]}}
    (folder / RECIPE).write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")


def geometry(a: State, b: State) -> pd.DataFrame:
    """How far apart two parents lie, and how much slerp can differ from linear interpolation.

    One row a tensor: `tensor`, `cos_theta` and `angle` (degrees) between the parents, `on_line`
    (|cos θ| > 0.9995: mergekit's slerp is linear there), `slerp_minus_lerp` =
    ‖slerp(½) − lerp(½)‖ / ‖W_B − W_A‖ of the formula itself (what the fallback ignores where it
    applies; 0 for equal parents, NaN for opposite ones).
    Raises: FeatrackError for parents that do not fit each other.
    """
    _check_fit([a, b])
    return pd.DataFrame({"tensor": name, **_tensor_geometry(a[name], b[name])} for name in a)


def kept_shares(
    swept: pd.DataFrame, before: Mapping[str, float], own: Mapping[str, Sequence[str]]
) -> dict[str, Float[np.ndarray, " n_ts"]]:
    """The share that merges of two keep of what each parent gained, by parent.

    The share is (accuracy − before) / (parent − before), each the mean over the domains that the
    parent was tuned on. NaN where the parent gained nothing.

    swept: accuracy by domain at increasing `t` from 0, the first parent, to 1, the second.
    before: that of the model that both descend from.
    own: each parent's domains, the first parent's first.
    """
    kept = {}
    for (parent, domains), end in zip(own.items(), (0, -1), strict=True):
        accuracy = swept[[*domains]].mean(axis=1).to_numpy()
        start = np.mean([before[domain] for domain in domains])
        gain = accuracy[end] - start
        kept[parent] = (accuracy - start) / (gain if gain > 0 else np.nan)
    return kept


def balanced_t(ts: Sequence[float], kept: Mapping[str, Sequence[float]]) -> float:
    """The t where a merge of two keeps the same share of both parents' gains (see `kept_shares`).

    Raises: FeatrackError if a parent gained nothing, or if the shares never cross.
    """
    for parent, shares in kept.items():
        if np.isnan(shares).any():
            raise FeatrackError(
                f"The fine-tune {parent} is no more accurate on its own text than the model before "
                "it, so there is no gain to balance; train it for longer or give the merge a "
                "number as its t."
            )
    (first, a), (second, b) = kept.items()
    t = crossing(ts, a, b)
    if t is None:
        raise FeatrackError(
            "The sweep has no balanced t: from its first to its last t the kept share goes "
            f"{a[0]:.3f} → {a[-1]:.3f} for {first} and {b[0]:.3f} → {b[-1]:.3f} for {second} "
            "without crossing; give the merge a number as its t."
        )
    return t


def crossing(ts: Sequence[float], a: Sequence[float], b: Sequence[float]) -> float | None:
    """The t where two curves meet, straight between grid points; None if they never do.

    Of several crossings the one with the highest value counts, then the lowest t.
    """
    grid, a, b = (np.asarray(values, dtype=np.float64) for values in (ts, a, b))
    gap = a - b
    # (common value, -t), so that max() prefers the lower t among equals.
    crossings = [(a[i], -grid[i]) for i in np.flatnonzero(gap == 0)]
    for i in np.flatnonzero(gap[:-1] * gap[1:] < 0):
        along = gap[i] / (gap[i] - gap[i + 1])
        common = a[i] + along * (a[i + 1] - a[i])
        crossings.append((common, -(grid[i] + along * (grid[i + 1] - grid[i]))))
    return float(-max(crossings)[1]) if crossings else None


def _weighted(tensors: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    total = sum(weight * x.double() for weight, x in zip(weights, tensors, strict=True))
    return total.to(tensors[0].dtype)


def _slerp_weights(cosine: float, t: float) -> tuple[float, float]:
    if abs(cosine) > DOT_THRESHOLD:
        return 1 - t, t
    theta = math.acos(cosine)
    return math.sin((1 - t) * theta) / math.sin(theta), math.sin(t * theta) / math.sin(theta)


def _unit(x: Tensor) -> Tensor:
    x = x.detach().double().flatten()
    norm = torch.linalg.vector_norm(x).item()
    return x / (norm if norm > NORM_EPS else 1.0)


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
        "on_line": abs(cosine) > DOT_THRESHOLD,
        "slerp_minus_lerp": ratio,
    }


def _check_fit(states: Sequence[State]) -> None:
    first = states[0]
    for number, state in enumerate(states, start=1):
        if odd := set(state) ^ set(first):
            raise FeatrackError(
                f"Parent 1 and parent {number} don't both have the parameter {min(odd)!r}; "
                "merge models of one architecture."
            )
        for name, tensor in state.items():
            label = f"Parameter {name!r}" if name else "The tensor"
            if tensor.shape != first[name].shape:
                raise FeatrackError(
                    f"{label} has shape {tuple(first[name].shape)} in parent 1 and "
                    f"{tuple(tensor.shape)} in parent {number}; merge models of one architecture."
                )
            if not tensor.is_floating_point() or not tensor.isfinite().all():
                raise FeatrackError(
                    f"{label} of parent {number} holds integers or non-finite numbers; "
                    "train that model again or give another."
                )

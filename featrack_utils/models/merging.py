"""Merging models without training: slerp and weighted means.

A merge of two models has a weight t: 0 is the first parent (A), 1 the second (B), as in mergekit
where a recipe's base_model is A. See book/method.md, "Merging".
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor
from transformers import AutoTokenizer, PreTrainedModel

from featrack_utils.errors import FeatrackError
from featrack_utils.models.loading import load_model

State = Mapping[str, Tensor]

RECIPE = "recipe.yaml"
# mergekit 0.1.5's conventions (merge_methods/slerp.py): beyond this |cos θ| it interpolates
# linearly, and a norm up to NORM_EPS counts as 1 when the cosine is taken.
DOT_THRESHOLD = 0.9995
NORM_EPS = 1e-8


@torch.no_grad()
def slerp(a: State, b: State, t: float) -> State:
    """Spherical interpolation of flattened tensors, tensor by tensor, computed in float64.

    W(t) = sin((1-t)θ)/sin θ · W_A + sin(tθ)/sin θ · W_B, θ the angle between W_A and W_B
    (Shoemake 1985). With |cos θ| > 0.9995 it is linear interpolation, as in mergekit. The result
    has the parents' dtype.

    Raises:
        FeatrackError: the two don't have the same parameters of the same shapes.
    """
    check_fit([a, b])

    def between(x: Tensor, y: Tensor) -> Tensor:
        cosine = torch.dot(_unit(x), _unit(y)).item()
        if abs(cosine) > DOT_THRESHOLD:
            return _weighted([x, y], [1 - t, t])
        theta = math.acos(cosine)
        return _weighted([x, y], [math.sin(s * theta) / math.sin(theta) for s in (1 - t, t)])

    return {name: between(a[name], b[name]) for name in a}


@torch.no_grad()
def linear(states: Sequence[State], weights: Sequence[float]) -> State:
    """The weighted mean of two or more models, tensor by tensor, computed in float64.

    Raises:
        FeatrackError: they don't have the same parameters of the same shapes.
    """
    check_fit(states)
    return {name: _weighted([state[name] for state in states], weights) for name in states[0]}


def merge(states: Sequence[State], weights: Sequence[float], method: str) -> State:
    """A merge by its method's name; the weights add up to 1, for slerp they are 1 − t and t."""
    if method == "slerp":
        return slerp(states[0], states[1], weights[1])
    return linear(states, weights)


def save_like(folder: Path, parent: Path, weights: State) -> None:
    """Saves weights as a model like a saved one, with its tokenizer."""
    with_weights(load_model(parent), weights).save_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(parent, local_files_only=True)
    tokenizer.save_pretrained(folder)


def with_weights(model: PreTrainedModel, weights: State) -> PreTrainedModel:
    """A model like another one, with other weights, in float32.

    They are named as the model names them or as its file does (GPT-NeoX has two names for its
    unembedding); of those that it shares, one name is enough.

    Raises:
        FeatrackError: one is missing, or is none of the model's.
    """
    made, odd = type(model).from_pretrained(
        None,
        config=model.config,
        state_dict=dict(weights),
        dtype=torch.float32,
        output_loading_info=True,
    )
    if wrong := sorted({*odd["missing_keys"], *odd["unexpected_keys"]}):
        raise FeatrackError(
            f"Parameter {wrong[0]!r} is not in both the model and its new weights; merge models of "
            "one architecture."
        )
    return made.eval()


def _weighted(tensors: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    total = sum(weight * x.double() for weight, x in zip(weights, tensors, strict=True))
    return total.to(tensors[0].dtype)


def _unit(x: Tensor) -> Tensor:
    x = x.double().flatten()
    norm = torch.linalg.vector_norm(x).item()
    return x / (norm if norm > NORM_EPS else 1.0)


def check_fit(states: Sequence[State]) -> None:
    """Raises FeatrackError unless the models have the same parameters of the same shapes."""
    first = {name: tuple(tensor.shape) for name, tensor in states[0].items()}
    for number, state in enumerate(states[1:], start=2):
        shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
        if odd := first.items() ^ shapes.items():
            name = min(odd)[0]
            raise FeatrackError(
                f"Parameter {name!r} has shape {first.get(name, 'none')} in parent 1 and "
                f"{shapes.get(name, 'none')} in parent {number}; merge models of one architecture."
            )

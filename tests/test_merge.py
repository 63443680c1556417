"""Slerp and linear merging against hand calculation."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import tensor

from featrack_utils.errors import FeatrackError
from featrack_utils.models import merging
from featrack_utils.models.merging import linear

THRESHOLD = 0.9995  # as mergekit states it, not as our module does


def vector(seed: int, size: int = 12) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(size, generator=generator, dtype=torch.float64)


def at_angle(theta: float) -> torch.Tensor:
    return tensor([math.cos(theta), math.sin(theta)], dtype=torch.float64)


def slerp(a, b, t):
    return merging.slerp({"": a}, {"": b}, t)[""]


def mean(a, b, t):
    return linear([{"": a}, {"": b}], [1 - t, t])[""]


@pytest.mark.parametrize("blend", [slerp, mean])
def test_merging_at_zero_is_the_first_parent_and_at_one_the_second(blend):
    a, b = vector(0).float(), vector(1).float()
    assert torch.equal(blend(a, b, 0), a)
    assert torch.equal(blend(a, b, 1), b)


def test_slerp_of_orthogonal_unit_vectors_at_half_lies_on_the_circle_between_them():
    half = slerp(tensor([1.0, 0.0]), tensor([0.0, 1.0]), 0.5)
    assert half.tolist() == pytest.approx([math.sqrt(0.5), math.sqrt(0.5)])


def test_linear_merge_of_orthogonal_unit_vectors_at_a_quarter():
    assert mean(tensor([1.0, 0.0]), tensor([0.0, 1.0]), 0.25).tolist() == [0.75, 0.25]


def test_slerp_turns_a_unit_vector_by_t_times_the_angle():
    merged = slerp(at_angle(0.0), at_angle(1.2), 0.25)
    assert merged.tolist() == pytest.approx(at_angle(0.3).tolist())


def test_slerp_flattens_a_matrix_instead_of_turning_its_rows_one_by_one():
    a, b = vector(2), vector(3)
    assert torch.equal(slerp(a.view(3, 4), b.view(3, 4), 0.4), slerp(a, b, 0.4).view(3, 4))


@pytest.mark.parametrize("side", [-1, 1], ids=["just above", "just below"])
@pytest.mark.parametrize("sign", [1, -1], ids=["parallel", "opposite"])
def test_slerp_becomes_linear_exactly_beyond_the_threshold(side, sign):
    theta = math.acos(THRESHOLD) * (1 + side * 1e-3)
    a, b = at_angle(0.0), sign * at_angle(theta)
    is_linear = torch.allclose(slerp(a, b, 0.5), mean(a, b, 0.5), rtol=0, atol=1e-9)
    assert is_linear == (side == -1)


def test_slerp_with_a_zero_tensor_treats_it_as_orthogonal():
    merged = slerp(torch.zeros(2), tensor([0.0, 2.0]), 1 / 3)
    assert merged.tolist() == pytest.approx([0.0, 2 * math.sin(math.pi / 6)])


def test_state_dicts_merge_tensor_by_tensor_each_with_its_own_angle():
    a = {"x": tensor([1.0, 0.0]), "y": tensor([2.0, 2.0])}
    b = {"y": tensor([2.0, 2.0]), "x": tensor([0.0, 1.0])}
    merged = merging.slerp(a, b, 0.5)
    assert list(merged) == ["x", "y"]
    assert merged["x"].tolist() == pytest.approx([math.sqrt(0.5)] * 2)
    assert merged["y"].tolist() == [2.0, 2.0]


def test_the_merge_keeps_the_dtype_and_leaves_the_parents_alone():
    a, b = vector(4).bfloat16(), vector(5).bfloat16()
    kept = a.clone(), b.clone()
    assert slerp(a, b, 0.3).dtype == torch.bfloat16
    assert torch.equal(a, kept[0]) and torch.equal(b, kept[1])


def test_a_mean_of_three_counts_each_by_its_weight():
    states = [{"w": tensor([x, 0.0])} for x in (3.0, 6.0, 12.0)]
    assert linear(states, [1 / 3] * 3)["w"].tolist() == pytest.approx([7, 0])
    assert linear(states, [0.5, 0.25, 0.25])["w"].tolist() == [6, 0]


seeds = st.integers(0, 10**6)
weights = st.floats(0, 1)


@settings(max_examples=60)
@given(seeds, seeds, weights)
def test_slerp_read_from_the_other_end_is_the_same(seed_a, seed_b, t):
    a, b = vector(seed_a), vector(seed_b)
    assert torch.allclose(slerp(a, b, t), slerp(b, a, 1 - t), rtol=0, atol=1e-12)


@settings(max_examples=60)
@given(seeds, seeds, weights)
def test_slerp_of_equally_long_tensors_keeps_their_length_unless_it_falls_back(seed_a, seed_b, t):
    a, b = (v / v.norm() for v in (vector(seed_a), vector(seed_b)))
    slack = 2e-4 if abs(torch.dot(a, b)) > THRESHOLD else 1e-12
    assert slerp(a, b, t).norm().item() == pytest.approx(1, abs=slack)


@settings(max_examples=60)
@given(seeds, seeds, weights, st.floats(0.1, 10))
def test_slerp_scales_with_its_parents(seed_a, seed_b, t, scale):
    a, b = vector(seed_a), vector(seed_b)
    scaled = slerp(scale * a, scale * b, t)
    assert torch.allclose(scaled, scale * slerp(a, b, t), rtol=1e-9, atol=1e-9)


def test_the_norm_of_a_slerp_between_acute_parents_lies_between_theirs():
    a, b = 2 * at_angle(0.0), 3 * at_angle(0.5)
    norms = [slerp(a, b, t).norm().item() for t in (0, 0.25, 0.5, 0.75, 1)]
    assert norms == sorted(norms)
    assert norms[0] == pytest.approx(2) and norms[-1] == pytest.approx(3)


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ({"x": torch.ones(2)}, {"x": torch.ones(2), "y": torch.ones(2)}, "'y' has shape none in"),
        (
            {"x": torch.ones(2), "y": torch.ones(2)},
            {"x": torch.ones(2)},
            "'y' has shape .* and none",
        ),
        ({"x": torch.ones(2)}, {"x": torch.ones(3)}, r"shape \(2,\) in parent 1 and \(3,\) in"),
    ],
)
@pytest.mark.parametrize("method", ["slerp", "linear"])
def test_parents_that_do_not_fit_are_refused(method, a, b, message):
    with pytest.raises(FeatrackError, match=message):
        merging.merge([a, b], [0.5, 0.5], method)

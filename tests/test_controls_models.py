"""Control models keep what they are meant to keep, and nothing of the rest."""

import pytest
import torch

from featrack_utils.errors import FeatrackError
from featrack_utils.models.controls import Redraw, is_matrix, redrawn

MLP = Redraw("mlp", 0)
NAMES = {
    "model.embed_tokens.weight": (64, 8),
    "model.layers.0.input_layernorm.weight": (8,),
    "model.layers.0.self_attn.q_proj.weight": (8, 8),
    "model.layers.0.mlp.gate_proj.weight": (16, 8),
    "model.layers.0.mlp.up_proj.weight": (16, 8),
    "model.layers.0.mlp.down_proj.weight": (8, 16),
    "model.norm.weight": (8,),
    "lm_head.weight": (64, 8),
}


@pytest.fixture
def weights():
    torch.manual_seed(0)
    return {name: torch.randn(shape) + 1 for name, shape in NAMES.items()}


def test_a_random_mlp_keeps_embedding_and_attention_bit_for_bit(weights):
    control = redrawn(weights, MLP, seed=0)
    changed = [name for name in NAMES if not torch.equal(control[name], weights[name])]
    assert len(changed) == 3 and all(".mlp." in name for name in changed)


def test_what_is_redrawn_has_the_old_norm_and_nothing_of_the_old_direction(weights):
    control = redrawn(weights, MLP, seed=0)
    big = {"model.layers.0.mlp.up_proj.weight": torch.randn(400, 400) + 1}
    for old, new in ((weights, control), (big, redrawn(big, MLP, seed=0))):
        name = "model.layers.0.mlp.up_proj.weight"
        assert new[name].norm().item() == pytest.approx(old[name].norm().item(), rel=1e-5)
    cosine = torch.cosine_similarity(big[name].flatten(), new[name].flatten(), dim=0)
    assert abs(cosine) < 0.02


def test_a_random_model_keeps_the_gains_of_the_norms_alone(weights):
    control = redrawn(weights, is_matrix, seed=0)
    kept = [name for name in NAMES if torch.equal(control[name], weights[name])]
    assert kept == ["model.layers.0.input_layernorm.weight", "model.norm.weight"]


def test_draws_differ_by_seed_and_repeat_for_one(weights):
    one, again, other = (
        redrawn(weights, MLP, seed)["model.layers.0.mlp.up_proj.weight"] for seed in (1, 1, 2)
    )
    assert torch.equal(one, again) and not torch.equal(one, other)


def test_a_model_without_such_matrices_is_refused():
    with pytest.raises(FeatrackError, match="none of the weights"):
        redrawn({"wte.weight": torch.ones(2, 2)}, MLP, seed=0)

"""Activations are those that transformers itself feeds to the MLP's output matrix."""

import pytest
import torch

from featrack_utils.lineage import SITE
from featrack_utils.models.capture import logits_with, mlp_activations, plain_activations
from featrack_utils.models.loading import load_model


@pytest.fixture
def tokens(blocks):
    return torch.from_numpy(blocks[:5]).long()


def hooks_on(bridge) -> int:
    return sum(len(point.fwd_hooks) + len(point.bwd_hooks) for point in bridge.hook_dict.values())


def test_activations_equal_the_input_of_down_proj_in_plain_transformers(
    bridge, model_folder, tokens
):
    seen = []
    plain = load_model(model_folder)
    plain.model.layers[0].mlp.down_proj.register_forward_pre_hook(
        lambda module, inputs: seen.append(inputs[0])
    )
    with torch.no_grad():
        plain(input_ids=tokens)
    acts = mlp_activations(bridge, tokens)
    assert acts.shape == (5, 16, 24) and acts.dtype == torch.float32
    torch.testing.assert_close(acts, seen[0], rtol=1e-5, atol=1e-6)


def test_the_models_logits_are_those_of_plain_transformers(bridge, model_folder, tokens):
    with torch.no_grad():
        expected = load_model(model_folder)(input_ids=tokens).logits
    torch.testing.assert_close(logits_with(bridge, tokens), expected, rtol=1e-5, atol=1e-5)


def test_no_logits_are_computed_where_only_activations_are_wanted(bridge, tokens):
    calls = []
    bridge.original_model.lm_head.register_forward_pre_hook(lambda *_: calls.append("lm_head"))
    mlp_activations(bridge, tokens)
    assert calls == []
    logits_with(bridge, tokens)
    assert calls == ["lm_head"]


def test_no_hook_and_no_change_is_left_on_the_model(bridge, tokens):
    before = logits_with(bridge, tokens)
    mlp_activations(bridge, tokens)
    zeroed = logits_with(bridge, tokens, torch.zeros_like)
    assert not torch.equal(zeroed, before)
    assert hooks_on(bridge) == 0
    assert torch.equal(logits_with(bridge, tokens), before)


def test_a_hook_that_fails_is_taken_off_too(bridge, tokens):
    def fail(acts):
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError):
        logits_with(bridge, tokens, fail)
    assert hooks_on(bridge) == 0


def test_replacing_activations_by_themselves_changes_nothing(bridge, tokens):
    clean = logits_with(bridge, tokens)
    assert torch.equal(logits_with(bridge, tokens, lambda acts: acts), clean)
    acts = mlp_activations(bridge, tokens)
    assert torch.equal(logits_with(bridge, tokens, lambda _: acts), clean)


def test_zeroed_activations_leave_what_transformers_gives_without_the_mlp(
    bridge, model_folder, tokens
):
    plain = load_model(model_folder)
    torch.nn.init.zeros_(plain.model.layers[0].mlp.down_proj.weight)
    with torch.no_grad():
        expected = plain(input_ids=tokens).logits
    zeroed = logits_with(bridge, tokens, torch.zeros_like)
    torch.testing.assert_close(zeroed, expected, rtol=1e-5, atol=1e-5)


def test_nothing_that_is_captured_asks_for_gradients(bridge, tokens):
    assert not mlp_activations(bridge, tokens).requires_grad
    assert not logits_with(bridge, tokens).requires_grad


def test_the_hook_is_the_papers(bridge):
    assert SITE == "blocks.0.mlp.hook_post"
    assert SITE in bridge.hook_dict


def test_a_plain_model_has_the_activations_of_the_bridge_and_no_hook_is_left(
    bridge, plain_model, tokens
):
    acts = plain_activations(plain_model, tokens)
    torch.testing.assert_close(acts, mlp_activations(bridge, tokens), rtol=1e-4, atol=1e-6)
    assert not plain_model.model.layers[0].mlp.down_proj._forward_pre_hooks

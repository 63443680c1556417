"""The loss in chunks, and its gradient, are those of the plain cross-entropy."""

import dataclasses

import pytest
import torch
import torch.nn.functional as F

from featrack_utils.models import training


@pytest.fixture
def tokens():
    return torch.randint(0, 280, (5, 16), generator=torch.Generator().manual_seed(0))


def gradients(model, value):
    model.zero_grad()
    value.backward()
    return {name: p.grad.clone() for name, p in model.named_parameters()}


@pytest.mark.parametrize("size", [7, 75, 512])
def test_a_loss_in_chunks_and_its_gradient_are_those_of_all_logits(
    fresh_model, tokens, monkeypatch, size
):
    chunks = dataclasses.replace(training._CHUNKS, batch_chunk_size=size)
    monkeypatch.setattr(training, "_CHUNKS", chunks)
    model = fresh_model()
    ours = training.next_token_loss(model, tokens)
    logits = model(input_ids=tokens).logits[:, :-1].reshape(-1, 280)
    plain = F.cross_entropy(logits, tokens[:, 1:].reshape(-1))
    torch.testing.assert_close(ours, plain)
    torch.testing.assert_close(ours, model(input_ids=tokens, labels=tokens).loss)
    torch.testing.assert_close(gradients(model, ours), gradients(model, plain))


def test_a_loss_that_is_weighed_weighs_its_gradient(fresh_model, tokens):
    model = fresh_model()
    once = gradients(model, training.next_token_loss(model, tokens))
    thrice = gradients(model, 3 * training.next_token_loss(model, tokens))
    torch.testing.assert_close(thrice, {name: 3 * grad for name, grad in once.items()})


def test_in_bfloat16_the_gradient_points_the_same_way(fresh_model, tokens):
    model = fresh_model()
    exact = gradients(model, training.next_token_loss(model, tokens))
    with torch.autocast("cpu", torch.bfloat16):
        rough = gradients(model, training.next_token_loss(model, tokens))
    for name, grad in exact.items():
        assert F.cosine_similarity(grad.flatten(), rough[name].flatten(), dim=0) > 0.99, name


def test_a_certain_mistake_costs_much_but_not_infinitely_much(fresh_model, tokens):
    model = fresh_model()
    with torch.no_grad():
        model.lm_head.weight *= 1e6
    value = training.next_token_loss(model, tokens)
    assert torch.isfinite(value) and value > 50

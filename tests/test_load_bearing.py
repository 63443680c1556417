"""Ablation: nothing changes nothing, everything is zeros; planted features are told apart."""

import numpy as np
import pytest
import torch
from scipy import sparse

from featrack_utils.lineage import Lineage
from featrack_utils.models.capture import logits_with, plain_activations
from tests.chapters import Chapter
from tests.conftest import CONTEXT
from tests.families import FAMILIES, new_model

NAME = "load-bearing"
Tail = Chapter(NAME).Tail
LINEAGE = Lineage({"base": {"train": ["english"]}})
SITE, END = LINEAGE.site, "blocks.0.hook_resid_post"


@pytest.fixture
def tokens(blocks):
    return torch.from_numpy(blocks[:6]).long()


@pytest.fixture
def chapter(tokens):
    known = np.arange(CONTEXT - 1) < CONTEXT - 2
    return Chapter(
        NAME,
        lineage=LINEAGE,
        tokens=tokens,
        context=CONTEXT,
        rows=np.arange(6 * (CONTEXT - 1)),
        asked=np.tile(known, 6),
    )


@pytest.fixture
def readings(chapter, plain_model, tokens):
    """The model by its tail, and as if it had none."""
    stream = plain_activations(plain_model, tokens, END)[:, 1:].flatten(0, 1)
    tail = Tail.of(plain_model, SITE)
    return [chapter.Reading(plain_model, *rest) for rest in ((tail, stream), (None, None))]


def behind_the_first(values):
    return values[:, 1:].flatten(0, 1)


def test_taking_nothing_out_changes_nothing_bit_for_bit(chapter, plain_model, tokens):
    with torch.no_grad():
        logits = plain_model(input_ids=tokens).logits
    nothing = torch.zeros(*tokens.shape, 24)
    assert torch.equal(chapter.logits_without(plain_model, tokens, nothing), logits)
    stream = plain_activations(plain_model, tokens, END)
    assert torch.equal(Tail.of(plain_model, SITE).logits(stream, nothing), logits)


def test_all_features_and_the_error_taken_out_are_zeros_in_the_activations_place(
    readings, chapter, bridge, tokens
):
    x = behind_the_first(plain_activations(readings[0].model, tokens))
    draw = torch.Generator().manual_seed(0)
    acts, W_dec = torch.rand(len(x), 50, generator=draw), torch.randn(50, 24, generator=draw)
    error = x - acts @ W_dec
    zeros = logits_with(
        bridge, tokens, lambda x: torch.cat([x[:, :1], 0 * x[:, 1:]], dim=1)
    ).log_softmax(-1)
    for reading in readings:
        without = torch.cat(list(chapter.log_probabilities(reading, acts @ W_dec + error)))
        torch.testing.assert_close(without, behind_the_first(zeros), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("hook", ["mlp.hook_post", "hook_mlp_out", "hook_resid_post"])
def test_behind_the_last_block_of_any_family_a_token_is_computed_alone(family, hook):
    model, site = new_model(family, 0).eval(), f"blocks.2.{hook}"
    tail = Tail.of(model, site)
    if family == "Gemma2":  # norms what the MLP has written, and bends the logits
        assert tail is None
        return
    tokens = torch.arange(3, 15).reshape(2, 6)
    draw = torch.Generator().manual_seed(0)
    removed = torch.randn(*plain_activations(model, tokens, site).shape, generator=draw)
    by_hook = Chapter(NAME, lineage=Lineage(LINEAGE.models, site)).logits_without
    stream = plain_activations(model, tokens, "blocks.2.hook_resid_post")
    expected = by_hook(model, tokens, removed)
    torch.testing.assert_close(tail.logits(stream, removed), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("site", ["blocks.1.mlp.hook_post", "blocks.2.attn.hook_z"])
def test_where_later_tokens_read_a_site_there_is_no_tail(site):
    assert Tail.of(new_model("Llama", 0), site) is None


def test_matched_features_are_alike_in_every_measure_and_each_has_one_partner(chapter):
    rng = np.random.default_rng(0)
    of = np.arange(400) < 150
    measures = np.exp(rng.normal(size=(2, 400)) + 0.5 * of)  # what is matched is unlike at first
    measures[:, 0] = 1e9  # and this one has no like
    one, other = chapter.matched(of, ~of, measures, rng)
    assert len(one) > 50 and of[one].all() and not of[other].any() and 0 not in one
    assert len({*one}) == len({*other}) == len(one)
    apart = np.abs(np.log(measures[:, one] / measures[:, other]))
    assert apart.max() <= np.log(1.25)
    before = np.log(measures[:, of]).mean() - np.log(measures[:, ~of]).mean()
    after = np.log(measures[:, one]).mean() - np.log(measures[:, other]).mean()
    assert abs(after) < 0.05 < abs(before)


def test_density_and_length_are_those_of_mental_arithmetic(chapter):
    acts = sparse.csr_matrix([[3.0, 0, 0], [4, 0, 1], [0, 0, 1], [0, 0, 1]])
    density, length = chapter.density_and_length(acts, np.array([[0, 2], [1, 0], [0, 1.0]]))
    np.testing.assert_allclose(density[[0, 2]], [0.5, 0.75])
    np.testing.assert_allclose(length[[0, 2]], [2 * np.sqrt(12.5), 1])  # √((9 + 16) / 2)


def planted(model):
    """One feature that writes straight at a logit, and one that writes where nothing reads."""
    W_out = model.model.layers[0].mlp.down_proj.weight.detach()  # [16, 24]
    *_, V = np.linalg.svd(W_out.numpy())
    return np.float32([V[0], V[-1]])  # strongest direction; null space


def test_a_planted_feature_is_found_load_bearing_and_an_idle_one_is_not(chapter, readings):
    strength = np.where(np.arange(len(chapter.rows)) % 3, 0, 5.0).astype(np.float32)
    for reading in readings:
        nothing = torch.zeros(len(chapter.rows), 24)
        untouched = list(chapter.log_probabilities(reading, nothing))
        # The text is what the model foresees, so whatever moves it away costs loss on average.
        chapter.following = torch.cat(untouched).argmax(-1)
        clean = chapter.effect(reading, nothing, untouched)
        assert np.abs(clean[1]).max() < 1e-6
        (cost, kl), (idle_cost, idle_kl) = (
            chapter.effect(reading, torch.from_numpy(strength[:, None] * write), untouched) - clean
            for write in planted(reading.model)
        )
        active = strength > 0
        assert cost[active].mean() > 0.01 and kl[active].mean() > 0.01
        assert np.abs(np.stack([idle_cost, idle_kl])).max() < 1e-5
        assert np.abs(np.stack([cost, kl]))[:, ~active].max() < 1e-6


def test_the_kl_says_where_a_feature_acts_and_the_cosine_what_it_does(chapter, readings):
    draw = np.random.default_rng(0)
    n = len(chapter.rows)
    acts = sparse.csc_matrix(np.float32(draw.exponential(size=(n, 2)) * [[1.0, 0.0]]))
    W_dec = np.float32(draw.normal(size=(2, 24)) / 15)
    source = (acts, W_dec, readings[0])
    at = np.arange(n)
    own = chapter.alone(source, 0, at)
    swapped = chapter.alone(source, 0, at, writes=1)
    np.testing.assert_allclose(chapter.alike(own, own), [1, 1], atol=1e-5)
    r, cosine = chapter.alike(own, swapped)
    assert r > 0.8 and abs(cosine) < 0.8
    opposite = chapter.alone((acts, -W_dec, readings[0]), 0, at)
    r, cosine = chapter.alike(own, opposite)
    assert r > 0.6 and cosine < -0.8
    p = np.exp(next(chapter.log_probabilities(readings[0], torch.zeros(n, 24))).double().numpy())
    q = p + own[1].double().numpy()
    np.testing.assert_allclose(own[0], (p * np.log(p / q)).sum(axis=1), atol=1e-4)


def test_means_weigh_documents_as_the_draws_do(chapter):
    chapter.asked = np.ones(4, bool)
    chapter.rows, chapter.domain_of = np.arange(4), np.array([0, 0, 0, 1])
    chapter.one = Chapter(NAME, origin=np.array([0, 0, 1, 2]))
    chapter.draws = np.array([[2.0, 0, 1], [0, 2, 1]])
    chapter.picked = np.full((2, 2), 0.5)
    values = np.array([[1.0, 3, 5, 9], [1, 3, 5, 9]])
    estimate, low, high = chapter.mean(values, of=0)
    assert estimate == 3
    # The first draw has the first document twice, (1 + 3) / 2; the second only the other one.
    np.testing.assert_allclose([low, high], np.quantile([2, 5], [0.025, 0.975]))

"""Published ways of training, on decoders and activations that a head can hold."""

import numpy as np
import pytest
import torch
from featrack_utils.pipeline.trials import PUBLISHED
from sae_lens.saes.sae import TrainStepInput

from featrack_utils.dictionaries.published_training import (
    BLOCK,
    CHOICES,
    l1_over_tokens,
    lengths,
    new_published,
    train_published,
    unit_inputs,
)
from featrack_utils.dictionaries.training import load_sae
from featrack_utils.errors import FeatrackError

RECIPE = {
    "architecture": "standard",
    "expansion": 4,
    "l1_coefficient": 2.0,
    "k": 1,
    "l1_warm_up_steps": 0,
    "seed": 0,
}


def step(sae, acts, l1=2.0):
    coefficients = {"l1": l1}
    given = TrainStepInput(
        sae_in=acts,
        coefficients=coefficients,
        dead_neuron_mask=None,
        n_training_steps=0,
        is_logging_step=False,
    )
    return sae.training_forward_pass(given)


def test_a_profile_asks_for_the_choices_that_there_are():
    assert tuple(CHOICES) == PUBLISHED


def test_the_other_axis_gives_inputs_and_not_features_length_one():
    # Two features, three inputs: columns of length 5, 2 and 1.
    decoder = unit_inputs(torch.tensor([[3.0, 2, 0], [4.0, 0, 1]]))
    torch.testing.assert_close(decoder, torch.tensor([[0.6, 1, 0], [0.8, 0, 1]]))
    torch.testing.assert_close(decoder.square().sum(), torch.tensor(3.0))


def test_l1_over_tokens_is_the_sum_over_tokens_averaged_over_features():
    # One block of two tokens and four features: 1 + 3, 0, 0, 0.
    acts = torch.tensor([[[1.0, 0, 0, 0], [3.0, 0, 0, 0]]])
    assert l1_over_tokens(acts) == 1.0
    # What was meant: over features, averaged over tokens. It is d_sae / tokens times as much.
    assert acts.sum(dim=2).mean() == 2.0


def test_the_other_axis_is_normalised_before_every_step_and_lengths_leave_l1_alone():
    sae = new_published("wrong_axis", 2, **RECIPE)
    with torch.no_grad():
        sae.W_dec.mul_(7)
        sae.W_enc.fill_(0)
        sae.b_enc.fill_(0.5)
    output = step(sae, torch.zeros(3, 2))
    torch.testing.assert_close(sae.W_dec.norm(dim=0), torch.ones(2))
    # Eight features at 0.5, whatever their lengths, times the coefficient 2.
    assert output.losses["l1_loss"].item() == pytest.approx(8.0)


def test_l1_over_tokens_is_the_loss_of_whole_blocks():
    sae = new_published("over_tokens", 2, **RECIPE)
    with torch.no_grad():
        sae.W_dec.copy_(torch.nn.functional.normalize(sae.W_dec, dim=1))
        sae.W_enc.fill_(0)
        sae.b_enc.fill_(0.5)
    output = step(sae, torch.zeros(2 * BLOCK + 5, 2))
    assert output.losses["l1_loss"].item() == pytest.approx(2.0 * BLOCK * 0.5)


def test_ten_times_changes_the_coefficient_and_nothing_else():
    ten, plain = (
        new_published("ten_times", 6, **RECIPE | {"l1_coefficient": l1}) for l1 in (2.0, 0.2)
    )
    assert (ten.cfg.l1_coefficient, plain.cfg.l1_coefficient) == (20.0, 2.0)
    torch.testing.assert_close(ten.W_enc, plain.W_enc)


@pytest.mark.parametrize("choice", CHOICES)
def test_the_first_weights_are_those_of_the_same_seed(choice):
    one, same, other = (new_published(choice, 6, **RECIPE | {"seed": s}) for s in (0, 0, 1))
    torch.testing.assert_close(one.W_enc, same.W_enc)
    assert not torch.equal(one.W_enc, other.W_enc)


@pytest.mark.parametrize("choice", CHOICES)
def test_a_dictionary_without_l1_is_refused(choice):
    with pytest.raises(FeatrackError, match="topk"):
        new_published(choice, 6, **RECIPE | {"architecture": "topk"})


def test_trained_along_the_other_axis_features_keep_lengths_that_add_up(tmp_path, bridge, blocks):
    recipe = {key: RECIPE[key] for key in ("architecture", "expansion", "l1_coefficient", "k")}
    train_published(
        "wrong_axis",
        bridge,
        blocks,
        tmp_path,
        learning_rate=1e-3,
        train_tokens=960,
        batch_tokens=96,
        seed=0,
        precision="float32",
        **recipe,
    )
    norms = np.loadtxt(tmp_path / "norms.csv", skiprows=1)
    # 24 inputs of length one, shared out over 96 features.
    assert np.square(norms).sum() == pytest.approx(24, rel=1e-5)
    assert lengths(tmp_path)["length"] == pytest.approx(np.median(norms))
    unit = load_sae(tmp_path).W_dec.norm(dim=1)
    torch.testing.assert_close(unit, torch.ones(96))


def test_a_dictionary_that_keeps_no_lengths_has_length_one(tmp_path):
    assert set(lengths(tmp_path).values()) == {1.0}


def test_dense_features_are_measured_on_a_part_of_the_mix():
    assert [CHOICES[c].blocks(600) for c in CHOICES] == [600, 20, 600]
    assert CHOICES["over_tokens"].blocks(60) == 10

"""Logit effects against the plain product and against what a hooked model does."""

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from featrack_utils.errors import FeatrackError
from featrack_utils.interpretation.logit_effects import logit_effects, read_writing, top_logits

D_SAE = 9


@pytest.fixture(scope="module")
def sae_folder(tmp_path_factory):
    """A dictionary of unit rows for the 24 neurons of the tests' model."""
    folder = tmp_path_factory.mktemp("saes") / "base-0"
    folder.mkdir()
    W_dec = np.random.default_rng(0).normal(size=(D_SAE, 24))
    W_dec /= np.linalg.norm(W_dec, axis=1, keepdims=True)
    save_file({"W_dec": W_dec.astype(np.float32)}, folder / "sae_weights.safetensors")
    return folder


def test_effects_are_the_product_of_the_models_own_matrices(model_folder, sae_folder):
    model = load_file(model_folder / "model.safetensors")
    W_dec = load_file(sae_folder / "sae_weights.safetensors")["W_dec"]
    gain, unembed = model["model.norm.weight"], model["lm_head.weight"]
    expected = np.empty((D_SAE, 280))
    for feature in range(D_SAE):
        stream = model["model.layers.0.mlp.down_proj.weight"].astype(np.float64) @ W_dec[feature]
        logits = unembed.astype(np.float64) @ (gain * stream)
        expected[feature] = logits - logits.mean()
    writing = read_writing(model_folder, sae_folder)
    np.testing.assert_allclose(logit_effects(writing, np.arange(D_SAE)), expected, atol=1e-9)
    np.testing.assert_allclose(logit_effects(writing, np.array([4])), expected[[4]], atol=1e-9)


def test_the_named_tokens_are_those_that_a_full_sort_gives(model_folder, sae_folder):
    found = top_logits(model_folder, sae_folder, 5)
    effects = logit_effects(read_writing(model_folder, sae_folder), np.arange(D_SAE))
    order = np.argsort(effects, axis=1)
    np.testing.assert_array_equal(found.up, order[:, :-6:-1])
    np.testing.assert_array_equal(found.down, order[:, :5])
    for ids, values in ((found.up, found.up_effect), (found.down, found.down_effect)):
        np.testing.assert_allclose(values, np.take_along_axis(effects, ids, axis=1), rtol=1e-6)
    assert (found.up_effect > 0).all() and (found.down_effect < 0).all()


def test_adding_a_feature_in_the_running_model_moves_the_logits_that_way(
    bridge, blocks, model_folder, sae_folder
):
    """RMSNorm can only divide the stream and take out a part along it.

    So the change of the logits is a positive multiple of the effect plus a multiple of the
    logits as they were, exactly; the norm itself works in float32, so the push is not too small.
    """
    from featrack_utils.models.capture import logits_with

    tokens = torch.from_numpy(blocks[:2]).long()
    W_dec = torch.from_numpy(load_file(sae_folder / "sae_weights.safetensors")["W_dec"])
    effects = logit_effects(read_writing(model_folder, sae_folder), np.arange(D_SAE))
    bridge.double()
    before = logits_with(bridge, tokens)[0, 7].numpy()
    for feature in range(D_SAE):
        pushed = logits_with(bridge, tokens, lambda x, i=feature: x + 1e-2 * W_dec[i].to(x.dtype))
        change = (pushed[0, 7].numpy() - before) / 1e-2
        parts = np.column_stack([effects[feature], before - before.mean()])
        weights, *_ = np.linalg.lstsq(parts, change - change.mean())
        assert weights[0] > 0
        left = change - change.mean() - parts @ weights
        assert np.linalg.norm(left) < 1e-3 * np.linalg.norm(change)


def test_tied_weights_are_read_from_the_embedding(tmp_path, model_folder, sae_folder):
    model = load_file(model_folder / "model.safetensors")
    del model["lm_head.weight"]
    save_file(model, tmp_path / "model.safetensors")
    untied = {**model, "lm_head.weight": model["model.embed_tokens.weight"]}
    (tmp_path / "untied").mkdir()
    save_file(untied, tmp_path / "untied" / "model.safetensors")
    tied, same = (top_logits(f, sae_folder, 3) for f in (tmp_path, tmp_path / "untied"))
    np.testing.assert_array_equal(tied.up, same.up)


def test_a_model_of_another_kind_is_named(tmp_path, sae_folder):
    save_file({"a": np.zeros(2)}, tmp_path / "model.safetensors")
    with pytest.raises(
        FeatrackError, match=r"no weights that are known to lead from blocks.0.mlp.hook_post"
    ):
        read_writing(tmp_path, sae_folder)

"""Training is exact, repeatable and survives a kill."""

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from transformers.trainer_callback import DefaultFlowCallback

from featrack_utils.errors import FeatrackError
from featrack_utils.models import evaluation, loading, training

RECIPE = dict(
    learning_rate=1e-2,
    batch_blocks=8,
    weight_decay=0.1,
    warmup_share=0.1,
    precision="float32",
    seed=3,
)
STEP = 8 * 16  # tokens


def weights(folder):
    return load_file(folder / "model.safetensors")


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture
def trained(fresh_model, blocks, tokenizer, tmp_path):
    """Trains a fresh model in a folder of the given name and returns the folder."""

    def train(name, *, steps=12, **changes):
        given = {"train_tokens": steps * STEP, **RECIPE, **changes}
        training.train(fresh_model(), blocks, tmp_path / name, tokenizer=tokenizer, **given)
        return tmp_path / name

    return train


def test_a_model_is_one_untied_layer_of_the_given_shape(fresh_model):
    model = fresh_model()
    assert len(model.model.layers) == 1
    assert model.lm_head.weight.data_ptr() != model.model.embed_tokens.weight.data_ptr()
    assert model.model.layers[0].mlp.down_proj.weight.shape == (8, 12)
    assert model.model.layers[0].self_attn.k_proj.weight.shape == (4, 8)
    assert model.config.sliding_window is None


def test_every_parameter_belongs_to_a_part(fresh_model):
    parts = [loading.part_of(name) for name, _ in fresh_model().named_parameters()]
    assert {part: parts.count(part) for part in parts} == {
        "embedding": 1,
        "attention": 4,
        "MLP": 3,
        "norms": 3,
        "unembedding": 1,
    }


def test_equal_seeds_give_equal_models_and_others_do_not(fresh_model):
    assert same(fresh_model(4).state_dict(), fresh_model(4).state_dict())
    assert not same(fresh_model(4).state_dict(), fresh_model(5).state_dict())


@pytest.mark.parametrize(
    "precision, dtype", [("float32", torch.float32), ("bfloat16", torch.bfloat16)]
)
def test_products_of_a_training_are_of_the_precision_asked_for(
    fresh_model, blocks, tokenizer, tmp_path, precision, dtype
):
    model, seen = fresh_model(), set()
    model.model.layers[0].mlp.down_proj.register_forward_hook(
        lambda *given: seen.add(given[2].dtype)
    )
    training.train(
        model,
        blocks,
        tmp_path,
        tokenizer=tokenizer,
        train_tokens=STEP,
        **RECIPE | {"precision": precision},
    )
    assert seen == {dtype}
    assert all(p.dtype == torch.float32 for p in model.parameters())


def test_training_prints_nothing_but_a_bar(trained, capsys):
    trained("quiet")
    said = capsys.readouterr()
    assert said.out == "" and "100%" in said.err


def test_training_lowers_the_loss_and_keeps_its_history(trained, fresh_model, blocks):
    folder = trained("learns", steps=40)
    before = evaluation.evaluate(fresh_model(), blocks).loss
    assert evaluation.evaluate(loading.load_model(folder), blocks).loss < before - 0.5
    history = pd.read_csv(folder / "history.csv")
    assert history["step"].iloc[-1] == 40
    assert (history["tokens"] == history["step"] * STEP).all()


def test_training_twice_gives_the_same_weights_and_leaves_no_checkpoint(trained):
    first, second = trained("first"), trained("second")
    assert same(weights(first), weights(second))
    assert (first / "history.csv").read_bytes() == (second / "history.csv").read_bytes()
    assert not same(weights(first), weights(trained("other", seed=4)))
    suffixes = {path.suffix for path in first.rglob("*") if path.is_file()}
    assert suffixes == {".json", ".safetensors", ".csv"}


def test_zero_tokens_save_the_model_untouched(trained, fresh_model):
    folder = trained("untouched", steps=0)
    assert same(dict(loading.load_model(folder).state_dict()), dict(fresh_model().state_dict()))
    assert pd.read_csv(folder / "history.csv").empty


@pytest.fixture
def killed_at_step(monkeypatch):
    """Makes the trainer raise at a step, after whatever it saves there."""

    def arm(step):
        def on_step_end(self, args, state, control, **kwargs):
            if state.global_step == step:
                raise KeyboardInterrupt
            return original(self, args, state, control, **kwargs)

        monkeypatch.setattr(DefaultFlowCallback, "on_step_end", on_step_end)

    original = DefaultFlowCallback.on_step_end
    return arm


def test_a_killed_training_goes_on_to_the_weights_of_an_unbroken_one(
    trained, killed_at_step, monkeypatch, tmp_path
):
    unbroken = trained("unbroken")
    killed_at_step(9)
    with pytest.raises(KeyboardInterrupt):
        trained("broken")
    monkeypatch.undo()
    kept = sorted(path.name for path in (tmp_path / "broken" / "checkpoints").iterdir())
    assert kept == ["checkpoint-6", "checkpoint-8"]
    broken = trained("broken")
    assert same(weights(unbroken), weights(broken))
    assert (unbroken / "history.csv").read_bytes() == (broken / "history.csv").read_bytes()
    assert not (broken / "checkpoints").exists()


def test_two_processes_share_each_batch_and_lose_as_much_as_one(trained, monkeypatch):
    alone = trained("alone", snapshots=[3])
    monkeypatch.setenv("FEATRACK_PROCESSES", "2")
    shared = trained("shared", snapshots=[3])
    one, two = (pd.read_csv(folder / "history.csv") for folder in (alone, shared))
    assert one["tokens"].equals(two["tokens"])
    np.testing.assert_allclose(two["loss"], one["loss"], rtol=1e-4)  # the same blocks, but rounding
    for name, tensor in weights(shared / "snapshots" / "3").items():
        torch.testing.assert_close(tensor, weights(alone / "snapshots" / "3")[name], **CLOSE)
    assert {path.name for path in shared.iterdir()} == {path.name for path in alone.iterdir()}


CLOSE = {"rtol": 1e-3, "atol": 1e-4}


def test_a_batch_that_processes_can_not_share_is_refused(trained, monkeypatch):
    monkeypatch.setenv("FEATRACK_PROCESSES", "3")
    with pytest.raises(FeatrackError, match="3 processes can't share batch_blocks 8"):
        trained("odd")


@pytest.mark.parametrize("content", [None, '{"epoch": 0.'])
def test_a_checkpoint_cut_short_gives_way_to_the_one_before(
    trained, killed_at_step, monkeypatch, tmp_path, content
):
    killed_at_step(9)
    with pytest.raises(KeyboardInterrupt):
        trained("broken")
    monkeypatch.undo()
    last = tmp_path / "broken" / "checkpoints" / "checkpoint-8"
    (last / "optimizer.pt").write_bytes(b"half")
    (last / "trainer_state.json").unlink()
    if content:
        (last / "trainer_state.json").write_text(content)
    assert same(weights(trained("broken")), weights(trained("unbroken")))


def test_no_block_and_too_few_tokens_are_refused(trained, fresh_model, tokenizer, tmp_path):
    with pytest.raises(FeatrackError, match="no whole block"):
        training.train(
            fresh_model(),
            np.zeros((0, 16), np.int32),
            tmp_path / "none",
            tokenizer=tokenizer,
            train_tokens=STEP,
            **RECIPE,
        )
    with pytest.raises(FeatrackError, match=f"less than one step of {STEP}"):
        trained("few", train_tokens=STEP - 1)


def test_a_loss_that_is_not_finite_is_refused_and_nothing_saved(
    fresh_model, blocks, tokenizer, tmp_path
):
    model = fresh_model()
    torch.nn.init.constant_(model.lm_head.weight, float("inf"))
    with pytest.raises(FeatrackError, match=r"diverged.*not finite.*learning_rate"):
        training.train(
            model, blocks, tmp_path / "nan", tokenizer=tokenizer, train_tokens=STEP, **RECIPE
        )
    assert not (tmp_path / "nan" / "model.safetensors").exists()


def test_precision_is_what_was_asked_for(monkeypatch):
    assert training.uses_bfloat16("bfloat16") and not training.uses_bfloat16("float32")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"):
        monkeypatch.setattr(torch.cpu, name, lambda: False)
    assert not training.uses_bfloat16("auto")
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    assert training.uses_bfloat16("auto")


# Snapshots


def test_a_snapshot_at_the_last_step_is_the_trained_model_and_leaves_it_as_it_was(trained):
    folder = trained("kept", snapshots=[3, 12])
    last = folder / "snapshots" / "12"
    assert sorted(path.name for path in last.parent.iterdir()) == ["12", "3"]
    for path in last.iterdir():
        assert path.read_bytes() == (folder / path.name).read_bytes(), path.name
    assert same(weights(folder), weights(trained("plain")))
    assert not same(weights(folder), weights(folder / "snapshots" / "3"))
    assert loading.load_model(folder / "snapshots" / "3").config.hidden_size == 8


def test_a_snapshot_is_the_model_after_so_many_steps_of_adamw(
    fresh_model, blocks, tokenizer, tmp_path
):
    """Against a loop of our own; all blocks are one, so that their order doesn't matter."""
    one = np.repeat(blocks[:1], 64, axis=0)
    recipe = RECIPE | {"weight_decay": 0.0, "warmup_share": 0.25}
    training.train(
        fresh_model(),
        one,
        tmp_path / "it",
        tokenizer=tokenizer,
        train_tokens=12 * STEP,
        snapshots=[5],
        **recipe,
    )
    model, batch = fresh_model(), torch.from_numpy(one[:8]).long()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.0)
    for step in range(5):
        # Three steps up from nothing, then nine down half a cosine.
        rate = step / 3 if step < 3 else 0.5 * (1 + np.cos(np.pi * (step - 3) / 9))
        optimizer.param_groups[0]["lr"] = 1e-2 * rate
        model(input_ids=batch, labels=batch).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    kept = weights(tmp_path / "it" / "snapshots" / "5")
    for name, weight in model.state_dict().items():
        torch.testing.assert_close(kept[name], weight, rtol=1e-3, atol=1e-5)


def test_a_killed_training_keeps_the_snapshots_of_an_unbroken_one(
    trained, killed_at_step, monkeypatch
):
    unbroken = trained("unbroken", snapshots=[2, 9, 10])
    killed_at_step(9)
    with pytest.raises(KeyboardInterrupt):
        trained("broken", snapshots=[2, 9, 10])
    monkeypatch.undo()
    broken = trained("broken", snapshots=[2, 9, 10])
    for step in ("2", "9", "10"):
        assert same(weights(unbroken / "snapshots" / step), weights(broken / "snapshots" / step))


def test_attention_of_a_training_is_the_eager_one(blocks):
    model = training.new_model(
        vocab_size=64, d_model=16, d_mlp=24, n_heads=4, n_kv_heads=2, context=16, seed=0
    )
    tokens = torch.from_numpy(blocks[:5]).long() % 64
    found = {}
    for way in ("eager", "featrack_causal"):
        model.set_attn_implementation(way)
        model.zero_grad()
        loss = training.next_token_loss(model, tokens)
        loss.backward()
        found[way] = [loss.detach(), *(weights.grad.clone() for weights in model.parameters())]
    torch.testing.assert_close(*found.values())


@pytest.mark.parametrize(
    "changes, way",
    [
        ({}, "featrack_causal"),
        ({"sliding_window": 4}, "eager"),
        ({"attention_dropout": 0.1}, "eager"),
    ],
)
def test_attention_with_more_to_it_is_left_as_it_is(
    fresh_model, blocks, tokenizer, tmp_path, changes, way
):
    model = fresh_model()
    model.config.update(changes)
    training.train(model, blocks, tmp_path, tokenizer=tokenizer, train_tokens=STEP, **RECIPE)
    assert model.config._attn_implementation == way

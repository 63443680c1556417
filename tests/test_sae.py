"""Dictionaries: SAELens' own loss, an order that a kill doesn't change, a format others read."""

import json
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from sae_lens import SAE, StandardTrainingSAE
from sae_lens.saes.sae import TrainStepInput
from safetensors.torch import load_file

from featrack_utils.dictionaries import kernels, training
from featrack_utils.dictionaries.activations import Buffers
from featrack_utils.errors import FeatrackError
from featrack_utils.models.capture import mlp_activations
from featrack_utils.pipeline.progress import TERMINAL, TimeLeft

SHAPE = dict(architecture="standard", expansion=4, l1_coefficient=0.5, k=5)
RECIPE = SHAPE | dict(
    learning_rate=5e-3, train_tokens=120 * 64, batch_tokens=64, seed=0, precision="float32"
)


@pytest.fixture
def train(plain_model, blocks, tmp_path):
    """Trains a dictionary in a folder of the given name and returns the folder."""

    def run(name, **changes):
        (tmp_path / name).mkdir(exist_ok=True)
        training.train_sae(Buffers(plain_model, blocks), tmp_path / name, **(RECIPE | changes))
        return tmp_path / name

    return run


# The loss


@pytest.mark.parametrize(("bias", "d_in"), [(0.1, 24), (-0.2, 24), (-0.2, 23), (-9.0, 24)])
def test_the_fused_form_has_saelens_loss_and_gradients(bias, d_in):
    fast = training.new_sae(d_in, **SHAPE, l1_warm_up_steps=0, seed=0)
    published = StandardTrainingSAE(fast.cfg)
    published.load_state_dict(fast.state_dict())
    x = torch.randn(50, d_in, generator=torch.Generator().manual_seed(0))
    for one in (fast, published):
        with torch.no_grad():
            one.b_enc.add_(bias)
    step = TrainStepInput(
        sae_in=x,
        dead_neuron_mask=None,
        coefficients={"l1": 0.5},
        n_training_steps=3,
        is_logging_step=False,
    )
    outputs = [
        fast.take_gradients(x, 0.5, torch.float32),
        published.training_forward_pass(step),
    ]
    outputs[1].loss.backward()
    torch.testing.assert_close(outputs[0].loss, outputs[1].loss)
    assert outputs[0].losses.keys() == outputs[1].losses.keys() == {"mse_loss", "l1_loss"}
    for name, loss in outputs[0].losses.items():
        torch.testing.assert_close(loss, outputs[1].losses[name], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(outputs[0].feature_acts, outputs[1].feature_acts)
    active = (outputs[0].feature_acts > 0).float().mean()
    assert active > 0.5 if bias > 0 else active < training._SPARSE
    for a, b in zip(fast.parameters(), published.parameters(), strict=True):
        assert b.grad.abs().sum() > 0 or bias < -1
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-4, atol=1e-6)


def test_seeds_fix_the_first_weights():
    one, same, other = (
        training.new_sae(24, **SHAPE, l1_warm_up_steps=0, seed=seed) for seed in (0, 0, 1)
    )
    assert torch.equal(one.W_dec, same.W_dec) and not torch.equal(one.W_dec, other.W_dec)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"k": 97}, "sae.k is 97, but the dictionary has only 96"),
        ({"k": 0}, "sae.k is 0"),
        ({"architecture": "gated"}, "use one of.*topk"),
    ],
)
def test_an_impossible_dictionary_is_refused(wrong, sentence):
    with pytest.raises(FeatrackError, match=sentence):
        training.new_sae(24, **(SHAPE | wrong), l1_warm_up_steps=0, seed=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("width", [64, 63])
def test_active_entries_are_those_that_numpy_finds(dtype, width):
    acts = (
        torch.randn(40, width, generator=torch.Generator().manual_seed(0)).sub(1).relu().to(dtype)
    )
    found = kernels.active_entries(acts)
    rows, columns = np.nonzero(acts.float().numpy())
    np.testing.assert_array_equal(found.indices, columns)
    np.testing.assert_array_equal(found.indptr, np.searchsorted(rows, np.arange(41)))
    np.testing.assert_array_equal(found.data, acts.float().numpy()[rows, columns])
    assert kernels.active_entries(acts, room=len(rows) // 2) is None


# Training


def test_a_training_says_on_the_terminal_how_far_it_is(train, tmp_path, monkeypatch):
    monkeypatch.setenv(TERMINAL, str(tmp_path / "lines"))
    monkeypatch.setattr(training, "TimeLeft", partial(TimeLeft, every=0.0))
    train("it")
    lines = (tmp_path / "lines").read_text().splitlines()
    assert lines[59].startswith("it: 50%") and lines[59].endswith(" left")


def explained(dictionary, acts) -> float:
    with torch.no_grad():
        error = (acts - dictionary(acts)).square().sum()
    return float(1 - error / (acts - acts.mean(0)).square().sum())


@pytest.mark.parametrize("architecture", ["standard", "topk", "batchtopk"])
def test_every_architecture_learns_and_loads_with_saelens_on_raw_activations(
    train, bridge, blocks, architecture
):
    # 600 steps, because BatchTopK's threshold is a running mean over some hundreds.
    folder = train("it", architecture=architecture, l1_coefficient=0.05, train_tokens=600 * 64)
    loaded = SAE.load_from_disk(str(folder))
    assert loaded.cfg.normalize_activations == "none"
    assert loaded.cfg.metadata.hook_name == "blocks.0.mlp.hook_post"
    assert (loaded.cfg.d_in, loaded.cfg.d_sae) == (24, 96)
    torch.testing.assert_close(loaded.W_dec.norm(dim=1), torch.ones(96), rtol=1e-5, atol=1e-5)
    raw = mlp_activations(bridge, torch.from_numpy(blocks).long())[:, 1:].reshape(-1, 24)
    assert explained(loaded, raw) > 0.5
    history = pd.read_csv(folder / "history.csv").to_dict("records")
    assert explained(loaded, raw) == pytest.approx(history[-1]["variance_explained"], abs=0.1)
    if architecture != "standard":
        l0 = (loaded.encode(raw) > 0).sum(1).float()
        assert l0.mean() == pytest.approx(5, abs=1)
    if architecture == "topk":
        assert l0.max() <= 5


def test_a_stronger_coefficient_leaves_fewer_features_active(train, bridge, blocks):
    raw = mlp_activations(bridge, torch.from_numpy(blocks).long())[:, 1:].reshape(-1, 24)
    l0 = [
        (training.load_sae(train(name, l1_coefficient=l1)).encode(raw) > 0).sum(1).float().mean()
        for name, l1 in (("weak", 0.05), ("strong", 2.0))
    ]
    assert l0[1] < l0[0] / 2


@pytest.mark.parametrize("its_coefficient", [0.05, 0.2])
def test_a_steered_dictionary_is_as_sparse_as_another_at_every_step(train, its_coefficient):
    other = train("other", l1_coefficient=its_coefficient, train_tokens=64 * 600)
    steered = train("steered", l1_coefficient=0.1, seed=1, train_tokens=64 * 600, like=other)
    free = train("free", l1_coefficient=0.1, seed=1, train_tokens=64 * 600)
    l0 = {
        folder: pd.read_csv(folder / "history.csv")["l0"][20:].rolling(10).mean().dropna()
        for folder in (other, steered, free)
    }
    assert abs(l0[steered] / l0[other] - 1).mean() < 0.07
    assert abs(l0[free] / l0[other] - 1).mean() > 0.2


def test_training_twice_gives_the_same_dictionary_and_no_checkpoint_remains(train):
    first, second = train("first"), train("second")
    names = sorted(path.name for path in first.iterdir())
    assert names == ["cfg.json", "history.csv", "sae_weights.safetensors"]
    for name in names:
        assert (first / name).read_bytes() == (second / name).read_bytes()
    # In another process the same keys might come in another order.
    keys = [*json.loads((first / "cfg.json").read_text())]
    assert keys == sorted(keys)


@pytest.mark.parametrize(
    "kind",
    [
        {"architecture": "standard"},
        {"architecture": "standard", "like": "sparser"},
        {"architecture": "topk"},
        {"architecture": "batchtopk"},
    ],
)
def test_a_killed_training_goes_on_to_the_weights_of_an_unbroken_one(
    train, monkeypatch, tmp_path, kind
):
    if "like" in kind:
        kind = kind | {"like": train(kind["like"], l1_coefficient=1.0)}
    unbroken = train("unbroken", **kind)
    plain_step = training.RecordingTrainer.step

    def step(self, batch):
        if self.n_training_steps == 100:
            raise KeyboardInterrupt
        return plain_step(self, batch)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(training.RecordingTrainer, "step", step)
        train("broken", **kind)
    checkpoints = sorted((tmp_path / "broken" / "checkpoints").iterdir(), key=lambda p: int(p.name))
    assert len(checkpoints) == 2
    # A third one that was cut short has no history yet.
    (tmp_path / "broken" / "checkpoints" / "999999").mkdir()

    steps = []
    monkeypatch.setattr(
        training.RecordingTrainer, "step", lambda self, b: steps.append(1) or plain_step(self, b)
    )
    broken = train("broken", **kind)
    assert len(steps) == 120 - int(checkpoints[-1].name) // 64 < 45
    a, b = (load_file(f / "sae_weights.safetensors") for f in (unbroken, broken))
    assert a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
    assert (unbroken / "history.csv").read_bytes() == (broken / "history.csv").read_bytes()


def test_fewer_tokens_than_a_batch_are_refused(train):
    with pytest.raises(FeatrackError, match="train_tokens is 63, less than one batch of 64"):
        train("few", train_tokens=63)


def test_a_dictionary_that_diverged_is_refused_and_not_saved(train, tmp_path):
    with pytest.raises(FeatrackError, match=r"diverged; lower sae.learning_rate"):
        train("wild", learning_rate=float("inf"))
    assert not (tmp_path / "wild" / "sae_weights.safetensors").exists()


# Starting from another dictionary


@pytest.mark.parametrize("architecture", ["standard", "topk", "batchtopk"])
def test_a_warm_start_that_learns_nothing_has_its_parents_features(
    train, bridge, plain_model, blocks, tmp_path, architecture
):
    parent = train("parent", architecture=architecture)
    (tmp_path / "child").mkdir()
    # Other blocks, so that activations are scaled by another factor than the parent's were.
    training.train_sae(
        Buffers(plain_model, blocks[40:]),
        tmp_path / "child",
        **(RECIPE | {"architecture": architecture, "learning_rate": 0.0, "train_tokens": 64}),
        start_from=parent,
    )
    raw = mlp_activations(bridge, torch.from_numpy(blocks).long())[:, 1:].reshape(-1, 24)
    before, after = (training.load_sae(folder) for folder in (parent, tmp_path / "child"))
    assert (before.encode(raw) > 0).any()
    if architecture == "batchtopk":  # the threshold is a running mean and ran on for a step
        torch.testing.assert_close(after.threshold, before.threshold, rtol=0.02, atol=0)
        after.threshold.data.copy_(before.threshold)
    torch.testing.assert_close(after.encode(raw), before.encode(raw), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(after(raw), before(raw), rtol=1e-3, atol=1e-4)


def test_a_warm_start_keeps_most_features_and_a_cold_one_does_not(train, blocks):
    folder = train("parent")
    parent = training.load_sae(folder)
    near = {}
    for name, start in (("warm", folder), ("cold", None)):
        child = training.load_sae(train(name, seed=1, start_from=start))
        near[name] = ((parent.W_dec @ child.W_dec.T).amax(1) > 0.9).float().mean()
    assert near["warm"] > near["cold"]


def test_a_warm_start_from_another_size_or_kind_is_refused(train):
    parent = train("parent")
    with pytest.raises(FeatrackError, match=r"\(24, 48\).*can't start from.*\(24, 96\)"):
        train("narrow", expansion=2, start_from=parent)
    with pytest.raises(FeatrackError, match=r"A topk dictionary .* a standard one"):
        train("other", architecture="topk", start_from=parent)

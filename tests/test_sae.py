"""Dictionaries: SAELens' own loss, an order that a kill doesn't change, a format others read."""

import itertools

import numpy as np
import pytest
import torch
from sae_lens import SAE, StandardTrainingSAE
from sae_lens.saes.sae import TrainStepInput
from safetensors.torch import load_file

from featrack_utils import activations, sae
from featrack_utils.capture import mlp_activations
from featrack_utils.errors import FeatrackError

SHAPE = dict(architecture="standard", expansion=4, l1_coefficient=0.5, k=5)
RECIPE = SHAPE | dict(
    learning_rate=5e-3, train_tokens=120 * 64, batch_tokens=64, seed=0, precision="float32"
)


@pytest.fixture
def train(bridge, blocks, tmp_path):
    """Trains a dictionary in a folder of the given name and returns the folder."""

    def run(name, **changes):
        (tmp_path / name).mkdir(exist_ok=True)
        sae.train_sae(bridge, blocks, tmp_path / name, **(RECIPE | changes))
        return tmp_path / name

    return run


def batches(bridge, blocks, n, **given):
    stream = activations.activation_batches(
        bridge, blocks, **{"batch_tokens": 64, "seed": 0, **given}
    )
    return list(itertools.islice(stream, n))


# The mixture


def test_a_mixture_takes_equal_shares_and_repeats_a_domain_that_is_too_small():
    big = np.full((100, 5), 1, dtype=np.int32)
    small = np.arange(3 * 5, dtype=np.int32).reshape(3, 5) + 100
    mixed = activations.training_mixture({"small": small, "big": big}, n_tokens=2 * 8 * 4, seed=0)
    assert mixed.shape == (16, 5)
    assert (mixed == 1).all(1).sum() == 8
    counts = [(mixed == row).all(1).sum() for row in small]
    assert sorted(counts) == [2, 3, 3]


def test_a_mixture_depends_on_its_seed_and_not_on_the_order_of_domains():
    domains = {"b": np.arange(40).reshape(10, 4), "a": 100 + np.arange(40).reshape(10, 4)}
    one = activations.training_mixture(domains, 30, seed=1)
    assert np.array_equal(
        one, activations.training_mixture(dict(reversed(domains.items())), 30, seed=1)
    )
    assert not np.array_equal(one, activations.training_mixture(domains, 30, seed=2))


def test_a_mixture_without_a_block_of_a_domain_is_refused():
    with pytest.raises(FeatrackError, match="Domain lua has no whole block"):
        activations.training_mixture({"lua": np.zeros((0, 4), dtype=np.int32)}, 10, seed=0)


# The stream of activations


def test_batches_hold_every_activation_once_a_round_but_those_at_position_0(
    bridge, blocks, monkeypatch
):
    monkeypatch.setattr(activations, "BUFFER_BLOCKS", 32)
    expected = mlp_activations(bridge, torch.from_numpy(blocks).long())[:, 1:].reshape(-1, 24)
    got = torch.cat(batches(bridge, blocks, 15 * 64 // 60, batch_tokens=60))
    assert got.shape == expected.shape
    in_order = [rows[torch.argsort(rows.sum(1))] for rows in (got, expected)]
    torch.testing.assert_close(*in_order, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(got, expected)


def test_equal_seeds_give_equal_batches_and_rounds_differ(bridge, blocks):
    first, again, other = (batches(bridge, blocks, 30, seed=seed) for seed in (7, 7, 8))
    assert all(map(torch.equal, first, again))
    assert not any(map(torch.equal, first, other))
    assert not torch.equal(first[0], first[15])


@pytest.mark.parametrize("skipped", [1, 7, 8, 20, 33])
def test_a_stream_that_skips_goes_on_with_the_very_next_batch(bridge, blocks, monkeypatch, skipped):
    monkeypatch.setattr(activations, "BUFFER_BLOCKS", 25)
    whole = batches(bridge, blocks, skipped + 3)
    rest = batches(bridge, blocks, 3, skip_batches=skipped)
    assert all(map(torch.equal, whole[skipped:], rest))


def test_a_batch_larger_than_the_buffer_is_refused_instead_of_waited_for(bridge, blocks):
    assert len(batches(bridge, blocks, 1, batch_tokens=960)[0]) == 960
    with pytest.raises(FeatrackError, match="batch_tokens is 961, but only 960"):
        batches(bridge, blocks, 1, batch_tokens=961)


# The loss


def test_the_lean_form_has_saelens_loss_and_gradients():
    lean = sae.new_sae(24, **SHAPE, l1_warm_up_steps=0, seed=0)
    published = StandardTrainingSAE(lean.cfg)
    published.load_state_dict(lean.state_dict())
    x = torch.randn(50, 24, generator=torch.Generator().manual_seed(0))
    outputs = []
    for one in (lean, published):
        with torch.no_grad():
            one.b_enc.add_(0.1)
        step = TrainStepInput(
            sae_in=x, dead_neuron_mask=None, coefficients={"l1": 0.5}, n_training_steps=3,
            is_logging_step=False,
        )  # fmt: skip
        outputs.append(one.training_forward_pass(step))
        outputs[-1].loss.backward()
    assert outputs[0].losses.keys() == outputs[1].losses.keys() == {"mse_loss", "l1_loss"}
    for name, loss in outputs[0].losses.items():
        torch.testing.assert_close(loss, outputs[1].losses[name], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(outputs[0].feature_acts, outputs[1].feature_acts)
    for a, b in zip(lean.parameters(), published.parameters(), strict=True):
        assert b.grad.abs().sum() > 0
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-4, atol=1e-6)


def test_seeds_fix_the_first_weights():
    one, same, other = (
        sae.new_sae(24, **SHAPE, l1_warm_up_steps=0, seed=seed) for seed in (0, 0, 1)
    )
    assert torch.equal(one.W_dec, same.W_dec) and not torch.equal(one.W_dec, other.W_dec)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"k": 97}, "sae.k is 97, but the dictionary has only 96"),
        ({"k": 0}, "sae.k is 0"),
        ({"l1_coefficient": -0.1}, "must not be negative"),
        ({"architecture": "gated"}, "use one of.*topk"),
    ],
)
def test_an_impossible_dictionary_is_refused(wrong, sentence):
    with pytest.raises(FeatrackError, match=sentence):
        sae.new_sae(24, **(SHAPE | wrong), l1_warm_up_steps=0, seed=0)


# Training


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
    history = sae._read_history(folder)
    assert explained(loaded, raw) == pytest.approx(history[-1]["variance_explained"], abs=0.1)
    if architecture != "standard":
        l0 = (loaded.encode(raw) > 0).sum(1).float()
        assert l0.mean() == pytest.approx(5, abs=1)
    if architecture == "topk":
        assert l0.max() <= 5


def test_a_stronger_coefficient_leaves_fewer_features_active(train, bridge, blocks):
    raw = mlp_activations(bridge, torch.from_numpy(blocks).long())[:, 1:].reshape(-1, 24)
    l0 = [
        (sae.load_sae(train(name, l1_coefficient=l1)).encode(raw) > 0).sum(1).float().mean()
        for name, l1 in (("weak", 0.05), ("strong", 2.0))
    ]
    assert l0[1] < l0[0] / 2


def test_training_twice_gives_the_same_dictionary_and_no_checkpoint_remains(train):
    first, second = train("first"), train("second")
    names = sorted(path.name for path in first.iterdir())
    assert names == ["cfg.json", "history.csv", "sae_weights.safetensors"]
    for name in names:
        assert (first / name).read_bytes() == (second / name).read_bytes()


@pytest.mark.parametrize("architecture", ["standard", "topk", "batchtopk"])
def test_a_killed_training_goes_on_to_the_weights_of_an_unbroken_one(
    train, monkeypatch, tmp_path, architecture
):
    unbroken = train("unbroken", architecture=architecture)
    plain_step = sae._RecordingTrainer.step

    def step(self, batch):
        if self.n_training_steps == 100:
            raise KeyboardInterrupt
        return plain_step(self, batch)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(sae._RecordingTrainer, "step", step)
        train("broken", architecture=architecture)
    checkpoints = sorted((tmp_path / "broken" / "checkpoints").iterdir(), key=lambda p: int(p.name))
    assert len(checkpoints) == 2
    # A third one that was cut short has no history yet.
    (tmp_path / "broken" / "checkpoints" / "999999").mkdir()

    steps = []
    monkeypatch.setattr(
        sae._RecordingTrainer, "step", lambda self, b: steps.append(1) or plain_step(self, b)
    )
    broken = train("broken", architecture=architecture)
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
    train, bridge, blocks, tmp_path, architecture
):
    parent = train("parent", architecture=architecture)
    (tmp_path / "child").mkdir()
    # Other blocks, so that activations are scaled by another factor than the parent's were.
    sae.train_sae(
        bridge, blocks[40:], tmp_path / "child",
        **(RECIPE | {"architecture": architecture, "learning_rate": 0.0, "train_tokens": 64}),
        start_from=parent,
    )  # fmt: skip
    raw = mlp_activations(bridge, torch.from_numpy(blocks).long())[:, 1:].reshape(-1, 24)
    before, after = (sae.load_sae(folder) for folder in (parent, tmp_path / "child"))
    assert (before.encode(raw) > 0).any()
    if architecture == "batchtopk":  # the threshold is a running mean and ran on for a step
        torch.testing.assert_close(after.threshold, before.threshold, rtol=0.02, atol=0)
        after.threshold.data.copy_(before.threshold)
    torch.testing.assert_close(after.encode(raw), before.encode(raw), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(after(raw), before(raw), rtol=1e-3, atol=1e-4)


def test_a_warm_start_keeps_most_features_and_a_cold_one_does_not(train, blocks):
    folder = train("parent")
    parent = sae.load_sae(folder)
    near = {}
    for name, start in (("warm", folder), ("cold", None)):
        child = sae.load_sae(train(name, seed=1, start_from=start))
        near[name] = ((parent.W_dec @ child.W_dec.T).amax(1) > 0.9).float().mean()
    assert near["warm"] > near["cold"]


def test_a_warm_start_from_another_size_or_kind_is_refused(train):
    parent = train("parent")
    with pytest.raises(FeatrackError, match=r"\(24, 48\).*can't start from.*\(24, 96\)"):
        train("narrow", expansion=2, start_from=parent)
    with pytest.raises(FeatrackError, match=r"A topk dictionary .* a standard one"):
        train("other", architecture="topk", start_from=parent)

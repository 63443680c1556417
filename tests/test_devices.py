"""Where models and dictionaries are computed: the device that is asked for, and nowhere else."""

import pytest
import torch

from featrack_utils.dictionaries import activations, kernels
from featrack_utils.dictionaries.training import load_sae, new_sae, train_sae
from featrack_utils.errors import FeatrackError
from featrack_utils.models import training
from featrack_utils.models.capture import device, plain_activations

KIND = {"architecture": "standard", "expansion": 2, "l1_coefficient": 1.0, "k": 1, "seed": 0}
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA GPU")


@pytest.fixture
def machine(monkeypatch):
    """Makes this machine one with a GPU or without."""

    def has(cuda, mps):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)

    return has


@pytest.fixture
def elsewhere(monkeypatch):
    """Torch's device "meta", which knows shapes alone, and which no numpy array can be made of."""
    monkeypatch.setattr(activations, "device", lambda: torch.device("meta"))
    # It looks at values of positions.
    monkeypatch.setattr("transformers.masking_utils.find_packed_sequence_indices", lambda _: None)


@pytest.mark.parametrize(
    "cuda, mps, first", [(True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")]
)
def test_auto_is_cuda_then_mps_then_the_cpu(cuda, mps, first, machine, monkeypatch):
    machine(cuda, mps)
    assert device("auto") == torch.device(first)
    monkeypatch.delenv("FEATRACK_DEVICE")  # by hand, outside of a pipeline
    assert device() == torch.device(first)
    monkeypatch.setenv("FEATRACK_DEVICE", "cpu")
    assert device() == torch.device("cpu")


def test_a_device_that_the_machine_lacks_is_refused_in_one_sentence(machine):
    machine(cuda=False, mps=True)
    with pytest.raises(FeatrackError) as refused:
        device("cuda")
    assert str(refused.value) == (
        "device is cuda, and this machine has only mps and cpu; choose one of these or auto."
    )


@pytest.mark.parametrize("has_it", [True, False])
def test_bfloat16_is_used_where_the_device_has_it(has_it, machine, monkeypatch):
    machine(cuda=True, mps=False)
    monkeypatch.setenv("FEATRACK_DEVICE", "cuda")
    monkeypatch.setattr(training, "is_torch_bf16_gpu_available", lambda: has_it)
    assert training.uses_bfloat16("auto") == has_it
    assert training.uses_bfloat16("bfloat16") and not training.uses_bfloat16("float32")


def test_activations_are_captured_on_the_device_and_stay_there(plain_model, blocks, elsewhere):
    buffers = activations.Buffers(plain_model, blocks)
    batch = next(activations.activation_batches(buffers, batch_tokens=64, seed=0))
    assert batch.shape == (64, 24) and batch.device == buffers[0].device == torch.device("meta")
    assert plain_model.device == torch.device("cpu")  # the reader's own stays where it was


def test_compiled_loops_over_active_features_are_for_the_cpu_alone(monkeypatch):
    monkeypatch.delattr(kernels, "active_entries")
    sae = new_sae(6, l1_warm_up_steps=0, **KIND).to("meta")
    output = sae.take_gradients(torch.ones(4, 6, device="meta"), 1.0, torch.bfloat16)
    assert output.sae_out.shape == (4, 6) and output.feature_acts.dtype == torch.bfloat16
    for parameter in sae.parameters():
        assert parameter.grad.shape == parameter.shape and parameter.grad.is_meta


@needs_gpu
def test_a_gpu_finds_the_dictionary_that_the_cpu_finds(plain_model, blocks, tmp_path, monkeypatch):
    found = {}
    given = {"learning_rate": 1e-3, "train_tokens": 6400, "batch_tokens": 64}
    for kind in ("cpu", "cuda"):
        monkeypatch.setenv("FEATRACK_DEVICE", kind)
        buffers = activations.Buffers(plain_model, blocks)
        train_sae(buffers, tmp_path / kind, precision="float32", **KIND, **given)
        found[kind] = load_sae(tmp_path / kind).W_dec
    tokens = torch.from_numpy(blocks).long()
    on_gpu = plain_activations(plain_model.cuda(), tokens).cpu()
    torch.testing.assert_close(on_gpu, plain_activations(plain_model.cpu(), tokens))
    assert torch.cosine_similarity(found["cpu"], found["cuda"]).min() > 0.99

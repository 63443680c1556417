"""Merges as we write them, against mergekit's own from the recipe that lies beside them."""

from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer, MistralForCausalLM

from featrack_utils.errors import FeatrackError
from featrack_utils.models import merging, training
from tests.chapters import Chapter


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def difference(x: dict, y: dict) -> float:
    assert x.keys() == y.keys()
    return max((x[name] - y[name]).abs().max().item() for name in x)


@pytest.fixture(scope="module")
def run(tmp_path_factory, tokenizer) -> Path:
    """Models that are some steps away from one origin, each in a direction of its own."""
    root = tmp_path_factory.mktemp("models")
    shape = dict(vocab_size=280, d_model=32, d_mlp=64, n_heads=4, n_kv_heads=2, context=16)
    model = training.new_model(**shape, seed=0)
    origin = {name: w.clone() for name, w in model.state_dict().items()}
    steps = {"a": 0.02, "b": 0.03, "c": 0.02, "near-a": 1e-4, "near-b": 1e-4}
    for seed, (name, step) in enumerate(steps.items()):
        torch.manual_seed(seed)
        model.load_state_dict({n: w + step * torch.randn_like(w) for n, w in origin.items()})
        model.save_pretrained(root / name)
        tokenizer.save_pretrained(root / name)
    training.new_model(**shape | {"d_model": 16}, seed=0).save_pretrained(root / "narrow")
    return root


def written(run: Path, out: str, parents, weights_, method) -> Path:
    (run / out).mkdir()
    Chapter("merge").write_merge(run / out, [run / name for name in parents], weights_, method)
    return run / out


def by_mergekit(folder: Path, monkeypatch) -> dict[str, torch.Tensor]:
    from mergekit.scripts.run_yaml import main

    monkeypatch.chdir(folder)
    result = CliRunner().invoke(main, ["recipe.yaml", "again", "--quiet"], catch_exceptions=False)
    assert result.exit_code == 0
    return weights(folder / "again")


@pytest.mark.parametrize("t", [0, 0.05, 0.58, 1])
@pytest.mark.parametrize("parents", [("a", "b"), ("near-a", "near-b")])
def test_slerp_equals_what_mergekit_makes_of_the_recipe(run, monkeypatch, t, parents):
    folder = written(run, f"slerp-{parents[0]}-{t}", parents, [1 - t, t], "slerp")
    assert difference(weights(folder), by_mergekit(folder, monkeypatch)) < 1e-6
    straight = merging.linear([weights(run / name) for name in parents], [1 - t, t])
    on_line = parents[0] == "near-a" or t in (0, 1)
    assert (difference(weights(folder), straight) < 1e-6) == on_line


@pytest.mark.parametrize("given", [[1 / 3] * 3, [0.5, 0.2, 0.3]], ids=["equal", "unequal"])
def test_a_mean_of_three_equals_what_mergekit_makes_of_the_recipe(run, monkeypatch, given):
    folder = written(run, f"linear-{given[0]}", ("a", "b", "c"), given, "linear")
    assert difference(weights(folder), by_mergekit(folder, monkeypatch)) < 1e-6


def test_a_merge_loads_with_its_unembedding_and_its_tokenizer(run, tokenizer):
    folder = written(run, "loads", ("a", "b"), [0.6, 0.4], "slerp")
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert isinstance(model, MistralForCausalLM) and model.dtype == torch.float32
    assert difference(dict(model.state_dict()), weights(folder)) == 0
    assert not torch.equal(model.lm_head.weight, model.model.embed_tokens.weight)
    assert AutoTokenizer.from_pretrained(folder).get_vocab() == tokenizer.get_vocab()


def test_the_recipe_names_no_place_of_this_machine(run):
    folder = written(run, "place", ("a", "b"), [0.6, 0.4], "slerp")
    assert str(run) not in (folder / "recipe.yaml").read_text()


def test_parents_of_other_shapes_are_refused_and_nothing_is_written(run):
    with pytest.raises(FeatrackError, match="merge models of one architecture"):
        written(run, "odd", ("a", "narrow"), [0.5, 0.5], "slerp")
    assert not [*(run / "odd").iterdir()]

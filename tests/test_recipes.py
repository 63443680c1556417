"""Merges that mergekit writes from our recipes, against our own arithmetic and by hand."""

from pathlib import Path

import pytest
import torch
import yaml
from click.testing import CliRunner
from safetensors.torch import load_file
from tokenizers import Tokenizer, models
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedTokenizerFast,
)

from featrack_utils.errors import FeatrackError
from featrack_utils.models.merging import geometry, linear, slerp
from featrack_utils.models.recipes import METHODS, run_recipe, write_recipe

VOCABULARY = 300


def save_model(folder: Path, seed: int, origin: dict | None, step: float, **config) -> None:
    """A tiny Mistral, or one `step` away from `origin` in a direction drawn by the seed."""
    torch.manual_seed(seed)
    shape = {
        "vocab_size": VOCABULARY,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "tie_word_embeddings": False,
    }
    model = MistralForCausalLM(MistralConfig(**(shape | config)))
    if origin is not None:
        moved = {name: w + step * torch.randn_like(w) for name, w in origin.items()}
        model.load_state_dict(moved)
    model.save_pretrained(folder)
    tokens = {chr(33 + i): i for i in range(VOCABULARY)}
    PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE(tokens, []))).save_pretrained(
        folder
    )


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


@pytest.fixture(scope="module")
def models_dir(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("models")
    save_model(root / "base", 0, None, 0)
    base = weights(root / "base")
    for seed, (name, step) in enumerate(
        [("lua", 0.02), ("stories", 0.03), ("near_lua", 1e-4), ("near_stories", 1e-4)], start=1
    ):
        save_model(root / name, seed, base, step)
    return root


def merge(root: Path, out: Path, t: float, parents=("lua", "stories"), seed=0, **recipe):
    out.mkdir()
    lua, stories = (root / name for name in parents)
    write_recipe(out / "recipe.yaml", lua, stories, root / "base", t, **recipe)
    run_recipe(out / "recipe.yaml", out, seed=seed)
    return weights(out)


def difference(x: dict, y: dict) -> float:
    assert x.keys() == y.keys()
    return max((x[name] - y[name]).abs().max().item() for name in x)


@pytest.mark.parametrize("t", [0, 0.05, 0.5, 0.58, 1])
@pytest.mark.parametrize(
    ("parents", "falls_back"),
    [(("lua", "stories"), False), (("near_lua", "near_stories"), True)],
    ids=["distinct", "near-parallel"],
)
def test_slerp_equals_the_tensors_that_mergekit_writes(
    models_dir, tmp_path, t, parents, falls_back
):
    written = merge(models_dir, tmp_path / "merged", t, parents)
    lua, stories = (weights(models_dir / name) for name in parents)
    assert difference(written, slerp(lua, stories, t)) < 1e-6
    matrices = geometry(lua, stories).query("tensor.str.contains('proj|embed|lm_head')")
    assert (matrices.lerp_fallback == falls_back).all()
    assert (difference(written, linear(lua, stories, t)) < 1e-6) == (falls_back or t in (0, 1))


def test_the_merged_folder_loads_with_its_unembedding_and_its_tokenizer(models_dir, tmp_path):
    written = merge(models_dir, tmp_path / "merged", 0.4)
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    assert isinstance(model, MistralForCausalLM) and model.dtype == torch.float32
    assert difference(dict(model.state_dict()), written) == 0
    assert not torch.equal(model.lm_head.weight, model.model.embed_tokens.weight)
    assert len(AutoTokenizer.from_pretrained(tmp_path / "merged")) == VOCABULARY


def test_the_recipe_can_be_run_again_from_its_folder_after_the_tree_has_moved(
    models_dir, tmp_path, monkeypatch
):
    from mergekit.scripts.run_yaml import main

    run = tmp_path / "run"
    run.mkdir()
    for name in ("base", "lua", "stories"):
        (run / name).symlink_to(models_dir / name)
    written = merge(run, run / "merged", 0.3)
    assert str(tmp_path) not in (run / "merged" / "recipe.yaml").read_text()
    moved = run.rename(tmp_path / "moved")
    monkeypatch.chdir(moved / "merged")
    result = CliRunner().invoke(main, ["recipe.yaml", "again", "--quiet"], catch_exceptions=False)
    assert result.exit_code == 0
    assert difference(weights(moved / "merged" / "again"), written) == 0


def test_a_plus_or_an_at_sign_in_a_path_is_no_adapter_and_no_revision(models_dir, tmp_path):
    odd = tmp_path / "c++ @home"
    odd.symlink_to(models_dir)
    written = merge(odd, tmp_path / "merged", 0.3)
    assert difference(written, slerp(weights(odd / "lua"), weights(odd / "stories"), 0.3)) < 1e-6


def test_linear_and_task_arithmetic_are_the_same_merge_at_lambda_one(models_dir, tmp_path):
    expected = linear(weights(models_dir / "lua"), weights(models_dir / "stories"), 0.3)
    for method in ("linear", "task_arithmetic"):
        written = merge(models_dir, tmp_path / method, 0.3, method=method)
        assert difference(written, expected) < 1e-6


def test_the_other_methods_mix_the_updates_from_the_base(models_dir, tmp_path):
    base, lua, stories = (weights(models_dir / name) for name in ("base", "lua", "stories"))
    t = 0.3
    doubled = merge(
        models_dir, tmp_path / "ta", t, method="task_arithmetic", parameters={"lambda": 2}
    )
    turned = merge(models_dir, tmp_path / "nuslerp", t, method="nuslerp")
    ties = merge(models_dir, tmp_path / "ties", t, method="ties")
    for name, origin in base.items():
        a, b = lua[name] - origin, stories[name] - origin
        mixed = (1 - t) * a + t * b
        assert torch.allclose(doubled[name], origin + 2 * mixed, rtol=0, atol=1e-6)
        assert torch.allclose(turned[name], origin + slerp(a, b, t), rtol=0, atol=1e-6)
        # TIES: with equal signs the weighted mean, else the update that outweighs the other.
        stronger = torch.where(((1 - t) * a).abs() > (t * b).abs(), a, b)
        elected = torch.where(a * b > 0, mixed, stronger)
        assert torch.allclose(ties[name], origin + elected, rtol=0, atol=1e-6)


def test_ties_keeps_the_stated_share_of_an_update(models_dir, tmp_path):
    ties = merge(models_dir, tmp_path / "ties", 0, method="ties", parameters={"density": 0.25})[
        "lm_head.weight"
    ]
    base, lua = (weights(models_dir / name)["lm_head.weight"] for name in ("base", "lua"))
    changed = ties != base
    assert changed.float().mean().item() == pytest.approx(0.25, abs=1e-3)
    update = (lua - base).abs()
    assert update[changed].min() >= update[~changed].max()


def test_dare_is_fixed_by_its_seed_and_leaves_the_global_generator_alone(models_dir, tmp_path):
    def dare(name, seed):
        return merge(
            models_dir,
            tmp_path / name,
            0.5,
            seed=seed,
            method="dare_ties",
            parameters={"density": 0.5},
        )

    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    first = dare("first", 1)
    assert torch.equal(torch.rand(3), expected)
    assert difference(first, dare("again", 1)) == 0
    assert difference(first, dare("other", 2)) > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"t": 1.2}, "Merge weight t is 1.2"),
        ({"t": float("nan")}, "Merge weight t is nan"),
        ({"t": 0.5, "method": "sclerp"}, "'sclerp' is unknown; choose one of slerp, linear"),
        ({"t": 0.5, "method": "ties", "parameters": {"densty": 1}}, "takes no parameter 'densty'"),
        ({"t": 0.5, "method": "ties", "parameters": {"density": 1.5}}, "density is 1.5"),
        ({"t": 0.5, "method": "ties", "parameters": {"lambda": float("inf")}}, "lambda is inf"),
    ],
)
def test_a_recipe_that_makes_no_sense_is_not_written(tmp_path, arguments, message):
    path = tmp_path / "recipe.yaml"
    with pytest.raises(FeatrackError, match=message):
        write_recipe(path, tmp_path / "lua", tmp_path / "stories", tmp_path / "base", **arguments)
    assert not path.exists()


def test_every_method_is_written_as_yaml_that_names_it(tmp_path):
    for method in METHODS:
        path = tmp_path / f"{method}.yaml"
        write_recipe(path, tmp_path / "l", tmp_path / "s", tmp_path / "b", 0.5, method)
        assert yaml.safe_load(path.read_text())["merge_method"] == method


def test_a_recipe_with_a_foreign_t_or_no_models_or_no_yaml_is_refused(models_dir, tmp_path):
    path = tmp_path / "recipe.yaml"
    write_recipe(path, *(models_dir / name for name in ("lua", "stories", "base")), 0.5)
    good = path.read_text()
    for bad, message in [
        (good.replace("t: 0.5", "t: 1.5"), "Merge weight t is 1.5"),
        ("merge_method: slerp", "lacks base_model or models"),
        ("- a list", "lacks base_model or models"),
        ("a: [", "can't be read"),
        (good.replace("method: slerp", "method: sclerp"), "mergekit could not run"),
    ]:
        path.write_text(bad)
        with pytest.raises(FeatrackError, match=message):
            run_recipe(path, tmp_path / "out")
    with pytest.raises(FeatrackError, match="can't be read"):
        run_recipe(tmp_path / "absent.yaml", tmp_path / "out")


def test_model_folders_that_are_missing_or_do_not_fit_are_named(models_dir, tmp_path):
    save_model(tmp_path / "wide", 9, None, 0, hidden_size=64)
    for other, message in [("absent", "absent, which holds no config"), ("wide", "could not run")]:
        path = tmp_path / f"{other}.yaml"
        write_recipe(path, models_dir / "lua", tmp_path / other, models_dir / "base", 0.5)
        with pytest.raises(FeatrackError, match=message):
            run_recipe(path, tmp_path / f"out_{other}")


def test_parents_without_a_tokenizer_or_with_tied_embeddings_are_refused(models_dir, tmp_path):
    save_model(tmp_path / "tied", 9, None, 0, tie_word_embeddings=True)
    for lua, message in [(tmp_path / "bare", "no tokenizer"), (tmp_path / "tied", "untied")]:
        if not lua.exists():
            lua.mkdir()
            for name in ("config.json", "model.safetensors"):
                (lua / name).symlink_to(models_dir / "lua" / name)
        path = tmp_path / f"{lua.name}.yaml"
        write_recipe(path, lua, models_dir / "stories", models_dir / "base", 0.5)
        with pytest.raises(FeatrackError, match=message):
            run_recipe(path, tmp_path / f"out_{lua.name}")

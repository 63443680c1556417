"""Models that a plain script saved make their book: six families, a copy, a merge, another block.

Slow: some three minutes on two cores.
"""

import json
from pathlib import Path

import pytest
import torch
import yaml

from tests.books import copied, finish, sentence_of_failure
from tests.families import new_model, save

SITE = "blocks.1.mlp.hook_post"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory, tokenizer) -> Path:
    place = copied(tmp_path_factory.mktemp("families"))
    for number, family in enumerate(("GPT2", "GPTNeoX", "Gemma2", "Llama")):
        save(place / "saved" / family, family, tokenizer, seed=number)
    # A fine-tune of the first, so to speak, and what a tool for merging has made of the two.
    base, near = new_model("GPTNeoX", 1), new_model("GPTNeoX", 1)
    torch.manual_seed(1)
    with torch.no_grad():
        for weight in near.parameters():
            weight += 0.3 * weight.std().nan_to_num() * torch.randn_like(weight)
    save_as(place / "saved" / "near", near, tokenizer)
    mean = {name: (base.state_dict()[name] + w) / 2 for name, w in near.state_dict().items()}
    near.load_state_dict(mean)
    save_as(place / "saved" / "mean", near, tokenizer)
    return place


def save_as(folder: Path, model, tokenizer) -> None:
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def settings(place: Path, models: dict, **more: str) -> dict[str, str]:
    code, prose = (str(place / glob) for glob in ("featrack_utils/**/*.py", "book/*.md"))
    sources = {
        "english": None,
        "python": None,
        "code": {"kind": "files", "globs": [code]},
        "prose": {"kind": "files", "globs": [prose, str(place / "*.md")]},
    }
    corpora = {"sources_of": sources, "train_tokens": 20_000, "validation_tokens": 4_000}
    sae = {"expansion": 4, "train_tokens": 15_000, "batch_tokens": 512, "l1_coefficient": 5.0}
    counted = {"min_positions": 8, "min_documents": 3, "evaluation_blocks": 40, "replicates": 20}
    counted |= {"control_draws": 1, "probed_features": 10, "calibration_features": 100}
    return {
        "profile": "own",
        "models": json.dumps(models),
        "site": SITE,
        "corpora": json.dumps(corpora | {"context": 64}),
        "sae": json.dumps(sae | {"learning_rate": 5e-3, "k": 8}),
        "tracking": json.dumps(counted),
    } | more


@pytest.fixture(scope="module")
def results(checkout) -> dict[str, float]:
    saved = checkout / "saved"
    models = {
        "base": {"load": str(saved / "GPTNeoX")},
        "copy": {"load": str(saved / "GPTNeoX"), "parent": "base"},
        "gpt2": {"load": str(saved / "GPT2"), "parent": "base"},
        "gemma": {"load": str(saved / "Gemma2"), "parent": "base"},
        "llama": {"load": str(saved / "Llama"), "parent": "copy"},
        "near": {"load": str(saved / "near"), "parent": "base"},
        "theirs": {"load": str(saved / "mean"), "parent": ["copy", "near"]},
    }
    arms = json.dumps({"methods": ["linear"]})
    finish(checkout, cores=1, **settings(checkout, models, arms=arms))
    return json.loads((checkout / "runs" / "own" / "results.json").read_text())


def test_a_copy_of_its_parent_has_persisted_whole(results):
    rescaled = "track.base_copy.persisting_share.rescaled"
    assert results[f"{rescaled}.ci_low"] <= 1 <= results[f"{rescaled}.ci_high"]


def test_models_that_share_nothing_but_text_stand_near_the_floor(results):
    for edge in ("base_gpt2", "base_gemma", "copy_llama"):
        name = f"track.{edge}.persisting_share"
        assert f"{name}.floor_random_model" in results
        assert results[f"{name}.ceiling"] - results[f"{name}.floor"] > 0.3
        assert abs(results[f"{name}.rescaled"]) < 0.25, edge


def test_a_merge_that_somebody_has_made_is_compared_foretold_and_advised_on(results, checkout):
    models = checkout / "runs" / "own" / "models"
    recipe = yaml.safe_load((models / "theirs.by-linear" / "recipe.yaml").read_text())
    assert [one["model"] for one in recipe["models"]] == ["../copy", "../near"]
    # Both lie on the line between the parents, so they predict nearly alike.
    for domain in ("code", "prose"):
        assert abs(results[f"merge.own.{domain}.accuracy_from_reference"]) < 0.03
        assert f"merge.linear.{domain}.accuracy_from_reference" not in results
    assert results["merge.methods.apart"] == 0  # of the reference alone
    assert results["predict_survival.features"] > 0
    html = checkout / "book" / "_build" / "html" / "executed"
    page = (html / "which-merge.html").read_text()
    assert "the loaded merge" in page and "it was made elsewhere" in page


def test_the_book_of_loaded_models_has_the_chapters_that_apply_and_no_failure(results, checkout):
    contents = yaml.safe_load((checkout / "runs" / "own" / "_toc.yml").read_text())
    files = [chapter["file"] for part in contents["parts"] for chapter in part["chapters"]]
    pages = {file.removeprefix("executed/") for file in files if file.startswith("executed/")}
    assert {"corpora", "load", "sae", "tracking", "ceilings", "context", "explorer"} <= pages
    assert {"methods", "prediction", "which-merge"} <= pages
    # Nothing was trained here, and the widths differ: neuron 7 isn't neuron 7.
    assert not pages & {"base", "finetune", "merge", "along", "neurons", "dose", "rate", "planted"}
    html = checkout / "book" / "_build" / "html" / "executed"
    for page in pages:
        assert "Traceback" not in (html / f"{page}.html").read_text(), page


def test_two_families_of_one_width_have_neurons_and_nothing_between_them(checkout, tokenizer):
    saved = checkout / "saved"
    for family in ("Mistral", "OPT"):  # OPT hands its MLP the tokens of all texts in one row
        save(saved / family, family, tokenizer)
    models = {
        "base": {"load": str(saved / "Mistral")},
        "child": {"load": str(saved / "OPT"), "parent": "base"},
    }
    executed = checkout / "runs" / "pair" / "executed"
    pages = [executed / f"{page}.ipynb" for page in ("neurons", "first-look", "lesson")]
    asked = [str(page.relative_to(checkout)) for page in pages]
    finish(checkout, *asked, cores=1, **settings(checkout, models, name="pair"))
    assert all(page.exists() for page in pages)
    assert "nothing lies between them" in (executed / "live.ipynb").read_text()
    # Once: in the source of its cell and not in what that shows.
    assert (executed / "lesson.ipynb").read_text().count("Where does it come from?") == 1


def test_a_block_that_is_not_there_is_one_sentence_before_anything_runs(checkout):
    models = {"a": {"load": str(checkout / "saved" / "GPT2")}}
    given = settings(checkout, models, name="bad", site="blocks.9.hook_mlp_out")
    said = sentence_of_failure(checkout, **given)
    assert "models.a has 3 blocks; the nearest is blocks.2.hook_mlp_out." in said
    assert not (checkout / "runs" / "bad").exists()

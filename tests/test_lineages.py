"""Two more lineages, whole at smoke size: a chain of fine-tunes, and models saved elsewhere."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from featrack_utils.models.loading import load_model
from featrack_utils.pipeline import store
from tests.books import LINEAGES


@pytest.fixture
def run_of(books):
    """The finished run of a lineage."""
    return lambda name: books[name] / "runs" / name


def results_of(run: Path) -> dict[str, float]:
    return json.loads((run / "results.json").read_text())


def weights(run: Path, model: str) -> dict[str, np.ndarray]:
    # Loaded, for in files the head of a GPT-NeoX has one of two names.
    state = load_model(run / "models" / model).state_dict()
    return {name: tensor.numpy() for name, tensor in state.items()}


def distance(run: Path, one: str, other: str) -> float:
    a, b = weights(run, one), weights(run, other)
    return float(np.sqrt(sum(((a[name] - b[name]) ** 2).sum() for name in a)))


@pytest.mark.parametrize("name", LINEAGES)
def test_a_lineage_of_ones_own_makes_a_book_with_the_chapters_that_apply(name, run_of, books):
    run = run_of(name)
    results, lineage = results_of(run), store.open_lineage(run)
    for parent, child in lineage.edges:
        share = results[f"track.{parent}_{child}.persisting_share"]
        assert 0 <= share <= 1
    for model in lineage.order:
        assert all(results[f"lm.{model}.{domain}.loss"] > 0 for domain in lineage.domains)
    pages = {
        chapter["file"].removeprefix("executed/")
        for part in yaml.safe_load((run / "_toc.yml").read_text())["parts"]
        for chapter in part["chapters"]
        if chapter["file"].startswith("executed/")
    }
    assert {"corpora", "finetune", "tracking", "ceilings", "context", "dose", "explorer"} <= pages
    for page in ("merge", "methods", "prediction", "which-merge"):
        assert (page in pages) == bool(lineage.merges)
    # No merge of two is made here; a root that is loaded has no rate, and models of two widths no
    # neurons in common.
    assert "along" not in pages
    assert ("load" in pages) == bool(lineage.loaded)
    for page in ("base", "neurons", "planted", "rate"):
        assert (page in pages) == (name == "chain")
    html = books[name] / "book" / "_build" / "html" / "executed"
    for page in pages:
        text = (html / f"{page}.html").read_text()
        assert "Traceback" not in text, page


def test_in_a_chain_each_fine_tune_starts_from_the_one_before(run_of):
    run = run_of("chain")
    assert distance(run, "third", "second") < distance(run, "third", "first")
    for child, parent in (("second", "first"), ("third", "second")):
        inputs = store.read_record(run / "models" / child)["inputs"]
        assert inputs[parent] == store.digest(run / "models" / parent)
    assert (run / "models" / "second" / "snapshots").is_dir()  # along which doses are read
    assert not (run / "models" / "third" / "snapshots").exists()
    results = results_of(run)
    assert results["lm.second.lua.loss"] < results["lm.first.lua.loss"]
    assert results["lm.third.epochs"] < results["lm.second.epochs"]  # of two domains


def test_a_merge_of_three_is_their_mean_and_has_no_sweep(run_of):
    run, results = run_of("loaded"), results_of(run_of("loaded"))
    parents = [weights(run, name) for name in ("copy", "near", "tuned")]
    for name, tensor in weights(run, "mixed").items():
        mean = sum(parent[name].astype(np.float64) for parent in parents) / 3
        np.testing.assert_allclose(tensor, mean, rtol=1e-6, atol=1e-7)
    assert "merge.t" not in results and "merge.mixed.t" not in results


def test_merges_of_two_and_of_three_parents_are_compared_by_the_recipes_that_fit(run_of):
    run, results = run_of("loaded"), results_of(run_of("loaded"))
    made = {path.name for path in (run / "models").glob("*.by-*")}
    # Beside them lie merges at equal loss, "….at-equal-loss", and controls, "….mlp".
    assert {name for name in made if name.count(".") == 1} == {
        *(f"theirs.by-{way}" for way in ("linear", "slerp")),
        *(f"mixed.by-{way}" for way in ("linear", "model_stock")),
    }
    for domain in store.open_lineage(run).domains:
        assert 0 <= results[f"merge.mixed.model_stock.{domain}.accuracy"] <= 1
    assert any(".theirs.slerp.survival_both_share" in name for name in results)
    assert any(".mixed.linear.survival_third_share" in name for name in results)
    assert results["merge.mixed.linear.scale_at_equal_loss"] == 1  # the others come to its loss
    assert 0 < results["merge.mixed.model_stock.scale_at_equal_loss"] <= 1
    assert "merge.mixed.way_from_ancestor" not in results  # one of its parents is still there
    recipe = yaml.safe_load((run / "models" / "mixed.by-model_stock" / "recipe.yaml").read_text())
    assert [part["model"] for part in recipe["models"]] == ["../copy", "../near", "../tuned"]


def test_a_model_that_was_loaded_is_tuned_further(run_of):
    run, results = run_of("loaded"), results_of(run_of("loaded"))
    assert results["lm.tuned.code.loss"] < results["lm.base.code.loss"] - 0.1
    assert {"lm.base.own.loss", "lm.base.unigram_loss"} <= results.keys()
    inputs = store.read_record(run / "models" / "tuned")["inputs"]
    assert inputs["base"] == store.digest(run / "models" / "base")

"""Models that a plain script saved make their book: a copy, a merge, another family and block."""

import json
from pathlib import Path

import pytest
import yaml

from tests.books import finish, of_loaded, sentence_of_failure


@pytest.fixture(scope="module")
def checkout(books) -> Path:
    return books["loaded"]


@pytest.fixture(scope="module")
def results(checkout) -> dict[str, float]:
    return json.loads((checkout / "runs" / "loaded" / "results.json").read_text())


def test_a_copy_of_its_parent_has_persisted_whole(results):
    rescaled = "track.base_copy.headline.rescaled"
    assert 0.5 < results[f"{rescaled}.ci_low"] <= 1 <= results[f"{rescaled}.ci_high"]
    # Dictionaries of equal seeds are equal here, which the headline doesn't count.
    assert results["track.base_copy.same_seed.gain"] > 0.2


def test_models_that_share_nothing_but_text_stand_near_the_floor(results):
    name = "track.copy_gemma.persisting_share"
    assert f"{name}.floor_random_model" in results
    assert results[f"{name}.ceiling"] - results[f"{name}.floor"] > 0.3
    assert abs(results[f"{name}.rescaled"]) < 0.25


def test_a_merge_that_somebody_has_made_is_compared_foretold_and_advised_on(results, checkout):
    models = checkout / "runs" / "loaded" / "models"
    recipe = yaml.safe_load((models / "theirs.by-linear" / "recipe.yaml").read_text())
    assert [one["model"] for one in recipe["models"]] == ["../copy", "../near"]
    # Both lie on the line between the parents, so they predict nearly alike.
    for domain in ("code", "stories"):
        assert abs(results[f"merge.theirs.own.{domain}.accuracy_from_reference"]) < 0.03
        assert f"merge.theirs.linear.{domain}.accuracy_from_reference" not in results
    assert results["predict_survival.theirs.features"] > 0
    html = checkout / "book" / "_build" / "html" / "executed"
    page = (html / "which-merge.html").read_text()
    assert "the loaded merge" in page and "it was made elsewhere" in page


def test_two_families_of_one_width_have_neurons_and_nothing_between_them(checkout):
    models = {
        "base": {"load": "saved/Mistral"},
        # It hands its MLP the tokens of all texts in one row.
        "child": {"load": "saved/OPT", "parent": "base"},
    }
    executed = checkout / "runs" / "pair" / "executed"
    pages = [executed / f"{page}.ipynb" for page in ("neurons", "first-look", "lesson")]
    asked = [str(page.relative_to(checkout)) for page in pages]
    finish(checkout, *asked, **of_loaded(checkout, "pair", models))
    assert all(page.exists() for page in pages)
    assert "nothing lies between them" in (executed / "live.ipynb").read_text()
    # Once: in the source of its cell and not in what that shows.
    assert (executed / "lesson.ipynb").read_text().count("Where does it come from?") == 1


def test_a_block_that_is_not_there_is_one_sentence_before_anything_runs(checkout):
    models = {"a": {"load": "saved/Gemma2"}}
    given = of_loaded(checkout, "bad", models, site="blocks.9.hook_mlp_out")
    said = sentence_of_failure(checkout, **given)
    assert "models.a has 3 blocks; the nearest is blocks.2.hook_mlp_out." in said
    assert not (checkout / "runs" / "bad").exists()

"""Two more lineages, whole at smoke size: a chain of fine-tunes, and three parents merged.

Slow: about two minutes on two cores.
"""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from featrack_utils.lineage import Lineage
from tests.test_pipeline import MADE, ROOT, finish

LINEAGES = {
    "chain": {
        "first": {"train": ["english", "python"]},
        "second": {"parent": "first", "train": ["lua"]},
        "third": {"parent": "second", "train": ["stories"]},
        "fourth": {"parent": "third", "train": ["python"]},
    },
    "three": {
        "root": {"train": ["english"]},
        "a": {"parent": "root", "train": ["python"]},
        "b": {"parent": "root", "train": ["lua"]},
        "c": {"parent": "root", "train": ["stories"]},
        "mixed": {"merge": ["a", "b", "c"], "method": "linear"},
    },
}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("lineages") / "featrack"
    return shutil.copytree(ROOT, place, ignore=shutil.ignore_patterns(*MADE))


@pytest.mark.parametrize("name", LINEAGES)
def test_a_lineage_of_ones_own_makes_a_book_with_the_chapters_that_apply(name, checkout):
    lineage = Lineage(LINEAGES[name])
    finish(
        checkout,
        name=name,
        models=json.dumps(LINEAGES[name]),
        arms=json.dumps({"dosed": list(lineage.tuned[:1]), "doses": [0.3], "own_steps": 0}),
        robustness="{sweep: []}",
    )
    run = checkout / "runs" / name
    results = json.loads((run / "results.json").read_text())
    for parent, child in lineage.edges:
        share = results[f"track.{parent}_{child}.persisting_share"]
        assert 0 <= share <= 1
        assert results[f"lm.{child}.{lineage.domains[0]}.loss"] > 0
    pages = {
        chapter["file"].removeprefix("executed/")
        for part in yaml.safe_load((run / "_toc.yml").read_text())["parts"]
        for chapter in part["chapters"]
        if chapter["file"].startswith("executed/")
    }
    assert ("merge" in pages) == bool(lineage.merges)
    assert {"corpora", "finetune", "tracking", "ceilings", "explorer"} <= pages
    html = checkout / "book" / "_build" / "html" / "executed"
    for page in pages:
        text = (html / f"{page}.html").read_text()
        assert "Traceback" not in text and "{{" not in text, page

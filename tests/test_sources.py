"""Code that an artefact depends on is followed through the package's imports."""

import linecache
import re
from pathlib import Path

import pytest

from featrack_utils.corpora import split
from featrack_utils.display import page_models
from featrack_utils.matching import best_matches
from featrack_utils.pipeline import sources


def test_what_a_module_imports_counts_even_from_inside_a_function():
    assert "dictionaries/training.py" in sources.digests([page_models])
    files = sources.digests([split])
    assert {"corpora/split.py", "corpora/files.py", "errors.py"} <= set(files)
    # Two steps away.
    assert "corpora/stories/cast.py" in files


def test_what_a_module_does_not_import_does_not_count():
    assert not {"sae.py", "plots.py"} & set(sources.digests([split]))


def test_an_edit_of_the_pipeline_makes_no_artefact_anew():
    assert "import store" in Path(best_matches.__file__).read_text()
    assert [name for name in sources.digests([best_matches]) if name.startswith("pipeline")] == []


def test_functions_that_read_alike_have_one_hash():
    def one():
        return 1

    before = sources.of_function(one)

    def one():
        return 2

    assert before != sources.of_function(one)


@pytest.mark.parametrize(
    ("used", "otherwise"),
    [
        ("def count(x):\n    return x", "def count(x):\n    return 2 * x"),
        ("LIMIT = 3", "LIMIT = 4"),
        ("class Pair(NamedTuple):\n    a: int = 1", "class Pair(NamedTuple):\n    a: int = 2"),
        ("class Pair(NamedTuple):\n    a: int", "class Pair(NamedTuple):\n    b: int"),
        (
            "@dataclass\nclass Pair:\n    a: int\n    def total(self):\n        return self.a",
            "@dataclass\nclass Pair:\n    a: int\n    def total(self):\n        return 2 * self.a",
        ),
        (
            "class Pair:\n    @property\n    def total(self):\n        return 1",
            "class Pair:\n    @property\n    def total(self):\n        return 2",
        ),
    ],
)
def test_what_a_function_uses_beside_itself_belongs_to_it(used, otherwise):
    def hashed(cell: str, idle: str = "return 0") -> str:
        """A chapter's `build`, which uses what a cell defines in a function beside it."""
        name = re.search(r"(?:def |class |^)(\w+)[ (:]", cell.replace("@dataclass\n", ""))[1]
        source = [
            "from dataclasses import dataclass\nfrom typing import NamedTuple",
            cell,
            f"def idle(x):\n    {idle}",
            f"def each(xs):\n    return [{name} for x in xs]",
            "def build(folder):\n    return each(folder)",
        ]
        chapter = {"__name__": "chapter"}
        for number, text in enumerate(source):
            place = f"<cell {number} {text}>"
            linecache.cache[place] = (len(text), None, text.splitlines(keepends=True), place)
            exec(compile(text, place, "exec"), chapter)
        return sources.of_function(chapter["build"])

    assert hashed(used) == hashed(used, idle="return 1")
    assert hashed(used) != hashed(otherwise)

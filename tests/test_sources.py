"""Code that an artefact depends on is followed through the package's imports."""

import linecache
from pathlib import Path

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


def test_what_a_function_calls_beside_itself_belongs_to_it():
    def hashed(counted: str, idle: str = "return 0") -> str:
        """A chapter's `build`, which counts by a function of a function beside it."""
        source = [
            f"def count(x):\n    {counted}",
            f"def idle(x):\n    {idle}",
            "def each(xs):\n    return [count(x) for x in xs]",
            "def build(folder):\n    return each(folder)",
        ]
        chapter = {"__name__": "chapter"}
        for number, cell in enumerate(source):
            name = f"<cell {number} {counted} {idle}>"
            linecache.cache[name] = (len(cell), None, cell.splitlines(keepends=True), name)
            exec(compile(cell, name, "exec"), chapter)
        return sources.of_function(chapter["build"])

    assert hashed("return x") == hashed("return x", idle="return 1")
    assert hashed("return x") != hashed("return 2 * x")

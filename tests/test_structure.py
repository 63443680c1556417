"""The shape of the package: few folders, in one order, that don't know the book's models."""

import ast
import re
from pathlib import Path

import pytest
import yaml

import featrack_utils

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "featrack_utils"
MODULES = sorted(PACKAGE.rglob("*.py"))
# A folder may import those before it, never those after it.
ORDER = (
    "errors",
    "lineage",
    "pipeline",
    "corpora",
    "models",
    "dictionaries",
    "matching",
    "statistics",
    "interpretation",
    "display",
    "run",
    "compare",
    "__main__",
)


def place(parts: tuple[str, ...]) -> int:
    return ORDER.index(parts[0].removesuffix(".py"))


def imported(path: Path) -> set[tuple[str, ...]]:
    """What a module imports from this package, as parts of a path."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] == PACKAGE.name:
            _, *parts = node.module.split(".")
            found |= {tuple(parts)} if parts else {(alias.name,) for alias in node.names}
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_folder_imports_only_those_before_it(path):
    own = path.relative_to(PACKAGE).parts
    if own == ("__init__.py",):
        return
    assert [other for other in imported(path) if place(other) > place(own)] == []


def test_the_package_has_few_entries_at_its_top():
    entries = {path.relative_to(PACKAGE).parts[0] for path in MODULES}
    assert len(entries) <= 14


def test_code_is_laid_out_by_the_formatter_alone():
    tracked = [*MODULES, *(ROOT / "notebooks").glob("*.py"), *(ROOT / "tests").glob("*.py")]
    mark = "# fmt: " + "skip"
    assert [path.name for path in tracked if mark in path.read_text()] == []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_the_package_does_not_know_the_models_of_the_paper(path):
    if path.is_relative_to(PACKAGE / "corpora"):
        return  # there Lua and stories are kinds of text
    models = set(yaml.safe_load((ROOT / "profiles" / "quick.yaml").read_text())["models"])
    texts = {
        node.value
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    names = re.compile(rf"({'|'.join(models)})([_-]({'|'.join(models)}|\d+))?")
    assert [text for text in texts if names.fullmatch(text)] == []


def test_files_that_code_cites_are_in_the_tree():
    cited = set()
    for path in [*MODULES, *(ROOT / "notebooks").glob("*.py")]:
        cited |= set(re.findall(r"\b[\w/-]*\.md\b", path.read_text()))
    assert [name for name in sorted(cited) if not (ROOT / name).exists()] == []


def test_the_version_is_the_newest_of_the_changelog():
    newest = re.search(r"^## (\S+)[ :]", (ROOT / "CHANGELOG.md").read_text(), re.M)[1]
    assert featrack_utils.__version__ == newest

"""What is installed: each package for a reason that stands in CONTRIBUTING.md, with its licence."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from featrack_utils.corpora.installed import PACKAGES, XMAKE

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
ASKED = [
    Requirement(each) for each in PROJECT["dependencies"] + PROJECT["optional-dependencies"]["test"]
]
_, SECTION = (ROOT / "CONTRIBUTING.md").read_text().split("\n## What is installed, and why\n")
TABLE = {
    name: (use, licence)
    for name, use, licence in re.findall(r"^\| (.+?) \| (.+?) \| (.+?) \|$", SECTION, re.M)
    if name != "package"
}
SOURCES = ["featrack_utils", "notebooks", "tests", "benchmarks", "book/_ext"]
OURS = [path for folder in SOURCES for path in (ROOT / folder).rglob("*.py")]


def imported(source: str) -> set[str]:
    """Top modules that Python code imports, a test's optional ones included."""
    found = set(re.findall(r'importorskip\("(\w+)', source))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found


@pytest.fixture(scope="module")
def used() -> set[str]:
    """Names of the distributions that our code imports."""
    modules = set().union(*(imported(path.read_text()) for path in OURS))
    modules |= set(re.findall(r"^(?:from|import) (\w+)", (ROOT / "Snakefile").read_text(), re.M))
    by_module = metadata.packages_distributions()
    return {plain(name) for module in modules for name in by_module.get(module, [])}


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def licence_of(name: str) -> str:
    """As the installed distribution states it: an expression, or classifiers, or in words."""
    about = metadata.metadata(name)
    kinds = [
        kind.split(" :: ")[-1] for kind in about.get_all("Classifier") or [] if "License ::" in kind
    ]
    stated = "; ".join(kind for kind in kinds if kind != "OSI Approved")
    return about.get("License-Expression") or stated or about["License"].splitlines()[0]


def test_the_table_names_what_the_project_asks_for_in_its_order():
    assert list(TABLE) == [each.name for each in ASKED]


@pytest.mark.parametrize("requirement", ASKED, ids=lambda each: each.name)
def test_a_package_has_the_licence_that_it_states(requirement):
    if requirement.marker and not requirement.marker.evaluate():
        pytest.skip("not for this system")
    assert TABLE[requirement.name][1] == licence_of(requirement.name)


@pytest.mark.parametrize("name", TABLE)
def test_a_package_is_imported_or_the_table_says_how_else_it_is_used(name, used):
    use, _ = TABLE[name]
    if plain(name) in used:
        return
    kind = re.match("Command: |Plug-in of |Text[:,] |Needed by ", use)
    assert kind, f"nothing imports {name}"
    if kind[0].startswith("Text"):
        assert name in (*PACKAGES, XMAKE)
    else:
        (word,) = re.findall("`(.+?)`", use)
        others = [ROOT / "Makefile", ROOT / "Snakefile", *(ROOT / "profiles").rglob("*.yaml")]
        here = Path(__file__)
        assert any(word in path.read_text() for path in (*OURS, *others) if path != here)


def test_whatever_our_code_imports_is_in_the_table_or_in_the_words_above_it(used):
    words = set(re.findall(r"[\w-]+", SECTION.split("|")[0]))
    assert used - {"featrack-utils"} - {plain(name) for name in TABLE} - words == set()


def test_what_is_installed_fits_together():
    check = [sys.executable, "-m", "pip", "check", "--disable-pip-version-check"]
    done = subprocess.run(check, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout

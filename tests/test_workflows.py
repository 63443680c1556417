"""What the workflows call is there, and they run the versions that are promised."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml
from packaging.specifiers import SpecifierSet

from tests.test_environment import LOCK, PROJECT

ROOT = Path(__file__).parent.parent
WORKFLOWS = {path.stem: yaml.safe_load(path.read_text()) for path in ROOT.glob(".github/*/*.yml")}
STEPS = [
    (name, step)
    for name, workflow in WORKFLOWS.items()
    for job in workflow["jobs"].values()
    for step in job["steps"]
]
TARGETS = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))


def test_each_step_does_one_thing_and_there_is_a_workflow_that_tests_and_one_that_publishes():
    assert {*WORKFLOWS} == {"ci", "pages"}
    assert all(("uses" in step) != ("run" in step) for _, step in STEPS)


@pytest.mark.parametrize("command", [step["run"] for _, step in STEPS if "run" in step])
def test_commands_call_what_is_there(command):
    for target in re.findall(r"\bmake (\w+)", command):
        assert target in TARGETS
    for script in re.findall(r"\bbash (\S+)", command):
        assert subprocess.run(["bash", "-n", ROOT / script], check=False).returncode == 0
    assert re.match(r"make|bash|sudo apt-get", command)


def test_all_versions_are_tried_on_linux_and_macos():
    matrix = WORKFLOWS["ci"]["jobs"]["test"]["strategy"]["matrix"]
    admitted = SpecifierSet(PROJECT["requires-python"])
    assert matrix["python"] == [v for v in (f"3.{n}" for n in range(20)) if v in admitted]
    assert {name.split("-")[0] for name in matrix["os"]} == {"ubuntu", "macos"}
    binder = (ROOT / ".binder" / "runtime.txt").read_text().strip().removeprefix("python-")
    chosen = [step.get("with", {}).get("python-version", binder) for _, step in STEPS]
    assert all(each == "${{ matrix.python }}" or each in admitted for each in chosen)


def test_the_makefile_takes_the_same_versions():
    line = next(
        line for line in (ROOT / "Makefile").read_text().splitlines() if "version_info" in line
    )
    low, high = (tuple(map(int, each)) for each in re.findall(r"\((\d+), (\d+)\)", line))
    admitted = SpecifierSet(PROJECT["requires-python"])
    assert [n for n in range(20) if f"3.{n}" in admitted] == [*range(low[1], high[1] + 1)]


def test_what_is_published_is_what_make_archive_makes_with_buttons_of_the_repository():
    build = WORKFLOWS["pages"]["jobs"]["build"]
    assert build["env"]["FEATRACK_REPOSITORY"].endswith("${{ github.repository }}")
    paths = [step["with"]["path"] for step in build["steps"] if "path" in step.get("with", {})]
    snakefile = (ROOT / "Snakefile").read_text()
    assert paths == ["book/_build/featrack.zip", "book/_build/html"]
    assert (
        '"book/_build/featrack.zip"' in snakefile and '"book/_build/html/index.html"' in snakefile
    )
    deploy = WORKFLOWS["pages"]["jobs"]["deploy"]
    assert deploy["needs"] == "build" and deploy["permissions"] == {
        "pages": "write",
        "id-token": "write",
    }


def test_binder_installs_the_lock():
    lines = (ROOT / ".binder" / "requirements.txt").read_text().splitlines()
    assert f"torch=={LOCK['torch']}" in lines
    assert (ROOT / ".binder" / lines[2].removeprefix("--constraint ")).samefile(
        ROOT / "requirements.lock"
    )

"""One set of versions: the lock, conda's file, the package's ranges and what is installed."""

import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
LOCK = dict(re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "requirements.lock").read_text(), re.M))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
RANGES = PROJECT["dependencies"] + PROJECT["optional-dependencies"]["test"]


def test_conda_takes_every_version_from_the_lock():
    dependencies = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    pip = dependencies[-1]["pip"]
    # torch first and exact, so that no looser requirement chooses its build.
    assert pip == [
        f"torch=={LOCK['torch']}",
        "--constraint requirements.lock",
        "--editable .[test]",
    ]
    assert dependencies[0] == f"python{PROJECT['requires-python']}"


@pytest.mark.parametrize("given", RANGES)
def test_every_range_admits_its_locked_version(given):
    requirement = Requirement(given)
    assert LOCK[requirement.name] in requirement.specifier


def test_the_lock_names_what_is_installed():
    asked = set(LOCK)
    if sys.version_info >= (3, 12):
        asked.remove("overrides")  # which a dependency needs before 3.12 alone
    differing = {
        name: metadata.version(name)
        for name in asked
        if metadata.version(name).split("+")[0] != LOCK[name]
    }
    assert not differing


def test_nothing_is_installed_beside_the_lock():
    installed = {
        re.sub(r"[-_.]+", "-", d.metadata["Name"]).lower() for d in metadata.distributions()
    }
    tools = {"pip", "setuptools", "wheel", "featrack-utils"}
    # What torch's build for CUDA brings along, where an index has no other.
    cuda = {name for name in installed if re.match(r"nvidia-|cuda-|triton$", name)}
    assert installed - tools - cuda <= {re.sub(r"[-_.]+", "-", name).lower() for name in LOCK}

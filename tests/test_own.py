"""The chapter on models of one's own: its script, its command and the README's, taken literally."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.numpy import load_file

from featrack_utils.models import loading
from featrack_utils.pipeline.profile import load_profile
from tests.chapters import Chapter

ROOT = Path(__file__).parent.parent
TEXTS = {"english": ["the cat and the dog sat there. " * 30] * 9, "lua": ["local x = 1\n" * 90] * 9}


def chapter(**given):
    parts = {"own_steps": 12, "texts": TEXTS, "BEFORE": "english", "AFTER": "lua"}
    own = Chapter("own", **parts | given)
    for name in ("def merge(place)", "MODELS = {", "def written("):
        own.run_cell(name)
    return own


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """The two models of the script and mergekit's merge."""
    place = tmp_path_factory.mktemp("own")
    own = chapter()
    own.train_both(place)
    own.merge(place)
    return place


def test_the_script_learns_and_its_folders_can_be_loaded(place):
    found = {name: loading.find(name, {"load": str(place / name)}) for name in ("base", "child")}
    ids = found["child"].tokenizer(TEXTS["lua"][0], return_tensors="pt").input_ids[:, :64]
    losses = {}
    for name in found:
        model = loading.load_model(place / name)
        with torch.no_grad():
            losses[name] = model(input_ids=ids, labels=ids).loss.item()
    assert losses["child"] < losses["base"] - 0.3


def test_the_merge_is_the_mean_of_both(place):
    base, child, half = (
        load_file(place / name / "model.safetensors") for name in ("base", "child", "half")
    )
    assert {*half} == {*base}
    for name, tensor in half.items():
        np.testing.assert_allclose(tensor, (base[name] + child[name]) / 2, atol=1e-6)
    assert loading.find("half", {"load": str(place / "half")}).tokenizer.eos_token


def overrides(command: str) -> dict:
    """What Snakemake makes of a typed `make book PROFILE=own CONFIG="…"`."""
    words = shlex.split(command.replace("\\\n", " "))
    assert words[:3] == ["make", "book", "PROFILE=own"]
    settings = shlex.split(words[3].removeprefix("CONFIG="))
    return {name: yaml.safe_load(value) for name, _, value in (s.partition("=") for s in settings)}


def test_the_command_that_the_chapter_shows_is_a_profile(monkeypatch):
    said = []
    own = chapter(say=said.append)
    own.run_cell("typed = ")
    command = re.search(r"```sh\n(.*)\n```", said[-1], re.S)[1]
    profile = load_profile(ROOT / "profiles" / "own.yaml", overrides(command))
    assert profile.lineage.edges == (("base", "child"), ("base", "half"), ("child", "half"))
    assert {*profile.corpora.sources_of} == {*TEXTS}
    assert profile.site == "blocks.1.mlp.hook_post"


def test_the_command_in_the_readme_is_a_profile():
    readme = (ROOT / "README.md").read_text()
    section = readme.partition("## Your own models")[2]
    command = re.search(r"```sh\n(.*?)\n```", section, re.S)[1]
    profile = load_profile(ROOT / "profiles" / "own.yaml", overrides(command))
    assert profile.lineage.edges == (("base", "chat"),)
    assert profile.lineage.site == "blocks.3.hook_resid_post"
    assert {*profile.corpora.sources_of} == {"english", "mine"}

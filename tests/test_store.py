"""Artefacts are whole or absent, rebuilt only for a reason, and verified when opened."""

import ast
import hashlib
import json
import math
import os
import pickle
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import torch
import transformers
from sae_lens.training.activation_scaler import ActivationScaler

from featrack_utils.corpora.tokenizer import load_stream
from featrack_utils.dictionaries.features import load_features
from featrack_utils.dictionaries.training import RecordingTrainer, load_sae
from featrack_utils.errors import FeatrackError
from featrack_utils.models.loading import load_model
from featrack_utils.pipeline import store
from tests.books import ROOT
from tests.chapters import Chapter

collect_results = Chapter("status").collect_results


class Builder:
    """Writes one file and counts how often it was asked to."""

    def __init__(self, text: str = "done") -> None:
        self.text, self.calls = text, 0

    def __call__(self, work: Path) -> None:
        self.calls += 1
        (work / "sub").mkdir(exist_ok=True)
        (work / "sub" / "file.txt").write_text(self.text)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "run" / "things"


def make(folder, build, **recipe):
    return store.make(folder, build, **{"parameters": {"n": 1}, **recipe})


def beside(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.parent.iterdir())


def flip_a_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_what_was_built_is_not_built_again(folder):
    build = Builder()
    assert make(folder, build) == make(folder, build) == folder
    assert build.calls == 1
    assert (folder / "sub" / "file.txt").read_text() == "done"
    assert beside(folder) == ["things"]


def test_other_parameters_rebuild_and_replace_the_whole_folder(folder):
    make(folder, lambda work: (work / "old.txt").write_text("old"))
    make(folder, Builder(), parameters={"n": 2})
    assert sorted(p.name for p in folder.iterdir()) == ["run.json", "sub"]
    assert store.read_record(folder)["parameters"] == {"n": 2}
    assert beside(folder) == ["things"]


def test_a_changed_input_rebuilds(folder):
    source, build = folder.with_name("source"), Builder()
    for text, calls in (("one", 1), ("one", 1), ("two", 2)):
        make(source, Builder(text), parameters={"text": text})
        make(folder, build, inputs=[source])
        assert build.calls == calls


def test_an_input_made_again_with_equal_content_does_not_rebuild(folder):
    source, build = folder.with_name("source"), Builder()
    make(source, Builder("one"))
    make(folder, build, inputs=[source])
    shutil.rmtree(source)
    make(source, Builder("one"))
    make(folder, build, inputs=[source])
    assert build.calls == 1


def test_changed_code_rebuilds(folder, tmp_path):
    module = SimpleNamespace(__name__="m", __file__=str(tmp_path / "m.py"))
    build = Builder()
    for text, calls in (("a = 1", 1), ("a = 1", 1), ("a = 2", 2)):
        Path(module.__file__).write_text(text)
        make(folder, build, code=[module])
        assert build.calls == calls


def half(work: Path) -> None:
    (work / "half.txt").write_text("half")
    raise RuntimeError("killed")


@pytest.mark.parametrize("resumes", [True, False])
def test_a_build_that_fails_leaves_no_artefact_and_goes_on_only_if_it_can(folder, resumes):
    seen = []

    def build(work: Path) -> None:
        seen.append(sorted(path.name for path in work.iterdir()))
        if len(seen) == 1:
            half(work)

    with pytest.raises(RuntimeError):
        make(folder, build, resumes=resumes)
    assert not folder.exists()
    make(folder, build, resumes=resumes)
    assert seen == [[], ["half.txt"] if resumes else []]
    assert beside(folder) == ["things"]


def test_another_way_to_build_is_a_reason_to_build_anew(folder):
    make(folder, lambda work: (work / "a.txt").write_text("one"))
    make(folder, lambda work: (work / "a.txt").write_text("two"))
    assert (folder / "a.txt").read_text() == "two"


def test_other_parameters_do_not_go_on_from_a_half_built_folder(folder):
    with pytest.raises(RuntimeError):
        make(folder, half)
    make(folder, Builder(), parameters={"n": 2})
    assert not (folder / "half.txt").exists()
    assert beside(folder) == ["things"]


def test_a_rebuild_that_fails_leaves_the_earlier_artefact(folder):
    make(folder, Builder("earlier"))
    with pytest.raises(RuntimeError):
        make(folder, half, parameters={"n": 2})
    assert (store.opened(folder) / "sub" / "file.txt").read_text() == "earlier"


@pytest.mark.parametrize("killed_at", [0, 1, 2])
def test_a_kill_at_any_rename_is_made_good_by_the_next_call(folder, monkeypatch, killed_at):
    make(folder, Builder("old"))
    renames = []

    def replace(source, target):
        if len(renames) == killed_at:
            raise KeyboardInterrupt
        renames.append(target)
        os.rename(source, target)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(store.os, "replace", replace)
        make(folder, Builder("new"), parameters={"n": 2})
    make(folder, Builder("new"), parameters={"n": 2})
    assert (store.opened(folder) / "sub" / "file.txt").read_text() == "new"
    assert beside(folder) == ["things"]


def test_a_kill_while_the_old_artefact_is_deleted_does_no_harm(folder, monkeypatch):
    make(folder, Builder("old"))

    def killed(path, **options):
        (path / "run.json").unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(store.shutil, "rmtree", killed)
        make(folder, Builder("new"), parameters={"n": 2})
    build = Builder("new")
    make(folder, build, parameters={"n": 2})
    assert build.calls == 0
    assert (store.opened(folder) / "sub" / "file.txt").read_text() == "new"


def refused(call, *arguments) -> str:
    with pytest.raises(FeatrackError) as caught:
        call(*arguments)
    sentence = str(caught.value)
    assert "\n" not in sentence and sentence.endswith(".")
    return sentence


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize("harm", [flip_a_byte, truncate, Path.unlink])
def test_a_damaged_or_missing_file_is_named_and_refused(folder, harm):
    make(folder, Builder())
    harm(folder / "sub" / "file.txt")
    assert str(folder / "sub" / "file.txt") in refused(store.opened, folder)
    assert "file.txt" in refused(make, folder, Builder())
    assert "file.txt" in refused(store.digest, folder)


OLDER = b'{"key": "0a1b", "files": ["sub/file.txt"], "edition": 1}'


@pytest.mark.parametrize("content", [b'{"key": "a', b"[]", b"{}", b"\xff\xfe", OLDER])
def test_a_damaged_record_is_named_and_refused(folder, content):
    make(folder, Builder())
    (folder / "run.json").write_bytes(content)
    assert "run.json" in refused(store.opened, folder)
    assert f"delete {folder}" in refused(make, folder, Builder())


def two_models(folder: Path) -> tuple[Path, Path]:
    """Two artefacts with a file of the same name and different content."""
    models = folder.with_name("lua"), folder.with_name("stories")
    for model in models:
        make(model, Builder(model.name), parameters={"text": model.name})
    return models


def swap(one: Path, other: Path) -> None:
    aside = one.with_name("aside")
    one.rename(aside)
    other.rename(one)
    aside.rename(other)


def test_files_of_two_models_that_were_swapped_are_named_and_refused(folder):
    models = two_models(folder)
    swap(*(model / "sub" / "file.txt" for model in models))
    for model in models:
        assert str(model / "sub" / "file.txt") in refused(store.opened, model)
        again = Builder(model.name)
        parameters = {"text": model.name}
        assert "file.txt" in refused(lambda: make(model, again, parameters=parameters))  # noqa: B023
        assert again.calls == 0


def test_folders_of_two_models_that_were_swapped_are_named_and_refused(folder):
    lua, stories = two_models(folder)
    swap(lua, stories)
    assert f"{lua}/ holds what was made as stories; delete it" in refused(store.opened, lua)
    assert "made as lua" in refused(store.digest, stories)
    with pytest.raises(FeatrackError, match="made as stories"):
        make(folder, Builder(), inputs=[lua])
    assert not folder.exists()
    for model in (lua, stories):  # as the sentence says
        shutil.rmtree(model)
        make(model, Builder(model.name), parameters={"text": model.name})
        assert (store.opened(model) / "sub" / "file.txt").read_text() == model.name


def test_an_artefact_of_an_older_edition_is_made_anew_whole(folder):
    # Its record is whole, but from other code, without what came later.
    folder.mkdir(parents=True)
    (folder / "old.txt").write_text("old")
    files = {"old.txt": hashlib.sha256(b"old").hexdigest()}
    (folder / "run.json").write_text(json.dumps({"key": "0a1b", "files": files}))
    assert store.opened(folder) == folder
    build = Builder()
    make(folder, build)
    assert build.calls == 1 and not (folder / "old.txt").exists()
    assert store.read_record(folder)["name"] == "things"


def test_what_is_deleted_because_it_was_refused_is_made_again(folder):
    build = Builder()
    make(folder, build)
    truncate(folder / "sub" / "file.txt")
    assert f"delete {folder}/" in refused(store.opened, folder)
    shutil.rmtree(folder)
    make(folder, build)
    assert build.calls == 2 and store.opened(folder) == folder


def test_what_stepped_aside_before_a_kill_is_removed_by_the_next_call(folder):
    make(folder, Builder())
    old = folder.with_name(f".{folder.name}.partial-old")
    shutil.copytree(folder, old)
    make(folder, Builder())
    assert beside(folder) == ["things"]
    shutil.copytree(folder, old)
    fresh = folder.with_name("fresh")
    fresh.mkdir()
    store.replace(fresh, folder)  # the book's pages are put in place by this alone
    assert beside(folder) == ["things"]


class Hostile:
    """Unpickled, it leaves a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


def test_a_pickle_in_place_of_an_artefacts_file_is_never_executed(tmp_path):
    mark, at = tmp_path / "executed", tmp_path / "artefact"
    pickled = pickle.dumps(Hostile(mark))
    pickle.loads(pickled)
    assert mark.exists()  # hostile indeed
    mark.unlink()
    names = ["stream.safetensors", "documents.parquet", "sae_weights.safetensors", "any.json"]
    names += ["model.safetensors", "pytorch_model.bin", "features.safetensors", "trainer_state.pt"]
    at.mkdir()
    for name in names:
        (at / name).write_bytes(pickled)
    torch.save(Hostile(mark), at / "pytorch_model.bin")
    torch.save(Hostile(mark), at / "trainer_state.pt")
    (at / "activation_scaler.json").write_text('{"scaling_factor": 1.0}')
    transformers.MistralConfig(hidden_size=8, num_hidden_layers=1).save_pretrained(at)
    (at / "cfg.json").write_text('{"architecture": "standard", "d_in": 8, "d_sae": 16}')
    on_cpu = SimpleNamespace(device="cpu")
    trainer = SimpleNamespace(activation_scaler=ActivationScaler(), cfg=on_cpu)
    readers = [
        lambda: load_stream(at),
        lambda: load_features(at / "features.safetensors"),
        lambda: load_model(at),
        lambda: load_sae(at),
        lambda: pd.read_parquet(at / "documents.parquet"),
        lambda: store.read_results(at, "any"),
        lambda: RecordingTrainer.load_trainer_state(trainer, at),
    ]
    for read in readers:
        with pytest.raises(Exception):  # noqa: B017 (each library has its own)
            read()
        assert not mark.exists()
    (at / "model.safetensors").unlink()
    with pytest.raises(OSError, match="safetensors"):
        load_model(at)
    assert not mark.exists()


SOURCES = [*(ROOT / "featrack_utils").rglob("*.py"), *(ROOT / "notebooks").glob("*.py")]
SOURCES += [ROOT / "Snakefile"]
UNPICKLING = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_is_unpickled_and_no_models_own_code_is_trusted(path):
    text = path.read_text()
    if path.suffix != ".py":  # Snakemake's rules are no Python
        assert not re.search(r"pickle|torch\.load|trust_remote_code", text)
        return
    bad = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            bad += [alias.name for alias in node.names if alias.name in UNPICKLING]
        elif isinstance(node, ast.ImportFrom) and node.module in UNPICKLING:
            bad.append(node.module)
        elif isinstance(node, ast.Attribute) and node.attr in {"read_pickle", "unsafe_load"}:
            bad.append(node.attr)
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            given = {each.arg: ast.unparse(each.value) for each in node.keywords}
            bad += [called] * (called == "torch.load" and given.get("weights_only") != "True")
            wrong = {"trust_remote_code": "False", "allow_pickle": "False"}
            bad += [name for name, value in wrong.items() if given.get(name, value) != value]
    assert bad == []


def test_a_foreign_folder_is_refused_and_left_alone(folder):
    folder.mkdir(parents=True)
    (folder / "thesis.tex").write_text("mine")
    assert str(folder) in refused(make, folder, Builder())
    assert (folder / "thesis.tex").read_text() == "mine"


def test_a_missing_input_is_named(folder):
    sentence = refused(lambda: make(folder, Builder(), inputs=[folder.with_name("corpora")]))
    assert str(folder.with_name("corpora")) in sentence
    assert not folder.exists()


def test_the_record_says_from_what_with_what_and_when(folder):
    record = store.read_record(make(folder, Builder()))
    assert record["name"] == "things"
    assert set(record) == {
        "name",
        "key",
        "parameters",
        "inputs",
        "code",
        "build",
        "files",
        "seconds",
        "finished",
        "python",
        "machine",
        "versions",
    }
    assert list(record["files"]) == ["sub/file.txt"]


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
def test_a_figure_that_is_not_finite_is_refused_by_name(tmp_path, wrong):
    sentence = refused(store.write_results, tmp_path, "base", {"a": 1.0, "loss": wrong})
    assert "loss" in sentence and "base" in sentence
    assert not list(tmp_path.rglob("*.json"))


def test_an_undefined_figure_is_left_out(tmp_path):
    store.write_results(tmp_path, "base", {"b": None, "a": 0.5, "n": 3.0})
    assert collect_results(tmp_path, ["base"]) == {"a": 0.5, "n": 3}


def test_results_of_all_phases_are_joined_sorted_and_the_same_twice(tmp_path):
    store.write_results(tmp_path, "two", {"b": 2.5})
    store.write_results(tmp_path, "one", {"c": 1, "a": 1 / 3})
    joined = collect_results(tmp_path, ["two", "one"])
    first = (tmp_path / "results.json").read_bytes()
    assert list(joined) == ["a", "b", "c"]
    assert collect_results(tmp_path, ["one", "two"]) == joined
    assert store.read_results(tmp_path) == joined
    assert (tmp_path / "results.json").read_bytes() == first
    assert json.loads(first)["a"] == 1 / 3


def test_a_phase_that_is_no_more_leaves_no_figure_and_one_without_figures_none(tmp_path):
    store.write_results(tmp_path, "base", {"loss": 1})
    store.write_results(tmp_path, "dropped", {"old": 2})
    assert collect_results(tmp_path, ["base", "intro"]) == {"loss": 1}
    assert store.read_results(tmp_path) == {"loss": 1}


def test_a_name_written_by_two_phases_is_refused(tmp_path):
    store.write_results(tmp_path, "one", {"loss": 1})
    store.write_results(tmp_path, "two", {"loss": 1})
    assert "loss" in refused(collect_results, tmp_path, ["one", "two"])
    assert not (tmp_path / "results.json").exists()


def test_missing_or_damaged_results_are_named(tmp_path):
    assert "results.json" in refused(store.read_results, tmp_path)
    (tmp_path / "results.json").write_text('{"a": 1')
    assert "damaged" in refused(store.read_results, tmp_path)


def test_an_interrupted_write_leaves_the_old_figures(tmp_path, monkeypatch):
    store.write_results(tmp_path, "base", {"loss": 1})

    def killed(source, target):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(store.os, "replace", killed)
        store.write_results(tmp_path, "base", {"loss": 2})
    assert collect_results(tmp_path, ["base"]) == {"loss": 1}

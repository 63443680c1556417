"""Artefacts are whole or absent, rebuilt only for a reason, and verified when opened."""

import json
import math
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from featrack_utils.errors import FeatrackError
from featrack_utils.pipeline import store


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


def test_a_build_that_fails_leaves_no_artefact_and_goes_on_where_it_was(folder):
    seen = []

    def build(work: Path) -> None:
        if (work / "half.txt").exists():
            seen.append((work / "half.txt").read_text())
        else:
            half(work)

    with pytest.raises(RuntimeError):
        make(folder, build)
    assert not folder.exists()
    make(folder, build)
    assert seen == ["half"]
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


@pytest.mark.parametrize("harm", [flip_a_byte, Path.unlink])
def test_a_damaged_or_missing_file_is_named_and_refused(folder, harm):
    make(folder, Builder())
    harm(folder / "sub" / "file.txt")
    assert str(folder / "sub" / "file.txt") in refused(store.opened, folder)
    assert "file.txt" in refused(make, folder, Builder())
    assert "file.txt" in refused(store.digest, folder)


@pytest.mark.parametrize("content", [b'{"key": "a', b"[]", b"{}", b"\xff\xfe"])
def test_a_damaged_record_is_named_and_refused(folder, content):
    make(folder, Builder())
    (folder / "run.json").write_bytes(content)
    assert "run.json" in refused(store.opened, folder)
    assert f"delete {folder}" in refused(make, folder, Builder())


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
    assert set(record) == {
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
    assert store.collect_results(tmp_path, ["base"]) == {"a": 0.5, "n": 3}


def test_results_of_all_phases_are_joined_sorted_and_the_same_twice(tmp_path):
    store.write_results(tmp_path, "two", {"b": 2.5})
    store.write_results(tmp_path, "one", {"c": 1, "a": 1 / 3})
    joined = store.collect_results(tmp_path, ["two", "one"])
    first = (tmp_path / "results.json").read_bytes()
    assert list(joined) == ["a", "b", "c"]
    assert store.collect_results(tmp_path, ["one", "two"]) == joined
    assert store.read_results(tmp_path) == joined
    assert (tmp_path / "results.json").read_bytes() == first
    assert json.loads(first)["a"] == 1 / 3


def test_a_phase_that_is_no_more_leaves_no_figure_and_one_without_figures_none(tmp_path):
    store.write_results(tmp_path, "base", {"loss": 1})
    store.write_results(tmp_path, "dropped", {"old": 2})
    assert store.collect_results(tmp_path, ["base", "intro"]) == {"loss": 1}
    assert store.read_results(tmp_path) == {"loss": 1}


def test_a_name_written_by_two_phases_is_refused(tmp_path):
    store.write_results(tmp_path, "one", {"loss": 1})
    store.write_results(tmp_path, "two", {"loss": 1})
    assert "loss" in refused(store.collect_results, tmp_path, ["one", "two"])
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
    assert store.collect_results(tmp_path, ["base"]) == {"loss": 1}

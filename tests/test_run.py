"""A notebook runs whole or leaves nothing, and its failure is one sentence."""

import json
from pathlib import Path

import jupytext
import nbformat
import pytest

from featrack_utils.errors import FeatrackError
from featrack_utils.pipeline import notebook as run
from featrack_utils.pipeline.notebook import checked, declared_parameters, run_notebook

HEADER = """\
# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---
"""
PARAMETERS = '# %% tags=["parameters"]\nsteps = 3\nrate = 1e-3\nt = None\nname = "quick"\n'
RAISES = "from featrack_utils.errors import FeatrackError\n"


@pytest.fixture
def notebooks(tmp_path, monkeypatch):
    """A folder of notebooks in place of the book's."""
    folder = tmp_path / "notebooks"
    folder.mkdir()
    monkeypatch.setattr(run, "NOTEBOOKS", folder)
    return folder


def write(folder: Path, name: str, code: str, parameters: str = PARAMETERS) -> Path:
    path = folder / f"{name}.py"
    path.write_text(f"{HEADER}\n{parameters}\n# %%\n{code}\n")
    return path


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_a_finished_notebook_leaves_nothing_but_its_executed_copy(notebooks, tmp_path):
    write(notebooks, "sum", "print(steps + 1, rate, t, name)")
    out = tmp_path / "out" / "sum.ipynb"
    out.parent.mkdir()
    (out.parent / "sum.failed.ipynb").write_text("of an earlier run")
    given = json.dumps({"steps": 4, "t": 0.5})
    assert run.main(["sum", str(out), "--json", given, "-p", "rate", "1e-4"]) == 0
    assert left_in(out.parent) == ["sum.ipynb"]
    assert nbformat.read(out, 4).cells[-1].outputs[0].text == "5 0.0001 0.5 quick\n"


def test_a_sentence_for_the_reader_is_passed_on_alone_with_exit_status_1(
    notebooks, tmp_path, capsys
):
    write(notebooks, "sad", f"{RAISES}raise FeatrackError('The corpus is empty; add text.')")
    out = tmp_path / "out" / "sad.ipynb"
    assert run.main(["sad", str(out)]) == 1
    assert capsys.readouterr().err == "featrack: The corpus is empty; add text.\n"
    assert left_in(out.parent) == ["sad.failed.ipynb"]


def test_another_exception_is_named_with_the_copy_that_holds_its_traceback(
    notebooks, tmp_path, capsys
):
    write(notebooks, "odd", "1 / 0")
    out = tmp_path / "odd.ipynb"
    assert run.main(["odd", str(out)]) == 1
    sentence = capsys.readouterr().err
    assert "ZeroDivisionError" in sentence and str(tmp_path / "odd.failed.ipynb") in sentence
    assert sentence.count("\n") == 1
    assert not out.exists() and "ZeroDivisionError" in (tmp_path / "odd.failed.ipynb").read_text()


def test_a_failure_leaves_the_copy_of_an_earlier_success(notebooks, tmp_path):
    source = write(notebooks, "twice", "1 / 0")
    out = tmp_path / "twice.ipynb"
    out.write_text("the earlier one")
    with pytest.raises(FeatrackError):
        run_notebook(source, out, {})
    assert out.read_text() == "the earlier one"


def test_a_kernel_that_dies_is_one_sentence_too(notebooks, tmp_path):
    source = write(notebooks, "dies", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    with pytest.raises(FeatrackError, match="kernel died"):
        run_notebook(source, tmp_path / "out" / "dies.ipynb", {})
    assert left_in(tmp_path / "out") == []


def test_an_unknown_parameter_is_refused_before_anything_runs(notebooks, tmp_path, capsys):
    write(notebooks, "sum", "print(steps)")
    assert run.main(["sum", str(tmp_path / "out" / "sum.ipynb"), "-p", "step", "4"]) == 1
    expected = "featrack: Unknown parameter sum.step; the nearest known one is sum.steps.\n"
    assert capsys.readouterr().err == expected
    assert left_in(tmp_path / "out") == []


def test_a_parameter_that_is_not_json_or_yaml_is_refused(notebooks, tmp_path, capsys):
    write(notebooks, "sum", "")
    for wrong in (["--json", "{"], ["-p", "steps", "[1"]):
        assert run.main(["sum", str(tmp_path / "sum.ipynb"), *wrong]) == 1
        assert capsys.readouterr().err.startswith("featrack: A parameter can't be read")


def test_an_unknown_notebook_is_answered_with_the_known_ones(notebooks, tmp_path):
    write(notebooks, "sum", "")
    with pytest.raises(FeatrackError, match="there are: sum"):
        run_notebook(notebooks / "some.py", tmp_path / "out.ipynb", {})


def test_a_notebook_without_a_parameters_cell_is_refused(notebooks, tmp_path):
    source = write(notebooks, "bare", "print(1)", parameters="")
    with pytest.raises(FeatrackError, match="no cell tagged `parameters`"):
        run_notebook(source, tmp_path / "bare.ipynb", {})


def test_declared_parameters_are_the_cells_literals(notebooks):
    notebook = jupytext.read(write(notebooks, "sum", "later = 1"))
    assert declared_parameters(notebook) == {"steps": 3, "rate": 0.001, "t": None, "name": "quick"}


def test_a_number_written_as_text_becomes_one_where_the_notebook_wants_one():
    declared = {"rate": 1e-3, "t": None, "steps": 3, "globs": {}}
    given = {"rate": "1e-4", "t": "4e-1", "steps": 5, "globs": {"lua": []}}
    assert checked(given, declared, "x") == {
        "rate": 1e-4,
        "t": 0.4,
        "steps": 5,
        "globs": {"lua": []},
    }


@pytest.mark.parametrize("wrong", [{"steps": "3"}, {"steps": True}, {"rate": "x"}, {"name": 3}])
def test_a_parameter_of_another_type_is_refused(wrong):
    declared = {"rate": 1e-3, "steps": 3, "name": "quick"}
    with pytest.raises(FeatrackError, match=f"base.{next(iter(wrong))} is"):
        checked(wrong, declared, "base")


def test_a_trial_works_on_a_linked_copy_and_leaves_the_run_alone(tmp_path):
    start = tmp_path / "runs" / "quick"
    (start / "results").mkdir(parents=True)
    (start / "results" / "base.json").write_text("{}")
    copy = run.trial_run(start, tmp_path / "mine.ipynb")
    assert copy == tmp_path / "runs" / "mine"
    (copy / "results" / "base.json").unlink()
    assert (start / "results" / "base.json").read_text() == "{}"


def test_a_trial_needs_a_run_to_start_from_and_another_name(tmp_path):
    with pytest.raises(FeatrackError, match="run `make book` first"):
        run.trial_run(tmp_path / "runs" / "quick", tmp_path / "mine.ipynb")
    (tmp_path / "runs" / "quick").mkdir(parents=True)
    with pytest.raises(FeatrackError, match="rename it"):
        run.trial_run(tmp_path / "runs" / "quick", tmp_path / "quick.ipynb")

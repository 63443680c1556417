"""A notebook runs whole or leaves nothing, and its failure is one sentence."""

import json
from pathlib import Path

import jupytext
import nbformat
import papermill
import pytest

from featrack_utils import run
from featrack_utils.errors import FeatrackError
from featrack_utils.pipeline import store
from featrack_utils.run import checked, declared_parameters, run_notebook

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
    source = write(notebooks, "sum", "print(steps + 1, rate, t, name)")
    source.write_text(source.read_text().removeprefix(HEADER))  # a chapter may name no kernel
    out = tmp_path / "out" / "sum.ipynb"
    out.parent.mkdir()
    earlier = {"metadata": {"featrack": {"notebook": "sum"}}}
    (out.parent / "sum.failed.ipynb").write_text(json.dumps(earlier))
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
    earlier = json.dumps({"metadata": {"featrack": {"notebook": "twice"}}})
    out.write_text(earlier)
    with pytest.raises(FeatrackError):
        run_notebook(source, out, {})
    assert out.read_text() == earlier


def test_a_kernel_that_dies_is_one_sentence_too(notebooks, tmp_path):
    source = write(notebooks, "dies", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    with pytest.raises(FeatrackError, match="kernel died"):
        run_notebook(source, tmp_path / "out" / "dies.ipynb", {})
    assert left_in(tmp_path / "out") == []


def test_a_kernel_that_dies_before_it_answers_is_one_sentence_too(notebooks, tmp_path, monkeypatch):
    monkeypatch.setattr(run.ForkedKernelManager, "format_kernel_cmd", lambda *_, **__: ["false"])
    source = write(notebooks, "dead", "1 + 1")
    with pytest.raises(FeatrackError, match="kernel died or never answered"):
        run_notebook(source, tmp_path / "out" / "dead.ipynb", {})
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
        run.find("some")


def test_a_chapter_is_found_with_its_number_or_without(notebooks):
    source = write(notebooks, "07-sum", "")
    assert run.find("sum") == run.find("07-sum") == source


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


@pytest.mark.parametrize("wrong", [{"steps": "some"}, {"steps": True}, {"rate": "x"}, {"name": 3}])
def test_a_parameter_of_another_type_is_refused(wrong):
    declared = {"rate": 1e-3, "steps": 3, "name": "quick"}
    with pytest.raises(FeatrackError, match=f"base.{next(iter(wrong))} is"):
        checked(wrong, declared, "base")


def test_a_trial_works_on_a_linked_copy_and_leaves_the_run_alone(tmp_path):
    start = tmp_path / "runs" / "quick"
    (start / "results").mkdir(parents=True)
    (start / "results" / "base.json").write_text("{}")
    copy = store.open_run(start)
    assert copy == tmp_path / "runs" / "trials" / "quick-1"
    assert store.open_run(start) == tmp_path / "runs" / "trials" / "quick-2"
    (copy / "results" / "base.json").unlink()
    assert (start / "results" / "base.json").read_text() == "{}"


WRITES = """
from featrack_utils.pipeline import store
run = store.open_run(run_dir)
store.write_results(run, "page", {"steps": steps})
"""
IN_A_RUN = PARAMETERS + 'run_dir = "runs/quick"\n'


@pytest.fixture
def checkout(notebooks, tmp_path, monkeypatch):
    """A checkout whose run holds one result, and beside it what is a person's own."""
    monkeypatch.chdir(tmp_path)
    write(notebooks, "page", WRITES, IN_A_RUN)
    for path, text in {
        "runs/quick/results/page.json": '{"steps": 1}',
        "runs/mine/thesis.txt": "years of work",
        ".git/HEAD": "ref",
        "diary.ipynb": "{}",
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    return tmp_path


def files_of(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.mark.parametrize(
    "output", [".", "..", "runs", "runs/mine", "notebooks/page.py", "diary.ipynb", "runs/quick"]
)
def test_an_output_that_is_a_persons_own_is_refused_and_nothing_changes(output, checkout, capsys):
    before = files_of(checkout)
    assert run.main(["page", output]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert files_of(checkout) == before
    assert not (checkout / "runs" / "trials").exists()


def test_a_refused_parameter_leaves_nothing_behind(checkout):
    before = files_of(checkout)
    assert run.main(["page", "mine.ipynb", "-p", "step", "4"]) == 1
    assert files_of(checkout) == before
    assert not (checkout / "runs" / "trials").exists()


def test_a_chapter_run_by_hand_writes_into_a_copy_that_it_names(checkout, capsys):
    assert run.main(["page", "mine.ipynb", "-p", "steps", "7"]) == 0
    assert "runs/trials/quick-1" in capsys.readouterr().out
    assert (checkout / "runs/quick/results/page.json").read_text() == '{"steps": 1}'
    assert (checkout / "runs/mine/thesis.txt").read_text() == "years of work"
    made = checkout / "runs/trials/quick-1/results/page.json"
    assert json.loads(made.read_text()) == {"steps": 7}
    assert run.main(["page", "mine.ipynb"]) == 0, "its own output may be written again"


def test_plain_papermill_and_the_lab_write_into_a_copy_too(checkout, notebooks):
    notebook = jupytext.read(notebooks / "page.py")
    jupytext.write(notebook, checkout / "page.ipynb")
    papermill.execute_notebook(
        "page.ipynb", "tried.ipynb", {"steps": 9}, progress_bar=False, cwd=checkout
    )
    assert "runs/trials/quick-1" in (checkout / "tried.ipynb").read_text()
    assert (checkout / "runs/quick/results/page.json").read_text() == '{"steps": 1}'
    made = checkout / "runs/trials/quick-1/results/page.json"
    assert json.loads(made.read_text()) == {"steps": 9}


def test_the_pipeline_writes_into_its_run(checkout, monkeypatch):
    monkeypatch.setenv(store.PIPELINE_RUN, "runs/quick")
    assert run.main(["page", "runs/quick/executed/page.ipynb", "-p", "steps", "5"]) == 0
    assert json.loads((checkout / "runs/quick/results/page.json").read_text()) == {"steps": 5}
    assert not (checkout / "runs" / "trials").exists()

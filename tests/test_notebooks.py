"""Notebooks as sources: parameters of the quick profile, short cells, no typed results."""

import ast
import io
import json
import os
import re
import shlex
import subprocess
import tokenize
from pathlib import Path

import jupytext
import pytest

from featrack_utils.pipeline import forkserver
from featrack_utils.pipeline.book import notebook_pages
from featrack_utils.run import declared_parameters, page_of
from tests.families import save

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "notebooks").glob("*.py"))
PLANNED = (
    "Snakefile",
    "profiles",
    "notebooks",
    "book",
    "_config.yml",
    "featrack_utils",
    "benchmarks",
)
# A figure typed into prose needs one of these in its paragraph, to say whose it is.
NOT_OURS = ("{cite", "paper", "authors", "publish", "threshold", "τ", "mergekit")


class Leftovers:
    """Finds names that a chapter reads after a loop which has taken them over."""

    def __init__(self) -> None:
        self.loop_of: dict[str, ast.For] = {}  # that has bound a name last
        self.inside: list[ast.For] = []
        self.found: list[str] = []

    def read(self, node: ast.AST) -> None:
        """Goes through a statement or an expression in the order in which Python does it."""
        match node:
            case ast.For(target=target, iter=source, body=body):
                self.read(source)
                self.loop_of |= dict.fromkeys(names_in(target), node)
                self.inside.append(node)
                for statement in body:
                    self.read(statement)
                self.inside.pop()
            case ast.Assign(targets=targets, value=value):
                for part in (value, *targets):
                    self.read(part)
            case ast.Name(id=name, ctx=ast.Store()):
                self.loop_of.pop(name, None)
            case ast.Name(id=name, ctx=ast.Load()):
                if self.loop_of.get(name) not in (None, *self.inside):
                    self.found.append(f"{name} in line {node.lineno}")
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                self.loop_of.pop(name, None)  # what it reads when it is called isn't followed
            case ast.Lambda():
                pass
            case ast.comprehension(target=target, iter=source, ifs=conditions):
                self.read(source)
                for part in (target, *conditions):
                    self.read(part)
            case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
                outside = dict(self.loop_of)
                rest = [part for part in ast.iter_child_nodes(node) if part not in node.generators]
                for part in (*node.generators, *rest):
                    self.read(part)
                self.loop_of = outside
            case _:
                for part in ast.iter_child_nodes(node):
                    self.read(part)


def names_in(node: ast.AST) -> set[str]:
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}


each_notebook = pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)


@pytest.fixture(scope="module")
def passed(tmp_path_factory, tokenizer) -> dict[str, dict]:
    """What the Snakefile passes to each notebook in a quick run, by page.

    The page of a sweep is named after its set.
    """
    place = tmp_path_factory.mktemp("plan")
    for name in PLANNED:
        (place / name).symlink_to(ROOT / name)
    pages = planned(place, "profile=quick")
    # What only loaded models have a page for, as the profile own has it.
    model = save(place / "model", "Mistral", tokenizer)
    loaded = planned(place, "profile=own", f"models={{a: {{load: {model}}}}}")
    return loaded | pages | {"sweep": pages["sweep-expansion-2"]}


def planned(place: Path, *config: str) -> dict[str, dict]:
    plan = subprocess.run(
        [
            *forkserver.PYTHON,
            "-m",
            "snakemake",
            "--dry-run",
            "--printshellcmds",
            "--nocolor",
            "--nolock",
            "--cores",
            "2",
            "--config",
            *config,
        ],
        cwd=place,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert plan.returncode == 0, plan.stderr
    given: dict[str, dict] = {}
    for line in (plan.stdout + plan.stderr).splitlines():
        words = shlex.split(line) if "-m featrack_utils.run " in line else []
        if words:
            notebook, parameters = (
                words[words.index("featrack_utils.run") + 1],
                words[-1],
            )
            output = Path(words[words.index("featrack_utils.run") + 2])
            given[output.stem] = {"notebook": notebook, **json.loads(parameters)}
    return given


def cells(source: Path, kind: str) -> list:
    return [cell for cell in jupytext.read(source).cells if cell.cell_type == kind]


def test_every_notebook_is_a_phase_and_every_phase_a_notebook(passed):
    assert {values["notebook"] for values in passed.values()} == {page_of(s) for s in SOURCES}


@each_notebook
def test_literals_are_those_of_the_quick_profile(source, passed):
    values = {k: v for k, v in passed[page_of(source)].items() if k != "notebook"}
    declared = declared_parameters(jupytext.read(source))
    assert values == {name: declared.get(name, "not declared") for name in values}


@each_notebook
def test_parameters_are_literals_each_with_a_comment(source):
    (cell,) = [c for c in cells(source, "code") if "parameters" in c.metadata.get("tags", [])]
    readable = io.StringIO(cell.source).readline
    commented = {
        token.start[0]
        for token in tokenize.generate_tokens(readable)
        if token.type == tokenize.COMMENT
    }
    for statement in ast.parse(cell.source).body:
        assert isinstance(statement, ast.Assign)
        name, value = statement.targets[0].id, ast.literal_eval(statement.value)
        lines = set(range(statement.lineno, statement.end_lineno + 1))
        assert commented & lines or name == "run_dir", f"{name} = {value!r} has no comment"


@each_notebook
def test_the_header_names_python_as_the_language(source):
    assert jupytext.read(source).metadata["kernelspec"] == {
        "name": "python3",
        "language": "python",
        "display_name": "Python 3",
    }


@each_notebook
def test_a_figure_in_prose_is_substituted_or_says_whose_it_is(source):
    for cell in cells(source, "markdown"):
        prose = re.sub(r":::.*?\n:::", "", cell.source, flags=re.DOTALL)  # exercises, answers
        prose = re.sub(r"\{\{.*?\}\}|\{%.*?%\}|`[^`]*`", "", prose, flags=re.DOTALL)
        for paragraph in prose.replace("100 %", "").split("\n\n"):
            if re.search(r"\d\.\d|\d ?%", paragraph):
                assert any(word in paragraph for word in NOT_OURS), paragraph


@each_notebook
def test_a_figure_is_alone_in_its_cell(source):
    # Its name is the cell's in the book, so that words beside it would have that name, too.
    for cell in jupytext.read(source).cells:
        if cell.cell_type == "code":
            nodes = [n for n in ast.walk(ast.parse(cell.source)) if isinstance(n, ast.Call)]
            called = [node.func.id for node in nodes if isinstance(node.func, ast.Name)]
            shown = called.count("show")
            assert shown == 0 or (shown == 1 and "say" not in called), cell.source


@each_notebook
def test_a_folded_answer_begins_with_words(source):
    # JupyterLab shows the first line of a folded cell: it must not be the answer's.
    for cell in cells(source, "code"):
        if "answer" in cell.metadata.get("tags", []):
            assert cell.source.startswith("# One way to answer:"), cell.source


def test_no_word_of_the_glossary_is_a_pages_name():
    # A link to either would be ambiguous, and the book isn't built.
    glossary = (ROOT / "book" / "method.md").read_text().split("```{glossary}")[1].split("```")[0]
    words = set(re.findall(r"^(\S.*)$", glossary, re.M))
    assert len(words) > 20
    assert words & {page_of(source) for source in SOURCES} == set()


@each_notebook
def test_links_between_pages_lead_to_pages_of_the_book(source):
    pages = {Path(page).name for page in notebook_pages(ROOT / "book" / "_toc.yml")}
    text = "\n".join(cell.source for cell in cells(source, "markdown"))
    linked = set(re.findall(r"\]\(([a-z-]+)\)", text))
    written = "\n".join(path.read_text() for path in (ROOT / "book").glob("*.md"))
    sections = set(re.findall(r"^\(([a-z-]+)\)=$", written, re.M))
    assert linked - pages - sections == set()


@each_notebook
def test_no_name_is_read_that_a_loop_has_taken_over(source):
    finder = Leftovers()
    finder.read(ast.parse(source.read_text()))
    assert finder.found == []

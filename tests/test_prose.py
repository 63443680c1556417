import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from featrack_utils.run import page_of

ROOT = Path(__file__).resolve().parents[1]
# What we write ourselves; built pages hold text of others, word lists names.
PROSE = ["notebooks", "book", "featrack_utils", "README.md", "CHANGELOG.md", "_config.yml"]
SKIPPED = "book/executed,book/_build,*.ipynb_checkpoints,__pycache__,*.svg,*.bib,*/data/*"
# ast.NotIn is Python's own name.
NAMES = "notin"


def run(*command):
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_prose_is_spelt_correctly():
    written = [path for path in PROSE if (ROOT / path).exists()]
    done = run("codespell_lib", f"--skip={SKIPPED}", f"--ignore-words-list={NAMES}", *written)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_misspelling_would_be_found(tmp_path):
    (tmp_path / "page.md").write_text("It occured twice.")
    assert run("codespell_lib", str(tmp_path)).returncode != 0


@pytest.mark.parametrize("command", [("check",), ("format", "--check")])
def test_code_is_tidy(command):
    done = run("ruff", *command, ".")
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_word_of_the_glossary_is_linked_from_a_page():
    glossary = (ROOT / "book" / "method.md").read_text("utf-8").partition("```{glossary}")[2]
    words = re.findall(r"^(\S.*)$", glossary.partition("```")[0], re.M)
    pages = [*(ROOT / "notebooks").glob("*.py"), *(ROOT / "book").glob("*.md")]
    text = "\n".join(page.read_text("utf-8") for page in pages)
    linked = re.findall(r"\{term\}+`(?:[^`<]*<)?([^`>]+)>?`", text)
    assert len(words) > 30 and set(words) - set(linked) == set()


def test_every_page_in_the_contents_has_a_source():
    toc = yaml.safe_load((ROOT / "book" / "_toc.yml").read_text("utf-8"))
    chapters = [chapter["file"] for part in toc["parts"] for chapter in part["chapters"]]
    for page in [toc["root"], *chapters]:
        folder, _, name = page.rpartition("/")
        known = {page_of(path) for path in (ROOT / "notebooks").glob("*.py")}
        is_there = (
            name in known if folder == "executed" else (ROOT / "book" / f"{name}.md").is_file()
        )
        assert is_there, f"{page} has no source"


def test_every_notebook_is_a_page_of_the_book():
    toc = (ROOT / "book" / "_toc.yml").read_text("utf-8")
    # A sweep runs as often as a profile asks, so no page can stand for it: robustness shows it.
    for notebook in (ROOT / "notebooks").glob("*.py"):
        if page_of(notebook) != "sweep":
            assert f"executed/{page_of(notebook)}" in toc, f"{notebook.name} is in no chapter"


def test_every_notebook_has_its_question_on_the_first_page():
    tree = ast.parse((ROOT / "notebooks" / "00-intro.py").read_text("utf-8"))
    (parts,) = [
        ast.literal_eval(one.value)
        for one in tree.body
        if isinstance(one, ast.Assign) and getattr(one.targets[0], "id", "") == "PARTS"
    ]
    asked = [page for pages in parts.values() for page in pages]
    pages = {page_of(path) for path in (ROOT / "notebooks").glob("*.py")}
    # The first page itself, a part of the robustness chapter, and the page that it names below.
    assert sorted(asked) == sorted(pages - {"intro", "sweep", "status"})

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

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


def test_every_page_in_the_contents_has_a_source():
    toc = yaml.safe_load((ROOT / "book" / "_toc.yml").read_text("utf-8"))
    chapters = [chapter["file"] for part in toc["parts"] for chapter in part["chapters"]]
    for page in [toc["root"], *chapters]:
        folder, _, name = page.rpartition("/")
        source = f"notebooks/{name}.py" if folder == "executed" else f"book/{name}.md"
        assert (ROOT / source).is_file(), f"{page} has no source {source}"


def test_every_notebook_is_a_page_of_the_book():
    toc = (ROOT / "book" / "_toc.yml").read_text("utf-8")
    # A sweep runs as often as a profile asks, so no page can stand for it: robustness shows it.
    for notebook in set((ROOT / "notebooks").glob("*.py")) - {ROOT / "notebooks" / "sweep.py"}:
        assert f"executed/{notebook.stem}" in toc, f"{notebook.name} is in no chapter"

"""The book as one file, chapters that run in a checkout, and buttons that lead somewhere."""

import os
import shutil
import subprocess
from pathlib import Path
from zipfile import ZipFile

import nbformat
import papermill
import pytest
import yaml
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from featrack_utils.errors import FeatrackError
from featrack_utils.pipeline import forkserver
from featrack_utils.pipeline.book import main, write_archive

ROOT = Path(__file__).resolve().parents[1]
KERNEL = {"kernelspec": {"name": "python3", "language": "python", "display_name": "Python 3"}}


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    """A book of one page, built for a repository on GitHub."""
    checkout = tmp_path_factory.mktemp("checkout")
    pages = checkout / "book" / "executed"
    pages.mkdir(parents=True)
    said = new_output("stream", name="stdout", text="twelve")
    cell = new_code_cell("print(open('runs/number').read())", outputs=[said], execution_count=3)
    page = new_notebook(cells=[new_markdown_cell("# Page"), cell], metadata=KERNEL)
    nbformat.write(page, pages / "page.ipynb")
    (checkout / "book" / "_toc.yml").write_text("format: jb-book\nroot: executed/page\n")
    for name in ("_ext", "_static", "references.bib"):
        copy = shutil.copytree if (ROOT / "book" / name).is_dir() else shutil.copy
        copy(ROOT / "book" / name, checkout / "book" / name)
    shutil.copy(ROOT / "_config.yml", checkout)
    command = [*forkserver.PYTHON, "-m", "featrack_utils.pipeline.book", "book"]
    command += ["--toc", "book/_toc.yml"]
    here = os.environ | {"FEATRACK_REPOSITORY": "https://github.com/someone/features"}
    done = subprocess.run(command, cwd=checkout, env=here, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return checkout / "book"


def test_equal_books_give_equal_bytes_whenever_they_were_made(book, tmp_path):
    write_archive(book, tmp_path / "a.zip")
    copy = shutil.copytree(book, tmp_path / "book", copy_function=shutil.copyfile)
    for path in copy.rglob("*"):
        os.utime(path, (10**9, 10**9))
    assert main([str(copy), "--archive", str(tmp_path / "b.zip")]) == 0
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    names = ZipFile(tmp_path / "a.zip").namelist()
    assert {"featrack/notebooks/page.ipynb", "featrack/html/index.html"} <= {*names}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zip", "b.zip", "book"]


def test_a_chapter_of_the_archive_runs_wherever_in_a_checkout_it_lies(book, tmp_path):
    for name in ("featrack_utils", "runs", "deep/er"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "runs" / "number").write_text("thirteen")
    assert main([str(book), "--archive", str(tmp_path / "deep" / "er")]) == 0
    one = tmp_path / "deep" / "er" / "page.ipynb"
    assert "twelve" not in one.read_text(), "outputs are left to the reader"
    done = papermill.execute_notebook(one, None, cwd=one.parent, progress_bar=False)
    assert done.cells[-1].outputs[0].text == "thirteen\n"


def test_a_book_that_isnt_made_is_named(tmp_path):
    with pytest.raises(FeatrackError, match="make book"):
        write_archive(tmp_path, tmp_path / "a.zip")
    assert not list(tmp_path.iterdir())


def test_the_binder_button_opens_the_notebook_that_binder_makes(book):
    html = (book / "_build" / "html" / "executed" / "page.html").read_text()
    folder = yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]["path_to_book"]
    address = "https://mybinder.org/v2/gh/someone/features/main?urlpath=lab/tree"
    assert f'href="{address}/{folder}/executed/page.ipynb"' in html
    assert 'href="https://github.com/someone/features/issues/new' in html
    made = (ROOT / ".binder" / "postBuild").read_text()
    assert made.endswith(f"featrack_utils.pipeline.book book --archive {folder}/executed\n")
    assert "profile=smoke" in made and folder.startswith("runs/smoke/")

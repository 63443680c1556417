import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import yaml
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from featrack_utils.errors import FeatrackError
from featrack_utils.pipeline import forkserver, store
from featrack_utils.pipeline.book import notebook_pages, render_book

ROOT = Path(__file__).resolve().parents[1]
SAID = "It is **21.3\u00a0% [20.1, 22.4]**, see [dictionaries](sae) and {cite:t}`horn2025tracking`."
KERNEL = {"kernelspec": {"name": "python3", "language": "python", "display_name": "Python 3"}}


@pytest.fixture
def book(tmp_path):
    """A book of two pages that are run, and the folder of that run."""
    book_dir, run_dir = tmp_path / "book", tmp_path / "runs" / "quick"
    book_dir.mkdir()
    (run_dir / "executed").mkdir(parents=True)
    (book_dir / "_toc.yml").write_text(
        "format: jb-book\nroot: executed/intro\nparts:\n- caption: P\n  chapters:\n"
        "  - file: executed/sae\n  - file: bibliography\n"
    )
    said = new_output("display_data", data={"text/markdown": SAID})
    cells = [new_markdown_cell("# Intro"), new_code_cell("say()", outputs=[said])]
    write_page(run_dir, "intro", cells)
    write_page(run_dir, "sae", [new_markdown_cell("# Dictionaries")])
    return run_dir, book_dir


def write_page(run_dir, page, cells):
    nbformat.write(
        new_notebook(cells=cells, metadata=KERNEL), run_dir / "executed" / f"{page}.ipynb"
    )


def rendered_cells(book, *cells):
    run_dir, book_dir = book
    write_page(run_dir, "sae", list(cells))
    render_book(run_dir, book_dir)
    return nbformat.read(book_dir / "executed" / "sae.ipynb", as_version=4).cells


def test_pages_come_from_the_table_of_contents_in_order(book):
    assert notebook_pages(book[1] / "_toc.yml") == ["intro", "sae"]


def test_a_missing_page_is_named_and_nothing_is_written(book):
    run_dir, book_dir = book
    (run_dir / "executed" / "sae.ipynb").unlink()
    with pytest.raises(FeatrackError, match=r"page sae, .* is missing"):
        render_book(run_dir, book_dir)
    assert [path.name for path in book_dir.iterdir()] == ["_toc.yml"]


def test_a_failing_page_leaves_the_earlier_book_as_it_was(book):
    run_dir, book_dir = book
    render_book(run_dir, book_dir)
    before = (book_dir / "executed" / "intro.ipynb").read_bytes()
    write_page(run_dir, "intro", [new_markdown_cell("changed")])
    wrong = new_output("error", ename="ValueError", evalue="no", traceback=[])
    write_page(run_dir, "sae", [new_code_cell("1", outputs=[wrong])])
    with pytest.raises(FeatrackError, match="Page sae"):
        render_book(run_dir, book_dir)
    assert (book_dir / "executed" / "intro.ipynb").read_bytes() == before
    assert sorted(path.name for path in book_dir.iterdir()) == ["_toc.yml", "executed"]


def test_a_page_no_longer_in_the_contents_disappears(book):
    run_dir, book_dir = book
    render_book(run_dir, book_dir)
    (book_dir / "executed" / "old.ipynb").write_text("{}")
    render_book(run_dir, book_dir)
    assert not (book_dir / "executed" / "old.ipynb").exists()


def test_equal_content_gives_equal_bytes(book):
    written = []
    for seconds in (1.0, 2.0):
        cell = new_code_cell("1 + 1", execution_count=int(seconds))
        cell.metadata["papermill"] = {"duration": seconds}
        rendered_cells(book, cell)  # every call draws new random cell ids
        written.append((book[1] / "executed" / "sae.ipynb").read_bytes())
    assert written[0] == written[1]


def test_folders_of_this_machine_are_replaced_the_longest_first(book):
    run_dir, book_dir = book
    where = f"{run_dir}/base {book_dir}/x {sys.prefix}/bin {Path.home()}/y"
    said = new_output("stream", text=where)
    (cell,) = rendered_cells(book, new_code_cell(f"run_dir = '{run_dir}'", outputs=[said]))
    assert cell.outputs[0].text == "runs/quick/base book/x <environment>/bin ~/y"
    assert cell.source == "run_dir = 'runs/quick'"


def test_a_damaged_page_is_named(book):
    (book[0] / "executed" / "sae.ipynb").write_text("{")
    with pytest.raises(FeatrackError, match="page sae"):
        render_book(*book)


def test_a_built_book_shows_what_cells_say_and_needs_no_other_host(book):
    run_dir, book_dir = book
    for name in ("_ext", "_static"):
        shutil.copytree(ROOT / "book" / name, book_dir / name)
    for name in ("references.bib", "bibliography.md"):
        shutil.copy(ROOT / "book" / name, book_dir)
    with (book_dir / "bibliography.md").open("a") as page:
        page.write("\nSee [*another* book](executed/live) and [this one](executed/sae).\n")
    shutil.copy(ROOT / "_config.yml", book_dir.parent)
    formula = new_markdown_cell("# Dictionaries\n\n$$x^2$$ (square)\n\nand $\\theta$")
    write_page(run_dir, "sae", [formula])
    render_book(run_dir, book_dir)
    command = [*forkserver.PYTHON, "-m", "featrack_utils.pipeline.book", str(book_dir)]
    command += ["--toc", str(book_dir / "_toc.yml")]
    done = subprocess.run(command, cwd=book_dir.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    html = book_dir / "_build" / "html"
    intro = (html / "executed" / "intro.html").read_text("utf-8")
    assert "21.3\u00a0% [20.1, 22.4]" in intro and 'href="sae.html' in intro
    assert "Horn" in intro, "a citation in an output is resolved"
    written = (html / "bibliography.html").read_text("utf-8")
    assert "See <em>another</em> book and <a" in written and 'href="executed/sae.html' in written
    assert "<math" in (html / "executed" / "sae.html").read_text("utf-8")
    for page in html.rglob("*.html"):
        text = page.read_text("utf-8")
        assert '<script src="http' not in text and "unpkg.com" not in text, page
        assert "mybinder" not in text and "/issues/new" not in text, "no repository, no buttons"


def explorer_in(book, **files):
    """Adds a page named explorer, and its data, to the book of two pages."""
    run_dir, toc = book[0], book[1] / "_toc.yml"
    if "explorer" not in toc.read_text():
        toc.write_text(toc.read_text() + "  - file: executed/explorer\n")
    write_page(run_dir, "explorer", [new_markdown_cell("# Explorer")])

    def build(work):
        (work / "data").mkdir()
        for name, text in files.items():
            (work / "data" / f"{name}.js").write_text(text)

    store.make(run_dir / "explorer", build, parameters=files)


def data_files(folder):
    return {path.name: path.read_text() for path in (folder / "_static/explorer/data").glob("*")}


def test_the_explorers_data_go_where_its_scripts_look(book):
    explorer_in(book, meta="m", index="i")
    render_book(*book)
    assert data_files(book[1]) == {"meta.js": "m", "index.js": "i"}


def test_no_data_of_another_run_remain_in_the_book_or_its_last_build(book):
    explorer_in(book, meta="old", surplus="old")
    render_book(*book)
    html = book[1] / "_build" / "html"
    shutil.copytree(book[1] / "_static", html / "_static")
    explorer_in(book, meta="new")
    render_book(*book)
    assert data_files(book[1]) == {"meta.js": "new"}
    assert data_files(html) == {}
    assert [path.name for path in book[1].glob(".*")] == []


def test_a_book_without_an_explorer_keeps_no_data(book):
    explorer_in(book, meta="old")
    render_book(*book)
    toc = book[1] / "_toc.yml"
    toc.write_text(toc.read_text().replace("  - file: executed/explorer\n", ""))
    render_book(*book)
    assert data_files(book[1]) == {}


def test_damaged_data_are_refused_and_the_book_stays_as_it_was(book):
    explorer_in(book, meta="old")
    render_book(*book)
    write_page(book[0], "intro", [new_markdown_cell("changed")])
    before = (book[1] / "executed" / "intro.ipynb").read_bytes()
    (book[0] / "explorer" / "data" / "meta.js").write_text("other")
    with pytest.raises(FeatrackError, match=r"explorer/data/meta.js is damaged"):
        render_book(*book)
    assert data_files(book[1]) == {"meta.js": "old"}
    assert (book[1] / "executed" / "intro.ipynb").read_bytes() == before


def test_a_folder_with_a_persons_own_files_is_not_replaced(book):
    run_dir, book_dir = book
    render_book(run_dir, book_dir)
    (book_dir / "executed" / "notes.txt").write_text("mine")
    with pytest.raises(FeatrackError, match=r"notes\.txt was not made by featrack"):
        render_book(run_dir, book_dir)
    assert (book_dir / "executed" / "notes.txt").read_text() == "mine"


def test_pages_of_other_lineages_and_links_to_them_are_left_out(book):
    run_dir, book_dir = book
    render_book(run_dir, book_dir, ["intro", "status"])
    assert [path.name for path in (book_dir / "executed").iterdir()] == ["intro.ipynb"]
    page = nbformat.read(book_dir / "executed" / "intro.ipynb", as_version=4)
    assert "see dictionaries and" in page.cells[1].outputs[0].data["text/markdown"]
    toc = yaml.safe_load((run_dir / "_toc.yml").read_text())
    assert toc["parts"] == [{"caption": "P", "chapters": [{"file": "bibliography"}]}]

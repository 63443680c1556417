"""From executed notebooks to the pages of the book: no progress bars, machine paths or noise.

And from the book to one archive, with its chapters as notebooks that run in a checkout.
"""

import argparse
import os
import re
import shutil
import sys
from collections.abc import Collection
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import nbformat
import yaml
from nbformat import NotebookNode

from featrack_utils.errors import FeatrackError
from featrack_utils.pipeline import store

PAGES = "executed"
# Pages with data of their own, by the artefact that holds them; a lineage may have none for the
# second. Scripts look for them beside themselves.
_DATA = {"explorer": "explorer", "touch": "live"}
_HTML = Path("_build") / "html"
_WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
_WIDGET_NOTE = (
    '<p class="featrack-widget-note"><em>A control that needs a running kernel stands here in '
    "JupyterLab; the still picture of this section shows the same.</em></p>"
)
_ADDRESS = re.compile(r"\bat 0x[0-9a-fA-F]+\b")  # in the repr of an object
# Both parameter cells stay readable in one click.
_FOLDED = {
    "parameters": "Parameters, with their reasons",
    "injected-parameters": "The values of this run",
}
_CELL_NOISE = ("papermill", "execution", "ExecuteTime", "widgets", "lines_to_next_cell")
_FIRST = """\
# A chapter reads runs/ and writes beside it: in the checkout of featrack that this file lies in.
import os
from pathlib import Path

here = Path.cwd().resolve()
for folder in (here, *here.parents):
    if (folder / "featrack_utils").is_dir():
        os.chdir(folder)
        break
else:
    raise FileNotFoundError("Put this notebook into a checkout of featrack, with a finished run.")
"""


def render_book(run_dir: Path, book_dir: Path, phases: Collection[str] | None = None) -> None:
    """Write book_dir/executed/<page>.ipynb for every notebook page that _toc.yml names.

    Reads run_dir/executed/<page>.ipynb and run_dir/results.json. The folder is replaced whole or
    left as it was, and equal inputs give equal bytes. The explorer's data go the same way from
    run_dir/explorer to book_dir/_static.

    Args:
        phases: those of this run. Pages of others, for which the lineage has no use, are left out,
            and so are links to them; run_dir/_toc.yml is the contents of what is left. None: all.

    Raises:
        FeatrackError: missing pages, pages that stopped at an error, and missing or damaged data.
    """
    run_dir, book_dir = run_dir.resolve(), book_dir.resolve()
    every = notebook_pages(book_dir / "_toc.yml")
    pages = [page for page in every if phases is None or page in phases]
    absent = set(every) - set(pages)
    _write_contents(book_dir / "_toc.yml", run_dir / "_toc.yml", absent)
    _require_own(book_dir / PAGES, "*.ipynb")
    for name in _DATA:
        _require_own(book_dir / "_static" / name / "data", "*.js")
    # Always of the same name, so that the next one takes a killed one's place.
    scratch = book_dir / f".{PAGES}.scratch"
    shutil.rmtree(scratch, ignore_errors=True)
    fresh = scratch / "fresh"
    fresh.mkdir(parents=True)
    try:
        for page in pages:
            notebook = _read(run_dir / PAGES / f"{page}.ipynb", page)
            clean_notebook(notebook, page)
            _unlink(notebook, absent)
            text = _without_paths(nbformat.writes(notebook), run_dir, book_dir)
            (fresh / f"{page}.ipynb").write_text(text + "\n", encoding="utf-8")
        for name, page in _DATA.items():
            if page in pages and (name == "explorer" or (run_dir / name).exists()):
                shutil.copytree(store.opened(run_dir / name) / "data", scratch / name)
        store.replace(fresh, book_dir / PAGES)
        for name in _DATA:
            data = Path("_static") / name / "data"
            # The builder copies static files over what it built before and removes none, so that
            # another run's would remain.
            for earlier in (book_dir / data, book_dir / _HTML / data):
                if earlier.exists():
                    shutil.rmtree(earlier)
            if (scratch / name).exists():
                (book_dir / data).parent.mkdir(parents=True, exist_ok=True)
                (scratch / name).rename(book_dir / data)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _require_own(folder: Path, pattern: str) -> None:
    """Refuses to replace a folder that holds anything but what this module puts there."""
    for path in folder.rglob("*"):
        if path.is_file() and not path.match(pattern):
            raise FeatrackError(
                f"{path} was not made by featrack, and {folder}/ is replaced with every book; "
                "move it elsewhere."
            )


def notebook_pages(toc_file: Path) -> list[str]:
    """Names of the notebook pages in a table of contents, in reading order."""
    toc = yaml.safe_load(toc_file.read_text(encoding="utf-8"))
    chapters = [entry for part in toc["parts"] for entry in part["chapters"]]
    files = [Path(entry.get("file", "")) for entry in ({"file": toc["root"]}, *chapters)]
    return [file.name for file in files if file.parent == Path(PAGES)]


def _write_contents(source: Path, target: Path, absent: Collection[str]) -> None:
    """A table of contents without some pages, and without parts that had no others."""
    toc = yaml.safe_load(source.read_text(encoding="utf-8"))
    left_out = {f"{PAGES}/{page}" for page in absent}
    for part in toc["parts"]:
        part["chapters"] = [one for one in part["chapters"] if one.get("file") not in left_out]
    toc["parts"] = [part for part in toc["parts"] if part["chapters"]]
    target.write_text(yaml.safe_dump(toc, sort_keys=False), encoding="utf-8")


def _unlink(notebook: NotebookNode, absent: Collection[str]) -> None:
    """Turns links to pages that this book doesn't have into plain words."""
    if not absent:
        return
    names = "|".join(map(re.escape, absent))
    link = re.compile(rf"\[([^\]]+)\]\((?:{names})(?:\.ipynb|\.html)?(?:#[\w-]*)?\)")
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = link.sub(r"\1", cell.source)
        for output in cell.get("outputs", []):
            if "text/markdown" in output.get("data", {}):
                output.data["text/markdown"] = link.sub(r"\1", output.data["text/markdown"])


def _read(source: Path, page: str) -> NotebookNode:
    try:
        return nbformat.read(source, as_version=4)
    except Exception as error:  # nbformat raises its own and json's kinds for a broken file
        raise FeatrackError(
            f"The executed notebook of page {page}, {source}, is missing or damaged: run it again."
        ) from error


def _without_paths(text: str, run_dir: Path, book_dir: Path) -> str:
    """Text in which something else stands for each of this machine's folders."""
    shown = {
        str(run_dir): f"{run_dir.parent.name}/{run_dir.name}",
        f"{book_dir.parent}/": "",
        sys.prefix: "<environment>",
        sys.base_prefix: "<python>",
        str(Path.home()): "~",
    }
    for path in sorted(shown, key=len, reverse=True):  # one may begin with another
        text = text.replace(path, shown[path])
    return text


def clean_notebook(notebook: NotebookNode, page: str) -> None:
    """Cleans a notebook in place so that equal content gives equal bytes.

    Raises:
        FeatrackError: a cell of the page stopped with an error.
    """
    kept = notebook.metadata.keys() & {"kernelspec", "language_info"}
    notebook.metadata = NotebookNode({key: notebook.metadata[key] for key in sorted(kept)})
    tagged = {tag: cell for cell in notebook.cells for tag in cell.metadata.get("tags", [])}
    count = 0
    for place, cell in enumerate(notebook.cells):
        # Conversion and execution draw random ids; the place in the page is as unique.
        cell.id = f"cell-{place:03d}"
        for key in _CELL_NOISE:
            cell.metadata.pop(key, None)
        if cell.cell_type == "code":
            count += 1
            cell.execution_count = count
            cell.outputs = _clean_outputs(cell, page)
    for tag, prompt in _FOLDED.items():
        if cell := tagged.get(tag):
            # Where a page removes its parameters, the values of the run go with them.
            hidden = {"hide-input"} | ({"remove-cell"} & {*tagged["parameters"].metadata.tags})
            cell.metadata.tags = sorted({*cell.metadata.tags} | hidden)
            cell.metadata.mystnb = {"code_prompt_show": prompt, "code_prompt_hide": prompt}
            cell.source = cell.source.removeprefix("# Parameters\n")


def _clean_outputs(cell: NotebookNode, page: str) -> list[NotebookNode]:
    """What a page keeps of a cell's outputs.

    A picture and its caption, as `display.text.show` put them out, become a numbered figure.
    """
    kept: list[NotebookNode] = []
    for output in cell.outputs:
        if output.output_type == "error":
            raise FeatrackError(
                f"Page {page} stopped at an error ({output.ename}: {output.evalue}): "
                "mend it and run the page again."
            )
        if output.output_type == "stream":
            if output.name == "stderr":
                continue
            if kept and kept[-1].output_type == "stream":
                # How a run's text falls into pieces depends on timing.
                kept[-1].text += output.text
                continue
        elif "caption_of" in (mark := output.get("metadata", {}).get("featrack", {})):
            continue
        elif data := _clean_data(output.data):
            if "caption" in mark:
                figure = {"caption": mark["caption"], "name": mark["name"]}
                cell.metadata.mystnb = {"figure": figure, "image": {"alt": mark["alt"]}}
            output.data = data
            output.metadata = NotebookNode()
            if output.output_type == "execute_result":
                output.execution_count = cell.execution_count
        else:
            continue
        kept.append(output)
    return kept


def _clean_data(data: NotebookNode) -> NotebookNode | None:
    """What a page shows of an output; None for progress bars."""
    plain = data.get("text/plain", "")
    if _WIDGET_VIEW in data:
        bar = "%" in plain or "it/s" in plain
        shown = data.get("text/html", _WIDGET_NOTE)  # a control may say what a page shows of it
        return None if bar else NotebookNode({"text/html": shown, "text/plain": ""})
    return NotebookNode(data | ({"text/plain": _ADDRESS.sub("", plain)} if plain else {}))


def _runnable(executed: Path) -> str:
    """A page of the book to run again: without outputs, from whichever folder it is opened."""
    notebook = nbformat.read(executed, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    hidden = {"tags": ["hide-input"], "jupyter": {"source_hidden": True}}
    notebook.cells.insert(0, nbformat.v4.new_code_cell(_FIRST, id="checkout", metadata=hidden))
    return nbformat.writes(notebook) + "\n"


def write_archive(book_dir: Path, archive: Path) -> None:
    """Zips the built pages (html/) and the runnable notebooks; equal books give equal bytes.

    What isn't named .zip is a folder, for the notebooks alone.

    Raises:
        FeatrackError: the book isn't made yet.
    """
    html, pages = book_dir / _HTML, sorted((book_dir / PAGES).glob("*.ipynb"))
    if not pages or not html.is_dir():
        raise FeatrackError(f"There is no book in {book_dir}; run `make book` first.")
    chapters = {path.name: _runnable(path) for path in pages}
    if archive.suffix != ".zip":
        archive.mkdir(parents=True, exist_ok=True)
        for name, text in chapters.items():
            (archive / name).write_text(text, encoding="utf-8")
        return
    files: dict[str, str | bytes] = {f"notebooks/{name}": text for name, text in chapters.items()}
    for path in html.rglob("*"):
        if path.is_file():
            files[f"html/{path.relative_to(html)}"] = path.read_bytes()
    work = archive.with_name(f".{archive.name}.tmp")
    with ZipFile(work, "w") as packed:
        for name, content in sorted(files.items()):
            # No times and no owners: what is in it decides, not when it was made.
            entry = ZipInfo(f"featrack/{name}")
            entry.compress_type, entry.external_attr = ZIP_DEFLATED, 0o644 << 16
            packed.writestr(entry, content)
    os.replace(work, archive)


def main(arguments: list[str] | None = None) -> int:
    """Command line: `python -m featrack_utils.pipeline.book book --run runs/quick`."""
    parser = argparse.ArgumentParser(prog="featrack_utils.pipeline.book", description=main.__doc__)
    parser.add_argument("book_dir", type=Path, help="where _toc.yml is and executed/ goes")
    parser.add_argument("--run", type=Path, help="a finished run, whose pages the book shall have")
    parser.add_argument("--phases", nargs="*", help="the phases of this run; left out: all")
    parser.add_argument("--toc", type=Path, help="builds the pages, too, by these contents")
    parser.add_argument("--archive", type=Path, help="packs a built book: a .zip, or a folder")
    options = parser.parse_args(arguments)
    try:
        if options.run:
            render_book(options.run, options.book_dir, options.phases)
        if options.toc:
            from jupyter_book.cli.main import main as jupyter_book  # takes a second to load

            # --all: what a killed build has left, or one of tomorrow, would pass for up to date. It
            # costs nothing, for all pages are new anyway. Warnings are errors.
            # The builder would look for relative contents in the book's folder.
            book, toc = str(options.book_dir), str(options.toc.resolve())
            places = ["--toc", toc, "--config", "_config.yml", "--path-output", book]
            command = ["build", book, *places, "--all", "-W", "-q"]
            jupyter_book(command, standalone_mode=False)
        if options.archive:
            write_archive(options.book_dir, options.archive)
        return 0
    except FeatrackError as error:
        said = str(error)
    except (OSError, RuntimeError) as error:  # the builder's own error has another as its cause
        said = store.sentence_if_full(f"{error} {error.__cause__}", options.book_dir)
        if not said:
            raise
    sys.stderr.write(f"featrack: {said}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())

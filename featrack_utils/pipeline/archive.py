"""The book as one archive, and its chapters as notebooks that run in a checkout."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import nbformat
from nbformat import NotebookNode

from featrack_utils.errors import FeatrackError
from featrack_utils.pipeline.book import PAGES, clean_notebook

_HTML = Path("_build") / "html"
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


def runnable(executed: NotebookNode, page: str) -> NotebookNode:
    """An executed chapter to run again: without outputs, from whichever folder it is opened."""
    clean_notebook(executed, page)
    for cell in executed.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    first = nbformat.v4.new_code_cell(_FIRST, id="checkout")
    first.metadata = NotebookNode(tags=["hide-input"], jupyter={"source_hidden": True})
    executed.cells.insert(0, first)
    return executed


def chapters(book_dir: Path) -> dict[str, str]:
    """The text of each chapter's runnable notebook, by page.

    Raises:
        FeatrackError: the book isn't made yet.
    """
    pages = sorted((book_dir / PAGES).glob("*.ipynb"))
    if not pages or not (book_dir / _HTML).is_dir():
        raise FeatrackError(f"There is no book in {book_dir}; run `make book` first.")
    made = {}
    for path in pages:
        notebook = runnable(nbformat.read(path, as_version=4), path.stem)
        made[path.stem] = nbformat.writes(notebook) + "\n"
    return made


def write_archive(book_dir: Path, archive: Path) -> None:
    """Zips the built pages (html/) and the runnable notebooks; equal books give equal bytes."""
    files: dict[str, str | bytes] = {
        f"notebooks/{page}.ipynb": text for page, text in chapters(book_dir).items()
    }
    html = book_dir / _HTML
    for path in html.rglob("*"):
        if path.is_file():
            files[f"html/{path.relative_to(html)}"] = path.read_bytes()
    _write_zip(files, archive)


def _write_zip(files: Mapping[str, str | bytes], archive: Path) -> None:
    # No times and no owners: what is in it decides, not when it was made.
    work = archive.with_name(f".{archive.name}.tmp")
    with ZipFile(work, "w") as packed:
        for name, content in sorted(files.items()):
            entry = ZipInfo(f"featrack/{name}")
            entry.compress_type, entry.external_attr = ZIP_DEFLATED, 0o644 << 16
            packed.writestr(entry, content)
    os.replace(work, archive)


def main(arguments: list[str] | None = None) -> int:
    """Command line: `python -m featrack_utils.pipeline.archive book book/_build/featrack.zip`."""
    parser = argparse.ArgumentParser(prog="featrack_utils.pipeline.archive", description=__doc__)
    parser.add_argument("book_dir", type=Path, help="a built book, such as book")
    parser.add_argument(
        "output", type=Path, help="the archive, or a folder for the notebooks alone"
    )
    options = parser.parse_args(arguments)
    try:
        if options.output.suffix == ".zip":
            write_archive(options.book_dir, options.output)
        else:
            for page, text in chapters(options.book_dir).items():
                options.output.mkdir(parents=True, exist_ok=True)
                (options.output / f"{page}.ipynb").write_text(text, encoding="utf-8")
    except FeatrackError as error:
        sys.stderr.write(f"featrack: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

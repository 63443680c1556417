"""Runs one notebook with papermill: refuses unknown parameters, leaves nothing half-written."""

# ruff: noqa: E402 (one package is kept out before others are imported)

from __future__ import annotations

import atexit
import contextlib
import json
import os
import re
import shutil
import sys
from functools import cache
from pathlib import Path
from typing import Any

# jsonschema, which the next ones import, asks this package to check international addresses. It
# builds a grammar when it is loaded: most of a second in every phase, and no notebook needs it.
sys.modules.setdefault("rfc3987_syntax", None)

import jupytext
import papermill
from jupyter_client import AsyncKernelManager
from nbclient.exceptions import DeadKernelError
from papermill.exceptions import PapermillExecutionError
from pydantic import TypeAdapter, ValidationError

from featrack_utils.errors import FeatrackError
from featrack_utils.pipeline import disk, forkserver
from featrack_utils.pipeline.profile import Real, Whole, require_known, sentence
from featrack_utils.pipeline.store import PIPELINE_RUN

NOTEBOOKS = Path("notebooks")
_KERNEL = {"name": "python3", "language": "python", "display_name": "Python 3"}  # if none is named
_MARK = "featrack"  # in the metadata of an executed notebook: it may be overwritten


class ForkedKernelManager(AsyncKernelManager):
    """Has kernels forked from the pipeline's server, if there is one.

    They listen on sockets in the file system: two kernels that start at once may be given the same
    port.
    """

    def __init__(self, **options: Any) -> None:
        folder = forkserver.socket_folder()
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        options["connection_file"] = f"{folder}/connection.json"  # elsewhere a kill would leave it
        super().__init__(transport="ipc", ip=f"{folder}/kernel", **options)

    def format_kernel_cmd(self, extra_arguments: list[str] | None = None) -> list[str]:
        command = super().format_kernel_cmd(extra_arguments)
        if forkserver.ADDRESS not in os.environ:
            return command
        return [command[0], "-IS", forkserver.__file__, *command[1:]]


def declared_parameters(notebook: Any) -> dict[str, Any]:
    """The literals of a notebook's parameters cell.

    Raises:
        FeatrackError: the notebook has no parameters cell.
    """
    for cell in notebook.cells:
        if "parameters" in cell.metadata.get("tags", []):
            namespace: dict[str, Any] = {}
            try:
                exec(cell.source, namespace)
            except Exception as error:  # whatever a reader writes there
                raise FeatrackError(
                    f"The cell tagged `parameters` fails with {type(error).__name__}: {error}; "
                    "write names with plain values there."
                ) from error
            return {k: v for k, v in namespace.items() if not k.startswith("__")}
    raise FeatrackError("The notebook has no cell tagged `parameters`; tag one.")


@cache
def declared_in(source: Path) -> dict[str, Any]:
    """The literals of the parameters cell of a chapter's source."""
    return declared_parameters(jupytext.read(source))


def checked(parameters: dict[str, Any], declared: dict[str, Any], notebook: str) -> dict[str, Any]:
    """Parameters as values of the declared literals' types, lists too; a None may be a number.

    Raises:
        FeatrackError: an unknown name (the nearest declared one is named), another type.
    """
    require_known(parameters, declared, f"{notebook}.")
    taken = {}
    for name, value in parameters.items():
        try:
            taken[name] = TypeAdapter(_kind(declared[name])).validate_python(value)
        except ValidationError as error:
            within = "." * bool(error.errors()[0]["loc"])  # a place in a list
            raise FeatrackError(sentence(error, f"{notebook}.{name}{within}")) from None
    return taken


def _kind(declared: Any) -> Any:
    if isinstance(declared, list) and declared:
        return list[_kind(max(declared, key=lambda one: isinstance(one, float)))]
    kinds: dict[type, Any] = {int: Whole, float: Real, type(None): Real | None}
    return kinds.get(type(declared), type(declared))


def find(name: str) -> Path:
    """A chapter's source by its name; the number that orders it may be left out.

    Raises:
        FeatrackError: no such chapter; the known ones are named.
    """
    known = {path.stem: path for path in sorted(NOTEBOOKS.glob("*.py"))}
    for stem, path in known.items():
        if name in (stem, page_of(path)):
            return path
    names = ", ".join(page_of(path) for path in known.values())
    raise FeatrackError(f"There is no chapter {name!r} in {NOTEBOOKS}/; there are: {names}.")


def page_of(source: Path) -> str:
    """A chapter's name without the number that orders it: 11-tracking.py is "tracking"."""
    return re.sub(r"^\d+-", "", source.stem)


def prepare(source: Path, output: Path, parameters: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The notebook and its checked parameters, if it can be run as it was asked to be.

    Raises:
        FeatrackError: an unknown parameter, or an output that would overwrite
            what featrack did not make.
    """
    if output.suffix != ".ipynb":
        raise FeatrackError(
            f"The output {output} isn't named like a notebook; let it end in .ipynb."
        )
    for path in (output, _failed(output)):
        if path.exists() and not _made_here(path):
            raise FeatrackError(
                f"{path} exists and was not made by featrack; choose another name for the output."
            )
    try:
        notebook = jupytext.read(source)
    except UnicodeDecodeError as error:
        raise FeatrackError(f"{source} isn't text in UTF-8; save it as such.") from error
    notebook.metadata.setdefault("kernelspec", _KERNEL)
    return notebook, checked(parameters, declared_parameters(notebook), page_of(source))


def _failed(output: Path) -> Path:
    return output.with_name(f"{output.stem}.failed.ipynb")


def _made_here(path: Path) -> bool:
    try:
        return _MARK in json.loads(path.read_text(encoding="utf-8"))["metadata"]
    except (OSError, ValueError, KeyError, TypeError):
        return False


def run_notebook(source: Path, output: Path, parameters: dict[str, Any]) -> None:
    """Executes a py:percent notebook and writes the executed copy, whole or not at all.

    Args:
        source: e.g. notebooks/merge.py.
        output: the executed .ipynb.
        parameters: values for names that the notebook's parameters cell declares.

    Raises:
        FeatrackError: what `prepare` refuses, or the notebook failed (its sentence is passed on).
    """
    notebook, parameters = prepare(source, output, parameters)
    output.parent.mkdir(parents=True, exist_ok=True)
    prepared = output.with_name(f".{output.stem}.prepared.ipynb")
    executing = output.with_name(f".{output.stem}.executing.ipynb")
    failed = _failed(output)
    notebook.metadata[_MARK] = {"notebook": page_of(source)}
    try:
        jupytext.write(notebook, prepared)
        papermill.execute_notebook(
            str(prepared),
            str(executing),
            parameters=parameters,
            progress_bar=False,
            log_output=False,
            # Nobody reads it before it is whole, and writing it around every cell takes longer than
            # anything else that papermill does.
            request_save_on_cell_execute=False,
            cwd=Path.cwd(),
            # Jupyter interrupts a kernel before it ends it, which the kernel would call an error.
            extra_arguments=["--log-level=CRITICAL"],
            # A kernel that is asked to end may still write to what it has closed, and say so.
            shutdown_kernel="immediate",
            kernel_manager_class=ForkedKernelManager,
        )
        os.replace(executing, output)
        failed.unlink(missing_ok=True)
    except PapermillExecutionError as error:
        os.replace(executing, failed)
        if error.ename == FeatrackError.__name__:
            raise FeatrackError(error.evalue) from error
        _raise_if_full(error.evalue, output, error)
        raise FeatrackError(
            f"{source} failed with {error.ename}: {error.evalue}; "
            f"the whole traceback is in {failed}."
        ) from error
    except DeadKernelError as error:
        _raise_if_full("", output, error)  # what is mapped into memory from a full disk kills it
        raise FeatrackError(
            f"{source}: its kernel died, most likely for want of memory; make the run smaller."
        ) from error
    except OSError as error:
        _raise_if_full(str(error), output, error)
        raise
    finally:
        with contextlib.suppress(OSError):
            prepared.unlink(missing_ok=True)
            executing.unlink(missing_ok=True)


def _raise_if_full(said: str, output: Path, error: Exception) -> None:
    run = Path(os.environ.get(PIPELINE_RUN, output.parent))
    if sentence := disk.sentence_if_full(said, run):
        raise FeatrackError(sentence) from error

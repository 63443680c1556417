"""Command line: `python -m featrack_utils.run merge out.ipynb -p t 0.4`.

Runs one chapter with papermill: refuses unknown parameters, leaves nothing half-written.
"""

# ruff: noqa: E402 (one package is kept out before others are imported)

import argparse
import atexit
import contextlib
import json
import logging
import math
import os
import re
import shutil
import sys
import time
from pathlib import Path
from queue import Empty
from typing import Any

# jsonschema, which the next ones import, asks this package to check international addresses. It
# builds a grammar when it is loaded: most of a second in every phase, and no notebook needs it.
sys.modules.setdefault("rfc3987_syntax", None)

import jupytext
import papermill
import yaml
from jupyter_client import AsyncKernelClient, AsyncKernelManager
from papermill.exceptions import PapermillExecutionError
from pydantic import TypeAdapter, ValidationError

from featrack_utils.errors import FeatrackError
from featrack_utils.pipeline import forkserver
from featrack_utils.pipeline.profile import Real, Whole, require_known, sentence
from featrack_utils.pipeline.store import PIPELINE_PAGE, PIPELINE_RUN, open_run, sentence_if_full

NOTEBOOKS = Path("notebooks")
_KERNEL = {"name": "python3", "language": "python", "display_name": "Python 3"}  # if none is named
_MARK = "featrack"  # in the metadata of an executed notebook: it may be overwritten


class PromptClient(AsyncKernelClient):
    """Takes a kernel for ready as soon as it has answered.

    jupyter_client listens for a fifth of a second more. Whatever a kernel says then answers no
    cell, and nbclient leaves it out.
    """

    async def wait_for_ready(self, timeout: float | None = None) -> None:
        until = time.monotonic() + (timeout or math.inf)
        while await self.is_alive() and time.monotonic() < until:
            self.kernel_info()
            with contextlib.suppress(Empty):
                await self.get_shell_msg(timeout=1)
                await self.get_iopub_msg(timeout=0.2)  # else it might miss what a cell says
                return
        raise RuntimeError("The kernel has ended or never answered.")


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
        self.client_factory = PromptClient

    def format_kernel_cmd(self, extra_arguments: list[str] | None = None) -> list[str]:
        command = super().format_kernel_cmd(extra_arguments)
        if forkserver.ADDRESS not in os.environ:
            return command
        return [*forkserver.PYTHON, *command[1:]]

    async def shutdown_kernel(self, now: bool = False, restart: bool = False) -> None:
        # jupyter_client would kill it and look a tenth of a second later whether it is dead.
        if now and self.has_kernel:
            self.provisioner.process.kill()
            self.provisioner.process.wait()
        await super().shutdown_kernel(now, restart)


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
    known = sorted(NOTEBOOKS.glob("*.py"))
    for path in known:
        if name in (path.stem, page_of(path)):
            return path
    names = ", ".join(map(page_of, known))
    raise FeatrackError(f"There is no chapter {name!r} in {NOTEBOOKS}/; there are: {names}.")


def page_of(source: Path) -> str:
    """A chapter's name without the number that orders it: 11-tracking.py is "tracking"."""
    return re.sub(r"^\d+-", "", source.stem)


def _made_here(path: Path) -> bool:
    try:
        return _MARK in json.loads(path.read_text(encoding="utf-8"))["metadata"]
    except (OSError, ValueError, KeyError, TypeError):
        return False


def run_notebook(source: Path, output: Path, parameters: dict[str, Any]) -> None:
    """Executes a py:percent notebook and writes the executed copy, whole or not at all.

    Outside the pipeline it works on a copy of the run, which is made anew and named.

    Args:
        source: e.g. notebooks/05-merge.py.
        output: the executed .ipynb.
        parameters: values for names that the notebook's parameters cell declares.

    Raises:
        FeatrackError: an unknown parameter, an output that would overwrite what featrack did not
            make, or the notebook failed (its sentence is passed on).
    """
    if output.suffix != ".ipynb":
        raise FeatrackError(
            f"The output {output} isn't named like a notebook; let it end in .ipynb."
        )
    failed = output.with_name(f"{output.stem}.failed.ipynb")
    for path in (output, failed):
        if path.exists() and not _made_here(path):
            raise FeatrackError(
                f"{path} exists and was not made by featrack; choose another name for the output."
            )
    try:
        notebook = jupytext.read(source)
    except UnicodeDecodeError as error:
        raise FeatrackError(f"{source} isn't text in UTF-8; save it as such.") from error
    notebook.metadata.setdefault("kernelspec", _KERNEL)
    notebook.metadata[_MARK] = {"notebook": page_of(source)}
    declared = declared_parameters(notebook)
    parameters = checked(parameters, declared, page_of(source))
    # Everything is checked before the copy is made: what is refused leaves nothing behind.
    output.parent.mkdir(parents=True, exist_ok=True)
    if by_hand := PIPELINE_RUN not in os.environ:
        if "run_dir" in declared:
            copy = open_run(str(parameters.get("run_dir", declared["run_dir"])))
            parameters["run_dir"] = os.environ[PIPELINE_RUN] = str(copy)
    else:
        os.environ[PIPELINE_PAGE] = output.stem
    prepared = output.with_name(f".{output.stem}.prepared.ipynb")
    executing = output.with_name(f".{output.stem}.executing.ipynb")
    try:
        # Not the notebook itself, which papermill would repeat in what it writes about its input.
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
    except RuntimeError as error:  # nbclient's DeadKernelError is one, too
        _raise_if_full("", output, error)  # what is mapped into memory from a full disk kills it
        raise FeatrackError(
            f"{source}: its kernel died or never answered, most likely for want of memory; make "
            "the run smaller."
        ) from error
    except OSError as error:
        _raise_if_full(str(error), output, error)
        raise
    finally:
        with contextlib.suppress(OSError):
            prepared.unlink(missing_ok=True)
            executing.unlink(missing_ok=True)
        if by_hand:
            os.environ.pop(PIPELINE_RUN, None)


def _raise_if_full(said: str, output: Path, error: Exception) -> None:
    run = Path(os.environ.get(PIPELINE_RUN, output.parent))
    if full := sentence_if_full(said, run):
        raise FeatrackError(full) from error


def main(arguments: list[str] | None = None) -> int:
    """Runs one chapter on a copy of the run, which is made anew and named at the end."""
    parser = argparse.ArgumentParser(prog="featrack_utils.run", description=main.__doc__)
    parser.add_argument("notebook", help="a notebook's name, such as merge")
    parser.add_argument("output", type=Path, help="where the executed copy goes (.ipynb)")
    parser.add_argument("--json", default="{}", help="parameters as one JSON object")
    parser.add_argument("-p", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"))
    options = parser.parse_args(arguments)
    # As transformer_lens sets it in every kernel that loads it; one forked from the server has.
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    logging.getLogger("papermill").setLevel(logging.CRITICAL)
    try:
        parameters = json.loads(options.json)
        if not isinstance(parameters, dict):
            raise FeatrackError(f'--json is {options.json}; write one object, as {{"t": 0.4}}.')
        parameters.update({name: yaml.safe_load(value) for name, value in options.p})
        run_notebook(find(options.notebook), options.output, parameters)
    except (json.JSONDecodeError, yaml.YAMLError, RecursionError) as error:
        said = f"A parameter can't be read: {' '.join(str(error).split())}."
    except OSError as error:
        what = f"{options.output} can't be written ({error.strerror or error})"
        said = f"{what}; name a file in a folder of yours."
    except FeatrackError as error:
        said = str(error)
    else:
        return 0
    print(f"featrack: {said}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())

"""Runs one notebook with papermill: refuses unknown parameters, leaves nothing half-written."""

# ruff: noqa: E402 (one package is kept out before others are imported)

from __future__ import annotations

import argparse
import json
import logging
import os
import shutil
import sys
from pathlib import Path
from typing import Any

# jsonschema, which the next ones import, asks this package to check international addresses. It
# builds a grammar when it is loaded: most of a second in every phase, and no notebook needs it.
sys.modules.setdefault("rfc3987_syntax", None)

import jupytext
import papermill
import yaml
from jupyter_client import AsyncKernelManager
from nbclient.exceptions import DeadKernelError
from papermill.exceptions import PapermillExecutionError

from featrack_utils.errors import FeatrackError
from featrack_utils.pipeline import forkclient
from featrack_utils.pipeline.checks import known_names, typed

NOTEBOOKS = Path("notebooks")


class ForkedKernelManager(AsyncKernelManager):
    """Has kernels forked from the pipeline's server, if there is one."""

    def format_kernel_cmd(self, extra_arguments: list[str] | None = None) -> list[str]:
        command = super().format_kernel_cmd(extra_arguments)
        if forkclient.ADDRESS not in os.environ:
            return command
        return [command[0], "-IS", forkclient.__file__, *command[1:]]


def declared_parameters(notebook: Any) -> dict[str, Any]:
    """The literals of a notebook's parameters cell.

    Raises:
        FeatrackError: the notebook has no parameters cell.
    """
    for cell in notebook.cells:
        if "parameters" in cell.metadata.get("tags", []):
            namespace: dict[str, Any] = {}
            exec(cell.source, namespace)
            return {k: v for k, v in namespace.items() if not k.startswith("__")}
    raise FeatrackError("The notebook has no cell tagged `parameters`; tag one.")


def checked(parameters: dict[str, Any], declared: dict[str, Any], notebook: str) -> dict[str, Any]:
    """Parameters as numbers or text of the declared literals' types.

    Raises:
        FeatrackError: an unknown name (the nearest declared one is named), another type.
    """
    known_names(parameters, declared, f"{notebook}.")
    annotations = {name: type(literal).__name__ for name, literal in declared.items()}
    return {
        name: typed(
            value, annotations[name].replace("NoneType", "float | None"), f"{notebook}.{name}"
        )
        for name, value in parameters.items()
    }


def run_notebook(source: Path, output: Path, parameters: dict[str, Any]) -> None:
    """Executes a py:percent notebook and writes the executed copy, whole or not at all.

    Args:
        source: e.g. notebooks/merge.py.
        output: the executed .ipynb.
        parameters: values for names that the notebook's parameters cell declares.

    Raises:
        FeatrackError: an unknown parameter, or the notebook failed (its sentence is passed on).
    """
    _require(source)
    notebook = jupytext.read(source)
    declared = declared_parameters(notebook)
    parameters = checked(parameters, declared, source.stem)
    output.parent.mkdir(parents=True, exist_ok=True)
    prepared = output.with_name(f".{output.stem}.prepared.ipynb")
    executing = output.with_name(f".{output.stem}.executing.ipynb")
    failed = output.with_name(f"{output.stem}.failed.ipynb")
    jupytext.write(notebook, prepared)
    try:
        papermill.execute_notebook(
            str(prepared),
            str(executing),
            parameters=parameters,
            progress_bar=False,
            log_output=False,
            cwd=Path.cwd(),
            extra_arguments=["--log-level=ERROR"],
            kernel_manager_class=ForkedKernelManager,
        )
        os.replace(executing, output)
        failed.unlink(missing_ok=True)
    except PapermillExecutionError as error:
        os.replace(executing, failed)
        if error.ename == FeatrackError.__name__:
            raise FeatrackError(error.evalue) from error
        raise FeatrackError(
            f"{source} failed with {error.ename}: {error.evalue}; "
            f"the whole traceback is in {failed}."
        ) from error
    except DeadKernelError as error:
        raise FeatrackError(
            f"{source}: its kernel died, most likely for want of memory; make the run smaller."
        ) from error
    finally:
        prepared.unlink(missing_ok=True)
        executing.unlink(missing_ok=True)


def trial_run(start: Path, output: Path) -> Path:
    """A copy, by hard links, of the run that a notebook starts from, named after the output.

    What is tried by hand must not change the book's own run. Links are enough, because
    artefacts are replaced, never written to.
    """
    if not start.is_dir():
        raise FeatrackError(f"There is no run in {start}/ to start from; run `make book` first.")
    copy = start.parent / output.stem
    if copy.resolve() == start.resolve():
        raise FeatrackError(f"The output {output} is named like the run {start}; rename it.")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(start, copy, copy_function=os.link, ignore=shutil.ignore_patterns(".*"))
    return copy


def _starting_run(source: Path) -> Path | None:
    _require(source)
    declared = declared_parameters(jupytext.read(source))
    return Path(declared["run_dir"]) if "run_dir" in declared else None


def _require(source: Path) -> None:
    if not source.is_file():
        known = sorted(path.stem for path in source.parent.glob("*.py"))
        raise FeatrackError(f"No notebook {source}; there are: {', '.join(known)}.")


def main(arguments: list[str] | None = None) -> int:
    """Command line: `python -m featrack_utils.pipeline.notebook merge out.ipynb -p t 0.4`.

    Works on a copy of the run (runs/out) unless told of a run_dir.
    """
    parser = argparse.ArgumentParser(
        prog="featrack_utils.pipeline.notebook", description=main.__doc__
    )
    parser.add_argument("notebook", help="a notebook's name, such as merge")
    parser.add_argument("output", type=Path, help="where the executed copy goes (.ipynb)")
    parser.add_argument("--json", default="{}", help="parameters as one JSON object")
    parser.add_argument("-p", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"))
    options = parser.parse_args(arguments)
    # As transformer_lens sets it in every kernel that loads it; one forked from the server has.
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    logging.getLogger("papermill").setLevel(logging.ERROR)
    try:
        parameters = json.loads(options.json)
        parameters.update({name: yaml.safe_load(value) for name, value in options.p})
        source = NOTEBOOKS / f"{options.notebook}.py"
        if "run_dir" not in parameters and (start := _starting_run(source)):
            parameters["run_dir"] = str(trial_run(start, options.output))
        run_notebook(source, options.output, parameters)
    except (json.JSONDecodeError, yaml.YAMLError) as error:
        detail = " ".join(str(error).split())
        print(f"featrack: A parameter can't be read: {detail}.", file=sys.stderr)
        return 1
    except FeatrackError as error:
        print(f"featrack: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Command line: `python -m featrack_utils.run merge out.ipynb -p t 0.4`."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from pathlib import Path

import yaml

from featrack_utils.errors import FeatrackError
from featrack_utils.pipeline import notebook, store


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
    logging.getLogger("papermill").setLevel(logging.ERROR)
    try:
        parameters = json.loads(options.json)
        if not isinstance(parameters, dict):
            raise FeatrackError(f'--json is {options.json}; write one object, as {{"t": 0.4}}.')
        parameters.update({name: yaml.safe_load(value) for name, value in options.p})
        source = notebook.find(options.notebook)
        if store.PIPELINE_RUN in os.environ:
            os.environ[store.PIPELINE_PAGE] = options.output.stem
            notebook.run_notebook(source, options.output, parameters)
        else:
            _run_by_hand(source, options.output, parameters)
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


def _run_by_hand(source: Path, output: Path, parameters: dict[str, object]) -> None:
    # Everything is checked before the copy is made: what is refused leaves nothing behind.
    prepared, _ = notebook.prepare(source, output, parameters)
    declared = notebook.declared_parameters(prepared)
    if "run_dir" in declared:
        start = Path(str(parameters.get("run_dir", declared["run_dir"])))
        copy = store.trial_run(start)
        parameters = {**parameters, "run_dir": str(copy)}
        os.environ[store.PIPELINE_RUN] = str(copy)
        print(f"Working on a copy of {start}/: {copy}/")
    try:
        notebook.run_notebook(source, output, parameters)
    finally:
        os.environ.pop(store.PIPELINE_RUN, None)


if __name__ == "__main__":
    sys.exit(main())

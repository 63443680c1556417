"""Artefacts on disk: whole or absent, verified when opened, rebuilt only when something changed.

And what a disk may do to a run: be full, be read-only, or hold files of tomorrow.
"""

import contextlib
import errno
import hashlib
import importlib.metadata
import itertools
import json
import math
import os
import platform
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

from IPython import get_ipython

from featrack_utils.errors import FeatrackError
from featrack_utils.lineage import Lineage
from featrack_utils.pipeline import sources

_RECORD = "run.json"
_LINEAGE = "lineage.json"
# The pipeline names here the run that its notebooks may write to; see `open_run`.
PIPELINE_RUN = "FEATRACK_RUN"
PIPELINE_PAGE = "FEATRACK_PAGE"  # and here the phase, whose core-seconds are kept
TIMES = "times"
_RECORDED_PACKAGES = ("torch", "transformers", "transformer-lens", "sae-lens", "mergekit", "numpy")
_FULL = [os.strerror(number) for number in (errno.ENOSPC, errno.EDQUOT)]
_READ_ONLY = os.strerror(errno.EROFS)
_SPARE = 2**16  # bytes: with fewer than these, a library that says nothing of it met a full disk
_APART = 0.001  # seconds


def open_run(run_dir: str | Path) -> Path:
    """The folder that a notebook may write to.

    In the pipeline that is the run itself. A notebook that a person runs (in JupyterLab, by
    papermill) gets a new copy of it, runs/trials/quick-1, quick-2, …, and says so: what is tried by
    hand never changes the book's run. Where there is no run to start from the copy is empty.
    """
    start = Path(run_dir)
    if (own := os.environ.get(PIPELINE_RUN)) and Path(own).resolve() == start.resolve():
        if (page := os.environ.get(PIPELINE_PAGE)) and (kernel := get_ipython()):
            times = start.resolve() / TIMES / f"{page}.json"

            def count(_: object) -> None:
                write_json(times, {"core_seconds": round(sum(os.times()[:4]), 1)})  # and children's

            # After each cell, for a kernel is ended without being asked.
            kernel.events.register("post_run_cell", count)
        return start
    for number in itertools.count(1):
        copy = start.parent / "trials" / f"{start.name}-{number}"
        with contextlib.suppress(FileExistsError):
            copy.mkdir(parents=True)
            break
    if start.is_dir():
        # Links are enough, because artefacts are replaced, never written to.
        ignore = shutil.ignore_patterns(".*")
        shutil.copytree(start, copy, copy_function=_link, ignore=ignore, dirs_exist_ok=True)
    print(f"This notebook works on a copy of {start}/, which stays as it is: {copy}/.")
    return copy


def open_lineage(run: Path) -> Lineage:
    """The models of a run and their descent; FeatrackError if it has none yet, or damaged ones."""
    kept = _read_json(run / _LINEAGE)
    return Lineage(**kept) if isinstance(kept.get("site"), str) else Lineage(kept)


def write_lineage(run: Path, lineage: Lineage) -> None:
    """Keeps the models of a run and their descent with it, for `open_lineage`."""
    kept = {name: getattr(lineage, name) for name in ("models", "site", "texts", "given")}
    write_json(run / _LINEAGE, kept)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without hard links
        shutil.copy2(source, target)


def make(
    folder: Path,
    build: Callable[[Path], None],
    *,
    parameters: dict[str, Any],
    inputs: Iterable[Path] = (),
    code: Iterable[ModuleType] = (),
    resumes: bool = False,
) -> Path:
    """Builds an artefact unless the one on disk was built from the very same things.

    Args:
        folder: where the artefact will stand.
        build: fills the folder it is given, which is empty; see `resumes` for the exception.
        parameters: every number the artefact depends on (JSON values).
        inputs: artefact folders it is built from.
        code: modules whose source it depends on, and with them whatever they import from this
            package, besides the source of ``build`` itself.
        resumes: whether ``build`` goes on from checkpoints of its own. After a kill it is then
            called again with the half-filled folder.

    Returns:
        ``folder``.

    Raises:
        FeatrackError: an input is missing or damaged.
    """
    recipe = {
        "parameters": parameters,
        "inputs": {path.name: digest(path) for path in inputs},
        "code": sources.digests(code),
        "build": sources.of_function(build),
    }
    key = _digest(recipe)
    if folder.exists() and read_record(folder)["key"] == key:
        shutil.rmtree(_stepped_aside(folder), ignore_errors=True)  # left by a kill
        return opened(folder)
    work = folder.with_name(f".{folder.name}.partial-{key[:12]}")
    for stale in folder.parent.glob(f".{folder.name}.partial-*"):
        if stale != work:
            shutil.rmtree(stale)
    if (work / _RECORD).is_file():
        _verify(work, read_record(work))  # it was finished and killed just before the rename
    else:
        if work.exists() and not resumes:
            shutil.rmtree(work)
        work.mkdir(parents=True, exist_ok=True)
        started = time.time()
        build(work)
        (work / f".{_RECORD}.tmp").unlink(missing_ok=True)  # left by a kill
        files = sorted(path for path in work.rglob("*") if path.is_file())
        digests = {str(path.relative_to(work)): _file_digest(path) for path in files}
        record = {"name": folder.name, "key": key, **recipe, "files": digests}
        write_json(work / _RECORD, record | _surroundings(started))
    replace(work, folder)
    return folder


def replace(work: Path, folder: Path) -> None:
    """Puts one folder in another's place, on one file system, or leaves that as it was."""
    # The old one steps aside by a rename: one that is deleted file by file and killed halfway
    # would look damaged.
    old = _stepped_aside(folder)
    if folder.exists():
        if old.exists():  # left by a kill
            shutil.rmtree(old)
        os.replace(folder, old)
    try:
        os.replace(work, folder)
    except OSError:
        if old.exists():
            os.replace(old, folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _stepped_aside(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.partial-old")


def opened(folder: Path) -> Path:
    """Verifies an artefact and returns its folder.

    Raises:
        FeatrackError: the folder is missing, foreign (no run.json), another artefact's under this
            one's name, or damaged (a file differs).
    """
    record = read_record(folder)
    if (name := record.get("name", folder.name)) != folder.name:
        raise FeatrackError(
            f"{folder}/ holds what was made as {name}; delete it and run `make book` again."
        )
    _verify(folder, record)
    return folder


def _verify(folder: Path, record: dict[str, Any]) -> None:
    for name, expected in record["files"].items():
        path = folder / name
        if not path.is_file() or _file_digest(path) != expected:
            raise FeatrackError(
                f"{path} is damaged or missing; delete {folder}/ and run `make book` again."
            )


def digest(folder: Path) -> str:
    """A hash of an artefact's content (not of when or where it was made)."""
    return _digest(read_record(opened(folder))["files"])


def write_results(run_dir: Path, phase: str, results: dict[str, float | None]) -> None:
    """Writes one phase's figures, sorted by name; None (not defined) is left out.

    Raises:
        FeatrackError: a figure is not finite.
    """
    numbers = {}
    for name, value in results.items():
        if value is None:
            continue
        if not math.isfinite(value):
            raise FeatrackError(f"{name} came out as {value} in phase {phase}; report it as a bug.")
        numbers[name] = int(value) if float(value).is_integer() else float(value)
    write_json(run_dir / "results" / f"{phase}.json", dict(sorted(numbers.items())))


def read_results(run_dir: Path, *phases: str) -> dict[str, float]:
    """The figures of some finished phases, or of the whole finished run."""
    if not phases:
        return _read_json(run_dir / "results.json")
    parts = [_read_json(run_dir / "results" / f"{phase}.json") for phase in phases]
    return {name: value for part in parts for name, value in part.items()}


def read_record(folder: Path) -> dict[str, Any]:
    """The run.json of an artefact: parameters, inputs, versions, time, machine.

    Raises:
        FeatrackError: it is missing or damaged.
    """
    path = folder / _RECORD
    if not path.is_file():
        raise FeatrackError(
            f"{folder}/ is missing or foreign (no {_RECORD}); delete it if it exists, "
            "then run `make book`."
        )
    record = None
    with contextlib.suppress(ValueError):  # neither JSON nor UTF-8
        record = json.loads(path.read_text())
    whole = isinstance(record, dict) and {"key", "files"} <= set(record)
    if not whole or not isinstance(record["files"], dict):
        raise FeatrackError(
            f"{path} is damaged or foreign; delete {folder}/ and run `make book` again."
        )
    return record


def _surroundings(started: float) -> dict[str, Any]:
    torch = sys.modules.get("torch")
    card = f", {torch.cuda.get_device_name()}" if torch and torch.cuda.is_initialized() else ""
    return {
        "seconds": round(time.time() - started, 1),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "python": sys.version.split()[0],
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}{card}",
        "versions": {name: importlib.metadata.version(name) for name in _RECORDED_PACKAGES},
    }


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise FeatrackError(f"{path} is missing; run `make book` first.") from None
    except ValueError:  # neither JSON nor UTF-8
        raise FeatrackError(f"{path} is damaged; delete it and run `make book` again.") from None


def write_json(path: Path, value: Any) -> None:
    """Writes a file of JSON whole or not at all; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(json.dumps(value, indent=1, allow_nan=False) + "\n")
    os.replace(temporary, path)


def require_writable(*folders: Path) -> None:
    """Refuses folders that can't be written to, or that can't be made.

    Raises:
        FeatrackError: it names the folder.
    """
    for folder in folders:
        there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        if not os.access(there, os.W_OK):
            raise FeatrackError(
                f"{there.absolute()}/ can't be written to; make it writable, or work in a copy of "
                "this checkout that is."
            )


def sentence_if_full(said: str, run: Path) -> str | None:
    """What to tell a reader if a failure means that a disk takes no more; None if it doesn't.

    Args:
        said: what a library said, each in its own words.
        run: where the failed phase writes, besides the folder of temporary files.
    """
    if _READ_ONLY in said:
        named = re.search(r"'([^']+)'", said)
        what = named[1] if named else f"{run}/"
        return f"{what} is on a read-only disk; make it writable and run `make book` again."
    free = {}
    for folder in (run, Path(tempfile.gettempdir())):
        there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        free[folder] = shutil.disk_usage(there).free
    fullest = min(free, key=free.get)
    reason = next((reason for reason in _FULL if reason in said), None)
    if reason or free[fullest] < _SPARE:
        reason = reason or _FULL[0]
        return f"{fullest}/ takes no more ({reason}); make room there and run `make book` again."
    return None


def date_back(files: Iterable[Path]) -> list[Path]:
    """Dates files of the future as of now, in the order that they had; returns them.

    Which phase has to run is told by dates. What is made now would be older than what it was made
    from, as long as that is of tomorrow: Snakemake refuses it, and would make it anew every time.
    """
    now, ahead = time.time(), {}
    for file in {*files}:
        with contextlib.suppress(FileNotFoundError):
            if (dated := file.stat().st_mtime) > now:
                ahead[file] = dated
    dates = sorted({*ahead.values()})
    moments = {date: now - (len(dates) - place) * _APART for place, date in enumerate(dates)}
    for file, date in ahead.items():
        with contextlib.suppress(OSError):  # what can't be written to
            os.utime(file, (moments[date], moments[date]))
    return sorted(ahead)

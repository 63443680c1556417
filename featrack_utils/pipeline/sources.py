"""The source code that an artefact depends on, followed through the package's own imports."""

from __future__ import annotations

import ast
import hashlib
import inspect
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from types import ModuleType

_PIPELINE = Path(__file__).parent
_PACKAGE = _PIPELINE.parent


def digests(modules: Iterable[ModuleType]) -> dict[str, str]:
    """A hash of each module's file and of all that they import from this package, by path.

    Without the pipeline's own: it stores what others compute.
    """
    files = _closure(Path(module.__file__) for module in modules)
    computing = (path for path in files if path.parent != _PIPELINE)
    return {_name(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(computing)}


def imported_files(source: Path) -> list[str]:
    """The files of this package that a script imports, whatever they import included."""
    return sorted(str(p.relative_to(_PACKAGE.parent)) for p in _closure(_imported_files(source)))


def _name(path: Path) -> str:
    inside = path.is_relative_to(_PACKAGE)
    return path.relative_to(_PACKAGE).as_posix() if inside else path.name


def _closure(files: Iterable[Path]) -> set[Path]:
    """Some files and all that they import from this package."""
    found: set[Path] = set()
    waiting = list(files)
    while waiting:
        path = waiting.pop()
        if path not in found and path.is_file():
            found.add(path)
            waiting += _imported_files(path)
    return found


def _imported_files(path: Path) -> Iterator[Path]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] == _PACKAGE.name:
            place = _PACKAGE.joinpath(*node.module.split(".")[1:])
            for stem in (place, *(place / alias.name for alias in node.names)):
                yield from (stem.with_suffix(".py"), stem / "__init__.py")


def of_function(build: Callable[..., object]) -> str:
    """A hash of a function's source (of its class, for an object that can be called)."""
    build = build.func if isinstance(build, partial) else build
    source = inspect.getsource(build if inspect.isfunction(build) else type(build))
    return hashlib.sha256(source.strip().encode()).hexdigest()

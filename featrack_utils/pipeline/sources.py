"""The source code that an artefact depends on, followed through the package's own imports."""

import ast
import hashlib
import inspect
import os
from collections.abc import Callable, Iterable
from functools import cache, partial
from pathlib import Path
from types import ModuleType

_PIPELINE = Path(__file__).parent
_PACKAGE = _PIPELINE.parent


def digests(modules: Iterable[ModuleType]) -> dict[str, str]:
    """A hash of each module's file and of all that they import from this package, by path.

    Without the pipeline's own: it stores what others compute.
    """
    files = _closure(Path(module.__file__) for module in modules)
    computing = sorted(path for path in files if path.parent != _PIPELINE)
    return {
        os.path.relpath(path, _PACKAGE): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in computing
    }


def imported_files(source: Path) -> list[str]:
    """The files of this package that a script imports, whatever they import included."""
    files = _closure(_imported(source.read_text()))
    return sorted(str(path.relative_to(_PACKAGE.parent)) for path in files)


def _closure(files: Iterable[Path]) -> set[Path]:
    """Some files and all that they import from this package."""
    found: set[Path] = set()
    waiting = list(files)
    while waiting:
        path = waiting.pop()
        if path not in found and path.is_file():
            found.add(path)
            waiting += _imported(path.read_text())
    return found


@cache  # each chapter imports much of what the others do
def _imported(code: str) -> tuple[Path, ...]:
    """What may be files of this package in the imports of some code."""
    found = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] == _PACKAGE.name:
            module = _PACKAGE.joinpath(*node.module.split(".")[1:])
            for place in (module, *(module / alias.name for alias in node.names)):
                found += [place.with_suffix(".py"), place / "__init__.py"]
    return tuple(found)


def of_function(build: Callable[..., object]) -> str:
    """A hash of the source of a function, or of a callable object's class.

    What it calls that is written beside it, in the same module or notebook, belongs to it.
    """
    build = build.func if isinstance(build, partial) else build
    found: dict[object, str] = {}
    waiting = [build if inspect.isfunction(build) else type(build)]
    while waiting:
        one = waiting.pop()
        if one in found:
            continue
        found[one] = inspect.getsource(one).strip()
        codes = [one.__code__] if inspect.isfunction(one) else []
        for code in codes:  # and what is written inside it: comprehensions, lambdas
            codes += [each for each in code.co_consts if inspect.iscode(each)]
            called = filter(inspect.isfunction, map(one.__globals__.get, code.co_names))
            waiting += [each for each in called if each.__module__ == one.__module__]
    return hashlib.sha256("\n".join(sorted(found.values())).encode()).hexdigest()

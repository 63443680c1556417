"""The source code that an artefact depends on, followed through the package's own imports."""

import ast
import contextlib
import hashlib
import inspect
import json
import os
from collections.abc import Callable, Iterable, Mapping
from functools import cache, partial
from pathlib import Path
from types import ModuleType
from typing import Any

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

    What it uses that is written beside it, in the same module or notebook, belongs to it:
    functions, classes, and constants, which are plain values named in capitals.
    """
    build = build.func if isinstance(build, partial) else build
    found: dict[object, str] = {}
    waiting = [build if inspect.isfunction(build) else type(build)]
    while waiting:
        one = waiting.pop()
        if one in found:
            continue
        if inspect.isclass(one):
            # A class of a notebook has no source that Python finds, but its methods have.
            members = {k: v for k, v in vars(one).items() if not k.startswith("__")}
            found[one] = f"{one.__name__} {one.__annotations__} {_plain(members)}"
            methods = (getattr(each, "fget", each) for each in vars(one).values())
            waiting += _beside(one, (getattr(each, "__func__", each) for each in methods))
            continue
        found[one] = inspect.getsource(one).strip()
        codes = [one.__code__]
        for code in codes:  # and what is written inside it: comprehensions, lambdas
            codes += [each for each in code.co_consts if inspect.iscode(each)]
            known = {name: one.__globals__.get(name) for name in code.co_names}
            waiting += _beside(one, known.values())
            found[code] = f"{_plain({k: v for k, v in known.items() if k.isupper()})}"
    return hashlib.sha256("\n".join(sorted(found.values())).encode()).hexdigest()


def _beside(one: Any, used: Iterable[Any]) -> list[Any]:
    """Those that are classes or functions of the same module, and written there."""
    same = [each for each in used if getattr(each, "__module__", None) == one.__module__]
    functions = [inspect.unwrap(each) for each in same if inspect.isfunction(each)]
    # What a dataclass adds has no source.
    written = [each for each in functions if each.__code__.co_filename != "<string>"]
    return [*written, *filter(inspect.isclass, same)]


def _plain(values: Mapping[str, object]) -> dict[str, str]:
    """Those that are plain values, in one spelling."""
    found = {}
    for name, value in values.items():
        with contextlib.suppress(TypeError, ValueError):
            found[name] = json.dumps(value, sort_keys=True)
    return found

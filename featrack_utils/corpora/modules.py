"""Finds Python source files: the standard library's and those of installed distributions.

Nothing is imported: paths come from the interpreter's configuration and from the list of
files that each distribution's installer left behind.
"""

from __future__ import annotations

import hashlib
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

# Tests repeat themselves and the code they test; the others hold tables or other people's code.
SKIPPED_FOLDERS = frozenset(
    {"site-packages", "dist-packages", "test", "tests", "testing", "idle_test", "__pycache__"}
    | {"encodings", "pydoc_data", "__phello__", "_vendor", "_vendored", "vendor", "externals"}
)
SKIPPED_FILES = frozenset({"entities.py", "this.py", "antigravity.py", "_markupbase.py"})


@dataclass(frozen=True)
class Module:
    """One Python source file.

    Attributes:
        name: "python/<path in the standard library>" or "<package>/<path in the package>";
            the group of every text that is made from this file, in whichever domain.
        path: where it lies on this machine.
        distribution: the installed distribution it belongs to, "python" for the
            standard library.
    """

    name: str
    path: Path
    distribution: str

    def source(self) -> str | None:
        """The text of the file, or None where it is not UTF-8 text."""
        try:
            text = self.path.read_text(encoding="utf-8")
        except (UnicodeDecodeError, OSError):
            return None
        return None if "\0" in text else text


def stdlib_modules() -> list[Module]:
    """Every module of the running interpreter's standard library worth reading, by name.

    Left out: tests, tables of codecs and of HTML entities, and the build configuration, which
    names the folders of the machine that Python was built on.
    """
    root = Path(sysconfig.get_path("stdlib"))
    modules = []
    for path in root.rglob("*.py"):
        inside = path.relative_to(root)
        if _is_wanted(inside) and not path.name.startswith("_sysconfigdata"):
            # Extension stubs (lib-dynload) and config-3.11-… folders hold no library code.
            if inside.parts[0].startswith(("config-", "lib-dynload")):
                continue
            modules.append(Module(f"python/{inside.as_posix()}", path, "python"))
    return sorted(modules, key=lambda module: module.name)


def distribution_modules(distribution: str) -> list[Module]:
    """Every module of an installed distribution, by name, without its tests.

    Raises:
        importlib.metadata.PackageNotFoundError: it is not installed.
    """
    installed = metadata.distribution(distribution)
    modules = []
    for file in installed.files or ():
        if file.suffix == ".py" and ".." not in file.parts and _is_wanted(file):
            path = Path(str(file.locate()))
            modules.append(Module(file.as_posix(), path, distribution))
    return sorted(modules, key=lambda module: module.name)


def mixed(modules: list[Module]) -> Iterator[Module]:
    """The modules in an order that depends on their names alone and mixes packages well.

    Stopping early therefore still leaves a bit of everything.
    """
    yield from sorted(modules, key=lambda module: hashlib.blake2b(module.name.encode()).digest())


def _is_wanted(path: Path) -> bool:
    folders = path.parts[:-1]
    return not SKIPPED_FOLDERS.intersection(folders) and path.name not in SKIPPED_FILES

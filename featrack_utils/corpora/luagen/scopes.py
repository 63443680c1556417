"""Where the local variables of a Python function are declared in Lua.

A Python variable lives in its function, a Lua one in its block. Each variable is declared in the
innermost block that holds all its occurrences: by its first assignment if that stands directly
in the block, else by a bare `local x` before the first statement that mentions it.
"""

from __future__ import annotations

import ast
from typing import NamedTuple

from featrack_utils.corpora.luagen.bindings import occurrences, parameters, target_names
from featrack_utils.corpora.luagen.frame import MAX_LOCALS, Plan, UntranslatableError


class _Place(NamedTuple):
    """A statement's position in a block."""

    block: int
    index: int
    node: ast.stmt
    repeats: bool


class _Occurrence(NamedTuple):
    path: tuple[_Place, ...]
    store: bool
    bound: bool


class _Survey:
    """Collects where in a function each variable occurs."""

    def __init__(self) -> None:
        self.found: dict[str, list[_Occurrence]] = {}
        self.stored: set[str] = set()
        self.shared: set[str] = set()

    def block(
        self,
        statements: list[ast.stmt],
        path: tuple[_Place, ...],
        bound: frozenset[str],
        repeats: bool = False,
    ) -> None:
        for index, node in enumerate(statements):
            here = (*path, _Place(id(statements), index, node, repeats))
            self.statement(node, here, bound)

    def statement(self, node: ast.stmt, path: tuple[_Place, ...], bound: frozenset[str]) -> None:
        match node:
            case ast.If():
                self.note(node.test, path, bound)
                self.block(node.body, path, bound)
                self.block(node.orelse, path, bound)
            case ast.While():
                self.note(node.test, path, bound)
                self.block(node.body, path, bound, repeats=True)
                self.block(node.orelse, path, bound)
            case ast.For():
                self.note(node.iter, path, bound)
                inner = bound | set(target_names(node.target))
                self.stored.update(inner)
                self.block(node.body, path, inner, repeats=True)
                self.block(node.orelse, path, bound)
            case ast.Try():
                self.block(node.body, path, bound)
                for handler in node.handlers:
                    inner = bound | ({handler.name} if handler.name else set())
                    self.stored.update(inner)
                    self.block(handler.body, path, inner)
                self.block(node.orelse, path, bound)
                self.block(node.finalbody, path, bound)
            case ast.With():
                inner = set(bound)
                for item in node.items:
                    self.note(item.context_expr, path, bound)
                    if item.optional_vars:
                        inner.update(target_names(item.optional_vars))
                self.stored.update(inner)
                self.block(node.body, path, frozenset(inner))
            case ast.Import() | ast.ImportFrom():
                for alias in node.names:
                    self.add((alias.asname or alias.name).split(".")[0], True, path, bound)
            case ast.Nonlocal():
                self.shared.update(node.names)
            case ast.Global() | ast.ClassDef() | ast.AsyncFunctionDef():
                raise UntranslatableError(type(node).__name__)
            case _:
                self.note(node, path, bound)

    def note(self, node: ast.AST, path: tuple[_Place, ...], bound: frozenset[str]) -> None:
        for name, store in occurrences(node):
            self.add(name, store, path, bound)

    def add(self, name: str, store: bool, path: tuple[_Place, ...], bound: frozenset[str]) -> None:
        if store:
            self.stored.add(name)
        self.found.setdefault(name, []).append(_Occurrence(path, store, name in bound))


def plan(function: ast.FunctionDef) -> Plan:
    """Decides where each local variable of a function is declared.

    Raises:
        UntranslatableError: if a loop's variable is read after its loop, or there are more
            locals than a Lua function may hold with certainty.
    """
    survey = _Survey()
    survey.block(function.body, (), frozenset())
    result = Plan({}, set(), survey.stored - survey.shared)
    if len(result.names) > MAX_LOCALS:
        raise UntranslatableError("too many local variables")
    given = set(parameters(function.args))
    for name in sorted(result.names):
        if name in given:
            continue
        every = survey.found.get(name, [])
        free = [occurrence for occurrence in every if not occurrence.bound]
        if not free:
            continue
        if len(free) < len(every) or not any(occurrence.store for occurrence in free):
            raise UntranslatableError(f"{name} is used inside and outside its loop")
        _place(name, free, result)
    return result


def _place(name: str, found: list[_Occurrence], result: Plan) -> None:
    """Finds the declaring statement of one variable."""
    depth = 0
    paths = [occurrence.path for occurrence in found]
    while True:
        first = min(paths, key=lambda path: path[depth].index)[depth]
        alone = all(path[depth].index == first.index for path in paths)
        if not alone or any(len(path) == depth + 1 for path in paths):
            break
        if len({path[depth + 1].block for path in paths}) > 1:
            break
        depth += 1
    if _declares(first.node, name):
        result.inline.add((id(first.node), name))
        return
    while first.repeats and not _assigns(first.node, name):
        depth -= 1
        first = paths[0][depth]
    result.hoisted.setdefault(id(first.node), []).append(name)


def _declares(node: ast.stmt, name: str) -> bool:
    """Says whether a statement can be written `local name = …`."""
    match node:
        case ast.FunctionDef(name=defined):
            return defined == name
        case ast.Import() | ast.ImportFrom():
            return True
        case (
            ast.Assign(targets=[ast.Name(id=target)])
            | ast.AnnAssign(target=ast.Name(id=target), value=ast.expr())
        ):
            return target == name and all(found != name for found, _ in occurrences(node.value))
        case ast.Assign(targets=[ast.Tuple(elts=elements)]):
            names = [element.id for element in elements if isinstance(element, ast.Name)]
            fresh = all(found not in names for found, _ in occurrences(node.value))
            return len(names) == len(elements) and names.count(name) == 1 and fresh
    return False


def _assigns(node: ast.stmt, name: str) -> bool:
    """Says whether a statement surely assigns a variable before anything reads it."""
    match node:
        case ast.If():
            if any(found == name for found, _ in occurrences(node.test)) or not node.orelse:
                return False
            return all(_first_assigns(block, name) for block in (node.body, node.orelse))
        case ast.With():
            return _first_assigns(node.body, name)
        case ast.Assign(targets=targets):
            bound = {found for target in targets for found in target_names(target)}
            return name in bound and all(found != name for found, _ in occurrences(node.value))
    return False


def _first_assigns(block: list[ast.stmt], name: str) -> bool:
    for node in block:
        if _assigns(node, name):
            return True
        if any(found == name for found, _ in occurrences(node)):
            return False
    return isinstance(block[-1], ast.Return | ast.Continue | ast.Raise)

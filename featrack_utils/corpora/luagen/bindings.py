"""Which variables a piece of Python binds and mentions."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from featrack_utils.corpora.luagen.nodes import children, walk

_SCOPES = (
    ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.Lambda, ast.FunctionDef,
)  # fmt: skip


def parameters(arguments: ast.arguments) -> list[str]:
    """Returns every parameter's name."""
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    stars = [arguments.vararg, arguments.kwarg]
    return [argument.arg for argument in [*every, *(star for star in stars if star)]]


def target_names(target: ast.expr) -> Iterator[str]:
    """Yields the variables a target binds (attributes and items bind none)."""
    if isinstance(target, ast.Name):
        yield target.id
    elif isinstance(target, ast.Tuple | ast.List):
        for element in target.elts:
            yield from target_names(element)


def occurrences(node: ast.AST) -> list[tuple[str, bool]]:
    """Returns (name, is a store) for the variables a node takes from or gives to its function.

    What a comprehension, lambda or nested function binds for itself is not among them.
    """
    found: list[tuple[str, bool]] = []
    _collect(node, found)
    return found


def _collect(node: ast.AST, found: list[tuple[str, bool]]) -> None:
    """Adds a node's occurrences to a list."""
    if isinstance(node, ast.Name):
        found.append((node.id, not isinstance(node.ctx, ast.Load)))
        return
    if not isinstance(node, _SCOPES):
        for child in children(node):
            # Names and constants are most of a tree, and a call costs more than they do.
            kind = child.__class__
            if kind is ast.Name:
                found.append((child.id, child.ctx.__class__ is not ast.Load))
            elif kind is not ast.Constant:
                _collect(child, found)
        return
    own: set[str] = set()
    inner: list[tuple[str, bool]] = []
    if isinstance(node, ast.Lambda | ast.FunctionDef):
        own.update(parameters(node.args))
        if isinstance(node, ast.FunctionDef):
            found.append((node.name, True))
            own.update(stored_names(node))
    else:
        _collect(node.generators[0].iter, found)  # evaluated outside the comprehension
        for generator in node.generators:
            own.update(target_names(generator.target))
    for child in children(node):
        _collect(child, inner)
    found += [each for each in inner if each[0] not in own]


def stored_names(function: ast.FunctionDef) -> set[str]:
    """Returns the variables a nested function makes for itself."""
    shared: set[str] = set()
    found: set[str] = set()
    for statement in function.body:
        for node in walk(statement):
            if isinstance(node, ast.Nonlocal):
                shared.update(node.names)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                found.add(node.id)
            elif isinstance(node, ast.FunctionDef):
                found.add(node.name)
    return found - shared

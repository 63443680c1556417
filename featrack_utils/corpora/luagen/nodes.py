"""Walks over Python's syntax trees, several times faster than `ast.walk`."""

from __future__ import annotations

import ast
from functools import lru_cache

_WITHOUT_NODES = frozenset(
    {
        "arg", "attr", "conversion", "ctx", "id", "is_async", "kind", "level", "module", "n", "name",
        "op", "ops", "rest", "s", "simple", "tag", "type_comment",
    }
)  # fmt: skip
_FIELDS: dict[type[ast.AST], tuple[str, ...]] = {}
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_REMEMBERED = 512


def children(node: ast.AST) -> list[ast.AST]:
    """Returns the nodes directly below one, without contexts and operators."""
    kind = type(node)
    fields = _FIELDS.get(kind)
    if fields is None:
        fields = _FIELDS[kind] = tuple(f for f in kind._fields if f not in _WITHOUT_NODES)
    found: list[ast.AST] = []
    for field in fields:
        value = getattr(node, field, None)
        if value.__class__ is list:
            found += [each for each in value if isinstance(each, ast.AST)]
        elif isinstance(value, ast.AST):
            found.append(value)
    return found


def walk(node: ast.AST) -> list[ast.AST]:
    """Returns a node and everything below it."""
    found = [node]
    for each in found:  # grows while it is read
        found += children(each)
    return found


@lru_cache(maxsize=_REMEMBERED)
def own_nodes(function: ast.AST) -> tuple[ast.AST, ...]:
    """Returns the nodes of a function without those of functions nested in it."""
    found = children(function)
    for each in found:
        if not isinstance(each, _SCOPES):
            found += children(each)
    return tuple(found)

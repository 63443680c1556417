"""The headers of loops: ranges, enumerations, pairs, characters, generators."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from featrack_utils.corpora.luagen.bindings import target_names
from featrack_utils.corpora.luagen.expressions import gives_several, is_self
from featrack_utils.corpora.luagen.frame import ATOM, Frame, UntranslatableError
from featrack_utils.corpora.luagen.iterables import (
    BY_BUILTIN,
    by_method,
    element_names,
    single_name,
)
from featrack_utils.corpora.luagen.names import lua_name


@contextmanager
def loop(
    frame: Frame, target: ast.expr, iterable: ast.expr, body: Sequence[ast.AST]
) -> Iterator[None]:
    """Opens a Lua loop over a Python iterable; what is written inside is its body.

    Args:
        frame: the function being written.
        target: what the Python loop binds.
        iterable: what it runs over.
        body: everything evaluated once per turn, to see how the variables are used.

    Raises:
        UntranslatableError: if the iterable's kind does not allow it.
    """
    before, shifted = set(frame.locals), set(frame.one_based)
    header, unpacked = _header(frame, target, iterable, body)
    frame.emit(f"for {header} do")
    names = set(target_names(target))
    frame.locals |= names
    frame.taken |= names
    if not frame.fresh_shift:
        frame.one_based -= names
    else:
        frame.one_based = (frame.one_based - names) | frame.fresh_shift
        frame.fresh_shift = set()
    frame.indent += 1
    for line in unpacked:
        frame.emit(line)
    yield
    frame.indent -= 1
    frame.emit("end")
    frame.locals, frame.one_based = before, shifted


def _header(
    frame: Frame, target: ast.expr, iterable: ast.expr, body: Sequence[ast.AST]
) -> tuple[str, list[str]]:
    """Returns what stands between `for` and `do`, and the lines that unpack the item."""
    if isinstance(iterable, ast.Call):
        arguments, function = iterable.args, iterable.func
        if any(isinstance(argument, ast.Starred) for argument in arguments):
            raise UntranslatableError("unpacking into an iteration")
        if isinstance(function, ast.Name) and function.id in BY_BUILTIN:
            if iterable.keywords:
                raise UntranslatableError("an iteration with options")
            return BY_BUILTIN[function.id](frame, target, arguments, body)
        if isinstance(function, ast.Attribute) and not iterable.keywords:
            found = by_method(frame, target, function, arguments, body)
            if found:
                return found
        if (generator := _generator(frame, target, iterable)) is not None:
            return generator
    return _items(frame, target, iterable, body)


def _items(
    frame: Frame, target: ast.expr, iterable: ast.expr, body: Sequence[ast.AST]
) -> tuple[str, list[str]]:
    """Runs over a list, the keys of a dictionary, a set or the characters of a string."""
    kind = (frame.kind(iterable) or "").rstrip("?")
    if isinstance(iterable, ast.GeneratorExp) or kind in ("num", "bool", "none"):
        raise UntranslatableError("an iteration over a generator")
    if gives_several(frame, iterable):
        raise UntranslatableError("an iteration over several values")
    if kind in ("dict", "set"):
        return f"{single_name(target, body)} in pairs({frame.text(iterable)})", []
    if kind == "file":
        return f'{single_name(target, body)} in {frame.text(iterable, ATOM)}:lines("L")', []
    if kind == "str":
        return f'{single_name(target, body)} in {frame.text(iterable, ATOM)}:gmatch(".")', []
    item, unpacked = element_names(target)
    return f"_, {item} in ipairs({frame.text(iterable)})", unpacked


def _generator(frame: Frame, target: ast.expr, node: ast.Call) -> tuple[str, list[str]] | None:
    """Runs over a generator of this module, which in Lua is an iterator."""
    found = None
    if isinstance(node.func, ast.Name):
        found = frame.module.functions.get(node.func.id)
    elif isinstance(node.func, ast.Attribute) and is_self(frame, node.func.value):
        found = frame.module.inherited(frame.owner, node.func.attr)
    if found is None or not found.generates:
        return None
    if found.several != isinstance(target, ast.Tuple):
        raise UntranslatableError("a generator of tuples")
    names = ", ".join(lua_name(name) for name in target_names(target))
    return f"{names} in {frame.text(node)}", []

"""Parameters: their types, their order and their defaults."""

from __future__ import annotations

import ast

from featrack_utils.corpora.luagen.annotations import annotated_kind, documented_kinds
from featrack_utils.corpora.luagen.evidence import kind_of
from featrack_utils.corpora.luagen.expressions import refuse_nil
from featrack_utils.corpora.luagen.frame import (
    Frame,
    UntranslatableError,
)
from featrack_utils.corpora.luagen.names import lua_name
from featrack_utils.corpora.luagen.nodes import own_nodes, walk

_MOST_PARAMETERS = 30


def parameter_kinds(node: ast.FunctionDef) -> dict[str, str]:
    """Returns the kinds of parameters from annotations, docstring and defaults."""
    kinds: dict[str, str] = documented_kinds(ast.get_docstring(node, False) or "")
    arguments = node.args
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults = dict(
        zip([a.arg for a in reversed(positional)], reversed(arguments.defaults), strict=False)
    )
    defaults.update(
        (argument.arg, default)
        for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
        if default is not None
    )
    every = [*positional, *arguments.kwonlyargs]
    names = {argument.arg for argument in every}
    kinds = {name: kind for name, kind in kinds.items() if name in names}
    for argument in every:
        default = kind_of(defaults[argument.arg], {}, {}) if argument.arg in defaults else None
        kind = annotated_kind(argument.annotation) if argument.annotation else None
        if argument.annotation and kind is None:
            kinds.pop(argument.arg, None)
        kind = kind or kinds.get(argument.arg) or (default if default in ("num", "str") else None)
        if kind and kind != "none":
            optional = default == "none" and not kind.endswith("?")
            kinds[argument.arg] = kind + "?" if optional else kind
    if arguments.kwarg:
        kinds[arguments.kwarg.arg] = "dict"
    if arguments.vararg:
        kinds[arguments.vararg.arg] = "list"
    return kinds


def parameter_list(frame: Frame, node: ast.FunctionDef | ast.Lambda, skip: int) -> list[str]:
    """Returns the Lua parameters; keyword-only ones travel together in a table."""
    arguments = node.args
    names = [lua_name(a.arg) for a in [*arguments.posonlyargs, *arguments.args][skip:]]
    if arguments.kwarg and (arguments.vararg or arguments.kwonlyargs):
        raise UntranslatableError("options of two sorts")
    if arguments.vararg and arguments.kwonlyargs:
        raise UntranslatableError("options after variable arguments")
    if arguments.kwarg:
        names.append(lua_name(arguments.kwarg.arg))
    elif arguments.vararg:
        names.append("...")
    elif arguments.kwonlyargs:
        names.append(frame.fresh("opts", "options"))
    if len(names) > _MOST_PARAMETERS:
        raise UntranslatableError("too many parameters")
    return names


def defaults(frame: Frame, node: ast.FunctionDef, names: list[str]) -> None:
    """Writes the lines that give missing arguments their values."""
    arguments = node.args
    positional = [*arguments.posonlyargs, *arguments.args]
    first = len(positional) - len(arguments.defaults)
    for argument, default in zip(positional[first:], arguments.defaults, strict=True):
        _default(frame, lua_name(argument.arg), default)
    if arguments.kwarg:
        name = lua_name(arguments.kwarg.arg)
        frame.emit(f"{name} = {name} or {{}}")
    elif arguments.vararg:
        if _only_passed_on(node, arguments.vararg.arg):
            frame.varargs = arguments.vararg.arg
        else:
            frame.emit(f"local {lua_name(arguments.vararg.arg)} = {{...}}")
    elif arguments.kwonlyargs:
        options = names[-1]
        frame.emit(f"{options} = {options} or {{}}")
        for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
            name = lua_name(argument.arg)
            given = f"{options}.{name}"
            is_false = isinstance(default, ast.Constant) and default.value is False
            if default is not None and (is_false or kind_of(default, {}, {}) in ("num", "str")):
                given += f" or {frame.text(default)}"
                default = None
            frame.emit(f"local {name} = {given}")
            if default is not None:
                _default(frame, name, default)


def _default(frame: Frame, name: str, default: ast.expr) -> None:
    """Writes one default: `x = x or 1` where false cannot be meant, else a test for nil."""
    if isinstance(default, ast.Constant) and default.value is None:
        return
    refuse_nil(default)
    kind = kind_of(default, {}, {})
    if kind in ("num", "str", "list", "tuple", "dict") or (
        isinstance(default, ast.Constant) and default.value is False
    ):
        frame.emit(f"{name} = {name} or {frame.text(default)}")
        return
    frame.emit(f"if {name} == nil then")
    with frame.block():
        frame.emit(f"{name} = {frame.text(default)}")
    frame.emit("end")


def _only_passed_on(node: ast.FunctionDef, name: str) -> bool:
    """Says whether *args is used only as the last argument of calls of this very function."""
    inside = {id(each) for each in own_nodes(node)}
    passed = {
        id(each.args[-1].value)
        for each in own_nodes(node)
        if isinstance(each, ast.Call) and each.args and isinstance(each.args[-1], ast.Starred)
    }
    uses = [each for each in walk(node) if isinstance(each, ast.Name) and each.id == name]
    plain = not any(
        isinstance(each, ast.Try | ast.Yield | ast.YieldFrom) for each in own_nodes(node)
    )
    return plain and all(id(use) in inside and id(use) in passed for use in uses)

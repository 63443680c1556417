"""Functions, nested functions and lambdas: parameters, defaults and generators."""

from __future__ import annotations

import ast

from featrack_utils.corpora.luagen.docs import comment
from featrack_utils.corpora.luagen.evidence import (
    annotated_kind,
    assigned_kinds,
    documented_kinds,
    kind_of,
)
from featrack_utils.corpora.luagen.expressions import refuse_nil
from featrack_utils.corpora.luagen.facts import ClassFacts, ModuleFacts
from featrack_utils.corpora.luagen.frame import (
    INDENT,
    VALUE,
    Code,
    Frame,
    UntranslatableError,
    expression,
    statement,
)
from featrack_utils.corpora.luagen.names import lua_name
from featrack_utils.corpora.luagen.nodes import own_nodes, walk
from featrack_utils.corpora.luagen.scopes import Plan, parameters, plan

# Decorators that leave what a function computes as it is, and have no meaning outside Python.
_TRANSPARENT = frozenset(
    "staticmethod classmethod property cached_property abstractmethod override final "
    "_dispatchable set_module doc Appender Substitution deprecate_kwarg wraps overload "
    "lru_cache cache cacheit njit jit register_jitable "
    "array_function_dispatch _copy_docs docstring inherit_doc".split()
)
_FORBIDDEN = frozenset({"overload", "contextmanager", "asynccontextmanager", "singledispatch"})
_MOST_PARAMETERS = 30


def open_frame(
    node: ast.FunctionDef, module: ModuleFacts, owner: ClassFacts | None, outer: Frame | None
) -> Frame:
    """Prepares the writing of one function: its variables, their kinds and declarations.

    Raises:
        UntranslatableError: if its variables cannot be declared the Lua way.
    """
    frame = Frame(module, owner, outer)
    frame.plan = plan(node)
    names = [*parameters(node.args), *frame.plan.names]
    nodes = (walk(node))
    imported = {
        (alias.asname or alias.name).split(".")[0]
        for each in own_nodes(node)
        if isinstance(each, ast.Import | ast.ImportFrom)
        for alias in each.names
    }
    known = _parameter_kinds(node)
    found = assigned_kinds(nodes, known, module.kinds)
    hidden = set(names)
    frame.kinds = {key: kind for key, kind in frame.kinds.items() if key not in hidden}
    if owner is not None:
        frame.kinds.update(owner.kinds)
    frame.kinds.update(
        (key, kind) for key, kind in found.items() if owner is None or not key.startswith("self.")
    )
    frame.locals |= hidden - imported
    frame.one_based -= hidden
    frame.taken |= {each.id for each in nodes if isinstance(each, ast.Name)} | hidden
    frame.taken |= {lua_name(name) for name in hidden}
    frame.last_line = (
        node.body[0].end_lineno if ast.get_docstring(node, False) else node.body[0].lineno - 1
    )
    return frame


def _parameter_kinds(node: ast.FunctionDef) -> dict[str, str]:
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
            if default is not None and kind_of(default, {}, {}) in ("num", "str"):
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


def write(frame: Frame, node: ast.FunctionDef, opening: str, skip: int, generates: bool) -> None:
    """Writes a whole function: comment, opening line, defaults, body and end.

    Args:
        frame: the function's own frame.
        node: the function.
        opening: what precedes the parameters, such as "local function name".
        skip: how many leading parameters the opening already stands for (self).
        generates: whether it becomes an iterator by way of a coroutine.
    """
    names = parameter_list(frame, node, skip)
    for line in comment(node, names):
        frame.emit(line)
    frame.emit(f"{opening}({', '.join(names)})")
    with frame.block():
        defaults(frame, node, names)
        if generates:
            frame.is_generator = True
            frame.emit("return coroutine.wrap(function()")
            with frame.block():
                frame.body(node.body)
            frame.emit("end)")
        else:
            frame.body(node.body)
    frame.emit("end")


def decorated(frame: Frame, node: ast.FunctionDef, name: str) -> None:
    """Writes `f = decorator(f)` for each decorator that does more than declare."""
    for decorator in reversed(node.decorator_list):
        function = decorator.func if isinstance(decorator, ast.Call) else decorator
        label = (
            function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
        )
        if label in _FORBIDDEN:
            raise UntranslatableError("a decorator that changes what a function is")
        if label in _TRANSPARENT:
            continue
        if label in ("setter", "getter", "deleter") or not label:
            raise UntranslatableError("a decorator of properties")
        with frame.sealed():
            text = frame.text(decorator)
        frame.emit(f"{name} = {text}({name})")


@statement(ast.FunctionDef)
def nested(frame: Frame, node: ast.FunctionDef) -> None:
    """Writes a function within a function."""
    inner = open_frame(node, frame.module, frame.owner, frame)
    generates = any(isinstance(each, ast.Yield | ast.YieldFrom) for each in own_nodes(node))
    word = "local function" if frame.declares(node, node.name) else "function"
    write(inner, node, f"{word} {lua_name(node.name)}", 0, generates)
    frame.lines.extend(inner.lines)
    decorated(frame, node, lua_name(node.name))


@expression(ast.Lambda)
def anonymous(frame: Frame, node: ast.Lambda) -> Code:
    if node.args.defaults or node.args.kwonlyargs or isinstance(node.body, ast.Tuple):
        raise UntranslatableError("an unusual lambda")
    inner = Frame(frame.module, frame.owner, frame)
    inner.plan = Plan({}, set(), set())
    own = set(parameters(node.args))
    inner.locals |= own
    inner.taken |= own
    inner.one_based -= own
    inner.kinds = {key: kind for key, kind in frame.kinds.items() if key not in own}
    if node.args.vararg:
        inner.varargs = node.args.vararg.arg
    names = parameter_list(inner, node, 0)
    inner.indent = frame.indent + 1
    text = inner.text(node.body)
    opening = f"function({', '.join(names)})"
    if not inner.lines and "\n" not in text:
        return Code(f"{opening} return {text} end", VALUE)
    inner.emit(f"return {text}")
    body = "\n".join(inner.lines)
    return Code(f"{opening}\n{body}\n{INDENT * frame.indent}end", VALUE)

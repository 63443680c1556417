"""Functions, nested functions and lambdas: parameters, defaults and generators."""

from __future__ import annotations

import ast

from featrack_utils.corpora.luagen.bindings import parameters
from featrack_utils.corpora.luagen.docs import comment
from featrack_utils.corpora.luagen.evidence import assigned_kinds, sized_names
from featrack_utils.corpora.luagen.expressions import bracketed
from featrack_utils.corpora.luagen.facts import ClassFacts, ModuleFacts
from featrack_utils.corpora.luagen.frame import (
    INDENT,
    VALUE,
    Code,
    Frame,
    Plan,
    UntranslatableError,
    expression,
    statement,
)
from featrack_utils.corpora.luagen.names import lua_name
from featrack_utils.corpora.luagen.nodes import own_nodes, walk
from featrack_utils.corpora.luagen.parameters import defaults, parameter_kinds, parameter_list
from featrack_utils.corpora.luagen.scopes import plan

# Decorators that leave what a function computes as it is, and have no meaning outside Python.
_TRANSPARENT = frozenset(
    {
        "staticmethod", "classmethod", "property", "cached_property", "abstractmethod",
        "override", "final", "_dispatchable", "set_module", "doc", "Appender", "Substitution",
        "deprecate_kwarg", "wraps", "overload", "lru_cache", "cache", "cacheit", "njit", "jit",
        "register_jitable", "array_function_dispatch", "_copy_docs", "docstring", "inherit_doc",
    }
)  # fmt: skip
_FORBIDDEN = frozenset(
    {"overload", "contextmanager", "asynccontextmanager", "singledispatch", "register"}
)


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
    nodes = walk(node)
    imported = {
        (alias.asname or alias.name).split(".")[0]
        for each in own_nodes(node)
        if isinstance(each, ast.Import | ast.ImportFrom)
        for alias in each.names
    }
    known = parameter_kinds(node)
    found = assigned_kinds(nodes, known, module.kinds)
    hidden = set(names)
    frame.kinds = {key: kind for key, kind in frame.kinds.items() if key not in hidden}
    if owner is not None:
        frame.kinds.update(owner.kinds)
    frame.kinds.update(
        (key, kind) for key, kind in found.items() if owner is None or not key.startswith("self.")
    )
    frame.sized = {name for name in frame.sized if name not in hidden} | sized_names(nodes)
    frame.locals |= hidden - imported
    frame.one_based -= hidden
    frame.taken |= {each.id for each in nodes if isinstance(each, ast.Name)} | hidden
    frame.taken |= {lua_name(name) for name in hidden}
    frame.last_line = (
        node.body[0].end_lineno if ast.get_docstring(node, False) else node.body[0].lineno - 1
    )
    return frame


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
    frame.emit(bracketed(frame, f"{opening}(", names, ")"))
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

"""Protected calls: try, except, finally, and files opened by with."""

from __future__ import annotations

import ast

from featrack_utils.corpora.luagen.frame import Frame, UntranslatableError, statement
from featrack_utils.corpora.luagen.names import lua_name, quoted
from featrack_utils.corpora.luagen.nodes import own_nodes, walk

# What Python raises where Lua gives nil or goes on: a handler for these would never be reached.
_UNRAISED = frozenset(
    {
        "ArithmeticError", "AttributeError", "BaseException", "EOFError", "FloatingPointError",
        "ImportError", "IndexError", "KeyError", "KeyboardInterrupt", "LookupError",
        "ModuleNotFoundError", "NameError", "OSError", "IOError", "OverflowError",
        "RuntimeError", "StopIteration", "SystemExit", "TypeError", "UnboundLocalError",
        "UnicodeDecodeError", "UnicodeError", "ValueError", "ZeroDivisionError",
        "NotImplementedError", "AssertionError", "FileNotFoundError", "RecursionError",
        "MemoryError", "TimeoutError",
    }
)  # fmt: skip


@statement(ast.Try)
def attempt(frame: Frame, node: ast.Try) -> None:
    if _looked_up(frame, node):
        return
    catch_all = _only_catch_all(node)
    if node.finalbody and node.handlers:
        raise UntranslatableError("handlers and a finally")
    returns = [each for part in node.body for each in [part, *own_nodes(part)]
               if isinstance(each, ast.Return)]  # fmt: skip
    if returns and (not _always_leaves(node.body) or node.orelse):
        raise UntranslatableError("a return that only some paths take")
    if returns and any(isinstance(each.value, ast.Tuple) for each in returns):
        raise UntranslatableError("several values out of a protected call")
    ok, error = frame.fresh("ok", "success"), _error_name(frame, node)
    frame.emit(f"local {ok}, {error} = pcall(function()")
    frame.loops.append("barrier")
    constructor, generator = frame.is_constructor, frame.is_generator
    if returns and (constructor or generator):
        raise UntranslatableError("a return from within a constructor or generator")
    with frame.block():
        frame.body(node.body)
    frame.loops.pop()
    frame.emit("end)")
    if node.finalbody:
        frame.body(node.finalbody)
        _unless(frame, ok, f"error({error}, 0)")
        if returns:
            frame.emit(f"return {error}")
        return
    if returns:
        frame.emit(f"if {ok} then")
        with frame.block():
            frame.emit(f"return {error}")
        frame.emit("end")
        _handle(frame, node.handlers, error, catch_all, nested=False)
        return
    if node.orelse:
        frame.emit(f"if {ok} then")
        with frame.block():
            frame.body(node.orelse)
        frame.emit("else")
    elif _is_empty(node.handlers[0].body) and catch_all:
        return
    else:
        frame.emit(f"if not {ok} then")
    with frame.block():
        _handle(frame, node.handlers, error, catch_all, nested=True)
    frame.emit("end")


def _is_empty(body: list[ast.stmt]) -> bool:
    return all(isinstance(each, ast.Pass) for each in body)


def _error_name(frame: Frame, node: ast.Try) -> str:
    names = {handler.name for handler in node.handlers if handler.name}
    if len(names) == 1:
        return lua_name(names.pop())
    if names:
        raise UntranslatableError("handlers with different names for the error")
    return frame.fresh("err", "message", "problem")


def _only_catch_all(node: ast.Try) -> bool:
    """Says whether everything is caught; classes of this project's own are told apart.

    Raises:
        UntranslatableError: if a handler waits for what Lua does not raise.
    """
    for position, handler in enumerate(node.handlers):
        kind = handler.type
        if kind is None or (
            isinstance(kind, ast.Name) and kind.id in ("Exception", "BaseException")
        ):
            return position == len(node.handlers) - 1 == 0
        choices = kind.elts if isinstance(kind, ast.Tuple) else [kind]
        for choice in choices:
            name = choice.id if isinstance(choice, ast.Name) else getattr(choice, "attr", "")
            if name in _UNRAISED or not isinstance(choice, ast.Name | ast.Attribute):
                raise UntranslatableError("a handler for an error that Lua does not raise")
    return False


def _handle(
    frame: Frame, handlers: list[ast.ExceptHandler], error: str, catch_all: bool, nested: bool
) -> None:
    """Writes the handlers, the error in a variable of the given name."""
    before, frame.error_name = frame.error_name, error
    frame.locals |= {handler.name for handler in handlers if handler.name}
    if catch_all:
        frame.body(handlers[0].body)
    else:
        for position, handler in enumerate(handlers):
            if handler.type is None or getattr(handler.type, "id", "") == "Exception":
                if position < len(handlers) - 1:
                    raise UntranslatableError("a handler after one that catches all")
                frame.emit("else")
                with frame.block():
                    frame.body(handler.body)
                break
            choices = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
            frame.module.used["is_instance"] = None
            tests = [f"is_instance({error}, {frame.text(choice)})" for choice in choices]
            word = "elseif" if position else "if"
            frame.emit(f"{word} {' or '.join(tests)} then")
            with frame.block():
                frame.body(handler.body)
        else:
            frame.emit("else")
            with frame.block():
                frame.emit(f"error({error}, 0)")
        frame.emit("end")
    frame.error_name = before


def _unless(frame: Frame, ok: str, text: str) -> None:
    frame.emit(f"if not {ok} then")
    with frame.block():
        frame.emit(text)
    frame.emit("end")


def _always_leaves(body: list[ast.stmt]) -> bool:
    """Says whether a block cannot run past its end."""
    last = body[-1]
    if isinstance(last, ast.If):
        return bool(last.orelse) and _always_leaves(last.body) and _always_leaves(last.orelse)
    return isinstance(last, ast.Return | ast.Raise)


def _looked_up(frame: Frame, node: ast.Try) -> bool:
    """Writes `try: x = d[k]` with a handler for the missing key as a test for nil."""
    if len(node.body) != 1 or len(node.handlers) != 1 or node.orelse or node.finalbody:
        return False
    (body,), (handler,) = node.body, node.handlers
    known = isinstance(handler.type, ast.Name) and handler.type.id in ("KeyError", "IndexError")
    value = body.value if isinstance(body, ast.Assign | ast.Return) else None
    if not known or handler.name or not isinstance(value, ast.Subscript):
        return False
    wanted = "dict" if handler.type.id == "KeyError" else "list"
    simple_key = isinstance(value.slice, ast.Name | ast.Attribute | ast.Constant)
    if frame.kind(value.value) not in (wanted, None) or not simple_key:
        return False
    if any(isinstance(each, ast.Raise) and each.exc is None for each in walk(handler)):
        return False
    if isinstance(body, ast.Return):
        name = frame.fresh("value", "entry", "known")
        frame.emit(f"local {name} = {frame.text(value)}")
        frame.emit(f"if {name} ~= nil then")
        with frame.block():
            frame.emit(f"return {name}")
        frame.emit("end")
        frame.body(handler.body)
        return True
    if len(body.targets) != 1 or not isinstance(body.targets[0], ast.Name):
        return False
    frame.body(node.body)
    if not _is_empty(handler.body):
        frame.emit(f"if {frame.local(body.targets[0].id)} == nil then")
        with frame.block():
            frame.body(handler.body)
        frame.emit("end")
    return True


@statement(ast.With)
def opened(frame: Frame, node: ast.With) -> None:
    """Writes `with open(…) as f` as a block whose file closes itself."""
    if len(node.items) != 1:
        raise UntranslatableError("several context managers")
    (item,) = node.items
    call, target = item.context_expr, item.optional_vars
    named = (
        isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "open"
    )
    if not named or not isinstance(target, ast.Name) or not 1 <= len(call.args) <= 2:
        raise UntranslatableError("a context manager")
    if any(keyword.arg not in ("encoding", "newline", "mode") for keyword in call.keywords):
        raise UntranslatableError("an unusual way to open a file")
    modes = [*call.args[1:], *(k.value for k in call.keywords if k.arg == "mode")]
    arguments = frame.text(call.args[0])
    if modes:
        if not isinstance(modes[0], ast.Constant):
            raise UntranslatableError("a mode that is not literal")
        arguments += ", " + quoted(str(modes[0].value).replace("t", ""))
    frame.emit("do")
    frame.locals.add(target.id)
    before = frame.kinds.get(target.id)
    frame.kinds[target.id] = "file"
    with frame.block():
        frame.emit(f"local {lua_name(target.id)} <close> = assert(io.open({arguments}))")
        frame.body(node.body)
    frame.emit("end")
    if before is None:
        del frame.kinds[target.id]
    else:
        frame.kinds[target.id] = before

"""Assignments, branches, loops, returns, errors and assertions."""

from __future__ import annotations

import ast
import builtins

from featrack_utils.corpora.luagen.assignments import choose
from featrack_utils.corpora.luagen.conditions import condition, negation
from featrack_utils.corpora.luagen.expressions import bracketed, gives_several
from featrack_utils.corpora.luagen.facts import note_import
from featrack_utils.corpora.luagen.frame import OR, Frame, UntranslatableError, statement
from featrack_utils.corpora.luagen.loops import loop


@statement(ast.Pass, ast.Nonlocal)
def nothing(frame: Frame, node: ast.stmt) -> None:
    """Writes nothing: Lua's blocks may be empty and its inner functions see outer variables."""


@statement(ast.Import, ast.ImportFrom)
def local_import(frame: Frame, node: ast.Import | ast.ImportFrom) -> None:
    """Leaves it to the chunk's head to require what the function uses."""
    note_import(node, frame.module.imports)


@statement(ast.If)
def branch(frame: Frame, node: ast.If) -> None:
    frame.emit(f"if {condition(frame, node.test).text} then")
    while True:
        with frame.block():
            frame.body(node.body)
        if len(node.orelse) != 1 or not isinstance(node.orelse[0], ast.If):
            break
        below = node.orelse[0]
        if id(below) in frame.plan.hoisted:
            break
        try:
            with frame.sealed():
                test = condition(frame, below.test).text
        except UntranslatableError:
            break
        frame.emit(f"elseif {test} then")
        frame.last_line = max(frame.last_line, below.lineno)
        node = below
    if node.orelse:
        frame.emit("else")
        with frame.block():
            frame.body(node.orelse)
    frame.emit("end")


def turns(frame: Frame, body: list[ast.stmt]) -> None:
    """Writes a loop's body, with a label at its end if anything continues."""
    frame.loops.append("plain")
    frame.body(body)
    if frame.loops.pop() == "continued":
        if frame.lines[-1].lstrip().startswith("return"):
            text = frame.lines.pop().strip()
            frame.emit(f"do {text} end")
        frame.emit("::continue::")


@statement(ast.While)
def while_loop(frame: Frame, node: ast.While) -> None:
    if node.orelse:
        raise UntranslatableError("a loop's else")
    try:
        with frame.sealed():
            opening, stop = f"while {condition(frame, node.test).text} do", False
    except UntranslatableError:
        opening, stop = "while true do", True
    frame.emit(opening)
    with frame.block():
        if stop:
            frame.emit(f"if {negation(frame, node.test).text} then")
            with frame.block():
                frame.emit("break")
            frame.emit("end")
        turns(frame, node.body)
    frame.emit("end")


@statement(ast.For)
def for_loop(frame: Frame, node: ast.For) -> None:
    if node.orelse:
        raise UntranslatableError("a loop's else")
    with loop(frame, node.target, node.iter, node.body):
        turns(frame, node.body)


@statement(ast.Break)
def leave(frame: Frame, node: ast.Break) -> None:
    if not frame.loops or frame.loops[-1] == "barrier":
        raise UntranslatableError("leaving a loop from within a protected call")
    frame.emit("break")


@statement(ast.Continue)
def go_on(frame: Frame, node: ast.Continue) -> None:
    if not frame.loops or frame.loops[-1] == "barrier":
        raise UntranslatableError("continuing a loop from within a protected call")
    frame.loops[-1] = "continued"
    frame.emit("goto continue")


@statement(ast.Return)
def give_back(frame: Frame, node: ast.Return) -> None:
    value = node.value
    none = value is None or (isinstance(value, ast.Constant) and value.value is None)
    if frame.is_constructor or frame.is_generator:
        if not none:
            raise UntranslatableError("a value returned from a constructor or generator")
        frame.emit("return self" if frame.is_constructor else "return")
    elif none:
        frame.emit("return nil" if value is not None else "return")
    elif isinstance(value, ast.IfExp) and frame.kind(value.body) not in ("num", "str"):
        choose(frame, value, lambda part: give_back(frame, ast.Return(value=part)))
    elif isinstance(value, ast.Tuple) and len(value.elts) > 1:
        if any(isinstance(part, ast.Starred) for part in value.elts):
            raise UntranslatableError("unpacking into a return")
        if any(gives_several(frame, part) for part in value.elts):
            raise UntranslatableError("a tuple within a tuple")
        frame.emit("return " + ", ".join(frame.text(part) for part in value.elts))
    else:
        frame.direct = value
        frame.emit(f"return {frame.text(value)}")


@statement(ast.Raise)
def fail(frame: Frame, node: ast.Raise) -> None:
    if node.exc is None:
        if frame.error_name is None:
            raise UntranslatableError("raising again outside a handler")
        frame.emit(f"error({frame.error_name}, 0)")
        return
    frame.in_message = True
    frame.emit(_error(frame, node.exc))
    frame.in_message = False


def _error(frame: Frame, node: ast.expr) -> str:
    """Writes an error: Python's own exceptions become their message, others stay objects."""
    function, given = (node.func, node.args) if isinstance(node, ast.Call) else (node, [])
    name = function.id if isinstance(function, ast.Name) else ""
    found = getattr(builtins, name, None)
    own = name in frame.locals or name in frame.module.imports or name in frame.module.classes
    if not own and isinstance(found, type) and issubclass(found, BaseException):
        if name in ("StopIteration", "SystemExit", "KeyboardInterrupt") or len(given) > 1:
            raise UntranslatableError("an error that steers the program")
        if not given:
            plain = "not implemented" if name == "NotImplementedError" else name
            return f'error("{plain}")'
        return f"error({frame.text(given[0], OR)})"
    if isinstance(node, ast.Call):
        return f"error({frame.text(node)})"
    if own and name in frame.locals:
        return f"error({frame.text(node)}, 0)"
    return f"error({frame.text(node)}.new())"


@statement(ast.Assert)
def claim(frame: Frame, node: ast.Assert) -> None:
    test = condition(frame, node.test).text
    frame.in_message = True
    with frame.sealed():
        message = [frame.text(node.msg)] if node.msg is not None else []
    frame.in_message = False
    frame.emit(bracketed(frame, "assert(", [test, *message], ")"))

"""Assignments, branches, loops, returns, errors and assertions."""

from __future__ import annotations

import ast
import builtins

from featrack_utils.corpora.luagen.comprehensions import fill, fillable
from featrack_utils.corpora.luagen.effects import extend
from featrack_utils.corpora.luagen.expressions import (
    gives_several,
    is_self,
    refuse_nil,
    simple,
)
from featrack_utils.corpora.luagen.facts import note_import
from featrack_utils.corpora.luagen.frame import OR, SUM, Frame, UntranslatableError, statement
from featrack_utils.corpora.luagen.loops import loop
from featrack_utils.corpora.luagen.operators import condition, negation
from featrack_utils.corpora.luagen.scopes import target_names


@statement(ast.Pass, ast.Nonlocal)
def nothing(frame: Frame, node: ast.stmt) -> None:
    """Writes nothing: Lua's blocks may be empty and its inner functions see outer variables."""


@statement(ast.Import, ast.ImportFrom)
def local_import(frame: Frame, node: ast.Import | ast.ImportFrom) -> None:
    """Leaves it to the chunk's head to require what the function uses."""
    note_import(node, frame.module.imports)


def place(frame: Frame, target: ast.expr) -> str:
    """Returns the text of something assigned to."""
    if isinstance(target, ast.Name):
        if target.id in frame.one_based:
            raise UntranslatableError("a loop variable that the loop itself changes")
        return frame.local(target.id)
    if isinstance(target, ast.Subscript):
        if isinstance(target.slice, ast.Slice) or frame.kind(target.value) in ("str", "set"):
            raise UntranslatableError("assigning to a slice")
    elif isinstance(target, ast.Attribute):
        if is_self(frame, target.value):
            found = frame.module.inherited(frame.owner, target.attr)
            if found and found.role == "property":
                raise UntranslatableError("assigning to a property")
    else:
        raise UntranslatableError("an unusual target")
    text = frame.text(target)
    if text.endswith(")"):
        raise UntranslatableError("assigning to a call")
    return text


@statement(ast.Assign)
def assign(frame: Frame, node: ast.Assign) -> None:
    if len(node.targets) > 1:
        if not isinstance(node.value, ast.Constant | ast.Name):
            raise UntranslatableError("one value for several targets")
        targets = node.targets
        fresh = all(isinstance(t, ast.Name) and frame.declares(node, t.id) for t in targets)
        texts = [place(frame, target) for target in targets]
        values = ", ".join([frame.text(node.value)] * len(texts))
        frame.emit(f"{'local ' if fresh else ''}{', '.join(texts)} = {values}")
        return
    (target,) = node.targets
    if isinstance(target, ast.Tuple | ast.List):
        _unpack(frame, node, target, node.value)
    else:
        _store(frame, node, target, node.value)


@statement(ast.AnnAssign)
def annotated(frame: Frame, node: ast.AnnAssign) -> None:
    if node.value is not None:
        _store(frame, node, node.target, node.value)


def _store(frame: Frame, node: ast.stmt, target: ast.expr, value: ast.expr) -> None:
    """Writes `target = value`."""
    is_name = isinstance(target, ast.Name)
    local = "local " if is_name and frame.declares(node, target.id) else ""
    if is_name and (built := fillable(frame, value, target.id)):
        fill(frame, built, place(frame, target), declare=bool(local))
        return
    if isinstance(target, ast.Subscript):
        refuse_nil(value)
    if isinstance(value, ast.IfExp) and is_name:
        if frame.kind(value.body) not in ("num", "str"):
            if local:
                frame.emit(f"local {place(frame, target)}")
            _choose(frame, value, lambda part: _store(frame, node_without(node), target, part))
            return
    text = frame.text(value)
    if gives_several(frame, value):
        text = f"{{{text}}}"
    if local and text == "nil":
        frame.emit(f"local {place(frame, target)}")
    else:
        frame.emit(f"{local}{place(frame, target)} = {text}")


def node_without(node: ast.stmt) -> ast.stmt:
    """Returns a stand-in for a statement whose declaration has already been written."""
    return ast.copy_location(ast.Pass(), node)


def _choose(frame: Frame, node: ast.IfExp, write: object) -> None:
    """Writes a conditional expression as an if statement around what `write` makes of a part."""
    frame.emit(f"if {condition(frame, node.test).text} then")
    with frame.block():
        write(node.body)
    frame.emit("else")
    with frame.block():
        write(node.orelse)
    frame.emit("end")


def _unpack(frame: Frame, node: ast.Assign, target: ast.Tuple, value: ast.expr) -> None:
    """Writes `a, b = …`; a call is taken to return several values, as its Lua would."""
    names = list(target_names(target))
    if not all(isinstance(part, ast.Name | ast.Attribute | ast.Subscript) for part in target.elts):
        raise UntranslatableError("a nested target")
    fresh = len(names) == len(target.elts) and all(frame.declares(node, name) for name in names)
    if names and not fresh:
        late = [name for name in names if frame.declares(node, name)]
        if late:
            frame.emit("local " + ", ".join(frame.local(name) for name in late))
    left = ", ".join(place(frame, part) for part in target.elts)
    if isinstance(value, ast.Tuple):
        if len(value.elts) != len(target.elts) or any(gives_several(frame, v) for v in value.elts):
            raise UntranslatableError("unpacking of unequal lengths")
        right = ", ".join(frame.text(part) for part in value.elts)
    elif isinstance(value, ast.Call) and _is_divmod(frame, value):
        first, second = (frame.text(part, SUM + 2) for part in value.args)
        right = f"{first} // {second}, {first} % {second}"
    elif (
        isinstance(value, ast.Call) and frame.kind(value) is None and _returns_values(frame, value)
    ):
        right = frame.text(value)
    elif isinstance(value, ast.Name | ast.Attribute | ast.Subscript | ast.Call):
        if frame.kind(value) in ("str", "dict", "set"):
            raise UntranslatableError("unpacking what is no list")
        right = f"table.unpack({frame.text(value)})"
    else:
        raise UntranslatableError("unpacking an expression")
    frame.emit(f"{'local ' if fresh else ''}{left} = {right}")


def _is_divmod(frame: Frame, node: ast.Call) -> bool:
    named = isinstance(node.func, ast.Name) and node.func.id == "divmod"
    if not named or len(node.args) != 2:
        return False
    for part in node.args:
        if not isinstance(part, ast.Constant):
            simple(frame, part)
    return True


def _returns_values(frame: Frame, node: ast.Call) -> bool:
    """Says whether a call returns its tuple as several values: unknown functions do."""
    if gives_several(frame, node):
        return True
    known = isinstance(node.func, ast.Name) and node.func.id in frame.module.functions
    own = isinstance(node.func, ast.Attribute) and is_self(frame, node.func.value)
    return not known and not (own and frame.module.inherited(frame.owner, node.func.attr))


@statement(ast.AugAssign)
def augmented(frame: Frame, node: ast.AugAssign) -> None:
    if frame.kind(node.target) == "list":
        if not isinstance(node.op, ast.Add):
            raise UntranslatableError("an operator on a list")
        extend(frame, node.target, node.value)
        return
    if not isinstance(node.target, ast.Name | ast.Attribute):
        simple(frame, node.target)
    combined = ast.BinOp(left=node.target, op=node.op, right=node.value)
    frame.emit(f"{place(frame, node.target)} = {frame.text(combined)}")


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
        _choose(frame, value, lambda part: give_back(frame, ast.Return(value=part)))
    elif isinstance(value, ast.Tuple) and len(value.elts) > 1:
        if any(isinstance(part, ast.Starred) for part in value.elts):
            raise UntranslatableError("unpacking into a return")
        if any(gives_several(frame, part) for part in value.elts):
            raise UntranslatableError("a tuple within a tuple")
        frame.emit("return " + ", ".join(frame.text(part) for part in value.elts))
    else:
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
        message = f", {frame.text(node.msg)}" if node.msg is not None else ""
    frame.in_message = False
    frame.emit(f"assert({test}{message})")

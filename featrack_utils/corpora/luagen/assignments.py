"""Assignments: one target or several, declared or not."""

from __future__ import annotations

import ast

from featrack_utils.corpora.luagen.bindings import target_names
from featrack_utils.corpora.luagen.comprehensions import fill, fillable
from featrack_utils.corpora.luagen.conditions import condition
from featrack_utils.corpora.luagen.effects import extend
from featrack_utils.corpora.luagen.expressions import gives_several, is_self, refuse_nil
from featrack_utils.corpora.luagen.frame import SUM, Frame, UntranslatableError, statement
from featrack_utils.corpora.luagen.indexing import require_path


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
    unsure = isinstance(value, ast.IfExp) and frame.kind(value.body) not in ("num", "str")
    if is_name and unsure:
        if local:
            frame.emit(f"local {place(frame, target)}")
        choose(frame, value, lambda part: _store(frame, node_without(node), target, part))
        return
    frame.direct = value
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


def choose(frame: Frame, node: ast.IfExp, write: object) -> None:
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
        require_path(part)
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
    require_path(node.target)
    combined = ast.BinOp(left=node.target, op=node.op, right=node.value)
    frame.emit(f"{place(frame, node.target)} = {frame.text(combined)}")

"""Comparisons, truth and choice."""

from __future__ import annotations

import ast
from contextlib import nullcontext

from featrack_utils.corpora.luagen.evidence import dotted
from featrack_utils.corpora.luagen.expressions import gives_several, keyed
from featrack_utils.corpora.luagen.frame import (
    AND,
    ATOM,
    COMPARE,
    INDENT,
    LINE_WIDTH,
    OR,
    UNARY,
    VALUE,
    Code,
    Frame,
    UntranslatableError,
    expression,
)
from featrack_utils.corpora.luagen.indexing import require_path, simple
from featrack_utils.corpora.luagen.names import lua_name, number
from featrack_utils.corpora.luagen.operators import TABLES

_COMPARE = {
    ast.Eq: "==", ast.NotEq: "~=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=",
    ast.Is: "==", ast.IsNot: "~=",
}  # fmt: skip


_OPPOSITE = {ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
             ast.In: ast.NotIn, ast.NotIn: ast.In}  # fmt: skip


_LONGEST_CHAIN = 5


_TRUTHS = {
    "num": ("{} ~= 0", "{} == 0"), "str": ('{} ~= ""', '{} == ""'), "list": ("#{} > 0", "#{} == 0"),
    "tuple": ("#{} > 0", "#{} == 0"), "dict": ("next({}) ~= nil", "next({}) == nil"),
    "set": ("next({}) ~= nil", "next({}) == nil"),
}  # fmt: skip


@expression(ast.Compare)
def comparison(frame: Frame, node: ast.Compare) -> Code:
    operands = [node.left, *node.comparators]
    parts = []
    for position, operator in enumerate(node.ops):
        if position:
            require_path(operands[position])
        with frame.sealed() if position else nullcontext():
            parts.append(_relation(frame, operands[position], operator, operands[position + 1]))
    if len(parts) == 1:
        return parts[0]
    return Code(" and ".join(frame.wrap(part, AND) for part in parts), AND)


def _relation(frame: Frame, left: ast.expr, operator: ast.cmpop, right: ast.expr) -> Code:
    """Writes one comparison of two operands."""
    if isinstance(operator, ast.In | ast.NotIn):
        return _membership(frame, left, right, isinstance(operator, ast.In))
    symbol = _COMPARE[type(operator)]
    for container, other in ((left, right), (right, left)):
        is_empty = isinstance(other, ast.List | ast.Dict | ast.Tuple) and not (
            other.keys if isinstance(other, ast.Dict) else other.elts
        )
        kind = frame.kind(container)
        if is_empty and kind == frame.kind(other) and symbol in ("==", "~="):
            positive, negative = _TRUTHS[kind]
            form = positive if symbol == "~=" else negative
            return Code(form.format(frame.text(container, ATOM)), COMPARE)
    kinds = (frame.kind(left), frame.kind(right))
    if any(kind in TABLES for kind in kinds) and "none" not in kinds:
        raise UntranslatableError("comparing containers by value")
    if gives_several(frame, left) or gives_several(frame, right):
        raise UntranslatableError("comparing several values")
    shifted = isinstance(left, ast.Name) and left.id in frame.one_based
    if shifted and isinstance(right, ast.Constant) and type(right.value) is int:
        return Code(f"{lua_name(left.id)} {symbol} {number(right.value + 1)}", COMPARE)
    first, second = frame.text(left, COMPARE + 1), frame.text(right, COMPARE + 1)
    return Code(f"{first} {symbol} {second}", COMPARE)


def _membership(frame: Frame, left: ast.expr, right: ast.expr, positive: bool) -> Code:
    """Writes `left in right` for the containers whose kind is evident."""
    kind = (frame.kind(right) or "").rstrip("?")
    match right:
        case ast.Call(func=ast.Attribute(value=keyed_by, attr="keys"), args=[]):
            right, kind = keyed_by, "dict"
    if isinstance(right, ast.Tuple | ast.List | ast.Set) and len(right.elts) <= _LONGEST_CHAIN:
        operator = ast.Eq() if positive else ast.NotEq()
        if len(right.elts) > 1:
            require_path(left)
        parts = [_relation(frame, left, operator, choice) for choice in right.elts]
        rank, word = (OR, " or ") if positive else (AND, " and ")
        texts = [frame.wrap(part, rank) for part in parts]
        return Code(word.join(texts), rank if len(parts) > 1 else COMPARE)
    if kind in ("dict", "set"):
        return _found(keyed(frame, frame.text(right, ATOM), left), positive)
    if kind == "str":
        return _found(f"{frame.text(right, ATOM)}:find({frame.text(left)}, 1, true)", positive)
    if kind not in ("list", "tuple") or frame.kind(left) in TABLES:
        raise UntranslatableError("membership in a container of unknown kind")
    wanted, items = frame.text(left, COMPARE + 1), frame.text(right)
    name, item = frame.fresh("found", "is_member"), frame.fresh("candidate", "other")
    frame.emit(f"local {name} = false")
    frame.emit(f"for _, {item} in ipairs({items}) do")
    with frame.block():
        frame.emit(f"if {item} == {wanted} then")
        with frame.block():
            frame.emit(f"{name} = true")
            frame.emit("break")
        frame.emit("end")
    frame.emit("end")
    return Code(name) if positive else Code(f"not {name}", UNARY)


def _found(text: str, positive: bool) -> Code:
    return Code(f"{text} {'~=' if positive else '=='} nil", COMPARE)


def condition(frame: Frame, node: ast.expr) -> Code:
    """Returns an expression that Lua holds true exactly when Python does the original.

    Where a type is not evident, a value counts as true unless it is nil or false.
    """
    if isinstance(node, ast.BoolOp):
        return _boolean(frame, node, condition)
    if isinstance(node, ast.Constant):
        return Code("true" if node.value else "false", VALUE)
    kind = frame.kind(node) or ("list" if dotted(node) in frame.sized else "")
    forms = _TRUTHS.get(kind.rstrip("?"))
    if forms is None:
        return frame.expr(node)
    if not kind.endswith("?"):
        return Code(_measured(frame, node, forms[0]), COMPARE)
    text = simple(frame, node)
    return Code(f"{text} and {forms[0].format(text)}", AND)


def _measured(frame: Frame, node: ast.expr, form: str) -> str:
    """Returns a test such as `#x > 0` or `x ~= 0`."""
    return form.format(frame.text(node, COMPARE + 1 if form.startswith("{}") else ATOM))


def negation(frame: Frame, node: ast.expr) -> Code:
    """Returns the opposite of a condition."""
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in _OPPOSITE:
        operator = _OPPOSITE[type(node.ops[0])]()
        return _relation(frame, node.left, operator, node.comparators[0])
    kind = frame.kind(node) or ("list" if dotted(node) in frame.sized else "")
    forms = _TRUTHS.get(kind.rstrip("?"))
    if forms is None:
        code = condition(frame, node)
        if code.rank == COMPARE and isinstance(node, ast.Call):
            if code.text.endswith(" ~= nil"):
                return Code(code.text.removesuffix(" ~= nil") + " == nil", COMPARE)
            if code.text.count(" == ") == 1:
                return Code(code.text.replace(" == ", " ~= "), COMPARE)
        return Code(f"not {frame.wrap(code, UNARY)}", UNARY)
    if not kind.endswith("?"):
        return Code(_measured(frame, node, forms[1]), COMPARE)
    text = simple(frame, node)
    return Code(f"{text} == nil or {forms[1].format(text)}", OR)


@expression(ast.BoolOp)
def boolean(frame: Frame, node: ast.BoolOp) -> Code:
    for position, value in enumerate(node.values[:-1]):
        kind = (frame.kind(value) or "").rstrip("?")
        if kind not in _TRUTHS:
            continue
        neutral = position == len(node.values) - 2 and _is_empty(node.values[-1], kind)
        if isinstance(node.op, ast.And) or not neutral:
            raise UntranslatableError("an empty value that Lua counts as true")
    return _boolean(frame, node, Frame.expr)


def _is_empty(node: ast.expr, kind: str) -> bool:
    """Says whether a fallback equals the empty value of a kind, so that either will do."""
    if isinstance(node, ast.Constant):
        return node.value == {"str": "", "num": 0}.get(kind, node)
    elements = getattr(node, "elts", getattr(node, "keys", [node]))
    return not elements and isinstance(node, ast.List | ast.Dict | ast.Tuple)


def _boolean(frame: Frame, node: ast.BoolOp, write: object) -> Code:
    """Writes an `and` or `or` chain; all but the first operand may stay unevaluated."""
    rank, word = (AND, "and") if isinstance(node.op, ast.And) else (OR, "or")
    parts = [frame.wrap(write(frame, node.values[0]), rank)]
    with frame.sealed():
        parts += [frame.wrap(write(frame, value), rank) for value in node.values[1:]]
    text = f" {word} ".join(parts)
    if len(text) + 2 * frame.indent > LINE_WIDTH and "\n" not in text:
        text = f"\n{INDENT * (frame.indent + 2)}{word} ".join(parts)
    return Code(text, rank)


@expression(ast.IfExp)
def choice(frame: Frame, node: ast.IfExp) -> Code:
    test = condition(frame, node.test)
    certain = frame.kind(node.body) in ("num", "str", *TABLES) or isinstance(node.body, ast.Lambda)
    if certain:
        with frame.sealed():
            first, second = frame.text(node.body, COMPARE), frame.text(node.orelse, OR)
        return Code(f"{frame.wrap(test, AND)} and {first} or {second}", OR)
    name = frame.fresh("value", "choice", "result")
    frame.emit(f"local {name}")
    frame.emit(f"if {test.text} then")
    with frame.block():
        frame.emit(f"{name} = {frame.text(node.body)}")
    frame.emit("else")
    with frame.block():
        frame.emit(f"{name} = {frame.text(node.orelse)}")
    frame.emit("end")
    return Code(name)


@expression(ast.UnaryOp)
def unary(frame: Frame, node: ast.UnaryOp) -> Code:
    if isinstance(node.op, ast.Not):
        return negation(frame, node.operand)
    if isinstance(node.op, ast.UAdd):
        return frame.expr(node.operand)
    symbol = "-" if isinstance(node.op, ast.USub) else "~"
    text = frame.text(node.operand, UNARY)
    return Code(f"{symbol} {text}" if text.startswith("-") else symbol + text, UNARY)

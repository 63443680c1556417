"""Arithmetic, comparisons, truth and choice."""

from __future__ import annotations

import ast
from contextlib import nullcontext

from featrack_utils.corpora.luagen.evidence import dotted
from featrack_utils.corpora.luagen.expressions import (
    gives_several,
    plus,
    refuse_key,
    sequence,
    simple,
)
from featrack_utils.corpora.luagen.frame import (
    AND,
    ATOM,
    BIT_AND,
    BIT_OR,
    BIT_XOR,
    COMPARE,
    CONCAT,
    OR,
    POWER,
    PRODUCT,
    SHIFT,
    SUM,
    UNARY,
    VALUE,
    Code,
    Frame,
    UntranslatableError,
    expression,
)
from featrack_utils.corpora.luagen.names import lua_name, number
from featrack_utils.corpora.luagen.strings import percent_format

_BINARY = {
    ast.Add: ("+", SUM), ast.Sub: ("-", SUM), ast.Mult: ("*", PRODUCT), ast.Div: ("/", PRODUCT),
    ast.FloorDiv: ("//", PRODUCT), ast.Mod: ("%", PRODUCT), ast.Pow: ("^", POWER),
    ast.BitAnd: ("&", BIT_AND), ast.BitOr: ("|", BIT_OR), ast.BitXor: ("~", BIT_XOR),
    ast.LShift: ("<<", SHIFT), ast.RShift: (">>", SHIFT),
}  # fmt: skip
_BITWISE = (ast.BitAnd, ast.BitOr, ast.BitXor, ast.LShift, ast.RShift)
_COMPARE = {
    ast.Eq: "==", ast.NotEq: "~=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=",
    ast.Is: "==", ast.IsNot: "~=",
}  # fmt: skip
_OPPOSITE = {ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
             ast.In: ast.NotIn, ast.NotIn: ast.In}  # fmt: skip
_TABLES = ("list", "tuple", "dict", "set")
_LOGICAL = ast.Compare | ast.BoolOp
_LONGEST_CHAIN = 5
_TRUTHS = {
    "num": ("{} ~= 0", "{} == 0"), "str": ('{} ~= ""', '{} == ""'), "list": ("#{} > 0", "#{} == 0"),
    "tuple": ("#{} > 0", "#{} == 0"), "dict": ("next({}) ~= nil", "next({}) == nil"),
    "set": ("next({}) ~= nil", "next({}) == nil"),
}  # fmt: skip


@expression(ast.BinOp)
def binary(frame: Frame, node: ast.BinOp) -> Code:
    if isinstance(node.op, ast.Mod) and frame.kind(node.left) == "str":
        return percent_format(frame, node)
    symbol, rank = _BINARY.get(type(node.op), ("", 0))
    kinds = {frame.kind(node.left), frame.kind(node.right)}
    if isinstance(node.op, ast.Add | ast.Mult) and kinds & {"str", "list", "tuple"}:
        return _join(frame, node, kinds) if symbol == "+" else _repeat(frame, node)
    if not symbol or kinds & {"dict", "set", "none", "tuple", "list", "str", "bool"}:
        raise UntranslatableError("an operator on a container")
    if isinstance(node.op, _BITWISE):
        if isinstance(node.left, _LOGICAL) or isinstance(node.right, _LOGICAL):
            raise UntranslatableError("a bitwise operator on truth values")
    elif isinstance(node.op, ast.Add | ast.Sub) and isinstance(node.right, ast.Constant):
        if type(node.right.value) is int:
            sign = 1 if symbol == "+" else -1
            if isinstance(node.left, ast.Name) and node.left.id in frame.one_based:
                text = plus(frame, node.left, sign * node.right.value)
                return Code(text, ATOM if text.isidentifier() else SUM)
    elif isinstance(node.op, ast.Pow):
        square = isinstance(node.right, ast.Constant) and node.right.value == 2
        if square and dotted(node.left):
            text = frame.text(node.left, UNARY)
            return Code(f"{text} * {text}", PRODUCT)
        return Code(f"{frame.text(node.left, VALUE)} ^ {frame.text(node.right, UNARY)}", POWER)
    left, right = frame.text(node.left, rank), frame.text(node.right, rank + 1)
    return Code(f"{left} {symbol} {right}", rank)


def _join(frame: Frame, node: ast.BinOp, kinds: set[str | None]) -> Code:
    """Writes the sum of two strings or of two lists."""
    if "str" in kinds:
        return Code(f"{frame.text(node.left, CONCAT)} .. {frame.text(node.right, CONCAT)}", CONCAT)
    if isinstance(node.left, ast.List | ast.Tuple):
        tail = ast.Starred(value=node.right, ctx=ast.Load())
        return sequence(frame, ast.List(elts=[*node.left.elts, tail], ctx=ast.Load()))
    left = frame.text(node.left)
    right = frame.expr(node.right)
    name = frame.fresh("joined", "combined")
    frame.emit(f"local {name} = {{table.unpack({left})}}")
    if isinstance(node.right, ast.List | ast.Tuple) and len(node.right.elts) == 1:
        frame.emit(f"table.insert({name}, {frame.text(node.right.elts[0])})")
    else:
        item = frame.fresh("item", "element")
        frame.emit(f"for _, {item} in ipairs({right.text}) do")
        with frame.block():
            frame.emit(f"{name}[#{name} + 1] = {item}")
        frame.emit("end")
    return Code(name)


def _repeat(frame: Frame, node: ast.BinOp) -> Code:
    """Writes a repeated string, or a list filled with one constant."""
    left, right = node.left, node.right
    if frame.kind(right) in ("str", "list"):
        left, right = right, left
    if frame.kind(left) == "str":
        return Code(f"{frame.text(left, ATOM)}:rep({frame.text(right)})")
    filled = isinstance(left, ast.List) and len(left.elts) == 1
    if not filled or not isinstance(left.elts[0], ast.Constant) or left.elts[0].value is None:
        raise UntranslatableError("a repeated list")
    name, counter = frame.fresh("filled", "row"), frame.fresh("slot", "cell")
    frame.emit(f"local {name} = {{}}")
    frame.emit(f"for {counter} = 1, {frame.text(right)} do")
    with frame.block():
        frame.emit(f"{name}[{counter}] = {frame.text(left.elts[0])}")
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


@expression(ast.Compare)
def comparison(frame: Frame, node: ast.Compare) -> Code:
    operands = [node.left, *node.comparators]
    parts = []
    for position, operator in enumerate(node.ops):
        if position and not isinstance(operands[position], ast.Constant):
            simple(frame, operands[position])
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
    if any(kind in _TABLES for kind in kinds) and "none" not in kinds:
        raise UntranslatableError("comparing containers by value")
    if gives_several(frame, left) or gives_several(frame, right):
        raise UntranslatableError("comparing several values")
    if isinstance(left, ast.Name) and left.id in frame.one_based:
        if isinstance(right, ast.Constant) and type(right.value) is int:
            return Code(f"{lua_name(left.id)} {symbol} {number(right.value + 1)}", COMPARE)
    first, second = frame.text(left, COMPARE + 1), frame.text(right, COMPARE + 1)
    return Code(f"{first} {symbol} {second}", COMPARE)


def _membership(frame: Frame, left: ast.expr, right: ast.expr, positive: bool) -> Code:
    """Writes `left in right` for the containers whose kind is evident."""
    kind = (frame.kind(right) or "").rstrip("?")
    if isinstance(right, ast.Call) and isinstance(right.func, ast.Attribute):
        if right.func.attr == "keys" and not right.args:
            right, kind = right.func.value, "dict"
    if isinstance(right, ast.Tuple | ast.List | ast.Set) and len(right.elts) <= _LONGEST_CHAIN:
        operator = ast.Eq() if positive else ast.NotEq()
        if len(right.elts) > 1:
            simple(frame, left)
        parts = [_relation(frame, left, operator, choice) for choice in right.elts]
        rank, word = (OR, " or ") if positive else (AND, " and ")
        texts = [frame.wrap(part, rank) for part in parts]
        return Code(word.join(texts), rank if len(parts) > 1 else COMPARE)
    if kind in ("dict", "set"):
        refuse_key(frame, left)
        return _found(f"{frame.text(right, ATOM)}[{frame.text(left)}]", positive)
    if kind == "str":
        return _found(f"{frame.text(right, ATOM)}:find({frame.text(left)}, 1, true)", positive)
    if kind not in ("list", "tuple") or frame.kind(left) in _TABLES:
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
    kind = frame.kind(node) or ""
    forms = _TRUTHS.get(kind.rstrip("?"))
    if forms is None:
        return frame.expr(node)
    if not kind.endswith("?"):
        return Code(forms[0].format(frame.text(node, ATOM)), COMPARE)
    text = simple(frame, node)
    return Code(f"{text} and {forms[0].format(text)}", AND)


def negation(frame: Frame, node: ast.expr) -> Code:
    """Returns the opposite of a condition."""
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in _OPPOSITE:
        operator = _OPPOSITE[type(node.ops[0])]()
        return _relation(frame, node.left, operator, node.comparators[0])
    kind = frame.kind(node) or ""
    forms = _TRUTHS.get(kind.rstrip("?"))
    if forms is None:
        return Code(f"not {frame.wrap(condition(frame, node), UNARY)}", UNARY)
    if not kind.endswith("?"):
        return Code(forms[1].format(frame.text(node, ATOM)), COMPARE)
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
    return Code(f" {word} ".join(parts), rank)


@expression(ast.IfExp)
def choice(frame: Frame, node: ast.IfExp) -> Code:
    test = condition(frame, node.test)
    certain = frame.kind(node.body) in ("num", "str", *_TABLES) or isinstance(node.body, ast.Lambda)
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

"""Arithmetic, comparisons, truth and choice."""

from __future__ import annotations

import ast

from featrack_utils.corpora.luagen.evidence import dotted
from featrack_utils.corpora.luagen.expressions import refuse_nil, sequence
from featrack_utils.corpora.luagen.frame import (
    ATOM,
    BIT_AND,
    BIT_OR,
    BIT_XOR,
    CONCAT,
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
from featrack_utils.corpora.luagen.indexing import plus, simple
from featrack_utils.corpora.luagen.strings import percent_format

_BINARY = {
    ast.Add: ("+", SUM), ast.Sub: ("-", SUM), ast.Mult: ("*", PRODUCT), ast.Div: ("/", PRODUCT),
    ast.FloorDiv: ("//", PRODUCT), ast.Mod: ("%", PRODUCT), ast.Pow: ("^", POWER),
    ast.BitAnd: ("&", BIT_AND), ast.BitOr: ("|", BIT_OR), ast.BitXor: ("~", BIT_XOR),
    ast.LShift: ("<<", SHIFT), ast.RShift: (">>", SHIFT),
}  # fmt: skip
_BITWISE = (ast.BitAnd, ast.BitOr, ast.BitXor, ast.LShift, ast.RShift)
TABLES = ("list", "tuple", "dict", "set")
_LOGICAL = ast.Compare | ast.BoolOp


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
    if not isinstance(left, ast.List) or len(left.elts) != 1:
        raise UntranslatableError("a repeated list")
    refuse_nil(left.elts[0])
    content = simple(frame, left.elts[0])
    name, counter = frame.fresh("filled", "row"), frame.fresh("slot", "cell")
    frame.emit(f"local {name} = {{}}")
    frame.emit(f"for {counter} = 1, {frame.text(right)} do")
    with frame.block():
        frame.emit(f"{name}[{counter}] = {content}")
    frame.emit("end")
    return Code(name)

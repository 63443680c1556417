"""Items and slices: positions counted from one, keys as they are."""

from __future__ import annotations

import ast

from featrack_utils.corpora.luagen.evidence import looks_like_index
from featrack_utils.corpora.luagen.expressions import gives_several, keyed, refuse_key
from featrack_utils.corpora.luagen.frame import (
    ATOM,
    SUM,
    VALUE,
    Code,
    Frame,
    UntranslatableError,
    expression,
)
from featrack_utils.corpora.luagen.names import is_plain_key, lua_name, number, quoted


@expression(ast.Subscript)
def item(frame: Frame, node: ast.Subscript) -> Code:
    kind = (frame.kind(node.value) or "").rstrip("?")
    if isinstance(node.slice, ast.Slice):
        return piece(frame, node.value, node.slice, kind)
    if gives_several(frame, node.value):
        raise UntranslatableError("an item of several values")
    if kind == "str":
        return character(frame, node.value, node.slice)
    if kind == "set":
        raise UntranslatableError("an item of a set")
    value = frame.text(node.value, ATOM)
    index = node.slice
    if isinstance(index, ast.Constant) and isinstance(index.value, str) and kind != "list":
        if is_plain_key(index.value):
            return Code(f"{value}.{index.value}")
        return Code(f"{value}[{quoted(index.value)}]")
    if kind == "dict":
        return Code(keyed(frame, value, index))
    return Code(f"{value}[{position(frame, node.value, index, kind)}]")


def position(frame: Frame, value: ast.expr, index: ast.expr, kind: str) -> str:
    """Returns the index in Lua's counting from one, or the key as it is if it is no number."""
    if isinstance(index, ast.UnaryOp) and isinstance(index.op, ast.USub):
        if not isinstance(index.operand, ast.Constant) or not isinstance(index.operand.value, int):
            raise UntranslatableError("an index that may be negative")
        back = index.operand.value - 1
        return f"#{simple(frame, value)}" + (f" - {back}" if back else "")
    if isinstance(index, ast.Tuple | ast.Compare | ast.BoolOp | ast.List):
        raise UntranslatableError("several indices at once")
    is_number = frame.kind(index) == "num" or looks_like_index(index)
    if kind in ("list", "tuple") or is_number:
        return plus(frame, index, 1)
    refuse_key(frame, index)
    return frame.text(index)


def simple(frame: Frame, node: ast.expr) -> str:
    """Returns an expression cheap and safe enough to write twice, held in a variable if need be.

    Raises:
        UntranslatableError: if it needs a variable where none can be declared.
    """
    if isinstance(node, ast.Constant):
        return frame.text(node)
    if _is_path(node):
        return frame.text(node, ATOM)
    text = frame.text(node)
    name = frame.fresh("value", "held", "current")
    frame.emit(f"local {name} = {text}")
    return name


def require_path(node: ast.expr) -> None:
    """Refuses an expression that is written twice but may have effects.

    Raises:
        UntranslatableError: unless it only follows names, fields and keys.
    """
    if not isinstance(node, ast.Constant) and not _is_path(node):
        raise UntranslatableError("an expression needed twice")


def _is_path(node: ast.expr) -> bool:
    """Says whether an expression only follows names, fields and constant or named keys."""
    if isinstance(node, ast.Attribute):
        return _is_path(node.value)
    if isinstance(node, ast.Subscript):
        return _is_path(node.value) and isinstance(node.slice, ast.Name | ast.Constant)
    return isinstance(node, ast.Name)


def plus(frame: Frame, node: ast.expr, amount: int) -> str:
    """Returns `node + amount`, with constants added up and one-based loop variables absorbed."""
    if isinstance(node, ast.Constant) and isinstance(node.value, int):
        return number(node.value + amount)
    if isinstance(node, ast.BinOp) and isinstance(node.right, ast.Constant):
        shift = node.right.value
        if isinstance(node.op, ast.Add | ast.Sub) and type(shift) is int:
            return plus(
                frame, node.left, amount + (shift if isinstance(node.op, ast.Add) else -shift)
            )
    if isinstance(node, ast.Name) and node.id in frame.one_based:
        text, amount = lua_name(node.id), amount - 1
    else:
        text = frame.text(node, SUM)
    if amount == 0:
        return text
    return f"{text} {'+' if amount > 0 else '-'} {abs(amount)}"


def character(frame: Frame, value: ast.expr, index: ast.expr) -> Code:
    """Returns one character of a string."""
    text = frame.text(value, ATOM)
    if isinstance(index, ast.UnaryOp) and isinstance(index.op, ast.USub):
        where = frame.text(index)
        return Code(f"{text}:sub({where})" if where == "-1" else f"{text}:sub({where}, {where})")
    where = plus(frame, index, 1)
    return Code(f"{text}:sub({where}, {where})")


def piece(frame: Frame, value: ast.expr, cut: ast.Slice, kind: str) -> Code:
    """Returns a slice of a string or a list."""
    if cut.step is not None or kind not in ("str", "list", "tuple"):
        raise UntranslatableError("a slice of unknown kind")
    if kind == "str":
        first = bound(frame, cut.lower, "1", "", 1, 0)
        last = bound(frame, cut.upper, "", "", 0, -1)
        parts = [first, last] if last else [first]
        return Code(f"{frame.text(value, ATOM)}:sub({', '.join(parts)})")
    text = simple(frame, value)
    first = bound(frame, cut.lower, "1", f"#{text}", 1, 1)
    last = bound(frame, cut.upper, "", f"#{text}", 0, 0)
    if isinstance(cut.lower, ast.UnaryOp):
        first = f"math.max({first}, 1)"
    parts = [text] if first == "1" and not last else [text, first, *([last] if last else [])]
    return Code(f"{{table.unpack({', '.join(parts)})}}", VALUE)


def bound(
    frame: Frame, node: ast.expr | None, default: str, length: str, shift: int, negative: int
) -> str:
    """Returns one end of a slice; a negative constant counts from `length`, or stays negative."""
    if node is None:
        return default
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        if not isinstance(node.operand, ast.Constant) or not isinstance(node.operand.value, int):
            raise UntranslatableError("a bound that may be negative")
        back = -node.operand.value + negative
        if not length:
            return number(back)
        return f"{length} - {-back}" if back else length
    return plus(frame, node, shift)

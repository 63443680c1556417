"""Names, constants, displays, attributes, items and slices."""

from __future__ import annotations

import ast
import builtins

from featrack_utils.corpora.luagen.evidence import dotted, looks_like_index
from featrack_utils.corpora.luagen.frame import (
    ATOM,
    INDENT,
    LINE_WIDTH,
    SUM,
    VALUE,
    Code,
    Frame,
    UntranslatableError,
    expression,
)
from featrack_utils.corpora.luagen.names import field_name, is_plain_key, lua_name, number, quoted

_BUILTINS = frozenset(dir(builtins))
_AS_VALUES = {"print": "print", "str": "tostring", "type": "getmetatable"}


@expression(ast.Constant)
def constant(frame: Frame, node: ast.Constant) -> Code:
    value = node.value
    if value is None:
        return Code("nil", VALUE)
    if isinstance(value, bool):
        return Code(str(value).lower(), VALUE)
    if isinstance(value, int | float):
        return Code(number(value), VALUE)
    if isinstance(value, str):
        return Code(quoted(value), VALUE)
    raise UntranslatableError("a constant that Lua lacks")


@expression(ast.Name)
def name(frame: Frame, node: ast.Name) -> Code:
    found = node.id
    if found in frame.one_based:
        return Code(f"{lua_name(found)} - 1", SUM)
    if found in frame.locals:
        if found == frame.varargs:
            raise UntranslatableError("variable arguments used as a value")
        return Code(lua_name(found))
    module = frame.module
    if found in module.imports:
        if module.is_standard(found):
            raise UntranslatableError("a module of Python's own")
        module.used[found] = None
        return Code(lua_name(found))
    if found in module.constants:
        module.used[found] = None
    elif found in _BUILTINS and found not in module.functions and found not in module.classes:
        if found in _AS_VALUES:
            return Code(_AS_VALUES[found])
        raise UntranslatableError("a builtin used as a value "+found)
    if found.startswith("__") and found.endswith("__"):
        raise UntranslatableError("a special name")
    return Code(lua_name(found))


@expression(ast.Attribute)
def attribute(frame: Frame, node: ast.Attribute) -> Code:
    if node.attr.startswith("__") and node.attr.endswith("__"):
        raise UntranslatableError("a special attribute")
    if isinstance(node.value, ast.Name) and node.value.id == "math" and is_math(frame, node.value):
        known = {"pi": "math.pi", "inf": "math.huge"}
        if node.attr in known:
            return Code(known[node.attr])
    if is_self(frame, node.value):
        found = frame.module.inherited(frame.owner, node.attr)
        if found and found.role == "property":
            return Code(f"self:{field_name(node.attr)}()")
        if found and frame.owner and node.attr not in frame.owner.attributes:
            raise UntranslatableError("a bound method used as a value")
    return Code(f"{frame.text(node.value, ATOM)}.{field_name(node.attr)}")


def is_self(frame: Frame, node: ast.expr) -> bool:
    """Says whether an expression is the method's own object."""
    return isinstance(node, ast.Name) and node.id == "self" and frame.owner is not None


def is_math(frame: Frame, node: ast.expr) -> bool:
    """Says whether a name is Python's math module, whose functions Lua shares."""
    return (
        isinstance(node, ast.Name)
        and node.id not in frame.locals
        and frame.module.imports.get(node.id) == ("math", None)
    )


@expression(ast.List, ast.Tuple)
def sequence(frame: Frame, node: ast.List | ast.Tuple) -> Code:
    items = []
    for position, element in enumerate(node.elts):
        if isinstance(element, ast.Starred):
            if position < len(node.elts) - 1:
                raise UntranslatableError("unpacking before the end")
            items.append(unpacked(frame, element.value))
        else:
            refuse_nil(element)
            items.append(frame.text(element))
    if items and isinstance(node.elts[-1], ast.Call):
        items[-1] = single(frame, node.elts[-1], items[-1])
    return Code(table(frame, items), VALUE)


def unpacked(frame: Frame, node: ast.expr) -> str:
    """Returns the values of a list as several values, at the end of a list of expressions."""
    if isinstance(node, ast.Name) and node.id == frame.varargs:
        return "..."
    if frame.kind(node) in ("dict", "set", "str") or isinstance(node, ast.GeneratorExp):
        raise UntranslatableError("unpacking what is no list")
    return f"table.unpack({frame.text(node)})"


def single(frame: Frame, node: ast.Call, text: str) -> str:
    """Cuts a call known to give several values down: a tuple of theirs would be one value."""
    if gives_several(frame, node):
        raise UntranslatableError("a tuple that Lua returns as several values")
    return text


def gives_several(frame: Frame, node: ast.expr) -> bool:
    """Says whether a call is to a function of this module that returns several values."""
    if not isinstance(node, ast.Call):
        return False
    if isinstance(node.func, ast.Name):
        found = frame.module.functions.get(node.func.id)
    elif isinstance(node.func, ast.Attribute) and is_self(frame, node.func.value):
        found = frame.module.inherited(frame.owner, node.func.attr)
    else:
        found = None
    return found is not None and found.several


def refuse_nil(node: ast.expr) -> None:
    """Refuses None inside a table, where Lua's nil would be a hole.

    Raises:
        UntranslatableError: if the node is None.
    """
    if isinstance(node, ast.Constant) and node.value is None:
        raise UntranslatableError("None inside a table")


def table(frame: Frame, items: list[str]) -> str:
    """Returns a table constructor, one item a line where one line would be too long."""
    return bracketed(frame, "{", items, "}")


def bracketed(frame: Frame, opening: str, items: list[str], closing: str) -> str:
    """Returns items between brackets, broken into lines if they are long."""
    flat = opening + ", ".join(items) + closing
    if len(items) < 2 or "\n" in flat or len(flat) + 2 * frame.indent < LINE_WIDTH:
        return flat
    margin = INDENT * (frame.indent + 1)
    lines = f",\n{margin}".join(items)
    return f"{opening}\n{margin}{lines}\n{INDENT * frame.indent}{closing}"


@expression(ast.Dict)
def dictionary(frame: Frame, node: ast.Dict) -> Code:
    items = []
    for key, value in zip(node.keys, node.values, strict=True):
        if key is None:
            raise UntranslatableError("unpacking into a dictionary")
        refuse_nil(value)
        items.append(f"{key_text(frame, key)} = {frame.text(value)}")
    return Code(table(frame, items), VALUE)


@expression(ast.Set)
def set_display(frame: Frame, node: ast.Set) -> Code:
    return Code(table(frame, [f"{key_text(frame, item)} = true" for item in node.elts]), VALUE)


def key_text(frame: Frame, node: ast.expr) -> str:
    """Returns a key in a table constructor: a bare name where Lua allows one."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and is_plain_key(node.value):
        return node.value
    refuse_key(frame, node)
    return f"[{frame.text(node)}]"


def refuse_key(frame: Frame, node: ast.expr) -> None:
    """Refuses keys that Python compares by value and Lua by identity, and nil.

    Raises:
        UntranslatableError: if the key is a tuple, a set or None.
    """
    if frame.kind(node) in ("tuple", "set", "none", "list"):
        raise UntranslatableError("a tuple as a key")


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
        refuse_key(frame, index)
        return Code(f"{value}[{frame.text(index)}]")
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
    """Returns an expression cheap and safe enough to write twice.

    Raises:
        UntranslatableError: if it may have effects.
    """
    inner = node.value if isinstance(node, ast.Subscript) else node
    steps = isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Name | ast.Constant)
    if dotted(inner) is None or (isinstance(node, ast.Subscript) and not steps):
        raise UntranslatableError("an expression needed twice")
    return frame.text(node, ATOM)


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

"""Names, constants, displays, attributes, items and slices."""

from __future__ import annotations

import ast
import builtins

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
        raise UntranslatableError("a builtin used as a value")
    if found.startswith("__") and found.endswith("__"):
        raise UntranslatableError("a special name")
    return Code(lua_name(found))


@expression(ast.Attribute)
def attribute(frame: Frame, node: ast.Attribute) -> Code:
    if node.attr == "__class__":
        return Code(f"getmetatable({frame.text(node.value)})")
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


def keyed(frame: Frame, container: str, key: ast.expr) -> str:
    """Returns an item of a dictionary: `t.name` for a plain name, else `t[key]`."""
    if isinstance(key, ast.Constant) and isinstance(key.value, str) and is_plain_key(key.value):
        return f"{container}.{key.value}"
    refuse_key(frame, key)
    return f"{container}[{frame.text(key)}]"


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

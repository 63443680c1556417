"""What the source says about the types of its variables, read without running it.

A kind is "num", "str", "bool", "list", "tuple", "dict", "set" or "none"; a trailing "?" means
that None is possible too. Where the source is silent or contradicts itself the kind is None.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable

from featrack_utils.corpora.luagen.annotations import agreed, annotated_kind
from featrack_utils.corpora.luagen.nodes import walk

LIST_METHODS = frozenset({"append", "extend"})
DICT_METHODS = frozenset({"items", "keys", "values", "setdefault"})
STRING_METHODS = frozenset(
    {
        "endswith", "isalnum", "isalpha", "isdigit", "isspace", "lower", "lstrip", "rstrip",
        "splitlines", "startswith", "strip", "upper", "rsplit", "partition", "rpartition",
        "title", "capitalize", "rjust", "ljust", "zfill", "center", "swapcase", "casefold",
        "isupper", "islower", "isnumeric", "isdecimal", "isidentifier", "expandtabs", "encode",
        "removeprefix", "removesuffix",
    }
)  # fmt: skip
_TO_STRING = frozenset(
    {
        "format", "join", "lower", "lstrip", "replace", "rstrip", "strip", "upper", "title",
    }
)  # fmt: skip
_TO_BOOL = frozenset(
    {
        "endswith", "isalnum", "isalpha", "isdigit", "isspace", "startswith",
    }
)  # fmt: skip
BY_BUILTIN = {
    "num": ["len", "int", "float", "abs", "ord", "sum"],
    "str": ["str", "repr", "chr"],
    "list": ["list", "sorted", "range"],
    "dict": ["dict"],
    "set": ["set", "frozenset"],
    "tuple": ["tuple"],
    "bool": ["isinstance", "any", "all", "bool", "hasattr", "callable", "issubclass"],
}
_BUILTIN_KIND = {name: kind for kind, names in BY_BUILTIN.items() for name in names}
_INDEX_NAME = re.compile(r"(?:[ijkmn]|\w*(?:idx|index|pos|offset|num|count)|ind|start|stop)\d?\Z")


def dotted(node: ast.expr) -> str | None:
    """Returns the key of a variable or of an attribute of one, "x" or "self.x"."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return f"{node.value.id}.{node.attr}"
    return None


def looks_like_index(node: ast.expr) -> bool:
    """Says whether a name is one that people give to positions (i, idx, start)."""
    return isinstance(node, ast.Name) and _INDEX_NAME.match(node.id) is not None


def kind_of(node: ast.expr, kinds: dict[str, str], outer: dict[str, str]) -> str | None:
    """Returns the evident kind of an expression, or None."""
    match node:
        case ast.Constant(value=value):
            return _constant_kind(value)
        case ast.Name(id=name):
            return kinds.get(name) or outer.get(name)
        case ast.Attribute():
            key = dotted(node)
            return kinds.get(key) if key else None
        case ast.JoinedStr():
            return "str"
        case ast.List() | ast.ListComp():
            return "list"
        case ast.Tuple():
            return "tuple"
        case ast.Dict() | ast.DictComp():
            return "dict"
        case ast.Set() | ast.SetComp():
            return "set"
        case ast.Compare() | ast.UnaryOp(op=ast.Not()):
            return "bool"
        case ast.UnaryOp(operand=operand):
            return kind_of(operand, kinds, outer)
        case ast.BinOp():
            return _operation_kind(node, kinds, outer)
        case ast.IfExp(body=body, orelse=orelse):
            return agreed([kind_of(body, kinds, outer), kind_of(orelse, kinds, outer)])
        case ast.BoolOp(values=values):
            return agreed([kind_of(value, kinds, outer) for value in values])
        case ast.Call():
            return _call_kind(node, kinds, outer)
        case ast.Subscript(value=value, slice=index):
            kind = kind_of(value, kinds, outer)
            if isinstance(index, ast.Slice):
                return kind
            return "str" if kind == "str" else None
    return None


def _constant_kind(value: object) -> str | None:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "num"
    return "str" if isinstance(value, str) else None


def _operation_kind(node: ast.BinOp, kinds: dict[str, str], outer: dict[str, str]) -> str | None:
    left, right = kind_of(node.left, kinds, outer), kind_of(node.right, kinds, outer)
    if isinstance(node.op, ast.Mod) and left == "str":
        return "str"
    if isinstance(node.op, ast.Add | ast.Mult):
        for kind in ("str", "list", "tuple"):
            if kind in (left, right):
                return kind
    if {left, right} <= {"num", None} and "num" in (left, right):
        return "num"
    return left if left == right and left in ("set", "num") else None


def _call_kind(node: ast.Call, kinds: dict[str, str], outer: dict[str, str]) -> str | None:
    if isinstance(node.func, ast.Name):
        return _BUILTIN_KIND.get(node.func.id)
    if not isinstance(node.func, ast.Attribute):
        return None
    method = node.func.attr
    if method in ("split", "splitlines", "rsplit"):
        return "list"
    receiver = kind_of(node.func.value, kinds, outer)
    if method == "copy" and not node.args:
        return receiver
    if method in STRING_METHODS or receiver == "str":
        return "str" if method in _TO_STRING else "bool" if method in _TO_BOOL else None
    return None


def sized_names(nodes: Iterable[ast.AST]) -> set[str]:
    """Returns variables that are measured with len or read at a constant position.

    Whether they are lists or strings is open, but Lua's `#` tells for both if they are empty.
    """
    found = set()
    for node in nodes:
        match node:
            case ast.Call(func=ast.Name(id="len"), args=[value]):
                found.add(dotted(value))
            case ast.Subscript(
                value=value,
                slice=ast.Constant(value=int()) | ast.UnaryOp(operand=ast.Constant(value=int())),
            ):
                found.add(dotted(value))
    return {name for name in found if name}


def assigned_kinds(
    nodes: Iterable[ast.AST], known: dict[str, str], outer: dict[str, str]
) -> dict[str, str]:
    """Returns the kinds of variables and attributes from what is assigned to and done with them.

    Args:
        nodes: every node of the function (or of all methods of the class).
        known: kinds already certain (annotated parameters), which stay as they are.
        outer: kinds of the module's constants.
    """
    stores: dict[str, list[ast.expr | str | None]] = {}
    uses: dict[str, set[str]] = {}
    for node in nodes:
        _note(node, stores, uses)
    kinds = dict(known)
    for name, found in uses.items():
        if name not in known and len(found) == 1:
            kinds[name] = next(iter(found))
    for _ in range(2):  # the second pass sees what the first found about right-hand sides
        for name, values in stores.items():
            if name in known:
                continue
            kind = agreed(
                value if isinstance(value, str) or value is None else kind_of(value, kinds, outer)
                for value in values
            )
            if kind:
                kinds[name] = kind
            elif len(uses.get(name, ())) != 1:
                kinds.pop(name, None)
    return kinds


def _note(
    node: ast.AST, stores: dict[str, list[ast.expr | str | None]], uses: dict[str, set[str]]
) -> None:
    """Records what one node tells about a variable."""
    match node:
        case ast.Assign(targets=targets, value=value):
            for target in targets:
                _note_target(target, value, stores)
        case ast.AnnAssign(target=target, annotation=annotation, value=value):
            if key := dotted(target):
                stores.setdefault(key, []).append(annotated_kind(annotation) or value)
        case ast.AugAssign(target=target, value=value):
            if (key := dotted(target)) and not isinstance(value, ast.Constant):
                stores.setdefault(key, []).append(value)
        case ast.For(target=target, iter=values) | ast.comprehension(target=target, iter=values):
            _note_loop(target, values, stores)
        case ast.Call(func=ast.Attribute(value=receiver, attr=method)):
            if key := dotted(receiver):
                for kind, methods in (
                    ("list", LIST_METHODS), ("dict", DICT_METHODS), ("str", STRING_METHODS),
                ):  # fmt: skip
                    if method in methods:
                        uses.setdefault(key, set()).add(kind)


def _note_target(
    target: ast.expr, value: ast.expr, stores: dict[str, list[ast.expr | str | None]]
) -> None:
    if isinstance(target, ast.Tuple | ast.List):
        same = isinstance(value, ast.Tuple) and len(value.elts) == len(target.elts)
        for position, element in enumerate(target.elts):
            if key := dotted(element):
                stores.setdefault(key, []).append(value.elts[position] if same else None)
    elif key := dotted(target):
        stores.setdefault(key, []).append(value)


def _note_loop(
    target: ast.expr, values: ast.expr, stores: dict[str, list[ast.expr | str | None]]
) -> None:
    counts = isinstance(values, ast.Call) and isinstance(values.func, ast.Name)
    function = values.func.id if counts else ""
    if isinstance(target, ast.Name):
        stores.setdefault(target.id, []).append("num" if function == "range" else None)
    elif isinstance(target, ast.Tuple):
        for position, element in enumerate(target.elts):
            for name in walk(element):
                if isinstance(name, ast.Name):
                    first = position == 0 and function == "enumerate"
                    stores.setdefault(name.id, []).append("num" if first else None)

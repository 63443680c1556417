"""What annotations and docstrings say about types."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable

_ANNOTATED = {
    "str": "str", "int": "num", "float": "num", "bool": "bool", "list": "list", "List": "list",
    "dict": "dict", "Dict": "dict", "Mapping": "dict", "MutableMapping": "dict", "set": "set",
    "Set": "set", "tuple": "tuple", "Tuple": "tuple", "Sequence": "list",
}  # fmt: skip


_DOCUMENTED = re.compile(
    r"^\s*(?:\*\s*)?(\w+)\s*(?::|\()\s*(str(?:ing)?|int(?:eger)?|float|bool(?:ean)?|list|dict(?:ionary)?"
    r"|set|tuple|number|scalar)\b([^\n]*)",
    re.MULTILINE,
)


_DOC_KIND = {
    "string": "str", "integer": "num", "int": "num", "float": "num", "number": "num",
    "boolean": "bool", "dictionary": "dict",
}  # fmt: skip


def annotated_kind(node: ast.expr | None) -> str | None:
    """Returns the kind a type annotation names, `str | None` giving "str?"."""
    match node:
        case ast.Constant(value=None):
            return "none"
        case ast.Constant(value=str(text)):
            try:
                return annotated_kind(ast.parse(text, mode="eval").body)
            except (SyntaxError, ValueError):
                return None
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return _ANNOTATED.get(name)
        case ast.Subscript(value=ast.Name(id="Optional"), slice=inner):
            return agreed([annotated_kind(inner), "none"])
        case ast.Subscript(value=outer):
            return annotated_kind(outer)
        case ast.BinOp(op=ast.BitOr(), left=left, right=right):
            return agreed([annotated_kind(left), annotated_kind(right)])
    return None


def documented_kinds(docstring: str) -> dict[str, str]:
    """Returns the kinds that a numpy or Google style docstring gives to parameters."""
    found = {}
    for name, kind, rest in _DOCUMENTED.findall(docstring):
        if " or " not in rest.replace("or None", "") and "," not in rest.split("optional")[0][:-2]:
            optional = "?" if "optional" in rest or "None" in rest else ""
            found[name] = _DOC_KIND.get(kind, kind).replace("scalar", "num") + optional
    return found


def agreed(found: Iterable[str | None]) -> str | None:
    """Returns the one kind all agree on; None beside it makes it optional."""
    kinds = set(found)
    optional = "none" in kinds or any(kind and kind.endswith("?") for kind in kinds)
    kinds = {kind.rstrip("?") if kind else None for kind in kinds} - {"none"}
    if len(kinds) != 1:
        return None
    kind = kinds.pop()
    return kind + "?" if kind and optional else kind

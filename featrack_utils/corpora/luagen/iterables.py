"""What loops run over: ranges, enumerations, several lists at once, items, words."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from featrack_utils.corpora.luagen.frame import ATOM, CONCAT, Frame, UntranslatableError
from featrack_utils.corpora.luagen.indexing import plus
from featrack_utils.corpora.luagen.names import lua_name, pattern, quoted
from featrack_utils.corpora.luagen.nodes import walk

_ITEM_NAMES = {2: ("pair", "entry"), 3: ("triple", "entry")}


def single_name(target: ast.expr, body: Sequence[ast.AST]) -> str:
    """Returns the loop's only variable, which the body must leave alone."""
    if not isinstance(target, ast.Name) or _stores(body, target.id):
        raise UntranslatableError("a loop variable that the loop itself changes")
    return lua_name(target.id)


def _stores(body: Sequence[ast.AST], name: str) -> bool:
    return any(
        isinstance(node, ast.Name) and node.id == name and not isinstance(node.ctx, ast.Load)
        for part in body
        for node in walk(part)
    )


def element_names(target: ast.expr) -> tuple[str, list[str]]:
    """Returns the variable for an item, and the line that takes the item apart."""
    if isinstance(target, ast.Name):
        return lua_name(target.id), []
    if not isinstance(target, ast.Tuple | ast.List):
        raise UntranslatableError("a loop over attributes")
    names = []
    for element in target.elts:
        if not isinstance(element, ast.Name):
            raise UntranslatableError("a nested loop target")
        names.append(lua_name(element.id))
    item = next(
        name for name in (*_ITEM_NAMES.get(len(names), ()), "row", "item_") if name not in names
    )
    return item, [f"local {', '.join(names)} = table.unpack({item})"]


def _range(
    frame: Frame, target: ast.expr, arguments: list[ast.expr], body: Sequence[ast.AST]
) -> tuple[str, list[str]]:
    name = single_name(target, body)
    start = arguments[0] if len(arguments) > 1 else ast.Constant(0)
    stop = arguments[1] if len(arguments) > 1 else arguments[0]
    if len(arguments) == 3:
        step = frame.text(arguments[2])
        if not step.lstrip("-").isdigit():
            raise UntranslatableError("a step of unknown sign")
        last = plus(frame, stop, 1 if step.startswith("-") else -1)
        return f"{name} = {frame.text(start)}, {last}, {step}", []
    if _only_indexes(frame, target.id, body):
        frame.fresh_shift = {target.id}
        return f"{name} = {plus(frame, start, 1)}, {frame.text(stop)}", []
    return f"{name} = {plus(frame, start, 0)}, {plus(frame, stop, -1)}", []


def _only_indexes(frame: Frame, name: str, body: Sequence[ast.AST]) -> bool:
    """Says whether a variable serves only to index lists and strings, `x[i]` or `x[i + 1]`."""
    total = indexing = 0
    for part in body:
        for node in walk(part):
            if isinstance(node, ast.Name):
                total += node.id == name
            elif isinstance(node, ast.Subscript) and frame.kind(node.value) not in ("dict", "set"):
                index = node.slice
                if isinstance(index, ast.BinOp) and isinstance(index.op, ast.Add | ast.Sub):
                    index = index.left if isinstance(index.right, ast.Constant) else index
                indexing += isinstance(index, ast.Name) and index.id == name
    return total > 0 and total == indexing


def _enumerate(
    frame: Frame, target: ast.expr, arguments: list[ast.expr], body: Sequence[ast.AST]
) -> tuple[str, list[str]]:
    if not isinstance(target, ast.Tuple) or len(target.elts) != 2:
        raise UntranslatableError("an enumeration into one variable")
    counter = single_name(target.elts[0], body)
    start = (
        arguments[1].value if len(arguments) > 1 and isinstance(arguments[1], ast.Constant) else 0
    )
    if len(arguments) > 1 and start != 1:
        raise UntranslatableError("an enumeration from an unusual start")
    if frame.kind(arguments[0]) not in ("list", "tuple", None) or isinstance(
        arguments[0], ast.GeneratorExp
    ):
        raise UntranslatableError("an enumeration of what is no list")
    item, unpacked = element_names(target.elts[1])
    if start == 0:
        frame.fresh_shift = {target.elts[0].id}
    return f"{counter}, {item} in ipairs({frame.text(arguments[0])})", unpacked


def _zip(
    frame: Frame, target: ast.expr, arguments: list[ast.expr], body: Sequence[ast.AST]
) -> tuple[str, list[str]]:
    if not isinstance(target, ast.Tuple) or len(target.elts) != len(arguments):
        raise UntranslatableError("a zip into one variable")
    names, texts = [], []
    for element, argument in zip(target.elts, arguments, strict=True):
        if not isinstance(element, ast.Name) or frame.kind(argument) in ("dict", "set", "str"):
            raise UntranslatableError("a zip of what is no list")
        names.append(lua_name(element.id))
        text = frame.text(argument, ATOM)
        if not text.replace(".", "").isidentifier():
            held = frame.fresh("items", "others", "values", "entries")
            frame.emit(f"local {held} = {text}")
            text = held
        texts.append(text)
    counter = frame.fresh("i", "k", "slot")
    sizes = ", ".join("#" + text for text in texts)
    values = ", ".join(f"{text}[{counter}]" for text in texts)
    return f"{counter} = 1, math.min({sizes})", [f"local {', '.join(names)} = {values}"]


def _reversed(
    frame: Frame, target: ast.expr, arguments: list[ast.expr], body: Sequence[ast.AST]
) -> tuple[str, list[str]]:
    inner = arguments[0]
    if (
        isinstance(inner, ast.Call)
        and isinstance(inner.func, ast.Name)
        and inner.func.id == "range"
    ):
        name = single_name(target, body)
        first = inner.args[0] if len(inner.args) == 2 else ast.Constant(0)
        if len(inner.args) > 2:
            raise UntranslatableError("a reversed range with a step")
        return f"{name} = {plus(frame, inner.args[-1], -1)}, {plus(frame, first, 0)}, -1", []
    if frame.kind(inner) not in ("list", "tuple", None):
        raise UntranslatableError("a reversed iteration over what is no list")
    text = frame.text(inner, ATOM)
    if not text.replace(".", "").isidentifier():
        raise UntranslatableError("a list needed twice")
    item, unpacked = element_names(target)
    counter = frame.fresh("i", "k", "slot")
    return f"{counter} = #{text}, 1, -1", [f"local {item} = {text}[{counter}]", *unpacked]


BY_BUILTIN = {"range": _range, "enumerate": _enumerate, "zip": _zip, "reversed": _reversed}


def by_method(
    frame: Frame,
    target: ast.expr,
    function: ast.Attribute,
    arguments: list[ast.expr],
    body: Sequence[ast.AST],
) -> tuple[str, list[str]] | None:
    """Runs over items(), keys(), values() or split()."""
    if function.attr in ("items", "keys", "values") and not arguments:
        text = f"pairs({frame.text(function.value)})"
        if function.attr == "keys":
            return f"{single_name(target, body)} in {text}", []
        if function.attr == "values":
            item, unpacked = element_names(target)
            return f"_, {item} in {text}", unpacked
        if not isinstance(target, ast.Tuple) or len(target.elts) != 2:
            raise UntranslatableError("items() into one variable")
        item, unpacked = element_names(target.elts[1])
        return f"{single_name(target.elts[0], body)}, {item} in {text}", unpacked
    if function.attr == "split" and len(arguments) < 2:
        text = frame.text(function.value, CONCAT)
        if not arguments:
            return (
                f'{single_name(target, body)} in {frame.text(function.value, ATOM)}:gmatch("%S+")',
                [],
            )
        separator = arguments[0]
        if isinstance(separator, ast.Constant) and isinstance(separator.value, str):
            found = quoted(f"(.-){pattern(separator.value)}")
            end = quoted(separator.value)
            return f"{single_name(target, body)} in ({text} .. {end}):gmatch({found})", []
    return None

"""The headers of loops: ranges, enumerations, pairs, characters, generators."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from featrack_utils.corpora.luagen.expressions import gives_several, is_self, plus
from featrack_utils.corpora.luagen.frame import ATOM, CONCAT, Frame, UntranslatableError
from featrack_utils.corpora.luagen.names import lua_name, pattern, quoted
from featrack_utils.corpora.luagen.nodes import walk
from featrack_utils.corpora.luagen.scopes import target_names

_ITEM_NAMES = {2: ("pair", "entry"), 3: ("triple", "entry")}


@contextmanager
def loop(
    frame: Frame, target: ast.expr, iterable: ast.expr, body: Sequence[ast.AST]
) -> Iterator[None]:
    """Opens a Lua loop over a Python iterable; what is written inside is its body.

    Args:
        frame: the function being written.
        target: what the Python loop binds.
        iterable: what it runs over.
        body: everything evaluated once per turn, to see how the variables are used.

    Raises:
        UntranslatableError: if the iterable's kind does not allow it.
    """
    before, shifted = set(frame.locals), set(frame.one_based)
    header, unpacked = _header(frame, target, iterable, body)
    frame.emit(f"for {header} do")
    names = set(target_names(target))
    frame.locals |= names
    frame.taken |= names
    if not frame.fresh_shift:
        frame.one_based -= names
    else:
        frame.one_based = (frame.one_based - names) | frame.fresh_shift
        frame.fresh_shift = set()
    frame.indent += 1
    for line in unpacked:
        frame.emit(line)
    yield
    frame.indent -= 1
    frame.emit("end")
    frame.locals, frame.one_based = before, shifted


def _header(
    frame: Frame, target: ast.expr, iterable: ast.expr, body: Sequence[ast.AST]
) -> tuple[str, list[str]]:
    """Returns what stands between `for` and `do`, and the lines that unpack the item."""
    if isinstance(iterable, ast.Call):
        arguments, function = iterable.args, iterable.func
        if any(isinstance(argument, ast.Starred) for argument in arguments):
            raise UntranslatableError("unpacking into an iteration")
        if isinstance(function, ast.Name) and function.id in _BY_BUILTIN:
            if iterable.keywords:
                raise UntranslatableError("an iteration with options")
            return _BY_BUILTIN[function.id](frame, target, arguments, body)
        if isinstance(function, ast.Attribute) and not iterable.keywords:
            found = _by_method(frame, target, function, arguments, body)
            if found:
                return found
        if (generator := _generator(frame, target, iterable)) is not None:
            return generator
    return _items(frame, target, iterable, body)


def _single(target: ast.expr, body: Sequence[ast.AST]) -> str:
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


def _element(target: ast.expr) -> tuple[str, list[str]]:
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


def _items(
    frame: Frame, target: ast.expr, iterable: ast.expr, body: Sequence[ast.AST]
) -> tuple[str, list[str]]:
    """Runs over a list, the keys of a dictionary, a set or the characters of a string."""
    kind = (frame.kind(iterable) or "").rstrip("?")
    if isinstance(iterable, ast.GeneratorExp) or kind in ("num", "bool", "none"):
        raise UntranslatableError("an iteration over a generator")
    if gives_several(frame, iterable):
        raise UntranslatableError("an iteration over several values")
    if kind in ("dict", "set"):
        return f"{_single(target, body)} in pairs({frame.text(iterable)})", []
    if kind == "file":
        return f'{_single(target, body)} in {frame.text(iterable, ATOM)}:lines("L")', []
    if kind == "str":
        return f'{_single(target, body)} in {frame.text(iterable, ATOM)}:gmatch(".")', []
    item, unpacked = _element(target)
    return f"_, {item} in ipairs({frame.text(iterable)})", unpacked


def _generator(frame: Frame, target: ast.expr, node: ast.Call) -> tuple[str, list[str]] | None:
    """Runs over a generator of this module, which in Lua is an iterator."""
    found = None
    if isinstance(node.func, ast.Name):
        found = frame.module.functions.get(node.func.id)
    elif isinstance(node.func, ast.Attribute) and is_self(frame, node.func.value):
        found = frame.module.inherited(frame.owner, node.func.attr)
    if found is None or not found.generates:
        return None
    if found.several != isinstance(target, ast.Tuple):
        raise UntranslatableError("a generator of tuples")
    names = ", ".join(lua_name(name) for name in target_names(target))
    return f"{names} in {frame.text(node)}", []


def _range(
    frame: Frame, target: ast.expr, arguments: list[ast.expr], body: Sequence[ast.AST]
) -> tuple[str, list[str]]:
    name = _single(target, body)
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
    counter = _single(target.elts[0], body)
    start = (
        arguments[1].value if len(arguments) > 1 and isinstance(arguments[1], ast.Constant) else 0
    )
    if len(arguments) > 1 and start != 1:
        raise UntranslatableError("an enumeration from an unusual start")
    if frame.kind(arguments[0]) not in ("list", "tuple", None) or isinstance(
        arguments[0], ast.GeneratorExp
    ):
        raise UntranslatableError("an enumeration of what is no list")
    item, unpacked = _element(target.elts[1])
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
        name = _single(target, body)
        first = inner.args[0] if len(inner.args) == 2 else ast.Constant(0)
        if len(inner.args) > 2:
            raise UntranslatableError("a reversed range with a step")
        return f"{name} = {plus(frame, inner.args[-1], -1)}, {plus(frame, first, 0)}, -1", []
    if frame.kind(inner) not in ("list", "tuple", None):
        raise UntranslatableError("a reversed iteration over what is no list")
    text = frame.text(inner, ATOM)
    if not text.replace(".", "").isidentifier():
        raise UntranslatableError("a list needed twice")
    item, unpacked = _element(target)
    counter = frame.fresh("i", "k", "slot")
    return f"{counter} = #{text}, 1, -1", [f"local {item} = {text}[{counter}]", *unpacked]


_BY_BUILTIN = {"range": _range, "enumerate": _enumerate, "zip": _zip, "reversed": _reversed}


def _by_method(
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
            return f"{_single(target, body)} in {text}", []
        if function.attr == "values":
            item, unpacked = _element(target)
            return f"_, {item} in {text}", unpacked
        if not isinstance(target, ast.Tuple) or len(target.elts) != 2:
            raise UntranslatableError("items() into one variable")
        item, unpacked = _element(target.elts[1])
        return f"{_single(target.elts[0], body)}, {item} in {text}", unpacked
    if function.attr == "split" and len(arguments) < 2:
        text = frame.text(function.value, CONCAT)
        if not arguments:
            return (
                f'{_single(target, body)} in {frame.text(function.value, ATOM)}:gmatch("%S+")',
                [],
            )
        separator = arguments[0]
        if isinstance(separator, ast.Constant) and isinstance(separator.value, str):
            found = quoted(f"(.-){pattern(separator.value)}")
            end = quoted(separator.value)
            return f"{_single(target, body)} in ({text} .. {end}):gmatch({found})", []
    return None

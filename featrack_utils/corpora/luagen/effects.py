"""Expressions used as statements: calls, and the methods that only change their object."""

from __future__ import annotations

import ast
from collections.abc import Callable

from featrack_utils.corpora.luagen.comprehensions import fill
from featrack_utils.corpora.luagen.expressions import keyed, refuse_nil
from featrack_utils.corpora.luagen.frame import ATOM, Frame, UntranslatableError, statement
from featrack_utils.corpora.luagen.indexing import plus
from featrack_utils.corpora.luagen.library import field_of
from featrack_utils.corpora.luagen.loops import loop


@statement(ast.Expr)
def effect(frame: Frame, node: ast.Expr) -> None:
    """Writes a call made for its effect, or a generator's yield."""
    value = node.value
    match value:
        case ast.Constant():
            return
        case ast.Yield():
            _give(frame, value.value)
        case ast.YieldFrom():
            item = frame.fresh("item", "value", "element")
            with loop(frame, ast.Name(item, ast.Store()), value.value, []):
                frame.emit(f"coroutine.yield({item})")
        case ast.Call(func=ast.Attribute(value=receiver, attr=method)):
            kind = (frame.kind(receiver) or "").rstrip("?")
            writer = _WRITERS.get((kind, method))
            if writer is None and method == "extend" and not kind:
                writer = _extend
            if writer is not None:
                writer(frame, receiver, value)
            elif _is_warning(frame, receiver, method) and value.args:
                frame.in_message = True
                frame.emit(f"warn({frame.text(value.args[0])})")
                frame.in_message = False
            else:
                _plain(frame, value)
        case ast.Call(func=ast.Name(id="setattr"), args=[_, _, new]):
            frame.emit(f"{field_of(frame, value.args)} = {frame.text(new)}")
        case ast.Call():
            _plain(frame, value)
        case _:
            raise UntranslatableError("an expression without effect")


def _is_warning(frame: Frame, receiver: ast.expr, method: str) -> bool:
    named = isinstance(receiver, ast.Name) and receiver.id not in frame.locals
    return (
        named and method == "warn" and frame.module.imports.get(receiver.id) == ("warnings", None)
    )


def _plain(frame: Frame, node: ast.Call) -> None:
    code = frame.expr(node)
    callable_first = code.text[0].isalpha() or code.text[0] == "_"
    if code.rank != ATOM or not code.text.endswith(")") or not callable_first:
        raise UntranslatableError("a call that becomes no call in Lua")
    frame.emit(code.text)


def _give(frame: Frame, node: ast.expr | None) -> None:
    """Writes a yield; a tuple written out is handed over as several values."""
    if node is None or (isinstance(node, ast.Constant) and node.value is None):
        raise UntranslatableError("yielding nothing ends a Lua iteration")
    if isinstance(node, ast.Tuple) and node.elts:
        refuse_nil(node.elts[0])
        if any(isinstance(part, ast.Starred) for part in node.elts):
            raise UntranslatableError("unpacking into a yield")
        frame.emit(f"coroutine.yield({', '.join(frame.text(part) for part in node.elts)})")
    else:
        frame.emit(f"coroutine.yield({frame.text(node)})")


def _arguments(node: ast.Call, count: int) -> list[ast.expr]:
    starred = any(isinstance(argument, ast.Starred) for argument in node.args)
    if node.keywords or starred or len(node.args) != count:
        raise UntranslatableError("arguments that the Lua way cannot take")
    return node.args


def extend(frame: Frame, receiver: ast.expr, value: ast.expr) -> None:
    """Writes `xs.extend(ys)` or `xs += ys`."""
    name = frame.text(receiver, ATOM)
    if isinstance(value, ast.List | ast.Tuple) and value.elts:
        for element in value.elts:
            refuse_nil(element)
            frame.emit(f"table.insert({name}, {frame.text(element)})")
        return
    if isinstance(value, ast.GeneratorExp | ast.ListComp):
        held = frame.fresh("extra", "more")
        fill(frame, ast.ListComp(elt=value.elt, generators=value.generators), held)
        frame.emit(f"table.move({held}, 1, #{held}, #{name} + 1, {name})")
        return
    item = frame.fresh("item", "value", "element")
    with loop(frame, ast.Name(item, ast.Store()), value, []):
        frame.emit(f"{name}[#{name} + 1] = {item}")


def _extend(frame: Frame, receiver: ast.expr, node: ast.Call) -> None:
    extend(frame, receiver, _arguments(node, 1)[0])


def _sort(frame: Frame, receiver: ast.expr, node: ast.Call) -> None:
    """Writes sort(); equal items may change places, as table.sort is not stable."""
    name = frame.text(receiver, ATOM)
    options = {keyword.arg: keyword.value for keyword in node.keywords}
    descending = options.pop("reverse", None)
    key = options.pop("key", None)
    if options or node.args or (descending and not isinstance(descending, ast.Constant)):
        raise UntranslatableError("an unusual sort")
    symbol = ">" if descending and descending.value else "<"
    if key is None:
        comparison = ", function(a, b) return a > b end" if symbol == ">" else ""
        frame.emit(f"table.sort({name}{comparison})")
        return
    if isinstance(key, ast.Lambda) or (isinstance(key, ast.Name) and key.id in frame.locals):
        held = frame.fresh("key_of", "rank_of")
        frame.emit(f"local {held} = {frame.text(key)}")
        frame.emit(f"table.sort({name}, function(a, b) return {held}(a) {symbol} {held}(b) end)")
        return
    raise UntranslatableError("a sort by an unknown key")


def _reverse(frame: Frame, receiver: ast.expr, node: ast.Call) -> None:
    name = frame.text(receiver, ATOM)
    i = frame.fresh("i", "k", "slot")
    frame.emit(f"for {i} = 1, #{name} // 2 do")
    with frame.block():
        mirror = f"{name}[#{name} - {i} + 1]"
        frame.emit(f"{name}[{i}], {mirror} = {mirror}, {name}[{i}]")
    frame.emit("end")


def _push_left(frame: Frame, receiver: ast.expr, node: ast.Call) -> None:
    frame.emit(f"table.insert({frame.text(receiver)}, 1, {frame.text(_arguments(node, 1)[0])})")


def _remove(frame: Frame, receiver: ast.expr, node: ast.Call) -> None:
    """Writes list.remove: the first equal item goes."""
    (wanted,) = _arguments(node, 1)
    if frame.kind(wanted) in ("list", "tuple", "dict", "set"):
        raise UntranslatableError("comparing containers by value")
    name = frame.text(receiver, ATOM)
    i, item = frame.fresh("i", "k", "slot"), frame.fresh("item", "candidate", "other")
    frame.emit(f"for {i}, {item} in ipairs({name}) do")
    with frame.block():
        frame.emit(f"if {item} == {frame.text(wanted, 4)} then")
        with frame.block():
            frame.emit(f"table.remove({name}, {i})")
            frame.emit("break")
        frame.emit("end")
    frame.emit("end")


def _clear(frame: Frame, receiver: ast.expr, node: ast.Call) -> None:
    name, key = frame.text(receiver, ATOM), frame.fresh("key", "k")
    frame.emit(f"for {key} in pairs({name}) do")
    with frame.block():
        frame.emit(f"{name}[{key}] = nil")
    frame.emit("end")


def _add(frame: Frame, receiver: ast.expr, node: ast.Call) -> None:
    (member,) = _arguments(node, 1)
    frame.emit(f"{keyed(frame, frame.text(receiver, ATOM), member)} = true")


def _drop(frame: Frame, receiver: ast.expr, node: ast.Call) -> None:
    key = node.args[0] if node.args else ast.Constant(None)
    frame.emit(f"{keyed(frame, frame.text(receiver, ATOM), key)} = nil")


def _update(frame: Frame, receiver: ast.expr, node: ast.Call) -> None:
    """Writes dict.update with another dictionary or with options."""
    name = frame.text(receiver, ATOM)
    for keyword in node.keywords:
        if keyword.arg is None:
            raise UntranslatableError("unpacking of options")
        item = ast.Subscript(value=receiver, slice=ast.Constant(keyword.arg), ctx=ast.Load())
        frame.emit(f"{frame.text(item)} = {frame.text(keyword.value)}")
    if not node.args:
        return
    (other,) = node.args
    if isinstance(other, ast.Dict):
        for key, value in zip(other.keys, other.values, strict=True):
            if key is None:
                raise UntranslatableError("unpacking into a dictionary")
            item = ast.Subscript(value=receiver, slice=key, ctx=ast.Load())
            frame.emit(f"{frame.text(item)} = {frame.text(value)}")
        return
    if frame.kind(other) not in ("dict", None) or isinstance(other, ast.GeneratorExp | ast.Call):
        raise UntranslatableError("updating from what may be no dictionary")
    key, value = frame.fresh("key", "k"), frame.fresh("value", "v")
    frame.emit(f"for {key}, {value} in pairs({frame.text(other)}) do")
    with frame.block():
        frame.emit(f"{name}[{key}] = {value}")
    frame.emit("end")


def _union(frame: Frame, receiver: ast.expr, node: ast.Call) -> None:
    name = frame.text(receiver, ATOM)
    item = frame.fresh("item", "value", "element")
    with loop(frame, ast.Name(item, ast.Store()), _arguments(node, 1)[0], []):
        frame.emit(f"{name}[{item}] = true")


_WRITERS: dict[tuple[str, str], Callable[[Frame, ast.expr, ast.Call], None]] = {
    ("list", "extend"): _extend, ("list", "sort"): _sort, ("list", "reverse"): _reverse,
    ("list", "appendleft"): _push_left, ("list", "remove"): _remove, ("list", "clear"): _clear,
    ("dict", "clear"): _clear, ("dict", "pop"): _drop, ("dict", "update"): _update,
    ("set", "add"): _add, ("set", "discard"): _drop, ("set", "remove"): _drop,
    ("set", "clear"): _clear, ("set", "update"): _union,
}  # fmt: skip


@statement(ast.Delete)
def delete(frame: Frame, node: ast.Delete) -> None:
    for target in node.targets:
        kind = frame.kind(target.value) if isinstance(target, ast.Subscript) else ""
        if isinstance(target, ast.Name):
            frame.emit(f"{frame.text(target)} = nil")
        elif isinstance(target, ast.Subscript) and isinstance(target.slice, ast.Slice):
            raise UntranslatableError("deleting a slice")
        elif isinstance(target, ast.Subscript) and kind == "list":
            if isinstance(target.slice, ast.UnaryOp):
                if frame.text(target.slice) != "-1":
                    raise UntranslatableError("deleting from the end")
                frame.emit(f"table.remove({frame.text(target.value)})")
            else:
                where = plus(frame, target.slice, 1)
                frame.emit(f"table.remove({frame.text(target.value)}, {where})")
        elif kind == "dict" or isinstance(target, ast.Attribute):
            frame.emit(f"{frame.text(target)} = nil")
        else:
            raise UntranslatableError("deleting from a container of unknown kind")

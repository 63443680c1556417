"""Methods of Python's strings, lists, dictionaries and sets, as Lua people write them."""

from __future__ import annotations

import ast
from collections.abc import Callable

from featrack_utils.corpora.luagen.comprehensions import as_list
from featrack_utils.corpora.luagen.evidence import DICT_METHODS, LIST_METHODS, STRING_METHODS
from featrack_utils.corpora.luagen.expressions import keyed, refuse_nil
from featrack_utils.corpora.luagen.frame import (
    ATOM,
    COMPARE,
    CONCAT,
    OR,
    SUM,
    Code,
    Frame,
    UntranslatableError,
)
from featrack_utils.corpora.luagen.indexing import plus
from featrack_utils.corpora.luagen.names import pattern, quoted
from featrack_utils.corpora.luagen.strings import format_call

_CLASSES = {"isdigit": "%d", "isalpha": "%a", "isalnum": "%w", "isspace": "%s"}
_STRIP = {"strip": "^{0}*(.-){0}*$", "lstrip": "^{0}*(.*)$", "rstrip": "^(.-){0}*$"}


def method_call(frame: Frame, node: ast.Call, receiver: ast.expr, method: str) -> Code | None:
    """Writes a call to a method of a builtin type, or returns None if it evidently is none.

    Raises:
        UntranslatableError: if it is one, but Lua has no equal.
    """
    kind = (frame.kind(receiver) or "").rstrip("?")
    if kind == "str" or (not kind and method in STRING_METHODS | {"join"}):
        return _string(frame, node, receiver, method)
    if kind == "list" or (not kind and method in LIST_METHODS):
        return _list(frame, node, receiver, method)
    if kind == "dict" or (not kind and method in DICT_METHODS):
        return _dict(frame, node, receiver, method)
    if kind == "set":
        return _set(frame, node, receiver, method)
    if kind == "file":
        return _file(frame, node, receiver, method)
    if kind in ("tuple", "num", "bool"):
        raise UntranslatableError(f"{method} of a {kind}")
    return None


def _plain(node: ast.Call, least: int, most: int) -> list[ast.expr]:
    """Returns the arguments if they are positional and as many as expected."""
    starred = any(isinstance(argument, ast.Starred) for argument in node.args)
    if node.keywords or starred or not least <= len(node.args) <= most:
        raise UntranslatableError("arguments that the Lua way cannot take")
    return node.args


def _literal(node: ast.expr) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value:
        return node.value
    raise UntranslatableError("a text that is not literal")


def _string(frame: Frame, node: ast.Call, receiver: ast.expr, method: str) -> Code:
    if method == "format":
        return format_call(frame, _literal(receiver), node)
    text = frame.text(receiver, ATOM)
    if method == "join":
        (items,) = _plain(node, 1, 1)
        separator = "" if text == '("")' else ", " + frame.text(receiver)
        return Code(f"table.concat({as_list(frame, items)}{separator})")
    if method in ("upper", "lower"):
        _plain(node, 0, 0)
        return Code(f"{text}:{method}()")
    if method in _CLASSES:
        _plain(node, 0, 0)
        return Code(f'{text}:match("^{_CLASSES[method]}+$") ~= nil', COMPARE)
    if method in _STRIP:
        arguments = _plain(node, 0, 1)
        letters = "%s"
        if arguments:
            magic = {"]": "%]", "[": "%[", "^": "%^", "-": "%-", "%": "%%"}
            escaped = "".join(magic.get(letter, letter) for letter in _literal(arguments[0]))
            letters = f"[{escaped}]"
        return Code(f"{text}:match({quoted(_STRIP[method].format(letters))})")
    if method in ("startswith", "endswith"):
        return _affix(frame, text, _plain(node, 1, 1)[0], method == "startswith")
    writer = _STRING_WRITERS.get(method)
    if writer is None:
        raise UntranslatableError(f"str.{method}")
    return writer(frame, text, node)


def _affix(frame: Frame, text: str, affix: ast.expr, at_start: bool) -> Code:
    """Writes startswith or endswith; a tuple of choices becomes an `or`."""
    if isinstance(affix, ast.Tuple):
        if not text.replace(".", "").isidentifier():
            raise UntranslatableError("a text needed twice")
        parts = [_affix(frame, text, choice, at_start).text for choice in affix.elts]
        return Code(" or ".join(parts), OR)
    wanted = frame.text(affix, COMPARE + 1)
    if isinstance(affix, ast.Constant):
        length = str(len(_literal(affix).encode()))
    elif isinstance(affix, ast.Name | ast.Attribute) and at_start:
        length = "#" + frame.text(affix, ATOM)
    else:
        raise UntranslatableError("an affix needed twice")
    cut = f"1, {length}" if at_start else f"-{length}"
    return Code(f"{text}:sub({cut}) == {wanted}", COMPARE)


def _replace(frame: Frame, text: str, node: ast.Call) -> Code:
    old, new = _plain(node, 2, 2)
    if not isinstance(new, ast.Constant) or not isinstance(new.value, str):
        raise UntranslatableError("a replacement that is not literal")
    wanted = quoted(pattern(_literal(old)))
    return Code(f"({text}:gsub({wanted}, {quoted(new.value.replace('%', '%%'))}))")


def _split(frame: Frame, text: str, node: ast.Call) -> Code:
    arguments = _plain(node, 0, 1)
    parts, part = frame.fresh("parts", "pieces", "fields"), frame.fresh("part", "piece", "word")
    found = f'{text}:gmatch("%S+")'
    if arguments:
        separator = _literal(arguments[0])
        source = text if text.startswith("(") or text.replace(".", "").isidentifier() else None
        if source is None:
            source = frame.fresh("text", "source")
            frame.emit(f"local {source} = {text}")
        found = f"({source} .. {quoted(separator)}):gmatch({quoted(f'(.-){pattern(separator)}')})"
    frame.emit(f"local {parts} = {{}}")
    frame.emit(f"for {part} in {found} do")
    with frame.block():
        frame.emit(f"{parts}[#{parts} + 1] = {part}")
    frame.emit("end")
    return Code(parts)


def _find(frame: Frame, text: str, node: ast.Call) -> Code:
    (wanted,) = _plain(node, 1, 1)
    return Code(f"({text}:find({frame.text(wanted)}, 1, true) or 0) - 1", SUM)


def _count(frame: Frame, text: str, node: ast.Call) -> Code:
    (wanted,) = _plain(node, 1, 1)
    return Code(f'select(2, {text}:gsub({quoted(pattern(_literal(wanted)))}, ""))')


_STRING_WRITERS: dict[str, Callable[[Frame, str, ast.Call], Code]] = {
    "replace": _replace, "split": _split, "find": _find, "count": _count,
}  # fmt: skip


def _list(frame: Frame, node: ast.Call, receiver: ast.expr, method: str) -> Code:
    text = frame.text(receiver, ATOM)
    if method == "append":
        (value,) = _plain(node, 1, 1)
        refuse_nil(value)
        return Code(f"table.insert({text}, {_one_value(frame, value)})")
    if method == "insert":
        place, value = _plain(node, 2, 2)
        refuse_nil(value)
        return Code(f"table.insert({text}, {plus(frame, place, 1)}, {frame.text(value)})")
    if method in ("pop", "popleft"):
        arguments = _plain(node, 0, 1)
        if method == "popleft":
            return Code(f"table.remove({text}, 1)")
        if not arguments or frame.text(arguments[0]) == "-1":
            return Code(f"table.remove({text})")
        if isinstance(arguments[0], ast.UnaryOp):
            raise UntranslatableError("removing from the end")
        return Code(f"table.remove({text}, {plus(frame, arguments[0], 1)})")
    if method == "copy":
        _plain(node, 0, 0)
        return Code(f"{{table.unpack({text})}}", COMPARE)
    raise UntranslatableError(f"list.{method}")


def _one_value(frame: Frame, node: ast.expr) -> str:
    """Returns an argument, in parentheses if Lua could take several values from it."""
    text = frame.text(node)
    return f"({text})" if text.startswith("table.remove(") or ":find(" in text else text


def _dict(frame: Frame, node: ast.Call, receiver: ast.expr, method: str) -> Code:
    text = frame.text(receiver, ATOM)
    if method == "get":
        key, *default = _plain(node, 1, 2)
        item = keyed(frame, text, key)
        if not default or (isinstance(default[0], ast.Constant) and default[0].value is None):
            return Code(item)
        if frame.kind(default[0]) not in ("num", "str", "list", "dict", "set"):
            raise UntranslatableError("a default that false could hide")
        with frame.sealed():
            return Code(f"{item} or {frame.text(default[0])}", OR)
    if method == "setdefault":
        key, value = _plain(node, 2, 2)
        refuse_nil(value)
        item = keyed(frame, text, key)
        if frame.kind(value) == "bool":
            raise UntranslatableError("a default that false could hide")
        frame.emit(f"{item} = {item} or {frame.text(value)}")
        return Code(item)
    if method == "pop":
        key, *default = _plain(node, 1, 2)
        if frame.direct is not node:
            raise UntranslatableError("an effect in the midst of an expression")
        name = frame.fresh("removed", "taken", "popped")
        item = keyed(frame, text, key)
        frame.emit(f"local {name} = {item}")
        frame.emit(f"{item} = nil")
        if not default or (isinstance(default[0], ast.Constant) and default[0].value is None):
            return Code(name)
        if frame.kind(default[0]) not in ("num", "str", "list", "dict"):
            raise UntranslatableError("a default that false could hide")
        return Code(f"{name} or {frame.text(default[0], CONCAT)}", OR)
    raise UntranslatableError(f"dict.{method}")


def _file(frame: Frame, node: ast.Call, receiver: ast.expr, method: str) -> Code:
    text = frame.text(receiver, ATOM)
    if method == "read" and not node.args:
        return Code(f'{text}:read("a")')
    if method == "readline" and not node.args:
        return Code(f'{text}:read("L")')
    if method == "write":
        return Code(f"{text}:write({frame.text(_plain(node, 1, 1)[0])})")
    if method in ("close", "flush"):
        return Code(f"{text}:{method}()")
    raise UntranslatableError(f"file.{method}")


def _set(frame: Frame, node: ast.Call, receiver: ast.expr, method: str) -> Code:
    raise UntranslatableError(f"set.{method}")

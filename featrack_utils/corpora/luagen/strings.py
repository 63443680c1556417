"""Formatting: f-strings, the % operator and str.format become `..` and string.format."""

from __future__ import annotations

import ast
import re
import string
from typing import NamedTuple

from featrack_utils.corpora.luagen.expressions import bracketed
from featrack_utils.corpora.luagen.frame import (
    CONCAT,
    Code,
    Frame,
    UntranslatableError,
    expression,
)
from featrack_utils.corpora.luagen.names import quoted

_PERCENT = re.compile(r"%(?:\((\w+)\))?([-+ #0]*)(\d*)((?:\.\d+)?)([a-zA-Z%])")
_SPEC = re.compile(r"([<>]?)(0?)(\d*)((?:\.\d+)?)([sdfegxX]?)\Z")
_CONVERSIONS = "sdfegxXcGE"
_CONCATENATED = 2


class Piece(NamedTuple):
    """A part of a formatted text: literal text, or a value and its conversion ("" for plain)."""

    literal: str
    value: ast.expr | None
    conversion: str


def percent_format(frame: Frame, node: ast.BinOp) -> Code:
    """Writes `"…%s…" % values`.

    Raises:
        UntranslatableError: if the format is not literal or its values cannot be told apart.
    """
    if not isinstance(node.left, ast.Constant) or not isinstance(node.left.value, str):
        raise UntranslatableError("a format that is not literal")
    text, right = node.left.value, node.right
    named: dict[str, ast.expr] = {}
    if isinstance(right, ast.Dict):
        for key, value in zip(right.keys, right.values, strict=True):
            if isinstance(key, ast.Constant):
                named[str(key.value)] = value
    values = list(right.elts) if isinstance(right, ast.Tuple) else [right]
    if any(isinstance(value, ast.Starred) for value in values):
        raise UntranslatableError("unpacking into a format")
    pieces, end = [], 0
    for match in _PERCENT.finditer(text):
        _literal(pieces, text[end : match.start()])
        end = match.end()
        key, flags, width, precision, letter = match.groups()
        if letter == "%":
            _literal(pieces, "%")
            continue
        value = named.get(key) if key else values.pop(0) if values else None
        if value is None or (key is None and named):
            raise UntranslatableError("a format without its value")
        conversion = flags + width + precision + {"i": "d"}.get(letter, letter)
        pieces.append(Piece("", value, "" if conversion == "s" else conversion))
    _literal(pieces, text[end:])
    if "%" in text[end:] or (values and not named):
        raise UntranslatableError("a format that does not fit its values")
    return formatted(frame, pieces)


def format_call(frame: Frame, template: str, node: ast.Call) -> Code:
    """Writes `"…{}…".format(values)`.

    Raises:
        UntranslatableError: for fields with attributes, items or nested fields.
    """
    if any(isinstance(value, ast.Starred) for value in node.args):
        raise UntranslatableError("unpacking into a format")
    named = {keyword.arg: keyword.value for keyword in node.keywords}
    pieces: list[Piece] = []
    counter = 0
    try:
        fields = list(string.Formatter().parse(template))
    except ValueError:
        raise UntranslatableError("a malformed format") from None
    for literal, field, spec, mark in fields:
        _literal(pieces, literal)
        if field is None:
            continue
        if not field:
            field, counter = str(counter), counter + 1
        index = int(field) if field.isdigit() else -1
        value = named.get(field) if index < 0 else dict(enumerate(node.args)).get(index)
        if value is None:
            raise UntranslatableError("a format field of some structure")
        conversion = "r" if mark == "r" else _from_spec(frame, spec or "", value)
        pieces.append(Piece("", value, conversion))
    return formatted(frame, pieces)


@expression(ast.JoinedStr)
def f_string(frame: Frame, node: ast.JoinedStr) -> Code:
    pieces: list[Piece] = []
    for part in node.values:
        if isinstance(part, ast.Constant):
            _literal(pieces, part.value)
            continue
        spec = ""
        if isinstance(part.format_spec, ast.JoinedStr):
            if not all(isinstance(inner, ast.Constant) for inner in part.format_spec.values):
                raise UntranslatableError("a nested format")
            spec = "".join(inner.value for inner in part.format_spec.values)
        mark = "r" if part.conversion == ord("r") else _from_spec(frame, spec, part.value)
        pieces.append(Piece("", part.value, mark))
    return formatted(frame, pieces)


def _from_spec(frame: Frame, spec: str, value: ast.expr) -> str:
    """Turns `>10.2f` into the `10.2f` of string.format."""
    match = _SPEC.match(spec)
    if match is None or (match[3] and not match[5] and frame.kind(value) not in ("str", "num")):
        raise UntranslatableError("a format specification that Lua lacks")
    align, zero, width, precision, letter = match.groups()
    if precision and not letter:
        raise UntranslatableError("a general format")
    if width and not align and not zero and frame.kind(value) == "str":
        align = "<"
    body = zero + width + precision
    if align == "<" and width:
        body = "-" + body
    return body + (letter or "s") if body or (letter and letter != "s") else ""


def _literal(pieces: list[Piece], text: str) -> None:
    """Adds literal text, joined to the literal text before it."""
    if not text:
        return
    if pieces and pieces[-1].value is None:
        text = pieces.pop().literal + text
    pieces.append(Piece(text, None, ""))


def formatted(frame: Frame, pieces: list[Piece]) -> Code:
    """Writes a text with values in it: joined by `..` if short, else through string.format."""
    values = [piece for piece in pieces if piece.value is not None]
    if not values:
        return Code(quoted("".join(piece.literal for piece in pieces)), CONCAT)
    plain = all(not piece.conversion for piece in values)
    if plain and len(values) <= _CONCATENATED:
        texts = [
            quoted(piece.literal) if piece.value is None else as_text(frame, piece.value)
            for piece in pieces
        ]
        return Code(" .. ".join(texts), CONCAT if len(texts) > 1 else CONCAT + 6)
    template, arguments = "", []
    for piece in pieces:
        if piece.value is None:
            template += piece.literal.replace("%", "%%")
            continue
        conversion = piece.conversion or "s"
        if conversion == "r":
            template += _quoted_value(frame)
        elif conversion[-1] not in _CONVERSIONS or "#" in conversion:
            raise UntranslatableError("a conversion that Lua lacks")
        else:
            template += "%" + conversion
        arguments.append(frame.text(piece.value))
    return Code(bracketed(frame, "string.format(", [quoted(template), *arguments], ")"))


def _quoted_value(frame: Frame) -> str:
    """Returns how `%r` is written: only messages to people may differ from Python's quotes.

    Raises:
        UntranslatableError: outside an error's or a warning's message.
    """
    if not frame.in_message:
        raise UntranslatableError("a value's representation")
    return "'%s'"


def as_text(frame: Frame, node: ast.expr) -> str:
    """Returns a value as an operand of `..`."""
    if frame.kind(node) == "str":
        return frame.text(node, CONCAT)
    if frame.kind(node) == "num" and not isinstance(node, ast.Constant):
        return frame.text(node, CONCAT)
    return f"tostring({frame.text(node)})"

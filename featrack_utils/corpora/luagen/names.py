"""Lua's words, names, numbers and string literals."""

from __future__ import annotations

import math
import re

KEYWORDS = frozenset(
    {
        "and", "break", "do", "else", "elseif", "end", "false", "for", "function", "goto", "if",
        "in", "local", "nil", "not", "or", "repeat", "return", "then", "true", "until", "while",
    }
)  # fmt: skip
# Names the generated code relies on; a Python variable of that name gets an underscore.
LIBRARY = frozenset(
    {
        "assert", "coroutine", "debug", "error", "getmetatable", "io", "ipairs", "is_instance",
        "math", "next", "os", "pairs", "pcall", "print", "require", "select", "setmetatable",
        "string", "table", "tonumber", "tostring", "type", "utf8", "warn",
    }
)  # fmt: skip
PATTERN_MAGIC = re.compile(r"[\^$()%.\[\]*+\-?]")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}
_SPECIAL = re.compile(r'[\\"\x00-\x1f\x7f]')
_LARGEST_INTEGER = 2**63 - 1


def lua_name(name: str) -> str:
    """Returns a variable's name in Lua: reserved words and library names get an underscore.

    Raises:
        ValueError: if the name has letters that Lua does not accept.
    """
    if not name.isascii():
        raise ValueError(f"{name!r} is no Lua name")
    return name + "_" if name in KEYWORDS or name in LIBRARY else name


def field_name(name: str) -> str:
    """Returns a field's name: only reserved words get an underscore.

    Raises:
        ValueError: if the name has letters that Lua does not accept.
    """
    if not name.isascii():
        raise ValueError(f"{name!r} is no Lua name")
    return name + "_" if name in KEYWORDS else name


def is_plain_key(text: str) -> bool:
    """Says whether a string can stand as a key without quotes, `{key = 1}` or `t.key`."""
    return _NAME.match(text) is not None and text not in KEYWORDS


def quoted(text: str) -> str:
    """Returns a Lua string literal that holds the text, UTF-8 beyond ASCII.

    Raises:
        ValueError: if the text has lone surrogates, which UTF-8 cannot hold.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("a lone surrogate") from None
    return '"' + _SPECIAL.sub(lambda m: _ESCAPES.get(m[0], f"\\{ord(m[0]):03d}"), text) + '"'


def number(value: int | float) -> str:
    """Returns a Lua numeral equal to the Python number.

    Raises:
        ValueError: if an integer does not fit 64 bits.
    """
    if isinstance(value, int):
        if abs(value) > _LARGEST_INTEGER:
            raise ValueError("an integer beyond 64 bits")
        return str(value)
    if math.isinf(value):
        return "math.huge"
    return repr(value)


def pattern(text: str) -> str:
    """Returns the Lua pattern that matches exactly this text."""
    return PATTERN_MAGIC.sub(lambda match: "%" + match[0], text)

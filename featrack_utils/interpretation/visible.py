"""Characters that show nothing of their own, made visible."""

from __future__ import annotations

import unicodedata

_NAMED = {"\n": "⏎", "\r": "␍", "\t": "⇥", " ": "·", "\u00a0": "⍽"}
# Categories that show nothing of their own, or that reorder what stands beside them.
_INVISIBLE = {"Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp", "Zs"}


def visible(character: str) -> str:
    """A printable stand-in for a character that would show nothing, else the character itself."""
    if character in _NAMED:
        return _NAMED[character]
    code = ord(character)
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "␡"
    if unicodedata.category(character) in _INVISIBLE:
        return f"⟨U+{code:04X}⟩"
    return character

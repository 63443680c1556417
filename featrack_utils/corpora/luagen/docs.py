"""Docstrings as Lua comments in LDoc's manner."""

from __future__ import annotations

import ast
import inspect
import re

_ROLE = re.compile(r":[a-z:]+:`~?([^`<]*?)(?: <[^>]*>)?`")
_LITERAL = re.compile(r"``([^`]*)``")
_NUMPY = re.compile(r"^(\*{0,2}\w+)(?: *: *([^\n]*))?\n((?:[ \t]+\S[^\n]*\n?)+)", re.MULTILINE)
_GOOGLE = re.compile(r"^\s+(\*{0,2}\w+)(?: *\(([^)]*)\))?: +(\S[^\n]*)", re.MULTILINE)
_SPHINX = re.compile(r"^\s*:param (?:[\w\[\], ]+ )?(\w+): *(\S[^\n]*)", re.MULTILINE)
_RETURNS = re.compile(r"^\s*:returns?: *(\S[^\n]*)", re.MULTILINE)
_SECTION = re.compile(
    r"^(Returns?|Yields?):?[ ]*\n(?:-+\n)?([^\n]*\n?(?:[ \t]+\S[^\n]*)?)", re.MULTILINE
)
_LONGEST = 8


def plain(text: str) -> str:
    """Returns a text without the markup of reStructuredText."""
    return _LITERAL.sub(r"`\1`", _ROLE.sub(r"\1", text)).replace("\\", "").strip()


def first_paragraph(docstring: str) -> list[str]:
    """Returns the lines of a docstring's first paragraph, at most eight."""
    lines: list[str] = []
    for line in inspect.cleandoc(docstring).splitlines():
        if not line.strip():
            if lines:
                break
            continue
        if line.lstrip().startswith((":param", "Args:", "Parameters", ">>>", ".. ", ":return")):
            break
        lines.append(plain(line))
    return lines[:_LONGEST]


def comment(function: ast.FunctionDef | ast.ClassDef, names: list[str]) -> list[str]:
    """Returns the comment above a function: what it does, its parameters, what it returns.

    Args:
        function: the function or class.
        names: its parameters, in order; others that the docstring names are passed over.
    """
    docstring = ast.get_docstring(function)
    if not docstring:
        return []
    paragraph = first_paragraph(docstring)
    if not paragraph:
        return []
    lines = [f"--- {paragraph[0]}", *(f"-- {line}" for line in paragraph[1:])]
    described = _parameters(docstring) if names else {}
    for name in names:
        if name in described:
            lines.append(f"-- @param {name} {described[name]}")
    returned = _returned(docstring)
    if returned:
        lines.append(f"-- @return {returned}")
    return lines


def _sentence(text: str) -> str:
    """Returns the first sentence of a description on one line."""
    flat = " ".join(plain(text).split())
    return re.split(r"(?<=[.;]) ", flat)[0]


def _parameters(docstring: str) -> dict[str, str]:
    """Returns the first sentence about each parameter, in any of the three usual styles."""
    found = {name: _sentence(text) for name, text in _SPHINX.findall(docstring)}
    section = re.search(r"^Parameters\n-+\n(.*?)(?=\n\n\w|\n\w+\n-+\n|\Z)", docstring, re.M | re.S)
    if section:
        for name, _, text in _NUMPY.findall(section[1] + "\n"):
            found.setdefault(name.lstrip("*"), _sentence(text))
    section = re.search(
        r"^(?:Args|Arguments|Parameters):\n(.*?)(?=\n\S|\Z)", docstring, re.M | re.S
    )
    if section:
        for name, _, text in _GOOGLE.findall(section[1]):
            found.setdefault(name.lstrip("*"), _sentence(text))
    return {name: text for name, text in found.items() if text}


def _returned(docstring: str) -> str:
    """Returns the first sentence about what comes back."""
    if match := _RETURNS.search(docstring):
        return _sentence(match[1])
    match = _SECTION.search(docstring)
    if match is None:
        return ""
    first, _, rest = match[2].partition("\n")
    return _sentence(rest or first)

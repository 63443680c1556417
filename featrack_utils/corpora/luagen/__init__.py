"""A translator from Python's syntax trees to Lua 5.4.

It covers a large part of the language and leaves out, function by function, what has no faithful
counterpart. Known differences that remain: `table.sort` is not stable, `pairs` keeps no order,
strings are counted in bytes, and where the source does not show a type, a condition follows Lua's
idea of truth and a key that does not look like a position is used as it is.
"""

from __future__ import annotations

import ast
import warnings
from typing import NamedTuple

from featrack_utils.corpora.garbage import collector_paused
from featrack_utils.corpora.luagen import calls, effects, operators, statements, strings, trying
from featrack_utils.corpora.luagen.classes import write_class
from featrack_utils.corpora.luagen.facts import ModuleFacts, module_facts
from featrack_utils.corpora.luagen.frame import Frame, Plan, UntranslatableError
from featrack_utils.corpora.luagen.functions import decorated, open_frame, write
from featrack_utils.corpora.luagen.names import field_name, lua_name, quoted

__all__ = ["Chunk", "translate_module"]

# Importing these modules registers their handlers.
_HANDLERS = (calls, effects, operators, statements, strings, trying)
_LONGEST_LINE = 300


class Chunk(NamedTuple):
    """One Python function or class as a Lua source text that compiles on its own."""

    name: str
    code: str


def translate_module(source: str) -> list[Chunk]:
    """Translates the top-level functions and classes of a Python module.

    Args:
        source: the module's text; a text that is no valid Python yields nothing.

    Returns:
        The chunks in the order of the source. What Lua cannot express faithfully is missing:
        a whole function, a whole class, or whole methods of a class.
    """
    with collector_paused():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # invalid escapes in other people's strings
                tree = ast.parse(source)
        except (SyntaxError, ValueError, RecursionError):
            return []
        return _chunks(tree, source)


def _chunks(tree: ast.Module, source: str) -> list[Chunk]:
    """Translates what a parsed module defines at its top level."""
    facts = module_facts(tree, source)
    imports = dict(facts.imports)
    chunks = []
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef | ast.ClassDef) or node.name == "_":
            continue
        facts.used, facts.imports = {}, dict(imports)
        try:
            lines = (
                _function(facts, node)
                if isinstance(node, ast.FunctionDef)
                else write_class(facts, facts.classes[node.name])
            )
            code = "\n".join([*_head(facts, node.name), *lines]) + "\n"
        except (UntranslatableError, ValueError, RecursionError):
            continue
        if max(map(len, code.split("\n"))) <= _LONGEST_LINE:
            chunks.append(Chunk(node.name, code))
    return chunks


def _function(facts: ModuleFacts, node: ast.FunctionDef) -> list[str]:
    """Returns the lines of a top-level function."""
    frame = open_frame(node, facts, None, None)
    generates = facts.functions[node.name].generates
    write(frame, node, f"local function {lua_name(node.name)}", 0, generates)
    decorated(frame, node, lua_name(node.name))
    return frame.lines


def _head(facts: ModuleFacts, own: str) -> list[str]:
    """Returns the lines that require modules and repeat the constants a chunk uses."""
    lines = []
    constants = []
    frame = Frame(facts, None, None)
    frame.plan = Plan({}, set(), set())
    for name in facts.used:
        if name == own:
            continue
        if name == "is_instance":
            lines.append('local is_instance = require("class").is_instance')
        elif name == "json":
            lines.append('local json = require("json")')
        elif name in facts.imports:
            module, attribute = facts.imports[name]
            path = quoted(module.lstrip("."))
            field = f".{field_name(attribute)}" if attribute else ""
            lines.append(f"local {lua_name(name)} = require({path}){field}")
        elif name in facts.constants:
            constants.append(f"local {lua_name(name)} = {frame.text(facts.constants[name])}")
    lines = sorted(lines) + constants
    return [*lines, ""] if lines else []

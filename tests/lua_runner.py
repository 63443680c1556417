"""Runs a Python function and its Lua translation side by side."""

from __future__ import annotations

import re
import textwrap
from types import SimpleNamespace

import pytest

from featrack_utils.corpora.luagen import translate_module

lupa = pytest.importorskip("lupa.lua54")

CLASS_LIBRARY = """
package.preload["class"] = function()
  return {is_instance = function(object, class)
    local meta = getmetatable(object)
    while meta do
      if meta == class then return true end
      local above = getmetatable(meta)
      meta = above and above.__index
    end
    return false
  end}
end
"""


def to_lua(lua, value):
    if isinstance(value, dict):
        return lua.table_from({key: to_lua(lua, each) for key, each in value.items()})
    if isinstance(value, list | tuple):
        return lua.table_from([to_lua(lua, each) for each in value])
    return value


def from_lua(value):
    if lupa.lua_type(value) != "table":
        return value
    keys = list(value.keys())
    if keys == list(range(1, len(keys) + 1)):
        return [from_lua(each) for each in value.values()]
    return {key: from_lua(each) for key, each in value.items()}


def plain(value):
    """Python values as Lua can hold them: tuples are lists, sets are tables of true."""
    if isinstance(value, set | frozenset):
        return {each: True for each in value}
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()} or []
    return [plain(each) for each in value] if isinstance(value, list | tuple) else value


def both(source, name, *arguments):
    """Returns what Python and what Lua make of the same call."""
    source = textwrap.dedent(source)
    namespace = {}
    exec(source, namespace)
    lua = lupa.LuaRuntime(unpack_returned_tuples=True)
    lua.execute(CLASS_LIBRARY)
    codes = [chunk.code for chunk in translate_module(source)]
    for chunk in translate_module(source):
        # Python's module level is shared; Lua chunks share globals, so the locals become those.
        text = re.sub(
            rf"^local (function )?{chunk.name}\b", rf"\1{chunk.name}", chunk.code, flags=re.M
        )
        lua.execute(text)
    got = lua.globals()[name](*(to_lua(lua, each) for each in arguments))
    got = [from_lua(each) for each in got] if isinstance(got, tuple) else from_lua(got)
    return SimpleNamespace(python=plain(namespace[name](*arguments)), lua=got, codes=codes)

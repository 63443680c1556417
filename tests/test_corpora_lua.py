"""The embedded Lua: real Lua without its licence headers, no file nearly a copy of another."""

from __future__ import annotations

from importlib import metadata

import pytest

from featrack_utils.corpora import installed
from featrack_utils.corpora.documents import Document
from featrack_utils.corpora.installed import lua_documents
from featrack_utils.errors import FeatrackError

HEADER = """--!A build utility
--
-- Licensed under some licence
-- you may not use this file except
--
"""


@pytest.fixture(scope="module")
def found():
    """All of it, read once; some systems have no wheel of xmake."""
    try:
        metadata.distribution("xmake-wheel")
    except metadata.PackageNotFoundError:
        pytest.skip("no wheel of xmake")
    return list(lua_documents())


def test_every_document_compiles_under_lua_5_4(found):
    lupa = pytest.importorskip("lupa.lua54")
    lua = lupa.LuaRuntime()
    compile_error = lua.eval("function(text) return select(2, load(text)) end")
    assert lua.lua_version == (5, 4)
    assert compile_error("def f(): pass") is not None
    assert [d.origin for d in found if compile_error(d.text) is not None] == []


def test_there_is_enough_of_it_and_no_header_is_left(found):
    assert len(found) > 900 and len({d.group for d in found}) > 300
    assert sum(len(d.text) for d in found) > 4_000_000
    assert not [d.origin for d in found if "Licensed under the Apache" in d.text]
    assert all(len(d.text) >= 200 for d in found)


def test_siblings_of_a_folder_are_one_group_and_all_is_credited_to_the_package(found):
    assert all(d.origin.startswith("xmake/") for d in found)
    assert all(d.group == d.origin.rpartition("/")[0] for d in found)
    assert {d.package for d in found} == {"xmake-wheel"}


def test_a_second_reading_gives_the_same_documents(found):
    assert list(lua_documents()) == found


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (HEADER + "\n-- imports\nlocal x = 1\n", "-- imports\nlocal x = 1\n"),
        ("\n\n" + HEADER + "\n\nlocal x = 1\n", "local x = 1\n"),
        ("-- Copyright (c) somebody\nlocal x = 1\n", "local x = 1\n"),
        ("-- imports\nlocal licence = 1\n", "-- imports\nlocal licence = 1\n"),
        ("local x = 1\n-- copyright\n", "local x = 1\n-- copyright\n"),
        (HEADER, ""),
    ],
)
def test_only_a_first_comment_about_a_licence_leaves(text, left):
    more = "\n".join(f"call{i}(value{i})" for i in range(30))
    (document,) = lua_documents([Document(text + more, "a.lua", "")])
    assert document.text == left + more


def test_short_files_and_near_copies_are_passed_over():
    body = "\n".join(f"local name{i} = call{i}(value{i})" for i in range(30))
    texts = {"a/x.lua": body, "b/x.lua": body + "\nlocal more = 1", "c/x.lua": "local x = 1"}
    files = [Document(HEADER + "\n" + text, name, name) for name, text in texts.items()]
    assert [(d.text, d.group) for d in lua_documents(files)] == [(body, "a")]


def test_templates_with_blanks_are_not_read(found):
    assert not [d.origin for d in found if "/templates/" in d.origin]


def test_without_the_wheel_the_reader_is_sent_to_their_own_files(monkeypatch):
    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(installed.metadata, "distribution", missing)
    with pytest.raises(FeatrackError, match=r"xmake-wheel, which is not installed .* kind: files"):
        next(lua_documents())

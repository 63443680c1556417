"""The embedded Lua corpus: every chunk passes a real Lua compiler, none comes twice."""

from __future__ import annotations

import itertools
import re
import sys

import pytest

from featrack_utils.corpora.lua import LUA_PACKAGES, lua_documents
from featrack_utils.corpora.luagen.names import KEYWORDS
from featrack_utils.errors import FeatrackError

lupa = pytest.importorskip("lupa.lua54")
SAMPLE = 2500


@pytest.fixture(scope="module")
def documents():
    """A large sample, made once."""
    return list(itertools.islice(lua_documents(), SAMPLE))


def test_every_chunk_compiles_under_lua_5_4(documents):
    lua = lupa.LuaRuntime()
    compile_error = lua.eval("function(text) return select(2, load(text)) end")
    assert lua.lua_version == (5, 4)
    assert len(documents) == SAMPLE
    assert [d.group for d in documents if compile_error(d.text) is not None] == []


def test_the_compiler_would_notice_python():
    lua = lupa.LuaRuntime()
    assert lua.eval("function(text) return select(2, load(text)) end")("def f(): pass") is not None


def test_no_document_comes_twice(documents):
    assert len({d.text for d in documents}) == len(documents)


def test_renamed_copies_come_once(documents):
    """Names, texts and comments masked by another way than the corpus' own, none is left twice."""
    reserved = "|".join(sorted(KEYWORDS))
    seen = set()
    for document in documents:
        code = "\n".join(
            line for line in document.text.split("\n") if not line.lstrip().startswith("--")
        )
        code = re.sub(r'"(\\.|[^"\\])*"', '""', code)
        code = re.sub(rf"\b(?!(?:{reserved})\b)[A-Za-z_]\w*", "N", code)
        seen.add(" ".join(code.split()))
    assert len(seen) == len(documents)


def test_groups_are_files_of_packages_outside_the_standard_library(documents):
    packages = {d.group.split("/")[0] for d in documents}
    assert packages <= set(LUA_PACKAGES)
    assert len(packages) > 12
    assert not packages & set(sys.stdlib_module_names)
    assert all(d.group.endswith(".py") and d.origin == d.group for d in documents)
    assert not [d.group for d in documents if "/tests/" in d.group]


def test_lengths_lie_between_trivial_and_giant(documents):
    lines = [d.text.count("\n") for d in documents]
    assert min(lines) >= 4
    assert max(lines) <= 200


def test_two_iterations_are_equal(documents):
    assert list(itertools.islice(lua_documents(), 300)) == documents[:300]


def test_a_missing_package_is_named():
    with pytest.raises(FeatrackError, match="no_such_package_here"):
        next(lua_documents(["no_such_package_here"]))

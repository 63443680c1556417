"""Classes in both languages, and what is left out of the translation."""

from __future__ import annotations

import textwrap

import pytest

from featrack_utils.corpora.luagen import translate_module
from tests.lua_runner import both

CASES = {
    "classes inherit, print and compare": (
        """
        class Shape:
            sides = 0

            def __init__(self, name, size=1):
                self.name = name
                self.size = size

            def area(self):
                return 0

            def describe(self):
                return f"{self.name} with area {self.area()}"

            @property
            def big(self):
                return self.size > 2

            @staticmethod
            def twice(x):
                return 2 * x

            @classmethod
            def unit(cls, name):
                return cls(name, 1)

            def __str__(self):
                return "<" + str(self.name) + ">"

            def __eq__(self, other):
                return self.size == other.size

        class Square(Shape):
            sides = 4

            def __init__(self, size):
                super().__init__("square", size)
                self.seen = []

            def area(self):
                return self.size * self.size

            def describe(self):
                self.seen.append(self.size)
                return super().describe() + "!"

        def f(n):
            s = Square(n)
            t = Shape("dot")
            return [s.describe(), t.describe(), s.sides, Square.sides, t.sides, Shape.twice(n),
                    str(s), isinstance(s, Shape), isinstance(t, Square), s == Square(n),
                    Square.unit is None, Shape.unit("u").name, s.seen]
        """, [(3,), (1,)],
    ),
    "errors of one's own are told apart": (
        """
        class MyError(Exception):
            pass

        class OtherError(MyError):
            def __init__(self, code):
                super().__init__("other")
                self.code = code

        def g(x):
            if x == 1:
                raise MyError("one")
            if x == 2:
                raise OtherError(7)
            return 0

        def f(x):
            try:
                return g(x)
            except OtherError as e:
                return e.code
            except MyError:
                return -1
        """, [(0,), (1,), (2,)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_lua_gives_what_python_gives(name):
    source, inputs = CASES[name]
    for arguments in inputs:
        outcome = both(source, "f", *arguments)
        assert outcome.lua == outcome.python, "\n".join(outcome.codes)


@pytest.mark.parametrize(
    "body",
    [
        "async def f():\n    return 1",
        "def f(x):\n    with x.lock:\n        return 1",
        "def f(x):\n    return re.sub('a', 'b', x)",
        "def f(xs, *, a, **rest):\n    return a",
        "def f(xs):\n    return g(*xs, 1)",
        "def f(xs):\n    return xs[::2]",
        "def f(x, y):\n    return x in y",
        "def f(x):\n    global count\n    count = x",
        "def f(xs):\n    for x in xs:\n        pass\n    return x",
        "def f(x):\n    return int(x)",
        "def f(x):\n    try:\n        return x.a\n    except AttributeError:\n        return 0",
        "def f(x):\n    return b'bytes'",
        "def f(x):\n    return 2 ** 3 + 1j",
        "def f(x):\n    return [x, None]",
        "def f(x: list):\n    return x == [1, 2]",
        "def f(d: dict):\n    return d[1, 2]",
        "def f(x):\n    match x:\n        case 1:\n            return 2",
        "def f(s: str):\n    return s or 'empty'",
        "class A(B, C):\n    def f(self):\n        return 1",
        "class A(metaclass=M):\n    def f(self):\n        return 1",
        "class A:\n    def __new__(cls):\n        return 1\n    def f(self):\n        return 2",
        "this is no Python",
    ],
)
def test_what_lua_cannot_say_is_left_out(body):
    assert translate_module("import re\n" + body) == []


def test_one_bad_method_does_not_take_its_class_along():
    source = textwrap.dedent("""
    class Box:
        def __init__(self, x):
            self.x = x

        def good(self):
            return self.x

        async def bad(self):
            return 1

        def worse(self, xs):
            return xs[::3]
    """)
    (chunk,) = translate_module(source)
    assert "Box:good" in chunk.code
    assert "worse" not in chunk.code and "bad" not in chunk.code

"""Control flow in both languages: Python and Lua 5.4 run the same function side by side."""

from __future__ import annotations

import pytest

from tests.lua_runner import both

CASES = {
    "ranges keep their bounds": (
        """
        def f(n):
            total = []
            for i in range(n):
                total.append(i)
            for i in range(2, n, 2):
                total.append(i * 10)
            for i in range(n, 0, -1):
                total.append(-i)
            return total
        """, [(5,), (0,), (1,)],
    ),
    "an index-only loop shifts to one": (
        """
        def f(xs):
            out = []
            for i in range(len(xs)):
                out.append(xs[i])
            for i in range(1, len(xs)):
                out.append(xs[i] - xs[i - 1])
            for i, x in enumerate(xs):
                if i > 0 and i != 2:
                    out.append(i * x + xs[i - 1])
            return out
        """, [([3, 1, 4, 1, 5],), ([9],)],
    ),
    "defaults, keywords and options fill in": (
        """
        def g(a, b=2, c=True, *, scale=10, name=None):
            if name is not None:
                return name
            if c:
                return (a + b) * scale
            return a - b

        def f(x):
            return [g(x), g(x, 5), g(x, c=False), g(x, scale=3), g(x, b=1, name="n"),
                    g(x, 1, False)]
        """, [(1,), (8,)],
    ),
    "closures keep their own counters": (
        """
        def f(n):
            def make(step):
                total = 0
                def advance(k):
                    nonlocal total
                    total += k * step
                    return total
                return advance
            first, second = make(1), make(10)
            first(n)
            second(n)
            twice = lambda k: first(k) + second(k)
            return [first(1), second(1), twice(2)]
        """, [(3,)],
    ),
    "empty containers and zero are false": (
        """
        def f(xs, s: str, n: int):
            xs = list(xs)
            d = {}
            out = []
            if xs:
                out.append("xs")
            if not xs or s:
                out.append("not xs or s")
            if n and not d:
                out.append("n")
            while n:
                n -= 1
                d[n] = n
            if d:
                out.append("d")
            return out
        """, [([], "", 0), ([1], "a", 3), ([], "b", 1), ([2], "", 0)],
    ),
    "continue and break leave the right loop": (
        """
        def f(xs):
            out = []
            for x in xs:
                if x < 0:
                    continue
                k = 0
                while True:
                    k += 1
                    if k % 2 == 0:
                        continue
                    if k > x:
                        break
                    out.append(k)
                if x > 10:
                    break
                else:
                    out.append(-x)
            return out
        """, [([1, -1, 5, 12, 3],)],
    ),
    "variables outlive the block that made them": (
        """
        def f(xs):
            for x in xs:
                if x > 2:
                    last = x
                    kind = "big"
                elif x > 1:
                    last, kind = x, "middle"
                else:
                    last, kind = 0, "small"
                previous = last
            return [last, kind, previous]
        """, [([1, 2, 3],), ([3, 2],), ([5, 1],)],
    ),
    "errors are raised and caught": (
        """
        def g(x):
            if x < 0:
                raise ValueError("negative")
            return x * 2

        def f(x):
            out = []
            try:
                y = g(x)
                out.append(y)
            except Exception:
                out.append("failed")
            else:
                out.append("fine")
            try:
                return [g(x), out]
            except Exception as e:
                out.append("again")
            return out
        """, [(3,), (-1,)],
    ),
    "choices pick the right side": (
        """
        def f(x):
            sign = "minus" if x < 0 else "plus"
            other = None if x == 0 else x
            flag = False if x > 5 else True
            return [sign, other or 1, flag, (x or 1) and 2]
        """, [(3,), (-3,), (9,)],
    ),
    "generators yield in order": (
        """
        def count(n):
            for i in range(n):
                yield i, i * i
            yield n, -1

        def f(n):
            out = []
            for a, b in count(n):
                out.append(a + b)
            return out
        """, [(3,), (0,)],
    ),
    "variable arguments travel": (
        """
        def g(*args):
            return len(args)

        def h(*args):
            return g(*args)

        def f(a):
            xs = [1, 2, 3]
            return [g(), g(a, a), h(a, a, a), g(*xs)]
        """, [(1,)],
    ),
    "several values come back": (
        """
        def g(x):
            return x + 1, x + 2

        def f(x):
            a, b = g(x)
            pair = g(a)
            c, d = pair
            return [a, b, c, d, pair[1]]
        """, [(1,)],
    ),
    "truth of what is only measured": (
        """
        def f(xs):
            if not xs:
                return "empty"
            out = 0
            while 1:
                out += xs[0]
                if out > len(xs):
                    break
            return [out, xs[-1]]
        """, [([],), ([2, 3, 4],)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_lua_gives_what_python_gives(name):
    source, inputs = CASES[name]
    for arguments in inputs:
        outcome = both(source, "f", *arguments)
        assert outcome.lua == outcome.python, "\n".join(outcome.codes)

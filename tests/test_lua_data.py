"""Numbers, texts and containers in both languages, run side by side by Python and Lua 5.4."""

from __future__ import annotations

import pytest

from tests.lua_runner import both

CASES = {
    "positions count from one": (
        """
        def f(xs, i):
            xs = list(xs)
            xs[i] = xs[i + 1] + xs[0] - xs[-1]
            return [xs[1:3], xs[-2:], xs[:2], xs[i], xs[-2], xs[1:-1]]
        """, [([5, 7, 11, 13], 1), ([1, 2, 3, 4, 5], 0)],
    ),
    "strings are cut, searched, split and joined": (
        """
        def f(s: str):
            parts = []
            for word in s.split(","):
                parts.append(word.strip().upper())
            whole = "-".join(parts)
            return [s[1:4], s[-3:], s[0], s[-1], whole, s.replace(".", "%"), s.find("b"),
                    s.startswith("a"), s.endswith(("x", "c")), s.count("a"), "b" in s, s[:-1],
                    s.isdigit(), len(s), "=" * 3 + s.lower()]
        """, [("a.b, B ,,c",), ("12345",), (" xxabc",)],
    ),
    "formats agree": (
        """
        def f(name: str, n: int, x: float):
            return [f"{name}: {n}", f"{n:03d}|{x:.2f}|{name:>6}|{name:<6}|{n}%",
                    "%s has %d of %.1f%%" % (name, n, x),
                    "{0}-{1}".format(name, n),
                    "{a}/{b:5.1f}".format(a=name, b=x), str(n) + "!"]
        """, [("ab", 7, 2.5), ("zeta", 42, 0.125)],
    ),
    "comprehensions filter, nest and map": (
        """
        def f(xs):
            squares = [x * x for x in xs if x % 2 == 1]
            pairs = [x + y for x in xs for y in xs if x < y]
            by_value = {x: x * 2 for x in xs}
            distinct = {x % 3 for x in xs}
            return [squares, pairs, by_value[xs[0]], sum(x + 1 for x in xs), any(x > 3 for x in xs),
                    all(x > 0 for x in xs), sorted(distinct), max(xs), min(xs[0], 2),
                    ",".join(str(x) for x in xs), 2 in distinct]
        """, [([1, 2, 3, 4, 5],), ([3],)],
    ),
    "a missing key is met": (
        """
        def f(d: dict, k):
            try:
                v = d[k]
            except KeyError:
                v = "none"
            d.setdefault("seen", []).append(k)
            before = "a" in d
            taken = d.pop("a", 0)
            return [v, d.get("q", 5), before, taken, "a" in d, len(d), d["seen"]]
        """, [({"a": 1}, "a"), ({"b": 2}, "a")],
    ),
    "lists grow, shrink, sort and swap": (
        """
        def f(xs):
            xs = [x for x in xs]
            xs.append(4)
            xs.insert(1, 9)
            xs += [7, 8]
            xs.extend(x * 2 for x in [1, 2])
            first, last = xs.pop(0), xs.pop()
            xs[0], xs[1] = xs[1], xs[0]
            del xs[2]
            xs.remove(7)
            backwards = [y for y in reversed(xs)]
            ordered = sorted(xs)
            xs.sort(key=lambda x: -x)
            return [first, last, backwards, ordered, xs, [0] * 3, xs + [1], 8 in xs, 99 not in xs]
        """, [([3, 1, 2],)],
    ),
    "arithmetic has Python's signs": (
        """
        def f(a, b):
            q, r = divmod(a, b)
            return [a // b, a % b, a - (b - 1), -a % b, a / b, (a + b) * 2, a & 6 | 1, 1 << 3, q, r,
                    abs(-a), 1 < a <= 7, not a == b, -(-a), a * (b % 3)]
        """, [(7, 2), (-7, 2), (7, -2)],
    ),
    "iteration pairs things up": (
        """
        def f(xs, ys, d: dict):
            out = []
            for x, y in zip(xs, ys):
                out.append(x * y)
            for a, b in [(1, 2), (3, 4)]:
                out.append(a - b)
            total = 0
            for key, value in d.items():
                total += value * len(key)
            for c in "abc":
                out.append(c)
            return [out, total, sorted(k for k in d)]
        """, [([1, 2, 3], [4, 5], {"a": 1, "bb": 2})],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_lua_gives_what_python_gives(name):
    source, inputs = CASES[name]
    for arguments in inputs:
        outcome = both(source, "f", *arguments)
        assert outcome.lua == outcome.python, "\n".join(outcome.codes)


@pytest.mark.parametrize(
    "text", ["tab\tnew\nquote\"'back\\slash", "\x00\x01\x7f9", "naïve ∑ 🙂", "%d%%"]
)
def test_texts_survive_the_change_of_language(text):
    outcome = both(f"def f():\n    return {text!r}\n", "f")
    assert outcome.lua == outcome.python == text


def test_reserved_words_become_names_with_an_underscore():
    source = """
    def f(end, local):
        repeat = end + local
        table = {"then": repeat, "function": 1}
        return [repeat, table["then"], table["function"]]
    """
    outcome = both(source, "f", 1, 2)
    assert outcome.lua == outcome.python == [3, 3, 1]
    assert "end_, local_" in outcome.codes[0]

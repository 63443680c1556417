"""A few modules of Python's standard library, in Lua's own words."""

from __future__ import annotations

import ast

from featrack_utils.corpora.luagen.comprehensions import (
    gathered,
)
from featrack_utils.corpora.luagen.frame import (
    VALUE,
    Code,
    Frame,
    UntranslatableError,
)
from featrack_utils.corpora.luagen.indexing import simple

MATH = frozenset(
    {
        "sqrt", "sin", "cos", "tan", "asin", "acos", "atan", "exp", "log", "fabs", "floor",
        "ceil", "fmod",
    }
)  # fmt: skip


_MATH_NAMES = {"fabs": "abs"}


STANDARD = {
    ("time", "time"): "os.time", ("time", "perf_counter"): "os.clock", ("random", "random"):
    "math.random", ("random", "randint"): "math.random", ("random", "seed"): "math.randomseed",
    ("os", "getenv"): "os.getenv", ("os", "remove"): "os.remove", ("os", "rename"): "os.rename",
    ("os", "unlink"): "os.remove", ("os", "system"): "os.execute", ("json", "dumps"): "json.encode",
    ("json", "loads"): "json.decode",
}  # fmt: skip


def standard_call(
    frame: Frame, origin: tuple[str, str | None], args: list[ast.expr]
) -> Code | None:
    """Writes a call to a function of Python's standard library that Lua has too, or None.

    Raises:
        UntranslatableError: if it is one that Lua lacks.
    """
    module, function = origin
    if module == "math" and function in MATH and args:
        texts = ", ".join(frame.text(argument) for argument in args)
        return Code(f"math.{_MATH_NAMES.get(function, function)}({texts})")
    if (module, function) in STANDARD:
        if module == "json":
            if len(args) != 1:
                return None
            frame.module.used["json"] = None
        texts = ", ".join(frame.text(argument) for argument in args)
        return Code(f"{STANDARD[module, function]}({texts})")
    if module == "collections" and not args and function in ("OrderedDict", "deque"):
        return Code("{}", VALUE)
    if module == "collections" and function == "deque" and len(args) == 1:
        return Code(gathered(frame, args[0]))
    if module == "collections" and function == "defaultdict" and len(args) == 1:
        return _defaultdict(args[0])
    if module in ("typing", "typing_extensions") and function == "cast" and len(args) == 2:
        return frame.expr(args[1])
    if module == "os.path" and function == "join" and args:
        return Code(' .. "/" .. '.join(frame.text(argument, 9) for argument in args), 8)
    if module == "random" and function == "choice" and len(args) == 1:
        if frame.kind(args[0]) not in ("list", "tuple", None):
            return None
        text = simple(frame, args[0])
        return Code(f"{text}[math.random(#{text})]")
    return None


def _defaultdict(factory: ast.expr) -> Code:
    """Writes a table whose metatable makes missing values."""
    makers = {"list": "{}", "dict": "{}", "set": "{}", "int": "0", "float": "0.0", "str": '""'}
    if not isinstance(factory, ast.Name) or factory.id not in makers:
        raise UntranslatableError("a default factory")
    made = makers[factory.id]
    if made != "{}":
        return Code(f"setmetatable({{}}, {{__index = function() return {made} end}})")
    body = "local value = {} rawset(t, key, value) return value"
    return Code(f"setmetatable({{}}, {{__index = function(t, key) {body} end}})")

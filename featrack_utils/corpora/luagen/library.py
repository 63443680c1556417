"""Python's builtin functions and a few of its standard library, in Lua's own words."""

from __future__ import annotations

import ast
from collections.abc import Callable

from featrack_utils.corpora.luagen.comprehensions import (
    as_list,
    fill,
    gathered,
    quantified,
    summed,
)
from featrack_utils.corpora.luagen.conditions import condition, negation
from featrack_utils.corpora.luagen.expressions import refuse_nil
from featrack_utils.corpora.luagen.frame import (
    ATOM,
    COMPARE,
    OR,
    PRODUCT,
    SUM,
    UNARY,
    VALUE,
    Code,
    Frame,
    UntranslatableError,
)
from featrack_utils.corpora.luagen.indexing import simple
from featrack_utils.corpora.luagen.loops import loop
from featrack_utils.corpora.luagen.names import field_name, is_plain_key

_TYPES = {
    "str": "string", "bool": "boolean", "list": "table", "tuple": "table", "dict": "table",
    "set": "table", "frozenset": "table", "Mapping": "table", "Sequence": "table",
}  # fmt: skip
_NUMBERS = {"int": 'math.type({}) == "integer"', "float": 'math.type({}) == "float"'}


def _len(frame: Frame, args: list[ast.expr]) -> Code:
    if frame.kind(args[0]) in ("dict", "set"):
        name, key = frame.fresh("count", "size"), "_"
        frame.emit(f"local {name} = 0")
        frame.emit(f"for {key} in pairs({frame.text(args[0])}) do")
        with frame.block():
            frame.emit(f"{name} = {name} + 1")
        frame.emit("end")
        return Code(name)
    return Code(f"#{frame.text(args[0], ATOM)}", UNARY)


def _str(frame: Frame, args: list[ast.expr]) -> Code:
    return Code(f"tostring({frame.text(args[0])})") if args else Code('""', VALUE)


def _int(frame: Frame, args: list[ast.expr]) -> Code:
    if frame.kind(args[0]) == "str":
        return Code(f"math.tointeger(tonumber({frame.text(args[0])}))")
    if isinstance(args[0], ast.BinOp) and isinstance(args[0].op, ast.FloorDiv):
        return frame.expr(args[0])
    if frame.kind(args[0]) == "num" and isinstance(args[0], ast.Name):
        text = frame.text(args[0])
        return Code(f"{text} >= 0 and math.floor({text}) or math.ceil({text})", OR)
    raise UntranslatableError("int of an unknown kind")


def _float(frame: Frame, args: list[ast.expr]) -> Code:
    if isinstance(args[0], ast.Constant) and isinstance(args[0].value, str):
        known = {"inf": ("math.huge", ATOM), "-inf": ("-math.huge", UNARY), "nan": ("0/0", PRODUCT)}
        if args[0].value.lower().lstrip("+") not in known:
            raise UntranslatableError("an unusual float")
        return Code(*known[args[0].value.lower().lstrip("+")])
    if frame.kind(args[0]) == "num":
        return Code(f"{frame.text(args[0], SUM)} + 0.0", SUM)
    return Code(f"tonumber({frame.text(args[0])})")


def _extreme(name: str) -> Callable[[Frame, list[ast.expr]], Code]:
    def write(frame: Frame, args: list[ast.expr]) -> Code:
        if len(args) > 1:
            if any(frame.kind(argument) in ("str", "list", "tuple") for argument in args):
                raise UntranslatableError("an extreme of what are no numbers")
            return Code(f"math.{name}({', '.join(frame.text(argument) for argument in args)})")
        return Code(f"math.{name}(table.unpack({as_list(frame, args[0])}))")

    return write


def _list(frame: Frame, args: list[ast.expr]) -> Code:
    return Code(gathered(frame, args[0])) if args else Code("{}", VALUE)


def _dict(frame: Frame, args: list[ast.expr]) -> Code:
    if not args:
        return Code("{}", VALUE)
    if isinstance(args[0], ast.GeneratorExp) or frame.kind(args[0]) not in ("dict", None):
        raise UntranslatableError("a dictionary from pairs")
    if isinstance(args[0], ast.Call):
        raise UntranslatableError("a dictionary from a call")
    name = frame.fresh("copy", "map")
    frame.emit(f"local {name} = {{}}")
    key, value = frame.fresh("key", "k"), frame.fresh("value", "v")
    frame.emit(f"for {key}, {value} in pairs({frame.text(args[0])}) do")
    with frame.block():
        frame.emit(f"{name}[{key}] = {value}")
    frame.emit("end")
    return Code(name)


def _set(frame: Frame, args: list[ast.expr]) -> Code:
    if not args:
        return Code("{}", VALUE)
    name = frame.fresh("set", "seen", "members")
    if isinstance(args[0], ast.GeneratorExp):
        node = ast.SetComp(elt=args[0].elt, generators=args[0].generators)
        fill(frame, node, name)
        return Code(name)
    item = frame.fresh("item", "value", "element")
    frame.emit(f"local {name} = {{}}")
    with loop(frame, ast.Name(item, ast.Store()), args[0], []):
        frame.emit(f"{name}[{item}] = true")
    return Code(name)


def _sum(frame: Frame, args: list[ast.expr]) -> Code:
    return summed(frame, args[0], frame.text(args[1]) if len(args) > 1 else "0")


def _quantifier(every: bool) -> Callable[[Frame, list[ast.expr]], Code]:
    def write(frame: Frame, args: list[ast.expr]) -> Code:
        if not isinstance(args[0], ast.GeneratorExp | ast.ListComp):
            raise UntranslatableError("any or all of a value")
        return quantified(frame, args[0], every)

    return write


def _isinstance(frame: Frame, args: list[ast.expr]) -> Code:
    value, wanted = args
    choices = wanted.elts if isinstance(wanted, ast.Tuple) else [wanted]
    names = {choice.id for choice in choices if isinstance(choice, ast.Name)}
    text = simple(frame, value)
    tests = []
    if {"int", "float"} <= names:
        tests.append(f'type({text}) == "number"')
        choices = [c for c in choices if not isinstance(c, ast.Name) or c.id not in _NUMBERS]
    for choice in choices:
        builtin = isinstance(choice, ast.Name) and choice.id not in frame.locals
        if builtin and choice.id in _NUMBERS:
            test = _NUMBERS[choice.id].format(text)
        elif builtin and choice.id in _TYPES:
            if _TYPES[choice.id] == "table":
                frame.table_tests.add(choice.id)
                if len(frame.table_tests) > 1 and len(choices) == 1:
                    raise UntranslatableError("kinds of containers that Lua cannot tell apart")
            test = f'type({text}) == "{_TYPES[choice.id]}"'
        else:
            if not isinstance(choice, ast.Name | ast.Attribute):
                raise UntranslatableError("a class that is computed")
            frame.module.used["is_instance"] = None
            test = f"is_instance({text}, {frame.text(choice)})"
        if test not in tests:
            tests.append(test)
    if len(tests) == 1:
        return Code(tests[0], COMPARE if " == " in tests[0] else ATOM)
    return Code(" or ".join(tests), OR)


def field_of(frame: Frame, args: list[ast.expr]) -> str:
    """Returns `x.name` or `x[name]` for getattr and its kin."""
    value, name = frame.text(args[0], ATOM), args[1]
    if isinstance(name, ast.Constant) and isinstance(name.value, str):
        if not is_plain_key(name.value) or name.value.startswith("__"):
            raise UntranslatableError("a special attribute")
        return f"{value}.{field_name(name.value)}"
    return f"{value}[{frame.text(name)}]"


def _getattr(frame: Frame, args: list[ast.expr]) -> Code:
    item = field_of(frame, args)
    if len(args) == 2 or (isinstance(args[2], ast.Constant) and args[2].value is None):
        return Code(item)
    if frame.kind(args[2]) not in ("num", "str", "list", "dict"):
        raise UntranslatableError("a default that false could hide")
    with frame.sealed():
        return Code(f"{item} or {frame.text(args[2])}", OR)


def _bool(frame: Frame, args: list[ast.expr]) -> Code:
    test = condition(frame, args[0])
    if frame.kind(args[0]) in ("num", "str", "list", "dict", "set", "tuple", "bool"):
        return test
    return Code(f"not {frame.wrap(negation(frame, args[0]), UNARY)}", UNARY)


def _print(frame: Frame, args: list[ast.expr]) -> Code:
    return Code(f"print({', '.join(frame.text(argument) for argument in args)})")


def _sorted(frame: Frame, args: list[ast.expr]) -> Code:
    name = gathered(frame, args[0])
    frame.emit(f"table.sort({name})")
    return Code(name)


def _range(frame: Frame, args: list[ast.expr]) -> Code:
    call = ast.Call(func=ast.Name("range", ast.Load()), args=args, keywords=[])
    return Code(gathered(frame, call))


def _wrapped(form: str, rank: int = ATOM) -> Callable[[Frame, list[ast.expr]], Code]:
    def write(frame: Frame, args: list[ast.expr]) -> Code:
        refuse_nil(args[0])
        return Code(form.format(frame.text(args[0])), rank)

    return write


# name → (fewest arguments, most, writer)
BUILTINS: dict[str, tuple[int, int, Callable[[Frame, list[ast.expr]], Code]]] = {
    "len": (1, 1, _len), "str": (0, 1, _str), "int": (1, 1, _int), "float": (1, 1, _float),
    "min": (1, 9, _extreme("min")), "max": (1, 9, _extreme("max")), "list": (0, 1, _list),
    "tuple": (0, 1, _list), "dict": (0, 1, _dict), "set": (0, 1, _set), "frozenset": (0, 1, _set),
    "sum": (1, 2, _sum), "any": (1, 1, _quantifier(False)), "all": (1, 1, _quantifier(True)),
    "isinstance": (2, 2, _isinstance), "getattr": (2, 3, _getattr), "bool": (1, 1, _bool),
    "print": (0, 9, _print), "sorted": (1, 1, _sorted), "range": (1, 3, _range),
    "abs": (1, 1, _wrapped("math.abs({})")), "ord": (1, 1, _wrapped("utf8.codepoint({})")),
    "chr": (1, 1, _wrapped("utf8.char({})")),
    "callable": (1, 1, _wrapped('type({}) == "function"', COMPARE)),
    "hasattr": (2, 2, lambda frame, args: Code(f"{field_of(frame, args)} ~= nil", COMPARE)),
}  # fmt: skip

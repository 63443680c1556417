"""Comprehensions, and the builtins that swallow one: any, all, sum, sorted, list, set, dict."""

from __future__ import annotations

import ast
from collections.abc import Callable

from featrack_utils.corpora.luagen.bindings import occurrences
from featrack_utils.corpora.luagen.conditions import condition, negation
from featrack_utils.corpora.luagen.expressions import refuse_key, refuse_nil
from featrack_utils.corpora.luagen.frame import Code, Frame, UntranslatableError, expression
from featrack_utils.corpora.luagen.loops import loop

_Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
_NAMES = {
    ast.ListComp: ("result", "items", "list"), ast.SetComp: ("set", "seen", "members"),
    ast.DictComp: ("map", "lookup", "index"), ast.GeneratorExp: ("values", "items", "parts"),
}  # fmt: skip


def nest(
    frame: Frame,
    generators: list[ast.comprehension],
    inner: Callable[[], None],
    used: list[ast.expr],
) -> None:
    """Writes the loops and tests of a comprehension around what `inner` writes."""
    first, *rest = generators
    if first.is_async:
        raise UntranslatableError("an asynchronous comprehension")
    below = [part for each in rest for part in (each.iter, *each.ifs)]
    with loop(frame, first.target, first.iter, [*first.ifs, *below, *used]):
        tests = []
        for test in first.ifs:
            tests.append(condition(frame, test).text if len(first.ifs) == 1 else frame.text(test))
        if tests:
            frame.emit(f"if {' and '.join(tests)} then")
            frame.indent += 1
        if rest:
            nest(frame, rest, inner, used)
        else:
            inner()
        if tests:
            frame.indent -= 1
            frame.emit("end")


@expression(ast.ListComp, ast.SetComp, ast.DictComp)
def comprehension(frame: Frame, node: _Comprehension) -> Code:
    name = frame.fresh(*_NAMES[type(node)])
    fill(frame, node, name)
    return Code(name)


def fill(frame: Frame, node: _Comprehension, name: str, declare: bool = True) -> None:
    """Writes the loop that fills a table of this name with a comprehension's values."""
    frame.emit(f"{'local ' if declare else ''}{name} = {{}}")

    def one() -> None:
        if isinstance(node, ast.DictComp):
            refuse_key(frame, node.key)
            refuse_nil(node.value)
            frame.emit(f"{name}[{frame.text(node.key)}] = {frame.text(node.value)}")
        elif isinstance(node, ast.SetComp):
            refuse_key(frame, node.elt)
            frame.emit(f"{name}[{frame.text(node.elt)}] = true")
        else:
            refuse_nil(node.elt)
            value = frame.text(node.elt)
            frame.emit(f"{name}[#{name} + 1] = {value}")

    used = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
    nest(frame, node.generators, one, used)


def fillable(frame: Frame, node: ast.expr, name: str) -> _Comprehension | None:
    """Returns the comprehension that can be built directly in a variable of this name."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and len(node.args) == 1:
        inner = node.args[0]
        if isinstance(inner, ast.GeneratorExp) and not node.keywords:
            kinds = {"list": ast.ListComp, "tuple": ast.ListComp, "set": ast.SetComp}
            if node.func.id in kinds:
                node = kinds[node.func.id](elt=inner.elt, generators=inner.generators)
    if not isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp):
        return None
    return None if any(found == name for found, _ in occurrences(node)) else node


def as_list(frame: Frame, node: ast.expr) -> str:
    """Returns a list's text; a generator expression is first gathered into one."""
    node = mapped(frame, node)
    if isinstance(node, ast.GeneratorExp):
        name = frame.fresh(*_NAMES[ast.GeneratorExp])
        fill(frame, node, name)
        return name
    if frame.kind(node) in ("dict", "set", "str"):
        raise UntranslatableError("a list is needed")
    return frame.text(node)


def mapped(frame: Frame, node: ast.expr) -> ast.expr:
    """Turns `map(f, xs)` into the generator expression it stands for; leaves the rest alone."""
    match node:
        case ast.Call(func=ast.Name(id="map"), args=[function, items], keywords=[]):
            name = ast.Name(frame.fresh("item", "value", "element"), ast.Load())
            made = ast.Call(func=function, args=[name], keywords=[])
            turn = ast.comprehension(target=name, iter=items, ifs=[], is_async=0)
            return ast.GeneratorExp(elt=made, generators=[turn])
    return node


def gathered(frame: Frame, node: ast.expr) -> str:
    """Writes a fresh list with the items of any iterable; returns its name."""
    node = mapped(frame, node)
    if isinstance(node, ast.GeneratorExp | ast.ListComp):
        return as_list(frame, node)
    name = frame.fresh("items", "list", "copy")
    item = frame.fresh("item", "value", "element")
    frame.emit(f"local {name} = {{}}")
    with loop(frame, ast.Name(item, ast.Store()), node, []):
        frame.emit(f"{name}[#{name} + 1] = {item}")
    return name


def quantified(frame: Frame, node: ast.GeneratorExp, every: bool) -> Code:
    """Writes any(…) or all(…) as a loop that stops at the first witness."""
    name = frame.fresh("all_match", "every") if every else frame.fresh("found", "any_match")
    frame.emit(f"local {name} = {str(every).lower()}")

    def one() -> None:
        test = negation(frame, node.elt) if every else condition(frame, node.elt)
        frame.emit(f"if {test.text} then")
        with frame.block():
            frame.emit(f"{name} = {str(not every).lower()}")
            frame.emit("break")
        frame.emit("end")

    if len(node.generators) > 1:
        raise UntranslatableError("a search through nested loops")
    nest(frame, node.generators, one, [node.elt])
    return Code(name)


def summed(frame: Frame, node: ast.expr, start: str) -> Code:
    """Writes sum(…) as a loop."""
    node = mapped(frame, node)
    name = frame.fresh("total", "sum", "accumulated")
    frame.emit(f"local {name} = {start}")
    if isinstance(node, ast.GeneratorExp | ast.ListComp):
        counts = frame.kind(node.elt) == "bool"
        if counts:
            raise UntranslatableError("a sum of truth values")
        nest(
            frame,
            node.generators,
            lambda: frame.emit(f"{name} = {name} + {frame.text(node.elt, 10)}"),
            [node.elt],
        )
    else:
        item = frame.fresh("value", "item", "term")
        with loop(frame, ast.Name(item, ast.Store()), node, []):
            frame.emit(f"{name} = {name} + {item}")
    return Code(name)

"""Classes as tables with metatables."""

from __future__ import annotations

import ast
import builtins

from featrack_utils.corpora.luagen.constructors import (
    IGNORED_BASES,
    bare_constructor,
    base_of,
    dataclass_constructor,
    label_of,
    write_constructor,
)
from featrack_utils.corpora.luagen.docs import first_paragraph
from featrack_utils.corpora.luagen.facts import ClassFacts, ModuleFacts
from featrack_utils.corpora.luagen.frame import ATOM, Frame, Plan, UntranslatableError
from featrack_utils.corpora.luagen.functions import decorated, open_frame, write
from featrack_utils.corpora.luagen.names import field_name
from featrack_utils.corpora.luagen.nodes import own_nodes, walk

_OPERATORS = {
    "__str__": "__tostring", "__len__": "__len", "__eq__": "__eq", "__lt__": "__lt",
    "__le__": "__le", "__add__": "__add", "__sub__": "__sub", "__mul__": "__mul",
    "__truediv__": "__div", "__floordiv__": "__idiv", "__mod__": "__mod", "__pow__": "__pow",
    "__neg__": "__unm", "__call__": "__call",
}  # fmt: skip
_REFUSED_BASES = frozenset(
    {
        "NamedTuple", "Enum", "IntEnum", "StrEnum", "Flag", "IntFlag", "TypedDict", "Protocol",
        "Structure", "dict", "list", "str", "int", "float", "tuple", "set", "frozenset", "bytes",
        "type", "property", "Thread", "defaultdict", "OrderedDict", "UserDict", "deque",
        "Mapping", "MutableMapping", "Sequence", "MutableSequence", "BaseModel",
    }
)  # fmt: skip
_SMALLEST_SHARE = 0.4
_REFUSED_METHODS = frozenset({"__new__", "__getattr__", "__getattribute__", "__setattr__"})


def write_class(module: ModuleFacts, owner: ClassFacts) -> list[str]:
    """Returns the Lua lines of a class; methods that Lua cannot express are left out.

    Raises:
        UntranslatableError: if the class as a whole, its constructor or most of its methods
            cannot be expressed.
    """
    node = owner.node
    name = field_name(node.name)
    parent, is_error = _parent(node)
    owner.parent = parent
    is_dataclass = _check_decorators(node)
    if _REFUSED_METHODS & owner.methods.keys():
        raise UntranslatableError("a class that makes or reads its objects in its own way")
    frame = Frame(module, owner, None)
    frame.plan = Plan({}, set(), set())
    docstring = ast.get_docstring(node)
    if docstring and (paragraph := first_paragraph(docstring)):
        frame.emit(f"--- {paragraph[0]}")
        for line in paragraph[1:]:
            frame.emit(f"-- {line}")
    if parent:
        parent_text = frame.text(base_of(node), ATOM)
        frame.emit(f"local {name} = setmetatable({{}}, {{__index = {parent_text}}})")
    else:
        parent_text = ""
        frame.emit(f"local {name} = {{}}")
    frame.emit(f"{name}.__index = {name}")
    _inherit_operators(frame, owner, name)
    _constants(frame, node, name, is_dataclass)
    methods = [item for item in node.body if isinstance(item, ast.FunctionDef)]
    if is_dataclass:
        if "__init__" in owner.methods or parent:
            raise UntranslatableError("a dataclass with a parent or its own constructor")
        dataclass_constructor(frame, node, name)
    elif "__init__" not in owner.methods:
        bare_constructor(frame, name, parent_text, is_error)
    written = _methods(frame, owner, methods, name, parent_text, is_error)
    if written < _SMALLEST_SHARE * len(methods) or not (methods or is_dataclass or is_error):
        raise UntranslatableError("too few methods")
    frame.emit("")
    frame.emit(f"return {name}")
    return frame.lines


def _parent(node: ast.ClassDef) -> tuple[str | None, bool]:
    """Returns the parent's name, or None, and whether the class is an exception of Python's."""
    if any(keyword.arg != "metaclass" for keyword in node.keywords):
        raise UntranslatableError("class options")
    if any(label_of(keyword.value) != "ABCMeta" for keyword in node.keywords):
        raise UntranslatableError("a metaclass")
    bases = [base for base in node.bases if label_of(base) not in IGNORED_BASES]
    if len(bases) > 1:
        raise UntranslatableError("several parents")
    if not bases:
        return None, False
    label = label_of(bases[0])
    found = getattr(builtins, label, None)
    if isinstance(found, type) and issubclass(found, Exception):
        return None, True
    if label in _REFUSED_BASES or not isinstance(bases[0], ast.Name | ast.Attribute):
        raise UntranslatableError("a parent that Lua lacks")
    return ast.unparse(bases[0]), False


def _check_decorators(node: ast.ClassDef) -> bool:
    """Says whether the class is a dataclass.

    Raises:
        UntranslatableError: if it has any other decorator with a meaning.
    """
    is_dataclass = False
    for decorator in node.decorator_list:
        function = decorator.func if isinstance(decorator, ast.Call) else decorator
        label = label_of(function)
        if label == "dataclass":
            is_dataclass = True
        elif label not in ("final", "total_ordering", "set_module", "runtime_checkable"):
            raise UntranslatableError("a class decorator")
    return is_dataclass


def _inherit_operators(frame: Frame, owner: ClassFacts, name: str) -> None:
    """Copies the metamethods of a parent in this module: Lua does not look them up further."""
    above = frame.module.classes.get(owner.parent or "")
    seen = set(owner.methods)
    while above is not None:
        for method in above.methods:
            if method in _OPERATORS and method not in seen:
                seen.add(method)
                field = _OPERATORS[method]
                frame.emit(f"{name}.{field} = {owner.parent}.{field}")
        above = frame.module.classes.get(above.parent or "")


def _constants(frame: Frame, node: ast.ClassDef, name: str, is_dataclass: bool) -> None:
    """Writes the class's attributes."""
    for item in node.body:
        match item:
            case ast.Assign(targets=[ast.Name(id=target)], value=value):
                pass
            case ast.AnnAssign(target=ast.Name(id=target), value=ast.expr() as value):
                if is_dataclass:
                    continue
            case (
                ast.FunctionDef()
                | ast.AsyncFunctionDef()
                | ast.Pass()
                | ast.AnnAssign()
                | ast.Expr(value=ast.Constant())
            ):
                continue
            case _:
                raise UntranslatableError("code in a class body")
        if target.startswith("__"):
            continue
        if isinstance(value, ast.Constant) and value.value is None:
            continue
        named = {each.id for each in walk(value) if isinstance(each, ast.Name)}
        if named & (frame.owner.attributes | frame.owner.methods.keys()):
            raise UntranslatableError("a class attribute computed from others")
        frame.emit(f"{name}.{field_name(target)} = {frame.text(value)}")


def _methods(
    frame: Frame,
    owner: ClassFacts,
    methods: list[ast.FunctionDef],
    name: str,
    parent: str,
    is_error: bool,
) -> int:
    """Writes every method that can be; returns how many were."""
    written = 0
    for method in methods:
        used = dict(frame.module.used)
        inner = None
        try:
            inner = _method(frame, owner, method, name, parent, is_error)
        except (UntranslatableError, ValueError):
            frame.module.used = used
            if method.name == "__init__":
                raise
            continue
        if inner:
            frame.emit("")
            frame.lines.extend(inner)
            written += 1
    return written


def _method(
    frame: Frame,
    owner: ClassFacts,
    node: ast.FunctionDef,
    name: str,
    parent: str,
    is_error: bool,
) -> list[str]:
    """Returns the lines of one method."""
    found = owner.methods[node.name]
    arguments = [*node.args.posonlyargs, *node.args.args]
    inner = open_frame(node, frame.module, owner, None)
    inner.method = found.role
    skip = 0 if found.role == "static" else 1
    wanted = "cls" if found.role == "class" else "self"
    if skip and (not arguments or arguments[0].arg != wanted):
        raise UntranslatableError("a method without self")
    if found.role == "class":
        if any(isinstance(each, ast.Name) and each.id == "self" for each in walk(node)):
            raise UntranslatableError("a class method with a self of its own")
        _Rename().visit(node)
        inner.locals.add("self")
        inner.locals.discard("cls")
    if node.name == "__init__":
        write_constructor(inner, node, name, parent, is_error)
        return inner.lines
    special = node.name.startswith("__") and node.name.endswith("__")
    field = _OPERATORS.get(node.name) if special else field_name(node.name)
    if node.name == "__repr__" and "__str__" not in owner.methods:
        field = "__tostring"
    elif node.name == "__contains__":
        field = "contains"
    if field is None:
        raise UntranslatableError(node.name)
    joint = ":" if skip else "."
    generates = any(isinstance(each, ast.Yield | ast.YieldFrom) for each in own_nodes(node))
    write(inner, node, f"function {name}{joint}{field}", skip, generates)
    decorated(inner, node, f"{name}.{field}")
    return inner.lines


class _Rename(ast.NodeTransformer):
    """Renames the class in a class method: Lua's colon calls it self."""

    def visit_Name(self, node: ast.Name) -> ast.Name:
        return ast.copy_location(ast.Name("self", node.ctx), node) if node.id == "cls" else node

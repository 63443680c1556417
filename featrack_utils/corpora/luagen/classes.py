"""Classes as tables with metatables."""

from __future__ import annotations

import ast
import builtins

from featrack_utils.corpora.luagen.docs import comment, first_paragraph
from featrack_utils.corpora.luagen.expressions import table
from featrack_utils.corpora.luagen.facts import ClassFacts, ModuleFacts
from featrack_utils.corpora.luagen.frame import ATOM, Frame, UntranslatableError
from featrack_utils.corpora.luagen.functions import (
    decorated,
    defaults,
    open_frame,
    parameter_list,
    write,
)
from featrack_utils.corpora.luagen.names import field_name, is_plain_key, lua_name
from featrack_utils.corpora.luagen.nodes import own_nodes, walk
from featrack_utils.corpora.luagen.scopes import Plan

_OPERATORS = {
    "__str__": "__tostring", "__len__": "__len", "__eq__": "__eq", "__lt__": "__lt",
    "__le__": "__le", "__add__": "__add", "__sub__": "__sub", "__mul__": "__mul",
    "__truediv__": "__div", "__floordiv__": "__idiv", "__mod__": "__mod", "__pow__": "__pow",
    "__neg__": "__unm", "__call__": "__call",
}  # fmt: skip
_IGNORED_BASES = frozenset({"object", "ABC", "Generic", "Hashable", "Sized"})
_REFUSED_BASES = frozenset(
    "NamedTuple Enum IntEnum StrEnum Flag IntFlag TypedDict Protocol Structure dict list str int "
    "float tuple set frozenset bytes type property Thread defaultdict OrderedDict UserDict deque "
    "Mapping MutableMapping Sequence MutableSequence BaseModel".split()
)
_SMALLEST_SHARE = 0.5


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
    frame = Frame(module, owner, None)
    frame.plan = Plan({}, set(), set())
    docstring = ast.get_docstring(node)
    if docstring and (paragraph := first_paragraph(docstring)):
        frame.emit(f"--- {paragraph[0]}")
        for line in paragraph[1:]:
            frame.emit(f"-- {line}")
    if parent:
        parent_text = frame.text(_base_of(node), ATOM)
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
        _dataclass(frame, node, name)
    elif "__init__" not in owner.methods:
        _bare_constructor(frame, name, parent_text, is_error)
    written = _methods(frame, owner, methods, name, parent_text, is_error)
    if written < _SMALLEST_SHARE * len(methods) or not (methods or is_dataclass or is_error):
        raise UntranslatableError("too few methods")
    frame.emit("")
    frame.emit(f"return {name}")
    return frame.lines


def _base_of(node: ast.ClassDef) -> ast.expr:
    """Returns the one base that matters."""
    return next(base for base in node.bases if _label(base) not in _IGNORED_BASES)


def _label(base: ast.expr) -> str:
    while isinstance(base, ast.Subscript):
        base = base.value
    return base.attr if isinstance(base, ast.Attribute) else getattr(base, "id", "")


def _parent(node: ast.ClassDef) -> tuple[str | None, bool]:
    """Returns the parent's name, or None, and whether the class is an exception of Python's."""
    if any(keyword.arg != "metaclass" for keyword in node.keywords):
        raise UntranslatableError("class options")
    if any(_label(keyword.value) != "ABCMeta" for keyword in node.keywords):
        raise UntranslatableError("a metaclass")
    bases = [base for base in node.bases if _label(base) not in _IGNORED_BASES]
    if len(bases) > 1:
        raise UntranslatableError("several parents")
    if not bases:
        return None, False
    label = _label(bases[0])
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
        label = _label(function)
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
            case ast.FunctionDef() | ast.Pass() | ast.AnnAssign() | ast.Expr(value=ast.Constant()):
                continue
            case _:
                raise UntranslatableError("code in a class body")
        if target.startswith("__"):
            continue
        if isinstance(value, ast.Constant) and value.value is None:
            continue
        if any(isinstance(each, ast.Name) for each in walk(value)):
            raise UntranslatableError("a class attribute that is computed")
        frame.emit(f"{name}.{field_name(target)} = {frame.text(value)}")


def _dataclass(frame: Frame, node: ast.ClassDef, name: str) -> None:
    """Writes the constructor of a dataclass."""
    fields: list[tuple[str, ast.expr | None]] = []
    for item in node.body:
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
            if _label(item.annotation) in ("ClassVar", "InitVar"):
                raise UntranslatableError("a special field")
            fields.append((item.target.id, _field_default(item.value)))
    names = [lua_name(field) for field, _ in fields]
    values = []
    with frame.sealed():
        for field, default in fields:
            text = lua_name(field)
            if default is not None and not (
                isinstance(default, ast.Constant) and default.value is None
            ):
                if isinstance(default, ast.Constant) and default.value is True:
                    text = f"{text} ~= false"
                else:
                    text = f"{text} or {frame.text(default)}"
            values.append(f"{field if is_plain_key(field) else field_name(field)} = {text}")
    frame.emit("")
    frame.emit(f"function {name}.new({', '.join(names)})")
    with frame.block():
        frame.emit(f"return setmetatable({table(frame, values)}, {name})")
    frame.emit("end")


def _field_default(node: ast.expr | None) -> ast.expr | None:
    """Returns the default a dataclass field gets."""
    if not isinstance(node, ast.Call):
        return node
    if _label(node.func) == "field":
        options = {keyword.arg: keyword.value for keyword in node.keywords}
        factory = options.get("default_factory")
        if isinstance(factory, ast.Name) and factory.id in ("list", "dict", "set"):
            return ast.Dict(keys=[], values=[])
        if factory is None and "init" not in options:
            return options.get("default")
    raise UntranslatableError("a field with a computed default")


def _bare_constructor(frame: Frame, name: str, parent: str, is_error: bool) -> None:
    """Writes the constructor of a class that defines none."""
    frame.emit("")
    given = "message" if is_error else "..."
    frame.emit(f"function {name}.new({given if parent or is_error else ''})")
    with frame.block():
        content = "{message = message}" if is_error else f"{parent}.new(...)" if parent else "{}"
        frame.emit(f"return setmetatable({content}, {name})")
    frame.emit("end")


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
            owner.left_out.add(method.name)
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
        _Rename().visit(node)
        inner.locals.add("self")
        inner.locals.discard("cls")
    if node.name == "__init__":
        _constructor(inner, node, name, parent, is_error)
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

    def visit_Name(self, node: ast.Name) -> ast.Name:  # noqa: N802 - ast's own naming
        return ast.copy_location(ast.Name("self", node.ctx), node) if node.id == "cls" else node


def _is_super_init(node: ast.stmt) -> bool:
    match node:
        case ast.Expr(
            value=ast.Call(
                func=ast.Attribute(value=ast.Call(func=ast.Name(id="super")), attr="__init__")
            )
        ):
            return True
    return False


def _constructor(
    frame: Frame, node: ast.FunctionDef, name: str, parent: str, is_error: bool
) -> None:
    """Writes __init__ as `Name.new`, the parent's constructor making the object if there is one."""
    if node.decorator_list:
        raise UntranslatableError("a decorated constructor")
    body = list(node.body)
    place = next((i for i, item in enumerate(body) if _is_super_init(item)), None)
    nested = sum(_is_super_init(each) for each in own_nodes(node) if isinstance(each, ast.stmt))
    if nested != (place is not None):
        raise UntranslatableError("super().__init__ in a branch")
    frame.is_constructor = True
    names = parameter_list(frame, node, 1)
    for line in comment(node, names):
        frame.emit(line)
    frame.emit(f"function {name}.new({', '.join(names)})")
    with frame.block():
        defaults(frame, node, names)
        before = body[:place] if place is not None and (parent or is_error) else []
        if any(isinstance(each, ast.Name) and each.id == "self"
               for item in before for each in walk(item)):  # fmt: skip
            raise UntranslatableError("self before the parent's constructor")
        frame.body(before)
        if place is None or not (parent or is_error):
            frame.emit(f"local self = setmetatable({{}}, {name})")
        else:
            call = body[place].value
            if is_error:
                message = frame.text(call.args[0]) if call.args else '""'
                frame.emit(f"local self = setmetatable({{message = {message}}}, {name})")
            else:
                made = ast.Call(
                    func=_base_of(frame.owner.node), args=call.args, keywords=call.keywords
                )
                frame.emit(f"local self = setmetatable({frame.text(made)}, {name})")
        rest = body[place + 1 :] if place is not None else body
        if place is not None and not (parent or is_error):
            rest = [*body[:place], *rest]
        frame.body(rest)
        if not rest or not isinstance(rest[-1], ast.Return | ast.Raise):
            frame.emit("return self")
    frame.emit("end")

"""Constructors: plain, inherited and of dataclasses."""

from __future__ import annotations

import ast

from featrack_utils.corpora.luagen.docs import comment
from featrack_utils.corpora.luagen.expressions import table
from featrack_utils.corpora.luagen.frame import Frame, UntranslatableError
from featrack_utils.corpora.luagen.names import field_name, is_plain_key, lua_name
from featrack_utils.corpora.luagen.nodes import own_nodes, walk
from featrack_utils.corpora.luagen.parameters import defaults, parameter_list

# Bases that say nothing about what an object does.
IGNORED_BASES = frozenset({"object", "ABC", "Generic", "Hashable", "Sized"})


def dataclass_constructor(frame: Frame, node: ast.ClassDef, name: str) -> None:
    """Writes the constructor of a dataclass."""
    fields: list[tuple[str, ast.expr | None]] = []
    for item in node.body:
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
            if label_of(item.annotation) in ("ClassVar", "InitVar"):
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
    if label_of(node.func) == "field":
        options = {keyword.arg: keyword.value for keyword in node.keywords}
        factory = options.get("default_factory")
        if isinstance(factory, ast.Name) and factory.id in ("list", "dict", "set"):
            return ast.Dict(keys=[], values=[])
        if factory is None and "init" not in options:
            return options.get("default")
    raise UntranslatableError("a field with a computed default")


def bare_constructor(frame: Frame, name: str, parent: str, is_error: bool) -> None:
    """Writes the constructor of a class that defines none."""
    frame.emit("")
    given = "message" if is_error else "..."
    frame.emit(f"function {name}.new({given if parent or is_error else ''})")
    with frame.block():
        content = "{message = message}" if is_error else f"{parent}.new(...)" if parent else "{}"
        frame.emit(f"return setmetatable({content}, {name})")
    frame.emit("end")


def _is_super_init(node: ast.stmt, parent: str) -> bool:
    """Says whether a statement calls the parent's constructor, in either of the two ways."""
    match node:
        case ast.Expr(
            value=ast.Call(
                func=ast.Attribute(value=above, attr="__init__"), args=[ast.Name(id="self"), *_]
            )
        ):
            return ast.unparse(above) == parent
        case ast.Expr(
            value=ast.Call(
                func=ast.Attribute(value=ast.Call(func=ast.Name(id="super")), attr="__init__")
            )
        ):
            return True
    return False


def write_constructor(
    frame: Frame, node: ast.FunctionDef, name: str, parent: str, is_error: bool
) -> None:
    """Writes __init__ as `Name.new`, the parent's constructor making the object if there is one."""
    if node.decorator_list:
        raise UntranslatableError("a decorated constructor")
    body = list(node.body)
    place = next((i for i, item in enumerate(body) if _is_super_init(item, parent)), None)
    nested = sum(
        _is_super_init(each, parent) for each in own_nodes(node) if isinstance(each, ast.stmt)
    )
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
                given = call.args if isinstance(call.func.value, ast.Call) else call.args[1:]
                made = ast.Call(func=base_of(frame.owner.node), args=given, keywords=call.keywords)
                frame.emit(f"local self = setmetatable({frame.text(made)}, {name})")
        rest = body[place + 1 :] if place is not None else body
        if place is not None and not (parent or is_error):
            rest = [*body[:place], *rest]
        frame.body(rest)
        if not rest or not isinstance(rest[-1], ast.Return | ast.Raise):
            frame.emit("return self")
    frame.emit("end")


def base_of(node: ast.ClassDef) -> ast.expr:
    """Returns the one base that matters."""
    return next(base for base in node.bases if label_of(base) not in IGNORED_BASES)


def label_of(base: ast.expr) -> str:
    while isinstance(base, ast.Subscript):
        base = base.value
    return base.attr if isinstance(base, ast.Attribute) else getattr(base, "id", "")

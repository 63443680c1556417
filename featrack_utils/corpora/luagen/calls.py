"""Calls: which function or method is meant, and how its arguments are passed."""

from __future__ import annotations

import ast

from featrack_utils.corpora.luagen.expressions import (
    bracketed,
    gives_several,
    is_self,
    unpacked,
)
from featrack_utils.corpora.luagen.facts import Signature
from featrack_utils.corpora.luagen.frame import (
    ATOM,
    Code,
    Frame,
    UntranslatableError,
    expression,
)
from featrack_utils.corpora.luagen.library import BUILTINS
from featrack_utils.corpora.luagen.methods import method_call
from featrack_utils.corpora.luagen.names import field_name, is_plain_key
from featrack_utils.corpora.luagen.standard import standard_call

# Methods that both builtin containers and other objects have: without evidence, no translation.
_AMBIGUOUS = frozenset(
    {
        "add", "appendleft", "clear", "copy", "count", "decode", "difference", "discard",
        "encode", "find", "format", "get", "index", "insert", "intersection", "isdisjoint",
        "issubset", "issuperset", "most_common", "pop", "popleft", "remove", "replace",
        "reverse", "sort", "split", "translate", "union", "update",
    }
)  # fmt: skip


def is_class_name(name: str) -> bool:
    """Says whether a name is spelled like a class: `Graph`, `_Node`, but neither `N` nor `MAX`."""
    bare = name.lstrip("_")
    return bare[:1].isupper() and not bare.isupper() and any(c.islower() for c in bare)


def arguments(frame: Frame, node: ast.Call, signature: Signature | None) -> list[str]:
    """Returns the arguments' texts; options go into a table unless the signature is known.

    Raises:
        UntranslatableError: if they cannot be passed in an order that is certain.
    """
    texts = []
    for position, argument in enumerate(node.args):
        if isinstance(argument, ast.Starred):
            if position < len(node.args) - 1 or node.keywords:
                raise UntranslatableError("unpacking in the middle")
            texts.append(unpacked(frame, argument.value))
        else:
            texts.append(frame.text(argument))
    if node.args and gives_several(frame, node.args[-1]):
        raise UntranslatableError("a tuple passed on")
    options = {keyword.arg: keyword.value for keyword in node.keywords}
    if None in options:
        if len(options) > 1 or (signature and not signature.open_ended):
            raise UntranslatableError("unpacking of options")
        return [*texts, frame.text(options[None])]
    if signature is not None and options:
        if signature.open_ended:
            raise UntranslatableError("options of an open-ended function")
        by_place = {name: value for name, value in options.items() if name in signature.names}
        while by_place:
            if len(texts) >= len(signature.names):
                raise UntranslatableError("an argument given twice")
            value = by_place.pop(signature.names[len(texts)], None)
            texts.append("nil" if value is None else frame.text(value))
        options = {name: value for name, value in options.items() if name in signature.options}
        if options:
            texts += ["nil"] * (len(signature.names) - len(texts))
    if options:
        texts.append(_option_table(frame, options))
    return texts


def _option_table(frame: Frame, options: dict[str | None, ast.expr]) -> str:
    items = []
    for name, value in options.items():
        key = name if is_plain_key(name or "") else field_name(name or "")
        items.append(f"{key} = {frame.text(value)}")
    return bracketed(frame, "{", items, "}")


def apply(frame: Frame, function: str, node: ast.Call, signature: Signature | None = None) -> Code:
    """Writes a call of a function whose name is settled."""
    return Code(bracketed(frame, f"{function}(", arguments(frame, node, signature), ")"))


@expression(ast.Call)
def call(frame: Frame, node: ast.Call) -> Code:
    if isinstance(node.func, ast.Name):
        return _named(frame, node, node.func)
    if isinstance(node.func, ast.Attribute):
        return _attribute(frame, node, node.func)
    match node.func:
        case ast.Call(func=ast.Name(id="type"), args=[made_like]):
            return apply(frame, f"getmetatable({frame.text(made_like)}).new", node)
    return apply(frame, frame.text(node.func, ATOM), node)


def _plain_arguments(node: ast.Call) -> list[ast.expr]:
    if node.keywords or any(isinstance(argument, ast.Starred) for argument in node.args):
        raise UntranslatableError("options of a builtin")
    return node.args


def _named(frame: Frame, node: ast.Call, function: ast.Name) -> Code:
    """Writes `f(…)`: a local, a builtin, a class or a function."""
    name, module = function.id, frame.module
    if name in frame.locals:
        if name == "self" and frame.method == "class":
            return apply(frame, "self.new", node)
        return apply(frame, frame.text(function, ATOM), node)
    if name in module.classes:
        return apply(
            frame, frame.text(function) + ".new", node, _constructor_signature(frame, name)
        )
    if name in module.functions:
        return apply(frame, frame.text(function), node, module.functions[name])
    if name in module.imports:
        if module.is_standard(name):
            found = standard_call(frame, module.imports[name], _plain_arguments(node))
            if found is None:
                raise UntranslatableError("a function of Python's own")
            return found
    elif name in BUILTINS:
        if name == "dict" and node.keywords and not node.args:
            return Code(
                _option_table(frame, {k.arg or "**": k.value for k in node.keywords}), ATOM - 1
            )
        least, most, write = BUILTINS[name]
        given = _plain_arguments(node)
        if not least <= len(given) <= most:
            raise UntranslatableError("an unusual call of a builtin")
        return write(frame, given)
    text = frame.text(function, ATOM)
    return apply(frame, text + ".new" if is_class_name(name) else text, node)


def _constructor_signature(frame: Frame, name: str) -> Signature | None:
    """Returns the signature of a class of this module."""
    owner = frame.module.classes[name]
    found = frame.module.inherited(owner, "__init__")
    return found


def _attribute(frame: Frame, node: ast.Call, function: ast.Attribute) -> Code:
    """Writes `x.f(…)`: a method, or a function in a module."""
    receiver, name = function.value, function.attr
    if name == "__class__":
        return apply(frame, f"getmetatable({frame.text(receiver)}).new", node)
    if name.startswith("__") and name.endswith("__"):
        raise UntranslatableError("a special method")
    match receiver:
        case ast.Call(func=ast.Name(id="super")):
            return _super(frame, node, name)
    field = field_name(name)
    if is_self(frame, receiver):
        return _own(frame, node, function, field)
    root = receiver
    while isinstance(root, ast.Attribute):
        root = root.value
    if isinstance(root, ast.Name) and root.id not in frame.locals:
        if root.id in frame.module.imports and (root is receiver or not root.id[0].isupper()):
            return _imported(frame, node, function, root)
        if is_class_name(root.id) and root is receiver:
            owner = frame.module.classes.get(root.id)
            found = frame.module.inherited(owner, name)
            joint = ":" if found and found.role == "class" else "."
            return apply(frame, f"{frame.text(receiver, ATOM)}{joint}{field}", node, found)
    found = method_call(frame, node, receiver, name)
    if found is not None:
        return found
    if name in _AMBIGUOUS:
        raise UntranslatableError(f"{name} of an unknown kind")
    if is_class_name(name):
        return apply(frame, f"{frame.text(receiver, ATOM)}.{field}.new", node)
    if gives_several(frame, receiver):
        raise UntranslatableError("a method of several values")
    return apply(frame, f"{frame.text(receiver, ATOM)}:{field}", node)


def _own(frame: Frame, node: ast.Call, function: ast.Attribute, field: str) -> Code:
    """Writes a call of a method, or of a function held in a field, of the object itself."""
    found = frame.module.inherited(frame.owner, function.attr)
    if found is None and frame.owner and function.attr in frame.owner.attributes:
        return apply(frame, f"self.{field}", node)
    if found is not None and found.role == "property":
        return apply(frame, frame.text(function), node)
    joint = "." if found is not None and found.role == "static" else ":"
    return apply(frame, f"self{joint}{field}", node, found)


def _imported(frame: Frame, node: ast.Call, function: ast.Attribute, root: ast.Name) -> Code:
    """Writes a call of a function in an imported module."""
    if frame.module.is_standard(root.id):
        path = ast.unparse(function).split(".")
        module, attribute = frame.module.imports[root.id]
        steps = [module, *([attribute] if attribute else []), *path[1:]]
        origin = (".".join(steps[:-1]), steps[-1])
        found = standard_call(frame, origin, _plain_arguments(node))
        if found is None:
            raise UntranslatableError("a function of Python's own")
        return found
    name = function.attr
    text = f"{frame.text(function.value, ATOM)}.{field_name(name)}"
    return apply(frame, text + ".new" if is_class_name(name) else text, node)


def _super(frame: Frame, node: ast.Call, name: str) -> Code:
    """Writes `super().f(…)` as `Parent.f(self, …)`."""
    if (
        frame.owner is None
        or frame.owner.parent is None
        or frame.method not in ("method", "property")
    ):
        raise UntranslatableError("super outside a plain method")
    parent = frame.owner.parent
    found = frame.module.inherited(frame.module.classes.get(parent), name)
    given = ["self", *arguments(frame, node, found)]
    frame.module.used[parent] = None
    return Code(bracketed(frame, f"{field_name(parent)}.{field_name(name)}(", given, ")"))

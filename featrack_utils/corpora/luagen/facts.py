"""What a translator must know of a module before it writes any of its functions."""

from __future__ import annotations

import ast
import re
import sys
from dataclasses import dataclass, field

from featrack_utils.corpora.luagen.evidence import annotated_kind, assigned_kinds, kind_of
from featrack_utils.corpora.luagen.nodes import own_nodes, walk

_NOISE = re.compile(r"#\s*(?:type:|noqa|pragma|pylint|mypy|pyright|fmt:|-\*-|!|isort|pyre)")
_LONGEST_CONSTANT = 400


@dataclass
class Signature:
    """How a Python function takes its arguments, and what kind of call it is.

    Attributes:
        names: positional parameters in order, without self.
        options: keyword-only parameters, passed in a table.
        open_ended: whether it takes *args or **kwargs.
        generates: whether it is a generator.
        several: whether it returns a tuple written out, in Lua several values.
        role: "function", "method", "static", "class" or "property".
    """

    names: list[str]
    options: list[str]
    open_ended: bool
    generates: bool
    several: bool
    role: str


@dataclass
class ClassFacts:
    """What is known of a class: its methods, its parent and the types of its attributes."""

    node: ast.ClassDef
    parent: str | None
    methods: dict[str, Signature]
    kinds: dict[str, str]
    attributes: set[str]
    left_out: set[str] = field(default_factory=set)


@dataclass
class ModuleFacts:
    """What is known of a module: imports, functions, classes and constants.

    Attributes:
        imports: name → (module, attribute or None).
        functions: module-level functions.
        classes: module-level classes.
        constants: names bound once to a literal small enough to be repeated.
        kinds: evident types of module-level names.
        lines: the source, line by line.
        used: names of imports and constants that the current chunk mentions.
    """

    imports: dict[str, tuple[str, str | None]] = field(default_factory=dict)
    functions: dict[str, Signature] = field(default_factory=dict)
    classes: dict[str, ClassFacts] = field(default_factory=dict)
    constants: dict[str, ast.expr] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    used: dict[str, None] = field(default_factory=dict)

    def comments(self, after: int, before: int) -> list[str]:
        """Returns the Lua form of the whole-line comments between two lines of the source."""
        found = []
        for line in self.lines[after : before - 1]:
            text = line.strip()
            if text.startswith("#") and not _NOISE.match(text):
                found.append("-- " + text.lstrip("#").strip() if text.strip("# -=") else "--")
        return found if any(line != "--" for line in found) else []

    def is_standard(self, name: str) -> bool:
        """Says whether a name was imported from Python's standard library."""
        return self.imports[name][0].split(".")[0] in sys.stdlib_module_names

    def inherited(self, owner: ClassFacts | None, name: str) -> Signature | None:
        """Returns the signature of a method of a class or of its parents in this module."""
        while owner is not None:
            if name in owner.methods:
                return owner.methods[name]
            owner = self.classes.get(owner.parent or "")
        return None


def signature_of(function: ast.FunctionDef, in_class: bool) -> Signature:
    """Reads a function's signature."""
    marks = {node.id for node in function.decorator_list if isinstance(node, ast.Name)}
    marks |= {node.attr for node in function.decorator_list if isinstance(node, ast.Attribute)}
    role = "method" if in_class else "function"
    if in_class:
        for mark, name in (
            ("staticmethod", "static"), ("classmethod", "class"), ("property", "property"),
            ("cached_property", "property"),
        ):  # fmt: skip
            role = name if mark in marks else role
    arguments = function.args
    names = [argument.arg for argument in [*arguments.posonlyargs, *arguments.args]]
    nodes = own_nodes(function)
    return Signature(
        names=names[1:] if role in ("method", "class", "property") else names,
        options=[argument.arg for argument in arguments.kwonlyargs],
        open_ended=bool(arguments.vararg or arguments.kwarg),
        generates=any(isinstance(node, ast.Yield | ast.YieldFrom) for node in nodes),
        several=any(
            isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple) for node in nodes
        ),
        role=role,
    )


def class_facts(node: ast.ClassDef, outer: dict[str, str]) -> ClassFacts:
    """Reads a class: methods, parent, and what is assigned to `self.x` anywhere in it."""
    methods: dict[str, Signature] = {}
    known: dict[str, str] = {}
    attributes: set[str] = set()
    for item in node.body:
        if isinstance(item, ast.FunctionDef):
            methods[item.name] = signature_of(item, in_class=True)
        elif isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
            attributes.add(item.target.id)
            if kind := annotated_kind(item.annotation):
                known["self." + item.target.id] = kind
        elif isinstance(item, ast.Assign) and isinstance(item.targets[0], ast.Name):
            attributes.add(item.targets[0].id)
    nodes = walk(node)
    for found in nodes:
        if isinstance(found, ast.Attribute) and isinstance(found.ctx, ast.Store):
            attributes.add(found.attr)
    every = assigned_kinds(nodes, known, outer)
    kinds = {key: kind for key, kind in every.items() if key.startswith("self.")}
    for item in node.body:
        if isinstance(item, ast.Assign) and isinstance(item.targets[0], ast.Name):
            key = "self." + item.targets[0].id
            kind = kind_of(item.value, {}, outer)
            if kinds.setdefault(key, kind or "") != kind:
                del kinds[key]
    parents = [base.id for base in node.bases if isinstance(base, ast.Name)]
    return ClassFacts(node, parents[0] if parents else None, methods, kinds, attributes)


def module_facts(tree: ast.Module, source: str) -> ModuleFacts:
    """Reads a module's imports, functions, classes and constants."""
    facts = ModuleFacts(lines=source.splitlines())
    stored: dict[str, list[ast.expr | None]] = {}
    waiting: list[ast.stmt] = list(reversed(tree.body))
    while waiting:
        node = waiting.pop()
        match node:
            case ast.Import() | ast.ImportFrom():
                note_import(node, facts.imports)
            case ast.If() | ast.Try() | ast.With():
                blocks = [*node.body, *getattr(node, "orelse", [])]
                for handler in getattr(node, "handlers", []):
                    blocks.extend(handler.body)
                waiting.extend(reversed(blocks))
            case ast.FunctionDef():
                facts.functions[node.name] = signature_of(node, in_class=False)
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    if isinstance(target, ast.Name):
                        stored.setdefault(target.id, []).append(value)
            case ast.AnnAssign(target=ast.Name(id=name), value=value):
                stored.setdefault(name, []).append(value)
            case ast.AugAssign(target=ast.Name(id=name)):
                stored.setdefault(name, []).append(None)
    for name, values in stored.items():
        if len(values) == 1 and values[0] is not None:
            if kind := kind_of(values[0], {}, {}):
                facts.kinds[name] = kind
            if _is_small_literal(values[0]):
                facts.constants[name] = values[0]
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            facts.classes[node.name] = class_facts(node, facts.kinds)
    return facts


def note_import(node: ast.Import | ast.ImportFrom, imports: dict) -> None:
    """Adds the names an import statement binds to a table of name → (module, attribute)."""
    for alias in node.names:
        if isinstance(node, ast.Import):
            module = alias.name if alias.asname else alias.name.split(".")[0]
            imports[alias.asname or module] = (module, None)
        elif node.module:
            module = "." * node.level + node.module
            imports[alias.asname or alias.name] = (module, alias.name)
        else:
            imports[alias.asname or alias.name] = ("." + alias.name, None)


def _is_small_literal(node: ast.expr) -> bool:
    """Says whether a constant can be repeated at the head of a chunk."""
    literal = (
        ast.Constant | ast.Tuple | ast.List | ast.Dict | ast.Set | ast.UnaryOp | ast.USub | ast.Load
    )
    if node.end_col_offset is None or (node.end_lineno or 0) - node.lineno > 12:
        return False
    nodes = (walk(node))
    return len(nodes) < _LONGEST_CONSTANT / 8 and all(isinstance(each, literal) for each in nodes)

"""What a translator must know of a module before it writes any of its functions."""

from __future__ import annotations

import ast
import re
import sys
from dataclasses import dataclass, field
from functools import cached_property

from featrack_utils.corpora.luagen.annotations import annotated_kind
from featrack_utils.corpora.luagen.evidence import assigned_kinds, kind_of
from featrack_utils.corpora.luagen.nodes import own_nodes, walk

_NOISE = re.compile(r"#\s*(?:type:|noqa|pragma|pylint|mypy|pyright|fmt:|-\*-|!|isort|pyre)")
_LONGEST_CONSTANT = 400


@dataclass
class Signature:
    """How a Python function takes its arguments, and what kind of call it is.

    Attributes:
        node: the function itself, read further only when something asks.
        names: positional parameters in order, without self.
        options: keyword-only parameters, passed in a table.
        open_ended: whether it takes *args or **kwargs.
        role: "function", "method", "static", "class" or "property".
    """

    node: ast.FunctionDef
    names: list[str]
    options: list[str]
    open_ended: bool
    role: str

    @cached_property
    def generates(self) -> bool:
        """Whether it is a generator."""
        return any(isinstance(node, ast.Yield | ast.YieldFrom) for node in own_nodes(self.node))

    @cached_property
    def several(self) -> bool:
        """Whether it returns or yields a tuple written out, in Lua several values."""
        return any(
            isinstance(node, ast.Return | ast.Yield)
            and isinstance(node.value, ast.Tuple)
            and len(node.value.elts) > 1
            for node in own_nodes(self.node)
        )


@dataclass
class ClassFacts:
    """What is known of a class: its methods, its parent and the types of its attributes.

    Attributes:
        node: the class itself, read further only when something asks.
        parent: the name of its parent, or None.
        methods: the signatures of its methods.
        outer: kinds of the module's names.
    """

    node: ast.ClassDef
    parent: str | None
    methods: dict[str, Signature]
    outer: dict[str, str]

    @cached_property
    def nodes(self) -> list[ast.AST]:
        """Every node of the class."""
        return walk(self.node)

    @cached_property
    def attributes(self) -> set[str]:
        """The names of what is assigned in the class body or to any attribute."""
        found = {
            node.attr
            for node in self.nodes
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
        }
        for item in self.node.body:
            match item:
                case (
                    ast.AnnAssign(target=ast.Name(id=name))
                    | ast.Assign(targets=[ast.Name(id=name), *_])
                ):
                    found.add(name)
        return found

    @cached_property
    def kinds(self) -> dict[str, str]:
        """The kinds of `self.x` as far as all the class's methods agree on them."""
        known = {}
        for item in self.node.body:
            match item:
                case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation):
                    if kind := annotated_kind(annotation):
                        known["self." + name] = kind
        every = assigned_kinds(self.nodes, known, self.outer)
        kinds = {key: kind for key, kind in every.items() if key.startswith("self.")}
        for item in self.node.body:
            if isinstance(item, ast.Assign) and isinstance(item.targets[0], ast.Name):
                key = "self." + item.targets[0].id
                kind = kind_of(item.value, {}, self.outer)
                if kinds.setdefault(key, kind or "") != kind:
                    del kinds[key]
        return kinds


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
    return Signature(
        node=function,
        names=names[1:] if role in ("method", "class", "property") else names,
        options=[argument.arg for argument in arguments.kwonlyargs],
        open_ended=bool(arguments.vararg or arguments.kwarg),
        role=role,
    )


def class_facts(node: ast.ClassDef, outer: dict[str, str]) -> ClassFacts:
    """Reads a class as far as its methods' signatures and its parent."""
    methods = {
        item.name: signature_of(item, in_class=True)
        for item in node.body
        if isinstance(item, ast.FunctionDef)
    }
    parents = [base.id for base in node.bases if isinstance(base, ast.Name)]
    return ClassFacts(node, parents[0] if parents else None, methods, outer)


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
    nodes = walk(node)
    return len(nodes) < _LONGEST_CONSTANT / 8 and all(isinstance(each, literal) for each in nodes)

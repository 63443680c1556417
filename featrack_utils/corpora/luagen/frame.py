"""The state of one Lua function being written, and the tables of handlers that write it."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from featrack_utils.corpora.luagen.evidence import kind_of
from featrack_utils.corpora.luagen.names import lua_name

if TYPE_CHECKING:
    from featrack_utils.corpora.luagen.facts import ClassFacts, ModuleFacts

# Binding strength of Lua's operators, weakest first; ATOM may be called, indexed or given methods.
OR, AND, COMPARE, BIT_OR, BIT_XOR, BIT_AND, SHIFT = 1, 2, 3, 4, 5, 6, 7
CONCAT, SUM, PRODUCT, UNARY, POWER, VALUE, ATOM = 8, 10, 11, 12, 13, 14, 15
INDENT = "  "
LINE_WIDTH = 96
MAX_LOCALS = 120


class UntranslatableError(Exception):
    """The Python at hand has no faithful counterpart in Lua, so its function is left out."""


class Code(NamedTuple):
    """A Lua expression and how tightly its outermost operator binds."""

    text: str
    rank: int = ATOM


class Plan(NamedTuple):
    """Declarations of one function.

    Attributes:
        hoisted: statement id → variables to declare just before it.
        inline: (statement id, variable) pairs where the statement itself declares.
        names: every local variable, parameters excluded.
    """

    hoisted: dict[int, list[str]]
    inline: set[tuple[int, str]]
    names: set[str]


Expression = Callable[["Frame", ast.expr], Code]
Statement = Callable[["Frame", ast.stmt], None]
EXPRESSIONS: dict[type[ast.AST], Expression] = {}
STATEMENTS: dict[type[ast.AST], Statement] = {}


def expression(*types: type[ast.expr]) -> Callable[[Expression], Expression]:
    """Registers a handler that writes expressions of these types."""

    def register(handler: Expression) -> Expression:
        EXPRESSIONS.update(dict.fromkeys(types, handler))
        return handler

    return register


def statement(*types: type[ast.stmt]) -> Callable[[Statement], Statement]:
    """Registers a handler that writes statements of these types."""

    def register(handler: Statement) -> Statement:
        STATEMENTS.update(dict.fromkeys(types, handler))
        return handler

    return register


class Frame:
    """One Lua function under way: its lines so far, its names and what is known of them.

    Attributes:
        module: what is known of the Python module.
        owner: the class whose method this is, or None.
        plan: where each local variable is declared.
        kinds: evident types of names and of `self.x`.
        lines: the Lua lines written so far.
        sized: variables of no evident kind that are lists or strings by their use.
        one_based: loop variables that hold their Python value plus one.
        in_message: whether a text for people is being written, an error's or a warning's.
        direct: the expression that is the whole right-hand side of a statement.
        error_name: the variable holding the caught error, inside a handler.
    """

    def __init__(self, module: ModuleFacts, owner: ClassFacts | None, outer: Frame | None) -> None:
        self.module = module
        self.owner = owner
        self.outer = outer
        self.plan: Plan
        self.kinds: dict[str, str] = dict(outer.kinds) if outer else {}
        self.locals: set[str] = set(outer.locals) if outer else set()
        self.taken: set[str] = set(outer.taken) if outer else set()
        self.lines: list[str] = []
        self.indent = outer.indent if outer else 0
        self.sized: set[str] = set(outer.sized) if outer else set()
        self.one_based: set[str] = set(outer.one_based) if outer else set()
        self.fresh_shift: set[str] = set()
        self.table_tests: set[str] = outer.table_tests if outer else set()
        self.error_name: str | None = None
        self.in_message = False
        self.direct: ast.expr | None = None
        self.is_generator = False
        self.is_constructor = False
        self.method: str | None = outer.method if outer else None
        self.varargs: str | None = None
        self.loops: list[str] = []
        self.last_line = 0
        self._sealed = 0

    def emit(self, text: str) -> None:
        """Writes one line (or several already indented ones) at the current depth.

        Raises:
            UntranslatableError: where only an expression can stand.
        """
        if self._sealed:
            raise UntranslatableError("a statement inside a short-circuit expression")
        self.lines.append(INDENT * self.indent + text)

    @contextmanager
    def block(self) -> Iterator[None]:
        """What is written inside lies one level deeper."""
        self.indent += 1
        yield
        self.indent -= 1

    @contextmanager
    def sealed(self) -> Iterator[None]:
        """Inside, no statement may be written: the expression may never be evaluated."""
        self._sealed += 1
        try:
            yield
        finally:
            self._sealed -= 1

    def expr(self, node: ast.expr) -> Code:
        """Returns the Lua expression for a Python one.

        Raises:
            UntranslatableError: if it has none.
        """
        handler = EXPRESSIONS.get(type(node))
        if handler is None:
            raise UntranslatableError(type(node).__name__)
        return handler(self, node)

    def text(self, node: ast.expr, rank: int = OR) -> str:
        """Returns the Lua text, in parentheses if it binds more weakly than `rank`."""
        return self.wrap(self.expr(node), rank)

    @staticmethod
    def wrap(code: Code, rank: int) -> str:
        return code.text if code.rank >= rank else f"({code.text})"

    def body(self, statements: list[ast.stmt]) -> None:
        """Writes a block, dropping what follows a return, break, continue or raise."""
        for node in statements:
            handler = STATEMENTS.get(type(node))
            if handler is None:
                raise UntranslatableError(type(node).__name__)
            self._comments(node)
            hoisted = self.plan.hoisted.get(id(node))
            if hoisted:
                self.emit("local " + ", ".join(self.local(name) for name in hoisted))
            handler(self, node)
            self.last_line = node.end_lineno or self.last_line
            if isinstance(node, ast.Return | ast.Break | ast.Continue | ast.Raise):
                break

    def _comments(self, node: ast.stmt) -> None:
        """Carries over the whole-line comments that stand right above a statement."""
        for line in self.module.comments(self.last_line, node.lineno):
            self.emit(line)
        self.last_line = max(self.last_line, node.lineno)

    def kind(self, node: ast.expr) -> str | None:
        """Returns the evident type of an expression, or None."""
        return kind_of(node, self.kinds, self.module.kinds)

    def local(self, name: str) -> str:
        """Returns the Lua spelling of a local variable."""
        return lua_name(name)

    def fresh(self, *candidates: str) -> str:
        """Returns a new variable name that nothing in the function uses."""
        for name in candidates:
            if name not in self.taken:
                self.taken.add(name)
                return name
        number = 2
        while f"{candidates[0]}{number}" in self.taken:
            number += 1
        self.taken.add(f"{candidates[0]}{number}")
        return f"{candidates[0]}{number}"

    def declares(self, node: ast.stmt, name: str) -> bool:
        """Says whether this statement is the one that declares a local variable."""
        return (id(node), name) in self.plan.inline

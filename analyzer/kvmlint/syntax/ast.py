"""Our own small C syntax tree: what the rest of the engine sees instead of tree-sitter nodes.

Every node has ``start`` and ``end``, byte offsets into the original file (half open). Parentheses
are gone. Nodes are compared by identity, not by value: two calls on two lines are two sites.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, TypeVar, dataclass_transform

T = TypeVar("T")

if TYPE_CHECKING:

    @dataclass_transform(frozen_default=True, eq_default=False)
    def node(cls: type[T]) -> type[T]:
        """A frozen dataclass with slots, compared by identity."""
        ...

else:
    # Whoever assigns to a node is stopped by mypy; at run time that would double a node's cost.
    node = dataclass(slots=True, eq=False)

TypeText: TypeAlias = str
"""A C type as written, attributes removed, single spaces: 'struct kvm *', 'unsigned long'."""


@node
class Node:
    """Anything with a place in the file."""

    start: int
    end: int


# --- expressions ---------------------------------------------------------------------------------


@node
class Name(Node):
    """An identifier used as a value (also NULL, true, false and macro constants)."""

    name: str


@node
class Number(Node):
    """An integer or character literal; ``value`` is None when it isn't an integer."""

    value: int | None


@node
class Text(Node):
    """A string literal (adjacent ones joined)."""


@node
class Call(Node):
    """``func(args)``; an argument that is a type (macro calls like container_of) is an Opaque."""

    func: Expr
    args: tuple[Expr, ...]


@node
class Field(Node):
    """``base.name`` or, with ``arrow``, ``base->name``."""

    base: Expr
    name: str
    arrow: bool


@node
class Index(Node):
    """``base[index]``."""

    base: Expr
    index: Expr


@node
class Unary(Node):
    """``op operand`` with op one of ``* & ! - ~ +``."""

    op: str
    operand: Expr


@node
class Binary(Node):
    """``left op right``, ``&&`` and ``||`` included."""

    op: str
    left: Expr
    right: Expr


@node
class Assign(Node):
    """``target op value`` with op one of ``= += -= *= /= %= &= |= ^= <<= >>=``."""

    op: str
    target: Expr
    value: Expr


@node
class Update(Node):
    """``++target`` (prefix) or ``target++``; op is ``++`` or ``--``."""

    op: str
    prefix: bool
    target: Expr


@node
class Conditional(Node):
    """``cond ? then : other``; ``then`` is None for GNU ``cond ?: other``."""

    cond: Expr
    then: Expr | None
    other: Expr


@node
class Comma(Node):
    """``left, right``."""

    left: Expr
    right: Expr


@node
class Cast(Node):
    """``(type)operand``."""

    type: TypeText
    operand: Expr


@node
class StatementExpr(Node):
    """GNU ``({ … })``: its value is that of the last expression statement."""

    body: Block


@node
class InitList(Node):
    """``{ .a = 1, 2 }`` or a compound literal: (designator such as '.a' or '', value) pairs."""

    items: tuple[tuple[str, Expr], ...]


@node
class Opaque(Node):
    """Anything without an effect that we don't look into: sizeof, offsetof, a type, asm."""

    text: str


Expr: TypeAlias = (
    Name
    | Number
    | Text
    | Call
    | Field
    | Index
    | Unary
    | Binary
    | Assign
    | Update
    | Conditional
    | Comma
    | Cast
    | StatementExpr
    | InitList
    | Opaque
)

# --- statements ----------------------------------------------------------------------------------


@node
class Block(Node):
    """``{ … }``: a scope."""

    body: tuple[Stmt, ...]


@node
class ExprStmt(Node):
    """An expression evaluated for its effect. ``(void)f()`` stays a Cast to 'void'."""

    expr: Expr


@node
class Declare(Node):
    """One local variable (a declaration of several becomes several). ``type`` includes the
    pointer stars, an array ends in '[]'. ``cleanup`` is the function named by ``__free(f)`` or
    ``__cleanup(f)``, '' without one. ``static`` locals outlive the call."""

    name: str
    type: TypeText
    init: Expr | None
    cleanup: str = ""
    static: bool = False


@node
class If(Node):
    """``if (cond) then else other``."""

    cond: Expr
    then: Stmt
    other: Stmt | None


@node
class While(Node):
    """``while (cond) body``."""

    cond: Expr
    body: Stmt


@node
class DoWhile(Node):
    """``do body while (cond)``."""

    body: Stmt
    cond: Expr


@node
class For(Node):
    """``for (init; cond; step) body``; ``init`` is a statement tuple (declarations or one
    expression)."""

    init: tuple[Stmt, ...]
    cond: Expr | None
    step: Expr | None
    body: Stmt


@node
class LoopMacro(Node):
    """``for_each_x(args) body``. ``cursors`` are the argument names that the macro assigns at
    each turn (first argument when unknown)."""

    name: str
    args: tuple[Expr, ...]
    cursors: tuple[str, ...]
    body: Stmt


@node
class Switch(Node):
    """``switch (value) body``; the Case labels are inside ``body``."""

    value: Expr
    body: Stmt


@node
class Case(Node):
    """``case value:`` or ``case value ... last:`` or, with value None, ``default:``. The
    statements after it follow it in the enclosing block (fall-through is then natural)."""

    value: Expr | None
    last: Expr | None = None


@node
class Label(Node):
    """``name:``; the statement after it follows it in the enclosing block."""

    name: str


@node
class Goto(Node):
    """``goto label;`` (a computed goto has label '')."""

    label: str


@node
class Break(Node):
    """``break;``"""


@node
class Continue(Node):
    """``continue;``"""


@node
class Return(Node):
    """``return value;``"""

    value: Expr | None


@node
class Guard(Node):
    """``guard(kind)(args);``: taken here, released when the enclosing scope ends."""

    kind: str
    args: tuple[Expr, ...]


@node
class ScopedGuard(Node):
    """``scoped_guard(kind, args) body``: runs once with the guard held; break leaves it.
    ``conditional`` is True for scoped_cond_guard: then ``fail`` is what runs without the lock."""

    kind: str
    args: tuple[Expr, ...]
    body: Stmt
    fail: Stmt | None = None


@node
class Empty(Node):
    """``;``, and statements without any effect on control or data (asm)."""


Stmt: TypeAlias = (
    Block
    | ExprStmt
    | Declare
    | If
    | While
    | DoWhile
    | For
    | LoopMacro
    | Switch
    | Case
    | Label
    | Goto
    | Break
    | Continue
    | Return
    | Guard
    | ScopedGuard
    | Empty
)

# --- files ---------------------------------------------------------------------------------------


@node
class Parameter(Node):
    """One parameter; ``name`` is '' when it has none."""

    name: str
    type: TypeText


@node
class Function(Node):
    """One function definition as one preprocessor variant shows it. ``start``..``end`` is the
    whole definition, ``name_start`` the offset of its name. ``variant`` numbers the variant, 0
    first; the body is lowered on first use by ``Unit.lower``."""

    name: str
    name_start: int
    returns: TypeText
    parameters: tuple[Parameter, ...]
    static: bool
    variant: int
    body: Block


@node
class Define:
    """A ``#define`` with parameters (an object-like macro has ``parameters`` None): its name,
    parameter names ('...' last when variadic), body with line splices removed, and offset."""

    name: str
    parameters: tuple[str, ...] | None
    body: str
    start: int

"""Primitive operations: what a basic block is made of.

Operands are expressions without effects and without control flow: the builder has hoisted calls,
assignments, ``&&``, ``||``, ``?:``, comma and statement expressions out of them. A hoisted result
is a local whose name starts with '%', which no C identifier can.
"""

from __future__ import annotations

from typing import TypeAlias

from kvmlint.syntax.ast import Expr, node


@node
class CallOp:
    """``target = func(args)``. ``target`` is '' when nobody uses the value, and then ``discarded``
    tells how: 'bare' for ``f();``, 'void' for ``(void)f();``."""

    start: int
    end: int
    target: str
    func: Expr
    args: tuple[Expr, ...]
    discarded: str = ""


@node
class StoreOp:
    """``place = value``. ``declares`` is True for the initialiser of a local. ``step`` is +1 or -1
    for ``place++`` / ``place--`` and their compound forms by a literal 1, else 0."""

    start: int
    end: int
    place: Expr
    value: Expr
    declares: bool = False
    step: int = 0


@node
class HavocOp:
    """``place`` gets a value we know nothing of: a local declared without initialiser, the cursor
    of a loop macro. ``source`` are expressions the new value was looked up with."""

    start: int
    end: int
    place: Expr
    source: tuple[Expr, ...] = ()


@node
class GuardOp:
    """The begin (``enter``) or the end of ``guard(kind)(args)``'s scope."""

    start: int
    end: int
    kind: str
    args: tuple[Expr, ...]
    enter: bool


@node
class CleanupOp:
    """A local declared with ``__free(function)`` leaves its scope."""

    start: int
    end: int
    function: str
    variable: Expr


@node
class ReturnOp:
    """``return value;`` (None: no value, or the closing brace)."""

    start: int
    end: int
    value: Expr | None


Op: TypeAlias = CallOp | StoreOp | HavocOp | GuardOp | CleanupOp | ReturnOp


@node
class Test:
    """A condition on an edge: ``expr`` is true (``truth``) or false there."""

    expr: Expr
    truth: bool

"""From nested expressions to primitive operations: the half of the builder that knows C's
evaluation order and short circuits."""

from __future__ import annotations

from abc import ABC, abstractmethod

from kvmlint.cfg.ops import CallOp, Op, StoreOp, Test
from kvmlint.syntax.ast import (
    Assign,
    Binary,
    Call,
    Cast,
    Comma,
    Conditional,
    Expr,
    ExprStmt,
    Field,
    Index,
    InitList,
    Name,
    Number,
    Opaque,
    StatementExpr,
    Stmt,
    Text,
    Unary,
    Update,
)

MOST_CALLS = 4
"""Calls in one basic block."""


class Flattener(ABC):
    """Blocks, edges, and expressions flattened into the current block ``at``."""

    def __init__(self) -> None:
        self.ops: list[list[Op]] = []
        self.successors: list[dict[int, tuple[Test, ...]]] = []
        self.locals: dict[str, str] = {}
        self.statics: set[str] = set()
        self.at = 0
        self.temporaries = 0

    @abstractmethod
    def statement(self, stmt: Stmt) -> None:
        """Append a statement (statement expressions hold some)."""

    @abstractmethod
    def open_scope(self) -> None:
        """Begin a scope."""

    @abstractmethod
    def close_scope(self) -> None:
        """End it, running its cleanups."""

    def block(self) -> int:
        """A new, empty block."""
        self.ops.append([])
        self.successors.append({})
        return len(self.ops) - 1

    def emit(self, op: Op) -> None:
        """Append an operation to the current block. A block ends after a few calls: that is where
        paths that differ no more are found to be one."""
        ops = self.ops[self.at]
        if isinstance(op, CallOp) and sum(isinstance(o, CallOp) for o in ops) >= MOST_CALLS:
            following = self.block()
            self.edge(self.at, following)
            self.at = following
            ops = self.ops[following]
        ops.append(op)

    def edge(self, source: int, target: int, *tests: Test) -> None:
        """An edge on which all tests hold; a second edge between the same blocks gets an empty
        block of its own, because DiGraph keeps only one."""
        if target in self.successors[source]:
            between = self.block()
            self.successors[source][between] = tests
            self.successors[between][target] = ()
        else:
            self.successors[source][target] = tests

    def temporary(self, expr: Expr) -> Name:
        """A fresh local for a hoisted result, placed where ``expr`` stands."""
        self.temporaries += 1
        return Name(expr.start, expr.end, f"%{self.temporaries}")

    def pin(self, operand: Expr) -> Expr:
        """The operand's value now: a constant, or a copy that later stores don't change."""
        if isinstance(operand, Number) or (
            isinstance(operand, Name) and operand.name.startswith("%")
        ):
            return operand
        copy = self.temporary(operand)
        self.emit(StoreOp(operand.start, operand.end, copy, operand))
        return copy

    # --- conditions ------------------------------------------------------------------------------

    def condition(self, expr: Expr, yes: int, no: int) -> None:
        """Branch on ``expr``; the current block is finished afterwards."""
        match expr:
            case Binary(op="&&", left=left, right=right):
                middle = self.block()
                self.condition(left, middle, no)
                self.at = middle
                self.condition(right, yes, no)
            case Binary(op="||", left=left, right=right):
                middle = self.block()
                self.condition(left, yes, middle)
                self.at = middle
                self.condition(right, yes, no)
            case Unary(op="!", operand=operand):
                self.condition(operand, no, yes)
            case Comma(left=left, right=right):
                self.effect(left)
                self.condition(right, yes, no)
            case Number(value=int(value)):
                self.edge(self.at, yes if value else no)
            case _:
                operand = self.value(expr)
                self.edge(self.at, yes, Test(operand, True))
                self.edge(self.at, no, Test(operand, False))

    # --- values ----------------------------------------------------------------------------------

    def effect(self, expr: Expr) -> None:
        """Evaluate for effect alone."""
        match expr:
            case Call():
                self._call(expr, "", "bare")
            case Cast(type="void", operand=Call() as call):
                self._call(call, "", "void")
            case Cast(type="void", operand=operand):
                self.effect(operand)
            case Update(op=op, target=target):
                self._step(expr, target, 1 if op == "++" else -1)
            case Comma(left=left, right=right):
                self.effect(left)
                self.effect(right)
            case Conditional(cond=cond, then=then, other=other):
                yes, no, after = self.block(), self.block(), self.block()
                self.condition(cond, yes, no)
                for start, arm in ((yes, then), (no, other)):
                    self.at = start
                    if arm is not None:
                        self.effect(arm)
                    self.edge(self.at, after)
                self.at = after
            case Binary(op="&&" | "||"):
                after = self.block()
                right_side = self.block()
                stay = (right_side, after) if expr.op == "&&" else (after, right_side)
                self.condition(expr.left, *stay)
                self.at = right_side
                self.effect(expr.right)
                self.edge(self.at, after)
                self.at = after
            case StatementExpr(body=body):
                self.statement(body)
            case _:
                self.value(expr)

    def value(self, expr: Expr) -> Expr:
        """An operand that holds the expression's value; effects are emitted on the way."""
        match expr:
            case Name() | Number() | Text() | Opaque():
                return expr
            case Call():
                return self._call(expr, self.temporary(expr).name, "")
            case Field(start=start, end=end, base=base, name=name, arrow=arrow):
                return Field(start, end, self.value(base), name, arrow)
            case Index(start=start, end=end, base=base, index=index):
                return Index(start, end, self.value(base), self.value(index))
            case Unary(start=start, end=end, op=op, operand=operand):
                return Unary(start, end, op, self.value(operand))
            case Cast(start=start, end=end, type=type_, operand=operand):
                return Cast(start, end, type_, self.value(operand))
            case Binary(op="&&" | "||"):
                return self._truth(expr)
            case Binary(start=start, end=end, op=op, left=left, right=right):
                first = self.value(left)
                return Binary(start, end, op, first, self.value(right))
            case Assign():
                return self._assign(expr)
            case Update(op=op, prefix=prefix, target=target):
                place = self.value(target)
                before = None if prefix else self.temporary(expr)
                if before is not None:
                    self.emit(StoreOp(expr.start, expr.end, before, place))
                self._step(expr, place, 1 if op == "++" else -1)
                return place if before is None else before
            case Conditional():
                return self._conditional(expr)
            case Comma(left=left, right=right):
                self.effect(left)
                return self.value(right)
            case StatementExpr():
                return self._statement_expression(expr)
            case InitList(start=start, end=end, items=items):
                return InitList(start, end, tuple((d, self.value(v)) for d, v in items))

    def _call(self, call: Call, target: str, discarded: str) -> Expr:
        func = call.func if isinstance(call.func, Name) else self.value(call.func)
        args = tuple(self.value(arg) for arg in call.args)
        self.emit(CallOp(call.start, call.end, target, func, args, discarded))
        return Name(call.start, call.end, target)

    def _assign(self, expr: Assign) -> Expr:
        value = self.value(expr.value)
        place = self.value(expr.target)
        if isinstance(expr.target, Call):
            # cpu_reg(ctxt, 1) = x: a macro that expands to an lvalue.
            place = Unary(place.start, place.end, "*", place)
        if expr.op == "=":
            self.emit(StoreOp(expr.start, expr.end, place, value))
            return place
        step = 0
        if expr.op in ("+=", "-=") and isinstance(value, Number) and value.value == 1:
            step = 1 if expr.op == "+=" else -1
        combined = Binary(expr.start, expr.end, expr.op[:-1], place, value)
        self.emit(StoreOp(expr.start, expr.end, place, combined, step=step))
        return place

    def _step(self, expr: Update, target: Expr, step: int) -> None:
        place = self.value(target)
        one = Number(expr.start, expr.end, 1)
        moved = Binary(expr.start, expr.end, "+" if step > 0 else "-", place, one)
        self.emit(StoreOp(expr.start, expr.end, place, moved, step=step))

    def _truth(self, expr: Binary) -> Expr:
        """``a && b`` used as a value: 0 or 1."""
        yes, no, after = self.block(), self.block(), self.block()
        result = self.temporary(expr)
        self.condition(expr, yes, no)
        for block, number in ((yes, 1), (no, 0)):
            self.at = block
            constant = Number(expr.start, expr.end, number)
            self.emit(StoreOp(expr.start, expr.end, result, constant))
            self.edge(block, after)
        self.at = after
        return result

    def _conditional(self, expr: Conditional) -> Expr:
        yes, no, after = self.block(), self.block(), self.block()
        result = self.temporary(expr)
        shared = None
        if expr.then is None:
            shared = self.pin(self.value(expr.cond))
            self.condition(shared, yes, no)
        else:
            self.condition(expr.cond, yes, no)
        for block, arm in ((yes, expr.then), (no, expr.other)):
            self.at = block
            operand = self.value(arm) if arm is not None else shared
            if operand is not None:
                self.emit(StoreOp(expr.start, expr.end, result, operand))
            self.edge(self.at, after)
        self.at = after
        return result

    def _statement_expression(self, expr: StatementExpr) -> Expr:
        self.open_scope()
        body = expr.body.body
        result: Expr = Opaque(expr.start, expr.end, "")
        for index, stmt in enumerate(body):
            if index == len(body) - 1 and isinstance(stmt, ExprStmt):
                result = self.pin(self.value(stmt.expr))
            else:
                self.statement(stmt)
        self.close_scope()
        return result

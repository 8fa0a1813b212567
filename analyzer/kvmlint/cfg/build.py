"""From statements to basic blocks: the one place that knows C's control flow."""

from __future__ import annotations

from dataclasses import dataclass, field

from kvmlint.cfg.flatten import Flattener
from kvmlint.cfg.graph import Cfg
from kvmlint.cfg.ops import CleanupOp, GuardOp, HavocOp, Op, ReturnOp, StoreOp, Test
from kvmlint.syntax.ast import (
    Binary,
    Block,
    Break,
    Case,
    Continue,
    Declare,
    DoWhile,
    Empty,
    Expr,
    ExprStmt,
    Field,
    For,
    Function,
    Goto,
    Guard,
    If,
    InitList,
    Label,
    LoopMacro,
    Name,
    Return,
    ScopedGuard,
    Stmt,
    Switch,
    While,
)

MOST_BLOCKS = 4_000
"""Blocks of one graph; the largest function of KVM has 112. What is computed from a graph's shape
takes time by the square of it."""


class TooLarge(Exception):  # noqa: N818 - it reads as an outcome
    """A function of more than ``MOST_BLOCKS`` blocks."""


@dataclass(slots=True)
class _Scope:
    """An open block: what has to run when it is left, in order of declaration."""

    cleanups: list[Op] = field(default_factory=list)


@dataclass(slots=True)
class _Label:
    """Where a label is: its block, and how many cleanups of which scopes were open there."""

    block: int
    scopes: list[_Scope] | None = None
    depths: tuple[int, ...] = ()


@dataclass(slots=True)
class _Jump:
    """Where ``break`` or ``continue`` goes, and how many scopes stay open there."""

    block: int
    scopes: int


@dataclass(slots=True)
class _Switch:
    """The cases of the switch being built, in source order."""

    cases: list[tuple[Case, int]] = field(default_factory=list)


class Builder(Flattener):
    """Builds one function's graph. Blocks are numbered in the order of their creation."""

    def __init__(self, function: Function) -> None:
        super().__init__()
        self.function = function
        self.entry = self.block()
        self.exit = self.block()
        self.at = self.entry
        self.scopes: list[_Scope] = []
        self.labels: dict[str, _Label] = {}
        self.waiting: list[tuple[int, str, list[_Scope], int]] = []
        self.breaks: list[_Jump] = []
        self.continues: list[_Jump] = []
        self.switches: list[_Switch] = []

    def build(self) -> Cfg:
        """The finished graph, without blocks that can't be reached. Raises TooLarge."""
        import networkx as nx

        for parameter in self.function.parameters:
            if parameter.name:
                self.locals[parameter.name] = parameter.type
        self.statement(self.function.body)
        end = self.function.end
        self.emit(ReturnOp(max(end - 1, 0), end, None))
        self.edge(self.at, self.exit)
        for block, label, scopes, start in self.waiting:
            self._goto(block, label, scopes, start)
        if len(self.ops) > MOST_BLOCKS:
            raise TooLarge
        graph: nx.DiGraph[int] = nx.DiGraph()  # type: ignore[explicit-any]
        graph.add_nodes_from((self.entry, self.exit))
        seen = {self.entry}
        stack = [self.entry]
        while stack:
            node = stack.pop()
            for target, tests in self.successors[node].items():
                graph.add_edge(node, target, tests=tests)
                if target not in seen:
                    seen.add(target)
                    stack.append(target)
        for node in graph.nodes:
            graph.nodes[node]["ops"] = tuple(self.ops[node])
        return Cfg(
            self.function, graph, self.entry, self.exit, self.locals, frozenset(self.statics)
        )

    # --- scopes and jumps ------------------------------------------------------------------------

    def _leave(self, keep: int) -> None:
        """Emit the cleanups of every scope above the first ``keep``, innermost first."""
        for scope in reversed(self.scopes[keep:]):
            for op in reversed(scope.cleanups):
                self.emit(op)

    def _jump(self, target: int) -> None:
        self.edge(self.at, target)
        self.at = self.block()

    def scoped(self, statements: tuple[Stmt, ...]) -> None:
        """Statements in a scope of their own."""
        self.scopes.append(_Scope())
        for inner in statements:
            self.statement(inner)
        self._leave(len(self.scopes) - 1)
        self.scopes.pop()

    def open_scope(self) -> None:
        """For statement expressions, whose value is needed before their scope ends."""
        self.scopes.append(_Scope())

    def close_scope(self) -> None:
        """The counterpart of open_scope."""
        self._leave(len(self.scopes) - 1)
        self.scopes.pop()

    def _goto(self, block: int, name: str, scopes: list[_Scope], start: int) -> None:
        """Connect a goto, running the cleanups of the scopes that it leaves."""
        label = self.labels.get(name)
        if label is None or label.scopes is None:
            return  # a computed goto, or a label in code that was not understood: path ends
        at = block
        common = 0
        while (
            common < len(scopes)
            and common < len(label.scopes)
            and scopes[common] is label.scopes[common]
        ):
            common += 1
        left = [op for scope in reversed(scopes[common:]) for op in reversed(scope.cleanups)]
        # Back over a guard of the same scope: what was declared after the label ends.
        for scope, depth in reversed(list(zip(scopes[:common], label.depths, strict=False))):
            left += reversed(scope.cleanups[depth:])
        if left:
            self.ops[at].extend(op for op in left if op.start < start)
        self.edge(at, label.block)

    # --- statements ------------------------------------------------------------------------------

    def statement(self, stmt: Stmt) -> None:
        """Append one statement to the current block."""
        match stmt:
            case Block(body=body):
                self.scoped(body)
            case ExprStmt(expr=expr):
                self.effect(expr)
            case Declare():
                self._declare(stmt)
            case If(cond=cond, then=then, other=other):
                yes, no, after = self.block(), self.block(), self.block()
                self.condition(cond, yes, no)
                self.at = yes
                self.statement(then)
                self.edge(self.at, after)
                self.at = no
                if other is not None:
                    self.statement(other)
                self.edge(self.at, after)
                self.at = after
            case While(cond=cond, body=body):
                self._loop(None, cond, None, body)
            case For(init=init, cond=cond, step=step, body=body):
                self.scopes.append(_Scope())
                for inner in init:
                    self.statement(inner)
                self._loop(None, cond, step, body)
                self._leave(len(self.scopes) - 1)
                self.scopes.pop()
            case DoWhile(body=body, cond=cond):
                self._do_while(body, cond)
            case LoopMacro():
                self._loop(stmt, None, None, stmt.body)
            case Switch(value=value, body=body):
                self._switch(value, body)
            case Case():
                if self.switches:
                    here = self.block()
                    self.edge(self.at, here)
                    self.at = here
                    self.switches[-1].cases.append((stmt, here))
            case Label(name=name):
                here = self.block()
                self.edge(self.at, here)
                self.at = here
                depths = tuple(len(scope.cleanups) for scope in self.scopes)
                self.labels[name] = _Label(here, list(self.scopes), depths)
            case Goto(label=name, start=start):
                self.waiting.append((self.at, name, list(self.scopes), start))
                self.at = self.block()
            case Break():
                self._break(self.breaks)
            case Continue():
                self._break(self.continues)
            case Return(value=value, start=start, end=end):
                operand = None if value is None else self.value(value)
                if operand is not None and any(scope.cleanups for scope in self.scopes):
                    operand = self.pin(operand)
                self._leave(0)
                self.emit(ReturnOp(start, end, operand))
                self._jump(self.exit)
            case Guard(kind=kind, args=args, start=start, end=end):
                self._guard(kind, tuple(self.value(arg) for arg in args), start, end)
            case ScopedGuard():
                self._scoped_guard(stmt)
            case Empty():
                pass

    def _declare(self, stmt: Declare) -> None:
        self.locals[stmt.name] = stmt.type
        if stmt.static:
            self.statics.add(stmt.name)
            return
        place = Name(stmt.start, stmt.end, stmt.name)
        match stmt.init:
            case None:
                self.emit(HavocOp(stmt.start, stmt.end, place))
            case InitList(items=items):
                self.emit(HavocOp(stmt.start, stmt.end, place))
                for designator, value in items:
                    if designator.startswith(".") and designator[1:].isidentifier():
                        member = Field(value.start, value.end, place, designator[1:], False)
                        operand = self.value(value)
                        self.emit(StoreOp(value.start, value.end, member, operand))
                    else:
                        self.effect(value)
            case init:
                self.emit(StoreOp(stmt.start, stmt.end, place, self.value(init), declares=True))
        if stmt.cleanup:
            self.scopes[-1].cleanups.append(CleanupOp(stmt.start, stmt.end, stmt.cleanup, place))

    def _break(self, jumps: list[_Jump]) -> None:
        if jumps:
            self._leave(jumps[-1].scopes)
            self._jump(jumps[-1].block)

    def _loop(
        self, macro: LoopMacro | None, cond: Expr | None, step: Expr | None, body: Stmt
    ) -> None:
        args: tuple[Expr, ...] = ()
        if macro is not None:
            args = tuple(
                self.value(arg)
                for arg in macro.args
                if not (isinstance(arg, Name) and arg.name in macro.cursors)
            )
        head, inside, latch, after = self.block(), self.block(), self.block(), self.block()
        self.edge(self.at, head)
        self.at = head
        if macro is not None:
            self.edge(self.at, inside)
            self.edge(self.at, after)
        elif cond is not None:
            self.condition(cond, inside, after)
        else:
            self.edge(self.at, inside)
        self.at = inside
        if macro is not None:
            given = {parameter.name for parameter in self.function.parameters}
            own = [cursor for cursor in macro.cursors if cursor not in given]
            for cursor in own or macro.cursors:
                place = Name(macro.start, macro.start + len(macro.name), cursor)
                self.emit(HavocOp(place.start, place.end, place, args))
        self._body(body, after, latch)
        self.edge(self.at, latch)
        self.at = latch
        if step is not None:
            self.effect(step)
        self.edge(self.at, head)
        self.at = after

    def _do_while(self, body: Stmt, cond: Expr) -> None:
        inside, latch, after = self.block(), self.block(), self.block()
        self.edge(self.at, inside)
        self.at = inside
        self._body(body, after, latch)
        self.edge(self.at, latch)
        self.at = latch
        self.condition(cond, inside, after)
        self.at = after

    def _body(self, body: Stmt, after: int, latch: int) -> None:
        self.breaks.append(_Jump(after, len(self.scopes)))
        self.continues.append(_Jump(latch, len(self.scopes)))
        self.statement(body)
        self.breaks.pop()
        self.continues.pop()

    def _switch(self, value: Expr, body: Stmt) -> None:
        operand = self.pin(self.value(value))
        dispatch, after = self.at, self.block()
        self.switches.append(_Switch())
        self.breaks.append(_Jump(after, len(self.scopes)))
        self.at = self.block()
        self.statement(body)
        self.edge(self.at, after)
        self.breaks.pop()
        cases = self.switches.pop().cases
        otherwise = after
        at = dispatch
        for case, block in cases:
            if case.value is None:
                otherwise = block
                continue
            following = self.block()
            if case.last is None:
                same = Binary(case.start, case.end, "==", operand, case.value)
                self.edge(at, block, Test(same, True))
                self.edge(at, following, Test(same, False))
            else:
                low = Binary(case.start, case.end, ">=", operand, case.value)
                high = Binary(case.start, case.end, "<=", operand, case.last)
                self.edge(at, block, Test(low, True), Test(high, True))
                self.edge(at, following)
            at = following
        self.edge(at, otherwise)
        self.at = after

    def _guard(self, kind: str, args: tuple[Expr, ...], start: int, end: int) -> None:
        self.emit(GuardOp(start, end, kind, args, True))
        self.scopes[-1].cleanups.append(GuardOp(start, end, kind, args, False))

    def _scoped_guard(self, stmt: ScopedGuard) -> None:
        args = tuple(self.value(arg) for arg in stmt.args)
        after = self.block()
        if stmt.fail is not None:
            fail, taken = self.block(), self.block()
            self.edge(self.at, fail)
            self.edge(self.at, taken)
            self.at = fail
            self.statement(stmt.fail)
            self.edge(self.at, after)
            self.at = taken
        self.scopes.append(_Scope())
        self._guard(stmt.kind, args, stmt.start, stmt.start + len("scoped_guard"))
        # The macro is a for loop that runs once: break and continue both leave it.
        self.breaks.append(_Jump(after, len(self.scopes) - 1))
        self.continues.append(_Jump(after, len(self.scopes) - 1))
        self.statement(stmt.body)
        self.breaks.pop()
        self.continues.pop()
        self._leave(len(self.scopes) - 1)
        self.scopes.pop()
        self.edge(self.at, after)
        self.at = after


def build(function: Function) -> Cfg:
    """Control flow graph of one function definition. Raises TooLarge."""
    return Builder(function).build()

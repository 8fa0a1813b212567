"""The worklist: every distinguishable path of one function, within a budget."""

from __future__ import annotations

from dataclasses import dataclass

from kvmlint.cfg.graph import Cfg
from kvmlint.cfg.ops import CallOp, CleanupOp, GuardOp, HavocOp, Op, ReturnOp, StoreOp, Test
from kvmlint.explore.agree import first_look
from kvmlint.explore.calls import Calls
from kvmlint.explore.effects import Ledger, make, new_effect, undo
from kvmlint.explore.evaluate import Evaluator
from kvmlint.explore.facts import NEGATIVE, NONZERO, POSITIVE, ZERO, Fact
from kvmlint.explore.narrow import narrowed, narrowed_test
from kvmlint.explore.oracle import ExitKind, Oracle, Summary
from kvmlint.explore.project import Projector
from kvmlint.explore.state import EffectKind, Event, Frozen, State
from kvmlint.explore.turns import Turns
from kvmlint.explore.values import (
    Address,
    Compute,
    Load,
    Pool,
    Value,
    Var,
    mentions,
    number_of,
)
from kvmlint.explore.worklist import Worklist
from kvmlint.knowledge import Knowledge
from kvmlint.knowledge.model import World
from kvmlint.syntax.ast import Binary, Expr, Field, Name, Number

_ARITHMETIC = frozenset(("+", "-", "*", "/", "%", "<<", ">>", "&", "|", "^"))


def _is_positive(expr: Expr) -> bool:
    """Whether a step is a positive number, or a macro constant (PAGE_SIZE)."""
    if isinstance(expr, Number):
        return expr.value is not None and expr.value > 0
    return isinstance(expr, Name) and expr.name.isupper()


@dataclass(frozen=True, slots=True)
class Budget:
    """What one exploration may cost: block visits, values interned, and work: operations and edges,
    each weighed by what the state holds (the most in Linux 6.1, 6.12 and 7.2 is 8,500)."""

    visits: int = 12_000
    values: int = 60_000
    work: int = 100_000


class OverBudgetError(Exception):
    """A function's exploration was given up; ``str()`` says which limit was hit."""


@dataclass(frozen=True, slots=True)
class Exit:
    """One way the function returned: the state there, how, what, and the blocks passed."""

    kind: ExitKind
    value: Value | None
    state: State
    trail: tuple[int, ...]
    site: int

    def failure(self) -> Event | None:
        """The failed hypercall that a path ends in: the one whose status is returned, else the last
        outcome when that was a failure; None where success is returned."""
        if self.kind is ExitKind.SUCCESS:
            return None
        returned = self.state.failed_in(self.value) if self.value is not None else []
        return returned[-1] if returned else self.state.last


@dataclass(slots=True)
class Exploration:
    """All paths of one function in one world, and what was gathered on the way."""

    cfg: Cfg
    world: World
    pool: Pool
    evaluator: Evaluator
    ledger: Ledger
    exits: tuple[Exit, ...] = ()
    visits: int = 0
    summary: Summary | None = None
    """Made when somebody asks for it (summarise)."""


class _Engine:
    def __init__(
        self,
        cfg: Cfg,
        knowledge: Knowledge,
        oracle: Oracle,
        world: World,
        budget: Budget,
        errno_origin: str,
    ) -> None:
        self.cfg = cfg
        self.pool = Pool()
        self.knowledge = knowledge
        self.world = world
        self.budget = budget
        self.evaluator = Evaluator(cfg, self.pool, knowledge, errno_origin)
        self.ledger = Ledger(cfg)
        self.calls = Calls(cfg, self.pool, knowledge, oracle, world, self.evaluator, self.ledger)
        self.nodes: list[tuple[int, int]] = []
        self.exits: dict[Frozen, Exit] = {}
        self.looping = [bool(loops) for loops in self.ledger.loops]
        self.turns = Turns(cfg, self.ledger, self.calls)
        self.eventful = self._eventful()
        modes = frozenset(e.excludes for e in knowledge.tables.entries if e.excludes)
        self.projector = Projector(cfg, self.pool, self.ledger, self.eventful, modes)
        self.work = 0

    def run(self) -> Exploration:
        visits = 0
        worklist = Worklist(self.cfg.order)
        self.nodes.append((self.cfg.entry, -1))
        worklist.push(self.cfg.entry, 0, State(), frozenset(), frozenset())
        while (found := worklist.pop()) is not None:
            node, state = found
            block = self.nodes[node][0]
            visits += 1
            if visits > self.budget.visits:
                raise OverBudgetError(f"more than {self.budget.visits} block visits")
            if self.pool.size() > self.budget.values:
                raise OverBudgetError(f"more than {self.budget.values} values")
            for after in self._block(block, state, node):
                edges = self.cfg.edges[block]
                for index, edge in enumerate(edges):
                    self._spend(after)
                    branch = after if index == len(edges) - 1 else after.copy()
                    if not self._edge(branch, edge.tests):
                        continue
                    target = edge.target
                    if target == self.cfg.exit:
                        continue
                    self.turns.cross(branch, block, target)
                    self.projector.project(branch, target)
                    left, others = self.turns.left(branch, target)
                    if worklist.push(target, len(self.nodes), branch, left, others):
                        self.nodes.append((target, node))
        return Exploration(
            self.cfg,
            self.world,
            self.pool,
            self.evaluator,
            self.ledger,
            tuple(self.exits.values()),
            visits,
        )

    # --- one block -------------------------------------------------------------------------------

    def _block(self, block: int, state: State, node: int) -> list[State]:
        site = self.ledger.first[block]
        states = [state]
        for op in self.cfg.ops[block]:
            after: list[State] = []
            for current in states:
                self._spend(current)
                if self.looping[site]:
                    current.age(self.pool, site)
                after.extend(self._op(current, op, site, node))
            states = after
            site += 1
            if not states:
                break
        return states

    def _spend(self, state: State) -> None:
        self.work += 1 + (len(state.env) + len(state.facts) + len(state.effects)) // 16
        if self.work > self.budget.work:
            raise OverBudgetError(f"more than {self.budget.work} steps")

    def _op(self, state: State, op: Op, site: int, node: int) -> list[State]:
        match op:
            case CallOp():
                return self.calls.call(state, op, site)
            case StoreOp():
                return self._store(state, op, site)
            case HavocOp(place=place, source=source):
                values = tuple(self.evaluator.value(state, expr) for expr in source)
                result = self.pool.result("unknown", site, values)
                self.evaluator.write(state, self.evaluator.place(state, place), result)
                return [state]
            case GuardOp():
                return self.calls.guard(state, op, site)
            case CleanupOp():
                return self.calls.cleanup(state, op, site)
            case ReturnOp():
                self._return(state, op, site, node)
                return [state]

    def _store(self, state: State, op: StoreOp, site: int) -> list[State]:
        place = self.evaluator.place(state, op.place)
        value = self.evaluator.value(state, op.value)
        if op.step and not (isinstance(place, Var) and place.local):
            self._count(state, op, place, site)
        elif not op.step:
            # obj->refs = 1: whatever was dropped from the counter is put right.
            state.effects = frozenset(
                e
                for e in state.effects
                if e.building or e.family != "counter" or e.resource is not place
            )
        if self.looping[site] and isinstance(op.value, Binary) and op.value.op in _ARITHMETIC:
            value = self._cursor(state, op.value, site)
        elif self.looping[site] and isinstance(value, Load):
            before = state.env.get(place)
            if before is not None and mentions(value, before):
                value = self.pool.result("unknown", site)  # p = p->next
        if isinstance(place, Var) and place.local:
            narrowed(state, self.cfg.locals.get(place.name, ""), value)
        else:
            state.read(value)
            self.calls.hand_on(state, place, value, site)
        self.evaluator.write(state, place, value)
        if isinstance(place, Address):
            self.ledger.stores.add("." + place.fields[-1])
        elif isinstance(place, Var) and not place.local:
            self.ledger.stores.add(place.name)
        return [state]

    def _cursor(self, state: State, moved: Binary, site: int) -> Value:
        """A cursor: what it holds in later turns is named by where it is computed."""
        before = self.evaluator.value(state, moved.left)
        if moved.op in ("|", "&"):
            return self._gathered(state, moved, before, site)
        value = self.pool.result("unknown", site)
        if moved.op != "+" or not _is_positive(moved.right):
            return value
        # UNSOUND: a cursor is taken not to wrap around.
        if not self.evaluator.fact(state, before).signs & NEGATIVE:
            self.evaluator.set_signs(state, value, POSITIVE)
        lower = [] if number_of(before) is not None else [before]
        for subject, fact in state.facts.items():
            match subject:
                case Compute(op="<", operands=(low, high)) if high is before:
                    if fact.signs == POSITIVE:
                        lower.append(low)
                case _:
                    pass
        for low in lower:
            state.facts[self.pool.compute("<", low, value)] = Fact(POSITIVE)
        return value

    def _gathered(self, state: State, moved: Binary, before: Value, site: int) -> Value:
        """``ret |= f(i)``: a failure of any turn stays in it."""
        added = self.evaluator.value(state, moved.right)
        state.read(added)
        carried = tuple(v for v in (before, added) if state.failed_in(v))
        value = self.pool.result("unknown", site, carried)
        signs = self.evaluator.fact(state, self.evaluator.binary(moved.op, before, added)).signs
        self.evaluator.set_signs(state, value, signs)
        return value

    def _count(self, state: State, op: StoreOp, place: Value, site: int) -> None:
        name = ""
        fields: list[str] = []
        expr = op.place
        while isinstance(expr, Field):
            fields.append(expr.name)
            expr = expr.base
        if isinstance(expr, Name):
            fields.append(expr.name)
        name = fields[0] if fields else ""
        if any(self.knowledge.is_statistics(part) for part in fields):
            return
        weak = not self.knowledge.is_counter(name)
        effect = new_effect(EffectKind.COUNT, "counter", op.step > 0, place, site, weak=weak)
        if op.step > 0:
            make(self.ledger, state, effect)
        else:
            undo(self.ledger, state, effect, site)

    def _edge(self, state: State, tests: tuple[Test, ...]) -> bool:
        for test in tests:
            value = self.evaluator.value(state, test.expr)
            first_look(self.calls.oracle, state, value)
            state.tested(value)
            narrowed_test(self.evaluator, state, test)
            if not self.evaluator.assume(state, value, test.truth):
                return False
        return True

    def _eventful(self) -> tuple[bool, ...]:
        """For each block, whether a hypercall's outcome may still come, there or later. A function
        without any keeps everything: its callers may have some."""
        own = [
            any(isinstance(op, CallOp) and self.calls.may_fail(op) for op in ops)
            for ops in self.cfg.ops
        ]
        if not any(own) or self.world is World.EL2:
            return (True,) * len(own)
        changed = True
        while changed:
            changed = False
            for block, edges in enumerate(self.cfg.edges):
                if not own[block] and any(own[edge.target] for edge in edges):
                    own[block] = changed = True
        return tuple(own)

    # --- exits -----------------------------------------------------------------------------------

    def _return(self, state: State, op: ReturnOp, site: int, node: int) -> None:
        value = None if op.value is None else self.evaluator.value(state, op.value)
        kind = self._exit_kind(state, value)
        if value is not None:
            state.read(value)
            narrowed(state, self.cfg.function.returns, value)
        final = state.copy()
        fact = None if value is None else self.evaluator.fact(state, value)
        self.projector.project(final, self.cfg.exit)
        image = (kind, value, fact, site, final.undecoded, final.effects, final.events,
                 final.last, final.marks, final.released,
                 frozenset((k, v) for k, v in final.facts.items()),
                 frozenset((k, v) for k, v in final.env.items()))  # fmt: skip
        if image not in self.exits:
            trail: list[int] = []
            at = node
            while at >= 0:
                block, at = self.nodes[at]
                trail.append(block)
            self.work += len(trail) // 16
            if value is not None and fact is not None and number_of(value) is None:
                final.facts[value] = fact
            self.exits[image] = Exit(kind, value, final, tuple(reversed(trail)), site)

    def _exit_kind(self, state: State, value: Value | None) -> ExitKind:
        returns = self.cfg.function.returns
        if value is None or returns == "void":
            return ExitKind.VOID
        signs = self.evaluator.fact(state, value).signs
        pointer = returns.rstrip().endswith("*")
        if returns == "bool" or pointer:
            if pointer and signs == NEGATIVE:
                return ExitKind.ERROR
            if signs == ZERO:
                return ExitKind.ERROR
            return ExitKind.UNKNOWN if signs & ZERO else ExitKind.SUCCESS
        if signs in (NEGATIVE, NONZERO):
            return ExitKind.ERROR
        if not signs & NEGATIVE:
            return ExitKind.SUCCESS
        return ExitKind.UNKNOWN


def explore(
    cfg: Cfg,
    knowledge: Knowledge,
    oracle: Oracle,
    world: World,
    budget: Budget,
    errno_origin: str = "",
) -> Exploration:
    """Walk all paths of a function. ``errno_origin`` is the file's path where the origin of errno
    constants matters (EL2), '' elsewhere. Raises OverBudgetError."""
    return _Engine(cfg, knowledge, oracle, world, budget, errno_origin).run()

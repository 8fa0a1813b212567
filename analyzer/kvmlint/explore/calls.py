"""Calls: which of hypercall, table effect, role, summary or unknown a call is, and what it does."""

from __future__ import annotations

from kvmlint.cfg.graph import Cfg
from kvmlint.cfg.ops import CallOp, CleanupOp, GuardOp, StoreOp
from kvmlint.explore.agree import called_with
from kvmlint.explore.apply import apply_summary
from kvmlint.explore.effects import Ledger, make, new_effect, undo
from kvmlint.explore.evaluate import Evaluator
from kvmlint.explore.facts import NEGATIVE, ZERO
from kvmlint.explore.hypercalls import hypercall, reclaimed_families
from kvmlint.explore.oracle import ErrnoSource, Oracle, Summary, carries
from kvmlint.explore.roles import call_with_role
from kvmlint.explore.state import (
    MARK_NARROWED,
    MARK_PASSED,
    EffectKind,
    State,
)
from kvmlint.explore.table import TableEffects
from kvmlint.explore.values import (
    OPAQUE,
    Load,
    Pool,
    Value,
    Var,
    is_opaque,
    number_of,
    root_of,
)
from kvmlint.knowledge import Knowledge
from kvmlint.knowledge.model import Does, EntryPoint, Role, World
from kvmlint.syntax.ast import Expr, Field, Name


class Calls(TableEffects):
    """Executes calls for one exploration."""

    def __init__(
        self,
        cfg: Cfg,
        pool: Pool,
        knowledge: Knowledge,
        oracle: Oracle,
        world: World,
        evaluator: Evaluator,
        ledger: Ledger,
    ) -> None:
        self.cfg = cfg
        super().__init__(pool, knowledge, evaluator, ledger)
        self.oracle = oracle
        self.world = world
        self.wrappers = frozenset(
            entry.wrapper for entry in knowledge.tables.entries if entry.wrapper
        )
        self.called = frozenset(
            op.func.name
            for op in ledger.ops
            if isinstance(op, CallOp) and isinstance(op.func, Name)
        )

        self._chosen: dict[str, set[str]] = {}
        for stored in ledger.ops:
            match stored:
                case StoreOp(place=Name(name=place), value=Name(name=name)):
                    self._chosen.setdefault(place, set()).add(name)
                case _:
                    pass

    # --- dispatch --------------------------------------------------------------------------------

    def call(self, state: State, op: CallOp, site: int) -> list[State]:
        """The states after a call; none when it doesn't return."""
        name = self.callee(state, op.func)
        if state.unread:
            self._look(state, op, name)
        if not name:
            if self.world is World.EL2 and isinstance(op.func, Field) and op.target:
                return self._callback(state, op, site, "." + op.func.name)
            return self.unknown(state, op, site, "")
        if self.world is World.HOST:
            entry = self.oracle.entry(name)
            if entry is not None:
                return hypercall(self, state, op, site, entry)
            if name in self.wrappers:
                return call_with_role(self, Role.PURE, state, op, site, name)
        elif name == self.knowledge.tables.worlds.register:
            return call_with_role(self, Role.PURE, state, op, site, name)
        if self.knowledge.predicate(name) is not None and not op.args:
            return call_with_role(self, Role.PURE, state, op, site, name)
        mode = self.oracle.mode(name) if not op.args else None
        if mode is not None:
            predicate = self.pool.pure(mode[0], ())
            value = predicate if mode[1] else self.pool.negation(predicate)
            return [self.assign(state, op, value)]
        rows = self.knowledge.effects(name) if self.world is World.HOST else ()
        if rows:
            return self.rows(state, op, site, rows)
        summary = None
        role = self.knowledge.role(name)
        if role is None or role is Role.NEUTRAL or role is Role.PURE:
            summary = self.oracle.summary(name)
            if summary is None and role is None and self._gives_memory(state, op):
                summary = self.oracle.helper(name)
        if summary is not None and summary.given_up:
            self.ledger.given_up.add(site)
        elif summary is not None:
            return apply_summary(self, state, op, site, summary)
        if role is not None:
            return call_with_role(self, role, state, op, site, name)
        return self.unknown(state, op, site, name)

    def _look(self, state: State, op: CallOp, name: str) -> None:
        """Arguments are read, also by a test that is written as a call."""
        role = self.knowledge.role(name)
        if role is Role.IDENTITY:
            return  # likely(ret): whoever uses the result looks at it
        args = self.arguments(state, op)
        if args:
            called_with(self.oracle, state, role, name, args[0])
        for arg in args:
            state.read(arg)

    def _gives_memory(self, state: State, op: CallOp) -> bool:
        """Whether a call is given memory that this path obtained."""
        if self.world is World.EL2:
            return False
        made = {e.resource for e in state.effects if e.building and e.kind is EffectKind.MEMORY}
        return bool(made) and any(root_of(arg) in made for arg in self.arguments(state, op))

    def _callback(self, state: State, op: CallOp, site: int, field: str) -> list[State]:
        """A call through a field: 0, or whatever errno the function stored there returns. Which one
        that is, the caller that fills the structure knows."""
        self.ledger.errnos[site] = (ErrnoSource(0, field, 0, ()),)
        after: list[State] = []
        for signs in (NEGATIVE, ZERO):
            branch = state.copy()
            self.unknown(branch, op, site, "")
            status = self.pool.result("status", site)
            self.assign(branch, op, status)
            if self.eval.set_signs(branch, status, signs):
                after.append(branch)
        return after

    def resolve(
        self, state: State, args: tuple[Value, ...], sources: tuple[ErrnoSource, ...]
    ) -> tuple[ErrnoSource, ...]:
        """Errnos with callbacks replaced by those of the functions that the arguments' structures
        name: ``struct walker w = { .cb = f }; walk(pgt, &w);``."""
        if not any(source.callback for source in sources):
            return sources
        resolved: dict[ErrnoSource, None] = {}
        for source in sources:
            name = self._stored_function(state, args, source.callback) if source.callback else ""
            summary = self.oracle.summary(name) if name else None
            if summary is None:
                resolved[source] = None
                continue
            for own in summary.errnos:
                chain = (*source.chain, *own.chain)
                resolved[ErrnoSource(own.number, own.path, own.offset, chain)] = None
        return tuple(resolved)

    def _stored_function(self, state: State, args: tuple[Value, ...], field: str) -> str:
        for arg in args:
            held = state.env.get(self.pool.address(arg, (field[1:],)))
            if isinstance(held, Load) and isinstance(held.place, Var) and not held.place.local:
                return held.place.name
        return ""

    def may_fail(self, op: CallOp) -> bool:
        """Whether a call may be a hypercall that fails, or hand on the failure of one."""
        return any(self._may_fail(name) for name in self._functions(op))

    def _may_fail(self, name: str) -> bool:
        if self.oracle.entry(name) is not None:
            return True
        summary = self._known(name)
        return summary is not None and carries(summary)

    def undone_families(self, op: CallOp) -> frozenset[str]:
        """Families of which a call undoes something, whatever its arguments."""
        found: set[str] = set()
        for name in self._functions(op):
            entry = self.oracle.entry(name)
            if entry is not None:
                asked = _asked(op, entry)
                found.update(reclaimed_families(self, asked) if asked else ())
                continue
            rows = self.knowledge.effects(name)
            found |= {row.family for row in rows if row.does is Does.UNDO}
            summary = self._known(name)
            found |= {effect.family for effect in summary.undoes} if summary is not None else set()
        return frozenset(found)

    def _functions(self, op: CallOp) -> tuple[str, ...]:
        """The functions that a call may be of, as far as its text shows; none at EL2."""
        name = op.func.name if isinstance(op.func, Name) else ""
        if not name or self.world is World.EL2:
            return ()
        chosen = self._chosen.get(name, ()) if name.startswith("%") else ()
        return (name, *sorted(chosen))

    def _known(self, name: str) -> Summary | None:
        """The summary of a function that no table knows."""
        if self.knowledge.effects(name) or self.knowledge.role(name) is not None:
            return None
        return self.oracle.summary(name)

    def callee(self, state: State, func: Expr) -> str:
        """Name of the function called; '' when it is called through a pointer."""
        if isinstance(func, Name):
            if not self.eval.is_local(func.name):
                return func.name
            value = self.eval.value(state, func)
            if isinstance(value, Load) and isinstance(value.place, Var) and not value.place.local:
                return value.place.name
        return ""

    def hand_on(self, state: State, place: Value, value: Value, site: int) -> None:
        """A store to memory that outlives the call: it may hand a failure on, or be something that
        belongs to success only."""
        root = root_of(place)
        if isinstance(root, Var) and root.local:
            return
        last = state.last
        handed = state.failed_in(value)
        if self.pool.is_truth(value):
            known = self.eval.fact(state, value).equal
            value = value if known is None else self.pool.const(known)
        number = number_of(value)
        if last is not None and last.failed:
            if number is not None and number < 0:
                handed = [last]
            effect = new_effect(
                EffectKind.STORE, "store", True, place, site, record=value, operands=last.args
            )
            # What is overwritten no longer stands.
            gone = frozenset(
                e
                for e in state.effects
                if e.kind is EffectKind.STORE and e.resource is place and not is_opaque(root)
            )
            state.effects = (state.effects - gone) | {effect}
        for event in handed:
            state.mark(MARK_PASSED, event.site, event.hypercalls[0])

    def argument(self, state: State, op: CallOp, index: int) -> Value:
        """The value of the 1-based argument; unknown when there are fewer."""
        if 1 <= index <= len(op.args):
            return self.eval.value(state, op.args[index - 1])
        return self.pool.result("unknown", OPAQUE)

    # --- scope exits ---------------------------------------------------------------------------

    def guard(self, state: State, op: GuardOp, site: int) -> list[State]:
        """``guard(kind)(x)`` begins or ends."""
        row = self.knowledge.guard(op.kind)
        if row is not None:
            self.undo_by_name(state, row.lock if op.enter else row.unlock, op.args, site)
        return [state]

    def cleanup(self, state: State, op: CleanupOp, site: int) -> list[State]:
        """A ``__free`` variable leaves its scope."""
        value = self.eval.value(state, op.variable)
        if self.is_null(state, value):
            return [state]
        name = self.knowledge.cleanup(op.function)
        if not self.undo_by_name(state, name, (op.variable,), site):
            # A DEFINE_FREE that we don't know: it gives back what the variable holds.
            gone = frozenset(e for e in state.effects if e.building and e.resource is value)
            for effect in gone:
                self.ledger.undone.setdefault((effect.site, effect.family), set()).add(site)
            state.effects = state.effects - gone
        return [state]

    # --- the rest --------------------------------------------------------------------------------

    def unknown(self, state: State, op: CallOp, site: int, name: str) -> list[State]:
        """A call of a function without known body ('' when it is called through a pointer)."""
        args = self.arguments(state, op)
        for arg in args:
            for event in state.failed_in(arg):
                state.mark(MARK_PASSED, event.site, event.hypercalls[0])
                if event.status in state.undecoded:
                    state.mark(MARK_NARROWED, event.site, event.hypercalls[0], f"data:{site}")
            if self.world is World.EL2 and isinstance(arg, Load) and isinstance(arg.place, Var):
                self.ledger.passed.add(arg.place.name)
        self._pairs(state, name, args, site)
        self.clobber(state, args, site)
        return [self.assign(state, op, self.pool.result("unknown", site, args))]

    def overwrite(self, state: State, args: tuple[Value, ...], site: int) -> None:
        """What arguments point to may have been written."""
        for index, arg in enumerate(args):
            if number_of(arg) is None:
                self.eval.havoc(
                    state, _variable_of(arg), self.pool.result("unknown", site, (), index + 1)
                )

    def clobber(self, state: State, args: tuple[Value, ...], site: int) -> None:
        """What a callee without known body may have written through its arguments; resources
        that it was given may have been kept by it."""
        self.overwrite(state, args, site)
        state.effects = frozenset(
            effect._replace(weak=True)
            if effect.building
            and effect.kind is EffectKind.MEMORY
            and effect.handed == ""
            and any(root_of(arg) is effect.resource for arg in args)
            else effect
            for effect in state.effects
        )

    def _pairs(self, state: State, name: str, args: tuple[Value, ...], site: int) -> None:
        """``x_init(obj)`` where the function being explored also calls ``x_destroy``."""
        if not name or not args or number_of(args[0]) is not None:
            return
        for inverse in self.knowledge.inverse_names(name):
            if inverse in self.called:
                make(
                    self.ledger,
                    state,
                    new_effect(EffectKind.PAIR, f"pair:{inverse}", True, args[0], site, weak=True),
                )
                return
        family = f"pair:{name}"
        if any(e.family == family for e in state.effects):
            undo(
                self.ledger,
                state,
                new_effect(EffectKind.PAIR, family, False, args[0], site, weak=True),
                site,
                destroys=False,
            )


def _asked(op: CallOp, entry: EntryPoint) -> str:
    """The hypercall that an entry point's use names; '' when its number is computed."""
    which = op.args[entry.function - 1] if len(op.args) >= entry.function else None
    return entry.prefix + which.name if isinstance(which, Name) else ""


def _variable_of(arg: Value) -> Value:
    """The variable whose address an argument is, or the object it points to."""
    root = root_of(arg)
    return root if isinstance(root, Var) else arg

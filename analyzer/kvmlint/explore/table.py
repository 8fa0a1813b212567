"""Calls with rows in the effect tables: what they make and undo, and for which returned values."""

from __future__ import annotations

from kvmlint.cfg.ops import CallOp
from kvmlint.explore.effects import Ledger, destroy, make, new_effect, undo
from kvmlint.explore.evaluate import Evaluator
from kvmlint.explore.facts import NEGATIVE, POSITIVE, ZERO
from kvmlint.explore.state import Effect, EffectKind, State
from kvmlint.explore.values import Compute, Pool, Value, number_of
from kvmlint.knowledge import Knowledge
from kvmlint.knowledge.model import Does, EffectRow, Holds, Operand
from kvmlint.syntax.ast import Expr, Name, Number

_OUTCOMES = {
    Holds.NONNULL: (POSITIVE, ZERO),
    Holds.NULL: (ZERO, POSITIVE),
    Holds.VALID: (POSITIVE, NEGATIVE),
    Holds.ZERO: (ZERO, NEGATIVE),
    Holds.NONNEGATIVE: (ZERO | POSITIVE, NEGATIVE),
    Holds.POSITIVE: (POSITIVE, NEGATIVE | ZERO),
}


class TableEffects:
    """Executes calls that the effect tables know."""

    def __init__(
        self, pool: Pool, knowledge: Knowledge, evaluator: Evaluator, ledger: Ledger
    ) -> None:
        self.pool = pool
        self.knowledge = knowledge
        self.eval = evaluator
        self.ledger = ledger

    def assign(self, state: State, op: CallOp, value: Value) -> State:
        """Store a call's result where the operation wants it."""
        if op.target:
            state.env[self.pool.var(op.target, True)] = value
        return state

    def arguments(self, state: State, op: CallOp) -> tuple[Value, ...]:
        """All argument values."""
        return tuple(self.eval.value(state, arg) for arg in op.args)

    def rows(self, state: State, op: CallOp, site: int, rows: tuple[EffectRow, ...]) -> list[State]:
        """A call with rows in the effect tables."""
        args = self.arguments(state, op)
        fresh = self.pool.result("fresh", site)
        conditional = next((r for r in rows if r.holds is not Holds.ALWAYS), None)
        if conditional is None or self._null_undo(op, conditional):
            returned = fresh if rows[0].resource.index == 0 else self.pool.result("unknown", site)
            self._effects(state, op, site, rows, args, returned)
            return [self.assign(state, op, returned)]
        yes, no = _OUTCOMES[conditional.holds]
        makes_value = any(row.resource.index == 0 and not row.resource.pointee for row in rows)
        returned = fresh if makes_value else self.pool.result("unknown", site)
        good = state.copy()
        if yes == ZERO:
            self.assign(good, op, self.pool.zero)
        else:
            self.assign(good, op, returned)
            self.eval.set_signs(good, returned, yes)
        self._effects(good, op, site, rows, args, returned)
        if op.discarded:
            return [good]
        bad = state
        always = tuple(row for row in rows if row.holds is Holds.ALWAYS)
        self._effects(bad, op, site, always, args, returned)
        failed = self.pool.zero if no == ZERO else self.pool.result("unknown", site)
        self.assign(bad, op, failed)
        if no != ZERO:
            self.eval.set_signs(bad, failed, no)
        return [good, bad]

    def _null_undo(self, op: CallOp, row: EffectRow) -> bool:
        index = row.null_undoes
        return bool(index) and index <= len(op.args) and _is_null(op.args[index - 1])

    def _effects(
        self,
        state: State,
        op: CallOp,
        site: int,
        rows: tuple[EffectRow, ...],
        args: tuple[Value, ...],
        returned: Value,
    ) -> None:
        """Several rows of one call: kfree undoes more than one family, but destroys one thing."""
        gone: list[Effect] = []
        undone = False
        for row in rows:
            effect = self._effect(state, op, site, row, args, returned)
            if effect is None:
                continue
            if effect.building:
                make(self.ledger, state, effect)
            elif undo(self.ledger, state, effect, site, destroys=False):
                undone = True
            else:
                gone.append(effect)
        if gone and not undone:
            destroy(state, gone[0])

    def _effect(
        self,
        state: State,
        op: CallOp,
        site: int,
        row: EffectRow,
        args: tuple[Value, ...],
        returned: Value,
    ) -> Effect | None:
        does = row.does
        if self._null_undo(op, row):
            does = Does.UNDO
        if row.direction:
            arg = op.args[row.direction - 1] if row.direction <= len(op.args) else None
            number = number_of(self.eval.value(state, arg)) if arg is not None else None
            if number is None:
                return None  # direction decided at run time: neutral
            does = Does.MAKE if number else Does.UNDO
        resource = self._operand(state, site, row.resource, args, returned, does)
        if resource is None or self.is_null(state, resource):
            return None
        container = None
        if row.container is not None:
            container = self._operand(state, site, row.container, args, returned, does)
        record = None
        if row.record is not None:
            record = self._operand(state, site, row.record, args, returned, does)
        given = max(row.null_undoes, row.resource.index) <= len(op.args)
        if row.null_undoes and row.resource.index > 0 and row.container is None and given:
            # rcu_assign_pointer(place, value)
            place = self.eval.place(state, op.args[row.resource.index - 1])
            self.eval.write(state, place, self.eval.value(state, op.args[row.null_undoes - 1]))
            resource = place
        kind = EffectKind(row.kind.value)
        self.ledger.rows.setdefault((site, row.family), row)
        return new_effect(kind, row.family, does is Does.MAKE, resource, site, container, record)

    def _operand(
        self,
        state: State,
        site: int,
        operand: Operand,
        args: tuple[Value, ...],
        returned: Value,
        does: Does,
    ) -> Value | None:
        if operand.index == -1:
            return self.pool.pure("nothing", ())
        if operand.index == 0:
            return returned
        if operand.index > len(args):
            return None
        value = args[operand.index - 1]
        if operand.pointee:
            if does is Does.MAKE:
                fresh = self.pool.result("fresh", site)
                self.eval.write(state, value, fresh)
                return fresh
            return self.eval.read(state, value)
        return value

    def is_null(self, state: State, value: Value) -> bool:
        if number_of(value) == 0 and not isinstance(value, Compute):
            return True
        fact = state.facts.get(value)
        return fact is not None and fact.signs == ZERO

    def undo_by_name(self, state: State, name: str, args: tuple[Expr, ...], site: int) -> bool:
        """Run an undoing function on expressions (scope exits); False when it isn't in a table."""
        rows = self.knowledge.effects(name)
        if not rows:
            return False
        op = CallOp(0, 0, "", Name(0, 0, name), args, "bare")
        values = self.arguments(state, op)
        self._effects(state, op, site, rows, values, self.pool.result("unknown", site))
        return True


def _is_null(expr: Expr) -> bool:
    return (isinstance(expr, Name) and expr.name == "NULL") or (
        isinstance(expr, Number) and expr.value == 0
    )

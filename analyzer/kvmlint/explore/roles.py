"""Calls without effect on resources whose meaning the tables know: WARN_ON, IS_ERR, likely, …"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kvmlint.cfg.ops import CallOp
from kvmlint.explore.state import MARK_CONTAINED, MARK_WARNED, State
from kvmlint.explore.values import Address, Value
from kvmlint.knowledge.model import Role, World
from kvmlint.syntax.ast import Name, Unary

if TYPE_CHECKING:
    from kvmlint.explore.calls import Calls


def call_with_role(
    calls: Calls, role: Role, state: State, op: CallOp, site: int, name: str
) -> list[State]:
    """The states after a call with a role."""
    if role is Role.STATUS_OF:
        return _status_of(calls, state, op)
    value = _value(calls, role, state, op, site, name)
    return [] if value is None else [calls.assign(state, op, value)]


def _value(
    calls: Calls, role: Role, state: State, op: CallOp, site: int, name: str
) -> Value | None:
    """What the call evaluates to; None when it doesn't return."""
    match role:
        case Role.IDENTITY | Role.CONVERT:
            return calls.argument(state, op, 1)
        case Role.ERROR_POINTER:
            if calls.world is World.EL2:
                calls.ledger.error_pointers.add(site)
            return calls.argument(state, op, 1)
        case Role.TAKE:
            taken = calls.argument(state, op, 1)
            if op.args:
                calls.eval.write(state, calls.eval.place(state, op.args[0]), calls.pool.zero)
            return taken
        case Role.MEMBER:
            return _container(calls, state, op)
        case Role.WARN:
            return _warn(calls, state, op)
        case Role.ASSERT:
            holds = calls.eval.assume(state, calls.argument(state, op, 1), False)
            return calls.pool.zero if holds else None
        case Role.CONTAIN:
            return _truth(calls, state, calls.argument(state, op, 1), MARK_CONTAINED)
        case Role.NORETURN:
            return None
        case Role.IS_ERR:
            return calls.eval.binary("<", calls.argument(state, op, 1), calls.pool.zero)
        case Role.IS_ERR_OR_NULL:
            return calls.eval.binary("<=", calls.argument(state, op, 1), calls.pool.zero)
        case Role.STORE:
            return _store(calls, state, op, site)
        case Role.SWAP:
            return _swap(calls, state, op)
        case Role.LOAD:
            return calls.eval.read(state, calls.argument(state, op, 1))
        case Role.WRITE:
            calls.overwrite(state, calls.arguments(state, op), site)
            return calls.pool.result("unknown", site)
        case Role.PURE:
            return calls.pool.pure(name, calls.arguments(state, op))
        case _:
            return calls.pool.result("unknown", site)


def _truth(calls: Calls, state: State, value: Value, mark: str) -> Value:
    """``!!value``, with a mark for each failure that may be in it."""
    for event in state.failed_in(value):
        state.mark(mark, event.site, event.hypercalls[0])
    return calls.eval.truth(value, True)


def _warn(calls: Calls, state: State, op: CallOp) -> Value | None:
    value = calls.argument(state, op, 1) if op.args else calls.pool.one
    if calls.world is World.EL2:
        # Fatal: the branch on which it is true never reaches the host.
        return calls.pool.zero if calls.eval.assume(state, value, False) else None
    return _truth(calls, state, value, MARK_WARNED)


def _container(calls: Calls, state: State, op: CallOp) -> Value:
    value = calls.argument(state, op, 1)
    member = op.args[2] if len(op.args) > 2 else None
    if isinstance(value, Address) and isinstance(member, Name) and value.fields[-1] == member.name:
        return calls.pool.address(value.root, value.fields[:-1])
    return value


def _store(calls: Calls, state: State, op: CallOp, site: int) -> Value:
    stored = calls.argument(state, op, 2)
    if len(op.args) >= 2:
        state.read(stored)
        target = op.args[0]
        if isinstance(target, Unary) and target.op == "&":
            target = target.operand
        place = calls.eval.place(state, target)
        calls.hand_on(state, place, stored, site)
        calls.eval.write(state, place, stored)
    return stored


def _swap(calls: Calls, state: State, op: CallOp) -> Value:
    places = [calls.eval.place(state, arg) for arg in op.args[:2]]
    values = [calls.eval.value(state, arg) for arg in op.args[:2]]
    for place, value in zip(places, reversed(values), strict=True):
        calls.eval.write(state, place, value)
    return calls.pool.zero


def _status_of(calls: Calls, state: State, op: CallOp) -> list[State]:
    value = calls.argument(state, op, 1)
    is_error = calls.eval.binary("<", value, calls.pool.zero)
    after: list[State] = []
    for truth in (True, False):
        branch = state.copy()
        if calls.eval.assume(branch, is_error, truth):
            after.append(calls.assign(branch, op, value if truth else calls.pool.zero))
    return after

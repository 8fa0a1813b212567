"""Issuing a hypercall: the path forks into its outcomes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kvmlint.cfg.ops import CallOp
from kvmlint.explore.effects import make, new_effect, undo
from kvmlint.explore.facts import NEGATIVE, POSITIVE, ZERO
from kvmlint.explore.oracle import HypercallContract, ReturnKind
from kvmlint.explore.state import MARK_DROPPED, EffectKind, Event, State, is_swallowed
from kvmlint.explore.values import OPAQUE, Address, Load, Pure, Value, Var, root_of
from kvmlint.knowledge.model import EntryPoint
from kvmlint.knowledge.model import Value as Evaluates

if TYPE_CHECKING:
    from kvmlint.explore.calls import Calls

_SUCCESS = {
    ReturnKind.STATUS: ZERO,
    ReturnKind.HANDLE: ZERO | POSITIVE,
    ReturnKind.PREDICATE: ZERO | POSITIVE,
    ReturnKind.POINTER: ZERO | POSITIVE,
    ReturnKind.MIXED: ZERO | POSITIVE,
}
_MEMORY = (EffectKind.MEMORY, EffectKind.PIN)


def hypercall_name(calls: Calls, state: State, op: CallOp, entry: EntryPoint) -> str:
    """Which hypercall an entry point issues; '' when that is decided at run time."""
    value = calls.argument(state, op, entry.function)
    if entry.wrapper:
        if not (isinstance(value, Pure) and value.function == entry.wrapper and value.args):
            return ""
        value = value.args[0]
    if isinstance(value, Load) and isinstance(value.place, Var) and not value.place.local:
        return entry.prefix + value.place.name
    return ""


def hypercall(calls: Calls, state: State, op: CallOp, site: int, entry: EntryPoint) -> list[State]:
    """The states after an entry point's use."""
    name = hypercall_name(calls, state, op, entry)
    pool = calls.pool
    if not name:
        # Not a hypercall of ours (a firmware call), or its number is computed.
        return calls.unknown(state, op, site, "")
    if entry.excludes:
        mode = pool.pure(entry.excludes, ())
        if calls.knowledge.predicate(entry.excludes) and not calls.eval.assume(state, mode, False):
            return []
    contract = calls.oracle.hypercall(name)
    args = calls.arguments(state, op)[entry.function :]
    out: Value | None = None
    if entry.value is Evaluates.OUT:
        out, args = (args[-1], args[:-1]) if args else (None, ())
    fallible = contract.fallible and entry.value is not Evaluates.NONE
    if entry.value is Evaluates.NONE and contract.fallible and not contract.assumed:
        # A statement macro drops the value of a handler that does return one.
        state.mark(MARK_DROPPED, site, name, "bare")
    if fallible and op.discarded and out is None:
        state.mark(MARK_DROPPED, site, name, op.discarded)
    acquires = acquired_family(calls, name)
    reclaims = reclaimed_families(calls, name)
    role = "status" if fallible else "unknown"
    value = pool.result(role, site, () if fallible else args[:2])
    after: list[State] = []
    for failed in (False, True) if fallible else (False,):
        branch = state.copy() if fallible else state
        _store(calls, branch, op, entry, out, value, contract, failed)
        _outcome(
            calls,
            branch,
            site,
            name,
            args,
            value,
            failed,
            acquires,
            reclaims,
            fallible,
            bool(op.target) and out is None,
        )
        after.append(branch)
    return after


def _store(
    calls: Calls,
    state: State,
    op: CallOp,
    entry: EntryPoint,
    out: Value | None,
    value: Value,
    contract: HypercallContract,
    failed: bool,
) -> None:
    if contract.kind is ReturnKind.STATUS and not contract.fallible:
        value = calls.pool.zero
    elif contract.fallible:
        signs = NEGATIVE if failed else _SUCCESS.get(contract.kind, ZERO)
        calls.eval.set_signs(state, value, signs)
    if out is None:
        calls.assign(state, op, value)
        return
    calls.eval.havoc(state, out, calls.pool.result("unknown", OPAQUE))
    if entry.result:
        calls.eval.write(state, calls.pool.address(out, (entry.result,)), value)
    if entry.status:
        # A rejected HVC is a kernel bug, no error of the hypercall.
        calls.eval.write(state, calls.pool.address(out, (entry.status,)), calls.pool.zero)


def _outcome(
    calls: Calls,
    state: State,
    site: int,
    name: str,
    args: tuple[Value, ...],
    value: Value,
    failed: bool,
    acquires: str,
    reclaims: tuple[str, ...],
    fallible: bool,
    stored: bool,
) -> None:
    credited = False
    bulk = any(row.bulk for row in calls.knowledge.undoes(name))
    for family in reclaims:
        gone = new_effect(
            EffectKind.ACQUIRE, family, False, _about(args, value), site, operands=args, weak=bulk
        )
        credited |= undo(calls.ledger, state, gone, site, destroys=not failed)
    if credited and not failed:
        _give_back(calls, state, name, args)
    event = Event(
        site, False, failed, (name,), reclaims[0] if reclaims else "", acquires, args, value, ""
    )
    if fallible:
        calls.ledger.hypercalls[site] = (name,)
        mixed = calls.oracle.hypercall(name).kind is ReturnKind.MIXED
        record_event(state, event, credited, stored, mixed)
    if not failed:
        if not reclaims:
            _donate(calls, state, name, args)
        if acquires:
            about = _about(args, value)
            make(
                calls.ledger,
                state,
                new_effect(
                    EffectKind.ACQUIRE, acquires, True, about, site, operands=(*args, value)
                ),
            )


def record_event(state: State, event: Event, credited: bool, stored: bool, mixed: bool) -> None:
    """Remember an outcome. A success of the same call on the same arguments (retry) replaces its
    failure; what unwinds after a failure leaves that failure the last word."""
    if not event.failed:
        retried = frozenset(
            other
            for other in state.events
            if other.failed and other.hypercalls == event.hypercalls and other.args == event.args
        )
        if retried:
            state.events = state.events - retried
            if state.last in retried:
                state.last = None
    state.add_event(event)
    if event.failed and stored:
        state.unread = state.unread | {event.status}
        if mixed:
            state.undecoded = state.undecoded | {event.status}
    unwinding = event.reclaims and state.last is not None
    if event.failed and state.last is not None and is_swallowed(event):
        return  # this function doesn't learn of it; the failure that it knows of stays the last
    if not credited and not unwinding:
        state.last = event if event.failed else None


def acquired_family(calls: Calls, name: str) -> str:
    """The family of what a hypercall acquires, named after its inverse; '' when it has none."""
    row = calls.knowledge.hypercall(name)
    if row is not None and row.undone_by:
        return f"hyp:{row.undone_by}"
    found = calls.knowledge.verb_inverse(name)
    if found is None:
        return ""
    if calls.oracle.hypercall(found[0]).has_handler is False:
        return ""
    return f"hyp:{found[0]}"


def reclaimed_families(calls: Calls, name: str) -> tuple[str, ...]:
    """The families that a hypercall undoes."""
    families = {f"hyp:{row.undone_by}" for row in calls.knowledge.undoes(name)}
    found = calls.knowledge.verb_forward(name)
    if found is not None and calls.oracle.hypercall(found[0]).has_handler is not False:
        families.add(f"hyp:{name}")
    return tuple(sorted(families))


def _about(args: tuple[Value, ...], value: Value) -> Value:
    return args[0] if args else value


def _donate(calls: Calls, state: State, name: str, args: tuple[Value, ...]) -> None:
    """Memory that EL2 took with a successful call is not the host's to free any more."""
    row = calls.knowledge.hypercall(name)
    pair = calls.knowledge.verb_inverse(name)
    given: tuple[Value, ...]
    if row is not None and row.donates:
        given = tuple(args[i - 1] for i in row.donates if i <= len(args))
    elif pair is not None and not pair[1].hands_over:
        return
    else:
        # IMPRECISE: any memory passed to a call of unknown meaning is taken to be EL2's.
        given = args
    hand_over(state, {root_of(arg) for arg in given if not isinstance(arg, Address)} | set(given))


def hand_over(state: State, roots: set[Value]) -> None:
    """EL2 has taken memory: it is nobody's duty on the host until it is given back."""
    handed = frozenset(
        effect
        for effect in state.effects
        if effect.building and effect.kind in _MEMORY and effect.resource in roots
    )
    if handed:
        state.effects = (state.effects - handed) | {e._replace(handed="el2") for e in handed}
    held = {effect.resource for effect in handed}
    state.given = state.given | {v for v in roots - held if isinstance(v, Load)}


def _give_back(calls: Calls, state: State, name: str, args: tuple[Value, ...]) -> None:
    """Memory that a reclaiming call returned is the host's again (what comes back through a
    memcache is not: EL2 pushes those pages itself)."""
    pair = calls.knowledge.verb_forward(name)
    rows = calls.knowledge.undoes(name)
    if not (any(r.returned == "host" for r in rows) or (pair is not None and pair[1].hands_over)):
        return
    roots = {root_of(arg) for arg in args} | set(args)
    back = frozenset(e for e in state.effects if e.handed == "el2" and e.resource in roots)
    state.effects = (state.effects - back) | {e._replace(handed="") for e in back}

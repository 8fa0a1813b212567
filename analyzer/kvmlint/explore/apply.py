"""A callee's summary, applied at a call: one state for each way the callee behaves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kvmlint.cfg.ops import CallOp
from kvmlint.explore.effects import give_back, make, undo
from kvmlint.explore.hypercalls import hand_over, reclaimed_families, record_event
from kvmlint.explore.oracle import ExitKind, Summary, SummaryClass
from kvmlint.explore.state import MARK_DROPPED, STALE, Effect, EffectKind, Event, State
from kvmlint.explore.values import Address, Compute, Const, Errno, Load, Pure, Result, Value, Var

if TYPE_CHECKING:
    from kvmlint.explore.calls import Calls

_INDEX_LIMIT = 1 << 20


class _Mapping:
    """Translates a callee's values into its caller's at one call."""

    def __init__(
        self,
        calls: Calls,
        state: State,
        site: int,
        summary: Summary,
        args: tuple[Value, ...],
    ) -> None:
        self.calls = calls
        self.state = state
        self.site = site
        self.arguments = dict(zip(summary.parameters, args, strict=False))
        self.memo: dict[Value, Value] = {}

    def value(self, value: Value) -> Value:
        """The caller's value."""
        found = self.memo.get(value)
        if found is None:
            found = self.memo[value] = self._value(value)
        return found

    def _value(self, value: Value) -> Value:
        pool = self.calls.pool
        match value:
            case Load(place=Var(local=True, name=name)):
                return self.arguments.get(name) or pool.result("unknown", self.site)
            case Var(local=True):
                return pool.result("unknown", self.site)
            case Load(place=place):
                return self.calls.eval.read(self.state, self.value(place))
            case Address(root=root, fields=fields):
                return pool.address(self.value(root), fields)
            case Pure(function=function, args=args) if args:
                return pool.pure(function, tuple(self.value(arg) for arg in args))
            case Compute(op=op, operands=operands):
                return pool.compute(op, *(self.value(part) for part in operands))
            case Var(name=name):
                return pool.var(name, False)
            case Const(number=number):
                return pool.const(number)
            case Errno(number=number, origin=origin):
                return pool.errno(number, origin)
            case Pure(function=function):
                return pool.pure(function, ())
            case Result(role="status"):
                return pool.result("status", self.site)
            case Result():
                index = (value.site * 8 + value.index + (1 << 12 if value.old else 0)) + 1
                source = tuple(self.value(part) for part in value.source)
                return pool.result(value.role, self.site, source, index % _INDEX_LIMIT)
            case _:
                return pool.result("unknown", self.site)

    def effect(self, effect: Effect, name: str) -> Effect:
        """The caller's effect: it happened at the call."""
        many = effect.many or effect.old
        return effect._replace(
            resource=self.value(effect.resource),
            container=effect.container and self.value(effect.container),
            record=effect.record and self.value(effect.record),
            operands=tuple(self.value(v) for v in effect.operands),
            site=self.site,
            old=False,
            many=many,
            followed=frozenset(),
            via=name,
        )


def apply_summary(
    calls: Calls, state: State, op: CallOp, site: int, summary: Summary
) -> list[State]:
    """The states after a call of a function with a known summary."""
    args = calls.arguments(state, op)
    calls.ledger.passed |= summary.passed
    if summary.stores:
        calls.ledger.stores |= summary.stores
        calls.eval.forget_fields(state, summary.stores)
    if summary.errnos:
        calls.ledger.errnos[site] = calls.resolve(state, args, summary.errnos)
    if summary.hands_status and op.discarded:
        about = _hypercalls(summary)
        if about:
            state.mark(MARK_DROPPED, site, about[0], f"{op.discarded}:{summary.function}")
    after: list[State] = []
    last = len(summary.classes) - 1
    for index, behaviour in enumerate(summary.classes):
        branch = state if index == last else state.copy()
        mapping = _Mapping(calls, branch, site, summary, args)
        if _apply(calls, branch, op, summary, behaviour, mapping, args):
            after.append(branch)
    return after


def _hypercalls(summary: Summary) -> tuple[str, ...]:
    """The hypercalls of which a callee hands a failure on that it said nothing about."""
    failing = [c for c in summary.classes if c.failed and not c.warned]
    return tuple(sorted({name for c in failing for name in c.hypercalls}))


def _family(summary: Summary, building: bool) -> str:
    effects = (
        [effect for behaviour in summary.classes for effect in behaviour.effects]
        if building
        else summary.undoes
    )
    for effect in effects:
        if effect.kind is EffectKind.ACQUIRE and effect.building is building:
            return effect.family
    return ""


def _reclaimed(calls: Calls, summary: Summary, behaviour: SummaryClass) -> str:
    """The family that a call gives back, '' for none: a callee that also unwinds what it acquired
    has not failed to give anything back where another of its hypercalls failed."""
    if behaviour.failed and not all(reclaimed_families(calls, n) for n in behaviour.hypercalls):
        return ""
    return "" if _family(summary, True) else _family(summary, False)


def _apply(
    calls: Calls,
    state: State,
    op: CallOp,
    summary: Summary,
    behaviour: SummaryClass,
    mapping: _Mapping,
    args: tuple[Value, ...],
) -> bool:
    pool = calls.pool
    site = mapping.site
    if summary.hands_status:
        value = pool.result("status", site)
    elif behaviour.returns is None:
        value = pool.result("unknown", site)
    else:
        value = mapping.value(behaviour.returns)
    if behaviour.returns is not None and behaviour.exit is not ExitKind.VOID:
        fact = behaviour.fact
        if not calls.eval.set_signs(state, value, fact.signs):
            return False
        if fact.equal is not None and not calls.eval.learn(state, value, "==", fact.equal, True):
            return False
    effects = [mapping.effect(effect, summary.function) for effect in behaviour.effects]
    undoes = [mapping.effect(effect, summary.function) for effect in summary.undoes]
    for place, written in behaviour.writes:
        calls.eval.write(state, mapping.value(place), mapping.value(written))
    if behaviour.given and not behaviour.failed:
        hand_over(state, {mapping.value(given) for given in behaviour.given})
    credited = False
    undone: set[tuple[str, Value]] = set()
    for gone in undoes:
        if undo(calls.ledger, state, gone, site, destroys=False):
            credited = True
            undone.add((gone.family, gone.resource))
    fails = behaviour.failed or behaviour.exit is ExitKind.ERROR
    for returned in summary.returned if not fails else ():
        give_back(state, mapping.effect(returned, ""))
    for effect in effects:
        if effect.building and effect.kind is EffectKind.MEMORY and effect.resource is value:
            effect = effect._replace(via="")  # fresh, and handed to this function
        if effect.building:
            make(calls.ledger, state, effect)
        elif effect.handed == STALE:
            if effect.named_at is not None:
                state.effects |= {effect}  # nobody's undo: it is only remembered who is gone
        elif (effect.family, effect.resource) not in undone:
            undo(calls.ledger, state, effect, site)
    if behaviour.hypercalls:
        event = Event(
            site,
            False,
            behaviour.failed,
            behaviour.hypercalls,
            _reclaimed(calls, summary, behaviour),
            _family(summary, True),
            args,
            value,
            summary.function,
        )
        known = calls.ledger.hypercalls.get(site, ())
        calls.ledger.hypercalls[site] = tuple(sorted({*known, *behaviour.hypercalls}))
        record_event(
            state, event, credited, bool(op.target) and summary.hands_status, summary.undecoded
        )
    calls.assign(state, op, value)
    return True

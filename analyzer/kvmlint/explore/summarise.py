"""From all exits of a function to what its callers need to know."""

from __future__ import annotations

from kvmlint.explore.effects import Ledger
from kvmlint.explore.engine import Exit, Exploration
from kvmlint.explore.facts import NEGATIVE, ZERO, Fact, join
from kvmlint.explore.once import kept_families
from kvmlint.explore.oracle import ErrnoSource, ExitKind, Summary, SummaryClass
from kvmlint.explore.state import (
    KEPT,
    MARK_WARNED,
    RETURNED,
    STALE,
    Effect,
    EffectKind,
    Event,
    is_swallowed,
)
from kvmlint.explore.values import (
    Compute,
    Errno,
    Load,
    Pure,
    Result,
    Value,
    Var,
    base_object,
    mentions,
    number_of,
    root_of,
)
from kvmlint.knowledge.model import World

MAX_CLASSES = 8
"""Ways of behaving kept apart; more are joined."""
_CARRIED = (EffectKind.ACQUIRE, EffectKind.LOCK)
_EITHER = Result("unknown", 0, False, 1, ())
"""What a callee returns that returns one of several values."""
_STATUS = Result("status", 0, False, 1, ())
MAX_WRITES = 6
"""Stores through parameters and globals kept in a class."""


def summarise(found: Exploration) -> Summary:
    """The summary of an explored function, made once."""
    if found.summary is None:
        found.summary = _summary(found)
    return found.summary


def _summary(found: Exploration) -> Summary:
    function = found.cfg.function
    classes: dict[tuple[object, ...], SummaryClass] = {}
    once = kept_families(found)
    for exit_ in found.exits:
        behaviour = _class(found, exit_, once)
        slot = (
            behaviour.exit,
            behaviour.failed,
            behaviour.hypercalls,
            frozenset(e._replace(followed=frozenset()) for e in behaviour.effects),
            _shape(behaviour.returns),
        )
        twin = classes.get(slot)
        classes[slot] = behaviour if twin is None else _join(twin, behaviour)
    ordered = sorted(classes.values(), key=_order)
    failing = [c for c in ordered if c.failed]
    service = len({name for c in failing for name in c.hypercalls}) > 1 and not function.static
    if service:
        ordered = sorted([*(c for c in ordered if not c.failed), *_widen(failing)], key=_order)
    imprecise = len(ordered) > MAX_CLASSES
    if imprecise:
        ordered = _widen(ordered)
    undoes = {
        (e.family, e.resource, e.operands): e
        for behaviour in ordered
        for e in behaviour.effects
        if e.is_gone
    }
    for key, effect in (*found.ledger.destroyed.items(), *found.ledger.reclaims.items()):
        if found.ledger.unwinds_own(effect):
            continue
        many = found.ledger.in_loop(effect.site)
        undoes[key] = effect._replace(many=many)
    at_el2 = found.world is World.EL2
    hands = any(
        c.exit is ExitKind.ERROR and (c.failed or at_el2) and c.returns is not None for c in ordered
    ) or any(c.exit is ExitKind.UNKNOWN and c.failed for c in ordered)
    return Summary(
        function.name,
        tuple(p.name for p in function.parameters),
        tuple(ordered),
        tuple(undoes[key] for key in sorted(undoes, key=_undo_order)),
        bool(found.ledger.hypercalls),
        hands,
        imprecise,
        errnos_of(found, function.name) if at_el2 else (),
        frozenset(found.ledger.stores),
        passed=frozenset(found.ledger.passed),
        undecoded=any(e.value in e.state.undecoded for e in found.exits if e.value is not None),
        service=service,
        returned=_returned(found),
    )


def _returned(found: Exploration) -> tuple[Effect, ...]:
    """What EL2 is given back, that the function had not acquired, where it doesn't fail."""
    returned = {
        effect
        for exit_ in found.exits
        if exit_.kind is not ExitKind.ERROR and exit_.failure() is None
        for effect in exit_.state.effects
        if effect.handed == RETURNED
    }
    return tuple(sorted(returned, key=Effect.order))


def _undo_order(key: tuple[str, Value, tuple[Value, ...]]) -> tuple[str, str, tuple[str, ...]]:
    return (key[0], key[1].key, tuple(value.key for value in key[2]))


def _order(behaviour: SummaryClass) -> tuple[str, str, bool, tuple[str, ...], str]:
    return (
        behaviour.exit.value,
        behaviour.returns.key if behaviour.returns is not None else "",
        behaviour.failed,
        behaviour.hypercalls,
        ";".join(f"{e.family}:{e.building}:{e.resource.key}" for e in behaviour.effects),
    )


def _shape(value: Value | None) -> object:
    """Returned values that a caller can tell apart."""
    match value:
        case None:
            return None
        case Errno():
            return "errno"
        case Result(role="status"):
            return "status"
        case Compute() | Load() if not isinstance(value, Load) or value.depth > 2:
            return "computed"
        case _:
            return value


def _class(found: Exploration, exit_: Exit, once: frozenset[str]) -> SummaryClass:
    state = exit_.state
    last = exit_.failure()
    last_failed = last is not None and not is_swallowed(last) and not _undo_failed(exit_, last)
    failed = last_failed and exit_.kind is not ExitKind.SUCCESS
    if failed and last is not None:
        hypercalls = last.hypercalls
    else:
        passed = set(exit_.trail)
        sites = [s for s in found.ledger.hypercalls if found.ledger.blocks[s] in passed]
        hypercalls = tuple(
            sorted({name for site in sites for name in found.ledger.hypercalls.get(site, ())})
        )
    value = exit_.value
    fact = found.evaluator.fact(state, value) if value is not None else Fact()
    if exit_.kind is ExitKind.ERROR and fact.signs & NEGATIVE:
        # if (ret) return ret: what an int function returns there is an errno.
        fact = Fact(NEGATIVE, fact.equal, fact.unequal)
    elif exit_.kind is ExitKind.UNKNOWN and _is_unseen(found, value):
        fact = Fact(NEGATIVE | ZERO)
    keep: list[Effect] = []
    # A public function that makes hypercalls is a service: what it did to other state is its own,
    # completed or undone; callers get its status, what it acquired, and what it gave them.
    service = bool(found.ledger.hypercalls) and not found.cfg.function.static
    for effect in sorted(state.effects, key=Effect.order):
        if not _visible(effect) or effect.handed == RETURNED:
            continue
        if not effect.building and effect.via and not _nameable(root_of(effect.resource)):
            continue  # destroyed two calls down, and nobody up here can name it
        given = effect.resource is value or _written(exit_, effect.resource)
        if service and effect.kind not in _CARRIED and not given:
            if not _left_named(effect, exit_):
                continue
            effect = effect._replace(handed=STALE)
        if effect.building and effect.kind is not EffectKind.LOCK:
            partial = effect.kind is EffectKind.ACQUIRE and (effect.old or effect.many)
            if (exit_.kind is ExitKind.ERROR or failed) and not partial:
                continue  # what a failing callee leaves behind is reported in the callee
            if effect.handed == "el2":
                continue
            if effect.kind is EffectKind.ACQUIRE and effect.family in once:
                effect = effect._replace(handed=KEPT)
            root = root_of(effect.resource)
            kept = root is value or _written(exit_, effect.resource)
            nameable = effect.kind is not EffectKind.MEMORY and _nameable(root)
            if effect.kind is not EffectKind.ACQUIRE and not kept and not nameable:
                continue  # a record that a lookup found, memory that a record took
        keep.append(
            effect._replace(
                many=effect.many or effect.old or found.ledger.in_loop(effect.site),
                weak=effect.weak
                or (effect.handed != STALE and (failed or exit_.kind is ExitKind.ERROR)),
            )
        )
    keep = _folded(keep)
    writes = [
        (place, held)
        for place, held in state.env.items()
        if not (isinstance(place, Var) and place.local) and _nameable(place)
    ]
    writes.sort(key=lambda item: item[0].key)
    return SummaryClass(
        exit_.kind,
        value,
        fact,
        hypercalls,
        failed,
        tuple(keep),
        tuple(writes[:MAX_WRITES]),
        tuple(sorted((v for v in state.given if _nameable(v)), key=lambda v: v.key)),
        last is not None and any((m.name, m.site) == (MARK_WARNED, last.site) for m in state.marks),
    )


def _is_unseen(found: Exploration, value: Value | None) -> bool:
    """Whether an int function of EL2's returns what one that can't be seen returned, as it is.
    IMPRECISE: that is taken to be 0 or an errno."""
    return (
        found.world is World.EL2
        and found.cfg.function.returns == "int"
        and isinstance(value, Result)
        and value.role == "unknown"
        and bool(found.ledger.callee(value.site))
    )


def _undo_failed(exit_: Exit, failure: Event) -> bool:
    """Whether the failure is that of an undo, while the status of another call is returned:
    ``ret = share(b); if (ret) { WARN_ON(unshare(a)); return ret; }``."""
    value = exit_.value
    return (
        bool(failure.reclaims)
        and isinstance(value, Result)
        and value.role == "status"
        and not mentions(value, failure.status)
    )


def _folded(effects: list[Effect]) -> list[Effect]:
    """What several turns of a loop acquired is one thing to the caller."""
    first: dict[str, Effect] = {}
    for effect in effects:
        if effect.building and effect.kind is EffectKind.ACQUIRE:
            other = first.get(effect.family)
            first[effect.family] = effect if other is None else other._replace(many=True)
    rest = [e for e in effects if not (e.building and e.kind is EffectKind.ACQUIRE)]
    return sorted([*rest, *first.values()], key=Effect.order)


def _left_named(effect: Effect, exit_: Exit) -> bool:
    """Whether an object is let go of while a field of the caller's object still names it."""
    place = effect.named_at
    return (
        not effect.building
        and effect.kind in (EffectKind.MEMORY, EffectKind.COUNT)
        and place is not None
        and _nameable(root_of(place))
        and place not in exit_.state.env
    )


def _visible(effect: Effect) -> bool:
    root = root_of(effect.resource)
    return not (isinstance(root, Var) and root.local)


def _written(exit_: Exit, resource: Value) -> bool:
    return any(
        held is resource
        for place, held in exit_.state.env.items()
        if not (isinstance(place, Var) and place.local)
    )


def _nameable(place: Value) -> bool:
    """Whether a caller can name the place: rooted in a parameter or a global."""
    base = base_object(place)
    if isinstance(base, Load) or (isinstance(base, Pure) and base.args):
        return True
    return isinstance(base, Var) and not base.local


def _join(a: SummaryClass, b: SummaryClass) -> SummaryClass:
    same = dict(a.writes)
    writes = tuple((p, v) for p, v in b.writes if same.get(p) is v)
    returns = a.returns
    if a.returns is not b.returns and a.returns is not None:
        returns = _STATUS if _shape(a.returns) == _shape(b.returns) == "status" else _EITHER
    fact, warned = join(a.fact, b.fact), a.warned and b.warned
    return a._replace(returns=returns, fact=fact, writes=writes, warned=warned)


def _same(effect: Effect) -> tuple[str, Value | None]:
    """What makes two effects of two classes one; acquired things are told apart by family alone."""
    return (effect.family, None if effect.kind is EffectKind.ACQUIRE else effect.resource)


def _widen(classes: list[SummaryClass]) -> list[SummaryClass]:
    """Join per kind of exit and outcome. IMPRECISE: of building effects only those common to all
    stay, of destroying ones all."""
    groups: dict[tuple[ExitKind, bool, bool], SummaryClass] = {}
    for behaviour in classes:
        slot = (behaviour.exit, behaviour.failed, bool(behaviour.hypercalls))
        twin = groups.get(slot)
        if twin is None:
            groups[slot] = behaviour
            continue
        ours = {_same(e): e for e in twin.effects}
        theirs = {_same(e): e for e in behaviour.effects}
        effects = [e for key, e in ours.items() if not e.building or key in theirs] + [
            e for key, e in theirs.items() if not e.building and key not in ours
        ]
        groups[slot] = _join(twin, behaviour)._replace(
            effects=tuple(sorted(effects, key=Effect.order)),
            hypercalls=tuple(sorted({*twin.hypercalls, *behaviour.hypercalls})),
        )
    return sorted(groups.values(), key=_order)


def errnos_of(found: Exploration, function: str) -> tuple[ErrnoSource, ...]:
    """Every errno that a function can return, with the functions it passes through."""
    sources: dict[ErrnoSource, None] = {}
    for exit_ in found.exits:
        if exit_.value is not None:
            for source in errnos_in(found.ledger, exit_, found, exit_.value):
                chained = ErrnoSource(
                    source.number, source.path, source.offset, (function, *source.chain)
                )
                sources[chained] = None
    return tuple(sorted(sources, key=lambda s: (s.path, s.offset, s.number, s.chain)))


def errnos_in(ledger: Ledger, exit_: Exit, found: Exploration, value: Value) -> list[ErrnoSource]:
    """The errnos that a value at an exit can be: its own, or those of the call it came from."""
    match value:
        case Errno(number=number, origin=origin):
            path, _, offset = origin.rpartition(":")
            return [ErrnoSource(-number, path, int(offset), ())]
        case Result(site=site) if site in ledger.errnos:
            fact = found.evaluator.fact(exit_.state, value)
            if not fact.signs & NEGATIVE:
                return []
            return [
                source
                for source in ledger.errnos[site]
                if (fact.equal is None or fact.equal == -source.number)
                and -source.number not in fact.unequal
            ]
        case _ if number_of(value) is not None:
            return []
        case Compute(operands=operands):
            return [s for part in operands for s in errnos_in(ledger, exit_, found, part)]
        case _:
            return []

"""Making and undoing host state: which undo belongs to which effect."""

from __future__ import annotations

from dataclasses import dataclass, field

from kvmlint.cfg.graph import Cfg
from kvmlint.cfg.ops import CallOp, Op
from kvmlint.explore.oracle import ErrnoSource
from kvmlint.explore.state import RETURNED, Effect, EffectKind, State
from kvmlint.explore.values import (
    Address,
    Compute,
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
from kvmlint.knowledge.model import EffectRow
from kvmlint.syntax.ast import Name

NOTHING: frozenset[tuple[int, bool]] = frozenset()


@dataclass(slots=True)
class Ledger:
    """What is gathered over all paths of one exploration, apart from the paths' states.

    ``ops`` maps a site to its operation, ``blocks`` to its basic block; ``undone`` the sites that
    undid an effect, by (site, family); ``rows`` the table row that an effect came from.
    """

    cfg: Cfg
    ops: list[Op] = field(default_factory=list)
    blocks: list[int] = field(default_factory=list)
    loops: list[frozenset[int]] = field(default_factory=list)
    rows: dict[tuple[int, str], EffectRow] = field(default_factory=dict)
    undone: dict[tuple[int, str], set[int]] = field(default_factory=dict)
    first: dict[int, int] = field(default_factory=dict)
    hypercalls: dict[int, tuple[str, ...]] = field(default_factory=dict)
    reclaims: dict[tuple[str, Value, tuple[Value, ...]], Effect] = field(default_factory=dict)
    error_pointers: set[int] = field(default_factory=set)
    destroyed: dict[tuple[str, Value, tuple[Value, ...]], Effect] = field(default_factory=dict)
    passed: set[str] = field(default_factory=set)
    stores: set[str] = field(default_factory=set)
    given_up: set[int] = field(default_factory=set)
    errnos: dict[int, tuple[ErrnoSource, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for block, ops in enumerate(self.cfg.ops):
            self.first[block] = len(self.ops)
            for op in ops:
                self.ops.append(op)
                self.blocks.append(block)
        around = [
            frozenset(loop.head for loop in self.cfg.loops if block in loop.body)
            for block in range(len(self.cfg.ops))
        ]
        self.loops = [around[block] for block in self.blocks]

    def callee(self, site: int) -> str:
        """Name of the function that an operation calls; '' when it is no plain call."""
        op = self.ops[site]
        return op.func.name if isinstance(op, CallOp) and isinstance(op.func, Name) else ""

    def in_loop(self, site: int) -> bool:
        """Whether an operation can run again."""
        return 0 <= site < len(self.loops) and bool(self.loops[site])

    def unwinds_own(self, reclaim: Effect) -> bool:
        """Whether a reclaiming call stands in a loop that unwinds what this function acquired: then
        it is not about anything of its callers'."""
        if not self.in_loop(reclaim.site):
            return False
        heads = {self.first[head] for head in self.loops[reclaim.site]}
        return any(
            family == reclaim.family and not heads.isdisjoint(sites)
            for (_, family), sites in self.undone.items()
        )

    def made_in_turns(self, effect: Effect) -> bool:
        """Whether an effect may be one of several made by turns of a loop."""
        return effect.old or effect.many or self.in_loop(effect.site)


def make(ledger: Ledger, state: State, effect: Effect) -> None:
    """An effect is made: it restores what this path destroyed, or stands from now on."""
    restored = [
        other
        for other in state.effects
        if not other.building
        and other.family == effect.family
        and (
            related(ledger, effect, other, False)
            if effect.kind is EffectKind.ACQUIRE
            else other.resource is effect.resource and _containers_agree(other, effect.container)
        )
    ]
    if not restored:
        state.effects = state.effects | {effect}
        return
    other = min(restored, key=Effect.order)
    state.effects = state.effects - {other}
    for key in [key for key in ledger.reclaims if key[::2] == (other.family, other.operands)]:
        del ledger.reclaims[key]


def matches(ledger: Ledger, effect: Effect, undo: Effect, in_loop: bool) -> bool:
    """Whether ``undo`` (a destroying effect) undoes the building ``effect``."""
    if not effect.building or effect.family != undo.family:
        return False
    if effect.kind is EffectKind.ACQUIRE:
        return related(ledger, effect, undo, in_loop)
    if not _containers_agree(effect, undo.container):
        return False
    if undo.container is not None and isinstance(undo.resource, Pure) and not undo.resource.args:
        return undo.container is effect.container  # xa_destroy: everything in it
    if undo.resource is effect.resource:
        return True
    if effect.kind is EffectKind.MEMORY and _same_memory(effect.resource, undo.resource):
        return True
    # An unwind loop: which turn's resource an operation names isn't followed. IMPRECISE: bounds
    # are not judged.
    return in_loop and ledger.made_in_turns(effect) and _could_be(effect.resource, undo.resource)


def related(ledger: Ledger, acquired: Effect, undo: Effect, in_loop: bool) -> bool:
    """Whether a reclaiming hypercall is about what an acquiring one acquired."""
    if undo.weak:  # a bulk teardown, or operands that the caller can't name
        return True
    if in_loop and ledger.made_in_turns(acquired):
        return True
    if not undo.operands:
        return True
    for operand in undo.operands:
        if number_of(operand) is not None:
            continue
        for own in acquired.operands:
            if number_of(own) is not None:
                continue
            if operand is own or mentions(operand, own) or mentions(own, operand):
                return True
            a, b = base_object(operand), base_object(own)
            if a is b and not _plain_parameter(operand, own):
                return True
    return False


def _plain_parameter(a: Value, b: Value) -> bool:
    """Two different scalars read from variables are two things."""
    return (
        isinstance(a, Load)
        and isinstance(b, Load)
        and isinstance(a.place, Var)
        and isinstance(b.place, Var)
        and a is not b
    )


def _containers_agree(effect: Effect, container: Value | None) -> bool:
    return effect.container is None or container is None or effect.container is container


def _same_memory(made: Value, freed: Value) -> bool:
    """Memory freed through a pointer to its first member, or with an offset."""
    return isinstance(made, Result) and made.role == "fresh" and _without_offset(freed) is made


def _without_offset(value: Value) -> Value:
    while isinstance(value, Compute) and value.op in ("+", "-"):
        value = value.operands[0]
    return value


def _could_be(made: Value, undone: Value) -> bool:
    """Whether a resource named in an unwind loop may be one that turns of a loop made: it must
    vary itself, and have the same shape where the shapes are known."""
    a, b = root_of(made), root_of(undone)
    if isinstance(made, Address) and isinstance(undone, Address) and made.fields != undone.fields:
        return False
    return not (isinstance(b, Result) and b.role == "fresh" and b is not a and not b.old)


def undo(ledger: Ledger, state: State, effect: Effect, site: int, destroys: bool = True) -> bool:
    """Apply a destroying effect: what it undoes is gone; with ``destroys``, where there was nothing
    to undo, it stands itself as destroyed state. True when something was undone."""
    in_loop = ledger.in_loop(site) or effect.many
    hits = [e for e in state.effects if matches(ledger, e, effect, in_loop)]
    if len(hits) > 1:
        hits.sort(key=Effect.order)
    exact = [e for e in hits if e.resource is effect.resource and not e.old]
    if exact and not in_loop and effect.kind is not EffectKind.ACQUIRE:
        hits = exact[:1]
    if hits:
        for hit in hits:
            ledger.undone.setdefault((hit.site, hit.family), set()).add(site)
        state.effects = state.effects - frozenset(hits)
        if any(event.reclaims for event in state.events) and not ledger.in_loop(site):
            state.released = state.released | {effect}
        return True
    if effect.kind in (EffectKind.ACQUIRE, EffectKind.LOCK):
        # Nobody looks for these on a path; callers are told that it happens on some path.
        ledger.reclaims.setdefault((effect.family, effect.resource, effect.operands), effect)
        if destroys and effect.kind is EffectKind.ACQUIRE:
            give_back(state, effect)
    elif destroys:
        destroy(state, effect)
    return False


def give_back(state: State, effect: Effect) -> None:
    """EL2 was given back what this path had not acquired; it may be acquired anew. By whom, and how
    often, doesn't matter."""
    known = new_effect(
        effect.kind,
        effect.family,
        False,
        effect.resource if effect.operands else _ANY,
        -1,
        operands=effect.operands,
        weak=effect.weak,
    )
    state.effects = state.effects | {known._replace(handed=RETURNED)}


_ANY = Pure("any", ())
"""What a call without arguments is about."""


def destroy(state: State, effect: Effect) -> None:
    """State that was there before this path is gone; releasing a lock destroys nothing."""
    if effect.kind is not EffectKind.LOCK and _is_foreign(effect.resource):
        state.effects = state.effects | {effect}


def _is_foreign(resource: Value) -> bool:
    """Whether a resource was there before this path: not a local, not made here."""
    root = root_of(resource)
    if isinstance(root, Var):
        return not root.local
    if isinstance(root, Result) and root.role == "fresh":
        return False
    return number_of(root) is None


def new_effect(
    kind: EffectKind,
    family: str,
    building: bool,
    resource: Value,
    site: int,
    container: Value | None = None,
    record: Value | None = None,
    operands: tuple[Value, ...] = (),
    weak: bool = False,
    via: str = "",
) -> Effect:
    """An effect that has just happened."""
    return Effect(
        kind,
        family,
        building,
        resource,
        container,
        record,
        operands,
        site,
        False,
        False,
        NOTHING,
        "",
        via,
        weak,
    )

"""What the turns of loops left, at the edges that enter and leave one."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field

from kvmlint.cfg.graph import Cfg, stored_by
from kvmlint.cfg.ops import CallOp
from kvmlint.explore.calls import Calls
from kvmlint.explore.effects import Ledger
from kvmlint.explore.state import Effect, EffectKind, State
from kvmlint.explore.values import Address, Compute, Load, Pure, Value, Var
from kvmlint.syntax.ast import Name


@dataclass(slots=True)
class Turns:
    """Loops of one function, as its exploration meets them."""

    cfg: Cfg
    ledger: Ledger
    calls: Calls
    _bodies: dict[int, frozenset[int]] = field(init=False)
    _undone: dict[int, tuple[str, ...]] = field(init=False)
    _sites: dict[int, frozenset[int]] = field(init=False)
    _stored: dict[int, frozenset[str]] = field(init=False)

    def __post_init__(self) -> None:
        self._bodies = {loop.head: loop.body for loop in self.cfg.loops}
        self._undone = {loop.head: self._undone_by(loop.body) for loop in self.cfg.loops}
        self._sites = {
            loop.head: frozenset(s for s, b in enumerate(self.ledger.blocks) if b in loop.body)
            for loop in self.cfg.loops
        }
        self._stored = {
            head: frozenset(stored_by(self.ledger.ops[site]) for site in sites) - {""}
            for head, sites in self._sites.items()
        }

    def cross(self, state: State, block: int, target: int) -> None:
        """An edge is passed: it may enter loops, and leave some."""
        for head, body in self._bodies.items():
            if block in body:
                if target not in body and not state.events:
                    self._leave(state, head)
            elif target == head:
                self._credit(state, head)

    def _undone_by(self, body: frozenset[int]) -> tuple[str, ...]:
        """Families that calls in a loop's body undo: entering the loop unwinds what earlier turns
        of another loop made, also when it turns zero times."""
        families: set[str] = set()
        for block in body:
            for op in self.cfg.ops[block]:
                if isinstance(op, CallOp) and isinstance(op.func, Name):
                    families |= self.calls.undone_families(op)
        return tuple(sorted(families))

    def _credit(self, state: State, head: int) -> None:
        families = self._undone[head]
        if not families:
            return
        gone: list[Effect] = []
        for effect in state.effects:
            if effect.building and effect.family in families:
                around = self.ledger.loops[effect.site] if effect.site >= 0 else frozenset()
                if head not in around and (effect.many or effect.old or around):
                    gone.append(effect)
                    self.ledger.undone.setdefault((effect.site, effect.family), set()).add(
                        self.ledger.first[head]
                    )
        state.effects = state.effects - frozenset(gone)

    def _leave(self, state: State, head: int) -> None:
        """Forget the elements of arrays that turns wrote. IMPRECISE: after a loop nothing is known
        of what is in an array that outlives the call."""
        sites, stored = self._sites[head], self._stored[head]
        gone = [
            place
            for place, value in state.env.items()
            if not isinstance(place, Var)
            and (
                value.older
                or place.older
                or not sites.isdisjoint(value.sites)
                or not sites.isdisjoint(place.sites)
                or not stored.isdisjoint(place.names)
            )
            and _is_element(place)
        ]
        for place in gone:
            del state.env[place]

    def left(self, state: State, block: int) -> tuple[frozenset[Hashable], frozenset[Effect]]:
        """What turns of loops that are over made, whichever turn's it is; and the other effects.
        Where a failure is known all effects count alone: it decides which turns are unwound."""
        left: set[Hashable] = set()
        made: set[Effect] = set()
        if not state.events:
            for e in state.effects:
                if e.building and e.kind in _KINDS and self._is_over(e, block):
                    made.add(e)
                    left.add((e.kind, e.family, e.site, e.old, e.handed, e.weak, e.via, e.followed))
        return frozenset(left), state.effects - made if made else state.effects

    def _is_over(self, effect: Effect, block: int) -> bool:
        loops = self.ledger.loops[effect.site] if effect.site >= 0 else ()
        return bool(loops) and not any(block in self._bodies[head] for head in loops)


_KINDS = frozenset(
    (
        EffectKind.MEMORY,
        EffectKind.PUBLISH,
        EffectKind.COUNT,
        EffectKind.PIN,
        EffectKind.REGISTER,
    )
)
"""Kinds of effects of which it doesn't matter how many turns made them."""


def _is_element(place: Value) -> bool:
    """Whether a place is in an element of an array that outlives the call."""
    element = False
    while True:
        match place:
            case Address(root=root):
                place = root
            case Compute(op="[]", operands=(array, _)):
                element, place = True, array
            case Load(place=held):
                place = held
            case Pure(args=args):
                return element or bool(args)  # per_cpu(x, cpu)
            case Var(local=local, name=name):
                return element and (not local or name.startswith("%"))
            case _:
                return element

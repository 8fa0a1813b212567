"""One explored path's end, as rules see it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from kvmlint.cfg.graph import stored_by
from kvmlint.cfg.ops import Op
from kvmlint.explore.effects import Ledger
from kvmlint.explore.engine import Exit
from kvmlint.explore.oracle import ExitKind
from kvmlint.explore.state import (
    KEPT,
    STALE,
    Effect,
    EffectKind,
    Event,
)
from kvmlint.explore.values import (
    Result,
    Value,
    Var,
    root_of,
)


class PathExit:
    """One way the function returned, and what stands there."""

    def __init__(self, ledger: Ledger, exit_: Exit) -> None:
        self.ledger = ledger
        self.exit = exit_
        self.state = exit_.state

    @property
    def kind(self) -> ExitKind:
        """How a caller reads the returned value."""
        return self.exit.kind

    @property
    def failure(self) -> Event | None:
        """The failed hypercall that makes this a failing exit: the last outcome, when the function
        then returns an error, the untested status, or nothing at all."""
        return self.exit.failure()

    def effects(self) -> list[Effect]:
        """What stands, in the order of the function's text."""
        return sorted(self.state.effects, key=Effect.order)

    def events(self) -> list[Event]:
        """Hypercalls and their outcomes, in the order of the function's text."""
        return sorted(self.state.events, key=Event.order)

    def named(self, event: Event) -> bool:
        """Whether it is known on this path which errno a hypercall failed with: what happens then
        was decided for that errno."""
        fact = self.state.facts.get(event.status)
        return fact is not None and fact.equal is not None

    def made(self, after: Event | None = None) -> list[Effect]:
        """Building effects that are this function's duty; with ``after``, those that had been
        made when that hypercall failed."""
        return [
            effect
            for effect in self.effects()
            if effect.building
            and effect.handed in ("", KEPT)
            and (after is None or (after.site, True) in effect.followed)
        ]

    def destroyed(self, before: Event) -> list[Effect]:
        """Destroying effects that happened before that hypercall failed."""
        return [
            effect
            for effect in self.effects()
            if effect.is_gone and (before.site, True) in effect.followed
        ]

    def dangling(self, before: Event) -> list[Effect]:
        """What this function or a service let go of before that hypercall failed, and a long-lived
        field still names."""
        return [
            effect
            for effect in self.effects()
            if not effect.building
            and effect.kind in (EffectKind.MEMORY, EffectKind.COUNT)
            and (effect.handed == STALE or not effect.via)
            and (before.site, True) in effect.followed
            and self.still_named(effect)
        ]

    def released(self, after: Event) -> list[Effect]:
        """Destroying effects that happened after that hypercall failed, those on this path's own
        resources included."""
        return [
            effect
            for effect in (*self.effects(), *sorted(self.state.released, key=Effect.order))
            if effect.is_gone
            and (after.site, True) not in effect.followed
            and effect.site != after.site
            and self.comes_after(effect.site, after.site)
        ]

    def loses_record(self, event: Event) -> bool:
        """Whether the record of what a failed reclaiming call still holds is gone, here or in the
        callee that made the call: then nobody can try again."""
        return any(
            effect.is_gone and effect.via == event.via
            for effect in self.state.effects
            if not event.via or effect.site == event.site
        )

    def comes_after(self, site: int, other: int) -> bool:
        """Whether the path passes an operation after another one."""
        ledger = self.ledger
        trail = self.exit.trail
        block, before = ledger.blocks[site], ledger.blocks[other]
        if block == before:
            return site > other
        last = len(trail) - 1 - trail[::-1].index(block) if block in trail else -1
        return before in trail and trail.index(before) < last

    def handed_over(self, effect: Effect) -> bool:
        """Whether a fresh resource stands somewhere that outlives the function: stored, returned,
        or taken by a record that was published."""
        resource = effect.resource
        value = self.exit.value
        if value is not None and root_of(value) is resource:
            return True
        for place, held in self.state.env.items():
            if root_of(held) is resource:
                root = root_of(place)
                local = isinstance(root, Var) and root.local
                if not local and root is not resource and self.lives(root):
                    return True
        return any(
            other.building
            and other.kind is EffectKind.PUBLISH
            and root_of(other.record or other.resource) is resource
            for other in self.state.effects
        )

    def lives(self, value: Value) -> bool:
        """Whether the object that a value is or points into still exists: memory made on this path
        may have been freed again."""
        holder = root_of(value)
        if not (isinstance(holder, Result) and holder.role == "fresh"):
            return True
        return any(effect.resource is holder for effect in self.state.effects)

    def still_named(self, effect: Effect) -> bool:
        """Whether the long-lived field from which a destroyed object was read still names it."""
        place = effect.named_at
        if place is None:
            return False
        root = root_of(place)
        if any(not other.building and other.resource is root for other in self.state.effects):
            return False  # the object that holds the field is gone too
        # What it was given may be forgotten since: whoever got the object may have written to it.
        given = f".{place.fields[-1]}" in map(stored_by, self.operations())
        return not given and place not in self.state.env

    def operations(self) -> Iterator[Op]:
        """The operations of the blocks that the path passes."""
        return chain.from_iterable(self.ledger.cfg.ops[block] for block in self.exit.trail)

    def length(self) -> int:
        """Number of basic blocks on the path: shorter ones explain better."""
        return len(self.exit.trail)

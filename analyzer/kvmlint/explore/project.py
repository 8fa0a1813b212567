"""What a state still needs at a block's entry: the projection that keeps exploration small."""

from __future__ import annotations

from kvmlint.cfg.graph import Cfg
from kvmlint.explore.effects import Ledger
from kvmlint.explore.state import MARK_CONTAINED, MARK_PASSED, MARK_WARNED, RETURNED, Effect, State
from kvmlint.explore.values import (
    Address,
    Compute,
    Load,
    Pool,
    Pure,
    Result,
    Value,
    Var,
    mentions,
    number_of,
    root_of,
)


def _is_function(place: Address, value: Load) -> bool:
    """Whether a field of a local structure holds a global's value: a callback."""
    root = root_of(place)
    return (
        isinstance(root, Var)
        and root.local
        and isinstance(value.place, Var)
        and not value.place.local
    )


_OF_FAILURES = frozenset((MARK_WARNED, MARK_CONTAINED, MARK_PASSED))
"""Marks that say what became of a failure that is still known."""


class Projector:
    """Drops what no later operation of the function can read. ``eventful`` tells for each block
    whether a hypercall's outcome may still come; ``modes`` are predicates that entry points ask."""

    def __init__(
        self,
        cfg: Cfg,
        pool: Pool,
        ledger: Ledger,
        eventful: tuple[bool, ...],
        modes: frozenset[str],
    ) -> None:
        self.cfg = cfg
        self.pool = pool
        self.ledger = ledger
        self.eventful = eventful
        self.modes = modes

    def project(self, state: State, block: int) -> None:
        """Drop what no later operation can read."""
        live = self.cfg.live_in[block]
        later = self.cfg.read_later[block]
        escaping = self.cfg.escaping
        if not self.eventful[block] and not state.events:
            # Destroyed state can't come before a failure any more, nor after one.
            gone = frozenset(e for e in state.effects if not e.building and e.handed != RETURNED)
            for effect in sorted(gone, key=Effect.order):
                self.ledger.destroyed.setdefault(
                    (effect.family, effect.resource, effect.operands), effect
                )
            state.effects = state.effects - gone
        env: dict[Value, Value] = {}
        freed = {e.resource for e in state.effects if not e.building}
        freed |= {value for value in state.env.values() if isinstance(value, Load)}
        sites: set[int] = set()
        for place, value in state.env.items():
            if isinstance(place, Var) and place.local:
                keep = place.name in live or place.name in escaping
            elif block == self.cfg.exit or isinstance(place, Pure):
                keep = True  # what a caller may see; cpu_reg(ctxt, 1) = x
            elif freed and self.pool.load(place) in freed:
                keep = True  # old = p->buf; p->buf = NULL; kfree(old)
            elif isinstance(value, Result) and value.role != "unknown":
                keep = True
            elif (
                isinstance(place, Address)
                and isinstance(value, Load)
                and _is_function(place, value)
            ):
                keep = True  # struct walker w = { .cb = f }
            elif isinstance(place, Address):
                keep = "." + place.fields[-1] in later
            else:
                keep = not place.names or bool(place.names & later)
            if keep:
                env[place] = value
                sites |= value.sites
        if state.unread:
            state.lose(list(env.values()))
        state.env = env
        if block != self.cfg.exit:
            self._forget_events(state)
        statuses = {event.status for event in state.events}
        held = frozenset(env.values())
        older = [value for value in env.values() if value.older]
        state.facts = {
            subject: fact
            for subject, fact in state.facts.items()
            if subject in statuses
            or (
                any(mentions(value, subject) for value in older)
                if subject.older
                else self._readable(subject, later, sites, live, held)
            )
            or (isinstance(subject, Compute) and self._held(subject, held))
        }

    def _forget_events(self, state: State) -> None:
        """Failures that nobody can hand on any more, and that nothing hangs on."""
        if state.events:
            held = list(state.env.values())
            needed = {
                site for effect in state.effects for site, failed in effect.followed if failed
            }
            state.events = frozenset(
                event
                for event in state.events
                if event == state.last
                or event.reclaims
                or event.site in needed
                or any(mentions(value, event.status) for value in held)
            )
        if state.marks:
            sites = {event.site for event in state.events}
            state.marks = frozenset(
                m for m in state.marks if m.name not in _OF_FAILURES or m.site in sites
            )

    @staticmethod
    def _held(subject: Compute, held: frozenset[Value]) -> bool:
        """Whether locals hold all that a comparison compares."""
        return all(number_of(part) is not None or part in held for part in subject.operands)

    def _readable(
        self,
        subject: Value,
        later: frozenset[str],
        sites: set[int],
        live: frozenset[str],
        held: frozenset[Value],
    ) -> bool:
        if isinstance(subject, Result):
            return subject.site in sites
        if isinstance(subject, Pure) and not subject.args:
            return subject.function in later or subject.function in self.modes
        if subject.sites and not subject.sites <= sites:
            return False
        if isinstance(subject, Load) and isinstance(subject.place, Var) and subject.place.local:
            return subject.place.name in live or subject in held
        match subject:
            case Load(place=Address(root=root, fields=fields)) if root in held:
                return "." + fields[-1] in later  # read again through a local that holds the root
            case _:
                return subject.names <= later

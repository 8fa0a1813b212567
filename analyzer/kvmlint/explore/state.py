"""What is kept along a path: values, facts, effects, hypercall outcomes and marks."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple, TypeAlias

from kvmlint.explore.facts import Fact
from kvmlint.explore.values import (
    Address,
    Load,
    Pool,
    Result,
    Value,
    Var,
    mentions,
    root_of,
)

STALE, RETURNED, KEPT = "stale", "returned", "kept"
"""Why an effect is nobody's duty: see Effect.handed."""


class EffectKind(Enum):
    """The kinds of host state that rules talk about. The first six are those of the tables."""

    MEMORY = "memory"
    PUBLISH = "publish"
    COUNT = "count"
    PIN = "pin"
    LOCK = "lock"
    REGISTER = "register"
    ACQUIRE = "acquire"  # an acquiring hypercall succeeded (building) / was undone (destroying)
    STORE = "store"  # a plain store to a long-lived field
    PAIR = "pair"  # a call that looks like one half of a name pair

    __hash__ = object.__hash__  # Enum's own is slow, and effects are hashed all the time

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, EffectKind):
            return NotImplemented
        return self.value < other.value


class Effect(NamedTuple):
    """A change of host state that stands. ``building`` is False for destroying ones. ``site`` is
    the operation that made it; ``old`` an earlier turn's, ``many`` several turns'. ``followed``
    are (site, failed) of the hypercalls after it. ``handed`` is '' or why it is nobody's duty any
    more: 'el2' (memory donated), 'unseen' (given to a callee without known body); 'stale' is what
    a service let go of while a field of its caller's object still names it, 'returned' what EL2
    was given back that this path had not acquired: acquiring it anew restores it; 'kept' what an
    object has from its first use on, whoever asked for it first (once.py). ``via`` is the
    callee that made it. ``operands`` of an acquiring hypercall are its arguments and result."""

    kind: EffectKind
    family: str
    building: bool
    resource: Value
    container: Value | None
    record: Value | None
    operands: tuple[Value, ...]
    site: int
    old: bool
    many: bool
    followed: frozenset[tuple[int, bool]]
    handed: str
    via: str
    weak: bool

    @property
    def is_gone(self) -> bool:
        """Whether it is host state that is there no more, and somebody's duty."""
        return not self.building and self.handed not in (STALE, RETURNED)

    @property
    def named_at(self) -> Address | None:
        """The long-lived field from which the resource was read; None when it is no such thing."""
        if not isinstance(self.resource, Load) or not isinstance(self.resource.place, Address):
            return None
        root = root_of(self.resource.place)
        lasts = isinstance(root, Load) or (isinstance(root, Var) and not root.local)
        return self.resource.place if lasts else None

    def order(self) -> tuple[object, ...]:
        """Structural order, total: no two effects share it, so that no answer hangs on the order in
        which a set is walked."""
        return (
            self.site,
            self.old,
            self.family,
            self.resource.key,
            self.building,
            self.kind.value,
            self.container.key if self.container is not None else "",
            self.record.key if self.record is not None else "",
            tuple(operand.key for operand in self.operands),
            self.many,
            sorted(self.followed),
            self.handed,
            self.via,
            self.weak,
        )


class Event(NamedTuple):
    """A hypercall (or a callee that made some) and its outcome. ``reclaims`` names the family it
    undoes, ``acquires`` the family it acquires, '' otherwise. ``status`` is the value returned."""

    site: int
    old: bool
    failed: bool
    hypercalls: tuple[str, ...]
    reclaims: str
    acquires: str
    args: tuple[Value, ...]
    status: Value
    via: str

    def order(self) -> tuple[object, ...]:
        """Structural order, total."""
        keys = tuple(arg.key for arg in self.args)
        made = (self.hypercalls, self.reclaims, self.acquires, self.via)
        return (self.site, self.old, self.failed, self.status.key, keys, made)


def is_swallowed(event: Event) -> bool:
    """Whether a callee met the failure and doesn't hand it on: it is the callee's."""
    status = event.status
    return bool(event.via) and not (isinstance(status, Result) and status.role == "status")


class Mark(NamedTuple):
    """Something that happened and that a rule must know of later: ``name`` is one of the MARK_*
    constants, ``site`` where, ``about`` the hypercall, ``detail`` free text."""

    name: str
    site: int
    about: str
    detail: str


MARK_DROPPED = "dropped"  # status never stored (detail: 'bare' or 'void')
MARK_UNREAD = "unread"  # status stored, then lost without having been read
MARK_MISTESTED = "mistested"  # failure first tested as the contract forbids (agree.py)
MARK_WARNED = "warned"  # failure tested by a WARN
MARK_CONTAINED = "contained"  # failure made the object dead (KVM_BUG_ON)
MARK_PASSED = "passed"  # failure handed on through a call, a pointer or a field
MARK_NARROWED = "narrowed"  # converted to bool, unsigned, …
MARK_SWALLOWED = "swallowed"  # a callee lost it

Frozen: TypeAlias = tuple[object, ...]


class State:
    """One path's knowledge, mutable while a block is walked, frozen to a tuple at block entry.

    ``unread`` are statuses of failures that nobody has looked at; ``released`` what this path made
    and undid again after a reclaiming hypercall had failed; ``undecoded`` are failed statuses of
    kind mixed (data or errno) that no test has told apart yet; ``given`` is memory of the caller's
    that a successful hypercall took."""

    __slots__ = (
        "effects",
        "env",
        "events",
        "facts",
        "given",
        "last",
        "marks",
        "released",
        "undecoded",
        "unread",
    )

    def __init__(self) -> None:
        self.env: dict[Value, Value] = {}
        self.facts: dict[Value, Fact] = {}
        self.effects: frozenset[Effect] = frozenset()
        self.events: frozenset[Event] = frozenset()
        self.last: Event | None = None
        self.marks: frozenset[Mark] = frozenset()
        self.unread: frozenset[Value] = frozenset()
        self.released: frozenset[Effect] = frozenset()
        self.undecoded: frozenset[Value] = frozenset()
        self.given: frozenset[Value] = frozenset()

    def copy(self) -> State:
        """An independent copy."""
        other = State.__new__(State)
        other.env = dict(self.env)
        other.facts = dict(self.facts)
        other.effects = self.effects
        other.events = self.events
        other.last = self.last
        other.marks = self.marks
        other.unread = self.unread
        other.released = self.released
        other.undecoded = self.undecoded
        other.given = self.given
        return other

    def freeze(self) -> Frozen:
        """A hashable image of all but the effects: equal images and effects, equal states."""
        return (
            frozenset(self.env.items()),
            frozenset(self.facts.items()),
            self.events,
            self.last,
            self.marks,
            self.unread,
            self.released,
            self.undecoded,
            self.given,
        )

    def read(self, value: Value) -> None:
        """Somebody looks at a value: statuses in it are no longer unread."""
        if self.unread:
            self.unread = frozenset(s for s in self.unread if not mentions(value, s))

    def tested(self, value: Value) -> None:
        """A branch depends on a value: it has been told apart from data."""
        self.read(value)
        if self.undecoded:
            self.undecoded = frozenset(s for s in self.undecoded if not mentions(value, s))

    def failed_in(self, value: Value) -> list[Event]:
        """The failed hypercalls whose status a value carries, in the order of the text."""
        return [
            event for event in sorted(self.events, key=Event.order) if mentions(value, event.status)
        ]

    def lose(self, held: list[Value]) -> None:
        """Statuses that nobody has read and nobody holds any more are lost, unless an earlier
        failure is kept on purpose."""
        for status in sorted(self.unread, key=lambda v: v.key):
            if any(mentions(value, status) for value in held):
                continue
            self.unread = self.unread - {status}
            kept = any(
                event.failed
                and event.status is not status
                and any(mentions(value, event.status) for value in held)
                for event in self.events
            )
            for event in self.events:
                if event.status is status and not kept:
                    self.mark(MARK_UNREAD, event.site, event.hypercalls[0], event.via)

    def mark(self, name: str, site: int, about: str, detail: str = "") -> None:
        """Remember something for the rules."""
        self.marks = self.marks | {Mark(name, site, about, detail)}

    def add_event(self, event: Event) -> None:
        """A hypercall happened: effects that stand now came before it. Failures are remembered;
        what a success means for the rules is in the effects."""
        key = (event.site, event.failed)
        self.effects = frozenset(
            effect
            if key in effect.followed
            or (effect.building and not event.failed)
            or effect.handed == RETURNED
            else effect._replace(followed=effect.followed | {key})
            for effect in self.effects
        )
        if event.failed:
            self.events = self.events | {event}

    def age(self, pool: Pool, site: int) -> None:
        """``site`` runs again: what it produced before becomes the one older copy."""
        for place, value in list(self.env.items()):
            if site in value.sites or site in place.sites:
                del self.env[place]
                self.env[pool.aged(place, site)] = pool.aged(value, site)
        for subject, fact in list(self.facts.items()):
            if site in subject.sites:
                del self.facts[subject]
                older = pool.aged(subject, site)
                if older not in self.facts:
                    self.facts[older] = fact
                elif self.facts[older] != fact:
                    del self.facts[older]
        if any(e.site == site or site in e.resource.sites for e in self.effects) or any(
            site in v.sites for e in self.effects for v in e.operands
        ):
            self.effects = self._aged_effects(pool, site)
        if any(e.site == site or any(site in a.sites for a in e.args) for e in self.events):
            self.events = frozenset(_aged_event(pool, e, site) for e in self.events)
        if self.last is not None:
            self.last = _aged_event(pool, self.last, site)
        if any(site in v.sites for v in self.undecoded):
            self.undecoded = frozenset(pool.aged(v, site) for v in self.undecoded)
        if any(site in v.sites for v in self.unread):
            self.unread = frozenset(pool.aged(v, site) for v in self.unread)

    def _aged_effects(self, pool: Pool, site: int) -> frozenset[Effect]:
        aged: dict[tuple[object, ...], Effect] = {}
        for effect in sorted(self.effects, key=Effect.order):
            new = effect._replace(
                resource=pool.aged(effect.resource, site),
                container=effect.container and pool.aged(effect.container, site),
                record=effect.record and pool.aged(effect.record, site),
                operands=tuple(pool.aged(v, site) for v in effect.operands),
                old=effect.old or effect.site == site,
            )
            resource = None if new.old else new.resource  # earlier turns are one
            slot = (new.kind, new.family, new.building, resource, new.site, new.old, new.handed)
            twin = aged.get(slot)
            if twin is not None:
                new = twin._replace(many=True, followed=new.followed | twin.followed)
            aged[slot] = new
        return frozenset(aged.values())


def _aged_event(pool: Pool, event: Event, site: int) -> Event:
    if event.site != site and not any(site in a.sites for a in event.args):
        return event
    # What an earlier turn's call was about is forgotten where it varies: one event then stands for
    # all earlier turns.
    varies = any(site in a.sites for a in event.args)
    return event._replace(
        old=event.old or event.site == site,
        args=() if varies else event.args,
        status=pool.aged(event.status, site),
    )

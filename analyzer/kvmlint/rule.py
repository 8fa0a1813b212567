"""What a rule is and what it may ask: the one file that a rule author must read.

A rule is a class with a few constants and one method, ``paths``, which is given every path of one
function and yields findings. It sees effects (host state that was made or destroyed), events
(hypercalls and their outcomes) and marks (things that happened on the way); never C.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from kvmlint.cfg.graph import mentioned
from kvmlint.diagnostic import Note, Precision, RuleInfo, Severity
from kvmlint.explore.engine import Exit, Exploration
from kvmlint.explore.oracle import ExitKind, HypercallContract, Oracle, ReturnKind
from kvmlint.explore.state import (
    MARK_CONTAINED,
    MARK_DROPPED,
    MARK_NARROWED,
    MARK_PASSED,
    MARK_UNREAD,
    MARK_WARNED,
    Effect,
    EffectKind,
    Event,
    Mark,
    is_swallowed,
)
from kvmlint.explore.values import (
    Address,
    Load,
    Result,
    Value,
    Var,
    base_object,
    mentions,
    number_of,
    root_of,
)
from kvmlint.narrate import Narrator
from kvmlint.program import Caller

__all__ = [
    "MARK_CONTAINED",
    "MARK_DROPPED",
    "MARK_NARROWED",
    "MARK_PASSED",
    "MARK_UNREAD",
    "MARK_WARNED",
    "Effect",
    "EffectKind",
    "Event",
    "ExitKind",
    "Finding",
    "FunctionPaths",
    "Mark",
    "Note",
    "PathExit",
    "Precision",
    "ReturnKind",
    "Rule",
    "RuleClass",
    "Severity",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule found. ``site`` is the operation reported, ``origin`` the operation whose failure
    is the cause, ``root`` names the object concerned: findings of one function, origin and root are
    one defect. ``steps`` is the path in order, ``related`` are places elsewhere that suffer.
    ``cause`` is the callee where the defect is rooted: when it is reported itself, this isn't."""

    rule: str
    severity: Severity
    precision: Precision
    function: str
    hypercall: str
    site: int
    origin: int
    root: str
    message: str
    steps: tuple[Note, ...] = ()
    standing: tuple[str, ...] = ()
    undo: tuple[str, ...] = ()
    consequence: str = ""
    related: tuple[Note, ...] = ()
    cause: str = ""


class PathExit:
    """One way the function returned, and what stands there."""

    def __init__(self, paths: FunctionPaths, exit_: Exit) -> None:
        self.paths = paths
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
            and effect.handed == ""
            and (after is None or (after.site, True) in effect.followed)
        ]

    def destroyed(self, before: Event) -> list[Effect]:
        """Destroying effects that happened before that hypercall failed."""
        return [
            effect
            for effect in self.effects()
            if not effect.building and (before.site, True) in effect.followed
        ]

    def released(self, after: Event) -> list[Effect]:
        """Destroying effects that happened after that hypercall failed, those on this path's own
        resources included."""
        return [
            effect
            for effect in (*self.effects(), *sorted(self.state.released, key=Effect.order))
            if not effect.building
            and (after.site, True) not in effect.followed
            and effect.site != after.site
            and self.comes_after(effect.site, after.site)
        ]

    def comes_after(self, site: int, other: int) -> bool:
        """Whether the path passes an operation after another one."""
        ledger = self.paths.found.ledger
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
                if not local and root is not resource and self._lives(root):
                    return True
        return any(
            other.building
            and other.kind is EffectKind.PUBLISH
            and root_of(other.record or other.resource) is resource
            for other in self.state.effects
        )

    def _lives(self, holder: Value) -> bool:
        """Whether an object still exists: memory made on this path may have been freed again."""
        if not (isinstance(holder, Result) and holder.role == "fresh"):
            return True
        return any(effect.resource is holder for effect in self.state.effects)

    def still_named(self, effect: Effect) -> bool:
        """Whether the long-lived field from which a destroyed object was read still names it."""
        resource = effect.resource
        if not isinstance(resource, Load):
            return False
        root = root_of(resource.place)
        lasts = isinstance(root, Load) or (isinstance(root, Var) and not root.local)
        if not lasts or not isinstance(resource.place, Address):
            return False
        if any(not other.building and other.resource is root for other in self.state.effects):
            return False  # the object that holds the field is gone too
        return resource.place not in self.state.env

    def length(self) -> int:
        """Number of basic blocks on the path: shorter ones explain better."""
        return len(self.exit.trail)


class FunctionPaths:
    """Every path of one function."""

    def __init__(
        self,
        found: Exploration,
        oracle: Oracle,
        narrator: Narrator,
        callers: Callable[[], Sequence[Caller]] = tuple,
    ) -> None:
        self.callers = callers
        self.found = found
        self.oracle = oracle
        self.narrator = narrator
        self.name = found.cfg.function.name
        self.returns = found.cfg.function.returns
        self.exits = tuple(
            PathExit(self, exit_)
            for exit_ in sorted(found.exits, key=lambda e: (len(e.trail), e.trail, e.site))
        )

    def contract(self, event: Event) -> HypercallContract:
        """EL2's contract of the hypercall that an event is about."""
        return self.oracle.hypercall(event.hypercalls[0])

    def calls_function(self, site: int) -> bool:
        """Whether an operation calls a function of this program, not an entry point."""
        name = self.found.ledger.callee(site)
        return bool(name) and self.oracle.entry(name) is None

    def hypercalls(self, effect: Effect) -> tuple[str, ...]:
        """The hypercalls behind the operation that acquired something; never empty."""
        names = self.found.ledger.hypercalls.get(effect.site, ())
        return names or (effect.family.partition(":")[2],)

    def undone_elsewhere(self, effect: Effect) -> bool:
        """Whether some path of this function undoes that very effect."""
        return bool(self.found.ledger.undone.get((effect.site, effect.family)))

    def decoded_by_callers(self) -> Note | None:
        """Where a caller uses as data what this function returns untested and may be an errno."""
        for caller in self.callers():
            found = caller.found
            for exit_ in found.exits:
                for mark in sorted(exit_.state.marks):
                    how, _, site = mark.detail.partition(":")
                    if mark.name != MARK_NARROWED or how != "data":
                        continue
                    if found.ledger.callee(mark.site) == self.name:
                        narrator = Narrator(caller.file, found.ledger, self.narrator.knowledge)
                        name = found.cfg.function.name
                        return narrator.note(int(site), f"{name}() takes it for data")
        return None

    def owes(self, effect: Effect) -> bool:
        """Whether this function must give back what was acquired: directly, through a function of
        its file, or through a service whose inverse can be seen. What another service acquired
        for an object that the caller keeps is a completed step."""
        if not effect.via or self.undone_elsewhere(effect):
            return True
        if effect.weak:
            return False
        return self.oracle.has_inverse(effect.via)

    def undone_by_callers(self, effect: Effect) -> bool:
        """Whether this is a static function and every caller that can be seen undoes, somewhere,
        what this function acquired on its failing path."""
        if not self.found.cfg.function.static:
            return False
        callers = self.callers()
        return bool(callers) and all(
            any(
                family == effect.family and caller.found.ledger.callee(site) == self.name
                for site, family in caller.found.ledger.undone
            )
            for caller in callers
        )

    def released_by_callers(self, event: Event) -> tuple[Note, ...]:
        """Where callers free, after this function met a failure that it can't tell them, what the
        hypercall may still hold."""
        notes: dict[Note, None] = {}
        for caller in self.callers():
            view = FunctionPaths(
                caller.found,
                self.oracle,
                Narrator(caller.file, caller.found.ledger, self.narrator.knowledge),
            )
            for exit_ in view.exits:
                for failure in exit_.events():
                    if failure.via != self.name or event.hypercalls[0] not in failure.hypercalls:
                        continue
                    for effect in exit_.released(failure):
                        if effect.kind in _RELEASED and self.is_held_by(effect, failure):
                            what = view.narrator.happened(effect)
                            notes[view.narrator.note(effect.site, f"{what} in {view.name}()")] = (
                                None
                            )
        return tuple(notes)

    def evidence(self, effect: Effect) -> Precision:
        """How sure it is that this effect should have been undone."""
        if self.undone_elsewhere(effect):
            return Precision.HIGH
        if effect.weak or effect.kind is EffectKind.PAIR:
            return Precision.LOW
        if effect.kind is EffectKind.ACQUIRE or self.is_fresh(effect.record or effect.resource):
            return Precision.HIGH
        return Precision.MEDIUM

    @staticmethod
    def is_fresh(value: Value) -> bool:
        """Whether an object was made on this path."""
        root = root_of(value)
        return isinstance(root, Result) and root.role == "fresh"

    @staticmethod
    def is_held_by(effect: Effect, event: Event) -> bool:
        """Whether EL2 may hold what an effect released: it is an argument of the hypercall, holds
        or was looked up by one, or hangs off the structure whose handle is the only one."""
        resource = effect.record or effect.resource
        root = root_of(resource)
        args = [arg for arg in event.args if number_of(arg) is None]
        if any(mentions(arg, root) for arg in args):
            return True
        looked_up = isinstance(root, Result) and not effect.via
        if looked_up and any(mentions(root, arg) for arg in args):
            return True
        if len(args) != 1:
            return False  # a handle and a page: it is about the page
        a, b = _place(args[0]), _place(resource)
        return (
            a is not None
            and b is not None
            and a.fields[-1].rpartition("_")[2] in ("handle", "id")
            and root_of(a) is root_of(b)
            and a.fields[:-1] == b.fields[: len(a.fields) - 1]
        )

    @staticmethod
    def forgets(effect: Effect, event: Event) -> bool:
        """Whether a store after a hypercall clears the field that was its argument."""
        return (
            effect.kind is EffectKind.STORE
            and effect.record is not None
            and number_of(effect.record) == 0
            and (event.site, True) not in effect.followed
            and any(isinstance(arg, Load) and arg.place is effect.resource for arg in event.args)
        )

    @staticmethod
    def swallowed_inside(event: Event) -> bool:
        """Whether a callee met the failure and doesn't hand it to this function."""
        return is_swallowed(event)

    def holds_errors(self, effect: Effect) -> bool:
        """Whether a place is where errors are kept, or what an out-parameter points to."""
        place = effect.resource
        if not isinstance(place, Address):
            return not isinstance(place, Var)
        return not {"err", "error", "ret", "rc", "status", "result"}.isdisjoint(
            place.fields[-1].lower().split("_")
        )

    @staticmethod
    def says_done(effect: Effect) -> bool:
        """Whether a store sets something, as opposed to clearing it."""
        return effect.record is not None and (
            number_of(effect.record) not in (0, None) or _constant(effect.record) != ""
        )

    @staticmethod
    def stores_constant(effect: Effect) -> bool:
        """Whether a store is of an enumeration constant, which says anything."""
        return _constant(effect.record) != ""

    def also_on_success(self, effect: Effect, failure: Event) -> bool:
        """Whether a path on which that hypercall succeeded stores or publishes the same: what
        happens after a failure only is how the function remembers the failure."""
        blocks = self.found.ledger.blocks
        for exit_ in self.exits:
            trail = exit_.exit.trail
            if blocks[failure.site] not in trail or any(
                event.site == failure.site for event in exit_.state.events
            ):
                continue
            if blocks[effect.site] in trail:
                return True
            if effect.kind is not EffectKind.STORE:
                if any(_alike(effect, other) for other in exit_.state.effects):
                    return True
            elif exit_.state.env.get(effect.resource) is effect.record:
                return True
        return False

    def is_tested(self, effect: Effect) -> bool:
        """Whether this function also tests the place that an effect stores to; for an enumeration
        constant, against that constant."""
        place = effect.resource
        constant = _constant(effect.record)
        name = "." + place.fields[-1] if isinstance(place, Address) else ""
        if isinstance(place, Var):
            name = place.name
        cfg = self.found.cfg
        return any(
            {name, constant or name} <= mentioned(test.expr)
            for edges in cfg.edges
            for edge in edges
            for test in edge.tests
        )

    @staticmethod
    def root(effect: Effect) -> Value:
        """The object that an effect is about."""
        return root_of(effect.record or effect.resource)

    @staticmethod
    def base(effect: Effect) -> Value:
        """The outermost object that an effect hangs off."""
        return base_object(effect.record or effect.resource)

    @staticmethod
    def is_about(effect: Effect, event: Event) -> bool:
        """Whether an object supplies, or was looked up by, an argument of a hypercall, or is it."""
        root = root_of(effect.record or effect.resource)
        for arg in event.args:
            if number_of(arg) is not None:
                continue
            if mentions(arg, root):
                return True
            if not effect.via and isinstance(root, Result) and mentions(root, arg):
                return True
        return False


def _constant(value: Value | None) -> str:
    """The name of an enumeration constant or a macro, by its spelling; '' for other values."""
    if isinstance(value, Load) and isinstance(value.place, Var) and not value.place.local:
        return value.place.name if value.place.name.isupper() else ""
    return ""


def _alike(one: Effect, other: Effect) -> bool:
    """Whether two effects put the same thing into the same place."""
    return (one.building, one.family, one.resource, one.container) == (
        other.building, other.family, other.resource, other.container,
    )  # fmt: skip


_RELEASED = (EffectKind.MEMORY, EffectKind.PIN, EffectKind.COUNT)


def _place(value: Value) -> Address | None:
    """The field that a value was read from, or is the address of."""
    if isinstance(value, Load):
        value = value.place
    return value if isinstance(value, Address) else None


class Rule(ABC):
    """One kind of defect. The docstring's sections 'Why it is a bug', 'Example' and 'Known limits'
    are the rule's documentation. ``id`` names the offence, so that 'allow <id>' reads well."""

    id: ClassVar[str]
    summary: ClassVar[str]
    severity: ClassVar[Severity]
    precision: ClassVar[Precision]
    tags: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def paths(self, function: FunctionPaths) -> Iterator[Finding]:
        """Findings in one function."""

    @classmethod
    def info(cls) -> RuleInfo:
        """The rule as reports show it."""
        sections = _sections(inspect.getdoc(cls) or "")
        return RuleInfo(
            cls.id,
            cls.summary,
            cls.severity,
            cls.precision,
            sections.get("Why it is a bug", ""),
            sections.get("Example", ""),
            sections.get("Known limits", ""),
            cls.tags,
        )


RuleClass: TypeAlias = type[Rule]
"""What the catalogue in rules/ lists."""

HEADINGS = ("Why it is a bug", "Example", "Known limits")
"""The sections of a rule's docstring, in order."""


def _sections(doc: str) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    current: list[str] | None = None
    for line in doc.splitlines():
        heading = line.strip().rstrip(":")
        if line[:1].strip() and heading in HEADINGS:
            current = found.setdefault(heading, [])
        elif current is not None:
            current.append(line)
    return {
        heading: inspect.cleandoc("\n" + "\n".join(lines)).strip()
        for heading, lines in found.items()
    }

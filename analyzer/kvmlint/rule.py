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

from kvmlint.diagnostic import Note, Precision, RuleInfo, Severity
from kvmlint.explore.engine import Exploration
from kvmlint.explore.narrow import is_unsigned
from kvmlint.explore.oracle import ExitKind, HypercallContract, Oracle, ReturnKind
from kvmlint.explore.state import (
    KEPT,
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
)
from kvmlint.explore.values import number_of
from kvmlint.knowledge.model import Kind
from kvmlint.module import Caller
from kvmlint.narrate import Narrator
from kvmlint.pathexit import PathExit
from kvmlint.questions import Questions

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


_RELEASED = (EffectKind.MEMORY, EffectKind.PIN, EffectKind.COUNT)


class FunctionPaths(Questions):
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
            PathExit(found.ledger, exit_)
            for exit_ in sorted(found.exits, key=lambda e: (len(e.trail), e.trail, e.site))
        )

    def contract(self, event: Event) -> HypercallContract:
        """EL2's contract of the hypercall that an event is about."""
        return self.oracle.hypercall(event.hypercalls[0])

    def is_service(self, event: Event) -> bool:
        """Whether a callee that failed does work of its own, of which the hypercall is a part: it
        issues several, or answers with data or an errno."""
        if not event.via:
            return False
        summary = self.oracle.summary(event.via)
        service = summary is not None and summary.service
        return service or self.contract(event).kind is ReturnKind.MIXED

    def calls_function(self, site: int) -> bool:
        """Whether an operation calls a function of this program, not an entry point."""
        name = self.found.ledger.callee(site)
        return bool(name) and self.oracle.entry(name) is None

    def nothing_says_failure(self, exit_: PathExit) -> bool:
        """Whether a path returns 0 from a function that returns something unsigned."""
        value = exit_.exit.value
        return is_unsigned(self.returns) and value is not None and number_of(value) == 0

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
        for an object that the caller keeps is a completed step; so is what an object has once and
        for all, unless this function takes all else back when it fails."""
        if not effect.via or self.undone_elsewhere(effect):
            return True
        if effect.handed == KEPT:
            return self.unwinds()
        if effect.weak:
            return False
        return self.oracle.has_inverse(effect.via)

    def unwinds(self) -> bool:
        """Whether this function undoes something, locks aside, on failing paths alone."""
        passed: dict[ExitKind, set[int]] = {}
        for exit_ in self.exits:
            passed.setdefault(exit_.kind, set()).update(exit_.exit.trail)
        failing = passed.get(ExitKind.ERROR, set()) - passed.get(ExitKind.SUCCESS, set())
        for (_, name), sites in self.found.ledger.undone.items():
            family = self.narrator.knowledge.family(name)
            if family is not None and family.kind is Kind.LOCK:
                continue
            if any(self.found.ledger.blocks[site] in failing for site in sites):
                return True
        return False

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

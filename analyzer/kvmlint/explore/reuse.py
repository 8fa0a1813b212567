"""Explorations made before, of this version of a tree or of another one.

An exploration is made from a function's body, from the entry points that are known, and from what
the oracle answered; from nothing else. So one of the same body (of a file that was parsed once, as
it has not changed) stands where every answer is the same, whatever else was changed. The answers
are asked for again in the order in which they were given: a new exploration would ask the same
questions up to the first answer that differs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, replace
from typing import TypeAlias

from kvmlint.explore.engine import Exploration, OverBudgetError
from kvmlint.explore.oracle import HypercallContract, Oracle, Summary
from kvmlint.explore.values import Value
from kvmlint.knowledge.model import EntryPoint, World
from kvmlint.syntax.ast import Function

MOST = 4
"""Explorations kept of one function: of versions of it, and of what it calls."""

Place: TypeAlias = tuple[str, World, str, int]
"""File, world, name and variant of a function."""
Answer: TypeAlias = HypercallContract | Summary | tuple[str, bool] | None
"""What an oracle answers."""


class Asking:
    """An oracle that asks another one, each question once, and remembers the answers."""

    def __init__(self, oracle: Oracle) -> None:
        self._oracle = oracle
        self.answers: dict[tuple[str, str], Answer] = {}

    def entry(self, name: str) -> EntryPoint | None:
        """See Oracle. Not an answer to be kept: all entry points are compared."""
        return self._oracle.entry(name)

    def has_inverse(self, function: str) -> bool:
        """See Oracle. Nothing that an exploration asks."""
        return self._oracle.has_inverse(function)

    def hypercall(self, name: str) -> HypercallContract:
        """See Oracle. Where at EL2 an errno comes from is for reports only, and left out: it
        changes with every line above."""
        found = self.answers.get(("hypercall", name))
        if not isinstance(found, HypercallContract):
            found = self.answers["hypercall", name] = _bare(self._oracle.hypercall(name))
        return found

    def mode(self, name: str) -> tuple[str, bool] | None:
        """See Oracle."""
        question = ("mode", name)
        if question not in self.answers:
            self.answers[question] = self._oracle.mode(name)
        found = self.answers[question]
        return found if isinstance(found, tuple) else None

    def summary(self, function: str) -> Summary | None:
        """See Oracle."""
        return self._asked("summary", function, self._oracle.summary)

    def helper(self, function: str) -> Summary | None:
        """See Oracle."""
        return self._asked("helper", function, self._oracle.helper)

    def _asked(
        self, kind: str, function: str, ask: Callable[[str], Summary | None]
    ) -> Summary | None:
        question = (kind, function)
        if question not in self.answers:
            self.answers[question] = ask(function)
        found = self.answers[question]
        return found if isinstance(found, Summary) else None

    def again(self, answers: dict[tuple[str, str], Answer]) -> bool:
        """Whether all that was asked before has the same answers here."""
        for (kind, name), before in answers.items():
            match kind:
                case "hypercall":
                    now: Answer = self.hypercall(name)
                case "mode":
                    now = self.mode(name)
                case "helper":
                    now = self.helper(name)
                case _:
                    now = self.summary(name)
            if not same(before, now):
                return False
        return True


def _bare(contract: HypercallContract) -> HypercallContract:
    return replace(contract, errnos=()) if contract.errnos else contract


def same(one: Answer, other: Answer) -> bool:
    """Whether two answers, of two explorations, say the same."""
    if one is other:
        return True
    if isinstance(one, Summary) and isinstance(other, Summary):
        return all(a == b for a, b in zip(_forms(one), _forms(other), strict=True))
    return one == other


def _forms(summary: Summary) -> Iterator[object]:
    """What a summary says, to be compared: values of two explorations are never one object."""
    for part in fields(summary):
        yield _form(getattr(summary, part.name))


def _form(part: object) -> object:
    match part:
        case Value(key=key):
            return (type(part).__name__, key)
        case tuple():
            return tuple(_form(one) for one in part)
        case frozenset():
            return frozenset(_form(one) for one in part)
        case _:
            return part


@dataclass(frozen=True, slots=True)
class _Kept:
    function: Function
    entries: tuple[EntryPoint, ...]
    answers: dict[tuple[str, str], Answer]
    found: Exploration | OverBudgetError


@dataclass(slots=True)
class Reuse:
    """What was explored, by function."""

    _kept: dict[Place, list[_Kept]] = field(default_factory=dict)

    def find(
        self, place: Place, function: Function, entries: tuple[EntryPoint, ...], asking: Asking
    ) -> Exploration | OverBudgetError | None:
        """An exploration that stands for one of ``function`` now; None when it has to be made."""
        for kept in self._kept.get(place, ()):
            if kept.function is function and kept.entries == entries and asking.again(kept.answers):
                return kept.found
        return None

    def keep(
        self,
        place: Place,
        function: Function,
        entries: tuple[EntryPoint, ...],
        asking: Asking,
        found: Exploration | OverBudgetError,
    ) -> None:
        """Remember an exploration; the oldest one of a function is forgotten."""
        known = self._kept.setdefault(place, [])
        known.insert(0, _Kept(function, entries, asking.answers, found))
        del known[MOST:]

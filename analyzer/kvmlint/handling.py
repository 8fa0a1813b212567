"""How a function uses what a hypercall returns, read off its explored paths."""

from __future__ import annotations

from collections.abc import Iterable

from kvmlint.explore.oracle import ExitKind, HypercallContract, ReturnKind
from kvmlint.explore.sites import HypercallSite
from kvmlint.knowledge.model import Kind, Role
from kvmlint.report.ledger import Use
from kvmlint.rule import (
    MARK_DROPPED,
    MARK_PASSED,
    MARK_UNREAD,
    MARK_WARNED,
    Event,
    FunctionPaths,
    PathExit,
)

STRONGEST = (
    Use.IGNORED, Use.UNDONE, Use.PROPAGATED, Use.WARNED, Use.CHECKED, Use.PANICS, Use.DATA,
    Use.NOTHING, Use.UNKNOWN,
)  # fmt: skip
"""Of several uses on several paths, the first is the site's."""


def use_of(function: FunctionPaths, at: HypercallSite, contract: HypercallContract) -> Use:
    """What the host does with what one site returns."""
    if contract.kind is ReturnKind.NOTHING:
        return Use.NOTHING
    if not contract.fallible:
        if not at.reads:
            return Use.NOTHING
        # IMPRECISE: a status that is always 0 is not followed; somebody looks at it.
        return Use.DATA if contract.kind is ReturnKind.DATA else Use.CHECKED
    marks = {m.name for e in function.exits for m in e.state.marks if m.site == at.site}
    if MARK_DROPPED in marks:
        return Use.IGNORED
    if not at.reads and at.refusal:
        roles = {function.narrator.knowledge.role(name) for name in at.refusal}
        if Role.ASSERT in roles:
            return Use.PANICS
        return Use.WARNED if Role.WARN in roles else Use.CHECKED
    failing = [
        (exit_, event)
        for exit_ in function.exits
        for event in exit_.events()
        if event.site == at.site and event.failed
    ]
    if failing:
        return strongest(_at_exit(function, exit_, event) for exit_, event in failing)
    if at.site not in function.found.ledger.hypercalls:
        return Use.UNKNOWN  # no path leads here
    return Use.PANICS if _panics(function) else Use.CHECKED


def strongest(uses: Iterable[Use]) -> Use:
    """The use that a reader should know of."""
    return min(uses, key=STRONGEST.index, default=Use.UNKNOWN)


def _at_exit(function: FunctionPaths, exit_: PathExit, event: Event) -> Use:
    marks = {mark.name for mark in exit_.state.marks if mark.site == event.site}
    if MARK_UNREAD in marks:
        return Use.IGNORED
    value = exit_.exit.value
    told = (
        exit_.kind is ExitKind.ERROR
        or MARK_PASSED in marks
        or (value is not None and event in exit_.state.failed_in(value))
    )
    if _undoes(function, exit_, event):
        return Use.UNDONE
    if told:
        return Use.PROPAGATED
    return Use.WARNED if MARK_WARNED in marks else Use.CHECKED


def _undoes(function: FunctionPaths, exit_: PathExit, event: Event) -> bool:
    """Whether the path undoes, after the failure, what it had made before; locks don't count."""
    ledger = function.found.ledger
    return any(
        not _is_lock(function, made, family)
        and made != event.site
        and exit_.comes_after(event.site, made)
        and any(exit_.comes_after(site, event.site) for site in undone)
        for (made, family), undone in ledger.undone.items()
    )


def _is_lock(function: FunctionPaths, site: int, family: str) -> bool:
    row = function.found.ledger.rows.get((site, family))
    known = function.narrator.knowledge.family(family)
    kind = row.kind if row is not None else known.kind if known is not None else None
    return kind is Kind.LOCK


def _panics(function: FunctionPaths) -> bool:
    """Whether the function can end in a call that doesn't return; else the failure is gone because
    the call was tried again."""
    ledger = function.found.ledger
    role = function.narrator.knowledge.role
    return any(
        role(ledger.callee(site)) in (Role.ASSERT, Role.NORETURN) for site in range(len(ledger.ops))
    )

"""A failure that was seen, and then reported as success."""

from __future__ import annotations

from collections.abc import Iterator

from kvmlint.rule import (
    MARK_CONTAINED,
    MARK_DROPPED,
    MARK_NARROWED,
    MARK_PASSED,
    MARK_UNREAD,
    MARK_WARNED,
    Event,
    ExitKind,
    Finding,
    FunctionPaths,
    Note,
    PathExit,
    Precision,
    Rule,
    Severity,
)

_ANSWERED = {MARK_PASSED, MARK_CONTAINED, MARK_DROPPED, MARK_NARROWED, MARK_UNREAD}
"""The failure was handed on, or is lost at an earlier place that another rule reports."""


class SwallowedFailure(Rule):
    """The function knows that a hypercall failed and returns success all the same.

    Why it is a bug
        The caller goes on as if EL2 had done its part: it runs a guest on memory that isn't mapped,
        or frees memory that EL2 still holds. What can fail must be handled, not only logged.

    Example
        Bad:

            ret = kvm_call_hyp_nvhe(__pkvm_prot_finalize);
            if (ret)
                    pr_err("failed: %d\\n", ret);
            return 0;

        Good:

            ret = kvm_call_hyp_nvhe(__pkvm_prot_finalize);
            if (ret)
                    pr_err("failed: %d\\n", ret);
            return ret;

        Mapping one named errno to success is a decision, and silent. So is handing the failure on
        through a pointer, a field or a call, and ``KVM_BUG_ON()``.

    Known limits
        A function that returns nothing can't hand on a failure: it is noted, and reported only
        where a caller can be seen to free what may still be held.
    """

    id = "swallowed-failure"
    summary = "a known failure of a hypercall ends in a return of success"
    severity = Severity.WARNING
    precision = Precision.HIGH
    tags = ("external/cwe/cwe-390", "external/cwe/cwe-391")

    def paths(self, function: FunctionPaths) -> Iterator[Finding]:
        for exit_ in function.exits:
            last = exit_.state.last
            if last is None or not last.failed or function.swallowed_inside(last):
                continue  # a callee that returns nothing is where it is lost
            marks = {mark.name for mark in exit_.state.marks if mark.site == last.site}
            if marks & _ANSWERED:
                continue
            if exit_.kind is ExitKind.SUCCESS and function.nothing_says_failure(exit_):
                continue  # an address or a size: 0 is how it says that there is none
            if exit_.kind is ExitKind.SUCCESS and not self._mapped(exit_, last):
                # What is lost or freed after a reclaim that failed, other rules report.
                if not (last.reclaims and MARK_WARNED in marks):
                    yield self._report(function, exit_, last, self.severity)
            elif exit_.kind is ExitKind.VOID:
                lost = last.reclaims and exit_.loses_record(last)
                freed = function.released_by_callers(last) if lost else ()
                severity = self.severity if freed else Severity.NOTE
                yield self._report(function, exit_, last, severity, freed)

    @staticmethod
    def _mapped(exit_: PathExit, last: Event) -> bool:
        """One named errno taken for success, or a value that tells the caller."""
        if exit_.named(last):
            return True
        value = exit_.exit.value
        return value is not None and bool(exit_.state.failed_in(value))

    def _report(
        self,
        function: FunctionPaths,
        exit_: PathExit,
        last: Event,
        severity: Severity,
        freed: tuple[Note, ...] = (),
    ) -> Finding:
        narrator = function.narrator
        contract = function.contract(last)
        note = severity is Severity.NOTE
        how = "can't tell its caller" if note else "returns success"
        if freed:
            how = "can't tell its callers, which free what EL2 may still hold"
        return Finding(
            self.id,
            severity,
            Precision.LOW if note else Precision.MEDIUM if contract.assumed else Precision.HIGH,
            function.name,
            last.hypercalls[0],
            last.site,
            last.site,
            "",
            f"{narrator.call(last)} fails, and {function.name}() {how}",
            narrator.steps(
                exit_.exit,
                [(last.site, "fails"), (exit_.exit.site, "the caller can't tell from success")],
            ),
            consequence="the caller goes on as if EL2 had done what it was asked to do",
            related=freed,
        )

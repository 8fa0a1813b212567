"""A failure that was seen, and then reported as success."""

from __future__ import annotations

from collections.abc import Iterator

from kvmlint.rule import (
    MARK_CONTAINED,
    MARK_DROPPED,
    MARK_PASSED,
    MARK_UNREAD,
    MARK_WARNED,
    EffectKind,
    Event,
    ExitKind,
    Finding,
    FunctionPaths,
    PathExit,
    Precision,
    Rule,
    Severity,
)


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
            if marks & {MARK_PASSED, MARK_CONTAINED, MARK_DROPPED, MARK_UNREAD}:
                continue
            if exit_.kind is ExitKind.SUCCESS and not self._mapped(exit_, last):
                kept = last.reclaims and MARK_WARNED in marks and not self._lost(exit_, last)
                if not kept:
                    yield self._report(function, exit_, last, self.severity)
            elif exit_.kind is ExitKind.VOID:
                yield self._report(function, exit_, last, Severity.NOTE)

    @staticmethod
    def _mapped(exit_: PathExit, last: Event) -> bool:
        """One named errno taken for success, or a value that tells the caller."""
        fact = exit_.state.facts.get(last.status)
        if fact is not None and fact.equal is not None:
            return True
        value = exit_.exit.value
        return value is not None and bool(exit_.state.failed_in(value))

    @staticmethod
    def _lost(exit_: PathExit, last: Event) -> bool:
        """Whether the record of what could not be given back is gone."""
        return any(
            not effect.building and effect.kind in (EffectKind.MEMORY, EffectKind.PUBLISH)
            for effect in exit_.effects()
        )

    def _report(
        self, function: FunctionPaths, exit_: PathExit, last: Event, severity: Severity
    ) -> Finding:
        narrator = function.narrator
        contract = function.contract(last)
        note = severity is Severity.NOTE
        how = "can't tell its caller" if note else "returns success"
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
        )

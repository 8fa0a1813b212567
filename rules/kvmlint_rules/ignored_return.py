"""A hypercall's status that nobody looks at."""

from __future__ import annotations

from collections.abc import Iterator

from kvmlint.explore.state import MARK_DROPPED
from kvmlint.rule import Finding, FunctionPaths, Precision, Rule, Severity


class IgnoredReturn(Rule):
    """A hypercall that can fail, or a function that hands its failure on, is called for nothing.

    Why it is a bug
        What can fail must be handled; what must not fail should panic. A status that is dropped
        leaves the host believing that EL2 did what it was asked to do.

    Example
        Bad:

            static void select_vector(int slot)
            {
                    kvm_call_hyp_nvhe(__pkvm_cpu_set_vector, slot);
            }

        Good:

            static int select_vector(int slot)
            {
                    return kvm_call_hyp_nvhe(__pkvm_cpu_set_vector, slot);
            }

        ``WARN_ON(kvm_call_hyp_nvhe(…))`` and ``BUG_ON(…)`` are handling. A cast to void says that
        the author thought of it, and is a note.

    Known limits
        Without the EL2 handler (a lone file) a status is assumed and the report says so. Calls
        through function pointers are not followed.
    """

    id = "ignored-return"
    summary = "a hypercall that can fail is called and its status discarded"
    severity = Severity.WARNING
    precision = Precision.HIGH
    tags = ("external/cwe/cwe-252",)

    def paths(self, function: FunctionPaths) -> Iterator[Finding]:
        seen: set[int] = set()
        for exit_ in function.exits:
            for mark in sorted(exit_.state.marks):
                if mark.name != MARK_DROPPED or mark.site in seen:
                    continue
                seen.add(mark.site)
                how, _, callee = mark.detail.partition(":")
                contract = function.oracle.hypercall(mark.about)
                what = f"the status of {callee}()" if callee else f"the status of {mark.about}"
                through = f", which hands on the failure of {mark.about}," if callee else ""
                yield Finding(
                    self.id,
                    Severity.NOTE if how == "void" else self.severity,
                    Precision.MEDIUM if contract.assumed else Precision.HIGH,
                    function.name,
                    mark.about,
                    mark.site,
                    mark.site,
                    "",
                    f"{what}{through} is discarded"
                    + (" with a cast to void" if how == "void" else ""),
                    (function.narrator.note(mark.site, "its failure goes unnoticed"),),
                    consequence="the host goes on as if EL2 had done what it was asked to do",
                )

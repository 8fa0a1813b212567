"""A status that is stored and then lost."""

from __future__ import annotations

from collections.abc import Iterator

from kvmlint.rule import (
    MARK_UNREAD,
    Finding,
    FunctionPaths,
    Mark,
    PathExit,
    Precision,
    Rule,
    Severity,
)


class UncheckedReturn(Rule):
    """A hypercall's status is stored, and on some path nobody reads it before it is gone.

    Why it is a bug
        The code looks as if the failure were handled. A variable that the next call overwrites, or
        that only the last turn of a loop leaves behind, hides every failure before.

    Example
        Bad:

            for (i = 0; i < n; i++)
                    ret = kvm_call_hyp_nvhe(__pkvm_host_unshare_hyp, pfn + i, 1);
            return ret;

        Good:

            for (i = 0; i < n; i++) {
                    err = kvm_call_hyp_nvhe(__pkvm_host_unshare_hyp, pfn + i, 1);
                    if (err && !ret)
                            ret = err;
            }
            return ret;

    Known limits
        A status that is passed to any function counts as read. Where an earlier failure is still
        held when a later one is lost, that is taken to be on purpose.
    """

    id = "unchecked-return"
    summary = "a hypercall's status is stored, then overwritten or dropped without a look"
    severity = Severity.WARNING
    precision = Precision.HIGH
    tags = ("external/cwe/cwe-252", "external/cwe/cwe-563")

    def paths(self, function: FunctionPaths) -> Iterator[Finding]:
        seen: set[int] = set()
        for exit_ in function.exits:
            for mark in sorted(exit_.state.marks):
                if mark.name != MARK_UNREAD or mark.site in seen or self._other(exit_, mark):
                    continue
                seen.add(mark.site)
                contract = function.oracle.hypercall(mark.about)
                what = f"{mark.detail}()" if mark.detail else mark.about
                yield Finding(
                    self.id,
                    self.severity,
                    Precision.MEDIUM if contract.assumed else Precision.HIGH,
                    function.name,
                    mark.about,
                    mark.site,
                    mark.site,
                    "",
                    f"the status of {what} is stored but on some path never read",
                    function.narrator.steps(
                        exit_.exit,
                        [
                            (mark.site, "fails, and the status is stored"),
                            (exit_.exit.site, "nobody has read it by here"),
                        ],
                    ),
                    consequence="a failure is indistinguishable from success",
                )

    @staticmethod
    def _other(exit_: PathExit, mark: Mark) -> bool:
        """Whether it is another failure that this exit returns: the first one counts."""
        value = exit_.exit.value
        if value is None:
            return False
        return any(event.site != mark.site for event in exit_.state.failed_in(value))

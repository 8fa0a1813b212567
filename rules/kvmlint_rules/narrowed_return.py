"""An errno squeezed into a type that can't hold it."""

from __future__ import annotations

from collections.abc import Iterator

from kvmlint.rule import MARK_NARROWED, Finding, FunctionPaths, Precision, Rule, Severity


class NarrowedReturn(Rule):
    """A value that may still be an errno is converted to a type that can't say so.

    Why it is a bug
        As a bool every errno is true, the same as success of a predicate; as an unsigned number it
        is never below zero, and the test that should catch it never does.

    Example
        Bad:

            unsigned long ret = kvm_call_hyp_nvhe(__pkvm_init_vm, kvm, hyp_vm, pgd);

            if (ret < 0)
                    return -ENOMEM;

        Good:

            int ret = kvm_call_hyp_nvhe(__pkvm_init_vm, kvm, hyp_vm, pgd);

            if (ret < 0)
                    return ret;

        ``!ret``, ``ret != 0`` and ``IS_ERR_VALUE(addr)`` are comparisons, and fine.

    Known limits
        Types are read as written: a typedef that isn't one of the kernel's usual unsigned names is
        taken to be signed.
    """

    id = "narrowed-return"
    summary = "a status that may be an errno is converted to bool or to an unsigned type"
    severity = Severity.WARNING
    precision = Precision.HIGH
    tags = ("external/cwe/cwe-681", "external/cwe/cwe-197")

    def paths(self, function: FunctionPaths) -> Iterator[Finding]:
        yield from self._handed_on(function)
        seen: set[tuple[int, str]] = set()
        for exit_ in function.exits:
            for mark in sorted(exit_.state.marks):
                if mark.name != MARK_NARROWED or (mark.site, mark.detail) in seen:
                    continue
                seen.add((mark.site, mark.detail))
                data = mark.detail.startswith("data")
                if data and function.calls_function(mark.site):
                    continue  # reported where the hypercall is
                contract = function.oracle.hypercall(mark.about)
                how = _HOW["data" if data else mark.detail]
                yield Finding(
                    self.id,
                    self.severity,
                    Precision.MEDIUM if contract.assumed else Precision.HIGH,
                    function.name,
                    mark.about,
                    mark.site,
                    mark.site,
                    mark.detail,
                    f"the status of {mark.about} may be an errno and is {how}",
                    function.narrator.steps(
                        exit_.exit,
                        [
                            (mark.site, "fails with an errno"),
                            (exit_.exit.site, "the errno is lost"),
                        ],
                    ),
                    consequence="a failure reads like an answer",
                )

    def _handed_on(self, function: FunctionPaths) -> Iterator[Finding]:
        """A value that is data or an errno, returned as it is to a caller that decodes it."""
        for exit_ in function.exits:
            last = exit_.state.last
            if last is None or last.via or last.status not in exit_.state.undecoded:
                continue
            if exit_.exit.value is not last.status:
                continue
            note = function.decoded_by_callers()
            if note is None:
                continue
            steps = function.narrator.steps(
                exit_.exit,
                [(last.site, "fails with an errno"), (exit_.exit.site, "returns it untested")],
            )
            yield Finding(
                self.id,
                self.severity,
                self.precision,
                function.name,
                last.hypercalls[0],
                last.site,
                last.site,
                "data",
                f"{last.hypercalls[0]} returns data or an errno, and is {_HOW['data']}",
                (*steps, note),
                consequence="the bits of an errno are read as if they were data",
            )
            return


_HOW = {
    "bool": "converted to bool",
    "unsigned": "kept in an unsigned variable and tested for being negative",
    "data": "decoded as data before its sign is tested",
}

"""A test for failure that EL2's answer can't pass or can't fail."""

from __future__ import annotations

from collections.abc import Iterator

from kvmlint.explore.agree import NONZERO_TEST, POINTER_TEST, POSITIVE_TEST
from kvmlint.explore.state import MARK_MISTESTED
from kvmlint.rule import Finding, FunctionPaths, Precision, Rule, Severity

_SAYS = {
    NONZERO_TEST: ("being 0 or not", "success isn't 0, so 0 doesn't tell it from an errno"),
    POSITIVE_TEST: ("being positive", "an errno is negative, and success is 0"),
    POINTER_TEST: ("being an error pointer", "it is a number, 0 or an errno, and no pointer"),
}


class WrongFailureTest(Rule):
    """The host tests a hypercall's result in a way that contradicts what EL2 returns.

    Why it is a bug
        A handle is positive, so ``if (ret)`` takes success for failure, and ``if (!ret)`` takes an
        errno for a handle; the same holds for an address that may be an error pointer. A status
        is 0 or negative, so ``if (ret > 0)`` never sees a failure. ``IS_ERR()`` says that there is
        a pointer where there is none.

    Example
        Bad:

            handle = kvm_call_hyp_nvhe(__pkvm_init_vm, kvm, hyp_vm, pgd);
            if (handle)
                    goto free_pgd;

        Good:

            handle = kvm_call_hyp_nvhe(__pkvm_init_vm, kvm, hyp_vm, pgd);
            if (handle < 0)
                    goto free_pgd;

        ``IS_ERR_VALUE()`` is right for all of them.

    Known limits
        Only the first look at a result is judged, and only in the function that issues the
        hypercall. A result that comes through an out-structure (``res.a1``) isn't followed. Nothing
        is said where the handler wasn't seen.
    """

    id = "wrong-failure-test"
    summary = "a hypercall's result is tested in a way that contradicts what EL2 returns"
    severity = Severity.WARNING
    precision = Precision.HIGH
    tags = ("external/cwe/cwe-253", "external/cwe/cwe-697")

    def paths(self, function: FunctionPaths) -> Iterator[Finding]:
        seen: set[tuple[int, str]] = set()
        for exit_ in function.exits:
            for mark in sorted(exit_.state.marks):
                if mark.name != MARK_MISTESTED or (mark.site, mark.detail) in seen:
                    continue
                seen.add((mark.site, mark.detail))
                kind = function.oracle.hypercall(mark.about).kind.value
                tested, why = _SAYS[mark.detail]
                yield Finding(
                    self.id,
                    self.severity,
                    self.precision,
                    function.name,
                    mark.about,
                    mark.site,
                    mark.site,
                    "",
                    f"what {mark.about} returns ({_KINDS[kind]}) is tested for {tested}: {why}",
                    function.narrator.steps(
                        exit_.exit,
                        [(mark.site, "fails with an errno"), (exit_.exit.site, "ends up here")],
                    ),
                    consequence="success and failure are mixed up",
                )


_KINDS = {
    "handle": "a positive handle, or an errno",
    "pointer": "an address, or an errno",
    "status": "0, or an errno",
}

"""A status that can only be 0."""

from __future__ import annotations

from collections.abc import Iterator

from kvmlint.explore.oracle import ReturnKind
from kvmlint.explore.sites import hypercall_sites
from kvmlint.rule import Finding, FunctionPaths, Precision, Rule, Severity


class InfallibleHypercall(Rule):
    """The host looks at a hypercall's status, and EL2's handler has only 0 to give.

    Why it is a bug
        What can fail is handled, what must not fail panics, and what absolutely cannot fail leaves
        nothing to handle: then why does it return a value? The host's error path is never taken
        and never tested, and readers take the call for one that can be refused.

    Example
        Bad:

            static void handle___pkvm_vm_kick(struct kvm_cpu_context *host_ctxt)
            {
                    kick_all_vcpus();
                    cpu_reg(host_ctxt, 1) = 0;
            }

            ret = kvm_call_hyp_nvhe(__pkvm_vm_kick);
            if (ret)
                    goto undo;

        Good:

            static void handle___pkvm_vm_kick(struct kvm_cpu_context *host_ctxt)
            {
                    kick_all_vcpus();
            }

            kvm_call_hyp_nvhe(__pkvm_vm_kick);

    Known limits
        Where EL2 leaves the handler's answer to code that can't be seen (assembly, a callback that
        nobody names), the hypercall counts as fallible. An error behind ``WARN_ON()`` at EL2 is
        fatal there, so it counts as none.
    """

    id = "infallible-hypercall"
    summary = "a hypercall's status is looked at, but EL2's handler always answers 0"
    severity = Severity.NOTE
    precision = Precision.MEDIUM
    tags = ("external/cwe/cwe-561",)

    def paths(self, function: FunctionPaths) -> Iterator[Finding]:
        for at in hypercall_sites(function.found.ledger, function.oracle):
            contract = function.oracle.hypercall(at.hypercall)
            if not at.reads or contract.fallible or contract.unset:
                continue
            if contract.kind is ReturnKind.STATUS:
                yield Finding(
                    self.id,
                    self.severity,
                    self.precision,
                    function.name,
                    at.hypercall,
                    at.site,
                    at.site,
                    "",
                    f"{at.hypercall} can't fail: its handler always answers 0",
                    (function.narrator.note(at.site, "the status is looked at"),),
                    consequence="the host handles a failure that doesn't exist; "
                    "the handler could return nothing",
                )

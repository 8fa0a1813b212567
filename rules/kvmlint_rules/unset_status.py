"""A status that nobody wrote."""

from __future__ import annotations

from collections.abc import Iterator

from kvmlint.explore.oracle import ReturnKind
from kvmlint.explore.sites import hypercall_sites
from kvmlint.rule import Finding, FunctionPaths, Precision, Rule, Severity


class UnsetStatus(Rule):
    """The host reads a hypercall's status, and on some path EL2's handler doesn't write it.

    Why it is a bug
        The result comes back in the register that carried the first argument. A handler that
        returns without writing it hands the host its own argument: a page number, a pointer or 0,
        read as an error, a handle or success.

    Example
        Bad:

            static void handle___pkvm_vcpu_kick(struct kvm_cpu_context *host_ctxt)
            {
                    if (!is_protected_kvm_enabled())
                            return;
                    cpu_reg(host_ctxt, 1) = kick_vcpu();
            }

            ret = kvm_call_hyp_nvhe(__pkvm_vcpu_kick, vcpu);

        Good:

            static void handle___pkvm_vcpu_kick(struct kvm_cpu_context *host_ctxt)
            {
                    int ret = -EPERM;

                    if (is_protected_kvm_enabled())
                            ret = kick_vcpu();
                    cpu_reg(host_ctxt, 1) = ret;
            }

    Known limits
        A handler that never writes the register returns nothing, and whoever reads it isn't
        reported. Whether the host can make the handler take the path that forgets is not judged. A
        loop that writes the register in each turn is taken to turn zero times too.
    """

    id = "unset-status"
    summary = "a status is read that EL2's handler leaves unwritten on some path"
    severity = Severity.WARNING
    precision = Precision.MEDIUM
    tags = ("external/cwe/cwe-457", "external/cwe/cwe-252")

    def paths(self, function: FunctionPaths) -> Iterator[Finding]:
        for at in hypercall_sites(function.found.ledger, function.oracle):
            contract = function.oracle.hypercall(at.hypercall)
            if not at.reads or not contract.unset or contract.assumed:
                continue
            if contract.kind not in (ReturnKind.NOTHING, ReturnKind.DATA):
                yield Finding(
                    self.id,
                    self.severity,
                    self.precision,
                    function.name,
                    at.hypercall,
                    at.site,
                    at.site,
                    "",
                    f"the handler of {at.hypercall} leaves the status unwritten on some path",
                    (function.narrator.note(at.site, "the status is read all the same"),),
                    consequence="the host takes its own first argument for the answer",
                )

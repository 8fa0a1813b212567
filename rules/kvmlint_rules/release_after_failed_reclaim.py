"""Memory that the host takes back although EL2 did not let it go."""

from __future__ import annotations

from collections.abc import Iterator

from kvmlint.rule import (
    Effect,
    EffectKind,
    Event,
    Finding,
    FunctionPaths,
    PathExit,
    Precision,
    Rule,
    Severity,
)

_JUDGED = (EffectKind.MEMORY, EffectKind.PIN, EffectKind.PUBLISH, EffectKind.COUNT)


class ReleaseAfterFailedReclaim(Rule):
    """After a reclaiming hypercall failed, what it was about is freed, unpinned or forgotten.

    Why it is a bug
        EL2 still maps or owns the memory. Given back to the allocator, it becomes somebody else's
        while the hypervisor can still write to it. Leaking it, with a warning, is right.

    Example
        Bad:

            WARN_ON(kvm_call_hyp_nvhe(__pkvm_host_unshare_hyp, pfn, 1));
            free_page(addr);

        Good:

            if (WARN_ON(kvm_call_hyp_nvhe(__pkvm_host_unshare_hyp, pfn, 1)))
                    return;
            free_page(addr);

    Known limits
        Pages that EL2 pushes back itself (a hyp_memcache) are not followed. Memory counts as
        concerned when it is an argument of the call, holds one, or hangs off the structure whose
        handle is the only one. Releasing it for one named errno is taken to be a decision.
    """

    id = "release-after-failed-reclaim"
    summary = "what a failed reclaiming hypercall may still hold is freed or forgotten"
    severity = Severity.WARNING
    precision = Precision.HIGH
    tags = ("external/cwe/cwe-416", "external/cwe/cwe-390")

    def paths(self, function: FunctionPaths) -> Iterator[Finding]:
        for exit_ in function.exits:
            for failure in exit_.events():
                if not failure.reclaims or failure.old or exit_.named(failure):
                    continue
                groups: dict[str, list[Effect]] = {}
                for effect in exit_.released(failure):
                    if effect.kind in _JUDGED and function.is_held_by(effect, failure):
                        groups.setdefault(function.base(effect).key, []).append(effect)
                for root, gone in sorted(groups.items()):
                    yield self._report(function, exit_, failure, root, gone)
                if not groups:
                    for effect in exit_.effects():
                        if function.forgets(effect, failure):
                            root = function.base(effect).key
                            yield self._report(function, exit_, failure, root, [effect])

    def _report(
        self,
        function: FunctionPaths,
        exit_: PathExit,
        failure: Event,
        root: str,
        gone: list[Effect],
    ) -> Finding:
        narrator = function.narrator
        if gone[0].kind is EffectKind.STORE:
            what = "the handle is cleared"
        else:
            what = " and ".join(dict.fromkeys(narrator.happened(effect) for effect in gone))
        contract = function.contract(failure)
        weak = all(effect.weak or effect.kind is EffectKind.STORE for effect in gone)
        return Finding(
            self.id,
            Severity.NOTE if weak else self.severity,
            Precision.LOW if weak else Precision.MEDIUM if contract.assumed else Precision.HIGH,
            function.name,
            failure.hypercalls[0],
            gone[0].site,
            failure.site,
            root,
            f"{what} although {narrator.call(failure)} may have failed",
            narrator.steps(
                exit_.exit,
                [
                    (failure.site, "fails: EL2 still holds it"),
                    *((effect.site, narrator.happened(effect)) for effect in gone),
                ],
            ),
            tuple(dict.fromkeys(f"gone: {narrator.standing(effect)}" for effect in gone)),
            (f"keep it (leak it) when {narrator.call(failure)} fails",),
            "the memory is handed out again while EL2 can still use it",
            cause=failure.via if function.swallowed_inside(failure) else "",
        )

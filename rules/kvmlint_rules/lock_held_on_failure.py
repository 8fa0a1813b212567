"""A lock that is released on success only."""

from __future__ import annotations

from collections.abc import Iterator

from kvmlint.rule import EffectKind, Finding, FunctionPaths, Precision, Rule, Severity


class LockHeldOnFailure(Rule):
    """A lock taken in the function is still held where it returns a hypercall's failure.

    Why it is a bug
        The next one who wants the lock waits for ever, with the failure that led there long gone.

    Example
        Bad:

            mutex_lock(&vm_lock);
            ret = kvm_call_hyp_nvhe(__pkvm_host_share_hyp, pfn, 1);
            if (ret)
                    return ret;
            mutex_unlock(&vm_lock);
            return 0;

        Good:

            guard(mutex)(&vm_lock);
            return kvm_call_hyp_nvhe(__pkvm_host_share_hyp, pfn, 1);

    Known limits
        Reported only where some other path of the function releases the lock: a function that
        hands a lock over does so at every exit.
    """

    id = "lock-held-on-failure"
    summary = "a lock is still held at the return of a hypercall's failure"
    severity = Severity.ERROR
    precision = Precision.HIGH
    tags = ("external/cwe/cwe-667",)

    def paths(self, function: FunctionPaths) -> Iterator[Finding]:
        for exit_ in function.exits:
            failure = exit_.failure
            if failure is None:
                continue
            for effect in exit_.made():
                if effect.kind is not EffectKind.LOCK or not function.undone_elsewhere(effect):
                    continue
                narrator = function.narrator
                yield Finding(
                    self.id,
                    self.severity,
                    self.precision,
                    function.name,
                    failure.hypercalls[0],
                    exit_.exit.site,
                    failure.site,
                    effect.resource.key,
                    f"a lock is still held where the failure of {narrator.call(failure)} is "
                    "returned",
                    narrator.steps(
                        exit_.exit,
                        [
                            (effect.site, narrator.happened(effect)),
                            (failure.site, "fails"),
                            (exit_.exit.site, "returns with the lock held"),
                        ],
                    ),
                    (narrator.standing(effect),),
                    tuple(text for text in (narrator.undo(effect),) if text),
                    "whoever wants the lock next waits for ever",
                )

"""Host state that is gone before EL2 agreed."""

from __future__ import annotations

from collections.abc import Iterator

from kvmlint.rule import (
    Effect,
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

_JUDGED = (
    EffectKind.MEMORY,
    EffectKind.PUBLISH,
    EffectKind.COUNT,
    EffectKind.PIN,
    EffectKind.REGISTER,
)


class PrematureTeardown(Rule):
    """The host's record of something is destroyed before the hypercall that gives it back.

    Why it is a bug
        When the hypercall fails, EL2 still holds what the host has already forgotten: nobody can
        try again, and the memory may be handed out while EL2 still maps it.

    Example
        Bad:

            rb_erase(&node->rb, &lent_pages);
            kfree(node);
            return kvm_call_hyp_nvhe(__pkvm_host_unshare_hyp, pfn, 1);

        Good:

            ret = kvm_call_hyp_nvhe(__pkvm_host_unshare_hyp, pfn, 1);
            if (ret)
                    return ret;
            rb_erase(&node->rb, &lent_pages);
            kfree(node);

    Known limits
        A hypercall counts as reclaiming when its name has an inverse in the tables. The record must
        supply an argument of the hypercall, have been looked up by one, or be one.
    """

    id = "premature-teardown"
    summary = "the host's record is destroyed before the hypercall that has to succeed first"
    severity = Severity.ERROR
    precision = Precision.HIGH
    tags = ("external/cwe/cwe-459",)

    def paths(self, function: FunctionPaths) -> Iterator[Finding]:
        for exit_ in function.exits:
            for failure in exit_.events():
                if failure.failed and not failure.old and not function.swallowed_inside(failure):
                    yield from self._gone(function, exit_, failure)

    def _gone(self, function: FunctionPaths, exit_: PathExit, failure: Event) -> Iterator[Finding]:
        groups: dict[str, list[Effect]] = {}
        for effect in exit_.destroyed(failure):
            if effect.site == failure.site or effect.kind not in _JUDGED:
                continue  # inside the callee: judged there
            if failure.reclaims:
                # An earlier turn's record, whose own reclaim succeeded, may go.
                done = (failure.site, False) in effect.followed
                found = not done and function.is_about(effect, failure)
            else:
                found = False
            if not found:
                found = (
                    exit_.kind is ExitKind.ERROR
                    and effect.kind in (EffectKind.MEMORY, EffectKind.COUNT)
                    and exit_.still_named(effect)
                )
            if found:
                groups.setdefault(function.base(effect).key, []).append(effect)
        for root, gone in sorted(groups.items()):
            narrator = function.narrator
            weak = all(effect.weak for effect in gone)
            what = " and ".join(dict.fromkeys(narrator.happened(e) for e in gone))
            yield Finding(
                self.id,
                Severity.NOTE if weak else self.severity,
                Precision.LOW if weak else Precision.HIGH,
                function.name,
                failure.hypercalls[0],
                failure.site,
                failure.site,
                root,
                f"{what} before {narrator.call(failure)}, which can fail",
                narrator.steps(
                    exit_.exit,
                    [
                        *((effect.site, narrator.happened(effect)) for effect in gone),
                        (failure.site, "fails"),
                        (exit_.exit.site, "returns with the record gone"),
                    ],
                ),
                tuple(dict.fromkeys(f"gone: {narrator.standing(effect)}" for effect in gone)),
                (f"{narrator.call(failure)} first, and the rest only after it succeeded",),
                "EL2 still holds what the host has forgotten; nobody can try again",
            )

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
        supply an argument of the hypercall, have been looked up by one, or be one. What a callee
        that makes hypercalls of its own lets go of counts only where the calling function gives the
        field that names it another value on some path.
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
        narrator = function.narrator
        call = narrator.call(failure)
        groups: dict[str, list[Effect]] = {}
        for effect in exit_.destroyed(failure):
            if effect.site == failure.site or effect.kind not in _JUDGED:
                continue  # inside the callee: judged there
            # An earlier turn's record, whose own reclaim succeeded, may go.
            done = (failure.site, False) in effect.followed
            if failure.reclaims and not done and function.is_about(effect, failure):
                groups.setdefault(function.base(effect).key, []).append(effect)
        for root, gone in sorted(groups.items()):
            what = " and ".join(dict.fromkeys(narrator.happened(e) for e in gone))
            yield self._finding(
                function,
                exit_,
                failure,
                root,
                gone,
                f"{what} before {call}, which can fail",
                "returns with the record gone",
                (f"{call} first, and the rest only after it succeeded",),
                "EL2 still holds what the host has forgotten; nobody can try again",
            )
        if exit_.kind is ExitKind.ERROR:
            said = {id(effect) for gone in groups.values() for effect in gone}
            yield from self._dangling(function, exit_, failure, said)

    def _dangling(
        self, function: FunctionPaths, exit_: PathExit, failure: Event, said: set[int]
    ) -> Iterator[Finding]:
        call = function.narrator.call(failure)
        for effect in exit_.dangling(failure):
            if id(effect) in said or effect.site == failure.site:
                continue
            # What a service lets go of is its own affair, but where this function means to give
            # the field another value.
            if effect.via and not function.names_anew(effect):
                continue
            field = function.field_naming(effect)
            yield self._finding(
                function,
                exit_,
                failure,
                function.base(effect).key,
                [effect],
                f"{field} still names what was let go of before {call}, which can fail",
                f"returns with {field} as it was",
                (f"clear {field} where what it names is let go of",),
                "whoever reads the field next uses, or lets go of, what may be gone by then",
            )

    def _finding(
        self,
        function: FunctionPaths,
        exit_: PathExit,
        failure: Event,
        root: str,
        gone: list[Effect],
        message: str,
        end: str,
        undo: tuple[str, ...],
        consequence: str,
    ) -> Finding:
        narrator = function.narrator
        weak = all(effect.weak for effect in gone)
        return Finding(
            self.id,
            Severity.NOTE if weak else self.severity,
            Precision.LOW if weak else Precision.HIGH,
            function.name,
            failure.hypercalls[0],
            failure.site,
            failure.site,
            root,
            message,
            narrator.steps(
                exit_.exit,
                [
                    *((effect.site, narrator.happened(effect)) for effect in gone),
                    (failure.site, "fails"),
                    (exit_.exit.site, end),
                ],
            ),
            tuple(dict.fromkeys(f"gone: {narrator.standing(effect)}" for effect in gone)),
            undo,
            consequence,
        )

"""Host state that stays behind when a hypercall fails."""

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
    EffectKind.PAIR,
)


class MissingRollback(Rule):
    """What a function set up before a hypercall still stands when it returns the failure.

    Why it is a bug
        The caller sees an error and believes that nothing happened, but a record, a reference, a
        mapping or memory was left: a leak at least, and where the record is looked up later, a
        claim about EL2 that isn't true.

    Example
        Bad:

            rb_insert_color(&node->rb, &lent_pages);
            return kvm_call_hyp_nvhe(__pkvm_host_share_hyp, node->pfn, 1);

        Good:

            rb_insert_color(&node->rb, &lent_pages);
            ret = kvm_call_hyp_nvhe(__pkvm_host_share_hyp, node->pfn, 1);
            if (ret) {
                    rb_erase(&node->rb, &lent_pages);
                    kfree(node);
            }
            return ret;

    Known limits
        Functions that the tables don't know (``kvmlint`` reads ``.kvmlint.toml``) have no effect.
        What a callee left in an object that the caller keeps is judged only where this function
        also undoes it somewhere. Whether a failing step that is no hypercall leaves something
        behind is judged only for what a hypercall acquired. Bounds of unwind loops are trusted.
    """

    id = "missing-rollback"
    summary = "state set up before a hypercall stands when the hypercall's failure is returned"
    severity = Severity.ERROR
    precision = Precision.HIGH
    tags = ("external/cwe/cwe-459", "external/cwe/cwe-401")

    def paths(self, function: FunctionPaths) -> Iterator[Finding]:
        for exit_ in function.exits:
            failure = exit_.failure
            if failure is not None and not failure.reclaims:
                yield from self._left(function, exit_, failure)
            yield from self._acquired(function, exit_)

    def _left(self, function: FunctionPaths, exit_: PathExit, failure: Event) -> Iterator[Finding]:
        groups: dict[str, list[Effect]] = {}
        service = function.is_service(failure)
        for effect in exit_.made(after=failure):
            if service and not self._is_lost(exit_, effect):
                continue  # what was done before is a completed step, not half of a transaction
            if effect.kind in _JUDGED and self._owed(function, exit_, effect):
                groups.setdefault(function.root(effect).key, []).append(effect)
        for root, standing in sorted(groups.items()):
            yield self._report(function, exit_, failure, root, standing)

    @staticmethod
    def _is_lost(exit_: PathExit, effect: Effect) -> bool:
        """Whether it is memory that this function alone knew of."""
        return effect.kind is EffectKind.MEMORY and not effect.via and not exit_.handed_over(effect)

    @staticmethod
    def _owed(function: FunctionPaths, exit_: PathExit, effect: Effect) -> bool:
        """Whether undoing an effect is this function's duty."""
        if effect.via and not function.undone_elsewhere(effect):
            return False
        if function.is_own_field(effect):
            return False  # it goes with the object that this function made and doesn't return
        if effect.kind is EffectKind.MEMORY and exit_.handed_over(effect):
            # The record that took it is itself still standing: then both are listed.
            return any(
                other.kind is EffectKind.PUBLISH
                and other in exit_.made()
                and function.root(other) is function.root(effect)
                and not other.via
                for other in exit_.effects()
            )
        return True

    def _report(
        self,
        function: FunctionPaths,
        exit_: PathExit,
        failure: Event,
        root: str,
        standing: list[Effect],
    ) -> Finding:
        narrator = function.narrator
        evidence = max(function.evidence(effect) for effect in standing)
        undo = [narrator.undo(effect) for effect in reversed(standing)]
        what = " and ".join(dict.fromkeys(_NOUNS[effect.kind] for effect in reversed(standing)))
        verb = "stays" if len(standing) == 1 else "stay"
        published = any(effect.kind is EffectKind.PUBLISH for effect in standing)
        return Finding(
            self.id,
            Severity.NOTE if evidence is Precision.LOW else self.severity,
            evidence,
            function.name,
            failure.hypercalls[0],
            failure.site,
            failure.site,
            root,
            f"{what} {verb} behind when {narrator.call(failure)} fails",
            narrator.steps(
                exit_.exit,
                [
                    *((effect.site, narrator.happened(effect)) for effect in standing),
                    (failure.site, "fails"),
                    (exit_.exit.site, "returns with it still standing"),
                ],
            ),
            tuple(dict.fromkeys(narrator.standing(effect) for effect in standing)),
            tuple(dict.fromkeys(text for text in undo if text)),
            "a later lookup finds a record of something that EL2 refused" if published else "",
        )

    def _acquired(self, function: FunctionPaths, exit_: PathExit) -> Iterator[Finding]:
        """What a hypercall acquired is owed at every later failing exit, whatever failed there."""
        if exit_.kind is not ExitKind.ERROR and exit_.failure is None:
            return
        failure = exit_.failure
        for effect in exit_.made():
            if effect.kind is not EffectKind.ACQUIRE or effect.old or not function.owes(effect):
                continue
            if failure is not None and (failure.acquires or failure.reclaims):
                continue  # partial-batch's business, or a teardown that failed
            if failure is not None and failure.site == effect.site:
                continue
            if exit_.exit.value is not None and effect.operands[-1:] == (exit_.exit.value,):
                continue
            narrator = function.narrator
            inverse = effect.family.partition(":")[2]
            given = narrator.gives_back(effect)
            hypercall = function.hypercalls(effect)[0]
            evidence = Precision.HIGH if function.undone_elsewhere(effect) else Precision.MEDIUM
            yield Finding(
                self.id,
                self.severity,
                evidence,
                function.name,
                hypercall,
                effect.site,
                effect.site,
                "",
                f"what {effect.via + '()' if effect.via else hypercall} acquired is kept when a "
                "later step fails",
                narrator.steps(
                    exit_.exit,
                    [
                        (effect.site, "succeeds: EL2 holds it from here on"),
                        *([(failure.site, "fails")] if failure is not None else []),
                        (exit_.exit.site, "returns an error without giving it back"),
                    ],
                ),
                (f"{hypercall} without {inverse}",),
                (f"{inverse}(…)" if given == inverse else given,),
            )


_NOUNS = {
    EffectKind.MEMORY: "memory",
    EffectKind.PUBLISH: "a published record",
    EffectKind.COUNT: "a count",
    EffectKind.PIN: "a pinned or mapped range",
    EffectKind.REGISTER: "a registration",
    EffectKind.PAIR: "an object that was set up",
}

"""State that belongs to success, set after a failure."""

from __future__ import annotations

from collections.abc import Iterator

from kvmlint.rule import (
    MARK_PASSED,
    MARK_WARNED,
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


class UpdateAfterFailure(Rule):
    """After a hypercall failed, a record is published or a field set that says it succeeded.

    Why it is a bug
        Whoever reads the field or finds the record later believes that EL2 agreed: a done-flag
        keeps anybody from trying again, a handle is in truth an errno.

    Example
        Bad:

            ret = kvm_call_hyp_nvhe(__pkvm_init_vm, kvm, hyp_vm, pgd);
            kvm->arch.pkvm.handle = ret;
            return ret < 0 ? ret : 0;

        Good:

            ret = kvm_call_hyp_nvhe(__pkvm_init_vm, kvm, hyp_vm, pgd);
            if (ret < 0)
                    return ret;
            kvm->arch.pkvm.handle = ret;
            return 0;

    Known limits
        A field counts as success-only when a path on which the call succeeded sets it too, and it
        receives the call's result, or memory that the failing path has freed, or this function
        tests it, or another failing path leaves it alone. Names of fields that hold errors (err,
        ret, status) are taken at their word.
    """

    id = "update-after-failure"
    summary = "a record is published or a success-only field set after a hypercall failed"
    severity = Severity.ERROR
    precision = Precision.HIGH
    tags = ("external/cwe/cwe-390",)

    def paths(self, function: FunctionPaths) -> Iterator[Finding]:
        skipped = self._stores_by_failure(function)
        for exit_ in function.exits:
            failure = self._failure(exit_)
            if failure is None:
                continue
            for effect in exit_.effects():
                if not effect.building or effect.via or (failure.site, True) in effect.followed:
                    continue
                why = self._why(function, exit_, effect, failure, skipped)
                if why and function.also_on_success(effect, failure):
                    yield self._report(function, exit_, effect, failure, why)

    @staticmethod
    def _failure(exit_: PathExit) -> Event | None:
        """The failure that this exit is about. One that ends in success is swallowed, or was
        mapped to success on purpose, unless it was handed on by another way than the value."""
        last = exit_.state.last
        if last is None or not last.failed or exit_.kind is not ExitKind.SUCCESS:
            return exit_.failure
        passed = any(
            mark.name == MARK_PASSED and mark.site == last.site for mark in exit_.state.marks
        )
        return last if passed else None

    @staticmethod
    def _stores_by_failure(function: FunctionPaths) -> dict[int, list[frozenset[str]]]:
        """For each failing call, the places stored to afterwards on each failing path."""
        found: dict[int, list[frozenset[str]]] = {}
        for exit_ in function.exits:
            failure = exit_.failure
            if failure is not None:
                places = frozenset(
                    e.resource.key
                    for e in exit_.effects()
                    if e.kind is EffectKind.STORE and (failure.site, True) not in e.followed
                )
                found.setdefault(failure.site, []).append(places)
        return found

    @staticmethod
    def _why(
        function: FunctionPaths,
        exit_: PathExit,
        effect: Effect,
        failure: Event,
        skipped: dict[int, list[frozenset[str]]],
    ) -> str:
        if effect.kind is EffectKind.PUBLISH:
            return "the record is published although the call failed"
        if effect.kind is not EffectKind.STORE or function.holds_errors(effect):
            return ""
        if effect.record is not None and failure in exit_.state.failed_in(effect.record):
            return "it is given the errno"
        if effect.record is not None and not exit_.lives(effect.record):
            return "it is given memory that was freed because the call failed"
        if not function.says_done(effect):
            return ""
        if function.is_tested(effect):
            return "it is the flag that keeps the call from being made again"
        if function.stores_constant(effect):
            return ""  # it may as well stand for "idle"
        places = skipped.get(failure.site, [])
        if any(effect.resource.key not in stored for stored in places):
            return "another failing path leaves it alone"
        return ""

    def _report(
        self,
        function: FunctionPaths,
        exit_: PathExit,
        effect: Effect,
        failure: Event,
        why: str,
    ) -> Finding:
        narrator = function.narrator
        warned = any(
            mark.name == MARK_WARNED and mark.site == failure.site for mark in exit_.state.marks
        )
        published = effect.kind is EffectKind.PUBLISH
        what = "a record is published" if published else "a field that means success is set"
        contract = function.contract(failure)
        return Finding(
            self.id,
            Severity.WARNING if warned else self.severity,
            Precision.MEDIUM if contract.assumed else Precision.HIGH,
            function.name,
            failure.hypercalls[0],
            effect.site,
            failure.site,
            effect.resource.key,
            f"{what} after {narrator.call(failure)} failed",
            narrator.steps(
                exit_.exit,
                [
                    (failure.site, "fails"),
                    (effect.site, why),
                    (exit_.exit.site, "returns with it set"),
                ],
            ),
            consequence="who looks at it later believes that EL2 agreed",
        )

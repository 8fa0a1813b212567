"""Some of a batch is acquired, then one fails, and the first ones are kept."""

from __future__ import annotations

from collections.abc import Iterator

from kvmlint.rule import (
    EffectKind,
    ExitKind,
    Finding,
    FunctionPaths,
    PathExit,
    Precision,
    Rule,
    Severity,
)


class PartialBatch(Rule):
    """A loop, or a sequence, acquires several things from EL2 and gives up half way.

    Why it is a bug
        The caller sees an error and frees the whole range, but EL2 still holds the first part.

    Example
        Bad:

            for (i = 0; i < n; i++) {
                    ret = share_page(pfn + i);
                    if (ret)
                            return ret;
            }

        Good:

            for (i = 0; i < n; i++) {
                    ret = share_page(pfn + i);
                    if (ret)
                            goto unwind;
            }
            return 0;
            unwind:
            while (i--)
                    WARN_ON(unshare_page(pfn + i));
            return ret;

    Known limits
        An unwind loop's bounds are trusted. An acquiring hypercall is one with an inverse in the
        tables, or by its verb.
    """

    id = "partial-batch"
    summary = "earlier members of a batch stay acquired when a later one fails"
    severity = Severity.ERROR
    precision = Precision.HIGH
    tags = ("external/cwe/cwe-459",)

    def paths(self, function: FunctionPaths) -> Iterator[Finding]:
        for exit_ in function.exits:
            yield from self._exit(function, exit_)

    def _exit(self, function: FunctionPaths, exit_: PathExit) -> Iterator[Finding]:
        failure = exit_.failure
        if failure is None and exit_.kind is not ExitKind.ERROR:
            return
        for effect in exit_.made():
            if effect.kind is not EffectKind.ACQUIRE:
                continue
            if effect.via and effect.weak:
                continue  # what a failing callee kept is reported in the callee
            if function.undone_by_callers(effect):
                continue
            batch = effect.old
            if not function.owes(effect):
                continue
            if failure is None:
                if not batch:
                    continue
                site = effect.site
            elif not failure.acquires or not (batch or failure.site != effect.site):
                continue
            else:
                site = failure.site
            narrator = function.narrator
            inverse = effect.family.partition(":")[2]
            names = function.hypercalls(effect)
            callee = f"{effect.via}()" if effect.via else names[0]
            yield Finding(
                self.id,
                self.severity,
                self.precision,
                function.name,
                names[0],
                site,
                effect.site,
                "",
                f"what earlier {'turns' if batch else 'calls'} of {callee} acquired is kept when "
                f"{'a later one' if batch else 'another'} fails",
                narrator.steps(
                    exit_.exit,
                    [
                        (effect.site, "succeeds" + (" in an earlier turn" if batch else "")),
                        *([(failure.site, "fails")] if failure is not None else []),
                        (exit_.exit.site, "returns the error, nothing was given back"),
                    ],
                ),
                (f"{names[0]} without {inverse}",),
                (f"{narrator.gives_back(effect)} for each one that succeeded",),
                "the caller frees a range that EL2 still holds in part",
            )

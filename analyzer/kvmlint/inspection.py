"""One file: what the rules find in its functions; the one place that catches."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence

from kvmlint.diagnostic import Diagnostic, Notification
from kvmlint.explore.engine import Exploration
from kvmlint.fileresult import FileResult
from kvmlint.knowledge.model import World
from kvmlint.module import GivenUpError, Module
from kvmlint.narrate import Narrator
from kvmlint.program import Program
from kvmlint.rule import Finding, FunctionPaths, RuleClass
from kvmlint.source import BINARY, SourceError, SourceFile
from kvmlint.syntax.unit import Unit
from kvmlint.triage import best, diagnose


def inspect(
    program: Program,
    path: str,
    rules: Sequence[RuleClass],
    functions: frozenset[str] | None = None,
) -> FileResult:
    """One file of the program's tree, by its path there; of its functions these (None: all)."""
    try:
        unit = program.tree.unit(path, program.tree.world(path))
    except SourceError as error:
        return FileResult(path, notifications=(_failed(path, str(error)),), read=False)
    return _inspect(program, unit, rules, functions)


def inspect_text(
    program: Program, name: str, data: bytes, rules: Sequence[RuleClass]
) -> FileResult:
    """Text that is not in the tree, under the name that it would have there."""
    if b"\0" in data:
        return FileResult(name, notifications=(_failed(name, BINARY),), read=False)
    tree = program.tree
    return _inspect(program, tree.parse(SourceFile(name, data), tree.world(name)), rules)


def _failed(path: str, why: str) -> Notification:
    return Notification(path, why, failed=True)


def _inspect(
    program: Program,
    unit: Unit,
    rules: Sequence[RuleClass],
    wanted: frozenset[str] | None = None,
) -> FileResult:
    path = unit.file.path
    if program.tree.world(path) is World.EL2:
        return FileResult(path, notifications=tuple(problems_of(unit, ())))
    module = program.module(unit, World.HOST)
    diagnostics: list[Diagnostic] = []
    notifications: list[Notification] = []
    functions = 0
    names = [
        name for name in module.heads if (wanted is None or name in wanted) and module.reaches(name)
    ]
    for name in names:
        try:
            explorations = module.explorations(name)
            for found in explorations:
                diagnostics += _diagnose(module, name, found, rules)
            functions += len(explorations)
        except GivenUpError as error:
            notifications.append(gave_up(module, name, error))
        except Exception as error:
            # A bug of ours in one function must not cost the user the rest of the run.
            if os.environ.get("KVMLINT_DEBUG"):
                raise
            what = f"{type(error).__name__}: {' '.join(str(error).split())}"
            text = f"internal error in {name}: {what}; please report it"
            notifications.append(_failed(path, text))
    notifications += problems_of(unit, names)
    return FileResult(path, tuple(diagnostics), tuple(notifications), functions)


def _diagnose(
    module: Module, name: str, found: Exploration, rules: Sequence[RuleClass]
) -> list[Diagnostic]:
    view = view_of(module, name, found)
    tree = module.program.tree
    return [
        diagnose(
            finding,
            view.narrator,
            module.hypercall(finding.hypercall),
            module.knowledge,
            lambda path: tree.unit(path, World.EL2).file,
        )
        for finding in findings_in(view, rules)
    ]


def problems_of(unit: Unit, analysed: Collection[str]) -> list[Notification]:
    """What of a file wasn't understood. Of its functions only those ``analysed`` are told of:
    which others were read depends on the files before, and so on the number of processes."""
    file = unit.file
    names = {head.name for head in unit.heads}.difference(analysed)
    return [
        Notification(
            file.path,
            problem.message,
            file.span(problem.start, problem.end),
            problem.function,
        )
        for problem in unit.problems
        if problem.function not in names
    ]


def gave_up(module: Module, name: str, error: GivenUpError) -> Notification:
    """That a function was not analysed, and why."""
    head = module.heads[name][0]
    span = module.unit.file.span(head.name_start, head.name_start + len(name))
    return Notification(module.unit.file.path, str(error), span, name)


def view_of(module: Module, name: str, found: Exploration) -> FunctionPaths:
    """One variant of a function as rules see it."""
    narrator = Narrator(module.unit.file, found.ledger, module.knowledge)
    return FunctionPaths(found, module, narrator, lambda: module.callers(name))


def findings_in(view: FunctionPaths, rules: Sequence[RuleClass]) -> list[Finding]:
    """What rules find in a function, one finding a defect."""
    findings: list[Finding] = []
    for rule in rules:
        findings.extend(rule().paths(view))
    return best(findings)

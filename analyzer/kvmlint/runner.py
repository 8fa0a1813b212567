"""Assembly: from the paths that a user named to the findings; the one place that catches."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from kvmlint import suppress
from kvmlint.diagnostic import Diagnostic, Notification, Precision, Severity
from kvmlint.explore.engine import Exploration
from kvmlint.inputs import inputs_of
from kvmlint.knowledge import Knowledge, builtin
from kvmlint.knowledge.model import World
from kvmlint.module import GivenUpError, Module
from kvmlint.narrate import Narrator
from kvmlint.program import Program
from kvmlint.rule import Finding, FunctionPaths, RuleClass
from kvmlint.source import BINARY, FolderSources, SourceError, SourceFile
from kvmlint.syntax.unit import Unit
from kvmlint.tree.tree import Tree, find_root
from kvmlint.triage import best, dedupe, diagnose


@dataclass(frozen=True, slots=True)
class Options:
    """What the user asked for. ``tree`` is a folder or None (look for it above the first path);
    an empty ``select`` means every rule."""

    tree: str | None = None
    select: frozenset[str] = frozenset()
    ignore: frozenset[str] = frozenset()
    min_level: Severity = Severity.WARNING
    min_precision: Precision = Precision.MEDIUM
    jobs: int = 1


@dataclass(frozen=True, slots=True)
class Result:
    """What a run found. ``root`` is the absolute folder that paths are relative to; ``files`` holds
    the bytes of the files that findings are in. ``suppressed`` are findings that their source
    allows."""

    diagnostics: tuple[Diagnostic, ...]
    notifications: tuple[Notification, ...]
    statistics: tuple[tuple[str, str], ...]
    root: str
    files: Mapping[str, bytes] = field(default_factory=dict)
    suppressed: tuple[Diagnostic, ...] = ()


@dataclass(slots=True)
class _Run:
    """One process's share of the work, and what it found."""

    program: Program
    rules: tuple[RuleClass, ...]
    diagnostics: list[Diagnostic] = field(default_factory=list)
    notifications: list[Notification] = field(default_factory=list)
    functions: int = 0
    files: int = 0
    visits: int = 0
    texts: dict[str, bytes] = field(default_factory=dict)

    def files_of(self, paths: Sequence[str]) -> None:
        """Analyse files."""
        for path in paths:
            _file(self, path)
        self.visits = self.program.visits

    def found(self) -> _Found:
        """What can be sent to another process."""
        return (
            self.diagnostics, self.notifications, self.functions, self.files, self.visits,
            self.texts,
        )  # fmt: skip

    def add(self, other: _Found) -> None:
        """Take over what another process found."""
        diagnostics, notifications, functions, files, visits, texts = other
        self.diagnostics += diagnostics
        self.notifications += notifications
        self.functions += functions
        self.files += files
        self.visits += visits
        self.texts |= texts


_Found: TypeAlias = tuple[list[Diagnostic], list[Notification], int, int, int, dict[str, bytes]]
_shared: list[_Run] = []
"""What forked processes inherit: the run as it was before any file was analysed."""
FEWEST_FILES = 8
"""Below this number of files one process is faster than several."""


def check(
    paths: Sequence[str],
    options: Options,
    rules: Sequence[RuleClass],
    stdin: tuple[str, bytes] | None = None,
    knowledge: Knowledge | None = None,
) -> Result:
    """Analyse files and folders. Problems with an input become notifications, never exceptions."""
    program, base = open_program(
        paths[0] if paths else (stdin[0] if stdin else "."), options.tree, knowledge
    )
    tree = program.tree
    ran = {
        id_
        for id_ in (*(rule.id for rule in rules), *(rule.id for rule in suppress.META))
        if (not options.select or id_ in options.select) and id_ not in options.ignore
    }
    chosen = tuple(rule for rule in rules if rule.id in ran)
    run = _Run(program, chosen)
    inputs = list(inputs_of(paths, base, tree.whole))
    run.notifications += [
        Notification(path, problem, failed=True) for path, problem in inputs if problem is not None
    ]
    files = [path for path, problem in inputs if problem is None]
    if options.jobs > 1 and len(files) >= FEWEST_FILES:
        _in_processes(run, files, options.jobs)
    else:
        run.files_of(files)
    if stdin is not None:
        _stdin(run, *stdin)
    judged = suppress.apply(
        dedupe(run.diagnostics),
        run.texts,
        {rule.id for rule in rules},
        ran,
        {notification.path for notification in run.notifications},
    )
    found = sorted((*judged.kept, *judged.complaints), key=Diagnostic.sort_key)
    shown = _above(options, found)
    suppressed = _above(options, judged.suppressed)
    statistics = (
        ("files", str(run.files)),
        ("functions explored", str(run.functions)),
        ("block visits", str(run.visits)),
        ("given up", str(sum(1 for n in run.notifications if n.function))),
        ("findings", str(len(shown))),
        ("findings below the threshold", str(len(found) - len(shown))),
        ("suppressed", str(len(suppressed))),
    )
    notifications = sorted(
        run.notifications,
        key=lambda n: (n.path, n.span.line if n.span else 0, n.function, n.message),
    )
    paths_shown = {d.span.path for d in (*shown, *suppressed)}
    return Result(
        shown,
        tuple(dict.fromkeys(notifications)),
        statistics,
        str(base),
        {path: data for path, data in run.texts.items() if path in paths_shown},
        suppressed,
    )


def _above(options: Options, found: Sequence[Diagnostic]) -> tuple[Diagnostic, ...]:
    """What the user wants to see."""
    return tuple(
        d
        for d in found
        if not d.severity < options.min_level and not d.precision < options.min_precision
    )


def open_program(
    first: str, tree: str | None, knowledge: Knowledge | None = None
) -> tuple[Program, Path]:
    """The program around the path that was named first, and the folder that paths are relative to.
    ``tree`` is its root when the user named it."""
    root = Path(tree).resolve() if tree else find_root(Path(first))
    base = root if root is not None else Path.cwd()
    tables = knowledge if knowledge is not None else builtin()
    found = Tree(FolderSources(base), tables, root is not None)
    entries = found.entries()
    return Program(found, tables.with_entries(entries) if entries else tables), base


def _in_processes(run: _Run, files: list[str], jobs: int) -> None:
    """Deal the files out; the findings are sorted later, so the number of jobs shows nowhere."""
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    _shared[:] = [run]
    shares = [files[start::jobs] for start in range(jobs)]
    try:
        with ProcessPoolExecutor(jobs, mp_context=get_context("fork")) as pool:
            for found in list(pool.map(_share, shares)):
                run.add(found)
    finally:
        _shared.clear()


def _share(paths: list[str]) -> _Found:
    """One process's part."""
    run = _Run(_shared[0].program, _shared[0].rules)
    run.files_of(paths)
    return run.found()


def _file(run: _Run, path: str) -> None:
    tree = run.program.tree
    try:
        unit = tree.unit(path, tree.world(path))
    except SourceError as error:
        run.notifications.append(Notification(path, str(error), failed=True))
        return
    _unit(run, unit)


def _stdin(run: _Run, name: str, data: bytes) -> None:
    if b"\0" in data:
        run.notifications.append(Notification(name, BINARY, failed=True))
        return
    tree = run.program.tree
    _unit(run, tree.parse(SourceFile(name, data), tree.world(name)))


def _unit(run: _Run, unit: Unit) -> None:
    run.files += 1
    path = unit.file.path
    if run.program.tree.world(path) is World.EL2:
        run.notifications += problems_of(unit, ())
        return
    module = run.program.module(unit, World.HOST)
    before = len(run.diagnostics)
    names = [name for name in module.heads if module.reaches(name)]
    for name in names:
        try:
            _function(run, module, name)
        except Exception as error:
            # A bug of ours in one function must not cost the user the rest of the run.
            if os.environ.get("KVMLINT_DEBUG"):
                raise
            what = f"{type(error).__name__}: {' '.join(str(error).split())}"
            text = f"internal error in {name}: {what}; please report it"
            run.notifications.append(Notification(path, text, failed=True))
    run.notifications += problems_of(unit, names)
    if len(run.diagnostics) > before or suppress.MARK in unit.file.data:
        run.texts[path] = unit.file.data


def _function(run: _Run, module: Module, name: str) -> None:
    """One function, every variant; the one place that turns failure into a notification."""
    try:
        explorations = module.explorations(name)
    except GivenUpError as error:
        run.notifications.append(gave_up(module, name, error))
        return
    for found in explorations:
        run.functions += 1
        view = view_of(module, name, found)
        narrator = view.narrator
        for finding in findings_in(view, run.rules):
            run.diagnostics.append(
                diagnose(
                    finding,
                    narrator,
                    module.hypercall(finding.hypercall),
                    module.knowledge,
                    lambda path: run.program.tree.unit(path, World.EL2).file,
                )
            )


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

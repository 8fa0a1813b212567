"""Assembly: from the paths that a user named to the findings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from kvmlint import suppress
from kvmlint.diagnostic import Diagnostic, Notification, Precision, Severity
from kvmlint.inputs import inputs_of
from kvmlint.inspection import FileResult, inspect, inspect_text
from kvmlint.knowledge import Knowledge, builtin
from kvmlint.program import Program
from kvmlint.rule import RuleClass
from kvmlint.source import FolderSources, Sources
from kvmlint.tree.extent import find_root
from kvmlint.tree.tree import Tree
from kvmlint.triage import dedupe


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


_Share: TypeAlias = tuple[list[FileResult], int]
"""What a process found in its files, and its block visits."""
_shared: list[tuple[Program, tuple[RuleClass, ...]]] = []
"""What forked processes inherit: the program as it was before any file was analysed."""
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
    inputs = list(inputs_of(paths, base, program.tree.whole))
    return analyse(
        program,
        [path for path, problem in inputs if problem is None],
        options,
        rules,
        root=str(base),
        problems=[
            Notification(path, problem, failed=True)
            for path, problem in inputs
            if problem is not None
        ],
        stdin=stdin,
    )


def analyse(
    program: Program,
    files: Sequence[str],
    options: Options,
    rules: Sequence[RuleClass],
    *,
    root: str,
    problems: Iterable[Notification] = (),
    stdin: tuple[str, bytes] | None = None,
) -> Result:
    """Analyse files of a program's tree, wherever that tree is kept (a folder, a git revision).

    ``files`` are paths in the tree, ``root`` is what reports call its place, ``problems`` are
    inputs that never became files. Never raises for what is in a file.
    """
    ran = {
        id_
        for id_ in (*(rule.id for rule in rules), *(rule.id for rule in suppress.META))
        if (not options.select or id_ in options.select) and id_ not in options.ignore
    }
    chosen = tuple(rule for rule in rules if rule.id in ran)
    if options.jobs > 1 and len(files) >= FEWEST_FILES:
        results, visits = _in_processes(program, chosen, files, options.jobs)
    else:
        results = [inspect(program, path, chosen) for path in files]
        visits = program.visits
    texts = _texts(program, results)
    if stdin is not None:
        results.append(inspect_text(program, *stdin, chosen))
        visits = max(visits, program.visits)
        texts[stdin[0]] = stdin[1]
    notifications = [*problems, *(n for result in results for n in result.notifications)]
    judged = suppress.apply(
        dedupe([d for result in results for d in result.diagnostics]),
        texts,
        {rule.id for rule in rules},
        ran,
        {notification.path for notification in notifications},
    )
    found = sorted((*judged.kept, *judged.complaints), key=Diagnostic.sort_key)
    shown = _above(options, found)
    suppressed = _above(options, judged.suppressed)
    statistics = (
        ("files", str(sum(result.read for result in results))),
        ("functions explored", str(sum(result.functions for result in results))),
        ("block visits", str(visits)),
        ("given up", str(sum(1 for n in notifications if n.function))),
        ("findings", str(len(shown))),
        ("findings below the threshold", str(len(found) - len(shown))),
        ("suppressed", str(len(suppressed))),
    )
    ordered = sorted(
        notifications,
        key=lambda n: (n.path, n.span.line if n.span else 0, n.function, n.message),
    )
    paths_shown = {d.span.path for d in (*shown, *suppressed)}
    return Result(
        shown,
        tuple(dict.fromkeys(ordered)),
        statistics,
        root,
        {path: data for path, data in texts.items() if path in paths_shown},
        suppressed,
    )


def _texts(program: Program, results: Iterable[FileResult]) -> dict[str, bytes]:
    """The files that may hold findings or comments about them."""
    texts: dict[str, bytes] = {}
    for result in results:
        if result.read:
            data = program.tree.data(result.path)
            if result.diagnostics or suppress.MARK in data:
                texts[result.path] = data
    return texts


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
    return program_of(FolderSources(base), root is not None, knowledge), base


def program_of(sources: Sources, whole: bool, knowledge: Knowledge | None = None) -> Program:
    """The program whose text comes from ``sources``; ``whole``: they are a kernel tree."""
    tables = knowledge if knowledge is not None else builtin()
    found = Tree(sources, tables, whole)
    entries = found.entries()
    return Program(found, tables.with_entries(entries) if entries else tables)


def _in_processes(
    program: Program, rules: tuple[RuleClass, ...], files: Sequence[str], jobs: int
) -> _Share:
    """Deal the files out; the findings are sorted later, so the number of jobs shows nowhere."""
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    _shared[:] = [(program, rules)]
    shares = [files[start::jobs] for start in range(jobs)]
    try:
        with ProcessPoolExecutor(jobs, mp_context=get_context("fork")) as pool:
            parts = list(pool.map(_share, shares))
    finally:
        _shared.clear()
    return [result for part, _ in parts for result in part], sum(visits for _, visits in parts)


def _share(paths: Sequence[str]) -> _Share:
    """One process's part."""
    program, rules = _shared[0]
    return [inspect(program, path, rules) for path in paths], program.visits

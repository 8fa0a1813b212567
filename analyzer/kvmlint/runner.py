"""Assembly: from the paths that a user named to the findings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from kvmlint import complaint, exempt, suppress
from kvmlint.codebase import Codebase, open_code
from kvmlint.diagnostic import Diagnostic, Notification, Precision, Severity
from kvmlint.exempt import Exemption
from kvmlint.fileresult import FileResult, Functions
from kvmlint.inputs import folders_of, inputs_of, relative
from kvmlint.joined import absorbed, dedupe
from kvmlint.recall import results_of
from kvmlint.scope import Scope

if TYPE_CHECKING:
    from kvmlint.cache import Store
    from kvmlint.knowledge import Knowledge
    from kvmlint.rule import RuleClass


@dataclass(frozen=True, slots=True)
class Options:
    """What the user asked for. ``tree`` is a folder or None (look for it above the first path);
    an empty ``select`` means every rule. ``exemptions`` are those of one .kvmlint.toml."""

    tree: str | None = None
    select: frozenset[str] = frozenset()
    ignore: frozenset[str] = frozenset()
    min_level: Severity = Severity.WARNING
    min_precision: Precision = Precision.MEDIUM
    jobs: int = 1
    exemptions: tuple[Exemption, ...] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """What a run found. ``root`` is the absolute folder that paths are relative to; ``files`` holds
    the bytes of the files that findings are in. ``suppressed`` are findings that somebody allows,
    ``below`` those that the options hide, ``absorbed`` those that another finding's report tells
    of; ``scope`` is what the run looked at."""

    diagnostics: tuple[Diagnostic, ...]
    notifications: tuple[Notification, ...]
    statistics: tuple[tuple[str, str], ...]
    root: str
    files: Mapping[str, bytes] = field(default_factory=dict)
    suppressed: tuple[Diagnostic, ...] = ()
    below: tuple[Diagnostic, ...] = ()
    scope: Scope = field(default_factory=Scope)
    absorbed: tuple[Diagnostic, ...] = ()


def check(
    paths: Sequence[str],
    options: Options,
    rules: Sequence[RuleClass],
    stdin: tuple[str, bytes] | None = None,
    knowledge: Knowledge | None = None,
    store: Store | None = None,
) -> Result:
    """Analyse files and folders. Problems with an input become notifications, never exceptions."""
    code = open_code(paths[0] if paths else (stdin[0] if stdin else "."), options.tree, knowledge)
    base = Path(code.root)
    inputs = list(inputs_of(paths, base, code.whole))
    return analyse(
        code,
        [path for path, problem in inputs if problem is None],
        options,
        rules,
        problems=[
            Notification(path, problem, failed=True)
            for path, problem in inputs
            if problem is not None
        ],
        stdin=stdin,
        store=store,
        folders=folders_of(paths, base),
    )


def analyse(
    code: Codebase,
    files: Sequence[str],
    options: Options,
    rules: Sequence[RuleClass],
    *,
    problems: Iterable[Notification] = (),
    stdin: tuple[str, bytes] | None = None,
    store: Store | None = None,
    folders: tuple[str, ...] = (),
    functions: Functions | None = None,
) -> Result:
    """Analyse files of a codebase, wherever it is kept (a folder, a git revision).

    ``files`` are paths in it, ``problems`` are inputs that never became files, ``store`` keeps
    what files gave before, ``folders`` are those whose files are all among ``files``, or don't
    count; ``functions`` are those that somebody wants to know of. Never raises for what is in a
    file.
    """
    known = frozenset((*(rule.id for rule in rules), *(rule.id for rule in complaint.META)))
    ran = frozenset(
        id_
        for id_ in known
        if (not options.select or id_ in options.select) and id_ not in options.ignore
    )
    chosen = tuple(rule for rule in rules if rule.id in ran)
    recalled = results_of(code, files, chosen, options.jobs, store, functions)
    results, visits = recalled.results, recalled.visits
    texts = _texts(code, results)
    if stdin is not None:
        from kvmlint.inspection import inspect_text

        results.append(inspect_text(code.program, *stdin, chosen))
        visits = max(visits, code.program.visits)
        texts[stdin[0]] = stdin[1]
    notifications = [*problems, *(n for result in results for n in result.notifications)]
    scope = Scope(
        known,
        ran,
        frozenset(result.path for result in results if result.read),
        folders,
        frozenset(notification.path for notification in notifications),
    )
    every = [d for result in results for d in result.diagnostics]
    judged = suppress.apply(dedupe(every), texts, scope)
    told = suppress.apply(absorbed(every), texts, scope)
    if options.exemptions:
        file = options.exemptions[0].file
        shown_as = relative(file.path, Path(code.root))
        texts[shown_as] = file.data
        judged = exempt.apply(judged, options.exemptions, scope, code.root, shown_as)
        told = exempt.apply(told, options.exemptions, scope, code.root, shown_as)
    found = sorted((*judged.kept, *judged.complaints), key=Diagnostic.sort_key)
    shown = _above(options, found)
    printed = set(shown)
    suppressed = _above(options, judged.suppressed)
    hidden = _above(options, told.kept)
    statistics = (
        ("files", str(sum(result.read for result in results))),
        ("files analysed anew", str(recalled.anew)),
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
    paths_shown = {d.span.path for d in (*shown, *suppressed, *hidden)}
    return Result(
        shown,
        tuple(dict.fromkeys(ordered)),
        statistics,
        code.root,
        {path: data for path, data in texts.items() if path in paths_shown},
        suppressed,
        tuple(d for d in found if d not in printed),
        scope,
        hidden,
    )


def _texts(code: Codebase, results: Iterable[FileResult]) -> dict[str, bytes]:
    """The files that may hold findings or comments about them."""
    texts: dict[str, bytes] = {}
    for result in results:
        if result.read:
            data = code.read(result.path)
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

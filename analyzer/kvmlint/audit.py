"""The audit: every hypercall site of host code, what EL2 returns there, what the host does."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

from kvmlint import __version__
from kvmlint.codebase import Codebase, open_code
from kvmlint.contract.doubt import why_assumed
from kvmlint.diagnostic import Notification
from kvmlint.explore.effects import Ledger
from kvmlint.explore.oracle import ErrnoSource, HypercallContract
from kvmlint.explore.sites import HypercallSite, hypercall_sites
from kvmlint.handling import strongest, use_of
from kvmlint.inputs import inputs_of
from kvmlint.inspection import findings_in, gave_up, problems_of, view_of
from kvmlint.knowledge import Knowledge
from kvmlint.knowledge.error import suggest
from kvmlint.knowledge.model import World
from kvmlint.module import GivenUpError, Module
from kvmlint.program import Program
from kvmlint.report.ledger import Alteration, Audit, Contract, ErrnoLine, Row, Use
from kvmlint.rule import Finding, FunctionPaths, RuleClass
from kvmlint.runner import Options
from kvmlint.source import SourceError, SourceFile
from kvmlint.tree.tree import conflict_line

FOLDERS = ("arch/arm64/kvm", "virt/kvm")
"""Where callers of one hypercall are looked for when the user names no path."""


class AuditError(Exception):
    """What was asked for can't be answered; ``str()`` is one line for the user."""


@dataclass(frozen=True, slots=True)
class Filter:
    """``key=glob,glob``: rows whose cell matches one of the globs; ``key!=``: those without."""

    key: str
    globs: tuple[str, ...]
    negated: bool

    def keeps(self, row: Row) -> bool:
        """Whether a row passes."""
        cells = row.verdict or (row.judged,) if self.key == "verdict" else (KEYS[self.key](row),)
        matches = any(fnmatchcase(cell, glob) for cell in cells for glob in self.globs)
        return matches != self.negated


KEYS: dict[str, Callable[[Row], str]] = {
    "file": lambda row: row.path,
    "function": lambda row: row.function,
    "hypercall": lambda row: row.hypercall,
    "kind": lambda row: row.kind,
    "use": lambda row: row.use.value,
    "verdict": lambda row: row.judged,
    "confidence": lambda row: row.confidence,
}
"""What --filter and --sort take."""


def filter_of(text: str) -> Filter:
    """A filter as the command line gives it. Raises AuditError."""
    match = re.fullmatch(r"\s*(\w+)\s*(!?=)\s*(.+?)\s*", text)
    if match is None or match[1] not in KEYS:
        raise AuditError(f"'{text}': a filter is KEY=GLOB or KEY!=GLOB; keys: {', '.join(KEYS)}")
    globs = tuple(glob.strip() for glob in match[3].split(",") if glob.strip())
    return Filter(match[1], globs, match[2] == "!=")


def keys_of(text: str) -> tuple[str, ...]:
    """Sort keys as the command line gives them. Raises AuditError."""
    keys = tuple(key for key in text.replace(",", " ").split())
    for key in keys:
        if key not in KEYS:
            raise AuditError(
                f"there is no key '{key}'{suggest(key, KEYS)}; keys: {', '.join(KEYS)}"
            )
    return keys


def audit(
    paths: Sequence[str],
    options: Options,
    rules: Sequence[RuleClass],
    knowledge: Knowledge | None = None,
    hypercall: str = "",
) -> Audit:
    """The sites in files and folders; with ``hypercall`` its sites only, and its contract. Raises
    AuditError when there is no such hypercall. Problems with an input become notifications."""
    code = open_code(paths[0] if paths else ".", options.tree, knowledge)
    base = Path(code.root)
    if not paths:
        paths = [str(base / folder) for folder in FOLDERS if (base / folder).is_dir()]
        if not paths:
            raise AuditError("there is no arch/arm64/kvm here; name a path or --tree")
    inputs = list(inputs_of(paths, base, code.whole))
    problems = [
        Notification(path, problem, failed=True) for path, problem in inputs if problem is not None
    ]
    files = [path for path, problem in inputs if problem is None]
    return audit_code(code, files, options, rules, hypercall, problems)


def audit_code(
    code: Codebase,
    files: Iterable[str],
    options: Options,
    rules: Sequence[RuleClass],
    hypercall: str = "",
    problems: Iterable[Notification] = (),
) -> Audit:
    """The sites in files of a codebase, wherever it is kept. ``problems`` are inputs that never
    became files. Raises AuditError when there is no such hypercall."""
    run = _Audit(code.program, options, _chosen(rules, options), hypercall)
    run.notifications += problems
    for path in files:
        run.file(path)
    rows = sorted(run.rows.values(), key=_place)
    contract = _contract(run, hypercall, rows) if hypercall else None
    run.explain(rows)
    notifications = sorted(
        dict.fromkeys(run.notifications),
        key=lambda n: (n.path, n.span.line if n.span else 0, n.function, n.message),
    )
    return Audit(tuple(rows), tuple(notifications), code.root, __version__, contract)


def alterations(before: Audit, after: Audit) -> tuple[Alteration, ...]:
    """What differs between two ledgers, by file and line of the later one. Sites are the same when
    function and hypercall are, and how many of those came before; in the same file, or else in one
    that was renamed."""
    pairs = _matched(_numbered(before.rows), _numbered(after.rows))
    found = [
        Alteration(old, new)
        for old, new in pairs
        if old is None or new is None or _facts(old) != _facts(new)
    ]
    return tuple(sorted(found, key=lambda one: _place(one.row)))


def _numbered(rows: Iterable[Row]) -> dict[tuple[str, str, str, int], Row]:
    counts: Counter[tuple[str, str, str]] = Counter()
    found: dict[tuple[str, str, str, int], Row] = {}
    for row in rows:
        key = (row.path, row.function, row.hypercall)
        found[(*key, counts[key])] = row
        counts[key] += 1
    return found


def _matched(
    before: dict[tuple[str, str, str, int], Row], after: dict[tuple[str, str, str, int], Row]
) -> Iterator[tuple[Row | None, Row | None]]:
    files = {key[0] for key in after}
    moved: dict[tuple[str, str, int], list[Row]] = {}
    for key, row in before.items():
        if key in after:
            continue
        if key[0] in files:  # a file that is still there was not renamed
            yield row, None
        else:
            moved.setdefault(key[1:], []).append(row)
    known = {key[0] for key in before}
    for key, row in after.items():
        old = before.get(key)
        if old is None and key[0] not in known and moved.get(key[1:]):
            old = moved[key[1:]].pop(0)
        yield old, row
    for rows in moved.values():
        yield from ((row, None) for row in rows)


def _facts(row: Row) -> tuple[object, ...]:
    return (row.kind, frozenset(row.names), row.use, row.verdict, row.assumed)


def arranged(found: Audit, filters: Sequence[Filter], keys: Sequence[str]) -> Audit:
    """The rows that pass every filter, in the order of the keys, then of file and line."""
    rows = [row for row in found.rows if all(f.keeps(row) for f in filters)]
    rows.sort(key=lambda row: ([KEYS[key](row) for key in keys], _place(row)))
    return replace(found, rows=tuple(rows))


def _place(row: Row) -> tuple[str, int, int]:
    return (row.path, row.line, row.column)


def _chosen(rules: Sequence[RuleClass], options: Options) -> tuple[RuleClass, ...]:
    return tuple(
        rule
        for rule in rules
        if (not options.select or rule.id in options.select) and rule.id not in options.ignore
    )


class _Audit:
    """One run's rows, by file and byte offset: a site that several preprocessor variants show is
    one row."""

    def __init__(
        self, program: Program, options: Options, rules: tuple[RuleClass, ...], hypercall: str
    ) -> None:
        self.program = program
        self.options = options
        self.rules = rules
        self.hypercall = hypercall
        self.rows: dict[tuple[str, int], Row] = {}
        self.notifications: list[Notification] = []
        self._errnos: dict[str, tuple[ErrnoLine, ...]] = {}

    def file(self, path: str) -> None:
        """All sites of a file; EL2's own files have none."""
        tree = self.program.tree
        if tree.world(path) is World.EL2:
            return
        try:
            unit = tree.unit(path, World.HOST)
        except SourceError as error:
            self.notifications.append(Notification(path, str(error), failed=True))
            return
        if self.hypercall and self.hypercall.encode() not in unit.file.data:
            return
        conflict = conflict_line(unit.file.data)
        if conflict:
            self.notifications.append(
                Notification(path, f"line {conflict}: a half-applied patch (conflict markers)")
            )
        module = self.program.module(unit, World.HOST)
        entries = {entry.name for entry in module.knowledge.tables.entries}
        names = [
            name
            for name, heads in module.heads.items()
            if any(unit.called(head) & entries for head in heads)
        ]
        for name in names:
            self._function(module, name)
        self.notifications += problems_of(unit, names)

    def _function(self, module: Module, name: str) -> None:
        try:
            explorations = module.explorations(name)
        except GivenUpError as error:
            self.notifications.append(gave_up(module, name, error))
            self._given_up(module, name)
            return
        for found in explorations:
            view = view_of(module, name, found)
            sites = self._wanted(hypercall_sites(found.ledger, module))
            findings = self._reported(view) if sites else []
            for at in sites:
                contract = module.hypercall(at.hypercall)
                verdict = {f.rule for f in findings if at.site in (f.site, f.origin)}
                use = use_of(view, at, contract)
                self._add(module, name, found.ledger, at, use, verdict)

    def _given_up(self, module: Module, name: str) -> None:
        """A function whose paths are too many still has its sites."""
        for head in module.heads[name]:
            try:
                ledger = Ledger(module.cfg(head))
            except GivenUpError:
                continue
            for at in self._wanted(hypercall_sites(ledger, module)):
                self._add(module, name, ledger, at, Use.UNKNOWN, set())

    def _wanted(self, sites: Iterable[HypercallSite]) -> list[HypercallSite]:
        return [at for at in sites if self.hypercall in ("", at.hypercall)]

    def _reported(self, view: FunctionPaths) -> list[Finding]:
        return [
            finding
            for finding in findings_in(view, self.rules)
            if not finding.severity < self.options.min_level
            and not finding.precision < self.options.min_precision
        ]

    def _add(
        self,
        module: Module,
        function: str,
        ledger: Ledger,
        at: HypercallSite,
        use: Use,
        verdict: set[str],
    ) -> None:
        file = module.unit.file
        op = ledger.ops[at.site]
        span = file.span(op.start, op.end)
        contract = module.hypercall(at.hypercall)
        twin = self.rows.get((file.path, op.start))
        if twin is not None:
            use = strongest((use, twin.use))
            verdict = verdict | set(twin.verdict)
        self.rows[file.path, op.start] = Row(
            file.path,
            span.line,
            span.column,
            function,
            at.hypercall,
            contract.kind.value,
            contract.fallible,
            contract.assumed,
            self.errnos(contract),
            use,
            tuple(sorted(verdict)),
        )

    def errnos(self, contract: HypercallContract) -> tuple[ErrnoLine, ...]:
        """The errnos of a contract with their EL2 lines."""
        found = self._errnos.get(contract.name)
        if found is None:
            lines = [self._errno(source) for source in contract.errnos if not source.callback]
            found = tuple(dict.fromkeys(line for line in lines if line is not None))
            self._errnos[contract.name] = found
        return found

    def _errno(self, source: ErrnoSource) -> ErrnoLine | None:
        try:
            file: SourceFile = self.program.tree.unit(source.path, World.EL2).file
        except SourceError:
            return None
        name = f"-{self.program.knowledge.errno_name(source.number)}"
        return ErrnoLine(name, source.path, file.line_of(source.offset), source.chain)

    def explain(self, rows: Sequence[Row]) -> None:
        """Say once for each hypercall why it is assumed to be able to fail."""
        tree = self.program.tree
        first = {row.hypercall: row for row in reversed(rows) if row.assumed}
        if first and not tree.has_el2:
            why = "no EL2 code was found, so every hypercall is assumed to be able to fail"
            self.notifications.append(Notification("", why))
            return
        for name in sorted(first):
            why = why_assumed(tree, self.program.hypercall(name), self.program.doubts)
            if why:
                message = f"{name} is assumed to be able to fail: {why}"
                self.notifications.append(Notification("", message))


def _contract(run: _Audit, name: str, rows: Sequence[Row]) -> Contract:
    program = run.program
    tree = program.tree
    prefix = tree.knowledge.tables.worlds.handler_prefix
    if not rows and prefix + name not in tree.handlers:
        known = {handler.removeprefix(prefix) for handler in tree.handlers}
        raise AuditError(f"there is no hypercall '{name}'{suggest(name, known)}")
    contract = program.hypercall(name)
    return Contract(
        name,
        contract.kind.value,
        contract.fallible,
        contract.assumed,
        contract.unset,
        _handler(program, prefix + name),
        run.errnos(contract),
        why_assumed(tree, contract, program.doubts),
    )


def _handler(program: Program, function: str) -> tuple[str, int]:
    for path in program.tree.handlers.get(function, ()):
        unit = program.tree.unit(path, World.EL2)
        for head in unit.heads:
            if head.name == function:
                return path, unit.file.line_of(head.name_start)
    return "", 0

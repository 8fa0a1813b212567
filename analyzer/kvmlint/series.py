"""A series of changes: what each of them brings, and which later one takes that away again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from kvmlint import exempt, suppress
from kvmlint.affected import MOST_VERSIONS, affected
from kvmlint.blame import Blame
from kvmlint.codebase import Codebase, Shared
from kvmlint.compare import compare
from kvmlint.diagnostic import Change, Diagnostic, Note, Notification, Origin
from kvmlint.fileresult import Functions
from kvmlint.hunk import Hunks
from kvmlint.runner import Options, Result, analyse
from kvmlint.source import SourceError, SourceFile, Sources
from kvmlint.tree.extent import HEADERS, host_files

if TYPE_CHECKING:
    from kvmlint.cache import Store
    from kvmlint.knowledge import Knowledge
    from kvmlint.rule import RuleClass

SUFFIXES = (".c", ".h")
"""What of a change matters."""


@dataclass(frozen=True, slots=True)
class Step:
    """One change: what the tree is after it, and the files that it changes (both names of one that
    is renamed). ``beyond`` are other trees that it builds on, as a merge does: what is in one of
    them is not brought by the change."""

    change: Change
    sources: Sources
    paths: tuple[str, ...]
    beyond: tuple[Sources, ...] = ()


@dataclass(frozen=True, slots=True)
class Series:
    """Changes one after the other, on top of ``base``. ``whole``: these are kernel trees; ``root``
    is what reports call their place."""

    base: Sources
    steps: tuple[Step, ...]
    root: str
    whole: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a series brings: findings with their origin, in the order of the series. The lines are
    those of the last version; of the change itself where a later one removes the finding. ``files``
    are texts of the last version, ``notifications`` what could be analysed before and can't now."""

    diagnostics: tuple[Diagnostic, ...]
    notifications: tuple[Notification, ...]
    statistics: tuple[tuple[str, str], ...]
    root: str
    files: Mapping[str, bytes]


def folders(knowledge: Knowledge) -> tuple[str, ...]:
    """Folders of a kernel tree that are always looked at: a change in one of them may matter
    anywhere."""
    worlds = knowledge.tables.worlds
    globs = (*worlds.el2, *worlds.both)
    return tuple(
        sorted({*worlds.host, *HEADERS, *(g.split("*")[0].rpartition("/")[0] for g in globs)})
    )


def examine(
    series: Series,
    options: Options,
    rules: Sequence[RuleClass],
    knowledge: Knowledge,
    store: Store,
) -> Outcome:
    """Analyse each version once, and compare neighbours."""
    run = _Run(series, options, rules, knowledge, store)
    steps = [(number, step) for number, step in enumerate(series.steps, 1) if run.matters(step)]
    run.choose([step.sources for _, step in steps])
    for number, step in steps:
        run.step(number, step)
    return run.outcome()


@dataclass(slots=True)
class _Version:
    code: Codebase
    result: Result


@dataclass(slots=True)
class _Brought:
    """One finding on its way through the versions. ``now`` is what it is in the latest one."""

    origin: Origin
    now: Diagnostic
    links: tuple[Note, ...] = ()


@dataclass(slots=True)
class _Run:
    series: Series
    options: Options
    rules: Sequence[RuleClass]
    knowledge: Knowledge
    store: Store
    shared: Shared = field(default_factory=Shared)
    latest: _Version | None = None
    alive: dict[int, _Brought] = field(default_factory=dict)
    removed: list[_Brought] = field(default_factory=list)
    notifications: list[Notification] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    _elsewhere: tuple[str, ...] | None = None
    _affected: Functions | None = None
    _codes: dict[int, Codebase] = field(default_factory=dict)

    # --- what is looked at -----------------------------------------------------------------------

    def matters(self, step: Step) -> bool:
        """Whether a change touches anything that an answer can come from."""
        always = tuple(f"{folder}/" for folder in folders(self.knowledge))
        return any(
            path.endswith(SUFFIXES) and (path.startswith(always) or path in self.elsewhere)
            for path in step.paths
        )

    @property
    def elsewhere(self) -> tuple[str, ...]:
        """C files outside of the host's folders that the series changes, sorted: those that issue
        a hypercall in some version, or have something to say to kvmlint."""
        if self._elsewhere is None:
            host = tuple(f"{folder}/" for folder in self.knowledge.tables.worlds.host)
            words = [entry.name.encode() for entry in self.knowledge.tables.entries]
            self._elsewhere = tuple(
                sorted(
                    {
                        path
                        for step in self.series.steps
                        for path in step.paths
                        if path.endswith(".c") and not path.startswith(host)
                        for sources in (self.series.base, step.sources)
                        for data in [_data(sources, path)]
                        if suppress.MARK in data or any(word in data for word in words)
                    }
                )
            )
        return self._elsewhere

    def choose(self, versions: Sequence[Sources]) -> None:
        """Find out in which functions the versions may differ: what is found in others is nothing
        that the series brings."""
        if self.series.whole and 0 < len(versions) < MOST_VERSIONS:
            every = (self.series.base, *versions)
            codes = [self.code(sources) for sources in every]
            self._codes = dict(zip(map(id, every), codes, strict=True))
            self._affected = affected(codes, self.store)
            self.counts["visits"] += sum(code.visits for code in codes)

    def code(self, sources: Sources) -> Codebase:
        """One version's code."""
        found = self._codes.get(id(sources))
        if found is None:
            about = (self.series.whole, self.series.root, self.knowledge, self.shared)
            found = Codebase(sources, *about)
        return found

    def _wanted(self, host: Iterable[str]) -> dict[str, frozenset[str] | None]:
        """The host files to look at, with the functions that may differ; None: take all of them."""
        wanted: dict[str, frozenset[str] | None] = {}
        for path in host:
            if self._affected is None or exempt.means(
                self.options.exemptions, self.series.root, path
            ):
                wanted[path] = None  # whether an entry still speaks for a finding: see all of them
            elif path in self._affected:
                wanted[path] = self._affected[path]
        return wanted

    def look(self, sources: Sources) -> _Version:
        """Analyse one version."""
        code = self.code(sources)
        visits = code.visits
        worlds = self.knowledge.tables.worlds
        wanted = self._wanted(host_files(sources, worlds) if self.series.whole else ())
        more = [path for path in self.elsewhere if sources.exists(path)]
        result = analyse(
            code,
            [*wanted, *more],
            # In one process, however many are allowed: what is explored here is there again for
            # the next version, and that saves more than any number of processes.
            replace(self.options, jobs=1),
            self.rules,
            store=self.store,
            folders=worlds.host if self.series.whole else (),
            functions=wanted,
        )
        self.counts["versions"] += 1
        self.counts["anew"] += int(dict(result.statistics)["files analysed anew"])
        self.counts["visits"] += code.visits - visits
        return _Version(code, result)

    # --- one change ------------------------------------------------------------------------------

    def step(self, number: int, step: Step) -> None:
        """Compare a version with the one before it."""
        before = self.latest or self.look(self.series.base)
        after = self.look(step.sources)
        found = compare(before.result, after.result)
        alive: dict[int, _Brought] = {}
        for old, now in found.kept:
            brought = self.alive.get(id(old))
            if brought is not None:
                brought.now = now
                alive[id(now)] = brought
        for old in found.gone:
            brought = self.alive.get(id(old))
            if brought is not None and brought.origin.new:
                brought.origin = replace(brought.origin, removed=step.change)
                if not self._told(brought, before.result, self.alive.values()):
                    self.removed.append(brought)
        hunks = Hunks(before.code, after.code, step.paths)
        for d in found.touched:
            if id(d) not in alive:
                origin = Origin(step.change, number, new=False, hunk=hunks.of(d))
                alive[id(d)] = _Brought(origin, d)
        known = self._known(step, after)
        blame = Blame(before.code, after.code, step.paths)
        for d in found.new:
            if id(d) not in known:
                links = blame.links(d)
                origin = Origin(step.change, number, hunk=hunks.of(d, links))
                alive[id(d)] = _Brought(origin, d, links)
        said = {_said(n) for n in before.result.notifications}
        self.notifications += [n for n in after.result.notifications if _said(n) not in said]
        self.alive, self.latest = alive, after

    def _known(self, step: Step, after: _Version) -> set[int]:
        """The findings that are in another tree that a change builds on."""
        known: set[int] = set()
        for sources in step.beyond:
            other = self.look(sources)
            known.update(id(now) for _, now in compare(other.result, after.result).kept)
        return known

    # --- the end ---------------------------------------------------------------------------------

    def outcome(self) -> Outcome:
        """All that was brought."""
        files: Mapping[str, bytes] = {}
        brought = list(self.removed)
        if self.latest is not None:
            result, alive = self.latest.result, self.alive.values()
            files = result.files
            brought += [one for one in alive if not self._told(one, result, alive)]
        diagnostics = [
            replace(b.now, origin=b.origin, related=(*b.now.related, *self._placed(b)))
            for b in brought
        ]
        return Outcome(
            tuple(sorted(diagnostics, key=_order)),
            tuple(dict.fromkeys(self.notifications)),
            (
                ("changes", str(len(self.series.steps))),
                ("versions analysed", str(self.counts["versions"])),
                ("files analysed anew", str(self.counts["anew"])),
                ("block visits", str(self.counts["visits"])),
                ("findings", str(len(diagnostics))),
            ),
            self.series.root,
            files,
        )

    @staticmethod
    def _told(brought: _Brought, result: Result, others: Collection[_Brought]) -> bool:
        """Whether the report of another finding that the series brings tells of this one."""
        d = brought.now
        return any(d is one for one in result.absorbed) and any(
            other.now.function == d.cause and other.now.related for other in others
        )

    def _placed(self, brought: _Brought) -> Iterator[Note]:
        """Links, on the lines of the last version if the finding is in it."""
        for note in brought.links:
            if brought.origin.removed is None and self.latest is not None:
                data = _data(self.latest.code.sources, note.span.path)
                yield _moved(note, SourceFile(note.span.path, data))
            else:
                yield note


def _moved(note: Note, file: SourceFile) -> Note:
    """A note on the nearest line with its text; where it was when there is none."""
    lines: Iterable[int] = range(1, file.data.count(b"\n") + 2)
    wanted, text = note.span.line, note.text
    if file.line_text(wanted).strip() == text:
        return note
    same = [line for line in lines if file.line_text(line).strip() == text]
    line = min(same, key=lambda line: abs(line - wanted), default=wanted)
    by = line - wanted
    span = replace(note.span, line=line, end_line=note.span.end_line + by)
    return replace(note, span=span)


def _data(sources: Sources, path: str) -> bytes:
    try:
        return sources.read(path)
    except SourceError:
        return b""


def _said(n: Notification) -> tuple[str, str, str]:
    return (n.path, n.function, n.message)


def _order(d: Diagnostic) -> tuple[int, tuple[str, int, int, str, str]]:
    return (d.origin.number if d.origin is not None else 0, d.sort_key())

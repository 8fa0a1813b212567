"""What in a change makes code wrong that the change itself doesn't touch."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from kvmlint.codebase import Codebase
from kvmlint.compare import changed_lines
from kvmlint.diagnostic import Diagnostic, Note
from kvmlint.explore.oracle import ErrnoSource, HypercallContract
from kvmlint.knowledge.model import World
from kvmlint.source import SourceError, SourceFile
from kvmlint.syntax.unit import FunctionHead, Unit
from kvmlint.tree.index import Site

_FAR = 8
"""Calls between a finding and the change that are followed."""
_MOST = 3
"""Links given for one finding."""


@dataclass(slots=True)
class Blame:
    """Two versions of one tree. ``paths`` are the files that differ."""

    before: Codebase
    after: Codebase
    paths: Collection[str]
    _changed: dict[Site, Note] | None = field(default=None)

    def links(self, d: Diagnostic) -> tuple[Note, ...]:
        """Where the change makes a finding of the later version possible; nothing for one in a
        function that is changed itself, unless what EL2 returns is different too."""
        links = tuple(self._contract(d.hypercall)) if d.hypercall else ()
        if links or not d.function or not self._untouched(d):
            return links[:_MOST]
        found = self._called(d) or self._calling(d) or list(self._anywhere())
        return tuple(found[:_MOST])

    # --- EL2 -------------------------------------------------------------------------------------

    def _contract(self, hypercall: str) -> Iterator[Note]:
        worlds = self.after.knowledge.tables.worlds
        globs = (*worlds.el2, *worlds.both)
        if not any(fnmatchcase(path, glob) for path in self.paths for glob in globs):
            return
        old = self.before.program.hypercall(hypercall)
        new = self.after.program.hypercall(hypercall)
        known = {source.number for source in old.errnos}
        fresh: dict[int, ErrnoSource] = {}
        for source in new.errnos:
            if source.number not in known and not source.callback:
                fresh.setdefault(source.number, source)
        handler = worlds.handler_prefix + hypercall
        for number, source in sorted(fresh.items()):
            name = f"-{self.after.program.knowledge.errno_name(number)}"
            file = _file(self.after, source.path, World.EL2)
            if file is not None:
                span = file.span(source.offset, source.offset + len(name))
                words = f"{handler}() can return {name} now: this change brings it"
                yield Note(span, file.line_text(span.line).strip(), words)
        if not fresh and _returns(old) != _returns(new):
            for path in self.after.program.tree.handlers.get(handler, ())[:1]:
                unit = _unit(self.after, path, World.EL2)
                for head in unit.heads if unit is not None else ():
                    if unit is not None and head.name == handler:
                        words = f"{handler}() {_returns(new)} now, and {_returns(old)} before"
                        yield _at(unit, head, words)
                        break

    # --- host code -------------------------------------------------------------------------------

    def _untouched(self, d: Diagnostic) -> bool:
        """Whether the function that a finding is in was the same before, in whatever file."""
        unit = _unit(self.after, d.span.path, World.HOST)
        if unit is None:
            return False
        now = _texts(unit, d.function)
        sites = self.before.program.index.calls
        paths = {path for path, name in sites if name == d.function} | {d.span.path}
        units = (_unit(self.before, path, World.HOST) for path in sorted(paths))
        return any(now and now == _texts(old, d.function) for old in units if old is not None)

    def _called(self, d: Diagnostic) -> list[Note]:
        """The nearest changed functions among those that a function calls."""
        index = self.after.program.index
        seen: set[Site] = {(d.span.path, d.function)}
        here = sorted(seen)
        for _ in range(_FAR):
            beyond: set[Site] = set()
            for path, function in here:
                for name in index.calls.get((path, function), ()):
                    where = index.resolve(path, name)
                    if where is not None:
                        beyond.add((where, name))
            here = sorted(beyond - seen)
            seen |= beyond
            found = [self._functions[site] for site in here if site in self._functions]
            if found or not here:
                return found
        return []

    def _calling(self, d: Diagnostic) -> list[Note]:
        """The changed functions that call it."""
        index = self.after.program.index
        callers = index.callers(d.span.path, d.function)
        return [self._functions[site] for site in sorted(callers) if site in self._functions]

    @property
    def _functions(self) -> dict[Site, Note]:
        """The host functions whose code differs, with what is said of them."""
        if self._changed is None:
            self._changed = {}
            for path in self.paths:
                new = _unit(self.after, path, World.HOST)
                if new is None:
                    continue
                old = _unit(self.before, path, World.HOST)
                for head in new.heads:
                    was = _texts(old, head.name) if old is not None else frozenset[bytes]()
                    if _texts(new, head.name) != was:
                        words = f"{head.name}() is {'changed' if was else 'new'}"
                        note = _at(new, head, f"{words} in this change")
                        self._changed.setdefault((path, head.name), note)
        return self._changed

    def _anywhere(self) -> Iterator[Note]:
        """The first line that the change touches in each file that may matter."""
        for path in sorted(self.paths):
            try:
                new = SourceFile(path, self.after.read(path))
            except SourceError:
                continue
            try:
                old = self.before.read(path)
            except SourceError:
                old = b""
            for line in sorted(changed_lines(old, new.data))[:1]:
                start = new.data.find(new.line_text(line).encode())
                span = new.span(start, start) if start >= 0 else new.span(0, 0)
                yield Note(span, new.line_text(line).strip(), "this change touches it")


def _returns(contract: HypercallContract) -> str:
    """What a handler does, in a word or two."""
    if contract.assumed:
        return "is not understood"
    if not contract.fallible and contract.kind.value in ("status", "nothing"):
        return "returns no error"
    return f"returns {contract.kind.value}" + ("" if contract.fallible else ", never an error")


def _unit(code: Codebase, path: str, world: World) -> Unit | None:
    try:
        return code.program.tree.unit(path, world)
    except SourceError:
        return None


def _file(code: Codebase, path: str, world: World) -> SourceFile | None:
    unit = _unit(code, path, world)
    return unit.file if unit is not None else None


def _texts(unit: Unit, function: str) -> frozenset[bytes]:
    """The definitions of a function, without white space."""
    data = unit.file.data
    return frozenset(
        b"".join(data[head.start : head.end].split())
        for head in unit.heads
        if head.name == function
    )


def _at(unit: Unit, head: FunctionHead, words: str) -> Note:
    span = unit.file.span(head.name_start, head.name_start + len(head.name))
    return Note(span, unit.file.line_text(span.line).strip(), words)

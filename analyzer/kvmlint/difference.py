"""In what two versions of a kernel tree differ: the text of functions, and what callers see of
them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace

from kvmlint.codebase import Codebase
from kvmlint.explore.oracle import HypercallContract, Summary
from kvmlint.explore.reuse import same
from kvmlint.knowledge.model import World
from kvmlint.program import Program
from kvmlint.source import SourceError
from kvmlint.syntax.mask import mask
from kvmlint.syntax.unit import Unit
from kvmlint.tree.extent import el2_files, headers, host_files


@dataclass(slots=True)
class Version:
    """One version: which files there are, and their text."""

    code: Codebase
    _files: dict[str, frozenset[World]] | None = None

    @property
    def files(self) -> dict[str, frozenset[World]]:
        """The files that answers come from, and the worlds in which they are read."""
        if self._files is None:
            sources, worlds = self.code.sources, self.code.knowledge.tables.worlds
            read = {
                World.HOST: {*host_files(sources, worlds), *headers(sources)},
                World.EL2: set(el2_files(sources, worlds)),
            }
            self._files = {
                path: frozenset(world for world in World if path in read[world])
                for path in sorted(set().union(*read.values()))
            }
        return self._files

    def agrees(self, other: Version) -> bool:
        """Whether both have the same entry points, and both or neither have code at EL2."""
        mine, its = self.code.program.knowledge, other.code.program.knowledge
        return mine.tables.entries == its.tables.entries and self._has_el2 == other._has_el2

    @property
    def _has_el2(self) -> bool:
        return any(World.EL2 in worlds for worlds in self.files.values())

    def units(self, world: World) -> Iterator[Unit]:
        """The files of a world, those that can be read."""
        for path in self.files:
            unit = self.unit(path, world)
            if unit is not None:
                yield unit

    def unit(self, path: str, world: World) -> Unit | None:
        """A file, parsed; None when it isn't there, or can't be read."""
        if world not in self.files.get(path, ()):
            return None
        try:
            return self.code.program.tree.unit(path, world)
        except SourceError:
            return None


@dataclass(slots=True)
class Step:
    """Two versions. ``functions`` are those of which the text differs, ``gone`` names of host
    functions that one version has and the other hasn't."""

    before: Version
    after: Version
    paths: set[str] = field(default_factory=set)
    functions: dict[World, set[str]] = field(default_factory=lambda: {w: set() for w in World})
    gone: set[str] = field(default_factory=set)
    _where: dict[str, set[str]] | None = None

    def compare(self) -> Iterator[tuple[World, Unit]]:
        """Find what differs; the files of the later version that do."""
        for path in sorted(self.before.files.keys() | self.after.files.keys()):
            blob = self.before.code.blob(path)
            if blob and blob == self.after.code.blob(path):
                continue  # a file that can't be read may be another one
            self.paths.add(path)
            for world in World:
                old, new = self.before.unit(path, world), self.after.unit(path, world)
                shapes, others = _shapes(old), _shapes(new)
                names = shapes.keys() | others.keys()
                if old is None or new is None or _around(old) == _around(new):
                    names = {name for name in names if shapes.get(name) != others.get(name)}
                self.functions[world] |= names
                if world is World.HOST:
                    self.gone |= shapes.keys() ^ others.keys()
                if new is not None:
                    yield world, new

    def differs(self, function: str) -> bool:
        """Whether callers of a host function may see a difference."""
        if self._where is None:
            self._where = {}
            for version in (self.before, self.after):
                for path, name in version.code.program.index.calls:
                    self._where.setdefault(name, set()).add(path)
        programs = self.before.code.program, self.after.code.program
        for path in sorted(self._where.get(function, ())):
            (old, *told), (new, *tells) = (_seen(program, path, function) for program in programs)
            if told != tells or not same(old, new):
                return True
        return False

    def hypercalls(self, functions: Collection[str]) -> list[str]:
        """How the host names the hypercalls that some of these EL2 functions handle, and of which
        the contract differs."""
        old, new = self.before.code.program, self.after.code.program
        handler = new.knowledge.tables.worlds.handler_prefix
        prefixes = sorted({"", *(entry.prefix for entry in new.knowledge.tables.entries)})
        return [
            name.removeprefix(handler).removeprefix(prefix)
            for name in sorted(functions)
            if name.startswith(handler)
            and _promised(old, name.removeprefix(handler))
            != _promised(new, name.removeprefix(handler))
            for prefix in prefixes
        ]


def _seen(program: Program, path: str, function: str) -> tuple[Summary | None, tuple[bool, ...]]:
    """What a caller sees of a function of a file, nothing where it isn't there."""
    called = program.index.calls.get((path, function))
    if called is None:
        return None, ()
    helps = any(program.knowledge.effects(name) for name in called)
    public = path in program.index.public.get(function, ())
    try:
        summary = program.host_module(path).own_summary(function)
    except SourceError:
        return None, ()
    return summary, (helps, public, program.may_reach(path, function))


def _promised(program: Program, hypercall: str) -> tuple[object, ...]:
    """What the host sees of a hypercall."""
    contract: HypercallContract = program.hypercall(hypercall)
    errnos = frozenset((source.number, source.callback) for source in contract.errnos)
    return (replace(contract, errnos=()), errnos, program.may_fail(hypercall))


def _shapes(unit: Unit | None) -> dict[str, set[tuple[bytes, bytes]]]:
    """The functions of a file: their text as it stands, and as each preprocessor variant shows
    it."""
    found: dict[str, set[tuple[bytes, bytes]]] = {}
    if unit is not None:
        for head in unit.heads:
            shape = (unit.file.data[head.start : head.end], unit.text(head))
            found.setdefault(head.name, set()).add(shape)
    return found


def _around(unit: Unit) -> tuple[list[bytes], list[tuple[str, str]]]:
    """What in a file is nobody's own: words outside of functions, preprocessor lines there, and
    macros wherever they are defined."""
    masked = mask(unit.file.data)
    text = bytearray(masked.text)
    for head in unit.heads:
        text[head.start : head.end] = b" " * (head.end - head.start)
    lines = [
        (directive.keyword, directive.text)
        for directive in masked.directives
        if directive.keyword in ("define", "undef")
        or not any(head.start <= directive.start < head.end for head in unit.heads)
    ]
    return bytes(text).split(), lines

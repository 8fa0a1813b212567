"""One kernel tree (or a lone file): worlds, entry-point macros, and where EL2 code is."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from kvmlint.knowledge import Knowledge
from kvmlint.knowledge.model import EntryPoint, Value, World
from kvmlint.source import SourceError, SourceFile, Sources
from kvmlint.syntax.ast import Define
from kvmlint.syntax.unit import Dialect, Unit, parse
from kvmlint.trace import Trace
from kvmlint.tree.extent import el2_files, headers

_FUNCTION = re.compile(
    rb"(?m)^(?![ \t#/*{}])[^;{}()=\n]*?\n?\b([A-Za-z_]\w*)\([^;{}]*\)[^;{}()]*\n?\{"
)
_CONFLICT = re.compile(rb"(?m)^(?:<{7}|>{7}) ")


@dataclass(slots=True)
class Tree:
    """What is known of a tree, filled on demand. ``sources`` is the only way to its text; ``units``
    are files that were parsed before, of this tree or of another version of it."""

    sources: Sources
    knowledge: Knowledge
    whole: bool
    dialect: Dialect = field(default_factory=Dialect.default)
    trace: Trace = field(default_factory=Trace)
    units: dict[tuple[str, str], Unit] = field(default_factory=dict)
    _units: dict[tuple[str, World], Unit] = field(default_factory=dict)
    _el2: dict[str, str] | None = None
    _handlers: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _conflicts: dict[str, int] = field(default_factory=dict)

    def world(self, path: str) -> World:
        """The world that code in a file belongs to, taken as host where it belongs to both."""
        worlds = self.knowledge.tables.worlds
        if any(fnmatchcase(path, glob) for glob in worlds.el2):
            return World.EL2
        return World.HOST

    def data(self, path: str) -> bytes:
        """The bytes of a file. Raises SourceError."""
        self.trace.asks("file", path)
        return self.sources.read(path)

    def unit(self, path: str, world: World) -> Unit:
        """A file, parsed. Raises SourceError."""
        self.trace.asks("file", path)
        key = (path, world)
        found = self._units.get(key)
        if found is None:
            data = self.data(path)
            found = self.units.get((path, world.value))
            if found is None or found.file.data != data:
                found = self.parse(SourceFile(path, data), world)
            self._units[key] = self.units[path, world.value] = found
        return found

    def parse(self, file: SourceFile, world: World) -> Unit:
        """Text that is already at hand (standard input), parsed."""
        defined = (
            frozenset(("__KVM_NVHE_HYPERVISOR__",)) if world is World.EL2 else frozenset[str]()
        )
        return parse(file, self.dialect, defined)

    # --- entry points ----------------------------------------------------------------------------

    def entries(self) -> tuple[EntryPoint, ...]:
        """Entry points defined by macros in the tree's headers: a body that uses an entry point and
        forwards its first parameter makes the macro one."""
        if not self.whole:
            return ()
        known = {entry.name: entry for entry in self.knowledge.tables.entries}
        defines: list[Define] = []
        for path in headers(self.sources):
            try:
                data = self.data(path)
            except SourceError:
                continue
            if any(entry.encode() in data for entry in known):
                defines.extend(self.unit(path, World.HOST).defines)
        return macro_entries(defines, known)

    # --- EL2 -------------------------------------------------------------------------------------

    def el2_file(self, function: str) -> str | None:
        """The EL2 file that defines a function, or None."""
        self.trace.asks("el2", function)
        return self._el2_files().get(function)

    def _el2_files(self) -> dict[str, str]:
        if self._el2 is None:
            self._el2 = {}
            if self.whole:
                self._scan()
        return self._el2

    def handler_file(self, hypercall: str) -> str | None:
        """The file that defines the handler of a hypercall, or None."""
        name = self.knowledge.tables.worlds.handler_prefix + hypercall
        return self.el2_file(name)

    @property
    def has_el2(self) -> bool:
        """Whether any EL2 code was found."""
        self.trace.asks("el2 at all")
        return bool(self._el2_files())

    @property
    def handlers(self) -> dict[str, tuple[str, ...]]:
        """The functions that are named like handlers, with the files that define them."""
        self._el2_files()
        return self._handlers

    def files_handling(self, handler: str) -> tuple[str, ...]:
        """The files that define a handler, the nearest first."""
        self.trace.asks("handlers", handler)
        return self.handlers.get(handler, ())

    @property
    def conflicts(self) -> dict[str, int]:
        """EL2 files with conflict markers, and the line of the first."""
        self.trace.asks("conflicts")
        self._el2_files()
        return self._conflicts

    def parsed(self, world: World) -> list[Unit]:
        """The files of a world that were parsed so far."""
        return [unit for (_, of), unit in self._units.items() if of is world]

    def _scan(self) -> None:
        assert self._el2 is not None
        links: set[str] = set()
        worlds = self.knowledge.tables.worlds
        for path in el2_files(self.sources, worlds):
            try:
                data = self.data(path)
            except SourceError:
                continue
            conflict = conflict_line(data)
            if conflict:
                self._conflicts[path] = conflict
            for match in _FUNCTION.finditer(data):
                name = match[1].decode("ascii", "replace")
                # A header's is a stub where there is one to be linked.
                linked = path.endswith(".c") and b"static" not in match[0].split()
                if name not in self._el2 or (linked and name not in links):
                    self._el2[name] = path
                if linked:
                    links.add(name)
                if name.startswith(worlds.handler_prefix):
                    files = dict.fromkeys((*self._handlers.get(name, ()), path))
                    self._handlers[name] = tuple(files)


def conflict_line(data: bytes) -> int:
    """The line (1-based) of the first conflict marker that a patch left behind; 0: none."""
    found = _CONFLICT.search(data)
    return data.count(b"\n", 0, found.start()) + 1 if found else 0


def macro_entries(defines: list[Define], known: dict[str, EntryPoint]) -> tuple[EntryPoint, ...]:
    """Entry points among macros: those whose body uses a known entry point (or one found here)
    and forwards a parameter as the hypercall's name."""
    found: dict[str, EntryPoint] = {}
    changed = True
    while changed:
        changed = False
        for define in defines:
            if define.name in known or define.name in found or not define.parameters:
                continue
            entry = _forwards(define, {**known, **found})
            if entry is not None:
                found[define.name] = entry
                changed = True
    return tuple(found[name] for name in sorted(found))


def _forwards(define: Define, known: dict[str, EntryPoint]) -> EntryPoint | None:
    assert define.parameters is not None
    for name, entry in known.items():
        for match in re.finditer(rf"\b{re.escape(name)}\s*\(\s*", define.body):
            rest = define.body[match.end() :]
            if entry.function != 1:
                continue
            if entry.wrapper:
                wrapped = re.match(rf"{re.escape(entry.wrapper)}\s*\(\s*", rest)
                if wrapped is None:
                    continue
                rest = rest[wrapped.end() :]
            argument = re.match(r"(?:(\w+)\s*##\s*)?(\w+)\s*[,)]", rest)
            if argument is None or argument[2] not in define.parameters:
                continue
            index = define.parameters.index(argument[2]) + 1
            body = define.body.strip()
            statement = body.startswith("do") and not body.startswith("({")
            value = Value.NONE if statement or entry.value is Value.NONE else Value.RESULT
            return EntryPoint(
                define.name, value, index, "", argument[1] or entry.prefix, excludes=entry.excludes
            )
    return None

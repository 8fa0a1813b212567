"""The code that a run is about: where its text comes from, and the program made of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from kvmlint.knowledge import Knowledge, builtin
from kvmlint.source import FolderSources, Identified, SourceError, Sources
from kvmlint.trace import Question
from kvmlint.tree.extent import find_root, whole_extent

if TYPE_CHECKING:
    from kvmlint.explore.reuse import Reuse
    from kvmlint.program import Program
    from kvmlint.syntax.unit import Unit


@dataclass(slots=True)
class Shared:
    """What versions of one tree have in common: parsed files by path and world, and explored
    functions. Used again where it is the same."""

    units: dict[tuple[str, str], Unit] = field(default_factory=dict)
    reuse: Reuse | None = None


@dataclass(slots=True)
class Codebase:
    """A kernel tree (``whole``), or files outside any. ``root`` is what reports call the folder
    that paths are relative to. ``shared`` is what other versions of the same tree were read for,
    too; ``answers`` are those to questions of a trace that were asked before."""

    sources: Sources
    whole: bool
    root: str
    knowledge: Knowledge = field(default_factory=builtin)
    shared: Shared = field(default_factory=Shared)
    answers: dict[Question, str] = field(default_factory=dict)
    _program: Program | None = None
    _data: dict[str, bytes | SourceError] = field(default_factory=dict)
    _stamp: str | None = None

    @property
    def program(self) -> Program:
        """The program, made when it is asked for first: a run may do without."""
        if self._program is None:
            from kvmlint.explore.reuse import Reuse
            from kvmlint.program import Program
            from kvmlint.tree.tree import Tree

            tree = Tree(_Read(self), self.knowledge, self.whole, units=self.shared.units)
            entries = tree.entries()
            knowledge = self.knowledge.with_entries(entries) if entries else self.knowledge
            self.shared.reuse = self.shared.reuse or Reuse()
            self._program = Program(tree, knowledge, reuse=self.shared.reuse)
        return self._program

    @property
    def visits(self) -> int:
        """Block visits that its exploration took so far."""
        return self._program.visits if self._program is not None else 0

    def read(self, path: str) -> bytes:
        """The bytes of a file, the same for all of a run. Raises SourceError."""
        found = self._data.get(path)
        if found is None:
            try:
                found = self.sources.read(path)
            except SourceError as error:
                found = error
            self._data[path] = found
        if isinstance(found, SourceError):
            raise found
        return found

    def blob(self, path: str) -> str:
        """What tells a file's text from any other: git's name of a blob that holds it; '' for a
        file that can't be read."""
        if isinstance(self.sources, Identified):
            return self.sources.blob(path) or ""
        try:
            data = self.read(path)
        except SourceError:
            return ""
        return hashlib.sha1(b"blob %d\0%b" % (len(data), data), usedforsecurity=False).hexdigest()

    @property
    def stamp(self) -> str:
        """What tells this tree from any other, as far as answers about it can come from: hex."""
        if self._stamp is None:
            made = hashlib.sha256()
            if self.whole:
                for path in whole_extent(self.sources, self.knowledge.tables.worlds):
                    made.update(f"{path}\0{self.blob(path)}\0".encode("utf-8", "surrogateescape"))
            self._stamp = made.hexdigest()
        return self._stamp


@dataclass(frozen=True, slots=True)
class _Read:
    """A codebase's sources, each file read once."""

    code: Codebase

    def read(self, path: str) -> bytes:
        return self.code.read(path)

    def exists(self, path: str) -> bool:
        return self.code.sources.exists(path)

    def walk(self, folder: str, suffixes: tuple[str, ...]) -> Iterator[str]:
        return self.code.sources.walk(folder, suffixes)


def open_code(first: str, tree: str | None, knowledge: Knowledge | None = None) -> Codebase:
    """The code around the path that was named first. ``tree`` is its root when the user named
    it."""
    root = Path(tree).resolve() if tree else find_root(Path(first))
    base = root if root is not None else Path.cwd()
    return Codebase(
        FolderSources(base),
        root is not None,
        str(base),
        knowledge if knowledge is not None else builtin(),
    )

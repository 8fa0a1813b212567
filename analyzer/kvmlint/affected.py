"""Which functions the changes of a series can matter to.

What is found in a function comes from its own text, from what it sees of the functions that it
names (their summaries, and where they are), from the contracts of its hypercalls, and from the
functions that call it. Beginning at what the changes touch, whoever mentions a name is followed as
long as there is a difference to be seen. All other functions give the same findings in every
version, so that nobody has to look at them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from kvmlint import __version__, record
from kvmlint.cache import Key, Store
from kvmlint.codebase import Codebase
from kvmlint.difference import Step, Version
from kvmlint.fileresult import Functions
from kvmlint.knowledge.model import World
from kvmlint.recall import tool
from kvmlint.suppress import MARK
from kvmlint.syntax.unit import Unit
from kvmlint.tree.tree import conflict_line

MOST_VERSIONS = 32
"""Versions that are kept in memory together. Of longer series nothing is left out."""


def affected(versions: Sequence[Codebase], store: Store) -> Functions | None:
    """The functions of host files in which versions of a kernel tree (at least one; each made from
    the one before it) may differ in what is found, or in what is said of comments to kvmlint. Every
    file that a version changes is among them. None: anything may be affected. What was found out of
    the same trees before is in ``store``."""
    about = ("affected", __version__, tool(), versions[0].knowledge.digest)
    run = hashlib.sha256("\0".join(about).encode()).hexdigest()
    trees = "\0".join((run, *(code.stamp for code in versions)))
    key = Key(run, "", "", hashlib.sha256(trees.encode()).hexdigest())
    for _, _, kept in store.at([key]).values():
        with suppress(ValueError):
            return record.read(_Kept, kept).functions()
    for code in versions:
        code.program.trace.on = True  # what is made here is used again where it is asked for
    found = _Affected([Version(code) for code in versions]).functions()
    store.keep([(key, "[]", record.write(_kept(found)))], [])
    return found


@dataclass(frozen=True, slots=True)
class _File:
    path: str
    functions: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class _Kept:
    """What the store keeps of an answer."""

    files: tuple[_File, ...] | None

    def functions(self) -> Functions | None:
        if self.files is None:
            return None
        return {f.path: None if f.functions is None else frozenset(f.functions) for f in self.files}


def _kept(found: Functions | None) -> _Kept:
    if found is None:
        return _Kept(None)
    files = (
        (path, None if names is None else tuple(sorted(names))) for path, names in found.items()
    )
    return _Kept(tuple(_File(*file) for file in sorted(files, key=lambda file: file[0])))


@dataclass(slots=True)
class _Affected:
    """``texts`` are the files of the first version, and what later ones make of them; ``reached``
    the host functions that a change was followed to."""

    versions: Sequence[Version]
    texts: dict[World, list[Unit]] = field(default_factory=lambda: {w: [] for w in World})
    changed: set[str] = field(default_factory=set)
    reached: set[str] = field(default_factory=set)

    def functions(self) -> Functions | None:
        first = self.versions[0]
        self.texts[World.HOST] = list(first.units(World.HOST))
        for before, after in zip(self.versions, self.versions[1:], strict=False):
            if not before.agrees(after):
                return None
            step = Step(before, after)
            changed = list(step.compare())
            if step.functions[World.EL2] and not self.texts[World.EL2]:
                self.texts[World.EL2] = list(first.units(World.EL2))
            for world, unit in changed:
                if world is World.EL2 and conflict_line(unit.file.data):
                    return None
                self.texts[world].append(unit)
            self.changed |= step.paths
            self._follow(step)
        return self._found()

    def _found(self) -> Functions:
        # What is found in a function may hang on its callers, too.
        called = (
            unit.called(head)
            for unit in self.texts[World.HOST]
            for head in unit.heads
            if head.name in self.reached
        )
        names = self.reached.union(*called)
        found: dict[str, set[str]] = {path: set() for path in self.changed}
        for unit in self.texts[World.HOST]:
            here = names.intersection(head.name for head in unit.heads)
            if here:
                found.setdefault(unit.file.path, set()).update(here)
        some = {path: frozenset(here) for path, here in found.items()}
        # Whether a comment still speaks for a finding: see all of them.
        marked = {u.file.path for u in self.texts[World.HOST] if MARK in u.file.data}
        return {**some, **dict.fromkeys(marked)}

    # --- whom a change reaches -------------------------------------------------------------------

    def _follow(self, step: Step) -> None:
        """Find the host functions that see a difference between two versions."""
        seen = set(step.functions[World.HOST])
        self.reached |= seen
        pending = [name for name in sorted(seen) if name in step.gone or step.differs(name)]
        pending += sorted(self._inverses(step.gone))
        handlers = self._naming(World.EL2, step.functions[World.EL2])
        pending += step.hypercalls(handlers)
        while pending:
            name = pending.pop()
            for other in sorted(self._mentioning(World.HOST, name) - seen):
                seen.add(other)
                self.reached.add(other)
                if step.differs(other):
                    pending.append(other)

    def _naming(self, world: World, names: Collection[str]) -> set[str]:
        """These functions, those that mention one of them, and so on."""
        found = set(names)
        pending = sorted(found)
        while pending:
            more = self._mentioning(world, pending.pop()) - found
            found |= more
            pending += sorted(more)
        return found

    def _mentioning(self, world: World, name: str) -> set[str]:
        return set().union(*(unit.mentioning(name) for unit in self.texts[world]))

    def _inverses(self, gone: Collection[str]) -> Iterator[str]:
        """The functions of which a name that comes or goes may be the inverse."""
        knowledge = self.versions[0].code.program.knowledge
        names = {h.name for unit in self.texts[World.HOST] for h in unit.heads} if gone else ()
        for name in names:
            verb = knowledge.verb_inverse(name)
            guesses = (*knowledge.inverse_names(name), *([verb[0]] if verb else []))
            if not set(guesses).isdisjoint(gone):
                yield name

"""Edits of several files of a tree at once, and runs of kvmlint on the copies they are made in."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import tempfile
import textwrap
from collections.abc import Iterable
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from tests.kernel.copies import Pair, run
from tests.kernel.edit import Version
from tests.kernel.operators import EditError, Step, body

from kvmlint.codebase import Shared
from kvmlint.diagnostic import Diagnostic

FOLDERS = ("arch/arm64/kvm", "arch/arm64/include/asm", "virt/kvm")
"""What of a kernel tree is copied."""


@dataclass(frozen=True, slots=True)
class Change:
    """Steps on a function of a file ('' for steps that don't need one)."""

    path: str
    function: str
    steps: tuple[Step, ...] = field(repr=False)


def change(path: str, function: str, *steps: Step) -> Change:
    return Change(path, function, steps)


def whole(path: str, *steps: Step) -> Change:
    """Steps on a file that are about no function of it."""
    return Change(path, "", steps)


@dataclass(frozen=True, slots=True)
class Base:
    """What edits start from: a kernel ('6.12' or '6.1') with some functions corrected."""

    name: str
    kernel: str
    changes: tuple[Change, ...] = field(repr=False)

    def but(self, name: str, *changes: Change) -> Base:
        return Base(name, self.kernel, (*self.changes, *changes))

    def breaks(
        self,
        name: str,
        rules: str,
        hypercalls: str,
        where: tuple[str, str],
        *changes: Change,
        also: tuple[tuple[str, str], ...] = (),
    ) -> CrossEdit:
        """One of the rules (separated by blanks) must report ``where`` (file, function), or one
        of ``also``."""
        return CrossEdit(
            name,
            self,
            changes,
            frozenset(rules.split()),
            frozenset(hypercalls.split()),
            where,
            also=also,
        )

    def keeps(self, name: str, *changes: Change, seen: tuple[str, ...] = ()) -> CrossEdit:
        """Nothing new may be reported in the files that are edited, nor in those of ``seen``."""
        return CrossEdit(name, self, changes, seen=seen)


@dataclass(frozen=True, slots=True)
class CrossEdit:
    """An edit. The files that it touches and that of ``where`` are looked at, and ``seen``."""

    name: str
    base: Base
    changes: tuple[Change, ...] = field(repr=False)
    rules: frozenset[str] = frozenset()
    hypercalls: frozenset[str] = frozenset()
    where: tuple[str, str] = ("", "")
    seen: tuple[str, ...] = ()
    also: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return "-".join(part for part in (self.base.name, self.where[1], self.name) if part)

    @property
    def paths(self) -> tuple[str, ...]:
        """Host files to look at; EL2's and headers are read when a file needs them."""
        places = {self.where[0], *(path for path, _ in self.also)}
        named = {c.path for c in self.changes} | places | {*self.seen}
        return tuple(
            sorted(p for p in named if p.endswith(".c") and not p.startswith(f"{FOLDERS[0]}/hyp/"))
        )


def changes_of(version: Version) -> tuple[Change, ...]:
    """The corrections of a file's version, as changes."""
    return tuple(Change(version.path, function, steps) for function, steps in version.fixes)


def swap(old: str, new: str) -> Step:
    """Replaces text that stands once in the file (a prototype, a function's head)."""

    def step(text: str, function: str) -> str:
        if text.count(old) != 1:
            raise EditError(f"{old!r} occurs {text.count(old)} times")
        return text.replace(old, new)

    return step


def renamed(old: str, new: str) -> Step:
    """Renames a function wherever the file names it, comments aside or not."""

    def step(text: str, function: str) -> str:
        if f"{old}(" not in text:
            raise EditError(f"no {old}()")
        return text.replace(f"{old}(", f"{new}(")

    return step


def append(code: str) -> Step:
    """Adds code at the end of the file."""
    return lambda text, function: f"{text.rstrip()}\n\n{textwrap.dedent(code).strip()}\n"


def gone(head: str) -> Step:
    """Deletes the definition of the function, which begins with the text ``head``."""

    def step(text: str, function: str) -> str:
        end = body(text, function).end
        start = text.rfind(head, 0, end)
        if start < 0:
            raise EditError(f"no {head!r}")
        return text[:start] + text[end:].lstrip("\n")

    return step


def texts_of(root: Path, changes: Iterable[Change]) -> dict[str, str]:
    """The text of each file that changes touch, afterwards."""
    texts: dict[str, str] = {}
    for one in changes:
        old = texts.get(one.path) or (root / one.path).read_text(encoding="utf-8")
        new = old
        for step in one.steps:
            new = step(new, one.function)
        assert new != old, one
        texts[one.path] = new
    return texts


@dataclass(frozen=True, slots=True)
class _Copy:
    """A tree that may be written to; every run leaves it as it was."""

    root: Path
    seen: dict[tuple[str, tuple[str, ...]], tuple[Diagnostic, ...]] = field(default_factory=dict)
    shared: Shared = field(default_factory=Shared)

    def run(self, paths: tuple[str, ...], texts: dict[str, str]) -> tuple[Diagnostic, ...]:
        """Findings in some files while other text stands in some."""
        return run(self.root, self.shared, paths, texts).diagnostics

    def pair(self, edit: CrossEdit) -> Pair:
        key = (edit.base.name, edit.paths)
        if key not in self.seen:
            self.seen[key] = self.run(edit.paths, texts_of(self.root, edit.base.changes))
        after = texts_of(self.root, (*edit.base.changes, *edit.changes))
        return Pair(self.seen[key], self.run(edit.paths, after))


_own: dict[str, _Copy] = {}
"""The copies that belong to this worker process, by kernel."""

_edits: dict[str, CrossEdit] = {}
"""What the workers, forked, look edits up in: steps are functions and can't be sent."""


def _pair(name: str, source: Path, below: Path) -> Pair:
    edit = _edits[name]
    if edit.base.kernel not in _own:
        root = Path(tempfile.mkdtemp(dir=below))
        for folder in FOLDERS:
            shutil.copytree(source / folder, root / folder)
        _own[edit.base.kernel] = _Copy(root)
    return _own[edit.base.kernel].pair(edit)


class CrossRuns:
    """Many edits, begun at once; ``result`` waits for one. ``sources`` are trees by kernel."""

    def __init__(self, sources: dict[str, Path], below: Path, edits: Iterable[CrossEdit]) -> None:
        asked = [edit for edit in edits if edit.base.kernel in sources]
        _edits.update({str(edit): edit for edit in asked})
        self._pool = ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("fork"))
        self._runs: dict[str, Future[Pair]] = {
            str(edit): self._pool.submit(_pair, str(edit), sources[edit.base.kernel], below)
            for edit in asked
        }

    def result(self, edit: CrossEdit) -> Pair:
        return self._runs[str(edit)].result()

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)

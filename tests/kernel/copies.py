"""Runs of kvmlint on edited copies of a tree, in as many processes as there are processors."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import tempfile
from collections.abc import Iterable
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from tests.kernel.edit import Edit, Version
from tests.kernel.edits import SUBJECTS, tree_of

from kvmlint.codebase import Codebase, Shared
from kvmlint.diagnostic import Diagnostic
from kvmlint.knowledge import builtin
from kvmlint.runner import Options, Result, analyse
from kvmlint.source import FolderSources
from kvmlint_rules import RULES

FOLDERS = ("arch/arm64/kvm", "arch/arm64/include/asm")
"""What of a kernel tree is copied."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Findings in a version of a file, and after an edit of it (the same ones for no edit)."""

    before: tuple[Diagnostic, ...]
    after: tuple[Diagnostic, ...]


def run(root: Path, shared: Shared, paths: tuple[str, ...], texts: dict[str, str]) -> Result:
    """What is found in some files of a tree while other text stands in some; the tree is left as it
    was. ``shared`` is kept from run to run."""
    old = {name: (root / name).read_bytes() for name in texts}
    try:
        for name, text in texts.items():
            (root / name).write_text(text, encoding="utf-8")
        code = Codebase(FolderSources(root), True, str(root), builtin(), shared)
        return analyse(code, paths, Options(), RULES)
    finally:
        for name, data in old.items():
            (root / name).write_bytes(data)


@dataclass(frozen=True, slots=True)
class Copy:
    """A tree that may be written to; every run leaves it as it was."""

    root: Path
    seen: dict[Version, tuple[Diagnostic, ...]] = field(default_factory=dict)
    shared: Shared = field(default_factory=Shared)

    def run(self, path: str, texts: dict[str, str]) -> tuple[Diagnostic, ...]:
        """Findings in one file while other text stands in some files."""
        result = run(self.root, self.shared, (path,), texts)
        assert not result.notifications, result.notifications
        return result.diagnostics

    def text(self, path: str) -> str:
        return (self.root / path).read_text(encoding="utf-8")

    def version(self, version: Version) -> tuple[Diagnostic, ...]:
        if version not in self.seen:
            text = version.apply(self.text(version.path))
            self.seen[version] = self.run(version.path, {version.path: text})
        return self.seen[version]

    def pair(self, subject: Edit | Version) -> Pair:
        if isinstance(subject, Version):
            return Pair(self.version(subject), self.version(subject))
        path = subject.version.path
        texts = {path: subject.version.apply(self.text(path))}
        changed = subject.el2 or path
        old = texts.get(changed) or self.text(changed)
        texts[changed] = subject.apply(old)
        assert texts[changed] != old
        return Pair(self.version(subject.version), self.run(path, texts))


_own: dict[str, Copy] = {}
"""The copies that belong to this worker process, by the tree's name."""


def _pair(name: str, source: Path, below: Path) -> Pair:
    subject = SUBJECTS[name]
    tree = tree_of(subject)
    if tree not in _own:
        root = Path(tempfile.mkdtemp(dir=below))
        for folder in FOLDERS:
            if (source / folder).is_dir():
                shutil.copytree(source / folder, root / folder)
        _own[tree] = Copy(root)
    return _own[tree].pair(subject)


class Runs:
    """Many subjects, begun at once; ``result`` waits for one. ``sources`` are trees by name."""

    def __init__(self, sources: dict[str, Path], below: Path, names: Iterable[str]) -> None:
        # Steps are functions and can't be sent: a worker, forked, looks its subject up by name.
        self._pool = ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("fork"))
        self._runs: dict[str, Future[Pair]] = {
            name: self._pool.submit(_pair, name, sources[tree_of(SUBJECTS[name])], below)
            for name in names
            if tree_of(SUBJECTS[name]) in sources
        }

    def result(self, name: str) -> Pair:
        return self._runs[name].result()

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)

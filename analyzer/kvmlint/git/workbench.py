"""A workbench beside a repository: where patches are applied, and nothing of it changes.

It has an index and a folder of objects of its own, both temporary; the repository's objects can be
read through it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from kvmlint.git.command import GitError
from kvmlint.git.objects import Commit, Objects
from kvmlint.git.repository import Repository
from kvmlint.git.sources import GitSources

RECENT = 300
"""Commits below HEAD among which a patch is looked for that is applied already."""


@dataclass(slots=True)
class Workbench:
    """``repository`` is the user's, seen through the temporary index and objects. The index holds
    the tree that was made last: of a series only the first patch has to read one."""

    repository: Repository
    _index: str = ""

    def apply(self, tree: str, patch: bytes, strip: int = 1, *, undo: bool = False) -> str:
        """The tree that a patch makes of a tree; ids of tree objects. ``strip`` folders are taken
        off its names; ``undo``: the tree that it was made from. Raises GitError with git's text:
        'patch failed: FILE:LINE' for a hunk that doesn't fit."""
        self._load(tree)
        words = ("apply", "--cached", "--whitespace=nowarn", f"-p{strip}")
        self.repository.git(*words, *(["--reverse"] if undo else []), "-", stdin=patch)
        return self._written()

    def replace(self, tree: str, blobs: dict[str, str]) -> str:
        """The tree with other blobs at some paths. Raises GitError."""
        self._load(tree)
        lines = "".join(f"100644 {oid}\t{path}\0" for path, oid in sorted(blobs.items()))
        self.repository.git("update-index", "-z", "--index-info", stdin=os.fsencode(lines))
        return self._written()

    def _load(self, tree: str) -> None:
        """Put a tree into the index, which nobody knows until it is written."""
        known, self._index = self._index, ""
        if known != tree:
            self.repository.git("read-tree", tree)

    def _written(self) -> str:
        self._index = self.repository.git("write-tree").decode().strip()
        return self._index

    def files(self, tree: str, prefix: str) -> GitSources:
        """The files of a tree below a folder of it."""
        sources = GitSources(self.repository.objects, tree)
        return sources.below(prefix) if prefix else sources

    def blob(self, abbrev: str) -> str | None:
        """The whole id of a blob by its first digits (hex); None when there is none, or several."""
        words = ("rev-parse", "--verify", "--quiet", f"{abbrev}^{{blob}}")
        try:
            return self.repository.git(*words).decode().strip() or None
        except GitError:
            return None

    def commit_of(self, blobs: list[tuple[str, str]], subject: str) -> Commit | None:
        """The youngest of the recent commits that makes these changes of blobs (abbreviated ids of
        before and after), or, where no content changes, has this subject; None when there is none.
        """
        words = ("log", "--raw", "--no-abbrev", "--no-renames", "--no-ext-diff", "--no-textconv",
                 "--format=%x01%H %s", f"--max-count={RECENT}", "HEAD", "--")  # fmt: skip
        try:
            text = self.repository.git(*words).decode("utf-8", "replace")
        except GitError:
            return None
        for entry in text.split("\x01")[1:]:
            head, *lines = entry.splitlines()
            oid, _, said = head.partition(" ")
            changes = [line.split()[2:4] for line in lines if line.startswith(":")]
            # A renamed file is one that is gone and one that is new: any before, any after.
            if blobs:
                known = all(
                    any(old.startswith(a) for old, _ in changes)
                    and any(new.startswith(b) for _, new in changes)
                    for a, b in blobs
                )
            else:
                known = bool(subject) and " ".join(said.split()) == subject
            if known:
                return self.repository.objects.commit(oid)
        return None


@contextmanager
def workbench(repository: Repository) -> Iterator[Workbench]:
    """A workbench, gone afterwards. Raises GitError."""
    place = os.fsdecode(repository.git("rev-parse", "--git-path", "objects")).removesuffix("\n")
    where = repository.work_tree or repository.git_dir
    known = repository.objects.extra
    alternates = [
        _quoted(os.path.join(where, place)),
        *filter(None, (known.get("GIT_ALTERNATE_OBJECT_DIRECTORIES", ""),)),
    ]
    with TemporaryDirectory(prefix="kvmlint-") as name:
        own = Path(name)
        (own / "objects").mkdir()
        extra = {
            **known,
            "GIT_INDEX_FILE": str(own / "index"),
            "GIT_OBJECT_DIRECTORY": str(own / "objects"),
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": ":".join(alternates),
        }
        objects = Objects(repository.git_dir, repository.objects.digest, extra)
        try:
            yield Workbench(replace(repository, work_tree=None, objects=objects))
        finally:
            objects.close()


def _quoted(path: str) -> str:
    """A path as an entry of a list with colons between them (git(1), ENVIRONMENT VARIABLES)."""
    text = path.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'

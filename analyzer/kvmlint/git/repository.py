"""A git repository: where it is, its revisions, and which commits are between two of them."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from kvmlint.git.command import GitError, hook_environment, run
from kvmlint.git.objects import Commit, MissingError, NoCommitError, Objects
from kvmlint.git.sources import GitSources

_UPSTREAM = ("origin/HEAD", "origin/master", "origin/main", "master", "main")
"""What HEAD's branch is taken to come from when it doesn't say so."""


@dataclass(frozen=True, slots=True)
class Repository:
    """``git_dir`` and ``work_tree`` are absolute; a bare one has no work tree. ``shallow``: history
    is cut off somewhere. Close it when done: it runs a process."""

    git_dir: Path
    work_tree: Path | None
    shallow: bool
    objects: Objects

    def close(self) -> None:
        """End the process that reads objects."""
        self.objects.close()

    def git(self, *words: str, fine: tuple[int, ...] = (0,), stdin: bytes = b"") -> bytes:
        """One git command in this repository. Raises GitError."""
        extra = dict(self.objects.extra)
        if self.work_tree is not None:
            extra["GIT_WORK_TREE"] = str(self.work_tree)
        where = self.work_tree or self.git_dir
        return run(where, *words, git_dir=self.git_dir, extra=extra, fine=fine, stdin=stdin)

    # --- revisions -------------------------------------------------------------------------------

    def commit(self, revision: str) -> Commit:
        """The commit that a revision names. Raises GitError."""
        if not revision or revision.startswith("-") or not revision.isprintable():
            raise GitError(f"'{revision}' is no revision")
        words = ("rev-parse", "--verify", "--quiet", "--end-of-options", revision)
        try:
            oid = self.git(*words).decode().strip()
        except GitError:
            raise self._unknown(revision) from None
        if not re.fullmatch(r"[0-9a-f]{40,64}", oid):
            raise GitError(f"'{revision}' is no revision")
        try:
            return self.objects.commit(oid)
        except NoCommitError:
            raise GitError(f"'{revision}' is no commit") from None
        except GitError as error:
            if isinstance(error, MissingError) and oid == revision:  # git takes every whole id
                raise self._unknown(revision) from None
            raise GitError(f"'{revision}': {error}") from None

    def _unknown(self, revision: str) -> GitError:
        cut = " (this is a shallow clone: its history is cut off)" if self.shallow else ""
        return GitError(f"there is no revision '{revision}'{cut}")

    def head(self) -> Commit | None:
        """The commit that is checked out; None before the first one."""
        try:
            return self.commit("HEAD")
        except GitError:
            return None

    def merge_base(self, one: Commit, other: Commit) -> Commit:
        """Where two histories part. Raises GitError when they have nothing in common."""
        found = self.git("merge-base", one.oid, other.oid, fine=(0, 1)).decode().split()
        if not found:
            cut = "; this is a shallow clone: git fetch --unshallow" if self.shallow else ""
            raise GitError(f"{one.abbrev} and {other.abbrev} have no merge base{cut}")
        return self.objects.commit(found[0])

    def between(self, base: Commit, tip: Commit) -> dict[str, tuple[str, ...]]:
        """The commits that ``tip`` has and ``base`` has not, with their parents; those of a commit
        at which a shallow clone ends are none."""
        lines = self.git("rev-list", "--parents", tip.oid, f"^{base.oid}").decode().splitlines()
        return {line.split()[0]: tuple(line.split()[1:]) for line in lines}

    def upstream(self) -> Commit | None:
        """The branch that the one that is checked out is to be merged to, as far as can be told."""
        for name in ("@{upstream}", *_UPSTREAM):
            words = ("rev-parse", "--verify", "--quiet", "--symbolic-full-name", name)
            ref = self.git(*words, fine=(0, 1, 128)).decode().strip()
            if ref and ref != self._branch():
                return self.commit(ref)
        return None

    def _branch(self) -> str:
        return self.git("symbolic-ref", "--quiet", "HEAD", fine=(0, 1, 128)).decode().strip()

    # --- trees -----------------------------------------------------------------------------------

    def files(self, commit: Commit | None, prefix: str = "") -> GitSources:
        """The files of a commit (of none: no files) below a folder of it; a folder that the commit
        doesn't have is one without files."""
        sources = GitSources(self.objects, commit.tree if commit is not None else "")
        return sources.below(prefix) if prefix else sources


class NoRepositoryError(GitError):
    """A folder that no repository is around."""


def find(folder: Path) -> Repository:
    """The repository around a folder: a work tree, a linked one, a bare one. Raises GitError."""
    words = (
        "--is-bare-repository", "--is-inside-work-tree", "--is-shallow-repository",
        "--show-object-format", "--absolute-git-dir",
    )  # fmt: skip
    try:
        text = os.fsdecode(run(folder, "rev-parse", *words))
    except GitError as error:
        if "not a git repository" in str(error):
            raise NoRepositoryError(f"{folder} is not in a git repository") from None
        raise
    _, inside, shallow, form, git_dir = text.removesuffix("\n").split("\n", 4)
    work_tree = None
    if inside == "true":
        top = os.fsdecode(run(folder, "rev-parse", "--show-toplevel")).removesuffix("\n")
        work_tree = Path(top)
    objects = Objects(
        Path(git_dir),
        32 if form == "sha256" else 20,
        hook_environment(Path(git_dir), work_tree),
    )
    return Repository(Path(git_dir), work_tree, shallow == "true", objects)

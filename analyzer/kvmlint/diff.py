"""From what the user calls a range of commits to the series of changes in it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from kvmlint.diagnostic import Change
from kvmlint.git.changes import changed_paths, staged, uncommitted
from kvmlint.git.command import GitError
from kvmlint.git.objects import Commit
from kvmlint.git.repository import Repository
from kvmlint.git.sources import GitSources
from kvmlint.knowledge import Knowledge
from kvmlint.series import SUFFIXES, Series, Step, folders
from kvmlint.source import OverlaySources, Sources
from kvmlint.tree.extent import find_root


@dataclass(frozen=True, slots=True)
class Range:
    """The commits that ``tip`` has and ``base`` has not, then what is not committed, if
    ``uncommitted``. ``base`` and ``tip`` are None in a repository without commits."""

    base: Commit | None
    tip: Commit | None
    uncommitted: bool


def range_of(repository: Repository, text: str | None) -> Range:
    """``A..B``: the commits of B that A has not; ``A...B``: since their merge base; ``REV``: since
    the merge base with HEAD, and what is not committed; None: the same for the branch that this
    one is to be merged to. Raises GitError."""
    has_files = repository.work_tree is not None
    if text is None:
        head = repository.head()
        if head is None:
            return Range(None, None, has_files)
        upstream = repository.upstream()
        base = repository.merge_base(upstream, head) if upstream is not None else head
        return Range(base, head, has_files)
    for dots in ("...", ".."):
        first, found, last = text.partition(dots)
        if found:
            base, tip = repository.commit(first or "HEAD"), repository.commit(last or "HEAD")
            if dots == "...":
                base = repository.merge_base(base, tip)
            return Range(base, tip, uncommitted=False)
    base, head = repository.commit(text), repository.commit("HEAD")
    return Range(repository.merge_base(base, head), head, has_files)


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a repository the kernel tree is: ``prefix`` is its folder there, '' for the top."""

    repository: Repository
    prefix: str

    @property
    def root(self) -> str:
        """What reports call the place of the files."""
        repository = self.repository
        if repository.work_tree is None:
            return str(repository.git_dir)
        return str(repository.work_tree / self.prefix)

    def files(self, commit: Commit | None) -> GitSources:
        """The tree in a commit."""
        return self.repository.files(commit, self.prefix)


def place_of(repository: Repository, tree: str | None, tip: Commit | None) -> Place:
    """The place of the tree: the folder that the user named, the top of the repository if it holds
    arch/, the nearest folder above the current one that does, or else the top."""
    top = repository.work_tree
    if top is None:
        return Place(repository, "")
    if tree is not None:
        found: Path | None = Path(os.path.realpath(tree))
    elif repository.files(tip).is_folder("arch"):
        found = None
    else:
        found = find_root(Path.cwd())
    if found is None or not found.is_relative_to(top):
        return Place(repository, "")
    return Place(repository, found.relative_to(top).as_posix().removeprefix("."))


def series_of(place: Place, wanted: Range, knowledge: Knowledge) -> Series:
    """The changes of a range, per commit along first parents. Raises GitError."""
    base, steps = _commits(place, wanted)
    if wanted.uncommitted:
        files = uncommitted(
            place.repository, wanted.tip, place.prefix, SUFFIXES, folders(knowledge)
        )
        steps += _pending(files, "uncommitted changes")
    return _series(place, base, steps)


def staged_series(place: Place, head: Commit | None) -> Series:
    """What the next commit would be. Raises GitError."""
    files = staged(place.repository, head, place.prefix, SUFFIXES)
    return _series(place, place.files(head), _pending(files, "staged changes"))


def _series(place: Place, base: GitSources, steps: list[Step]) -> Series:
    last = steps[-1].sources if steps else base
    return Series(base, tuple(steps), place.root, _is_kernel(base) or _is_kernel(last))


def _is_kernel(sources: Sources) -> bool:
    """Whether there is a folder arch/, if only in what is changed."""
    if isinstance(sources, OverlaySources):
        added = (path for path, data in sources.changed.items() if data is not None)
        return _is_kernel(sources.base) or any(path.startswith("arch/") for path in added)
    return isinstance(sources, GitSources) and sources.is_folder("arch")


def _pending(files: OverlaySources, name: str) -> list[Step]:
    if not files.changed:
        return []
    return [Step(Change("", name), files, tuple(sorted(files.changed)))]


def _commits(place: Place, wanted: Range) -> tuple[GitSources, list[Step]]:
    """The tree below a range, and its commits. A merge is what it does to its first parent."""
    if wanted.base is None or wanted.tip is None:
        return place.files(None), []
    repository = place.repository
    inside = repository.between(wanted.base, wanted.tip)
    chain: list[Commit] = []
    oid = wanted.tip.oid
    while oid in inside:
        chain.append(repository.objects.commit(oid))
        oid = next(iter(inside[oid]), "")
    if chain and not oid and chain[-1].parents:
        raise GitError(
            f"this shallow clone ends at {chain[-1].abbrev}: what that commit changes can't be told"
        )
    if not chain:
        return place.files(wanted.tip), []
    base = before = place.files(repository.objects.commit(oid) if oid else None)
    steps: list[Step] = []
    for commit in reversed(chain):
        after = place.files(commit)
        beyond = [parent for parent in inside[commit.oid][1:] if parent not in inside]
        steps.append(
            Step(
                Change(commit.oid, f"commit {commit.abbrev}", commit.subject),
                after,
                tuple(path for path in changed_paths(before, after) if path.endswith(SUFFIXES)),
                tuple(place.files(repository.objects.commit(parent)) for parent in beyond),
            )
        )
        before = after
    return base, steps

"""From mailed patches to the series of changes that they are."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from kvmlint.diagnostic import Change
from kvmlint.diff import Place
from kvmlint.git.changes import changed_paths
from kvmlint.git.command import GitError
from kvmlint.git.sources import GitSources
from kvmlint.git.workbench import Workbench
from kvmlint.mails import Mail
from kvmlint.series import SUFFIXES, Series, Step
from kvmlint.source import FolderSources, OverlaySources, SourceError, Sources, is_folder

if TYPE_CHECKING:
    from unidiff.patch import PatchedFile

LONGEST_LINE = 20_000
"""Characters of a line of a diff; unidiff's patterns take long for much longer ones."""
_FAILED = re.compile(r"patch failed: (.*):(\d+)$")


@dataclass(frozen=True, slots=True)
class Applied:
    """A series as far as it applies. ``problem`` says why it ends early, '' when it doesn't;
    ``base`` what it is applied to, in words."""

    series: Series
    problem: str
    base: str


@dataclass(frozen=True, slots=True)
class Ground:
    """A tree to apply patches to that no commit has, by its id: files of ``folder``."""

    tree: str
    folder: FolderSources

    def sources(self, files: GitSources) -> OverlaySources:
        """The folder, changed to what these files are."""
        base = GitSources(files.objects, self.tree)
        changed: dict[str, bytes | None] = {}
        for path in changed_paths(base, files):
            oid = files.blob(path)
            try:
                changed[path] = files.objects.blob(oid) if oid is not None else None
            except SourceError:
                changed[path] = None
        return OverlaySources(self.folder, changed)


class _Start(NamedTuple):
    """Where a series begins: the tree, what to call it, the tree that the first patch makes of it,
    and why it makes none ('')."""

    tree: str
    base: str
    after: str
    problem: str


def names(mails: Sequence[Mail]) -> Iterator[str]:
    """What the files that patches change may be called in the tree."""
    for mail in mails:
        for file in _files(mail):
            for name in (file.source_file, file.target_file):
                if name:
                    yield name
                    yield name.partition("/")[2]


def series_in(bench: Workbench, ground: Ground, mails: Sequence[Mail]) -> Applied:
    """The same as ``series_of`` on top of the files of a folder that no repository is around.
    Raises GitError."""
    patches = [mail for mail in mails if mail.is_patch]
    whole = is_folder(ground.folder.root / "arch")
    first = _first(bench, [(ground.tree, "the files on disk")], patches)
    return _applied_all(bench, first, patches, "", str(ground.folder.root), ground, whole)


def series_of(bench: Workbench, place: Place, mails: Sequence[Mail]) -> Applied:
    """The changes that patches make, one after the other.

    They are applied to the commit that the series names as its base, to the parent of the commit
    that is the first patch already, or to HEAD, without them if it has all of them: the first of
    these that it applies to. Else the blobs are looked for that the first patch names. Raises
    GitError.
    """
    patches = [mail for mail in mails if mail.is_patch]
    start = _start(bench, mails, patches)
    return _applied_all(bench, start, patches, place.prefix, place.root)


def _applied_all(
    bench: Workbench,
    start: _Start,
    patches: Sequence[Mail],
    prefix: str,
    root: str,
    ground: Ground | None = None,
    whole: bool = False,
) -> Applied:
    """The series of patches, from what is known of the first of them on."""

    def sources(files: GitSources) -> Sources:
        return files if ground is None else ground.sources(files)

    tree, base, after, problem = start
    steps: list[Step] = []
    first = before = bench.files(tree, prefix)
    for number, mail in enumerate(patches, 1):
        name = _name(mail, number, len(patches))
        if number > 1:
            after, problem = _applied(bench, tree, mail)
        if problem:
            about = f" ({mail.subject})" if mail.subject else ""
            if _undone(bench, tree, [mail]):
                problem = f"it is there already ({problem})"
            onto = base if number == 1 else "the one before"
            problem = f"{name}{about} does not apply to {onto}: {problem}"
            break
        files = bench.files(after, prefix)
        change = Change("", name, mail.subject)
        steps.append(Step(change, sources(files), _paths(before, files)))
        tree, before = after, files
    whole = whole or first.is_folder("arch") or before.is_folder("arch")
    return Applied(Series(sources(first), tuple(steps), root, whole), problem, base)


def _name(mail: Mail, number: int, total: int) -> str:
    if mail.number and mail.total:
        number, total = mail.number, mail.total
    return f"patch {number}/{total}"


def _paths(before: GitSources, after: GitSources) -> tuple[str, ...]:
    return tuple(path for path in changed_paths(before, after) if path.endswith(SUFFIXES))


def _start(bench: Workbench, mails: Sequence[Mail], patches: Sequence[Mail]) -> _Start:
    """Where a series begins in a repository. Raises GitError."""
    first = patches[0]
    problem = ""
    candidates: list[tuple[str, str]] = []
    repository = bench.repository
    named = next((mail.base for mail in mails if mail.base), "")
    if named:
        try:
            candidates.append((repository.commit(named).tree, f"its base {named[:12]}"))
        except GitError:
            problem = f"its base {named[:12]} is not in this repository"
    known = bench.commit_of(first.blobs, first.subject)
    if known is not None and known.parents:
        parent = repository.objects.commit(known.parents[0])
        candidates.append((parent.tree, f"{parent.abbrev}, below commit {known.abbrev}"))
    head = repository.head()
    if head is None:
        raise GitError("there is no commit that it could be applied to")
    candidates.append((head.tree, "HEAD"))
    start = _first(bench, candidates, patches)
    if not start.problem:
        return start
    problem = problem or start.problem
    blobs = _blobs(bench, head.tree, first)
    if blobs:
        tree = bench.replace(head.tree, blobs)
        after, why = _applied(bench, tree, first)
        if not why:
            return _Start(tree, "the blobs that it names", after, "")
    return _Start(head.tree, candidates[0][1], head.tree, problem)


def _first(
    bench: Workbench, candidates: Sequence[tuple[str, str]], patches: Sequence[Mail]
) -> _Start:
    """The first of some trees (with what to call them) that the first patch applies to; else the
    last one, and why it doesn't apply to the first."""
    problem = ""
    for number, (candidate, called) in enumerate(candidates, 1):
        tree, name = candidate, called
        if number == len(candidates):  # a series that mends what it broke may fit once more
            without = _undone(bench, tree, patches)
            tree, name = (without, f"{name} without it") if without else (tree, name)
        after, why = _applied(bench, tree, patches[0])
        if not why:
            return _Start(tree, name, after, "")
        problem = problem or why
    tree, name = candidates[-1]
    return _Start(tree, name, tree, problem)


def _undone(bench: Workbench, tree: str, patches: Sequence[Mail]) -> str:
    """The tree without patches that are all in it; '' when they are not."""
    try:
        for mail in reversed(patches):
            tree = bench.apply(tree, mail.diff, _strip(bench, tree, mail), undo=True)
    except GitError:
        return ""
    return tree


def _strip(bench: Workbench, tree: str, mail: Mail) -> int:
    """How many folders are to be taken off a patch's names (patch's -p): none where only so they
    are in the tree, as without git's prefixes; else one."""
    files = bench.files(tree, "")
    names = [
        name
        for file in _files(mail)
        for name in (file.source_file, file.target_file)
        if name and name != "/dev/null"
    ]
    if any(_there(files, name.partition("/")[2]) for name in names):
        return 1
    return 0 if any(_there(files, name) for name in names) else 1


def _there(files: GitSources, path: str) -> bool:
    """Whether there is a file, or the folder for one."""
    folder = path.rpartition("/")[0]
    return files.exists(path) or (bool(folder) and files.is_folder(folder))


def _blobs(bench: Workbench, tree: str, mail: Mail) -> dict[str, str]:
    """The blobs that a patch was made from, by path; nothing when one of them isn't there."""
    found: dict[str, str] = {}
    strip = _strip(bench, tree, mail)
    for file, (before, _) in zip(_files(mail), mail.blobs, strict=False):
        if file.is_added_file:
            continue
        oid = bench.blob(before)
        path = (file.source_file or "").split("/", strip)[-1]
        if oid is None or not path or "\0" in path or "\n" in path:
            return {}
        found[path] = oid
    return found


def _applied(bench: Workbench, tree: str, mail: Mail) -> tuple[str, str]:
    """The tree that a patch makes, or why it doesn't."""
    try:
        return bench.apply(tree, mail.diff, _strip(bench, tree, mail)), ""
    except GitError as error:
        failed = _FAILED.search(str(error))
        if failed is None:
            return tree, str(error)
        return tree, f"{failed[1]}: {_hunk(mail, failed[1], int(failed[2]))}"


def _hunk(mail: Mail, path: str, line: int) -> str:
    """'hunk 2 (line 480)'."""
    for file in _files(mail):
        for number, hunk in enumerate(file, 1):
            if file.path == path and hunk.source_start == line:
                return f"hunk {number} (line {line})"
    return f"the hunk at line {line}"


@lru_cache(maxsize=16)
def _files(mail: Mail) -> list[PatchedFile]:
    """The files of a patch, as far as it can be read."""
    from unidiff.errors import UnidiffParseError
    from unidiff.patch import PatchSet

    diff = mail.diff.decode("utf-8", "surrogateescape")
    if any(len(line) > LONGEST_LINE for line in diff.split("\n")):
        return []
    try:
        return list(PatchSet(diff))
    except (UnidiffParseError, ValueError):
        return []

"""From mailed patches to the series of changes that they are."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kvmlint.diagnostic import Change
from kvmlint.diff import Place
from kvmlint.git.changes import changed_paths
from kvmlint.git.command import GitError
from kvmlint.git.sources import GitSources
from kvmlint.git.workbench import Workbench
from kvmlint.mails import Mail
from kvmlint.series import SUFFIXES, Series, Step

if TYPE_CHECKING:
    from unidiff.patch import PatchedFile

_FAILED = re.compile(r"patch failed: (.*):(\d+)$")


@dataclass(frozen=True, slots=True)
class Applied:
    """A series as far as it applies. ``problem`` says why it ends early, '' when it doesn't;
    ``base`` what it is applied to, in words."""

    series: Series
    problem: str
    base: str


def series_of(bench: Workbench, place: Place, mails: Sequence[Mail]) -> Applied:
    """The changes that patches make, one after the other.

    They are applied to the commit that the series names as its base, to the parent of the commit
    that is the first patch already, or to HEAD, without them if it has all of them: the first of
    these that it applies to. Else the blobs are looked for that the first patch names. Raises
    GitError.
    """
    patches = [mail for mail in mails if mail.is_patch]
    tree, base, after, problem = _start(bench, mails, patches)
    root = tree
    steps: list[Step] = []
    before = bench.files(tree, place.prefix)
    for number, mail in enumerate(patches, 1):
        name = _name(mail, number, len(patches))
        if number > 1:
            after, problem = _applied(bench, tree, mail)
        if problem:
            if _undone(bench, tree, [mail]):
                problem = f"it is there already ({problem})"
            problem = (
                f"{name} does not apply to {base if number == 1 else 'the one before'}: {problem}"
            )
            break
        files = bench.files(after, place.prefix)
        steps.append(Step(Change("", name, mail.subject), files, _paths(before, files)))
        tree, before = after, files
    first = bench.files(root, place.prefix)
    whole = first.is_folder("arch") or before.is_folder("arch")
    return Applied(Series(first, tuple(steps), place.root, whole), problem, base)


def _name(mail: Mail, number: int, total: int) -> str:
    if mail.number and mail.total:
        number, total = mail.number, mail.total
    return f"patch {number}/{total}"


def _paths(before: GitSources, after: GitSources) -> tuple[str, ...]:
    return tuple(path for path in changed_paths(before, after) if path.endswith(SUFFIXES))


def _start(
    bench: Workbench, mails: Sequence[Mail], patches: Sequence[Mail]
) -> tuple[str, str, str, str]:
    """The tree that a series begins with, what to call it, the tree that its first patch makes of
    it, and why it makes none."""
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
    known = bench.commit_of(first.blobs)
    if known is not None and known.parents:
        parent = repository.objects.commit(known.parents[0])
        candidates.append((parent.tree, f"{parent.abbrev}, below commit {known.abbrev}"))
    head = repository.head()
    if head is not None:
        candidates.append((head.tree, "HEAD"))
    for tree, name in candidates:
        if name == "HEAD":  # a series that mends what it broke may fit once more
            without = _undone(bench, tree, patches)
            tree, name = (without, "HEAD without it") if without else (tree, name)
        after, why = _applied(bench, tree, first)
        if not why:
            return tree, name, after, ""
        problem = problem or why
    if head is None:
        raise GitError("there is no commit that it could be applied to")
    blobs = _blobs(bench, head.tree, first)
    if blobs:
        tree = bench.replace(head.tree, blobs)
        after, why = _applied(bench, tree, first)
        if not why:
            return tree, "the blobs that it names", after, ""
    return head.tree, candidates[0][1], head.tree, problem


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


def _files(mail: Mail) -> list[PatchedFile]:
    """The files of a patch, as far as it can be read."""
    from unidiff.errors import UnidiffParseError
    from unidiff.patch import PatchSet

    try:
        return list(PatchSet(mail.diff.decode("utf-8", "surrogateescape")))
    except (UnidiffParseError, ValueError):
        return []

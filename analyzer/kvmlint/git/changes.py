"""What differs between two trees of a repository, its index and its work tree."""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from kvmlint.git.command import GitError
from kvmlint.git.objects import FOLDER, LINK, MODULE, Commit, Entry
from kvmlint.git.repository import Repository
from kvmlint.git.sources import GitSources
from kvmlint.source import MAX_BYTES, OverlaySources, SourceError

_EMPTY = {
    20: "4b825dc642cb6eb9a060e54bf8d69288fbee4904",
    32: "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321",
}
"""The tree without files, by the length of ids; every git knows it."""


def changed_paths(before: GitSources, after: GitSources) -> list[str]:
    """The files that differ, sorted. Only folders that differ are read. Raises GitError."""
    objects = before.objects
    found: list[str] = []
    pending = [("", before.root, after.root)]
    while pending:
        prefix, first, second = pending.pop()
        old, new = (objects.tree(oid) if oid else {} for oid in (first, second))
        for name in old.keys() | new.keys():
            one, other = old.get(name), new.get(name)
            if one == other:
                continue
            folders = _folder(one), _folder(other)
            if folders[0] != folders[1]:
                pending.append((f"{prefix}{name}/", *folders))
            if any(e is not None and e.kind not in (FOLDER, MODULE) for e in (one, other)):
                found.append(prefix + name)
    return sorted(found)


def _folder(entry: Entry | None) -> str:
    return entry.oid if entry is not None and entry.kind == FOLDER else ""


def staged(
    repository: Repository, head: Commit | None, prefix: str, suffixes: tuple[str, ...]
) -> OverlaySources:
    """The index, as changes of ``head``'s tree below ``prefix``; of files with these suffixes.
    Raises GitError."""
    files = repository.files(head, prefix)
    changed: dict[str, bytes | None] = {}
    for path, mode, oid in _raw(repository, head, ("--cached",)):
        below = _below(path, prefix)
        if below.endswith(suffixes):
            changed[below] = _blob(repository, files, below, mode, oid)
    return OverlaySources(files, changed)


def uncommitted(
    repository: Repository,
    head: Commit | None,
    prefix: str,
    suffixes: tuple[str, ...],
    folders: Sequence[str],
) -> OverlaySources:
    """The work tree, as changes of ``head``'s tree below ``prefix``; of files with these suffixes.
    In ``folders`` (below ``prefix``) files count that git doesn't know yet, unless it is told to
    ignore them. Raises GitError."""
    top = repository.work_tree
    if top is None:
        raise GitError(f"{repository.git_dir} has no work tree")
    files = repository.files(head, prefix)
    paths = [path for path, _, _ in _raw(repository, head, ())]
    places = [posixpath.join(prefix, folder) for folder in folders]
    words = ("ls-files", "-z", "--others", "--exclude-standard", "--", *places)
    paths += _names(repository.git("--literal-pathspecs", *words))
    changed: dict[str, bytes | None] = {}
    for path in paths:
        below = _below(path, prefix)
        if not below.endswith(suffixes) or (files.is_link(below) and (top / path).is_symlink()):
            continue
        data = _on_disk(top, path)
        if not _same(files, below, data):
            changed[below] = data
    return OverlaySources(files, changed)


def _raw(
    repository: Repository, head: Commit | None, words: tuple[str, ...]
) -> Iterator[tuple[str, int, str]]:
    """Path, mode and blob of what differs from a commit; a blob of zeros is in the work tree. Git
    goes by sizes and times, and reads a file that is as new as the index: without filters."""
    tree = head.tree if head is not None else _EMPTY[repository.objects.digest]
    common = ("diff-index", "-z", "--raw", "--no-renames", "--ignore-submodules=all", "--no-abbrev")
    filters = [] if words else _no_filters(repository)
    fields = iter(_names(repository.git(*filters, *common, "--no-ext-diff", *words, tree, "--")))
    for head_line in fields:
        _, mode, _, oid, status = head_line.removeprefix(":").split(" ")
        path = next(fields)
        if status == "U" and words:
            raise GitError(f"{path} is not merged yet: git add it first")
        yield path, int(mode, 8), oid


def _no_filters(repository: Repository) -> list[str]:
    """Options that make every filter that attributes can name an empty one: git runs them when it
    compares a file with the index. Raises GitError."""
    words = ("config", "-z", "--name-only", "--get-regexp", r"^filter\.")
    options: list[str] = []
    for name in dict.fromkeys(_names(repository.git(*words, fine=(0, 1)))):
        if "=" in name:  # -c would end the name there
            raise GitError(f"the repository's configuration has a filter of an odd name: {name}")
        value = "false" if name.endswith(".required") else ""
        options += ["-c", f"{name}={value}"]
    return options


def _names(text: bytes) -> list[str]:
    return [os.fsdecode(name) for name in text.split(b"\0") if name]


def _below(path: str, prefix: str) -> str:
    """The path as seen from the prefix; '' when it is elsewhere."""
    if not prefix:
        return path
    return path.removeprefix(f"{prefix}/") if path.startswith(f"{prefix}/") else ""


def _blob(
    repository: Repository, files: GitSources, path: str, mode: int, oid: str
) -> bytes | None:
    kind = mode & 0o170000
    if mode == 0 or kind == MODULE:
        return None
    try:
        data = repository.objects.blob(oid)
        if kind != LINK:
            return data
        target = posixpath.join(posixpath.dirname(path), os.fsdecode(data))
        return files.read(posixpath.normpath(target))
    except SourceError:
        return None


def _on_disk(top: Path, path: str) -> bytes | None:
    """A file of the work tree; None when there is no regular file. Symbolic links are not followed:
    they lead anywhere, and so does an index that somebody else has made."""
    if path.startswith("/") or ".." in path.split("/"):
        return None
    at = top
    try:
        for part in Path(path).parts:
            at = at / part
            mode = at.lstat().st_mode
            if stat.S_ISLNK(mode):
                return None
        if not stat.S_ISREG(mode):
            return None
        with at.open("rb") as stream:
            return stream.read(MAX_BYTES + 1)  # one more, and it is refused as too large
    except OSError:
        return None


def _same(files: GitSources, path: str, data: bytes | None) -> bool:
    """Whether a file is as it was committed. Git may have changed its line ends."""
    blob = files.blob(path)
    if blob is None or data is None:
        return blob is None and data is None
    try:
        known = files.objects.blob(blob)
    except SourceError:
        return False
    return known in (data, data.replace(b"\r\n", b"\n"))

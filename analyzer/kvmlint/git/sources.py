"""A tree of files that git holds, as Sources: read on demand, folder by folder."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from kvmlint.git.command import GitError
from kvmlint.git.objects import FOLDER, LINK, MODULE, Entry, Objects
from kvmlint.source import BINARY, MISSING, SourceError

DEEPEST = 100
"""Folders in folders that are looked into; the deepest of the kernel is the 9th. A patch can make
thousands."""
_LINKS = 40
"""Symbolic links followed for one path (Linux' MAXSYMLINKS)."""


@dataclass(frozen=True, slots=True)
class GitSources:
    """The files below a tree object; ``root`` is its id, '' for a tree without files.

    Folders that two trees share are read once: objects are kept by their ids. What belongs to a
    submodule is not there.
    """

    objects: Objects
    root: str
    _folders: dict[str, str | None] = field(default_factory=dict, repr=False, compare=False)

    def read(self, path: str) -> bytes:
        data = self.objects.blob(self._file(path))
        if b"\0" in data:
            raise SourceError(BINARY)
        return data

    def exists(self, path: str) -> bool:
        try:
            self._file(path)
        except SourceError:
            return False
        return True

    def blob(self, path: str) -> str | None:
        """The id of a file's content, without reading it; None when it is no regular file."""
        try:
            return self._file(path)
        except SourceError:
            return None

    def is_folder(self, path: str) -> bool:
        """Whether a path is a folder of the tree."""
        return self._folder(posixpath.normpath(path)) is not None

    def is_link(self, path: str) -> bool:
        """Whether a path is a symbolic link."""
        oid = self._folder(posixpath.dirname(path) or ".")
        entry = self._names(oid).get(posixpath.basename(path)) if oid is not None else None
        return entry is not None and entry.kind == LINK

    def below(self, folder: str) -> GitSources:
        """The files below a folder, as a tree of its own: empty when there is no such folder."""
        return GitSources(self.objects, self._folder(posixpath.normpath(folder)) or "")

    def walk(self, folder: str, suffixes: tuple[str, ...]) -> Iterator[str]:
        top = posixpath.normpath(folder)
        oid = self._folder(top)
        if oid is None:
            return
        found: list[str] = []
        pending = [("" if top == "." else f"{top}/", oid)]
        while pending:
            prefix, oid = pending.pop()
            for name, entry in self._names(oid).items():
                if name.startswith("."):
                    continue
                if entry.kind == FOLDER:
                    pending.append((f"{prefix}{name}/", entry.oid))
                elif entry.kind == LINK:
                    path = prefix + name
                    if path.endswith(suffixes) and not self._leads_to_folder(path):
                        found.append(path)
                elif entry.kind != MODULE and name.endswith(suffixes):
                    found.append(prefix + name)
        yield from sorted(found)

    # --- from a path to an object ----------------------------------------------------------------

    def _file(self, path: str) -> str:
        """The blob at a path, through symbolic links inside the tree. Raises SourceError."""
        here = path
        for _ in range(_LINKS):
            entry, rest, at = self._entry(here)
            if entry.kind != LINK:
                if entry.kind in (FOLDER, MODULE):
                    raise SourceError("is a directory")
                return entry.oid
            target = self.objects.blob(entry.oid).decode("utf-8", "surrogateescape")
            here = posixpath.normpath(posixpath.join(posixpath.dirname(at), target, rest))
            if here.startswith(("/", "../")) or here == "..":
                raise SourceError("is a symbolic link to a place outside the tree")
            if here == ".":
                raise SourceError("is a directory")
        raise SourceError("too many levels of symbolic links")

    def _entry(self, path: str) -> tuple[Entry, str, str]:
        """What is at a path, or the symbolic link on the way to it, what is left of the path behind
        it, and where it is. Raises SourceError."""
        parent, _, name = path.rpartition("/")
        oid = self._folder(parent or ".")
        if oid is not None:
            entry = self._names(oid).get(name)
            if entry is None:
                raise SourceError(MISSING)
            return entry, "", path
        parts = path.split("/")
        for length in range(1, len(parts)):
            at = "/".join(parts[:length])
            oid = self._folder(posixpath.dirname(at) or ".")
            entry = self._names(oid).get(parts[length - 1]) if oid is not None else None
            if entry is None or entry.kind not in (FOLDER, LINK):
                break
            if entry.kind == LINK:
                return entry, "/".join(parts[length:]), at
        raise SourceError(MISSING)

    def _leads_to_folder(self, path: str) -> bool:
        try:
            self._file(path)
        except SourceError as error:
            return str(error) == "is a directory"
        return False

    def _folder(self, path: str) -> str | None:
        """The id of the tree at a path without symbolic links; None when there is none."""
        if path == ".":
            return self.root or None
        if path.count("/") > DEEPEST:
            return None
        if path not in self._folders:
            parent, _, name = path.rpartition("/")
            above = self._folder(parent or ".")
            entry = self._names(above).get(name) if above is not None else None
            found = entry.oid if entry is not None and entry.kind == FOLDER else None
            self._folders[path] = found
        return self._folders[path]

    def _names(self, oid: str) -> Mapping[str, Entry]:
        try:
            return self.objects.tree(oid)
        except GitError as error:
            raise SourceError(f"can't be read: {error}") from None

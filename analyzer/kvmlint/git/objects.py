"""A repository's objects: blobs, trees and commits through one ``git cat-file --batch``."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from kvmlint.git.command import GitError, command, environment
from kvmlint.source import MAX_BYTES, SourceError, too_large

if TYPE_CHECKING:
    import subprocess

LINK, FOLDER, MODULE = 0o120000, 0o040000, 0o160000
"""Kinds of tree entries that are no regular files (git's object modes)."""
_KIND = 0o170000
KEPT = 64 * 1024 * 1024
"""Bytes of blobs that are kept because another tree may hold them too."""


class MissingError(GitError):
    """An object that the repository doesn't have."""


class NoCommitError(GitError):
    """An object of another kind, or a damaged one."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One name in a folder of a tree."""

    mode: int
    oid: str

    @property
    def kind(self) -> int:
        """LINK, FOLDER, MODULE, or that of a regular file."""
        return self.mode & _KIND


@dataclass(frozen=True, slots=True)
class Commit:
    """``parents`` as the object has them: in a shallow clone they may not be there."""

    oid: str
    tree: str
    parents: tuple[str, ...]
    subject: str

    @property
    def abbrev(self) -> str:
        """Twelve digits, as the kernel writes commits."""
        return self.oid[:12]


class Objects:
    """Reads objects by their ids, trees and blobs each once. One process of git, begun when it is
    needed, and another one in a forked child. ``digest``: bytes of an object id; ``extra`` goes
    into git's environment."""

    def __init__(
        self, git_dir: Path, digest: int = 20, extra: Mapping[str, str] | None = None
    ) -> None:
        self.git_dir = git_dir
        self.digest = digest
        self.extra = extra or {}
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0
        self._trees: dict[str, dict[str, Entry]] = {}
        self._blobs: dict[str, bytes] = {}
        self._kept = 0

    def close(self) -> None:
        """End git's process; a later read begins another one."""
        process, self._process = self._process, None
        if process is None:
            return
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()
        if self._owner == os.getpid():
            process.kill()
            process.wait()
        else:
            process.returncode = 0  # the parent's child, not ours to wait for

    def read(self, oid: str) -> tuple[str, bytes]:
        """Type and content of an object. Raises SourceError when it is too large, GitError when it
        is not there or git can't go on."""
        stdin, stdout = self._pipes()
        try:
            stdin.write(f"{oid}\n".encode())
            stdin.flush()
            head = stdout.readline().split()
            if len(head) != 3:
                if not head:
                    raise EOFError
                raise MissingError(f"object {oid[:12]} is missing: a partial or damaged clone")
            kind, size = head[1].decode(), int(head[2])
            if size > MAX_BYTES:
                _skip(stdout, size + 1)
                raise SourceError(too_large(size))
            data = stdout.read(size + 1)
            if len(data) != size + 1:
                raise EOFError
        except (OSError, EOFError, ValueError):
            self.close()
            raise GitError(f"git can't read object {oid[:12]}") from None
        return kind, data[:-1]

    def _pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        if self._process is not None and self._owner != os.getpid():
            self.close()
        if self._process is None:
            import subprocess

            self._owner = os.getpid()
            try:
                self._process = subprocess.Popen(
                    command(self.git_dir, ("cat-file", "--batch"), self.git_dir),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    env={**environment(), **self.extra},
                )
            except FileNotFoundError:
                raise GitError("git is not installed") from None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        return self._process.stdin, self._process.stdout

    def blob(self, oid: str) -> bytes:
        """A file's bytes. Raises SourceError."""
        data = self._blobs.get(oid)
        if data is None:
            try:
                kind, data = self.read(oid)
            except GitError as error:
                raise SourceError(f"can't be read: {error}") from None
            if kind != "blob":
                raise SourceError("is not a regular file")
            self._kept += len(data)
            if self._kept > KEPT:
                self._blobs.clear()
                self._kept = len(data)
            self._blobs[oid] = data
        return data

    def tree(self, oid: str) -> Mapping[str, Entry]:
        """The names in a folder. Raises GitError."""
        found = self._trees.get(oid)
        if found is None:
            try:
                kind, data = self.read(oid)
            except SourceError as error:
                raise GitError(f"tree {oid[:12]} {error}") from None
            if kind != "tree":
                raise GitError(f"{oid[:12]} is no tree")
            try:
                found = self._trees[oid] = self._entries(data)
            except ValueError:
                raise GitError(f"tree {oid[:12]} is damaged") from None
        return found

    def _entries(self, data: bytes) -> dict[str, Entry]:
        """The names in a tree object. Raises ValueError when it is damaged."""
        found: dict[str, Entry] = {}
        at = 0
        while at < len(data):
            space = data.index(b" ", at)
            nul = data.index(b"\0", space)
            end = nul + 1 + self.digest
            if end > len(data):
                raise ValueError
            name = os.fsdecode(data[space + 1 : nul])
            found[name] = Entry(int(data[at:space], 8), data[nul + 1 : end].hex())
            at = end
        return found

    def commit(self, oid: str) -> Commit:
        """A commit by the id of it or of a tag. Raises GitError."""
        for _ in range(_TAGS):
            try:
                kind, data = self.read(oid)
            except SourceError as error:
                raise NoCommitError(f"{oid[:12]} {error}") from None
            head, _, message = data.partition(b"\n\n")
            if kind == "commit":
                trees = _ids(head, b"tree")
                if len(trees) != 1:
                    raise NoCommitError(f"commit {oid[:12]} is damaged")
                return Commit(oid, trees[0], _ids(head, b"parent"), _subject(message))
            tagged = _ids(head, b"object")
            if kind != "tag" or not tagged:
                break
            oid = tagged[0]
        raise NoCommitError(f"{oid[:12]} is no commit")


_TAGS = 20
"""Tags of tags that are followed."""


def _ids(head: bytes, field: bytes) -> tuple[str, ...]:
    """The objects that a commit or a tag names in fields of one name. Whatever else is there is
    left out: ids go to git as they are, a line each."""
    return tuple(
        found.decode() for found in re.findall(rb"(?m)^%b ([0-9a-f]{40,64})$" % field, head)
    )


def _subject(message: bytes) -> str:
    """The first paragraph as one line, as git's %s."""
    first = message.lstrip(b"\n").partition(b"\n\n")[0][:2000]
    try:
        text = first.decode()
    except UnicodeDecodeError:
        text = first.decode("latin-1")
    return " ".join(text.split())


def _skip(stream: IO[bytes], size: int) -> None:
    while size > 0:
        part = stream.read(min(size, 1 << 20))
        if not part:
            raise EOFError
        size -= len(part)

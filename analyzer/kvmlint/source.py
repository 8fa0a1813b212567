"""Source text: files, positions in them, and the one protocol through which every read goes."""

from __future__ import annotations

import os
import posixpath
import stat
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

MAX_BYTES = 16 * 1024 * 1024
"""Larger files, in bytes, are refused: the largest hand-written kernel C file is below 2 MB."""


BINARY = "is binary: it holds NUL bytes"
"""Why a file is refused that is no C: UTF-16, an object file, a disk's empty blocks."""


MISSING = "no such file or directory"
"""What a folder says of a path that is not there; so does everything that stands for one."""


def too_large(size: int) -> str:
    """Why a file of so many bytes is refused."""
    return f"is too large ({size} bytes, the limit is {MAX_BYTES})"


class SourceError(Exception):
    """A file that can't be analysed; ``str()`` is one line fit for the user, without the path."""


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A region of one file. Lines and columns are 1-based; columns count UTF-16 code units, the
    end column is exclusive (SARIF 2.1.0 section 3.30, ``columnKind: utf16CodeUnits``)."""

    path: str
    line: int
    column: int
    end_line: int
    end_column: int


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One C file: its path as the user should see it ('/'-separated, relative to the tree root when
    there is one) and its bytes. Offsets everywhere in the engine are byte offsets into ``data``."""

    path: str
    data: bytes
    _starts: tuple[int, ...] = field(init=False, repr=False, compare=False, hash=False)

    def __post_init__(self) -> None:
        starts = [0]
        data = self.data
        at = data.find(b"\n")
        while at >= 0:
            starts.append(at + 1)
            at = data.find(b"\n", at + 1)
        object.__setattr__(self, "_starts", tuple(starts))

    def line_of(self, offset: int) -> int:
        """1-based line of a byte offset (an offset past the end belongs to the last line)."""
        return bisect_right(self._starts, offset)

    def line_text(self, line: int) -> str:
        """Text of a 1-based line, without its line end; '' when there is no such line."""
        if not 1 <= line <= len(self._starts):
            return ""
        end = self._starts[line] if line < len(self._starts) else len(self.data)
        return self.data[self._starts[line - 1] : end].decode("utf-8", "replace").rstrip("\r\n")

    def span(self, start: int, end: int) -> Span:
        """Span of the half-open byte range [start, end)."""
        line, end_line = self.line_of(start), self.line_of(max(start, end))
        return Span(
            self.path, line, self._column(line, start), end_line, self._column(end_line, end)
        )

    def _column(self, line: int, offset: int) -> int:
        prefix = self.data[self._starts[line - 1] : offset].decode("utf-8", "replace")
        if prefix.isascii():
            return len(prefix) + 1
        return len(prefix.encode("utf-16-le", "surrogatepass")) // 2 + 1


class Sources(Protocol):
    """Where text comes from: a folder, a git revision (git/), changes on top of one of them.

    Paths are relative to the root and '/'-separated.
    """

    def read(self, path: str) -> bytes:
        """Bytes of the file; raises SourceError when it is missing, unreadable, too large, …"""
        ...

    def exists(self, path: str) -> bool:
        """Whether ``path`` names a regular file."""
        ...

    def walk(self, folder: str, suffixes: tuple[str, ...]) -> Iterator[str]:
        """Paths of the files below ``folder`` whose names end in one of ``suffixes``, sorted."""
        ...


@runtime_checkable
class Identified(Protocol):
    """Sources that can tell one text from another without reading it."""

    def blob(self, path: str) -> str | None:
        """Git's name of the file's blob (hex); None for what is no readable file."""
        ...


@dataclass(frozen=True, slots=True)
class FolderSources:
    """Files of a folder on disk. Symbolic links to folders are not followed (they can loop)."""

    root: Path

    def read(self, path: str) -> bytes:
        full = self.root / path
        try:
            mode = full.stat()
            if stat.S_ISDIR(mode.st_mode):
                raise SourceError("is a directory")
            if not stat.S_ISREG(mode.st_mode):
                raise SourceError("is not a regular file")
            if mode.st_size > MAX_BYTES:
                raise SourceError(too_large(mode.st_size))
            data = full.read_bytes()
        except OSError as error:
            raise SourceError(_reason(error)) from None
        except ValueError:
            raise SourceError("has a name that can't be opened") from None
        if b"\0" in data:
            raise SourceError(BINARY)
        return data

    def exists(self, path: str) -> bool:
        try:
            return (self.root / path).is_file()
        except (OSError, ValueError):
            return False

    def walk(
        self,
        folder: str,
        suffixes: tuple[str, ...],
        problems: list[tuple[str, str]] | None = None,
    ) -> Iterator[str]:
        """Hidden files and folders are left out: editors' locks, what tools keep for themselves.
        ``problems`` takes the folders that can't be read, each with the reason."""

        def failed(error: OSError) -> None:
            if problems is not None:
                where = os.path.relpath(os.fsdecode(error.filename or base), self.root)
                problems.append((where.replace(os.sep, "/"), _reason(error)))

        base = self.root / folder
        found: list[str] = []
        for top, dirs, names in os.walk(base, onerror=failed):
            dirs[:] = sorted(name for name in dirs if not name.startswith("."))
            found.extend(
                os.path.relpath(os.path.join(top, name), self.root).replace(os.sep, "/")
                for name in names
                if name.endswith(suffixes) and not name.startswith(".")
            )
        yield from sorted(found)


@dataclass(frozen=True, slots=True)
class OverlaySources:
    """``base`` with some files changed: a path's new bytes, or None for a file that is gone.

    Nothing is written anywhere. A symbolic link of ``base`` to a changed file gives the old text.
    """

    base: Sources
    changed: Mapping[str, bytes | None]

    def read(self, path: str) -> bytes:
        if path not in self.changed:
            return self.base.read(path)
        data = self.changed[path]
        if data is None:
            raise SourceError(MISSING)
        if len(data) > MAX_BYTES:
            raise SourceError(too_large(len(data)))
        if b"\0" in data:
            raise SourceError(BINARY)
        return data

    def exists(self, path: str) -> bool:
        if path in self.changed:
            return self.changed[path] is not None
        return self.base.exists(path)

    def walk(self, folder: str, suffixes: tuple[str, ...]) -> Iterator[str]:
        found = {path for path in self.base.walk(folder, suffixes) if path not in self.changed}
        for path, data in self.changed.items():
            if data is not None and path.endswith(suffixes) and _walked(path, folder):
                found.add(path)
        yield from sorted(found)

    def blob(self, path: str) -> str | None:
        """Git's name of the file's blob; what is changed is read for it."""
        if path not in self.changed and isinstance(self.base, Identified):
            return self.base.blob(path)
        try:
            return blob_name(self.read(path))
        except SourceError:
            return None


def blob_name(data: bytes) -> str:
    """Git's name of a blob with this content (SHA-1, whatever the repository uses)."""
    import hashlib

    return hashlib.sha1(b"blob %d\0%b" % (len(data), data), usedforsecurity=False).hexdigest()


def _walked(path: str, folder: str) -> bool:
    """Whether a walk of ``folder`` comes by ``path``: it is below, and nothing there is hidden."""
    top = posixpath.normpath(folder)
    below = path if top == "." else path.removeprefix(f"{top}/")
    return (top == "." or below != path) and not any(p.startswith(".") for p in below.split("/"))


def is_folder(path: Path) -> bool:
    """Whether a path is a folder; no for what can't be asked (names too long, forbidden)."""
    try:
        return path.is_dir()
    except OSError:
        return False


def _reason(error: OSError) -> str:
    return (error.strerror or "can't be read").lower()

"""What files gave in earlier runs: one SQLite file in the user's cache folder, or in memory.

A row is one file's result together with the questions that it was made from and their answers. It
holds wherever the file has the same text and the questions have the same answers; ``place`` names
trees in which that was seen to be so. Nothing that goes wrong in here is an error of a run: it then
works without. Rows are JSON (``kvmlint.record``), read as data and checked.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, TypeVar
from urllib.parse import quote

APPLICATION = 0x6B766D6C
"""SQLite's application_id ('kvml'): how a file of ours is told from anybody else's."""
LAYOUT = 1
"""SQLite's user_version: the tables below. A file with another one is made anew."""
MAX_BYTES = 64 * 1024 * 1024
"""A file larger than that is emptied."""
WAIT = 2.0
"""Seconds that another run is waited for."""
VERSIONS = 64
"""Results that are kept of one file with one text (other trees, branches, patches)."""

_TABLES = (
    "CREATE TABLE result (id INTEGER PRIMARY KEY, run TEXT, path TEXT, blob TEXT, asked TEXT,"
    " found TEXT)",
    "CREATE INDEX by_file ON result (run, path, blob)",
    "CREATE TABLE place (place TEXT PRIMARY KEY, result INTEGER) WITHOUT ROWID",
)
_MAGIC = b"SQLite format 3\0"
_AT = 68
"""Where in a file SQLite keeps the application_id (its file format, section 1.3)."""

T = TypeVar("T")
Row: TypeAlias = tuple[int, str, str]
"""A row's number, its questions with answers, its result; both JSON."""


@dataclass(frozen=True, slots=True)
class Key:
    """What a result is for: ``run`` is a digest of the tool, the tables and the rules; ``blob``
    names the file's text; ``place`` is a digest of these and of the whole tree. ``path`` and
    ``blob`` are '' for an answer about trees, not about one file."""

    run: str
    path: str
    blob: str
    place: str


def default_file() -> Path:
    """Where the cache is: below $XDG_CACHE_HOME, or ~/.cache (XDG Base Directory Specification)."""
    home = Path(os.environ.get("XDG_CACHE_HOME", ""))
    base = home if home.is_absolute() else Path.home() / ".cache"
    return base / "kvmlint" / "results.sqlite3"


class Store:
    """Results of earlier runs. ``file`` None: in memory, for the versions that one run looks at.
    ``problem`` says why nothing is kept, '' when all is well."""

    def __init__(self, file: Path | None) -> None:
        self.file = file
        self.problem = ""
        self._base: sqlite3.Connection | None = None
        self._opened = False

    def at(self, keys: Sequence[Key]) -> dict[str, Row]:
        """The results that hold at these places, by path."""

        def ask(base: sqlite3.Connection) -> dict[str, Row]:
            found: dict[str, Row] = {}
            for key in keys:
                row = base.execute(
                    "SELECT id, asked, found FROM place JOIN result ON id = result WHERE place = ?",
                    (key.place,),
                ).fetchone()
                if row is not None:
                    found[key.path] = row
            return found

        return self._try(ask, {})

    def of(self, key: Key) -> list[Row]:
        """Results of a file with this text, in whatever tree, the newest first."""
        return self._try(
            lambda base: base.execute(
                "SELECT id, asked, found FROM result WHERE run = ? AND path = ? AND blob = ?"
                " ORDER BY id DESC",
                (key.run, key.path, key.blob),
            ).fetchall(),
            [],
        )

    def keep(
        self, made: Iterable[tuple[Key, str, str]], confirmed: Iterable[tuple[Key, int]]
    ) -> None:
        """Add results (their questions and what was found), and places where known ones hold."""
        made, confirmed = list(made), list(confirmed)

        def put(base: sqlite3.Connection) -> None:
            with base:
                base.execute("BEGIN IMMEDIATE")
                for key, asked, found in made:
                    number = base.execute(
                        "INSERT INTO result (run, path, blob, asked, found) VALUES (?, ?, ?, ?, ?)",
                        (key.run, key.path, key.blob, asked, found),
                    ).lastrowid
                    base.execute("INSERT OR REPLACE INTO place VALUES (?, ?)", (key.place, number))
                    base.execute(
                        "DELETE FROM result WHERE id IN (SELECT id FROM result WHERE run = ? AND"
                        " path = ? AND blob = ? ORDER BY id DESC LIMIT -1 OFFSET ?)",
                        (key.run, key.path, key.blob, VERSIONS),
                    )
                base.executemany(
                    "INSERT OR REPLACE INTO place VALUES (?, ?)",
                    [(key.place, number) for key, number in confirmed],
                )
            if self.file is not None and self.file.stat().st_size > MAX_BYTES:
                _empty(base)

        if made or confirmed:
            self._try(put, None)

    def count(self) -> int:
        """Results of files in the store."""
        count = "SELECT count(*) FROM result WHERE path != ''"
        return self._try(lambda base: int(base.execute(count).fetchone()[0]), 0)

    def close(self) -> None:
        """Let go of the file."""
        if self._base is not None:
            self._base.close()
            self._base = None

    def _try(self, do: Callable[[sqlite3.Connection], T], otherwise: T) -> T:
        """Ask the file something, and do without it from the first time that this fails."""
        for again in (True, False):
            try:
                base = self._open()
                return do(base) if base is not None else otherwise
            except (sqlite3.Error, OSError, ValueError, OverflowError) as error:
                self.close()
                broken = isinstance(error, sqlite3.DatabaseError) and not isinstance(
                    error, sqlite3.OperationalError
                )
                if again and broken and self.file is not None and is_ours(self.file):
                    # It is a cache: a broken one is thrown away, and begun anew.
                    self.file.unlink(missing_ok=True)
                    self._opened = False
                    continue
                self._opened = True
                self.problem = " ".join(str(error).split()) or type(error).__name__
                break
        return otherwise

    def _open(self) -> sqlite3.Connection | None:
        if not self._opened:
            self._opened = True
            self._base = _connect(":memory:", False) if self.file is None else _file(self.file)
        return self._base


def is_ours(file: Path) -> bool:
    """Whether a file is one of these caches, or an empty one. Raises OSError."""
    with file.open("rb") as stream:
        head = stream.read(_AT + 4)
    return not head or (head.startswith(_MAGIC) and head[_AT:] == APPLICATION.to_bytes(4, "big"))


def _file(file: Path) -> sqlite3.Connection:
    """The file, made when there is none. Raises OSError, sqlite3.Error."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if file.exists():
        if file.stat().st_uid != os.geteuid():
            raise OSError(f"{file} belongs to somebody else")
        if not is_ours(file):
            raise OSError(f"{file} is no cache of kvmlint")
    writable = os.access(file if file.exists() else file.parent, os.W_OK) and os.access(
        file.parent, os.W_OK
    )
    mode = "rwc" if writable else "ro"
    return _connect(f"file:{quote(os.fspath(file))}?mode={mode}", not writable)


def _connect(name: str, reads_only: bool) -> sqlite3.Connection:
    # Transactions are begun by hand: Python's own begin too late for two runs at once.
    base = sqlite3.connect(name, timeout=WAIT, isolation_level=None, uri=name.startswith("file:"))
    try:
        layout = base.execute("PRAGMA user_version").fetchone()[0]
        if layout != LAYOUT:
            if reads_only:
                raise OSError("the cache is of another version, and can't be written")
            _make(base)
        base.execute("PRAGMA synchronous = OFF")  # what a power cut takes is made again
    except BaseException:
        base.close()
        raise
    return base


def _make(base: sqlite3.Connection) -> None:
    with base:
        base.execute("BEGIN IMMEDIATE")
        if base.execute("PRAGMA user_version").fetchone()[0] == LAYOUT:
            return  # another run was faster
        for table in ("result", "place"):
            base.execute(f"DROP TABLE IF EXISTS {table}")
        for table in _TABLES:
            base.execute(table)
        base.execute(f"PRAGMA application_id = {APPLICATION}")
        base.execute(f"PRAGMA user_version = {LAYOUT}")


def _empty(base: sqlite3.Connection) -> None:
    with base:
        base.execute("DELETE FROM place")
        base.execute("DELETE FROM result")
    base.execute("VACUUM")

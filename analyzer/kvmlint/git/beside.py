"""A temporary repository beside a folder that is in none: some of its files, to apply patches to.

Symbolic links are not followed out of the folder, and nothing is written to it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from kvmlint.git.command import GitError, run
from kvmlint.git.repository import find
from kvmlint.git.workbench import Workbench
from kvmlint.source import MAX_BYTES

MOST_FILES = 20_000


@contextmanager
def beside(folder: Path, paths: Iterable[str]) -> Iterator[tuple[Workbench, str]]:
    """A workbench, and the tree object of those of the paths that are files of the folder. Raises
    GitError."""
    with TemporaryDirectory(prefix="kvmlint-") as name:
        place = Path(os.path.realpath(name))
        run(place, "init", "--quiet", "--bare", "--template=", ".", git_dir=place)
        with closing(find(place)) as repository:
            bench = Workbench(repository)
            blobs: dict[str, str] = {}
            for path in sorted(set(paths)):
                data = _regular(folder, path)
                if data is not None:
                    words = ("hash-object", "-w", "--stdin")
                    blobs[path] = repository.git(*words, stdin=data).decode().strip()
                if len(blobs) > MOST_FILES:
                    raise GitError(f"more than {MOST_FILES} files are changed")
            empty = repository.git("mktree", stdin=b"").decode().strip()
            yield bench, bench.replace(empty, blobs)


def _regular(folder: Path, path: str) -> bytes | None:
    """A file of the folder; None when there is none, or when it is elsewhere."""
    if not path or "\0" in path or "\n" in path:
        return None
    try:
        full = Path(os.path.realpath(folder / path))
        if not full.is_relative_to(os.path.realpath(folder)):
            return None
        if not stat.S_ISREG(full.stat().st_mode):
            return None
        with full.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError:
        return None
    return data if len(data) <= MAX_BYTES else None

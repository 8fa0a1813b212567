"""Where a kernel tree begins, and which of its files are looked at, whatever the user named."""

from __future__ import annotations

import os
from fnmatch import fnmatchcase
from pathlib import Path

from kvmlint.knowledge.model import WorldTable
from kvmlint.source import Sources, is_folder

HEADERS = ("arch/arm64/include/asm", "arch/arm64/kvm")
"""Folders whose headers may define entry-point macros."""


def find_root(path: Path) -> Path | None:
    """The nearest folder at or above ``path`` that holds ``arch/``; None when there is none."""
    start = Path(os.path.realpath(path if is_folder(path) else path.parent))
    for folder in (start, *start.parents):
        if is_folder(folder / "arch"):
            return folder
    return None


def host_files(sources: Sources, worlds: WorldTable) -> list[str]:
    """The host's C files, sorted; those that run at EL2 alone are left out."""
    return sorted(
        {
            path
            for folder in worlds.host
            for path in sources.walk(folder, (".c",))
            if not any(fnmatchcase(path, glob) for glob in worlds.el2)
        }
    )


def el2_files(sources: Sources, worlds: WorldTable) -> list[str]:
    """C files and headers that run at EL2, those that run nowhere else first: a definition there is
    nearer than a shared one."""
    globs = (*worlds.el2, *worlds.both)
    folders = sorted({glob.split("*")[0].rpartition("/")[0] for glob in globs})
    paths = {path for folder in folders for path in sources.walk(folder, (".c", ".h"))}
    return sorted(
        (path for path in paths if any(fnmatchcase(path, glob) for glob in globs)),
        key=lambda path: (not any(fnmatchcase(path, glob) for glob in worlds.el2), path),
    )


def headers(sources: Sources) -> list[str]:
    """Headers of the host that may define entry-point macros, in the order in which they count."""
    return [
        path
        for folder in HEADERS
        for path in sources.walk(folder, (".h",))
        if (path.rpartition("/")[2].startswith("kvm") or "/kvm/" in path) and "/hyp/" not in path
    ]


def whole_extent(sources: Sources, worlds: WorldTable) -> list[str]:
    """All files that any answer about a tree can come from, but for files that the user names
    himself; sorted."""
    return sorted({*host_files(sources, worlds), *el2_files(sources, worlds), *headers(sources)})

"""From the paths that a user named to the files that are read, each once."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

from kvmlint.source import FolderSources, is_folder

SUFFIXES = (".c",)
"""What is analysed in a folder; headers only when they are named."""

Input: TypeAlias = tuple[str, str | None]
"""A path relative to the base ('/'-separated), and why it can't be analysed, if so."""


def inputs_of(paths: Sequence[str], base: Path, whole: bool) -> Iterator[Input]:
    """The files of ``paths``. ``whole``: ``base`` is a kernel tree, and what lies outside it is
    refused, because its hypercalls may not be this tree's; without one ``base`` only shortens."""
    seen: set[str] = set()
    for given in paths:
        for path, problem in _files(given):
            shown = relative(path, base)
            if shown in seen:
                continue
            seen.add(shown)
            if problem is None and whole and Path(shown).is_absolute():
                problem = f"is outside the kernel tree {base}"
            yield shown, problem


def _files(given: str) -> Iterator[Input]:
    """One path as the user gave it: itself, or the C files of the folder."""
    if not given:
        yield given, "is an empty path"
        return
    if not is_folder(Path(given)):
        yield given, None
        return
    problems: list[tuple[str, str]] = []
    names = list(FolderSources(Path(given)).walk(".", SUFFIXES, problems))
    if not names and not problems:
        yield given, "holds no C file"
    for name in names:
        yield os.path.join(given, name), None
    for name, problem in problems:
        yield os.path.join(given, name), problem


def folders_of(paths: Sequence[str], base: Path) -> tuple[str, ...]:
    """Those of ``paths`` that are folders, relative to the base; '.' is the base itself."""
    folders = (path for path in paths if path and is_folder(Path(path)))
    return tuple(dict.fromkeys(relative(path, base) for path in folders))


def relative(given: str, base: Path) -> str:
    """Relative to the base, also through symbolic links; absolute where it is outside."""
    if not given:
        return "''"
    full = os.path.normpath(Path.cwd() / given)
    for path in (full, os.path.realpath(full)):
        inside = os.path.relpath(path, base)
        if inside != os.pardir and not inside.startswith(os.pardir + os.sep):
            return inside.replace(os.sep, "/")
    return full.replace(os.sep, "/")

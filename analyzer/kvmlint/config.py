"""``.kvmlint.toml``: a project's defaults for the options, and its additions to the tables.

    [check]
    select = ["missing-rollback"]      # as --select; likewise ignore, min-level, min-precision
    [knowledge]
    ...                                # read by kvmlint.knowledge.extend

What the command line says wins over the file.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kvmlint.diagnostic import Precision, Severity
from kvmlint.knowledge.error import KnowledgeError
from kvmlint.knowledge.reader import Document, parse

NAME = ".kvmlint.toml"


@dataclass(frozen=True, slots=True)
class Config:
    """One file. ``path`` and ``text`` are what kvmlint.knowledge.extend wants; both '' for none.
    ``min_level`` and ``min_precision`` are None where the file says nothing."""

    path: str = ""
    text: str = ""
    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    min_level: Severity | None = None
    min_precision: Precision | None = None


def find(start: Path) -> Path | None:
    """The nearest ``.kvmlint.toml`` in ``start`` (a file or a folder) or in a folder above it."""
    try:
        start = start.resolve()
        for folder in (start, *start.parents):
            if (folder / NAME).is_file():
                return folder / NAME
    except (OSError, RuntimeError, ValueError):  # a loop of links, a folder that can't be read
        return None
    return None


def load(file: Path) -> Config:
    """The settings in ``file``. Raises KnowledgeError, whose text names file, line and key."""
    path = str(file)
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise KnowledgeError(path, 0, "", (error.strerror or "can't be read").lower()) from None
    except UnicodeDecodeError:
        raise KnowledgeError(path, 0, "", "is not UTF-8") from None
    top = parse(Document(text, path)).table(("check", "knowledge"))
    keys = ("select", "ignore", "min-level", "min-precision")
    check = top["check"].table(keys) if "check" in top else {}
    level, precision = check.get("min-level"), check.get("min-precision")
    return Config(
        path=path,
        text=text,
        select=check["select"].words() if "select" in check else (),
        ignore=check["ignore"].words() if "ignore" in check else (),
        min_level=level.choice(Severity) if level else None,
        min_precision=precision.choice(Precision) if precision else None,
    )

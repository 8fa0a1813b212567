"""``.kvmlint.toml``: a project's defaults for the options, what it allows, what it adds to the
tables.

    [check]
    select = ["missing-rollback"]      # as --select; likewise ignore, min-level, min-precision
    baseline = "known.json"            # as --baseline; in the file's folder or below it
    jobs = 2                           # as --jobs, but never more than there are CPUs
    [[suppress]]
    ...                                # see kvmlint.exempt
    [knowledge]
    ...                                # read by kvmlint.knowledge.extend

What the command line says wins over the file. The file comes with somebody's tree: nothing in it is
run, no path in it leads out of its folder, and it can't be large.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from types import MappingProxyType

from kvmlint.complaint import META
from kvmlint.diagnostic import Precision, Severity
from kvmlint.exempt import Exemption
from kvmlint.knowledge.error import KnowledgeError, locate, suggest
from kvmlint.knowledge.reader import Document, Reader, parse
from kvmlint.source import SourceFile

NAME = ".kvmlint.toml"
MAX_BYTES = 256 * 1024
"""Largest file, in bytes; kvmlint's own tables have 90,000."""
MAX_LINE = 1000
"""Longest line, in characters: tomllib takes a minute for a key of 60,000 parts."""
KEYS = ("select", "ignore", "min-level", "min-precision", "baseline", "jobs")
"""What [check] may hold."""


@dataclass(frozen=True, slots=True)
class Config:
    """One file. ``path`` and ``text`` are what kvmlint.knowledge.extend wants; both '' for none.
    Where the file says nothing, a setting is None or empty. ``baseline`` is a path that can be
    opened. ``lines`` says where each setting, and each table under [knowledge], stands."""

    path: str = ""
    text: str = ""
    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    min_level: Severity | None = None
    min_precision: Precision | None = None
    baseline: str = ""
    jobs: int | None = None
    exemptions: tuple[Exemption, ...] = ()
    tables: tuple[str, ...] = ()
    lines: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))


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


def load(file: Path, rules: Collection[str]) -> Config:
    """The settings in ``file``; ``rules`` are the rules that there are, those about suppressions
    among them. Raises KnowledgeError, whose text names file, line and key."""
    path = str(file)
    data = _data(file)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise KnowledgeError(path, 0, "", "is not UTF-8") from None
    for number, line in enumerate(text.split("\n"), start=1):
        if len(line) > MAX_LINE:
            raise KnowledgeError(path, number, "", f"is a line of more than {MAX_LINE} characters")
    document = Document(text, path)
    top = parse(document).table(("check", "suppress", "knowledge"))
    check = top["check"].table(KEYS) if "check" in top else {}
    lines = {key: locate(text, reader.key) for key, reader in check.items()}
    tables = _tables(top["knowledge"]) if "knowledge" in top else ()
    lines.update((".".join(table), locate(text, ("knowledge", *table))) for table in tables)
    level, precision = check.get("min-level"), check.get("min-precision")
    source = SourceFile(path, data)
    return Config(
        path=path,
        text=text,
        select=_rules(check.get("select"), rules),
        ignore=_rules(check.get("ignore"), rules),
        min_level=level.choice(Severity) if level else None,
        min_precision=precision.choice(Precision) if precision else None,
        baseline=_baseline(check["baseline"], file.parent) if "baseline" in check else "",
        jobs=check["jobs"].number() if "jobs" in check else None,
        exemptions=(
            tuple(_exemption(row, source, rules) for row in top["suppress"].rows())
            if "suppress" in top
            else ()
        ),
        tables=tuple(".".join(table) for table in tables),
        lines=MappingProxyType(lines),
    )


def _data(file: Path) -> bytes:
    """The bytes of the file, which may be a link, but not one that leads out of its folder."""
    path = str(file)
    try:
        if _leads_out(file, file.parent):
            raise KnowledgeError(path, 0, "", "is a link that leads out of its folder")
        with file.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise KnowledgeError(path, 0, "", (error.strerror or "can't be read").lower()) from None
    if len(data) > MAX_BYTES:
        raise KnowledgeError(path, 0, "", f"is too large (the limit is {MAX_BYTES} bytes)")
    return data


def _leads_out(file: Path, folder: Path) -> bool:
    """Whether a file is not below a folder when links are followed."""
    return not Path(os.path.realpath(file)).is_relative_to(os.path.realpath(folder))


def _baseline(reader: Reader, folder: Path) -> str:
    """The baseline's path, so that it can be opened."""
    file = folder / _inside(reader)
    if _leads_out(file, folder):
        reader.fail("is a link that leads out of its folder")
    return str(file)


def _rules(reader: Reader | None, known: Collection[str]) -> tuple[str, ...]:
    """Names of rules, each of which must exist."""
    if reader is None:
        return ()
    words = tuple(name for word in reader.words() for name in word.replace(",", " ").split())
    for word in words:
        _known(reader, word, known)
    return words


def _known(reader: Reader, word: str, known: Collection[str]) -> None:
    if word not in known:
        near = suggest(word, known) or "; 'kvmlint explain' lists them"
        reader.fail(f"there is no rule '{word}'{near}")


def _inside(reader: Reader) -> str:
    """A path that stays in the folder of the file, as it is written."""
    path = reader.text()
    parts = PurePosixPath(path).parts
    if not parts or "\0" in path:
        reader.fail("must be a path")
    if path.startswith("/") or ".." in parts:
        reader.fail("must be a path in the folder of this file, without '..'")
    return path


def _exemption(reader: Reader, file: SourceFile, rules: Collection[str]) -> Exemption:
    """One [[suppress]] entry: everything in it must be right, or somebody relies on it in vain."""
    parts = reader.table(("path", "function", "rule", "reason"))
    line = locate(file.data.decode("utf-8"), reader.key)
    for name in ("path", "rule", "reason"):
        if name not in parts:
            reader.fail(f"a suppression must say '{name}'")
    own = {rule.id for rule in META}
    _known(parts["rule"], parts["rule"].text(), [rule for rule in rules if rule not in own])
    reason = " ".join(parts["reason"].text().split())
    if not any(char.isalnum() for char in reason):
        parts["reason"].fail("a suppression needs a reason")
    function = parts["function"].text() if "function" in parts else "*"
    if not function:
        parts["function"].fail("must be a name; without it every function is meant")
    path = _inside(parts["path"]).removeprefix("./")
    return Exemption(path, function, parts["rule"].text(), reason, file, max(line, 1))


def _tables(reader: Reader) -> tuple[tuple[str, ...], ...]:
    """The tables that [knowledge] extends, as far as their rows' names; no check of what they
    hold."""
    found: list[tuple[str, ...]] = []
    for section, row in reader.table().items():
        names = row.table() if isinstance(row.value, dict) else {}
        found += [(section, name) for name in names] or [(section,)]
    return tuple(found)

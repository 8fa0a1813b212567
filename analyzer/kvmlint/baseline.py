"""Baselines: the findings that a project knows already, in a file that can be reviewed.

A finding is known by its fingerprint, which has no line and no path in it, and as often as the file
says: two calls alike in one function have one fingerprint. An entry's path only says where to look
first, so a renamed file's findings stay known. Pure but for ``load``.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

from kvmlint.complaint import STALE_BASELINE, complain, line_span
from kvmlint.diagnostic import Diagnostic
from kvmlint.knowledge.error import KnowledgeError
from kvmlint.report.json import Json, dumps
from kvmlint.scope import Scope
from kvmlint.source import MAX_BYTES, SourceFile

VERSION = 1
REASON = "it is in the baseline"


@dataclass(frozen=True, slots=True)
class Entry:
    """``count`` findings of one fingerprint in one file, as that file was called when they were
    written down; ``line`` is the entry's in the baseline, from 1."""

    fingerprint: str
    rule: str
    path: str
    function: str
    hypercall: str
    message: str
    count: int
    line: int


@dataclass(frozen=True, slots=True)
class Baseline:
    """A file that was read; ``file.path`` is what the user calls it."""

    file: SourceFile
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """``known`` findings carry the entry that knows them; ``stale`` are about entries."""

    kept: tuple[Diagnostic, ...]
    known: tuple[Diagnostic, ...]
    stale: tuple[Diagnostic, ...]


# --- writing --------------------------------------------------------------------------------------


def write(diagnostics: Iterable[Diagnostic]) -> str:
    """The baseline that knows these findings and no others; the same text for the same ones."""
    groups: dict[tuple[str, str], list[Diagnostic]] = {}
    for diagnostic in sorted(diagnostics, key=Diagnostic.sort_key):
        groups.setdefault((diagnostic.span.path, diagnostic.fingerprint), []).append(diagnostic)
    rows = [(found[0], len(found)) for found in groups.values()]
    rows.sort(key=lambda row: (row[0].span.path, row[0].function, row[0].rule, row[0].fingerprint))
    entries: list[Json] = [
        {
            "fingerprint": d.fingerprint,
            "rule": d.rule,
            "path": d.span.path,
            "function": d.function,
            "hypercall": d.hypercall,
            "message": d.message,
            "count": count,
        }
        for d, count in rows
    ]
    return dumps({"version": VERSION, "tool": "kvmlint", "findings": entries})


# --- reading --------------------------------------------------------------------------------------


def load(name: str) -> Baseline:
    """The baseline in a file. An empty one knows nothing: /dev/null shows everything again.
    Raises KnowledgeError, whose text names file, line and member."""
    try:
        with Path(name).open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else None
        raise KnowledgeError(name, 0, "", (why or "can't be read").lower()) from None
    if len(data) > MAX_BYTES:
        raise KnowledgeError(name, 0, "", f"is too large (the limit is {MAX_BYTES} bytes)")
    return read(SourceFile(name, data))


def read(file: SourceFile) -> Baseline:
    """The baseline in a text. Raises KnowledgeError."""
    try:
        text = file.data.decode("utf-8")
        value: object = json.loads(text) if text.strip() else {"version": VERSION, "findings": []}
    except json.JSONDecodeError as error:
        raise KnowledgeError(file.path, error.lineno, "", f"is not JSON: {error.msg}") from None
    except (ValueError, RecursionError):  # not UTF-8, a number of 5,000 digits, 5,000 brackets
        raise KnowledgeError(file.path, 0, "", "is not JSON that kvmlint can read") from None
    if not isinstance(value, dict) or "version" not in value:
        raise KnowledgeError(file.path, 0, "", "is no baseline: it has no 'version'")
    if type(value["version"]) is not int or value["version"] != VERSION:
        shown = json.dumps(value["version"])[:20]
        why = f"is {shown}, and this kvmlint reads {VERSION}: write the baseline anew"
        raise KnowledgeError(file.path, _line(file, '"version"', 0)[0], "version", why)
    findings = value.get("findings")
    if not isinstance(findings, list):
        raise KnowledgeError(file.path, 0, "findings", "must be an array")
    entries: list[Entry] = []
    at = 0
    for number, row in enumerate(findings):
        entry, at = _entry(file, row, number, at)
        entries.append(entry)
    return Baseline(file, tuple(entries))


def _entry(file: SourceFile, row: object, number: int, at: int) -> tuple[Entry, int]:
    """One entry; ``at`` is where in the text the one before it was found."""
    key = f"findings[{number}]"

    def fail(member: str, message: str, line: int) -> NoReturn:
        raise KnowledgeError(file.path, line, f"{key}.{member}" if member else key, message)

    if not isinstance(row, dict):
        fail("", "must be an object", 0)
    mark = row.get("fingerprint")
    line = 0
    if isinstance(mark, str):
        line, at = _line(file, json.dumps(mark), at)
    texts: list[str] = []
    for member in ("fingerprint", "rule", "path", "function", "hypercall", "message"):
        value = row.get(member)
        if not isinstance(value, str):
            fail(member, "must be a string" if member in row else "is missing", line)
        texts.append(value)
    count = row.get("count", 1)
    if type(count) is not int or count < 1:
        fail("count", "must be a number, 1 or more", line)
    fingerprint, rule, path, function, hypercall, message = texts
    return Entry(fingerprint, rule, path, function, hypercall, message, count, max(line, 1)), at


def _line(file: SourceFile, word: str, at: int) -> tuple[int, int]:
    """The line of the first ``word`` behind an offset, and the offset behind it; 0: nowhere.

    IMPRECISE: a search; a message that quotes a fingerprint could lead it astray.
    """
    found = file.data.find(word.encode(), at)
    if found < 0:
        return 0, len(file.data)
    return file.line_of(found), found + len(word)


# --- comparing ------------------------------------------------------------------------------------


def apply(
    baseline: Baseline,
    shown: Sequence[Diagnostic],
    others: Sequence[Diagnostic],
    suppressed: Sequence[Diagnostic],
    scope: Scope,
    exists: Callable[[str], bool],
) -> Outcome:
    """Sort the findings that would be ``shown`` by what the baseline knows.

    ``others`` are findings that the options hide: they keep their entries alive. A ``suppressed``
    one does not: the suppression says more than the entry. ``exists`` says whether there is a file
    of that path; the entries of one that is there, but not in ``scope``, are its own.
    """
    left = Counter[int]()
    exact: dict[tuple[str, str], list[int]] = {}
    anywhere: dict[str, list[int]] = {}
    for number, entry in enumerate(baseline.entries):
        left[number] = entry.count
        exact.setdefault((entry.fingerprint, entry.path), []).append(number)
        anywhere.setdefault(entry.fingerprint, []).append(number)

    def take(numbers: Iterable[int]) -> int | None:
        for number in numbers:
            if left[number] > 0:
                left[number] -= 1
                return number
        return None

    findings = [*shown, *others]
    knowing = [take(exact.get((d.fingerprint, d.span.path), ())) for d in findings]
    for index, diagnostic in enumerate(findings):
        if knowing[index] is None:
            knowing[index] = take(
                number
                for number in anywhere.get(diagnostic.fingerprint, ())
                if scope.covers(baseline.entries[number].path)
                or not exists(baseline.entries[number].path)
            )
    kept: list[Diagnostic] = []
    known: list[Diagnostic] = []
    for diagnostic, knows in zip(shown, knowing, strict=False):
        if knows is None:
            kept.append(diagnostic)
        else:
            place = line_span(baseline.file, baseline.entries[knows].line)
            known.append(replace(diagnostic, suppression=REASON, allowed=place))
    allowed = {(d.fingerprint, d.span.path) for d in suppressed}
    stale = [
        complain(
            STALE_BASELINE,
            line_span(baseline.file, entry.line),
            baseline.file.line_text(entry.line).strip(),
            _stale(entry, left[number], (entry.fingerprint, entry.path) in allowed),
        )
        for number, entry in enumerate(baseline.entries)
        if left[number] > 0 and scope.asked(entry.rule) and scope.covers(entry.path)
    ]
    wanted = stale if STALE_BASELINE.id in scope.ran else []
    return Outcome(tuple(kept), tuple(known), tuple(sorted(wanted, key=Diagnostic.sort_key)))


def _stale(entry: Entry, left: int, suppressed: bool) -> str:
    where = f"{entry.function} of {entry.path}" if entry.function else entry.path
    many = f"{left} of {entry.count} of " if left < entry.count else ""
    why = "suppressed" if suppressed else "not there any more"
    return f"{many}{entry.rule} in {where} is {why}: the baseline entry is stale"

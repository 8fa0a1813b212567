"""What of a change a finding is about, in the form that a patch shows it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher

from kvmlint.codebase import Codebase
from kvmlint.compare import MOST_LINES
from kvmlint.diagnostic import Diagnostic, Hunk, Note
from kvmlint.source import SourceError

CONTEXT = 3
"""Lines around what is changed, as git shows them."""
_FUNCTION = re.compile(r"[A-Za-z_$]")
"""How a line begins that git takes for a function's first."""


@dataclass(frozen=True, slots=True)
class Part:
    """One hunk of a file. ``rows`` are its lines with their numbers after the change; a removed
    line has that of the line that follows it."""

    heading: str
    rows: tuple[tuple[int, str], ...]

    def index(self, line: int) -> int | None:
        """Where a line of the file stands in the hunk."""
        found = (i for i, (at, text) in enumerate(self.rows) if at == line and text[:1] != "-")
        return next(found, None)

    def between(self, first: int, last: int) -> int | None:
        """Where the first changed line stands that is from ``first`` to ``last``."""
        found = (i for i, (at, text) in enumerate(self.rows) if text[:1] != " " and at >= first)
        index = next(found, None)
        return index if index is not None and self.rows[index][0] <= last else None


@dataclass(slots=True)
class Hunks:
    """Two versions of one tree. ``paths`` are the files that differ."""

    before: Codebase
    after: Codebase
    paths: Collection[str]
    _parts: dict[str, tuple[Part, ...]] = field(default_factory=dict)

    def of(self, d: Diagnostic, links: Iterable[Note] = ()) -> Hunk | None:
        """The hunk with the finding's line; or else with a line that is to blame for it (``links``)
        or that is on its path, the last one; or else within the path."""
        spans = (d.span, *(note.span for note in links), *(s.span for s in reversed(d.steps)))
        for span in spans:
            for part in self._of(span.path):
                at = part.index(span.line)
                if at is not None:
                    return _hunk(span.path, part, at)
        lines = [d.span.line, *(s.span.line for s in d.steps if s.span.path == d.span.path)]
        for part in self._of(d.span.path):
            at = part.between(min(lines), max(lines) + 1)
            if at is not None:
                return _hunk(d.span.path, part, at)
        return None

    def _of(self, path: str) -> tuple[Part, ...]:
        if path not in self.paths:
            return ()
        found = self._parts.get(path)
        if found is None:
            after = _lines(self.after, path)
            before = _lines(self.before, path) or self._renamed(after)
            found = self._parts[path] = parts(before, after)
        return found

    def _renamed(self, after: Sequence[str]) -> list[str]:
        """What a file was before that had another name: the file that is gone, and most alike."""
        wanted = set(after)
        best: list[str] = []
        most = len(wanted) // 2
        for path in sorted(self.paths):
            if not _lines(self.after, path):
                lines = _lines(self.before, path)
                alike = len(wanted.intersection(lines))
                if alike > most:
                    best, most = lines, alike
        return best


def _hunk(path: str, part: Part, at: int) -> Hunk:
    return Hunk(path, part.heading, tuple(text for _, text in part.rows), at)


def _lines(code: Codebase, path: str) -> list[str]:
    """The lines of a file, as SourceFile.line_text() has them; none for one that isn't there."""
    try:
        text = code.read(path).decode("utf-8", "replace")
    except SourceError:
        return []
    return [line.rstrip("\r") for line in text.removesuffix("\n").split("\n")]


def parts(before: Sequence[str], after: Sequence[str]) -> tuple[Part, ...]:
    """The hunks between two versions of a file; none where too much of it is changed."""
    head = 0
    while head < min(len(before), len(after)) and before[head] == after[head]:
        head += 1
    tail = 0
    while tail < min(len(before), len(after)) - head and before[-1 - tail] == after[-1 - tail]:
        tail += 1
    start, keep = max(head - CONTEXT, 0), max(tail - CONTEXT, 0)
    old, new = before[start : len(before) - keep], after[start : len(after) - keep]
    if old and new and max(len(old), len(new)) > MOST_LINES:
        return ()
    groups = SequenceMatcher(None, old, new).get_grouped_opcodes(CONTEXT)
    return tuple(_part(before, old, new, start, group) for group in groups)


def _part(
    before: Sequence[str],
    old: Sequence[str],
    new: Sequence[str],
    start: int,
    group: Sequence[tuple[str, int, int, int, int]],
) -> Part:
    rows: list[tuple[int, str]] = []
    for tag, i, i_end, j, j_end in group:
        if tag == "equal":
            rows += [(start + n + 1, f" {new[n]}") for n in range(j, j_end)]
            continue
        rows += [(start + j + 1, f"-{text}") for text in old[i:i_end]]
        rows += [(start + n + 1, f"+{new[n]}") for n in range(j, j_end)]
    first, last = group[0], group[-1]
    ranges = (
        f"-{_range(start + first[1], last[2] - first[1])}"
        f" +{_range(start + first[3], last[4] - first[3])}"
    )
    above = reversed(before[: start + first[1]])
    function = next((text for text in above if _FUNCTION.match(text)), "")
    return Part(f"@@ {ranges} @@ {function}".rstrip(), tuple(rows))


def _range(start: int, count: int) -> str:
    """A range of lines, ``start`` from 0, as diff writes it."""
    if count == 1:
        return str(start + 1)
    return f"{start + 1 if count else start},{count}"

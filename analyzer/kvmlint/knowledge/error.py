"""What is wrong with a table, and where: file, line, key.

tomllib reports no positions for values, so the line is found by looking for the key in the text.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

Key = tuple[str | int, ...]

_HEADER = re.compile(r"\s*(\[\[?)([^\[\]]+)\]\]?\s*(?:#.*)?$")
_ASSIGNMENT = re.compile(r"\s*([A-Za-z0-9_.\"'*-]+)\s*=")


class KnowledgeError(Exception):
    """A table that can't be used. ``line`` is 1-based; 0 when the key could not be found."""

    def __init__(self, file: str, line: int, key: str, message: str) -> None:
        super().__init__(file, line, key, message)
        self.file = file
        self.line = line
        self.key = key
        self.message = message

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.key}: {self.message}" if self.key else f"{place}: {self.message}"


def dotted(key: Key) -> str:
    """A key as a person would write it: knowledge.family.slab.make[0].holds."""
    text = ""
    for part in key:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text


def suggest(word: str, valid: Iterable[str]) -> str:
    """What to add to a message about a word that isn't valid: the nearest valid one, if any."""
    near = difflib.get_close_matches(word, sorted(valid), n=1, cutoff=0.6)
    return f"; did you mean '{near[0]}'?" if near else ""


def locate(text: str, key: Key) -> int:
    """The line of ``text`` (1-based) where ``key`` stands, or the nearest enclosing one; 0: none.

    IMPRECISE: a search, not a parser. A bracket or a key-like line inside a multi-line string can
    lead it astray; the key in the message stays right.
    """
    lines = text.split("\n")
    spans = _assignments(lines)
    for length in range(len(key), 0, -1):
        if key[:length] in spans:
            start, end = spans[key[:length]]
            return _inside(lines, start, end, key[length:])
    return 0


def _assignments(lines: list[str]) -> dict[Key, tuple[int, int]]:
    """Every header and assigned key with its first and last line."""
    spans: dict[Key, tuple[int, int]] = {}
    counts: dict[Key, int] = {}
    table: Key = ()
    last: Key = ()
    for number, line in enumerate(lines, start=1):
        header = _HEADER.match(line)
        assignment = _ASSIGNMENT.match(line)
        if header:
            table = _parts(header.group(2))
            if header.group(1) == "[[":
                index = counts.get(table, 0)
                counts[table] = index + 1
                table = (*table, index)
            last = table
        elif assignment:
            last = (*table, *_parts(assignment.group(1)))
        elif last:
            first, _ = spans[last]
            spans[last] = (first, number)
            continue
        else:
            continue
        for length in range(1, len(last) + 1):
            spans.setdefault(last[:length], (number, number))
        spans[last] = (number, number)
    return spans


def _parts(text: str) -> Key:
    return tuple(part.strip().strip("\"'") for part in text.split("."))


def _inside(lines: list[str], start: int, end: int, rest: Key) -> int:
    """The line of the inline table and key ``rest`` of a value that spans ``start`` to ``end``."""
    number = start
    for part in rest:
        if isinstance(part, int):
            number = _nth_brace(lines, start, end, part) or number
        else:
            word = re.compile(rf"\b{re.escape(part)}\s*=")
            found = (n for n in range(number, end + 1) if word.search(lines[n - 1]))
            number = next(found, number)
    return number


def _nth_brace(lines: list[str], start: int, end: int, index: int) -> int:
    seen = 0
    for number in range(start, end + 1):
        seen += lines[number - 1].count("{")
        if seen > index:
            return number
    return 0

"""Findings before and after a change: which are new, which are gone, whose path was touched.

Fingerprints are compared as a multiset: two alike calls in one function have one fingerprint. Code
that was only moved, or set in other lines, is not touched: a path is the code of its steps without
white space and comments.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from functools import lru_cache
from typing import TypeVar

from kvmlint.diagnostic import Diagnostic
from kvmlint.runner import Result
from kvmlint.source import Span

MOST_LINES = 4_000
"""Of a change that goes over more lines, every line counts as changed."""
_LONGEST = 4_000
"""Bytes of a statement that are looked at."""
_COMMENT = re.compile(rb"/\*.*?\*/|//[^\n]*", re.DOTALL)

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Comparison:
    """``kept`` are findings of before, each with what it became; ``touched`` those of them whose
    path is another one and goes over a changed line, as they are after. Absorbed findings count."""

    new: tuple[Diagnostic, ...]
    gone: tuple[Diagnostic, ...]
    kept: tuple[tuple[Diagnostic, Diagnostic], ...]
    touched: tuple[Diagnostic, ...]


def compare(before: Result, after: Result) -> Comparison:
    """What became of the findings of ``before``."""
    pairing = _Pairing(before, after)
    pairing.match(lambda d: d.fingerprint)
    # A name was changed: the same path in a function of another name, or the same defect, which
    # is about other variables now.
    pairing.match(lambda d: (d.rule, d.hypercall, pairing.path(d)))
    pairing.match(lambda d: (d.rule, d.hypercall, d.function))
    kept = sorted(pairing.kept, key=lambda pair: pair[1].sort_key())
    return Comparison(
        tuple(pairing.new),
        tuple(pairing.gone),
        tuple(kept),
        tuple(new for old, new in kept if pairing.touched(old, new)),
    )


@dataclass(slots=True)
class _Pairing:
    before: Result
    after: Result
    gone: list[Diagnostic] = field(init=False)
    new: list[Diagnostic] = field(init=False)
    kept: list[tuple[Diagnostic, Diagnostic]] = field(default_factory=list)
    _old: frozenset[int] = field(init=False)

    def __post_init__(self) -> None:
        # A finding that another one's report tells of, before or after, was there all the same.
        self.gone = [*self.before.diagnostics, *self.before.absorbed]
        self.new = [*self.after.diagnostics, *self.after.absorbed]
        self._old = frozenset(map(id, self.gone))

    def match(self, key: Callable[[Diagnostic], Hashable]) -> None:
        """Pair findings with the same key; of several the most alike ones."""
        gone, new = _grouped(self.gone, key), _grouped(self.new, key)
        for name in gone.keys() & new.keys():
            pairs = sorted(
                (self._unlike(old, one), i, j, old, one)
                for i, old in enumerate(gone[name])
                for j, one in enumerate(new[name])
            )
            seen: set[int] = set()
            for _, _, _, old, one in pairs:
                if id(old) not in seen and id(one) not in seen:
                    seen |= {id(old), id(one)}
                    self.kept.append((old, one))
            self.gone = [d for d in self.gone if id(d) not in seen]
            self.new = [d for d in self.new if id(d) not in seen]

    def _unlike(self, old: Diagnostic, new: Diagnostic) -> tuple[bool, bool]:
        return self.path(old) != self.path(new), new.span.line in self._changed(old, new)

    def touched(self, old: Diagnostic, new: Diagnostic) -> bool:
        """Whether the path is another one, and a changed line is on it."""
        if self.path(old) == self.path(new):
            return False
        changed = self._changed(old, new)
        return any(
            not changed.isdisjoint(lines)
            for span in _spans(new)
            if span.path == new.span.path
            for _, lines in [statement(self.after.files[span.path], span)]
        )

    def path(self, d: Diagnostic) -> tuple[bytes, ...]:
        """The code of a finding's steps."""
        files = self.before.files if id(d) in self._old else self.after.files
        return tuple(statement(files[s.path], s)[0] for s in _spans(d) if s.path in files)

    def _changed(self, old: Diagnostic, new: Diagnostic) -> frozenset[int]:
        return changed_lines(
            self.before.files.get(old.span.path, b""), self.after.files.get(new.span.path, b"")
        )


def _grouped(
    found: Sequence[Diagnostic], key: Callable[[Diagnostic], K]
) -> dict[K, list[Diagnostic]]:
    groups: dict[K, list[Diagnostic]] = {}
    for diagnostic in found:
        groups.setdefault(key(diagnostic), []).append(diagnostic)
    return groups


def _spans(d: Diagnostic) -> Iterator[Span]:
    yield from (step.span for step in d.steps) if d.steps else (d.span,)


def statement(data: bytes, span: Span) -> tuple[bytes, range]:
    """The code from a place to the end of its statement, without white space and comments, and the
    lines that it is on (1-based)."""
    start = _offset(data, span.line, span.column)
    text = _COMMENT.sub(
        lambda found: re.sub(rb"[^\n]", b" ", found[0]), data[start : start + _LONGEST]
    )
    code = text[: max(_end(text), 1)]
    return b"".join(code.split()), range(span.line, span.line + code.count(b"\n") + 1)


def _end(text: bytes) -> int:
    """Where a statement, or a condition in brackets that are around it, ends."""
    depth = 0
    for at, char in enumerate(text):
        if char in b"([":
            depth += 1
        elif char in b")]":
            depth -= 1
            if depth < 0:
                return at
        elif char in b";{}" and depth == 0:
            return at
    return len(text)


def _offset(data: bytes, line: int, column: int) -> int:
    """The byte at a line and a column in UTF-16 units, both 1-based."""
    starts = _line_starts(data)
    start = starts[min(line, len(starts)) - 1]
    end = data.find(b"\n", start)
    text = data[start : end if end >= 0 else len(data)]
    if text.isascii():
        return start + column - 1
    units = text.decode("utf-8", "replace").encode("utf-16-le", "surrogatepass")
    before = units[: 2 * (column - 1)].decode("utf-16-le", "replace")
    return start + len(before.encode())


@lru_cache(maxsize=64)
def _line_starts(data: bytes) -> tuple[int, ...]:
    return (0, *(match.end() for match in re.finditer(rb"\n", data)))


@lru_cache(maxsize=64)
def changed_lines(before: bytes, after: bytes) -> frozenset[int]:
    """The lines of ``after`` (1-based) that ``before`` doesn't have; white space doesn't count."""
    if before == after:
        return frozenset()
    old, new = ([b"".join(line.split()) for line in data.split(b"\n")] for data in (before, after))
    head = 0
    while head < min(len(old), len(new)) and old[head] == new[head]:
        head += 1
    tail = 0
    while tail < min(len(old), len(new)) - head and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    old, new = old[head : len(old) - tail], new[head : len(new) - tail]
    if max(len(old), len(new)) > MOST_LINES:
        return frozenset(range(head + 1, head + len(new) + 1))
    return frozenset(
        head + 1 + line
        for tag, _, _, first, last in SequenceMatcher(None, old, new).get_opcodes()
        if tag in ("replace", "insert")
        for line in range(first, last)
    )

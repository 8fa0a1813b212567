"""Suppression in the source: ``/* kvmlint: allow RULE -- why */``, and complaints about it.

Pure: texts and findings in; what is kept, what is suppressed, and what is wrong with the comments
out. A comment speaks for the lines that it is on; one that stands alone, also for the line below.
It meets a finding at its primary location or at any step of its path. Suppression outside of the
source, by entries of .kvmlint.toml, is kvmlint.exempt's.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from kvmlint.complaint import BAD, META, STALE, complain
from kvmlint.diagnostic import Diagnostic
from kvmlint.scope import Scope
from kvmlint.source import SourceFile, Span

MARK = b"kvmlint:"
"""What every such comment begins with; a file without it needs no further look."""

_TOKEN = re.compile(
    rb"//(?:[^\n\\]|\\\r?\n|\\)*"
    rb"|/\*.*?(?:\*/|\Z)"
    rb'|"(?:[^"\\\n]|\\(?:\r\n|.))*"?'
    rb"|'(?:[^'\\\n]|\\(?:\r\n|.))*'?",
    re.DOTALL,
)
"""Comments, and the literals in which no comment begins."""
_ALLOW = re.compile(r"allow\b(?P<rules>.*?)(?:--(?P<reason>.*))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Allowance:
    """One comment's word about one rule; it speaks for the lines ``first`` to ``last``."""

    rule: str
    reason: str
    span: Span
    text: str
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """``suppressed`` findings carry their reason; ``complaints`` are about the comments."""

    kept: tuple[Diagnostic, ...]
    suppressed: tuple[Diagnostic, ...]
    complaints: tuple[Diagnostic, ...]


def apply(diagnostics: Sequence[Diagnostic], files: Mapping[str, bytes], scope: Scope) -> Outcome:
    """Sort findings by what the comments in ``files`` (analysed ones, by path) allow."""
    known = scope.known.difference(rule.id for rule in META)
    allowances: dict[str, list[Allowance]] = {}
    complaints: list[Diagnostic] = []
    for path, data in files.items():
        for item in read(SourceFile(path, data), known):
            if isinstance(item, Diagnostic):
                complaints.append(item)
            else:
                allowances.setdefault(path, []).append(item)
    kept: list[Diagnostic] = []
    suppressed: list[Diagnostic] = []
    used: set[Allowance] = set()
    for diagnostic in diagnostics:
        spans = (diagnostic.span, *(step.span for step in diagnostic.steps))
        matching = [
            allowance
            for span in dict.fromkeys(spans)
            for allowance in allowances.get(span.path, ())
            if allowance.rule == diagnostic.rule
            and allowance.first <= span.end_line
            and allowance.last >= span.line
        ]
        used.update(matching)
        if matching:
            first = matching[0]
            suppressed.append(replace(diagnostic, suppression=first.reason, allowed=first.span))
        else:
            kept.append(diagnostic)
    complaints += [
        complain(STALE, allowance.span, allowance.text, _stale(allowance))
        for allowance in chain.from_iterable(allowances.values())
        if allowance not in used
        and allowance.rule in scope.ran
        and allowance.span.path not in scope.unsure
    ]
    return Outcome(tuple(kept), tuple(suppressed), wanted(complaints, scope))


def wanted(complaints: Sequence[Diagnostic], scope: Scope) -> tuple[Diagnostic, ...]:
    """The complaints of rules that were asked, in order."""
    return tuple(sorted((c for c in complaints if c.rule in scope.ran), key=Diagnostic.sort_key))


def read(file: SourceFile, known: Collection[str]) -> Iterator[Allowance | Diagnostic]:
    """What the comments of a file allow, and complaints about those that allow nothing."""
    for start, end in _comments(file.data):
        comment = file.data[start:end]
        if MARK not in comment:
            continue
        words = _words(comment)
        head, colon, rest = words.partition(":")
        if head != "kvmlint" or not colon:
            continue
        span = file.span(start, end)
        text = file.line_text(span.line).strip()
        found = _ALLOW.fullmatch(rest.strip())
        rules = found["rules"].replace(",", " ").split() if found else []
        reason = (found["reason"] or "").strip() if found else ""
        if not rules:
            said = words if len(words) <= _SAID else f"{words[: _SAID - 1]}…"
            yield complain(BAD, span, text, f"{_SHAPE}, but this says '{said}'")
        elif not any(char.isalnum() for char in reason):
            yield complain(BAD, span, text, f"a suppression needs a reason: {_SHAPE}")
        else:
            last = _line_end(file, span, start, end)
            for rule in dict.fromkeys(rules):
                if rule in known:
                    yield Allowance(rule, reason, span, text, span.line, last)
                else:
                    near = _near(rule, known)
                    yield complain(BAD, span, text, f"there is no rule '{rule}'{near}")


_SAID = 60
_SHAPE = "it is written 'kvmlint: allow RULE -- why'"


def _comments(data: bytes) -> Iterator[tuple[int, int]]:
    """Byte ranges of the comments that may concern kvmlint."""
    if MARK in data:
        yield from (
            found.span() for found in _TOKEN.finditer(data) if data[found.start()] == ord("/")
        )


def _words(comment: bytes) -> str:
    """The text of a comment in one line, without its marks and the stars at its left."""
    body = comment[2:].removesuffix(b"*/") if comment[1] == ord("*") else comment[2:]
    lines = body.decode("utf-8", "replace").replace("\\\n", "\n").splitlines()
    return " ".join(" ".join(line.strip().lstrip("*/!") for line in lines).split())


def _line_end(file: SourceFile, span: Span, start: int, end: int) -> int:
    """The last line that a comment speaks for: the one below it, if it stands alone."""
    data = file.data
    before = data[data.rfind(b"\n", 0, start) + 1 : start]
    newline = data.find(b"\n", end)
    after = data[end : newline if newline >= 0 else len(data)]
    return span.end_line + (not before.strip() and not after.strip())


def _near(rule: str, known: Collection[str]) -> str:
    from kvmlint.knowledge.error import suggest

    return suggest(rule, sorted(known)) or "; 'kvmlint explain' lists them"


def _stale(allowance: Allowance) -> str:
    return f"{allowance.rule} reports nothing here: the suppression is stale"

"""The report for a person: where, why it can fail, the path, what stands, what undoes it."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator
from enum import Enum

from kvmlint.diagnostic import Change, Diagnostic, Errno, Note, Notification, Origin, Severity
from kvmlint.report import Report, Style
from kvmlint.report.safe import cut, pad, safe, width
from kvmlint.source import Span

ERRNO_SITES = 8
"""EL2 lines listed per finding; the machine formats have all of them."""

_GONE = "gone: "
_NARROWEST = 24  # cells that a source line always gets, however long the words beside it are


class _Ink(Enum):
    """SGR parameters (ECMA-48)."""

    PATH = "1"
    ERROR = "1;31"
    WARNING = "1;33"
    NOTE = "1;36"
    DIM = "2"


_LEVEL = {Severity.ERROR: _Ink.ERROR, Severity.WARNING: _Ink.WARNING, Severity.NOTE: _Ink.NOTE}


def render(report: Report, style: Style) -> str:
    """All findings, what was not analysed (on request), a summary; '' when there is nothing."""
    blocks = list(_findings(report.diagnostics, style))
    skipped = [n for n in report.notifications if not n.failed]
    if style.notifications and skipped:
        blocks.append("\n".join(_notification(n, style) for n in skipped))
    if report.diagnostics:
        blocks.append(_summary(report.diagnostics, 0 if style.notifications else len(skipped)))
    return "\n\n".join(blocks) + "\n" if blocks else ""


def _findings(diagnostics: Iterable[Diagnostic], style: Style) -> Iterator[str]:
    """A block a finding; those of a series of changes below the change that brings them."""
    latest: Change | None = None
    for d in diagnostics:
        change = d.origin.change if d.origin is not None else None
        if change is not None and change != latest:
            yield _ink(_change(change), _Ink.PATH, style)
        latest = change
        yield "\n".join(_finding(d, style))


def _change(change: Change) -> str:
    subject = f' ("{safe(change.subject)}")' if change.subject else ""
    return f"{safe(change.name)}{subject}"


def _origin(origin: Origin) -> Iterator[str]:
    """What a heading doesn't tell of how a finding came."""
    if not origin.new:
        yield "it was there before; this changes its path"
    if origin.removed is not None:
        yield f"removed again by {_change(origin.removed)}"


def _finding(d: Diagnostic, style: Style) -> Iterator[str]:
    place = f"{safe(d.span.path)}:{d.span.line}:{d.span.column}:"
    folder = posixpath.dirname(d.span.path)
    level = "suppressed:" if d.suppression else f"{d.severity.value}:"
    ink = _Ink.DIM if d.suppression else _LEVEL[d.severity]
    yield (
        f"{_ink(place, _Ink.PATH, style)} {_ink(level, ink, style)} "
        f"{safe(d.message)} {_ink(f'[{d.rule}]', _Ink.DIM, style)}"
    )
    if d.suppression:
        where = f" at {place_of(d.allowed, folder)}" if d.allowed else ""
        yield from _wrap(f"allowed{where} because: {safe(d.suppression)}", style.width)
    for words in _origin(d.origin) if d.origin is not None else ():
        yield from _wrap(words, style.width)
    yield from _wrap(_header(d, folder), style.width)
    yield from _steps(d.steps, folder, style)
    for label, texts in standing_of(d.standing):
        yield from _wrap(f"{label}: {'; '.join(map(safe, texts))}", style.width)
    if d.undo:
        yield from _wrap(f"would undo it: {statements_of(d.undo)}", style.width)
    if d.consequence:
        yield from _wrap(f"consequence: {safe(d.consequence)}", style.width)
    for note in d.related:
        yield from _related(note, folder, style)


def _related(note: Note, folder: str, style: Style) -> Iterator[str]:
    """The source line is left out where there is no room for what is said about it."""
    place, words = f"see also: {place_of(note.span, folder)}", safe(note.message)
    text = f"  {safe(note.text)}" if note.text else ""
    line = f"  {place}{text}  {words}"
    if width(line) <= style.width:
        yield line
    else:
        yield from _wrap(f"{place}  {words}", style.width)


def _header(d: Diagnostic, folder: str) -> str:
    """``in f; it can fail with …``: the function, and why a failure is possible at all."""
    parts = [f"in {safe(d.function)}"] if d.function else []
    # The message names the hypercall as a rule; 'it' is that one.
    subject = "it" if not d.hypercall or d.hypercall in d.message else safe(d.hypercall)
    if d.assumed:
        parts.append(
            "assumed fallible: the EL2 handler was not found"
            if subject == "it"
            else f"{subject} is assumed fallible: its EL2 handler was not found"
        )
    elif d.errnos:
        parts.append(f"{subject} can fail with {errnos_of(d.errnos, folder)}")
    return "; ".join(parts)


def errnos_of(errnos: tuple[Errno, ...], folder: str) -> str:
    """``-EPERM (a.c:1, b.c:2), -ENOMEM``: one entry a name, in order of first mention."""
    sites: dict[str, list[str]] = {}
    for errno in errnos[:ERRNO_SITES]:
        places = sites.setdefault(errno.name, [])
        if errno.where is not None:
            places.append(place_of(errno.where.span, folder))
    words = [f"{safe(n)} ({', '.join(at)})" if at else safe(n) for n, at in sites.items()]
    if len(errnos) > ERRNO_SITES:
        words.append(f"and {len(errnos) - ERRNO_SITES} more")
    return ", ".join(words)


def _steps(steps: tuple[Note, ...], folder: str, style: Style) -> Iterator[str]:
    """The path as a table: number, place, source line, what happens there."""
    rows = [
        (str(n), place_of(step.span, folder), " ".join(safe(step.text).split()), safe(step.message))
        for n, step in enumerate(steps, start=1)
    ]
    if not rows:
        return
    number, place, code, message = (max(width(row[c]) for row in rows) for c in range(4))
    room = style.width - (4 + number + 2 + place + 2 + 2 + message)
    code = min(code, max(room, _NARROWEST))
    for n, where, text, words in rows:
        yield (
            f"    {n:>{number}}  {_ink(pad(where, place), _Ink.DIM, style)}  "
            f"{pad(cut(text, code), code)}  {words}"
        ).rstrip()


def _notification(n: Notification, style: Style) -> str:
    line = f":{n.span.line}" if n.span else ""
    where = f" in {safe(n.function)}" if n.function else ""
    place = _ink(f"{safe(n.path)}{line}:", _Ink.PATH, style)
    return f"{place} not analysed{where}: {safe(n.message)}"


def _summary(diagnostics: tuple[Diagnostic, ...], skipped: int) -> str:
    """``3 errors, 1 warning in 1 file; 1 suppressed``."""
    found = [d for d in diagnostics if not d.suppression]
    counts = [
        _count(sum(d.severity is level for d in found), level.value)
        for level in reversed(Severity)
        if any(d.severity is level for d in found)
    ]
    files = _count(len({d.span.path for d in found}), "file")
    parts = [f"{', '.join(counts)} in {files}"] if found else []
    if len(found) < len(diagnostics):
        parts.append(f"{len(diagnostics) - len(found)} suppressed")
    if skipped:
        parts.append(f"{skipped} not analysed (--show-notifications tells)")
    return "; ".join(parts)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def place_of(span: Span, folder: str) -> str:
    """``mmu.c:500``: the path seen from the finding's own folder, or in full when not below it."""
    path = span.path
    if folder and path.startswith(f"{folder}/"):
        path = path[len(folder) + 1 :]
    return f"{safe(path)}:{span.line}"


def standing_of(standing: Iterable[str]) -> Iterator[tuple[str, list[str]]]:
    """What was left behind, and what went too early, which rules begin with 'gone: '."""
    left: list[str] = []
    gone: list[str] = []
    for text in standing:
        (gone if text.startswith(_GONE) else left).append(text.removeprefix(_GONE))
    if left:
        yield "still standing", left
    if gone:
        yield "gone too early", gone


def statements_of(undo: tuple[str, ...]) -> str:
    """C statements with their semicolons; words at the end have none."""
    text = " ".join(f"{safe(text).rstrip('; ')};" for text in undo)
    return text if undo[-1].endswith((";", ")")) else text[:-1]


def _wrap(text: str, cells: int) -> Iterator[str]:
    """Indented by two, broken between words to fit; later lines are indented by four."""
    line = " "
    for word in text.split(" "):
        if line.strip() and width(line) + 1 + width(word) > cells:
            yield line
            line = "   "
        line = f"{line} {word}"
    if line.strip():
        yield line


def _ink(text: str, ink: _Ink, style: Style) -> str:
    return f"\x1b[{ink.value}m{text}\x1b[0m" if style.color else text

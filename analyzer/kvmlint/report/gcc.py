"""The shape of gcc's messages, which vim's default 'errorformat' and emacs' compile mode read.

Paths are relative to the tree, not to where the editor was started: the lines that make prints when
it changes folders tell both editors so.
"""

from __future__ import annotations

from collections.abc import Iterator

from kvmlint.diagnostic import Diagnostic
from kvmlint.report import Report, Style
from kvmlint.report.safe import safe
from kvmlint.source import Span


def render(report: Report, style: Style) -> str:
    """Each finding with its path as notes below it; on request what was not analysed; or ''."""
    lines = [line for d in report.diagnostics for line in _finding(d)]
    if style.notifications:
        lines.extend(
            _line(n.span or Span(n.path, 1, 1, 1, 1), "note", f"not analysed: {n.message}")
            for n in report.notifications
            if not n.failed
        )
    if not lines:
        return ""
    root = safe(report.root)
    lines = [
        f"kvmlint: Entering directory '{root}'", *lines, f"kvmlint: Leaving directory '{root}'"
    ]  # fmt: skip
    return "".join(f"{line}\n" for line in lines)


def _finding(d: Diagnostic) -> Iterator[str]:
    if d.suppression:
        words = f"suppressed: {d.message} [{d.rule}] -- {d.suppression}"
        yield _line(d.span, "note", words)
        if d.allowed is not None:
            yield _line(d.allowed, "note", "allowed here")
        return
    yield _line(d.span, d.severity.value, f"{d.message} [{d.rule}]")
    for number, step in enumerate(d.steps, start=1):
        yield _line(step.span, "note", f"{number}: {step.message}")
    for errno in d.errnos:
        if errno.where is not None:
            yield _line(errno.where.span, "note", f"{errno.name} comes from here")
    for note in d.related:
        yield _line(note.span, "note", note.message)


def _line(span: Span, level: str, message: str) -> str:
    # vim's first default pattern takes a text in double quotes, before a number, for a file name.
    words = safe(message).replace('"', "'")
    return f"{safe(span.path)}:{span.line}:{span.column}: {level}: {words}"

"""Workflow commands of GitHub Actions: each finding an annotation of its line.

A workflow's log is read for commands, ``::error file=…::message`` at the start of a line and
``##[error]…`` anywhere in one, and whoever wrote the code that is analysed wrote part of the log.
So every text goes through ``safe``, then through the escapes of the Actions toolkit
(packages/core/src/command.ts).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from kvmlint.diagnostic import Change, Diagnostic, Errno, Note, Severity
from kvmlint.report import Report, Style
from kvmlint.report.safe import cut, safe
from kvmlint.source import Span

MAX_MESSAGE = 4096
"""Characters of a message that the runner keeps (IssueCommandExtension in actions/runner)."""
MAX_TITLE = 255
"""Characters of a title that the checks API takes."""
MAX_ERRNOS = 8
"""Errors listed, each with a line of EL2 that it comes from."""

_LEVEL = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "notice"}


def render(report: Report, style: Style) -> str:
    """One line a finding, the surest first: of each level GitHub shows ten a step."""
    prefix = below_checkout(report.root)
    found = sorted(report.diagnostics, key=lambda d: d.precision, reverse=True)
    lines = [_finding(d, prefix) for d in found]
    if style.notifications:
        lines.extend(
            _command(
                "notice",
                "not analysed",
                n.span or Span(n.path, 1, 1, 1, 1),
                prefix,
                (f"not analysed{f' in {n.function}' if n.function else ''}: {n.message}",),
            )
            for n in report.notifications
            if not n.failed
        )
    return "".join(f"{line}\n" for line in lines)


def below_checkout(root: str) -> str:
    """What stands before a path of the tree to make it one of its repository: '' or 'linux/'.

    GitHub knows files by their path in the repository, and a kernel may be one folder of it. The
    repository's top is the nearest folder that holds ``.git`` (a file, in a linked worktree);
    '' where there is none.
    """
    start = Path(root)  # absolute, as Report says
    for folder in (start, *start.parents):
        if os.path.lexists(folder / ".git"):
            inside = start.relative_to(folder).as_posix()
            return "" if inside == "." else f"{inside}/"
    return ""


def _finding(d: Diagnostic, prefix: str) -> str:
    where = f" in {d.function}" if d.function else ""
    if d.suppression:
        words = f"suppressed: {d.message} -- {d.suppression}"
        return _command("notice", f"{d.rule}{where}", d.span, prefix, (words,))
    # What a later change removes is on no line any more.
    there = d.origin is None or d.origin.removed is None
    lines = _lines(d)
    return _command(_LEVEL[d.severity], f"{d.rule}{where}", d.span, prefix, lines, there)


def _lines(d: Diagnostic) -> Iterator[str]:
    """What the annotation says; its title has rule and function."""
    yield d.message
    if d.origin is not None:
        verb = "brought" if d.origin.new else "it was there before; its path is changed"
        yield f"{verb} by {_change(d.origin.change)}"
        if d.origin.removed is not None:
            yield f"removed again by {_change(d.origin.removed)}"
    subject = d.hypercall or "it"
    if d.assumed:
        yield f"{subject} is assumed fallible: its EL2 handler was not found"
    elif d.errnos:
        names = list(dict.fromkeys(map(_errno, d.errnos)))
        more = [f"and {len(names) - MAX_ERRNOS} more"] if len(names) > MAX_ERRNOS else []
        yield f"{subject} can fail with {', '.join(names[:MAX_ERRNOS] + more)}"
    for number, step in enumerate(d.steps, start=1):
        yield f"{number}. {_place(step)}: {step.message}: {' '.join(step.text.split())}"
    # Rules begin with 'gone: ' what went too early.
    left = [text for text in d.standing if not text.startswith("gone: ")]
    gone = [text.removeprefix("gone: ") for text in d.standing if text.startswith("gone: ")]
    if left:
        yield f"still standing: {'; '.join(left)}"
    if gone:
        yield f"gone too early: {'; '.join(gone)}"
    if d.undo:
        yield f"would undo it: {'; '.join(text.rstrip('; ') for text in d.undo)}"
    if d.consequence:
        yield f"consequence: {d.consequence}"
    for note in d.related:
        yield f"see also: {_place(note)}: {note.message}"


def _change(change: Change) -> str:
    return f'{change.name} ("{change.subject}")' if change.subject else change.name


def _errno(errno: Errno) -> str:
    return errno.name if errno.where is None else f"{errno.name} ({_place(errno.where)})"


def _place(note: Note) -> str:
    return f"{note.span.path}:{note.span.line}"


def _command(
    level: str, title: str, span: Span, prefix: str, lines: Iterable[str], there: bool = True
) -> str:
    """One workflow command, for a whole file unless ``there``. The checks API takes columns only
    for a region of one line."""
    properties = {
        "title": cut(safe(title), MAX_TITLE),
        "file": safe(span.path if Path(span.path).is_absolute() else prefix + span.path),
    }
    if there:
        properties |= {"line": str(span.line), "endLine": str(span.end_line)}
    if there and span.line == span.end_line:
        properties |= {"col": str(span.column), "endColumn": str(span.end_column)}
    told = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    text = "\n".join(map(safe, lines))
    if len(text) > MAX_MESSAGE:
        text = f"{text[: MAX_MESSAGE - 2].rpartition(chr(10))[0]}\n…"
    return f"::{level} {told}::{_data(text)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")

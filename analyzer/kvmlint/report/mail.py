"""An answer to a patch that can be sent: plain text, the patch quoted, questions, no verdicts."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from textwrap import wrap

from kvmlint.diagnostic import Change, Diagnostic, Origin
from kvmlint.report import Report, Style
from kvmlint.report.safe import cut, safe
from kvmlint.report.text import errnos_of, place_of, standing_of, statements_of

WIDTH = 78
"""Columns of a mail (Documentation/process/email-clients.rst asks for lines that nobody breaks)."""
BEFORE, AFTER = 6, 3
"""Lines of the patch that are quoted around the one that matters."""


def render(report: Report, style: Style) -> str:
    """The answer's text, without headers; '' when nothing was found."""
    del style  # a mail's width is a mail's
    lines: list[str] = []
    latest: Change | None = None
    for d in report.diagnostics:
        change = d.origin.change if d.origin is not None else None
        if change is not None and change != latest:
            # Lines before the first empty one may be taken for headers: git send-email does.
            lines += [*_wrapped(f"On {_named(change)}:", later="  "), ""]
        latest = change
        lines += [*_finding(d, report), ""]
    return "".join(f"{_only_text(line)}\n" for line in lines[:-1])


_MEANS = re.compile(r"\s*(?:From |[A-Za-z][\w-]*-by:|diff |-- ?$|---|\+\+\+ |@@ |\.$)")
"""Words at a line's start that mail programs, b4 and patchwork obey: the next mail of an mbox, a
trailer, a patch, a signature, the end of a mail."""


def _only_text(line: str) -> str:
    """A line that nobody takes for anything but text, no longer than a mail's whatever is in it."""
    return cut(f"> {line}" if _MEANS.match(line) else line, WIDTH)


def _named(change: Change) -> str:
    subject = f' "{safe(change.subject)}"' if change.subject else ""
    return f"{safe(change.name)}{subject}"


def _finding(d: Diagnostic, report: Report) -> Iterator[str]:
    yield from _quoted(d, report)
    yield ""
    yield from _wrapped(_question(d))
    if d.steps:
        yield ""
        yield from _steps(d)
    rest = list(_rest(d))
    if rest:
        yield ""
        yield from rest
    yield ""
    yield from _wrapped(f"({safe(d.rule)}, {safe(d.span.path)}:{d.span.line}, said by kvmlint)")


def _quoted(d: Diagnostic, report: Report) -> Iterator[str]:
    """The hunk that the finding is about; without a patch the lines around its place."""
    hunk = d.origin.hunk if d.origin is not None else None
    if hunk is not None:
        yield _quote(f"diff {hunk.path}")
        yield _quote(hunk.heading)
        for line in hunk.lines[max(hunk.at - BEFORE, 0) : hunk.at + AFTER + 1]:
            yield _quote(line)
        return
    yield _quote(f"{d.span.path}:{d.span.line}")
    data = report.files.get(d.span.path)
    lines = data.decode("utf-8", "replace").split("\n") if data is not None else []
    around = lines[max(d.span.line - AFTER, 0) : d.span.line + 1]
    if d.text.strip() not in (line.strip() for line in around):
        around = [d.text]  # a later change of the series has moved or removed it
    for line in around:
        yield _quote(f" {line}".rstrip("\r"))


def _quote(line: str) -> str:
    """A line as it is quoted: tabs in the columns where they are, and no longer than a mail's."""
    shown = line[:1] + line[1:].expandtabs(8)
    return cut(f"> {safe(shown)}", WIDTH).rstrip()


def _question(d: Diagnostic) -> str:
    name = safe(d.hypercall)
    parts: list[str] = []
    if d.assumed:
        parts.append(f"Can {name} fail? I did not find its handler at EL2.")
    elif d.errnos:
        folder = posixpath.dirname(d.span.path)
        parts.append(f"{name} can return {errnos_of(d.errnos, folder)}.")
    where = f" in {safe(d.function)}()" if d.function else ""
    parts.append(f"Is it meant that{where} {safe(d.message)}?")
    return " ".join(parts)


def _steps(d: Diagnostic) -> Iterator[str]:
    folder = posixpath.dirname(d.span.path)
    for number, step in enumerate(d.steps, start=1):
        said = f"{number}. {place_of(step.span, folder)}: {safe(step.message)}"
        yield from _wrapped(said, "  ", "     ")
        code = " ".join(safe(step.text).split())
        if code:
            yield cut(f"       {code}", WIDTH)


def _rest(d: Diagnostic) -> Iterator[str]:
    if d.suppression:
        yield from _wrapped(f"It is allowed because: {safe(d.suppression)}")
    for label, texts in standing_of(d.standing):
        yield from _wrapped(f"{label.capitalize()}: {'; '.join(map(safe, texts))}")
    if d.undo:
        yield from _wrapped(f"Would this be missing: {statements_of(d.undo)}")
    if d.consequence:
        yield from _wrapped(f"Otherwise {safe(d.consequence)}.")
    folder = posixpath.dirname(d.span.path)
    for note in d.related:
        yield from _wrapped(f"See also {place_of(note.span, folder)}: {safe(note.message)}")
    if d.origin is not None:
        yield from _came(d.origin)


def _came(origin: Origin) -> Iterator[str]:
    if not origin.new:
        yield from _wrapped("This was so before; the patch changes its path.")
    if origin.removed is not None:
        yield from _wrapped(f"{_named(origin.removed)} removes it again.")


def _wrapped(text: str, first: str = "", later: str = "") -> list[str]:
    """No longer than a mail's lines, but for a word that is, or one of wide characters."""
    return wrap(
        text,
        WIDTH,
        initial_indent=first,
        subsequent_indent=later,
        break_long_words=False,
        break_on_hyphens=False,
    )

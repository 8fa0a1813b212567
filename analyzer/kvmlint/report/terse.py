"""One line a finding, in the shape of checkpatch --terse: ``path:line: ERROR:id: message``."""

from __future__ import annotations

from kvmlint.diagnostic import Diagnostic
from kvmlint.report import Report, Style
from kvmlint.report.safe import safe


def render(report: Report, style: Style) -> str:
    """Findings, then (on request) what was not analysed as ``path:line: NOTE:not-analysed: …``."""
    lines = [
        f"{safe(d.span.path)}:{d.span.line}: {_level(d)}:{d.rule}: {safe(d.message)}{_reason(d)}"
        for d in report.diagnostics
    ]
    if style.notifications:
        lines.extend(
            f"{safe(n.path)}:{n.span.line if n.span else 1}: NOTE:not-analysed: {safe(n.message)}"
            for n in report.notifications
            if not n.failed
        )
    return "".join(f"{line}\n" for line in lines)


def _level(d: Diagnostic) -> str:
    return "SUPPRESSED" if d.suppression else d.severity.value.upper()


def _reason(d: Diagnostic) -> str:
    return f" -- {safe(d.suppression)}" if d.suppression else ""

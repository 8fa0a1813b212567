"""One line a finding, in the shape of checkpatch --terse: ``path:line: ERROR:id: message``."""

from __future__ import annotations

from kvmlint.report import Report, Style
from kvmlint.report.safe import safe


def render(report: Report, style: Style) -> str:
    """Findings, then (on request) what was not analysed as ``path:line: NOTE:not-analysed: …``."""
    lines = [
        f"{safe(d.span.path)}:{d.span.line}: {d.severity.value.upper()}:{d.rule}: {safe(d.message)}"
        for d in report.diagnostics
    ]
    if style.notifications:
        lines.extend(
            f"{safe(n.path)}:{n.span.line if n.span else 1}: NOTE:not-analysed: {safe(n.message)}"
            for n in report.notifications
            if not n.failed
        )
    return "".join(f"{line}\n" for line in lines)

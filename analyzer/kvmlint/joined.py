"""Findings of many files, joined: one defect, one report."""

from __future__ import annotations

from collections.abc import Sequence

from kvmlint.diagnostic import Diagnostic


def dedupe(diagnostics: Sequence[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Sorted; findings of several preprocessor variants with one fingerprint and place are one, and
    what only follows from a callee that is reported with its callers is that report's."""
    roots = {d.function for d in diagnostics if d.related}
    diagnostics = [d for d in diagnostics if not (d.cause and d.cause in roots)]
    unique: dict[tuple[str, object], Diagnostic] = {}
    for diagnostic in sorted(diagnostics, key=Diagnostic.sort_key):
        unique.setdefault((diagnostic.fingerprint, diagnostic.span), diagnostic)
    return tuple(unique.values())

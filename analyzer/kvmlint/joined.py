"""Findings of many files, joined: one defect, one report."""

from __future__ import annotations

from collections.abc import Sequence

from kvmlint.diagnostic import Diagnostic


def dedupe(diagnostics: Sequence[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Sorted; findings of several preprocessor variants with one fingerprint and place are one, and
    what only follows from a callee that is reported with its callers is that report's."""
    roots = _roots(diagnostics)
    return _unique([d for d in diagnostics if d.cause not in roots])


def absorbed(diagnostics: Sequence[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Sorted; the findings that are left out because the report of another one tells of them."""
    roots = _roots(diagnostics)
    return _unique([d for d in diagnostics if d.cause in roots])


def _roots(diagnostics: Sequence[Diagnostic]) -> frozenset[str]:
    return frozenset(d.function for d in diagnostics if d.related) - {""}


def _unique(diagnostics: Sequence[Diagnostic]) -> tuple[Diagnostic, ...]:
    unique: dict[tuple[str, object], Diagnostic] = {}
    for diagnostic in sorted(diagnostics, key=Diagnostic.sort_key):
        unique.setdefault((diagnostic.fingerprint, diagnostic.span), diagnostic)
    return tuple(unique.values())

"""One defect, one report: groups findings, picks the best path, and makes diagnostics of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable

from kvmlint.diagnostic import Diagnostic, Errno, Note
from kvmlint.explore.oracle import HypercallContract
from kvmlint.knowledge import Knowledge
from kvmlint.narrate import Narrator
from kvmlint.rule import Finding
from kvmlint.source import SourceError, SourceFile

PRECEDENCE = (
    ("premature-teardown", "release-after-failed-reclaim"),
    ("partial-batch", "missing-rollback"),
    ("missing-rollback", "update-after-failure"),
    ("ignored-return", "unchecked-return"),
    ("unchecked-return", "swallowed-failure"),
    ("wrong-failure-test", "swallowed-failure"),
    ("wrong-failure-test", "update-after-failure"),
)
"""Of two rules that report one origin in one function, the first is kept."""
MAX_ERRNOS = 8
"""Errnos named in one finding."""


def best(findings: Iterable[Finding]) -> list[Finding]:
    """One finding for each function, rule, origin and object: the most severe, then the one that
    lists most, then the first (rules yield shorter paths first)."""
    chosen: dict[tuple[str, str, int, str], Finding] = {}
    for finding in findings:
        slot = (finding.rule, finding.function, finding.site, finding.root)
        other = chosen.get(slot)
        if other is None or _weight(finding) > _weight(other):
            chosen[slot] = finding
    kept = list(chosen.values())
    for strong, weak in PRECEDENCE:
        origins = {
            (f.function, place) for f in kept if f.rule == strong for place in (f.site, f.origin)
        }
        kept = [
            f
            for f in kept
            if f.rule != weak or not ({(f.function, f.site), (f.function, f.origin)} & origins)
        ]
    return kept


def _weight(finding: Finding) -> tuple[int, int, int]:
    from kvmlint.diagnostic import Precision, Severity

    return (
        list(Severity).index(finding.severity),
        list(Precision).index(finding.precision),
        len(finding.standing),
    )


def diagnose(
    finding: Finding,
    narrator: Narrator,
    contract: HypercallContract,
    knowledge: Knowledge,
    read: Callable[[str], SourceFile],
) -> Diagnostic:
    """A finding as reports print it, with the errnos that make it possible."""
    span = narrator.span(finding.site)
    return Diagnostic(
        finding.rule,
        finding.severity,
        finding.precision,
        span,
        narrator.line(finding.site),
        finding.function,
        finding.hypercall,
        finding.message,
        finding.steps,
        finding.standing,
        finding.undo,
        finding.consequence,
        errnos(contract, knowledge, read),
        contract.assumed,
        finding.related,
        fingerprint(finding, narrator),
        finding.cause,
    )


def errnos(
    contract: HypercallContract, knowledge: Knowledge, read: Callable[[str], SourceFile]
) -> tuple[Errno, ...]:
    """The errors of a contract, one for each errno and EL2 line."""
    found: dict[tuple[str, str, int], Errno] = {}
    for source in contract.errnos:
        name = f"-{knowledge.errno_name(source.number)}"
        try:
            file = read(source.path)
        except SourceError:
            continue
        span = file.span(source.offset, source.offset + len(name))
        note = Note(span, file.line_text(span.line).strip(), " < ".join(reversed(source.chain)))
        found.setdefault((name, span.path, span.line), Errno(name, note))
    ordered = sorted(found.items(), key=lambda item: item[0])
    # Every errno once before any errno twice.
    first: dict[str, Errno] = {}
    rest: list[Errno] = []
    for (name, _, _), errno in ordered:
        if name in first:
            rest.append(errno)
        else:
            first[name] = errno
    return tuple([*first.values(), *rest][:MAX_ERRNOS])


def fingerprint(finding: Finding, narrator: Narrator) -> str:
    """Identity of a defect across edits elsewhere: rule, function, hypercall, what stands, and the
    call's text without white space; no line numbers. 16 hex digits."""
    op = narrator.ledger.ops[finding.site]
    text = "".join(narrator.text(op.start, op.end).split())
    standing = sorted(item.partition(" at line ")[0] for item in finding.standing)
    parts = (finding.rule, finding.function, finding.hypercall, text, *standing)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]

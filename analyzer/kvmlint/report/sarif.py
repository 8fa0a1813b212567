"""SARIF 2.1.0 as GitHub code scanning wants it. One run; every text in it is plain.

Sources: the OASIS standard, and GitHub's "SARIF support for code scanning", which reads some
members, ignores others (``suppressions``, ``baselineState``) and has limits.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import sarif_om as om

from kvmlint.diagnostic import Diagnostic, Notification, Precision, RuleInfo, Severity
from kvmlint.report import Report, Style
from kvmlint.report.json import dumps
from kvmlint.report.linehash import line_hashes
from kvmlint.report.sarif_model import (
    SRCROOT,
    artifact,
    folder,
    location,
    many,
    message,
    physical,
    to_json,
)
from kvmlint.source import SourceFile, Span

SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
MAX_RESULTS = 25_000
MAX_STEPS = 1_000
MAX_RELATED = 100
MAX_TEXT = 1_024
MAX_TAGS = 20
"""GitHub's limits: results of a run, steps and locations shown, characters, tags of a rule."""

NOT_ANALYSED, UNREADABLE, LEFT_OUT = "not-analysed", "unreadable-input", "too-many-results"
_NOTIFICATIONS = {
    NOT_ANALYSED: "A part of a file that was not analysed: having no findings there means nothing.",
    UNREADABLE: "A named input that could not be read.",
    LEFT_OUT: "Results that were left out because GitHub takes no more of them.",
}
_PROBLEM = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "recommendation"}
_RANK = {Precision.HIGH: 90.0, Precision.MEDIUM: 60.0, Precision.LOW: 30.0}
"""How sure one finding is, of 100."""


def render(report: Report, style: Style) -> str:
    """The log, as ASCII."""
    del style  # everything is always said
    log = om.SarifLog(version="2.1.0", schema_uri=SCHEMA, runs=[_run(report)])
    return dumps(to_json(log))


def _run(report: Report) -> om.Run:
    index = {rule.id: number for number, rule in enumerate(report.rules)}
    hashes = {path: line_hashes(data) for path, data in report.files.items()}
    files = {path: SourceFile(path, data) for path, data in report.files.items()}
    shown, notes = _limited(report)
    return om.Run(
        tool=om.Tool(
            driver=om.ToolComponent(
                name="kvmlint",
                full_name="kvmlint: does the host's state survive a hypercall that fails?",
                semantic_version=report.version,
                rules=[_rule(rule) for rule in report.rules],
                notifications=[
                    om.ReportingDescriptor(
                        id=id_,
                        short_description=many(text),
                        full_description=many(text),
                        help=many(text, text),
                    )
                    for id_, text in _NOTIFICATIONS.items()
                ],
            )
        ),
        automation_details=om.RunAutomationDetails(id="kvmlint/"),
        column_kind="utf16CodeUnits",
        original_uri_base_ids={SRCROOT: folder(report.root)},
        invocations=[
            om.Invocation(
                execution_successful=not any(n.failed for n in report.notifications),
                tool_execution_notifications=notes,
            )
        ],
        results=[
            _result(d, index.get(d.rule, -1), None, {})
            if d.origin is not None and d.origin.removed is not None  # it is in no file any more
            else _result(
                d, index.get(d.rule, -1), files.get(d.span.path), hashes.get(d.span.path, {})
            )
            for d in shown
        ],
    )


def _limited(report: Report) -> tuple[Sequence[Diagnostic], list[om.Notification]]:
    """As many findings as GitHub takes, the worst ones, and what was not analysed or left out."""
    notes = [_notification(n) for n in report.notifications]
    found = report.diagnostics
    if len(found) <= MAX_RESULTS:
        return found, notes
    worst = sorted(found, key=lambda d: (d.severity, d.precision), reverse=True)[:MAX_RESULTS]
    words = f"{len(found) - MAX_RESULTS} results were left out: GitHub takes {MAX_RESULTS} a run."
    return sorted(worst, key=Diagnostic.sort_key), [
        *notes,
        om.Notification(
            message=message(words),
            level="warning",
            descriptor=om.ReportingDescriptorReference(id=LEFT_OUT),
        ),
    ]


def _rule(rule: RuleInfo) -> om.ReportingDescriptor:
    sections = (
        ("Why it is a bug", rule.why),
        ("Example", rule.example),
        ("Known limits", rule.limits),
    )
    help_ = [(title, text.strip()) for title, text in sections if text.strip()]
    return om.ReportingDescriptor(
        id=rule.id,
        name="".join(word.capitalize() for word in rule.id.split("-")),
        short_description=many(_sentence(rule.summary)),
        full_description=many(_cut(" ".join(rule.why.split()) or _sentence(rule.summary))),
        help=many(
            "\n\n".join(f"{title}\n\n{text}" for title, text in help_) or rule.summary,
            # The texts are written so that they are Markdown too: indented code, ``quotes``.
            "\n\n".join(f"## {title}\n\n{text}" for title, text in help_) or rule.summary,
        ),
        default_configuration=om.ReportingConfiguration(level=rule.severity.value),
        properties={
            "precision": rule.precision.value,
            "problem.severity": _PROBLEM[rule.severity],
            "tags": list(rule.tags[:MAX_TAGS]),
        },
    )


def _result(
    d: Diagnostic, index: int, file: SourceFile | None, hashes: Mapping[int, str]
) -> om.Result:
    text, related = _message(d)
    primary = om.Location(
        physical_location=physical(_one_line(d.span, file)),
        logical_locations=(
            [om.LogicalLocation(name=d.function, fully_qualified_name=d.function, kind="function")]
            if d.function
            else None
        ),
    )
    prints = {"primaryLocationLineHash": hashes.get(d.span.line), "kvmlint/v1": d.fingerprint}
    return om.Result(
        rule_id=d.rule,
        rule_index=index,
        level=d.severity.value,
        rank=_RANK[d.precision],
        message=message(text),
        locations=[primary],
        related_locations=related or None,
        code_flows=[_path(d)] if d.steps else None,
        partial_fingerprints={name: value for name, value in prints.items() if value},
        suppressions=[_suppression(d)] if d.suppression else None,
        properties={
            "precision": d.precision.value,
            "hypercall": d.hypercall,
            "assumed": d.assumed,
            "errnos": list(dict.fromkeys(errno.name for errno in d.errnos)),
            "standing": list(d.standing),
            "undo": list(d.undo),
            **_change(d),
        },
    )


def _change(d: Diagnostic) -> dict[str, object]:
    """With which change of a series a finding came."""
    if d.origin is None:
        return {}
    change, removed = d.origin.change, d.origin.removed
    return {
        "commit": change.id,
        "change": change.name,
        "subject": change.subject,
        "new": d.origin.new,
        **({"removedBy": removed.id or removed.name} if removed is not None else {}),
    }


def _suppression(d: Diagnostic) -> om.Suppression:
    # A comment stands in a file of the path, an entry of a list never does.
    paths = {d.span.path, *(step.span.path for step in d.steps)}
    return om.Suppression(
        kind="inSource" if d.allowed is None or d.allowed.path in paths else "external",
        justification=d.suppression,
        location=None if d.allowed is None else location(d.allowed, "allowed here"),
    )


def _message(d: Diagnostic) -> tuple[str, list[om.Location]]:
    """The text and the places that it links to. GitHub takes its first sentence as a title."""
    places: list[om.Location] = []

    def link(words: str, span: Span, about: str) -> str:
        if len(places) == MAX_RELATED:
            return words
        places.append(location(span, about, len(places) + 1))
        return f"[{_LINK_SPECIAL.sub(_BACKSLASH, words)}]({len(places)})"

    parts = [_sentence(_unlinked(d.message))]
    if d.assumed:
        parts.append(f"{d.hypercall or 'It'} is assumed fallible: its EL2 handler was not found.")
    elif d.errnos:
        names = [
            link(e.name, e.where.span, f"{e.name}: {e.where.message or e.where.text}")
            if e.where is not None
            else e.name
            for e in d.errnos
        ]
        parts.append(f"{d.hypercall or 'It'} can fail with {', '.join(names)}.")
    if d.steps:
        last = d.steps[-1]
        parts.append(f"The path ends here: {link(last.message, last.span, last.message)}.")
    if d.standing:
        parts.append(f"Still standing: {_unlinked('; '.join(d.standing))}.")
    if d.undo:
        undo = "; ".join(code.rstrip("; ") for code in d.undo)
        parts.append(f"Would undo it: {_unlinked(undo)}.")
    if d.consequence:
        parts.append(_sentence(_unlinked(f"Consequence: {d.consequence}")))
    if d.related:
        seen = [link(note.message, note.span, note.message) for note in d.related]
        parts.append(f"See also: {', '.join(seen)}.")
    return " ".join(parts), places


_LINK_SPECIAL = re.compile(r"[\[\]\\]")
_BACKSLASH = r"\\\g<0>"


def _unlinked(text: str) -> str:
    """Code such as ``ops[i](1)`` would read as a link."""
    return text.replace("](", "] (")


def _path(d: Diagnostic) -> om.CodeFlow:
    steps = [*d.steps[: MAX_STEPS - 1], d.steps[-1]] if len(d.steps) > MAX_STEPS else d.steps
    flow = [om.ThreadFlowLocation(location=location(step.span, step.message)) for step in steps]
    return om.CodeFlow(thread_flows=[om.ThreadFlow(locations=flow)])


def _one_line(span: Span, file: SourceFile | None) -> Span:
    """The first line of a region: GitHub shows an alert in a pull request only if every line of
    the region is in it."""
    if span.end_line == span.line:
        return span
    end = span.column + 1
    if file is not None:
        text = file.line_text(span.line).rstrip()
        end = max(end, len(text.encode("utf-16-le", "surrogatepass")) // 2 + 1)
    return Span(span.path, span.line, span.column, span.line, end)


def _notification(n: Notification) -> om.Notification:
    where = f" in {n.function}" if n.function else ""
    place = (
        om.PhysicalLocation(artifact_location=artifact(n.path))
        if n.span is None
        else physical(n.span)
    )
    return om.Notification(
        message=message(_sentence(f"Not analysed{where}: {n.message}")),
        level="error" if n.failed else "warning",
        descriptor=om.ReportingDescriptorReference(id=UNREADABLE if n.failed else NOT_ANALYSED),
        locations=[om.Location(physical_location=place)],
    )


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _cut(text: str) -> str:
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT].rpartition(' ')[0]}…"

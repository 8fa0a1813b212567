"""Findings for a script, as docs/json.md says; schema.json beside this file is the schema.

Within a version, members are added and never removed or given another meaning.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from kvmlint.diagnostic import (
    Change,
    Diagnostic,
    Errno,
    Note,
    Notification,
    Origin,
    RuleInfo,
)
from kvmlint.report import Report, Style
from kvmlint.report.safe import safe
from kvmlint.source import Span

VERSION = 1
_LONE = re.compile("[\ud800-\udfff]")

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"


def render(report: Report, style: Style) -> str:
    """One object. Pure ASCII: whatever is in the code, a terminal and every decoder can take it."""
    del style  # everything is always said
    log: Json = {
        "version": VERSION,
        "tool": {"name": "kvmlint", "version": report.version},
        "root": report.root,
        "findings": [_finding(d) for d in report.diagnostics],
        "notifications": [_notification(n) for n in report.notifications],
        "rules": [_rule(rule) for rule in report.rules],
    }
    return dumps(log)


def dumps(value: Json) -> str:
    """JSON text in ASCII that every decoder accepts, and a line end.

    A byte of a file name that is not UTF-8 (to Python a lone surrogate, to JSON none of it) is
    written as the four characters ``\\xff``. GitHub's runner, should it read this, sees no command.
    """
    return json.dumps(_encodable(value), indent=1).replace("##[", "#\\u0023[") + "\n"


def _encodable(value: Json) -> Json:
    match value:
        case str():
            return value if value.isascii() else _LONE.sub(lambda lone: safe(lone[0]), value)
        case Mapping():
            return {key: _encodable(item) for key, item in value.items()}
        case Sequence():
            return [_encodable(item) for item in value]
        case _:
            return value


def _finding(d: Diagnostic) -> Json:
    return {
        "rule": d.rule,
        "level": d.severity.value,
        "precision": d.precision.value,
        **_place(d.span),
        "text": d.text,
        "function": d.function,
        "hypercall": d.hypercall,
        "message": d.message,
        "assumed": d.assumed,
        "errnos": [_errno(errno) for errno in d.errnos],
        "steps": [_note(step) for step in d.steps],
        "standing": list(d.standing),
        "undo": list(d.undo),
        "consequence": d.consequence,
        "related": [_note(note) for note in d.related],
        "cause": d.cause,
        "fingerprint": d.fingerprint,
        "suppression": d.suppression or None,
        "allowed": None if d.allowed is None else _place(d.allowed),
        "commit": None if d.origin is None else _origin(d.origin),
    }


def _origin(origin: Origin) -> Json:
    removed = None if origin.removed is None else _change(origin.removed)
    number: dict[str, Json] = {"number": origin.number, "new": origin.new, "removed_by": removed}
    return {**_change(origin.change), **number}


def _change(change: Change) -> dict[str, Json]:
    return {"id": change.id or None, "name": change.name, "subject": change.subject}


def _place(span: Span) -> dict[str, Json]:
    return {
        "path": span.path,
        "line": span.line,
        "column": span.column,
        "end_line": span.end_line,
        "end_column": span.end_column,
    }


def _note(note: Note) -> Json:
    return {**_place(note.span), "text": note.text, "message": note.message}


def _errno(errno: Errno) -> Json:
    return {"name": errno.name, "where": None if errno.where is None else _note(errno.where)}


def _notification(n: Notification) -> Json:
    return {
        "path": n.path,
        "line": None if n.span is None else n.span.line,
        "function": n.function,
        "message": n.message,
        "failed": n.failed,
    }


def _rule(rule: RuleInfo) -> Json:
    return {
        "id": rule.id,
        "summary": rule.summary,
        "level": rule.severity.value,
        "precision": rule.precision.value,
        "tags": list(rule.tags),
    }

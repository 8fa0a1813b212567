"""Suppression in the source: ``/* kvmlint: allow RULE -- why */``, and complaints about it.

Pure: texts and findings in; what is kept, what is suppressed, and what is wrong with the comments
out. A comment speaks for the lines that it is on; one that stands alone, also for the line below.
It meets a finding at its primary location or at any step of its path.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from kvmlint.diagnostic import Diagnostic, Precision, RuleInfo, Severity
from kvmlint.source import SourceFile, Span

MARK = b"kvmlint:"
"""What every such comment begins with; a file without it needs no further look."""

BAD = RuleInfo(
    "bad-suppression",
    "a suppression that suppresses nothing: no reason, no such rule, or not understood",
    Severity.WARNING,
    Precision.HIGH,
    why=(
        "A suppression without a reason can't be reviewed, and one that kvmlint doesn't understand "
        "does nothing, whatever its author thinks."
    ),
    example=(
        "Bad:\n\n    /* kvmlint: allow missing-rollback */\n\n"
        "Good:\n\n    /* kvmlint: allow missing-rollback -- torn down with the VM */\n\n"
        "Several rules are written with commas between them."
    ),
    limits="None known.",
    tags=("maintainability",),
)
STALE = RuleInfo(
    "stale-suppression",
    "a suppression of a rule that reports nothing there",
    Severity.WARNING,
    Precision.HIGH,
    why=(
        "The code was mended, or moved away from the comment. What stays behind would hide the "
        "next bug on that line."
    ),
    example=(
        "    /* kvmlint: allow ignored-return -- can't fail before EL2 is finalised */\n"
        "    return kvm_call_hyp_nvhe(__pkvm_prot_finalize);"
    ),
    limits=(
        "Only for rules that ran, and not in a file of which a part could not be analysed: the "
        "finding may be there."
    ),
    tags=("maintainability",),
)
META = (BAD, STALE)
"""The rules about the comments themselves."""

_TOKEN = re.compile(
    rb"//(?:[^\n\\]|\\\r?\n|\\)*"
    rb"|/\*.*?(?:\*/|\Z)"
    rb'|"(?:[^"\\\n]|\\(?:\r\n|.))*"?'
    rb"|'(?:[^'\\\n]|\\(?:\r\n|.))*'?",
    re.DOTALL,
)
"""Comments, and the literals in which no comment begins."""
_ALLOW = re.compile(r"allow\b(?P<rules>.*?)(?:--(?P<reason>.*))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Allowance:
    """One comment's word about one rule; it speaks for the lines ``first`` to ``last``."""

    rule: str
    reason: str
    span: Span
    text: str
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """``suppressed`` findings carry their reason; ``complaints`` are about the comments."""

    kept: tuple[Diagnostic, ...]
    suppressed: tuple[Diagnostic, ...]
    complaints: tuple[Diagnostic, ...]


def apply(
    diagnostics: Sequence[Diagnostic],
    files: Mapping[str, bytes],
    known: Collection[str],
    ran: Collection[str],
    unsure: Collection[str],
) -> Outcome:
    """Sort findings by what the comments in ``files`` (analysed ones, by path) allow.

    ``known`` are the rules that there are, ``ran`` those that were asked (META's among them when
    complaints are wanted), ``unsure`` the paths of which a part was not analysed.
    """
    allowances: dict[str, list[Allowance]] = {}
    complaints: list[Diagnostic] = []
    for path, data in files.items():
        for item in read(SourceFile(path, data), known):
            if isinstance(item, Diagnostic):
                complaints.append(item)
            else:
                allowances.setdefault(path, []).append(item)
    kept: list[Diagnostic] = []
    suppressed: list[Diagnostic] = []
    used: set[Allowance] = set()
    for diagnostic in diagnostics:
        spans = (diagnostic.span, *(step.span for step in diagnostic.steps))
        matching = [
            allowance
            for span in dict.fromkeys(spans)
            for allowance in allowances.get(span.path, ())
            if allowance.rule == diagnostic.rule
            and allowance.first <= span.end_line
            and allowance.last >= span.line
        ]
        used.update(matching)
        if matching:
            suppressed.append(replace(diagnostic, suppression=matching[0].reason))
        else:
            kept.append(diagnostic)
    complaints += [
        _complaint(STALE, allowance.span, allowance.text, _stale(allowance))
        for allowance in chain.from_iterable(allowances.values())
        if allowance not in used and allowance.rule in ran and allowance.span.path not in unsure
    ]
    wanted = sorted((c for c in complaints if c.rule in ran), key=Diagnostic.sort_key)
    return Outcome(tuple(kept), tuple(suppressed), tuple(wanted))


def read(file: SourceFile, known: Collection[str]) -> Iterator[Allowance | Diagnostic]:
    """What the comments of a file allow, and complaints about those that allow nothing."""
    for start, end in _comments(file.data):
        comment = file.data[start:end]
        if MARK not in comment:
            continue
        words = _words(comment)
        head, colon, rest = words.partition(":")
        if head != "kvmlint" or not colon:
            continue
        span = file.span(start, end)
        text = file.line_text(span.line).strip()
        found = _ALLOW.fullmatch(rest.strip())
        rules = found["rules"].replace(",", " ").split() if found else []
        reason = (found["reason"] or "").strip() if found else ""
        if not rules:
            said = words if len(words) <= _SAID else f"{words[: _SAID - 1]}…"
            yield _complaint(BAD, span, text, f"{_SHAPE}, but this says '{said}'")
        elif not any(char.isalnum() for char in reason):
            yield _complaint(BAD, span, text, f"a suppression needs a reason: {_SHAPE}")
        else:
            last = _line_end(file, span, start, end)
            for rule in dict.fromkeys(rules):
                if rule in known:
                    yield Allowance(rule, reason, span, text, span.line, last)
                else:
                    near = _near(rule, known)
                    yield _complaint(BAD, span, text, f"there is no rule '{rule}'{near}")


_SAID = 60
_SHAPE = "it is written 'kvmlint: allow RULE -- why'"


def _comments(data: bytes) -> Iterator[tuple[int, int]]:
    """Byte ranges of the comments that may concern kvmlint."""
    if MARK in data:
        yield from (
            found.span() for found in _TOKEN.finditer(data) if data[found.start()] == ord("/")
        )


def _words(comment: bytes) -> str:
    """The text of a comment in one line, without its marks and the stars at its left."""
    body = comment[2:].removesuffix(b"*/") if comment[1] == ord("*") else comment[2:]
    lines = body.decode("utf-8", "replace").replace("\\\n", "\n").splitlines()
    return " ".join(" ".join(line.strip().lstrip("*/!") for line in lines).split())


def _line_end(file: SourceFile, span: Span, start: int, end: int) -> int:
    """The last line that a comment speaks for: the one below it, if it stands alone."""
    data = file.data
    before = data[data.rfind(b"\n", 0, start) + 1 : start]
    newline = data.find(b"\n", end)
    after = data[end : newline if newline >= 0 else len(data)]
    return span.end_line + (not before.strip() and not after.strip())


def _near(rule: str, known: Collection[str]) -> str:
    from kvmlint.knowledge.error import suggest

    return suggest(rule, sorted(known)) or "; 'kvmlint explain' lists them"


def _stale(allowance: Allowance) -> str:
    return f"{allowance.rule} reports nothing here: the suppression is stale"


def _complaint(rule: RuleInfo, span: Span, text: str, message: str) -> Diagnostic:
    identity = "\0".join((rule.id, message, "".join(text.split())))
    return Diagnostic(
        rule=rule.id,
        severity=rule.severity,
        precision=rule.precision,
        span=span,
        text=text,
        function="",
        hypercall="",
        message=message,
        fingerprint=hashlib.sha256(identity.encode()).hexdigest()[:16],
    )

"""What kvmlint says about suppressions and baselines themselves: the rules, and their findings."""

from __future__ import annotations

import hashlib

from kvmlint.diagnostic import Diagnostic, Precision, RuleInfo, Severity
from kvmlint.source import SourceFile, Span

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
    limits=(
        "Only for comments: a [[suppress]] entry of .kvmlint.toml that can't be used is a usage "
        "error."
    ),
    tags=("maintainability",),
)
STALE = RuleInfo(
    "stale-suppression",
    "a suppression of a rule that reports nothing there",
    Severity.WARNING,
    Precision.HIGH,
    why=(
        "The code was mended, or moved away from the comment or the entry of .kvmlint.toml. What "
        "stays behind would hide the next bug there."
    ),
    example=(
        "    /* kvmlint: allow ignored-return -- can't fail before EL2 is finalised */\n"
        "    return kvm_call_hyp_nvhe(__pkvm_prot_finalize);"
    ),
    limits=(
        "Only for rules that ran, and not in a file of which a part could not be analysed: the "
        "finding may be there. An entry of .kvmlint.toml is called stale only by a run that looked "
        "at every file that it may mean."
    ),
    tags=("maintainability",),
)
STALE_BASELINE = RuleInfo(
    "stale-baseline",
    "a baseline entry for a finding that is not there any more",
    Severity.WARNING,
    Precision.HIGH,
    why=(
        "The bug was mended, or a suppression now says why it is none. The entry that stays behind "
        "would hide the same bug when it comes back."
    ),
    example=(
        "Write the baseline anew, with the same paths and options:\n\n"
        "    kvmlint --write-baseline baseline.json arch/arm64/kvm"
    ),
    limits=(
        "Only for rules that ran, and only for files that were analysed whole by this run, or that "
        "are missing in a folder that was."
    ),
    tags=("maintainability",),
)
META = (BAD, STALE, STALE_BASELINE)
"""The rules about suppressions and baselines: they have no class, and can't be suppressed."""


def line_span(file: SourceFile, line: int) -> Span:
    """Where the text of a line is, without the white space around it."""
    text = file.line_text(line)
    left = len(text) - len(text.lstrip())
    end = len(text.rstrip().encode("utf-16-le", "surrogatepass")) // 2
    return Span(file.path, line, left + 1, line, max(left, end) + 1)


def complain(rule: RuleInfo, span: Span, text: str, message: str) -> Diagnostic:
    """A finding of one of them; ``text`` is the source line, stripped."""
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
        fingerprint=hashlib.sha256(identity.encode(errors="surrogatepass")).hexdigest()[:16],
    )

"""What kvmlint says: plain frozen values, made by the engine and the rules, printed by report/."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import total_ordering

from kvmlint.source import Span


@total_ordering
class Severity(Enum):
    """How bad a finding is. Ordered: NOTE < WARNING < ERROR."""

    NOTE = "note"
    WARNING = "warning"
    ERROR = "error"

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, Severity):
            return NotImplemented
        order = list(Severity)
        return order.index(self) < order.index(other)


@total_ordering
class Precision(Enum):
    """How sure a finding is. Ordered: LOW < MEDIUM < HIGH."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, Precision):
            return NotImplemented
        order = list(Precision)
        return order.index(self) < order.index(other)


@dataclass(frozen=True, slots=True)
class Note:
    """One place with a word about it: a step of the path, or a related location.

    ``text`` is the source line there, stripped; ``message`` says what happens at it.
    """

    span: Span
    text: str
    message: str


@dataclass(frozen=True, slots=True)
class Errno:
    """One error that a hypercall can return to the host: '-EPERM' and the EL2 line it comes from
    (None when the EL2 source was not seen: the error is assumed)."""

    name: str
    where: Note | None


@dataclass(frozen=True, slots=True)
class Change:
    """One commit, patch, or set of changes that are not committed. ``id`` is the whole id of a
    commit, or ''; ``name`` what reports call it ('commit 1a2b3c4d5e6f', 'uncommitted changes');
    ``subject`` its first line, or ''."""

    id: str
    name: str
    subject: str = ""


@dataclass(frozen=True, slots=True)
class Hunk:
    """Some lines of a change as a patch shows them: each begins with ' ', '+' or '-'. ``heading``
    is the line with the @@ above them, ``at`` the index of the line that matters."""

    path: str
    heading: str
    lines: tuple[str, ...]
    at: int


@dataclass(frozen=True, slots=True)
class Origin:
    """With which change of a series a finding came: the ``number``-th of it, from 1. ``new`` is
    False for one that was there before and whose path the change touches; ``removed`` is the later
    change that takes it away again, None when it is still there at the end. ``hunk`` is what of the
    change the finding is about, None when that can't be told."""

    change: Change
    number: int
    new: bool = True
    removed: Change | None = None
    hunk: Hunk | None = None


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding, complete: everything that any report format prints is in here.

    ``message`` is one sentence without a final full stop. ``hypercall`` is '' when none is
    involved. ``assumed`` is True when the hypercall's EL2 handler was not found and its failure
    is an assumption. ``standing`` lists what is left behind, ``undo`` the C that would undo it,
    ``consequence`` is a sentence or ''. ``cause`` is the function whose own finding this one only
    follows from, '' for none. ``fingerprint`` has no line numbers in it. ``suppression``
    is the reason that somebody gives for allowing it, '' for a finding that nobody allowed, and
    ``allowed`` the place where he does: a comment, or an entry of .kvmlint.toml. ``origin`` is
    None unless a series of changes was looked at.
    """

    rule: str
    severity: Severity
    precision: Precision
    span: Span
    text: str
    function: str
    hypercall: str
    message: str
    steps: tuple[Note, ...] = ()
    standing: tuple[str, ...] = ()
    undo: tuple[str, ...] = ()
    consequence: str = ""
    errnos: tuple[Errno, ...] = ()
    assumed: bool = False
    related: tuple[Note, ...] = ()
    fingerprint: str = ""
    cause: str = ""
    suppression: str = ""
    allowed: Span | None = None
    origin: Origin | None = None

    def sort_key(self) -> tuple[str, int, int, str, str]:
        """Order of a report: by file, line, column, rule, message."""
        return (self.span.path, self.span.line, self.span.column, self.rule, self.message)


@dataclass(frozen=True, slots=True)
class Notification:
    """Something that was not analysed, or an input that could not be used: never a finding.

    ``span`` is None when the whole file is meant. ``failed`` is True for an input that the user
    named and that could not be read at all (exit status 2).
    """

    path: str
    message: str
    span: Span | None = None
    function: str = ""
    failed: bool = False


@dataclass(frozen=True, slots=True)
class RuleInfo:
    """What a report must know of a rule. The texts are the sections of the rule's docstring;
    ``tags`` are SARIF tags, CWE numbers among them as 'external/cwe/cwe-252'."""

    id: str
    summary: str
    severity: Severity
    precision: Precision
    why: str
    example: str
    limits: str
    tags: tuple[str, ...] = ()

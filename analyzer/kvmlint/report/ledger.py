"""The ledger of hypercalls: what EL2 returns at each site and what the host does with it.

``render`` prints it as a table for a person, as JSON, CSV or Markdown; a table is fitted to the
terminal in ledger_table.py.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from kvmlint.diagnostic import Notification
from kvmlint.report import Style
from kvmlint.report.json import Json, dumps
from kvmlint.report.safe import safe

VERSION = 1
FORMATS = ("table", "json", "csv", "markdown")


class Use(Enum):
    """What the host does with what a hypercall returns; the first that holds on some path."""

    IGNORED = "ignored"  # dropped, or stored and never read
    UNDONE = "checked and undone"  # what had been made before is undone when it fails
    PROPAGATED = "propagated"  # its failure reaches the caller
    WARNED = "warned"  # only
    CHECKED = "checked"  # tested, and not told to the caller; or tried again
    PANICS = "panics"  # no failing path returns
    DATA = "data"  # used, and no failure is in it
    NOTHING = "nothing"  # EL2 returns nothing, or the host drops what can't fail
    UNKNOWN = "unknown"  # the function was not analysed, or no path leads here


@dataclass(frozen=True, slots=True)
class ErrnoLine:
    """One errno, the EL2 line that it comes from, and the functions from the handler to it."""

    name: str
    path: str
    line: int
    chain: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One hypercall site in host code. ``verdict`` are ids of the rules that report it;
    ``assumed``: EL2's side was not seen or not understood."""

    path: str
    line: int
    column: int
    function: str
    hypercall: str
    kind: str
    fallible: bool
    assumed: bool
    errnos: tuple[ErrnoLine, ...]
    use: Use
    verdict: tuple[str, ...]

    @property
    def judged(self) -> str:
        """The verdict in words."""
        return ", ".join(self.verdict) or ("ok" if self.fallible else "nothing to handle")

    @property
    def confidence(self) -> str:
        """How sure it is what EL2 returns."""
        return "assumed" if self.assumed else "proven"

    @property
    def names(self) -> tuple[str, ...]:
        """Each errno once."""
        return tuple(dict.fromkeys(errno.name for errno in self.errnos))


@dataclass(frozen=True, slots=True)
class Alteration:
    """What a range of commits does to one site: ``before`` is None for a new one, ``after`` for one
    that is gone; not both are None."""

    before: Row | None
    after: Row | None

    @property
    def row(self) -> Row:
        """The site as it is now, or was."""
        row = self.after if self.after is not None else self.before
        assert row is not None
        return row

    @property
    def name(self) -> str:
        """'new', 'gone' or 'changed'."""
        return "new" if self.before is None else "gone" if self.after is None else "changed"


@dataclass(frozen=True, slots=True)
class Contract:
    """One hypercall's contract. ``handler`` is the EL2 file and line of its handler, ('', 0) when
    there is none; ``why`` says why it is assumed, '' when it isn't."""

    hypercall: str
    kind: str
    fallible: bool
    assumed: bool
    unset: bool
    handler: tuple[str, int]
    errnos: tuple[ErrnoLine, ...]
    why: str


@dataclass(frozen=True, slots=True)
class Audit:
    """What an audit found. ``root`` is the absolute folder that paths are relative to; ``contract``
    is the hypercall that was asked for, None when all are listed."""

    rows: tuple[Row, ...]
    notifications: tuple[Notification, ...]
    root: str
    version: str
    contract: Contract | None = None


def render(form: str, audit: Audit, style: Style) -> str:
    """The ledger in the format ``form`` (one of FORMATS)."""
    match form:
        case "json":
            return _json(audit)
        case "csv":
            return _csv(audit)
        case "markdown":
            return _markdown(audit)
        case _:
            from kvmlint.report.ledger_table import table

            return table(audit, style)


def totals(rows: Sequence[Row]) -> tuple[str, ...]:
    """``29 sites of 26 hypercalls in 9 files: 11 can fail …``, then how often which use."""
    files = len({row.path for row in rows})
    calls = len({row.hypercall for row in rows})
    head = f"{_count(len(rows), 'site')} of {_count(calls, 'hypercall')} in {_count(files, 'file')}"
    if not rows:
        return (head,)
    fallible = [row for row in rows if row.fallible]
    assumed = sum(row.assumed for row in fallible)
    found = sum(bool(row.verdict) for row in rows)
    uses = Counter(row.use for row in rows)
    return (
        f"{head}: {len(fallible)} can fail{f' ({assumed} assumed)' if assumed else ''}, "
        f"{found} with findings",
        "use: " + ", ".join(f"{uses[use]} {use.value}" for use in Use if uses[use]),
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def errno_places(errnos: Iterable[ErrnoLine]) -> dict[str, tuple[str, ...]]:
    """Each errno's EL2 places ``path:line``, once each."""
    places: dict[str, dict[str, None]] = {}
    for errno in errnos:
        places.setdefault(errno.name, {})[f"{errno.path}:{errno.line}"] = None
    return {name: tuple(at) for name, at in places.items()}


def _json(audit: Audit) -> str:
    fallible = [row for row in audit.rows if row.fallible]
    uses = Counter(row.use for row in audit.rows)
    log: dict[str, Json] = {
        "version": VERSION,
        "tool": {"name": "kvmlint", "version": audit.version},
        "root": audit.root,
    }
    if audit.contract is not None:
        log["hypercall"] = _contract(audit.contract)
    log["sites"] = [row_json(row) for row in audit.rows]
    log["totals"] = {
        "sites": len(audit.rows),
        "hypercalls": len({row.hypercall for row in audit.rows}),
        "files": len({row.path for row in audit.rows}),
        "fallible": len(fallible),
        "assumed": sum(row.assumed for row in fallible),
        "findings": sum(bool(row.verdict) for row in audit.rows),
        "use": {use.value: uses[use] for use in Use if uses[use]},
    }
    log["notifications"] = [
        {
            "path": n.path,
            "line": None if n.span is None else n.span.line,
            "function": n.function,
            "message": n.message,
            "failed": n.failed,
        }
        for n in audit.notifications
    ]
    return dumps(log)


def row_json(row: Row) -> Json:
    return {
        "path": row.path,
        "line": row.line,
        "column": row.column,
        "function": row.function,
        "hypercall": row.hypercall,
        "kind": row.kind,
        "fallible": row.fallible,
        "errnos": [_errno(errno) for errno in row.errnos],
        "use": row.use.value,
        "verdict": row.judged,
        "rules": list(row.verdict),
        "confidence": row.confidence,
    }


def _errno(errno: ErrnoLine) -> Json:
    return {
        "name": errno.name,
        "path": errno.path,
        "line": errno.line,
        "chain": list(errno.chain),
    }


def _contract(contract: Contract) -> Json:
    path, line = contract.handler
    return {
        "name": contract.hypercall,
        "kind": contract.kind,
        "fallible": contract.fallible,
        "confidence": "assumed" if contract.assumed else "proven",
        "why": contract.why,
        "unset": contract.unset,
        "handler": {"path": path, "line": line} if path else None,
        "errnos": [_errno(errno) for errno in contract.errnos],
    }


HEADINGS = (
    "file", "line", "function", "hypercall", "kind", "errnos", "use", "verdict", "confidence",
)  # fmt: skip


def cells_of(row: Row) -> tuple[str, ...]:
    errnos = "; ".join(
        f"{name} {' '.join(places)}" for name, places in errno_places(row.errnos).items()
    )
    return (
        row.path, str(row.line), row.function, row.hypercall, row.kind, errnos, row.use.value,
        row.judged, row.confidence,
    )  # fmt: skip


def _csv(audit: Audit) -> str:
    """RFC 4180, but with line feeds."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(HEADINGS)
    writer.writerows([safe(cell) for cell in cells_of(row)] for row in audit.rows)
    return out.getvalue()


def _markdown(audit: Audit) -> str:
    lines: list[str] = []
    if audit.contract is not None:
        from kvmlint.report.ledger_table import described

        lines += ["```text", *described(audit.contract), "```", ""]
    headings = ("site", *HEADINGS[2:])
    lines += [f"| {' | '.join(headings)} |", "|" + "---|" * len(headings)]
    for row in audit.rows:
        file, line, *rest = cells_of(row)
        lines.append("| " + " | ".join(cell(text) for text in (f"{file}:{line}", *rest)) + " |")
    lines += ["", f"{'; '.join(totals(audit.rows))}."]
    undecided = [n for n in audit.notifications if not n.failed]
    if undecided:
        lines += ["", "Not decided:", ""]
        lines += [f"- {cell(said(n))}" for n in undecided]
    return "\n".join(lines) + "\n"


def cell(text: str) -> str:
    return safe(text).replace("|", "\\|").replace("_", "\\_").replace("*", "\\*")


def said(n: Notification) -> str:
    """What could not be decided, with its place."""
    line = f":{n.span.line}" if n.span else ""
    where = f" in {n.function}()" if n.function else ""
    return f"{n.path}{line}{where}: {n.message}" if n.path else n.message

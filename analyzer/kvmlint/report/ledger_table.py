"""The ledger for a person: a table fitted to the terminal, and one hypercall's error chains."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from kvmlint.report import Style
from kvmlint.report.ledger import Audit, Contract, ErrnoLine, Row, Use, errno_places, said, totals
from kvmlint.report.safe import cut, pad, safe, width

_GAP = 2  # cells between columns
_DIM, _BOLD = "2", "1"  # SGR parameters (ECMA-48)


@dataclass(frozen=True, slots=True)
class _Column:
    """``least``: cells below which it is not cut. ``order``: columns leave from the highest on; 0
    never."""

    title: str
    cell: Callable[[Row], str]
    least: int
    order: int


def table(audit: Audit, style: Style) -> str:
    """The contract if one was asked for, the rows, the totals, what was not decided."""
    blocks: list[str] = []
    if audit.contract is not None:
        blocks.append("\n".join(cut(line, style.width) for line in described(audit.contract)))
    if audit.rows:
        blocks.append("\n".join(_table(audit.rows, style)))
    blocks.append("\n".join(t for text in totals(audit.rows) for t in _wrapped(text, style.width)))
    undecided = [n for n in audit.notifications if not n.failed]
    if undecided:
        notes = [
            line for n in undecided for line in _wrapped(f"not decided: {said(n)}", style.width)
        ]
        blocks.append("\n".join(notes))
    return "\n\n".join(blocks) + "\n"


# --- the table ------------------------------------------------------------------------------------


def _table(rows: Sequence[Row], style: Style) -> Iterator[str]:
    folder = posixpath.commonpath([posixpath.dirname(row.path) for row in rows] or [""])

    def site(row: Row) -> str:
        path = posixpath.relpath(row.path, folder) if folder else row.path
        return f"{path}:{row.line}"

    def places(row: Row) -> str:
        return "; ".join(
            f"{name} {' '.join(_below(place) for place in at)}"
            for name, at in errno_places(row.errnos).items()
        )

    long = _Column("errnos", places, 24, 5)
    columns = [
        _Column("site", site, 60, 0),
        _Column("function", lambda row: row.function, 20, 3),
        _Column("hypercall", lambda row: row.hypercall, 24, 0),
        _Column("kind", lambda row: row.kind + ("?" if row.assumed else ""), 8, 1),
        _Column("errnos", lambda row: " ".join(row.names), 12, 2),
        _Column("use", _short_use, 10, 0),
        _Column("verdict", _short_verdict, 20, 0),
        _Column("confidence", lambda row: row.confidence, 10, 4),
    ]
    wide = [long if column.title == "errnos" else column for column in columns]
    shown, widths = _fitted(wide, rows, style.width)
    if sum(widths) < sum(_natural(column, rows) for column in wide):
        shown, widths = _fitted(columns, rows, style.width)
    if folder:
        yield _ink(f"in {safe(folder)}", _DIM, style)
    yield _ink(_line([column.title for column in shown], widths), _BOLD, style)
    for row in rows:
        yield _line([safe(column.cell(row)) for column in shown], widths)


def _short_use(row: Row) -> str:
    return "undone" if row.use is Use.UNDONE else row.use.value


def _short_verdict(row: Row) -> str:
    return row.judged if row.fallible or row.verdict else "-"


def _natural(column: _Column, rows: Sequence[Row]) -> int:
    return max(width(column.title), *(width(safe(column.cell(row))) for row in rows))


def _fitted(
    columns: list[_Column], rows: Sequence[Row], room: int
) -> tuple[list[_Column], list[int]]:
    """The columns that fit and their widths: columns leave as long as cutting alone would not do;
    then the widest give way."""
    shown = list(columns)
    natural = {column.title: _natural(column, rows) for column in columns}

    def least(column: _Column) -> int:
        return min(natural[column.title], column.least)

    def taken(widths: Sequence[int]) -> int:
        return sum(widths) + _GAP * (len(widths) - 1)

    while any(column.order for column in shown):
        if taken([least(column) for column in shown]) <= room:
            break
        shown.remove(max(shown, key=lambda column: column.order))
    widths = [natural[column.title] for column in shown]
    while taken(widths) > room:
        slack = [w - least(c) for w, c in zip(widths, shown, strict=True)]
        # Errnos can be looked up by name; what else is cut gives way by its width.
        at = max(
            range(len(shown)),
            key=lambda i: (slack[i] > 0, shown[i].title == "errnos", widths[i]),
        )
        if slack[at] <= 0:
            at = widths.index(max(widths))  # a very narrow terminal
        widths[at] -= 1
    return shown, widths


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    shown = (pad(_cut(cell, room), room) for cell, room in zip(cells, widths, strict=True))
    return (" " * _GAP).join(shown).rstrip()


def _cut(text: str, room: int) -> str:
    """A name loses its middle: names that begin alike end differently."""
    if " " in text or width(text) <= room or not text.isascii():
        return cut(text, room)
    head = room // 2
    return f"{text[:head]}…{text[len(text) - (room - head - 1) :]}"


def _below(place: str) -> str:
    """An EL2 place without the folders that all of EL2 shares."""
    _, found, rest = place.partition("/kvm/")
    return rest if found else place


def _wrapped(text: str, room: int) -> Iterator[str]:
    line = ""
    for word in safe(text).split(" "):
        if line and width(line) + 1 + width(word) > room:
            yield line
            line = "   "
        line = f"{line} {word}" if line else word
    yield line


def _ink(text: str, ink: str, style: Style) -> str:
    return f"\x1b[{ink}m{text}\x1b[0m" if style.color else text


# --- one hypercall --------------------------------------------------------------------------------


def described(contract: Contract) -> Iterator[str]:
    """The contract in words, then its error chains as a tree."""
    path, line = contract.handler
    sure = f"assumed: {contract.why or 'the tables say so'}" if contract.assumed else "proven"
    yield safe(f"{contract.hypercall}: {_kind(contract)} ({sure})")
    if path:
        yield safe(f"handler: {path}:{line}")
    if contract.unset:
        yield "some path of the handler leaves the answer unwritten"
    yield from _chains([(errno.chain, errno) for errno in contract.errnos], "", set())


_KINDS = {
    "nothing": "returns nothing",
    "data": "returns data, never an error",
    "status": "returns 0 or an errno",
    "handle": "returns a positive handle or an errno",
    "predicate": "returns 0, a positive number (1 for yes), or an errno",
    "pointer": "returns an address or an errno",
    "mixed": "returns data or an errno",
}


def _kind(contract: Contract) -> str:
    if contract.kind == "status" and not contract.fallible:
        return "always returns 0"
    return _KINDS.get(contract.kind, contract.kind)


_Below: TypeAlias = Sequence[tuple[tuple[str, ...], ErrnoLine]]
_Seen: TypeAlias = set[tuple[str, frozenset[tuple[tuple[str, ...], str]]]]


def _chains(below: _Below, indent: str, seen: _Seen) -> Iterator[str]:
    """Functions that share a caller share its line; an errno stands under the function it is in. A
    function that is called in several places is unfolded once."""
    groups: dict[str, list[tuple[tuple[str, ...], ErrnoLine]]] = {}
    leaves: dict[str, None] = {}
    for chain, errno in below:
        if chain:
            groups.setdefault(chain[0], []).append((chain[1:], errno))
        else:
            leaves[_leaf(errno)] = None
    items: list[tuple[str, _Below]] = [
        *((leaf, ()) for leaf in leaves),
        *((f"{name}()", more) for name, more in groups.items()),
    ]
    for number, (text, more) in enumerate(items, start=1):
        last = number == len(items)
        branch, further = ("`- ", "   ") if last else ("|- ", "|  ")
        key = (text, frozenset((chain, _leaf(errno)) for chain, errno in more))
        if key in seen:
            yield f"{indent}{branch}{safe(text)} (as above)"
            continue
        if more and any(chain for chain, _ in more):
            seen.add(key)
        yield f"{indent}{branch}{safe(text)}"
        yield from _chains(more, indent + further, seen)


def _leaf(errno: ErrnoLine) -> str:
    return f"{errno.name} {errno.path}:{errno.line}"

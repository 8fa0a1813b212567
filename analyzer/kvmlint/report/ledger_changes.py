"""What a range of commits does to the ledger: as text for a person, JSON, CSV or Markdown."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence

from kvmlint.report.json import Json, dumps
from kvmlint.report.ledger import HEADINGS, VERSION, Alteration, Row, cell, cells_of, row_json
from kvmlint.report.safe import safe

_SIGN = {"new": "+", "gone": "-", "changed": "~"}
_ASPECTS = ("kind", "errnos", "use", "verdict", "confidence")


def render(form: str, found: Sequence[Alteration], root: str, version: str) -> str:
    """The changes in the format ``form`` (one of kvmlint.report.ledger.FORMATS)."""
    match form:
        case "json":
            return _json(found, root, version)
        case "csv":
            return _csv(found)
        case "markdown":
            return _markdown(found)
        case _:
            return "".join(f"{line}\n" for one in found for line in _lines(one))


def _aspects(row: Row) -> tuple[str, ...]:
    return (row.kind, " ".join(row.names) or "none", row.use.value, row.judged, row.confidence)


def _differences(one: Alteration) -> Iterator[tuple[str, str, str]]:
    """Aspect, before and after; of a site that is new or gone, what it is on the side it is on."""
    before = _aspects(one.before) if one.before is not None else ("",) * len(_ASPECTS)
    after = _aspects(one.after) if one.after is not None else ("",) * len(_ASPECTS)
    for name, old, new in zip(_ASPECTS, before, after, strict=True):
        if old != new:
            yield name, old, new


def _lines(one: Alteration) -> Iterator[str]:
    row = one.row
    yield (
        f"{_SIGN[one.name]} {safe(row.path)}:{row.line} {safe(row.function)}: {safe(row.hypercall)}"
    )
    for name, old, new in _differences(one):
        yield (
            f"    {name}: {safe(old)} -> {safe(new)}"
            if one.name == "changed"
            else (f"    {name}: {safe(old or new)}")
        )


def _json(found: Sequence[Alteration], root: str, version: str) -> str:
    changes: list[Json] = [
        {
            "change": one.name,
            "before": None if one.before is None else row_json(one.before),
            "after": None if one.after is None else row_json(one.after),
        }
        for one in found
    ]
    log: dict[str, Json] = {
        "version": VERSION,
        "tool": {"name": "kvmlint", "version": version},
        "root": root,
        "changes": changes,
    }
    return dumps(log)


def _csv(found: Sequence[Alteration]) -> str:
    """A row a side: 'before' and 'after' of a change follow each other."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("change", "side", *HEADINGS))
    for one in found:
        for side, row in (("before", one.before), ("after", one.after)):
            if row is not None:
                writer.writerow([one.name, side, *(safe(text) for text in cells_of(row))])
    return out.getvalue()


def _markdown(found: Sequence[Alteration]) -> str:
    headings = ("change", "site", "function", "hypercall", *_ASPECTS)
    lines = [f"| {' | '.join(headings)} |", "|" + "---|" * len(headings)]
    for one in found:
        row = one.row
        shown = dict.fromkeys(_ASPECTS, "")
        for name, old, new in _differences(one):
            shown[name] = f"{old} -> {new}" if one.name == "changed" else old or new
        place = f"{row.path}:{row.line}"
        texts = (one.name, place, row.function, row.hypercall, *shown.values())
        lines.append("| " + " | ".join(cell(text) for text in texts) + " |")
    return "\n".join(lines) + "\n"

"""Reads effect families: which function makes or undoes what, and where the call names it.

    [family.slab]
    kind = "memory"
    made = "memory obtained"
    undone = "memory freed"
    undo_text = "kfree({resource});"
    make = [{ call = "kmalloc kzalloc", resource = "return", holds = "nonnull" }]
    undo = "kfree kfree_sensitive"

Operands are "return", "argN", "*argN" (what the argument points to is written) or "none". A row
that doesn't say takes arg1 as its resource and holds always; it may be a string, its calls.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from kvmlint.knowledge.model import Does, EffectRow, Family, Holds, Kind, Operand
from kvmlint.knowledge.reader import Reader

_FAMILY = frozenset(("kind", "made", "undone", "undo_text", "make", "undo"))
_ROW = frozenset(
    ("call", "resource", "container", "record", "holds", "undo_text", "direction", "null_undoes")
)
_OPERAND = re.compile(r"(\*?)arg([1-9])")
_ARG1 = Operand(1)
_OPERANDS = {"return": Operand(0), "none": Operand(-1)}


@dataclass(frozen=True, slots=True)
class FamilyRows:
    """A family as one document tells it."""

    family: Family
    rows: tuple[EffectRow, ...]


def read_family(reader: Reader, name: str, known: Family | None) -> FamilyRows:
    """The family at ``reader``; ``known`` is what earlier documents said of it, and a document that
    adds to a known family need not say kind and texts again."""
    parts = reader.table(_FAMILY)
    if known is None:
        for needed in ("kind", "made", "undone"):
            if needed not in parts:
                reader.fail(f"a new family must say '{needed}'")
    family = Family(
        name=name,
        kind=parts["kind"].choice(Kind) if "kind" in parts else _of(known).kind,
        made=parts["made"].text() if "made" in parts else _of(known).made,
        undone=parts["undone"].text() if "undone" in parts else _of(known).undone,
        undo_text=_undo_text(parts, known),
    )
    rows: list[EffectRow] = []
    seen: set[tuple[str, Does]] = set()
    for does in Does:
        if does.value not in parts:
            continue
        for row in parts[does.value].rows():
            for made in _rows(row, family, does):
                if (made.function, does) in seen:
                    row.fail(f"'{made.function}' is listed twice", "call")
                seen.add((made.function, does))
                rows.append(made)
    return FamilyRows(family, tuple(rows))


def _of(known: Family | None) -> Family:
    assert known is not None  # a new family was refused above
    return known


def _undo_text(parts: dict[str, Reader], known: Family | None) -> str:
    """What is written, else what the family had, else a call of the first undoing function."""
    if "undo_text" in parts:
        return _pattern(parts["undo_text"])
    if known is not None:
        return known.undo_text
    if "undo" in parts:
        for row in parts["undo"].rows():
            parts_of_row = _parts(row)
            if "call" in parts_of_row:
                function, *_ = parts_of_row["call"].words()
                return f"{function}({{resource}});"
    return ""


def _pattern(reader: Reader) -> str:
    text = reader.text()
    try:
        text.format(resource="", container="")
    except (KeyError, IndexError, ValueError):
        reader.fail("may hold {resource} and {container}, no other braces")
    return text


def _rows(reader: Reader, family: Family, does: Does) -> list[EffectRow]:
    parts = _parts(reader)
    if "call" not in parts:
        reader.fail("a row must say 'call'")
    resource = _operand(parts["resource"]) if "resource" in parts else _ARG1
    container = _operand(parts["container"]) if "container" in parts else None
    record = _operand(parts["record"]) if "record" in parts else None
    holds = parts["holds"].choice(Holds) if "holds" in parts else Holds.ALWAYS
    direction = parts["direction"].number(1) if "direction" in parts else 0
    null_undoes = parts["null_undoes"].number(1) if "null_undoes" in parts else 0
    text = family.made if does is Does.MAKE else family.undone
    undo_text = _pattern(parts["undo_text"]) if "undo_text" in parts else family.undo_text
    if does is Does.UNDO:
        undo_text = ""
    name, kind = family.name, family.kind
    return [
        EffectRow(
            function,
            name,
            kind,
            does,
            resource,
            container,
            holds,
            text,
            undo_text,
            direction,
            record,
            null_undoes,
        )
        for function in parts["call"].words()
    ]


def _parts(reader: Reader) -> dict[str, Reader]:
    """A row's keys; a row that is a mere string is its calls."""
    if isinstance(reader.value, str):
        return {"call": reader}
    return reader.table(_ROW)


def _operand(reader: Reader) -> Operand:
    word = reader.text()
    known = _OPERANDS.get(word)
    if known is None:
        match = _OPERAND.fullmatch(word)
        if match is None:
            reader.fail(f"'{word}' is not one of return, argN, *argN, none (N from 1 to 9)")
        known = _OPERANDS[word] = Operand(int(match.group(2)), pointee=bool(match.group(1)))
    return known

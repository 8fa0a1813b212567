"""Loop macros: which there are, and which of their arguments they assign at each turn."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TypeAlias

from kvmlint.syntax.ast import Define

Loops: TypeAlias = Mapping[str, tuple[int, ...]]
"""Macro name → 0-based indices of the arguments that it assigns (its cursors)."""

_STARTS_FOR = re.compile(r"for\s*\(")
_STARTS_CALL = re.compile(r"([^\W\d]\w*)\s*\(")


def loops_defined(defines: Iterable[Define], known: Loops) -> dict[str, tuple[int, ...]]:
    """Loop macros among ``defines``: the body starts with ``for``, or with a loop macro of
    ``known`` or of the file. Cursors are what the body assigns, argument 0 when that shows none."""
    found: dict[str, tuple[int, ...]] = {}
    delegating: list[tuple[Define, str, list[str]]] = []
    for define in defines:
        if not define.parameters:
            continue
        if _STARTS_FOR.match(define.body):
            header = _group(define.body, define.body.index("("))
            found[define.name] = _assigned(define.parameters, header) or (0,)
        elif call := _STARTS_CALL.match(define.body):
            arguments = _split(_group(define.body, call.end() - 1))
            delegating.append((define, call.group(1), arguments))
    changed = True
    while changed:
        changed = False
        for define, target, arguments in delegating:
            inner = found.get(target, known.get(target))
            if inner is None or define.name in found:
                continue
            assert define.parameters is not None
            passed = [arguments[index].strip("() \t") for index in inner if index < len(arguments)]
            cursors = tuple(i for i, name in enumerate(define.parameters) if name in passed)
            found[define.name] = cursors or (0,)
            changed = True
    return found


def _assigned(parameters: tuple[str, ...], header: str) -> tuple[int, ...]:
    """Parameters that a for header assigns, steps or hands out by address to a function."""
    assigned = []
    for index, name in enumerate(parameters):
        if name == "...":
            continue
        place = rf"\(?\s*\b{re.escape(name)}\b\s*\)?"
        if re.search(
            rf"(?<![.>\w#]){place}\s*(?:[-+|&*/%^]|<<|>>)?=(?!=)"
            rf"|{place}\s*(?:\+\+|--)|(?:\+\+|--)\s*{place}"
            rf"|\w\([^()&]*(?:\([^()]*\)[^()&]*)*&\s*{place}\s*[,)]",
            header,
        ):
            assigned.append(index)
    return tuple(assigned)


def _group(text: str, at: int) -> str:
    """What is inside the parentheses that open at ``at`` (to the end when they don't close)."""
    depth = 0
    for index in range(at, len(text)):
        depth += {"(": 1, ")": -1}.get(text[index], 0)
        if depth == 0:
            return text[at + 1 : index]
    return text[at + 1 :]


def _split(text: str) -> list[str]:
    """Arguments of a call, split at the commas outside parentheses."""
    parts, depth, start = [], 0, 0
    for index, char in enumerate(text):
        depth += {"(": 1, ")": -1, "[": 1, "]": -1, "{": 1, "}": -1}.get(char, 0)
        if char == "," and depth == 0:
            parts.append(text[start:index])
            start = index + 1
    return [*parts, text[start:]]

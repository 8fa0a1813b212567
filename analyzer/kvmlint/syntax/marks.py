"""What the normaliser leaves for the lowering: the rewritten body and its side tables."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


class Role(Enum):
    """What a rewritten ``while`` stands for."""

    LOOP = "loop macro"
    GUARD = "scoped_guard"
    CONDITIONAL_GUARD = "scoped_cond_guard"


@dataclass(slots=True)
class Marks:
    """Side tables; offsets are relative to the body."""

    casts: dict[int, tuple[int, int]] = field(default_factory=dict)
    """'~' → the type's offsets"""
    opaque: set[int] = field(default_factory=set)
    """starts of words that stand for something we don't look into"""
    typeof: set[int] = field(default_factory=set)
    """starts of words that stand for typeof(…)"""
    roles: dict[int, tuple[Role, str, bool]] = field(default_factory=dict)
    """start of a rewritten macro → role, name, whether it has arguments"""
    fails: dict[int, tuple[int, bytes]] = field(default_factory=dict)
    """scoped_cond_guard → offset and rewritten text of its fail statement"""
    ranges: set[int] = field(default_factory=set)
    """offsets of the '||' that stands for '...' in a case label"""
    cleanups: list[tuple[int, str]] = field(default_factory=list)
    """offset and function of each __free and __cleanup"""
    statics: set[int] = field(default_factory=set)
    """offsets of the macros of ``static DEFINE_X(…)``"""
    computed: set[int] = field(default_factory=set)
    """offsets of the labels that stand for computed ones"""
    dropped: set[int] = field(default_factory=set)
    """offsets of the '(' whose arguments were given up"""


@dataclass(slots=True)
class Normal:
    """A rewritten body. ``calls``: offsets of the parentheses of calls, for ``drop_around``."""

    text: bytearray
    marks: Marks
    calls: list[tuple[int, int]]


def drop_around(normal: Normal, offset: int) -> bool:
    """Blanks the arguments of the innermost call around ``offset``: the last resort when the parser
    can't read them (an operator or a statement as a macro argument). False: there is no such call,
    or what would be lost contains calls itself."""
    inner = [one for one in normal.calls if one[0] < offset <= one[1]]
    for start, end in sorted(inner, key=lambda one: one[1] - one[0]):
        if start in normal.marks.dropped:
            continue
        if any(start < other[0] and other[1] < end for other in normal.calls):
            return False
        normal.text[start + 1 : end] = b" " * (end - start - 1)
        normal.marks.dropped.add(start)
        return True
    return False

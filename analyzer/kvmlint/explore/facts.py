"""What is known of a value on a path: its sign, an exact number, numbers that it isn't."""

from __future__ import annotations

from dataclasses import dataclass

NEGATIVE, ZERO, POSITIVE = 1, 2, 4
ANY = NEGATIVE | ZERO | POSITIVE
NONZERO = NEGATIVE | POSITIVE


@dataclass(frozen=True, slots=True)
class Fact:
    """Possible signs as a bit set, the exact number when known, and numbers that are excluded."""

    signs: int = ANY
    equal: int | None = None
    unequal: frozenset[int] = frozenset()

    def key(self) -> tuple[int, int, tuple[int, ...]]:
        """Structural order."""
        return (self.signs, -1 if self.equal is None else self.equal, tuple(sorted(self.unequal)))


UNCONSTRAINED = Fact()


def sign(number: int) -> int:
    """The sign bit of a number."""
    return NEGATIVE if number < 0 else POSITIVE if number else ZERO


def compare(op: str, left: int, right: int) -> bool:
    """``left op right`` for '==' and '<'."""
    return left == right if op == "==" else left < right


def constrain(fact: Fact, op: str, number: int, truth: bool) -> Fact | None:
    """The fact after learning that ``value op number`` is ``truth`` ('==', '<' or '>'); None when
    that can't be."""
    if fact.equal is not None:
        held = (
            fact.equal == number
            if op == "=="
            else fact.equal < number
            if op == "<"
            else fact.equal > number
        )
        return fact if held == truth else None
    if op == "==":
        if truth:
            if number in fact.unequal or not fact.signs & sign(number):
                return None
            return Fact(sign(number), number)
        if number == 0:
            signs = fact.signs & ~ZERO
            return Fact(signs, None, fact.unequal) if signs else None
        if not fact.signs & sign(number):
            return fact
        return Fact(fact.signs, None, fact.unequal | {number})
    signs = 0
    for bit, low, high in ((NEGATIVE, None, -1), (ZERO, 0, 0), (POSITIVE, 1, None)):
        if not fact.signs & bit:
            continue
        if _some(op, low, high, number, truth):
            signs |= bit
    if not signs:
        return None
    if signs == ZERO:
        return Fact(ZERO, 0)
    return Fact(signs, None, fact.unequal)


def _some(op: str, low: int | None, high: int | None, number: int, truth: bool) -> bool:
    """Whether some x in [low, high] makes ``x op number`` equal to ``truth``."""
    if op == "<":
        if truth:
            return low is None or low < number
        return high is None or high >= number
    if truth:
        return high is None or high > number
    return low is None or low <= number


def join(left: Fact, right: Fact) -> Fact:
    """What holds whichever of the two holds."""
    return Fact(
        left.signs | right.signs,
        left.equal if left.equal == right.equal else None,
        left.unequal & right.unequal,
    )

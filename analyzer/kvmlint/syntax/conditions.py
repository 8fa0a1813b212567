"""Conditions of ``#if`` as boolean formulas over atoms, and assignments that make them come out.

``defined(X)``, ``IS_ENABLED(X)`` and a bare ``X`` are all the atom X. Anything arithmetic is one
atom named by its text, so that the same text twice agrees.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

_TOKEN = re.compile(r"[^\W\d]\w*|\d\w*|&&|\|\||[<>=!]=|\S")
_ENABLED = frozenset({"IS_ENABLED", "IS_BUILTIN", "IS_REACHABLE", "IS_MODULE"})
_MOST_TOKENS = 200
"""A longer condition is one opaque atom: keeps the recursion here and the solver small."""


@dataclass(frozen=True, slots=True)
class Constant:
    value: bool


@dataclass(frozen=True, slots=True)
class Atom:
    name: str


@dataclass(frozen=True, slots=True)
class Not:
    operand: Condition


@dataclass(frozen=True, slots=True)
class All:
    operands: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    operands: tuple[Condition, ...]


Condition: TypeAlias = Constant | Atom | Not | All | AnyOf
Goal: TypeAlias = tuple[Condition, bool]
Assignment: TypeAlias = Mapping[str, bool]


def directive_condition(keyword: str, text: str) -> Condition:
    """Condition of an #if, #ifdef, #ifndef, #elif, #elifdef or #elifndef line."""
    if keyword in ("if", "elif"):
        return parse(text)
    name = Atom(text.split()[0] if text.split() else "")
    return Not(name) if keyword in ("ifndef", "elifndef") else name


def parse(text: str) -> Condition:
    """The formula of an expression; never fails, what isn't understood is an atom."""
    tokens = _TOKEN.findall(text)
    if len(tokens) > _MOST_TOKENS:
        return Atom(" ".join(tokens))
    parser = _Parser(tokens)
    condition = parser.any_of()
    return condition if parser.at == len(tokens) else Atom(" ".join(tokens))


class _Parser:
    def __init__(self, tokens: list[str]) -> None:
        self.tokens = tokens
        self.at = 0

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def any_of(self) -> Condition:
        parts = [self.all_of()]
        while self.peek() == "||":
            self.at += 1
            parts.append(self.all_of())
        return parts[0] if len(parts) == 1 else AnyOf(tuple(parts))

    def all_of(self) -> Condition:
        parts = [self.comparison()]
        while self.peek() == "&&":
            self.at += 1
            parts.append(self.comparison())
        return parts[0] if len(parts) == 1 else All(tuple(parts))

    def comparison(self) -> Condition:
        start = self.at
        condition = self.primary()
        if self.peek() in ("", "&&", "||", ")"):
            return condition
        depth = 0
        while self.peek() and not (depth == 0 and self.peek() in ("&&", "||", ")")):
            depth += {"(": 1, ")": -1}.get(self.peek(), 0)
            self.at += 1
        return Atom(" ".join(self.tokens[start : self.at]))

    def primary(self) -> Condition:
        token = self.peek()
        self.at += 1 if token else 0
        if token == "!":
            return Not(self.primary())
        if token == "(":
            condition = self.any_of()
            self.at += self.peek() == ")"
            return condition
        if token == "defined" or token in _ENABLED:
            parenthesised = self.peek() == "("
            self.at += parenthesised
            name = self.peek()
            self.at += bool(name)
            self.at += parenthesised and self.peek() == ")"
            return Atom(name)
        if token[:1].isdigit():
            return Constant(token.rstrip("uUlL") not in ("0", "0x0"))
        if self.peek() != "(":
            return Atom(token)
        start = self.at - 1
        depth = 0
        while self.peek():
            depth += {"(": 1, ")": -1}.get(self.peek(), 0)
            self.at += 1
            if depth == 0:
                break
        return Atom("".join(self.tokens[start : self.at]))


def solve(goals: tuple[Goal, ...], known: Assignment) -> dict[str, bool] | None:
    """The first extension of ``known`` under which every goal holds, or None."""
    return next(_solutions(goals, dict(known)), None)


def _solutions(goals: tuple[Goal, ...], known: dict[str, bool]) -> Iterator[dict[str, bool]]:
    if not goals:
        yield known
        return
    (condition, wanted), rest = goals[0], goals[1:]
    match condition:
        case Constant(value):
            if value is wanted:
                yield from _solutions(rest, known)
        case Atom(name):
            if known.get(name, wanted) is wanted:
                yield from _solutions(rest, {**known, name: wanted})
        case Not(operand):
            yield from _solutions(((operand, not wanted), *rest), known)
        case All(operands) | AnyOf(operands):
            if wanted is isinstance(condition, All):
                yield from _solutions((*((one, wanted) for one in operands), *rest), known)
                return
            for one in operands:
                yield from _solutions(((one, wanted), *rest), known)

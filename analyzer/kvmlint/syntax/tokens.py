"""Tokens of one function body, with their brackets matched."""

from __future__ import annotations

import re
from dataclasses import dataclass

_TOKEN = re.compile(rb'[A-Za-z_]\w*|"[^"]*"|\'[^\']*\'|\d[\w.]*|\.\.\.|\S')

OPENING = {b"(": b")", b"[": b"]", b"{": b"}"}
_CLOSING = {b")": b"(", b"]": b"[", b"}": b"{"}


@dataclass(frozen=True, slots=True)
class Tokens:
    """``at``: offsets in the body, ``text``: the tokens, ``match``: index of the matching bracket
    (its own index for anything else, and for a bracket without a partner)."""

    at: list[int]
    text: list[bytes]
    match: list[int]

    def end(self, index: int) -> int:
        """Offset behind a token."""
        return self.at[index] + len(self.text[index])


def tokenise(body: bytes) -> Tokens:
    """Tokens of masked text. A bracket that closes another kind than the innermost open one closes
    the nearest open one of its own kind."""
    at: list[int] = []
    text: list[bytes] = []
    for found in _TOKEN.finditer(body):
        at.append(found.start())
        text.append(found.group())
    match = list(range(len(text)))
    stack: list[int] = []
    for index, token in enumerate(text):
        if token in OPENING:
            stack.append(index)
        elif token in _CLOSING:
            wanted = _CLOSING[token]
            if stack and text[stack[-1]] == wanted:
                partner = stack.pop()
            else:
                depth = len(stack) - 1
                floor = max(-1, depth - 64)
                while depth > floor and text[stack[depth]] != wanted:
                    depth -= 1
                if depth <= floor:
                    continue
                partner = stack[depth]
                del stack[depth:]
            match[partner], match[index] = index, partner
    return Tokens(at, text, match)


def is_word(token: bytes) -> bool:
    """Whether a token is an identifier or keyword."""
    first = token[0]
    return 97 <= first <= 122 or 65 <= first <= 90 or first == 95

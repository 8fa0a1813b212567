"""Common ground of the rewrites of one body: tokens, the output, what a bracket holds."""

from __future__ import annotations

from kvmlint.syntax.dialect import Dialect
from kvmlint.syntax.marks import Marks
from kvmlint.syntax.tokens import Tokens, is_word, tokenise

CONTROL = frozenset([b"if", b"while", b"for", b"switch"])
KEYWORDS = CONTROL | frozenset(
    [b"return", b"else", b"do", b"case", b"goto", b"break", b"continue", b"default", b"sizeof"]
)
_BEFORE_STATEMENT = frozenset([b";", b"{", b"}", b":", b"else", b"do"])
TAGS = frozenset([b"struct", b"union", b"enum"])


class Rewriting:
    """State of the walk over one body."""

    def __init__(self, body: bytes, dialect: Dialect, typedefs: frozenset[bytes]) -> None:
        self.body = body
        self.out = bytearray(body)
        self.dialect = dialect
        self.typedefs = typedefs
        self.tokens: Tokens = tokenise(body)
        self.marks = Marks()
        self.calls: list[tuple[int, int]] = []
        # Token indices of ')' after which a statement, and of those after which an operand starts.
        self.control: set[int] = set()
        self.cast: set[int] = set()
        self.literal: set[int] = set()

    def blank(self, start: int, end: int) -> None:
        self.out[start:end] = b" " * (end - start)

    def word(self, start: int, end: int) -> None:
        """Makes a region one identifier of the same length."""
        self.out[start:end] = b"_" * (end - start)

    def previous(self, index: int) -> bytes:
        return self.tokens.text[index - 1] if index else b"{"

    def next(self, index: int) -> bytes:
        return self.tokens.text[index + 1] if index + 1 < len(self.tokens.text) else b""

    def kind(self, index: int, outer: bytes) -> bytes:
        """What an opening bracket holds: 'a'rguments, 'b'lock, 'i'nitialiser, 's'truct members,
        'p'arenthesised, 'x' subscript."""
        token, before = self.tokens.text[index], self.previous(index)
        if token == b"[":
            return b"x"
        if token == b"(":
            word = index > 0 and is_word(before) and before not in KEYWORDS
            curried = before == b")" and index - 1 not in self.control | self.cast
            return b"a" if word or curried else b"p"
        if index == 0:
            return b"b"
        if before == b")":
            return b"i" if index - 1 in self.literal else b"b"
        if before in (b"=", b"]") or outer == b"i":
            return b"i"
        if before == b"," or (outer == b"a" and before == b"("):
            return b"b" if outer == b"a" and before == b"(" else b"i"
        if is_word(before) and before not in (b"else", b"do"):
            tagged = before in TAGS or (index > 1 and self.tokens.text[index - 2] in TAGS)
            return b"s" if tagged else b"b"
        return b"b"

    def starts_statement(self, index: int, kind: bytes) -> bool:
        before = self.previous(index)
        return kind == b"b" and (before in _BEFORE_STATEMENT or index - 1 in self.control)

    def missing(self, start: int, end: int) -> None:
        """An empty macro argument, when there is room for a word."""
        if end > start:
            self.out[start] = 0x5F
            self.marks.opaque.add(start)

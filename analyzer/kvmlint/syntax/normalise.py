"""Rewrites one function body, at the same length, into C that tree-sitter understands.

What a rewrite hides is kept in ``Marks`` under the offset where the lowering will meet it:

- a cast ``(type)`` becomes the unary operator ``~`` (same precedence, no ambiguity with a call);
- a type among macro arguments, sizeof(…), offsetof(…), _Generic(…), typeof(…) become one word;
- a loop macro and scoped_guard become ``while``; ``case A ... B`` becomes ``case A || B``;
- attributes and asm become blanks; ``__free(f)`` too, and is remembered.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from kvmlint.syntax.dialect import Dialect
from kvmlint.syntax.macros import MacroRewriting
from kvmlint.syntax.marks import Normal
from kvmlint.syntax.rewriting import KEYWORDS
from kvmlint.syntax.tokens import OPENING, is_word
from kvmlint.syntax.types import TYPE_WORDS

_TYPE_WORDS = frozenset(word.encode() for word in TYPE_WORDS)
_TYPEOF = frozenset(
    [b"typeof", b"__typeof__", b"__typeof", b"typeof_unqual", b"__unqual_scalar_typeof"]
)
_ASM = frozenset([b"asm", b"__asm__", b"__asm", b"asm_inline", b"asm_volatile_goto"])
_ASM_WORDS = frozenset(
    [b"volatile", b"__volatile__", b"__volatile", b"goto", b"inline", b"__inline", b"__inline__"]
)
_OPERAND = frozenset([b"(", b"&", b"*", b"-", b"+", b"~", b"!"])


def normalise(body: bytes, dialect: Dialect, typedefs: frozenset[bytes]) -> Normal:
    """Rewrites ``body``, masked text from '{' to '}'."""
    return _Rewriter(body, dialect, typedefs).run()


class _Rewriter(MacroRewriting):
    """One walk over the tokens, innermost bracket on a stack."""

    def __init__(self, body: bytes, dialect: Dialect, typedefs: frozenset[bytes]) -> None:
        super().__init__(body, dialect, typedefs)
        self.special = _special(
            dialect.attributes,
            dialect.called_attributes,
            dialect.cleanups,
            dialect.opaque_calls,
        )

    def run(self) -> Normal:
        tokens = self.tokens
        text, match = tokens.text, tokens.match
        stack: list[tuple[int, bytes]] = []  # index of the bracket, kind
        kind = b""
        index, count = 0, len(text)
        special = self.special
        while index < count:
            token = text[index]
            if is_word(token):
                action = special.get(token)
                if action is not None:
                    index = action(self, index)
                    continue
                if token in _TYPE_WORDS:
                    index = self._type_word(index, kind)
                    continue
                if index + 1 < count and text[index + 1] == b"(":
                    index = self.called(index, kind)
                    continue
                if kind == b"b" and index + 1 < count:
                    self.bare(index, text[index + 1])
            elif token in OPENING:
                if token == b"(":
                    skip = self._parenthesis(index)
                    if skip > index:
                        index = skip
                        continue
                stack.append((index, kind))
                kind = self.kind(index, kind)
            elif token in b")]}":
                if stack:
                    opened, kind = stack.pop()
                    while stack and match[opened] != index and match[index] <= opened:
                        opened, kind = stack.pop()
            elif token == b"*":
                if kind == b"a" and text[index + 1 : index + 2] in ([b","], [b")"]):
                    self._pointer_argument(index)
            elif token == b"...":
                self._range(index)
            elif token == b",":
                if kind == b"a" and text[index + 1 : index + 2] in ([b","], [b")"]):
                    self.missing(tokens.end(index), tokens.at[index + 1])
            elif token[0] == 0x22:
                self.string(index)
            index += 1
        for start, (offset, piece) in list(self.marks.fails.items()):
            end = offset + len(piece)
            self.marks.fails[start] = (offset, bytes(self.out[offset:end]))
            self.out[offset:end] = b"0" + b" " * (len(piece) - 1)
        return Normal(self.out, self.marks, self.calls)

    # --- words -------------------------------------------------------------------------------

    def _attribute(self, index: int) -> int:
        self.blank(self.tokens.at[index], self.tokens.end(index))
        return index + 1

    def _called_attribute(self, index: int) -> int:
        last = index
        if self.next(index) == b"(":
            last = self.tokens.match[index + 1]
        self.blank(self.tokens.at[index], self.tokens.end(last))
        return last + 1

    def _cleanup(self, index: int) -> int:
        if self.next(index) == b"(":
            close = self.tokens.match[index + 1]
            inner = self.body[self.tokens.end(index + 1) : self.tokens.at[close]]
            name = inner.decode("latin-1").strip()
            self.marks.cleanups.append((self.tokens.at[index], name))
        return self._called_attribute(index)

    def _opaque_call(self, index: int) -> int:
        if self.next(index) != b"(":
            return index + 1
        close = self.tokens.match[index + 1]
        if close <= index:
            return index + 1
        self.word(self.tokens.at[index], self.tokens.end(close))
        self.marks.opaque.add(self.tokens.at[index])
        return close + 1

    def _static(self, index: int) -> int:
        """``static DEFINE_X(name, …);``: a call to the parser, a declaration to us."""
        tokens = self.tokens
        word = self.next(index)
        if self.next(index + 1) != b"(" or not is_word(word) or word in self.special:
            return index + 1
        close = tokens.match[index + 2]
        if self.next(close) == b"=" and self.next(close + 1) == b"{":
            self.blank(tokens.at[close + 1], tokens.end(tokens.match[close + 2]))
        elif self.next(close) != b";":
            return index + 1
        self.blank(tokens.at[index], tokens.end(index))
        self.marks.statics.add(tokens.at[index + 1])
        return index + 1

    def _typeof(self, index: int) -> int:
        if self.next(index) != b"(":
            return index + 1
        close = self.tokens.match[index + 1]
        if close <= index:
            return index + 1
        self.word(self.tokens.at[index], self.tokens.end(close))
        self.marks.typeof.add(self.tokens.at[index])
        return close + 1

    def _asm(self, index: int) -> int:
        # UNSOUND: the outputs of asm aren't assignments to us, and `asm goto` jumps nowhere.
        last = index
        while self.next(last) in _ASM_WORDS:
            last += 1
        if self.next(last) != b"(":
            return index + 1
        last = max(self.tokens.match[last + 1], last + 1)
        self.blank(self.tokens.at[index], self.tokens.end(last))
        return last + 1

    def _goto(self, index: int) -> int:
        if self.next(index) != b"*":
            return index + 1
        last = index + 1
        while self.next(last) not in (b";", b"}", b""):
            last += 1
        start = self.tokens.at[index + 1]
        self.word(start, self.tokens.end(last))
        self.marks.computed.add(start)
        return last + 1

    def _type_word(self, index: int, kind: bytes) -> int:
        """A type that is a macro argument becomes one opaque word."""
        if kind != b"a" or self.previous(index) not in (b"(", b","):
            return index + 1
        last = self._argument_end(index)
        self.word(self.tokens.at[index], self.tokens.end(last))
        self.marks.opaque.add(self.tokens.at[index])
        return last + 1

    def _argument_end(self, index: int) -> int:
        """Index of the last token of the argument that ``index`` is in."""
        text, match = self.tokens.text, self.tokens.match
        last = index
        while last + 1 < len(text) and text[last + 1] not in (b",", b")", b"}", b";"):
            last = max(last + 1, match[last + 1])
        return last

    def _pointer_argument(self, index: int) -> None:
        """``name *`` right before a comma or parenthesis is a type."""
        text = self.tokens.text
        first = index
        while text[first - 1] == b"*" or is_word(text[first - 1]):
            first -= 1
        if first < index and text[first - 1] in (b"(", b",") and is_word(text[first]):
            self.word(self.tokens.at[first], self.tokens.end(index))
            self.marks.opaque.add(self.tokens.at[first])

    # --- parentheses -------------------------------------------------------------------------

    def _parenthesis(self, index: int) -> int:
        """Rewrites a cast; returns the index behind it, or ``index`` when it isn't one."""
        tokens = self.tokens
        close = tokens.match[index]
        before = self.previous(index)
        if close <= index + 1 or before == b"]":
            return index
        if is_word(before) and before not in (b"return", b"case", b"else", b"do"):
            return index
        if before == b")" and index - 1 not in self.control and index - 1 not in self.cast:
            return index
        follower = self.next(close)
        if not self._is_type(index, close, follower):
            return index
        if follower == b"{":
            self.literal.add(close)
            return index
        if not follower or follower in b");,]}=?:":
            return index
        start = tokens.at[index]
        self.blank(start, tokens.end(close))
        self.out[start] = 0x7E
        self.marks.casts[start] = (start + 1, tokens.at[close])
        self.cast.add(close)
        return close + 1

    def _is_type(self, index: int, close: int, follower: bytes) -> bool:
        text = self.tokens.text
        first = text[index + 1]
        if first in _TYPE_WORDS:
            return True
        inside = text[index + 1 : close]
        if not all(is_word(one) or one == b"*" for one in inside) or not is_word(first):
            return False
        if inside[-1] == b"*":
            return True
        if b"*" in inside:
            return False
        attributes = self.dialect.attributes
        names = [one for one in inside if one.decode("latin-1") not in attributes]
        if len(names) > 1:
            return True
        name = names[0] if names else b""
        if follower == b"{":
            return True
        if name in self.typedefs or name.decode("latin-1") in self.dialect.types:
            return True
        if name.endswith(b"_t"):
            return follower in _OPERAND or _begins_operand(follower)
        return _begins_operand(follower)

    def _range(self, index: int) -> None:
        """``...`` between case values becomes an operator of the lowest precedence."""
        at = index - 1
        steps = 0
        while at >= 0 and steps < 40 and self.tokens.text[at] not in (b";", b"{", b"}", b":"):
            if self.tokens.text[at] == b"case":
                start = self.tokens.at[index]
                self.out[start : start + 3] = b"|| "
                self.marks.ranges.add(start)
                return
            at -= 1
            steps += 1


@lru_cache(maxsize=8)
def _special(
    attributes: frozenset[str],
    called: frozenset[str],
    cleanups: frozenset[str],
    opaque: frozenset[str],
) -> dict[bytes, Callable[[_Rewriter, int], int]]:
    """Words that are rewritten wherever they stand; the method returns the next token's index."""
    special: dict[bytes, Callable[[_Rewriter, int], int]] = {}
    for names, action in (
        (attributes, _Rewriter._attribute),
        (called, _Rewriter._called_attribute),
        (cleanups, _Rewriter._cleanup),
        (opaque, _Rewriter._opaque_call),
    ):
        special.update((word.encode(), action) for word in names)
    special.update(dict.fromkeys(_TYPEOF, _Rewriter._typeof))
    special.update(dict.fromkeys(_ASM, _Rewriter._asm))
    special[b"goto"] = _Rewriter._goto
    special[b"static"] = _Rewriter._static
    return special


def _begins_operand(token: bytes) -> bool:
    return bool(token) and (
        (is_word(token) and token not in KEYWORDS)
        or 48 <= token[0] <= 57
        or token[0] in (0x22, 0x27)
        or token in (b"~", b"!")
    )

"""Rewrites one function body, at the same length, into C that tree-sitter understands.

What a rewrite hides is kept in ``Marks`` under the offset where the lowering will meet it:

- a cast ``(type)`` becomes the unary operator ``~`` (same precedence, no ambiguity with a call);
- a type among macro arguments, sizeof(…), offsetof(…), _Generic(…), typeof(…) become one word;
- a loop macro and scoped_guard become ``while``; ``case A ... B`` becomes ``case A || B``;
- attributes and asm become blanks; ``__free(f)`` too, and is remembered.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache

from kvmlint.syntax.dialect import Dialect
from kvmlint.syntax.tokens import OPENING, Tokens, is_word, tokenise
from kvmlint.syntax.types import TYPE_WORDS

_TYPE_WORDS = frozenset(word.encode() for word in TYPE_WORDS)
_TYPEOF = frozenset(
    [b"typeof", b"__typeof__", b"__typeof", b"typeof_unqual", b"__unqual_scalar_typeof"]
)
_ASM = frozenset([b"asm", b"__asm__", b"__asm", b"asm_inline", b"asm_volatile_goto"])
_ASM_WORDS = frozenset(
    [b"volatile", b"__volatile__", b"__volatile", b"goto", b"inline", b"__inline", b"__inline__"]
)
_CONTROL = frozenset([b"if", b"while", b"for", b"switch"])
_KEYWORDS = _CONTROL | frozenset(
    [b"return", b"else", b"do", b"case", b"goto", b"break", b"continue", b"default", b"sizeof"]
)
_BEFORE_STATEMENT = frozenset([b";", b"{", b"}", b":", b"else", b"do"])
_TAGS = frozenset([b"struct", b"union", b"enum"])
_OPERAND = frozenset([b"(", b"&", b"*", b"-", b"+", b"~", b"!"])


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


def normalise(body: bytes, dialect: Dialect, typedefs: frozenset[bytes]) -> Normal:
    """Rewrites ``body``, masked text from '{' to '}'."""
    return _Rewriter(body, dialect, typedefs).run()


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


class _Rewriter:
    """One walk over the tokens, innermost bracket on a stack."""

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
                    index = self._called(index, kind)
                    continue
            elif token in OPENING:
                if token == b"(":
                    skip = self._parenthesis(index)
                    if skip > index:
                        index = skip
                        continue
                stack.append((index, kind))
                kind = self._kind(index, kind)
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
                    self._missing(tokens.end(index), tokens.at[index + 1])
            elif token[0] == 0x22:
                self._string(index)
            index += 1
        for start, (offset, piece) in list(self.marks.fails.items()):
            end = offset + len(piece)
            self.marks.fails[start] = (offset, bytes(self.out[offset:end]))
            self.out[offset:end] = b"0" + b" " * (len(piece) - 1)
        return Normal(self.out, self.marks, self.calls)

    # --- helpers -----------------------------------------------------------------------------

    def _blank(self, start: int, end: int) -> None:
        self.out[start:end] = b" " * (end - start)

    def _word(self, start: int, end: int) -> None:
        """Makes a region one identifier of the same length."""
        self.out[start:end] = b"_" * (end - start)

    def _previous(self, index: int) -> bytes:
        return self.tokens.text[index - 1] if index else b"{"

    def _next(self, index: int) -> bytes:
        return self.tokens.text[index + 1] if index + 1 < len(self.tokens.text) else b""

    def _kind(self, index: int, outer: bytes) -> bytes:
        """What an opening bracket holds: 'a'rguments, 'b'lock, 'i'nitialiser, 's'truct members,
        'p'arenthesised, 'x' subscript."""
        token, before = self.tokens.text[index], self._previous(index)
        if token == b"[":
            return b"x"
        if token == b"(":
            word = index > 0 and is_word(before) and before not in _KEYWORDS
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
            tagged = before in _TAGS or (index > 1 and self.tokens.text[index - 2] in _TAGS)
            return b"s" if tagged else b"b"
        return b"b"

    def _starts_statement(self, index: int, kind: bytes) -> bool:
        before = self._previous(index)
        return kind == b"b" and (
            before in _BEFORE_STATEMENT or (before == b")" and index - 1 in self.control)
        )

    # --- words -------------------------------------------------------------------------------

    def _attribute(self, index: int) -> int:
        self._blank(self.tokens.at[index], self.tokens.end(index))
        return index + 1

    def _called_attribute(self, index: int) -> int:
        last = index
        if self._next(index) == b"(":
            last = self.tokens.match[index + 1]
        self._blank(self.tokens.at[index], self.tokens.end(last))
        return last + 1

    def _cleanup(self, index: int) -> int:
        if self._next(index) == b"(":
            close = self.tokens.match[index + 1]
            inner = self.body[self.tokens.end(index + 1) : self.tokens.at[close]]
            name = inner.decode("latin-1").strip()
            self.marks.cleanups.append((self.tokens.at[index], name))
        return self._called_attribute(index)

    def _opaque_call(self, index: int) -> int:
        if self._next(index) != b"(":
            return index + 1
        close = self.tokens.match[index + 1]
        if close <= index:
            return index + 1
        self._word(self.tokens.at[index], self.tokens.end(close))
        self.marks.opaque.add(self.tokens.at[index])
        return close + 1

    def _static(self, index: int) -> int:
        """``static DEFINE_X(name, …);``: a call to the parser, a declaration to us."""
        tokens = self.tokens
        word = self._next(index)
        if self._next(index + 1) != b"(" or not is_word(word) or word in self.special:
            return index + 1
        close = tokens.match[index + 2]
        if self._next(close) == b"=" and self._next(close + 1) == b"{":
            self._blank(tokens.at[close + 1], tokens.end(tokens.match[close + 2]))
        elif self._next(close) != b";":
            return index + 1
        self._blank(tokens.at[index], tokens.end(index))
        self.marks.statics.add(tokens.at[index + 1])
        return index + 1

    def _typeof(self, index: int) -> int:
        if self._next(index) != b"(":
            return index + 1
        close = self.tokens.match[index + 1]
        if close <= index:
            return index + 1
        self._word(self.tokens.at[index], self.tokens.end(close))
        self.marks.typeof.add(self.tokens.at[index])
        return close + 1

    def _asm(self, index: int) -> int:
        # UNSOUND: the outputs of asm aren't assignments to us, and `asm goto` jumps nowhere.
        last = index
        while self._next(last) in _ASM_WORDS:
            last += 1
        if self._next(last) != b"(":
            return index + 1
        last = max(self.tokens.match[last + 1], last + 1)
        self._blank(self.tokens.at[index], self.tokens.end(last))
        return last + 1

    def _goto(self, index: int) -> int:
        if self._next(index) != b"*":
            return index + 1
        last = index + 1
        while self._next(last) not in (b";", b"}", b""):
            last += 1
        start = self.tokens.at[index + 1]
        self._word(start, self.tokens.end(last))
        self.marks.computed.add(start)
        return last + 1

    def _type_word(self, index: int, kind: bytes) -> int:
        """A type that is a macro argument becomes one opaque word."""
        if kind != b"a" or self._previous(index) not in (b"(", b","):
            return index + 1
        last = self._argument_end(index)
        self._word(self.tokens.at[index], self.tokens.end(last))
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
            self._word(self.tokens.at[first], self.tokens.end(index))
            self.marks.opaque.add(self.tokens.at[first])

    # --- calls, loops, macro statements ------------------------------------------------------

    def _called(self, index: int, kind: bytes) -> int:
        """A word before '('."""
        tokens = self.tokens
        word, close = tokens.text[index], tokens.match[index + 1]
        if close <= index:
            return index + 1
        if word in _CONTROL:
            self.control.add(close)
            return index + 1
        if word in _KEYWORDS:
            return index + 1
        if word.startswith(b"while_") and self._previous(index) == b"}" and kind == b"b":
            # do { … } while_each_thread(g, p);
            self.out[tokens.at[index] : tokens.end(index)] = b"while".ljust(len(word))
            return index + 1
        self.calls.append((tokens.at[index + 1], tokens.at[close]))
        if kind == b"a" and index > 1:
            # KERN_DEBUG pr_fmt("…"): two strings joined
            before = tokens.text[index - 1]
            if is_word(before) and tokens.text[index - 2] in (b"(", b","):
                self._blank(tokens.at[index - 1], tokens.at[index])
        if tokens.text[index + 2] == b",":
            self._missing(tokens.end(index + 1), tokens.at[index + 2])
        if self._starts_statement(index, kind):
            self._macro_statement(index, close)
        return index + 1

    def _macro_statement(self, index: int, close: int) -> None:
        """``word(…)`` that begins a statement: a loop macro, a guard, or a macro without ';'."""
        tokens = self.tokens
        word = tokens.text[index].decode("latin-1")
        follower = self._next(close)
        if follower == b"=" and self._next(close + 1) == b"{":
            # DECLARE_BITMAP(name, bits) = { … };
            self._blank(tokens.at[close + 1], tokens.end(tokens.match[close + 2]))
        elif word == "scoped_guard":
            self._loop(index, close, Role.GUARD)
        elif word == "scoped_cond_guard":
            self._loop(index, close, Role.CONDITIONAL_GUARD)
        elif word in self.dialect.loops:
            self._loop(index, close, Role.LOOP)
        elif follower == b"{":
            # IMPRECISE: an unknown macro with a block is taken for a loop.
            self._loop(index, close, Role.LOOP)
        elif follower == b"}" or (follower and (is_word(follower) or follower[0] == 0x22)):
            between = self.body[tokens.end(close) : tokens.at[close + 1]]
            if follower != b"}" and "for_each" in word and follower != b"else":
                self._loop(index, close, Role.LOOP)
            elif between and (follower in (b"}", b"else") or b"\n" in between):
                self.out[tokens.end(close)] = 0x3B
                self.control.add(close)

    def _loop(self, index: int, close: int, role: Role) -> None:
        tokens = self.tokens
        start, end = tokens.at[index], tokens.end(index)
        keyword = b"while" if end - start >= 5 else b"if"
        if end - start < 2:
            return
        empty = close == index + 2
        self.out[start:end] = keyword.ljust(end - start)
        if empty:
            opened, closed = tokens.at[index + 1], tokens.at[close]
            if closed > opened + 1:
                self.out[opened + 1] = 0x30
            elif end - start >= 8:
                self._blank(opened, closed + 1)
                self.out[start + 5 : start + 8] = b"(0)"
        name = tokens.text[index].decode("latin-1")
        self.marks.roles[start] = (role, name, not empty)
        self.control.add(close)
        if role is Role.CONDITIONAL_GUARD:
            self._fail_statement(index, close)

    def _fail_statement(self, index: int, close: int) -> None:
        """The second argument of scoped_cond_guard is a statement: kept aside, read apart."""
        tokens = self.tokens
        commas = []
        at = index + 2
        while at < close:
            if tokens.text[at] == b",":
                commas.append(at)
            at = max(at, tokens.match[at]) + 1
        if not commas:
            return
        start = tokens.end(commas[0])
        end = tokens.at[commas[1]] if len(commas) > 1 else tokens.at[close]
        if end > start:
            self.marks.fails[tokens.at[index]] = (start, self.body[start:end])

    def _missing(self, start: int, end: int) -> None:
        """An empty macro argument, when there is room for a word."""
        if end > start:
            self.out[start] = 0x5F
            self.marks.opaque.add(start)

    # --- parentheses -------------------------------------------------------------------------

    def _parenthesis(self, index: int) -> int:
        """Rewrites a cast; returns the index behind it, or ``index`` when it isn't one."""
        tokens = self.tokens
        close = tokens.match[index]
        before = self._previous(index)
        if close <= index + 1 or before == b"]":
            return index
        if is_word(before) and before not in (b"return", b"case", b"else", b"do"):
            return index
        if before == b")" and index - 1 not in self.control and index - 1 not in self.cast:
            return index
        follower = self._next(close)
        if not self._is_type(index, close, follower):
            return index
        if follower == b"{":
            self.literal.add(close)
            return index
        if not follower or follower in b");,]}=?:":
            return index
        start = tokens.at[index]
        self._blank(start, tokens.end(close))
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

    # --- punctuation -------------------------------------------------------------------------

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

    def _string(self, index: int) -> None:
        """Macros joined to a string, ``KERN_ERR PFX "a" __stringify(x) "b"``, become blank."""
        tokens = self.tokens
        text = tokens.text
        last = index
        while (follower := self._next(last)) and (follower[0] == 0x22 or is_word(follower)):
            if follower in _KEYWORDS:
                break
            last += 1
            if is_word(follower):
                if self._next(last) == b"(":
                    last = max(last, tokens.match[last + 1])
                self._blank(tokens.end(index), tokens.end(last))
        first = index
        while first > 0:
            before = text[first - 1]
            if before == b")" and first - 1 not in self.control and first - 1 not in self.cast:
                opened = tokens.match[first - 1]
                if not 0 < opened < first - 1 or not is_word(text[opened - 1]):
                    break
                first = opened - 1
            elif is_word(before) and before not in _KEYWORDS:
                first -= 1
            else:
                break
        if first < index:
            self._blank(tokens.at[first], tokens.at[index])


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
        (is_word(token) and token not in _KEYWORDS)
        or 48 <= token[0] <= 57
        or token[0] in (0x22, 0x27)
        or token in (b"~", b"!")
    )

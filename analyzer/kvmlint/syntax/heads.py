"""Finds function definitions in masked text of one variant, without parsing their bodies.

A definition is a top-level brace block whose head (the text since the last ``;`` or block) reads
like a function's. Bodies stay untouched until somebody asks for them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from kvmlint.syntax.dialect import Dialect

_BRACE = re.compile(rb"[{}]")
_TOKEN = re.compile(rb"[A-Za-z_]\w*|\S")
_STORAGE = frozenset({"static", "extern", "inline", "register", "auto", "_Thread_local"})
_TAGS = frozenset({"struct", "union", "enum"})
_NOT_NAMES = frozenset({"typeof", "__typeof__", "__typeof", "typeof_unqual", "if", "while", "for"})
_OLD_STYLE = re.compile(rb"[A-Za-z_]\w*\s*\([\w\s,]*\)\s*(?:[A-Za-z_][\w\s*,\[\]()]*;\s*)+\Z")
_OLD_STYLE_REACH = 2000
"""Bytes before the brace in which a K&R parameter list is looked for."""


@dataclass(frozen=True, slots=True)
class RawHead:
    """Offsets of a definition: ``start``..``end`` all of it, ``body`` its '{', ``lparen`` and
    ``rparen`` around the parameters. ``old_style``: parameter declarations before the body.
    ``paired``: parameters are 'name, type, argument, …' (SYSCALL_DEFINE)."""

    name: str
    name_start: int
    start: int
    end: int
    body: int
    lparen: int
    rparen: int
    static: bool
    old_style: bool = False
    paired: bool = False


@dataclass(frozen=True, slots=True)
class Broken:
    """A region whose braces don't balance; ``name`` is its function if known, else ''."""

    start: int
    end: int
    name: str


@dataclass(slots=True)
class _Group:
    """Parentheses in a head: token indices of the identifier before ('' and -1 when none),
    '(' and ')'; ``typed``: words that can be a return type stand before the identifier."""

    word: str
    at: int
    open: int
    close: int
    typed: int
    attribute: bool


def find_heads(text: bytes, dialect: Dialect) -> tuple[list[RawHead], list[Broken]]:
    """Definitions in file order, and what couldn't be delimited."""
    heads: list[RawHead] = []
    broken: list[Broken] = []
    depth = 0
    since = opened = 0
    balanced = True
    for found in _BRACE.finditer(text):
        at = found.start()
        if text[at] == 0x7B:
            if depth == 0:
                opened = at
            depth += 1
        elif depth:
            depth -= 1
            if depth == 0:
                head = read_head(text, since, opened, at + 1, dialect)
                if head is not None:
                    heads.append(head)
                since = at + 1
        else:
            balanced = False
    if balanced and depth == 0:
        return heads, broken
    return _recover(text, dialect)


def _recover(text: bytes, dialect: Dialect) -> tuple[list[RawHead], list[Broken]]:
    """The same for unbalanced text, with the help of kernel style: in column 0, '}' ends whatever
    is open, and '{' after ')' begins a function."""
    heads: list[RawHead] = []
    broken: list[Broken] = []
    depth = 0
    since = opened = 0

    def give_up(end: int) -> None:
        head = read_head(text, since, opened, end, dialect)
        broken.append(Broken(head.start if head else opened, end, head.name if head else ""))

    for found in _BRACE.finditer(text):
        at = found.start()
        margin = at == 0 or text[at - 1] == 0x0A
        if text[at] == 0x7B:
            if depth and margin and text[max(0, at - 200) : at].rstrip()[-1:] == b")":
                line = text.rfind(b"\n\n", 0, at)
                line = line if line > opened else at
                give_up(line)
                depth, since = 0, line
            if depth == 0:
                opened = at
            depth += 1
        elif depth == 0:
            stray = bool(broken) and broken[-1].end == since and not broken[-1].name
            start = broken.pop().start if stray else at
            broken.append(Broken(start, at + 1, ""))
            since = at + 1
        elif margin and depth > 1:
            give_up(at + 1)
            depth, since = 0, at + 1
        else:
            depth -= 1
            if depth == 0:
                head = read_head(text, since, opened, at + 1, dialect)
                if head is not None:
                    heads.append(head)
                since = at + 1
    if depth:
        give_up(len(text))
    return heads, broken


def read_head(text: bytes, since: int, brace: int, end: int, dialect: Dialect) -> RawHead | None:
    """The definition whose body opens at ``brace``, or None when the block isn't a function's."""
    start = text.rfind(b";", since, brace) + 1 or since
    old_style = False
    if start > since and not text[start:brace].strip():
        old = _OLD_STYLE.search(text, max(since, brace - _OLD_STYLE_REACH), brace)
        if old is None:
            return None
        start = text.rfind(b";", since, old.start()) + 1 or since
        old_style = True
    if text.find(b"(", start, brace) < 0:
        return None
    tokens = [(m.start(), m.group().decode("latin-1")) for m in _TOKEN.finditer(text, start, brace)]
    groups, first = _groups(tokens, dialect)
    if groups is None:
        return None
    if old_style:
        groups = groups[:1]
    choice = _choose(groups, tokens)
    if choice is None:
        return None
    if not old_style and any(word in _TAGS for _, word in tokens[groups[-1].close :]):
        return None  # MACRO(name) enum tag {
    place = choice.at
    lparen, rparen = choice.open, choice.close
    position = groups.index(choice)
    follower = groups[position + 1] if position + 1 < len(groups) else None
    curried = follower is not None and follower.at < 0 and follower.open == rparen + 1
    paired = False
    if choice.at < 0:
        # int (*name(int a))(int)
        inner = next(
            (
                i
                for i in range(choice.open, choice.close - 1)
                if _is_word(tokens[i][1]) and tokens[i + 1][1] == "("
            ),
            None,
        )
        if inner is None:
            return None
        place, lparen = inner, inner + 1
        rparen = _close(tokens, lparen)
    elif curried or (not choice.typed and choice.word.isupper() and choice.close > choice.open + 1):
        # FNAME(name)(args), SYSCALL_DEFINE1(name, …), DEFINE_IDTENTRY(name)
        inner = choice.open + 1
        if _is_word(tokens[inner][1]):
            place = inner
            paired = dialect.heads.fullmatch(choice.word) is not None
        if curried and follower is not None:
            lparen, rparen = follower.open, follower.close
    begin = max(first, _begin(groups, position))
    if begin > place:
        return None  # a piece of something else: it would begin behind its own name
    name_start, name = tokens[place]
    static = any(tokens[i][1] == "static" for i in range(begin, min(place, len(tokens))))
    return RawHead(
        name=name,
        name_start=name_start,
        start=tokens[begin][0],
        end=end,
        body=brace,
        lparen=tokens[lparen][0],
        rparen=tokens[rparen][0],
        static=static,
        old_style=old_style,
        paired=paired,
    )


def _is_word(token: str) -> bool:
    return token[0].isalpha() or token[0] == "_"


def _close(tokens: list[tuple[int, str]], at: int) -> int:
    depth = 0
    for index in range(at, len(tokens)):
        depth += {"(": 1, ")": -1}.get(tokens[index][1], 0)
        if depth == 0:
            return index
    return len(tokens) - 1


def _groups(tokens: list[tuple[int, str]], dialect: Dialect) -> tuple[list[_Group] | None, int]:
    """Top-level parentheses, and the first token that counts
    (after a stray closing bracket: the head began inside a macro's arguments)."""
    groups: list[_Group] = []
    words: list[int] = []
    first = depth = opened = 0
    typed = 0
    for index, (_, token) in enumerate(tokens):
        if token in "([{":
            if depth == 0 and token == "(":
                opened = index
            depth += 1
        elif token in ")]}":
            if depth == 0:
                groups, words, first, typed = [], [], index + 1, 0
                continue
            depth -= 1
            if depth or token != ")":
                continue
            before = tokens[opened - 1][1] if opened > first else ""
            pointer = tokens[opened + 1][1] == "*"  # int (*f(void))(int)
            if before and _is_word(before) and not pointer:
                attribute = (
                    before in dialect.called_attributes
                    or before in dialect.attributes
                    or before in dialect.cleanups
                    or before in _NOT_NAMES
                )
                if words and words[-1] == opened - 1:
                    words.pop()
                    typed -= 1
                groups.append(_Group(before, opened - 1, opened, index, typed, attribute))
                typed = typed if attribute and before not in _NOT_NAMES else 0
                typed += before in _NOT_NAMES
            else:
                groups.append(_Group("", -1, opened, index, typed, False))
        elif depth == 0:
            if token == "=":
                return None, first
            if _is_word(token) and not (
                token in _STORAGE
                or token in dialect.attributes
                or token in dialect.called_attributes
            ):
                words.append(index)
                typed += 1
    if depth:
        return None, first
    return groups, first


def _choose(groups: list[_Group], tokens: list[tuple[int, str]]) -> _Group | None:
    """The group of parameters: the last one with a return type before its name, else the last."""
    named = [one for one in groups if one.at >= 0 and not one.attribute]
    for one in reversed(named):
        if one.typed:
            before = tokens[one.at - 1][1]
            only_tag = one.typed == 1 and before in _TAGS
            return None if only_tag else one
    pointer = next(
        (
            one
            for one in groups
            if one.at < 0 and one.open + 1 < one.close and tokens[one.open + 1][1] == "*"
        ),
        None,
    )
    if pointer is not None and pointer.typed:
        return pointer
    return named[-1] if named else None


def _begin(groups: list[_Group], position: int) -> int:
    """First token after whatever macro call stands before the definition without a ';'."""
    for one in reversed(groups[:position]):
        if not one.attribute:
            return one.close + 1
    return 0

"""A second, purely lexical opinion on what a file holds, to measure coverage against.

Shares no code with the parser on purpose. All ``#if`` branches are looked at, except ``#if 0``:
brace depth is remembered at ``#if`` and taken up again at ``#else``.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

_LEX = re.compile(
    rb"""
    (?P<comment>/\*(?:[^*]|\*(?!/))*(?:\*/)?|//[^\n]*)
  | (?P<string>"(?:[^"\\\n]|\\(?:\r\n|[\s\S]))*"?|'(?:[^'\\\n]|\\(?:\r\n|[\s\S]))*'?)
  | (?P<directive>^[ \t]*\#(?:[^\n\\]|\\\r?\n|\\)*)
  | (?P<word>[A-Za-z_]\w*)
  | (?P<mark>[(){};=])
    """,
    re.VERBOSE | re.MULTILINE,
)
_DIRECTIVE = re.compile(rb"\s*#\s*(\w*)\s*(\S*)")
_NOT_FUNCTIONS = frozenset([b"if", b"while", b"for", b"switch", b"return", b"sizeof"])


def _tokens(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """(offset, kind, text) of words, marks and directives, outside comments, strings, #if 0."""
    off = 0  # nesting below an #if 0
    for found in _LEX.finditer(data):
        kind = found.lastgroup
        if kind == "directive":
            parts = _DIRECTIVE.match(found.group())
            word = parts.group(1) if parts else b""
            if off:
                off += word in (b"if", b"ifdef", b"ifndef")
                off -= word == b"endif"
                if off == 1 and word in (b"else", b"elif"):
                    off = 0
                    yield found.start(), b"d", b"if"
                continue
            if word == b"if" and parts is not None and parts.group(2) == b"0":
                off = 1
                continue
            yield found.start(), b"d", word
        elif not off and kind in ("word", "mark"):
            yield found.start(), b"w" if kind == "word" else b"m", found.group()


def scan_functions(data: bytes) -> list[tuple[str, int]]:
    """(name, offset) where, outside all braces, a name is followed by '(…)' and that by '{'.

    Attributes and K&R declarations between the two aren't looked for."""
    found: list[tuple[str, int]] = []
    braces: list[int] = []
    saved: list[tuple[int, int]] = []
    depth = parens = 0
    word: tuple[bytes, int] | None = None  # the last word outside parentheses
    candidate: tuple[bytes, int] | None = None  # the word before the last '(…)'
    for offset, kind, text in _tokens(data):
        if kind == b"d":
            if text in (b"if", b"ifdef", b"ifndef"):
                saved.append((depth, parens))
            elif text in (b"else", b"elif") and saved:
                depth, parens = saved[-1]
            elif text == b"endif" and saved:
                saved.pop()
            continue
        if kind == b"w":
            if parens == 0:
                word, candidate = (text, offset), None
        elif text == b"(":
            if parens == 0 and word is not None:
                candidate, word = word, None
            parens += 1
        elif text == b")":
            parens = max(0, parens - 1)
        elif text == b"{":
            if depth == 0 and parens == 0 and candidate and candidate[0] not in _NOT_FUNCTIONS:
                found.append((candidate[0].decode(), candidate[1]))
            depth += 1
            braces.append(offset)
            word = candidate = None
        elif text == b"}":
            depth = max(0, depth - 1)
            word = candidate = None
        elif parens == 0:
            word = candidate = None
    return found


def scan_calls(data: bytes, names: Collection[str]) -> list[tuple[str, int]]:
    """(name, offset) of each ``name(`` outside comments, strings and directives."""
    wanted = frozenset(name.encode() for name in names)
    if not any(name in data for name in wanted):
        return []
    found: list[tuple[str, int]] = []
    before: tuple[int, bytes] | None = None
    for offset, kind, text in _tokens(data):
        if text == b"(" and before is not None:
            found.append((before[1].decode(), before[0]))
        before = (offset, text) if kind == b"w" and text in wanted else None
    return found

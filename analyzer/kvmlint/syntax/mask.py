"""Blanks, at the same length, what isn't code: comments, string contents, directives, odd bytes.

Everything later in this room works on masked text, so that a brace in a comment or a quote in a
directive can't mislead a regular expression, and every offset stays true to the original file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_STRING = rb'"(?:[^"\\\n]|\\(?:\r\n|.))*"?'
_CHAR = rb"'(?:[^'\\\n]|\\(?:\r\n|.))*'?"
_COMMENT = rb"/\*.*?(?:\*/|\Z)"
_PARTS = re.compile(
    b"|".join(
        (
            rb"//(?:[^\n\\]+|\\\r?\n|\\)*",
            _COMMENT,
            _STRING,
            _CHAR,
            rb"\#(?:[^\n\\/\"']+|\\(?:\r?\n|.)?|"
            + _COMMENT
            + rb"|//[^\n]*|/|"
            + _STRING
            + b"|"
            + _CHAR
            + b")*",
            rb"\\",
        )
    ),
    re.DOTALL,
)
_DIRECTIVE_NOISE = re.compile(
    rb"(" + _STRING + b"|" + _CHAR + rb")|" + _COMMENT + rb"|//[^\n]*|\\\r?\n", re.DOTALL
)

# Control bytes (NUL included) become spaces; bytes outside ASCII become '_', which keeps an
# identifier with UTF-8 letters one token.
_TABLE = bytes(
    b if b in b"\n\t" or 0x20 <= b < 0x7F else (0x5F if b >= 0x80 else 0x20) for b in range(256)
)


@dataclass(frozen=True, slots=True)
class Directive:
    """One preprocessor line with its splices: ``start``..``end`` in the file, without line end.
    ``text`` follows the '#', comments and splices replaced by a space."""

    start: int
    end: int
    keyword: str
    text: str


@dataclass(frozen=True, slots=True)
class Masked:
    """``text`` has the length of the file; ``directives`` are in file order."""

    text: bytes
    directives: tuple[Directive, ...]


def mask(data: bytes) -> Masked:
    """Masks a whole file. Never fails: what isn't terminated ends at the line or file end."""
    out = bytearray(data.translate(_TABLE))
    directives: list[Directive] = []
    for found in _PARTS.finditer(data):
        start, end = found.span()
        match data[start]:
            case 0x22:  # "
                if end - start > 1:
                    out[start:end] = b'"' + b" " * (end - start - 2) + b'"'
                else:
                    out[start] = 0x20
            case 0x27:  # '
                if end - start > 2:
                    out[start:end] = b"'" + b"0" * (end - start - 2) + b"'"
                else:
                    out[start:end] = b" " * (end - start)
            case 0x23:  # '#'
                line = data.rfind(b"\n", 0, start) + 1
                if not out[line:start].strip():
                    directives.append(_directive(data, start, end))
                out[start:end] = b" " * (end - start)
            case _:
                out[start:end] = b" " * (end - start)
    return Masked(bytes(out), tuple(directives))


def _directive(data: bytes, start: int, end: int) -> Directive:
    raw = data[start + 1 : end]
    if b"\\" in raw or b"/" in raw:
        raw = _DIRECTIVE_NOISE.sub(_keep_strings, raw)
    text = raw.decode("utf-8", "replace").strip()
    at = 0
    while at < len(text) and (text[at].isalnum() or text[at] == "_"):
        at += 1
    return Directive(start, end, text[:at], text[at:].strip())


def _keep_strings(found: re.Match[bytes]) -> bytes:
    return found.group(1) or b" "

"""Text from outside made fit for a terminal, and for the log of a workflow.

Code and file names come from anybody: an escape sequence in one could repaint the screen, and a
bidirectional control shows code in another order than it is compiled (CVE-2021-42574). GitHub's
runner obeys what a step prints: ``::name ::`` at the start of a line, ``##[name]`` anywhere in it.
"""

from __future__ import annotations

import re
import unicodedata

_COMMAND = re.compile(r"##(?=\[)|(?<!\S)::(?=\w)")
_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
"""Printable to Python, nothing to see, and skipped where texts are compared as words: Unicode's
Default_Ignorable_Code_Point without what isprintable() refuses."""


def safe(text: str) -> str:
    """``text`` with every character that isn't printable written as an escape; tabs as a space.

    Not printable (str.isprintable): control and format characters, line separators, any space but
    ' ', bytes of a file name that are not UTF-8 (lone surrogates), unassigned code points. What
    can't be seen though it is called printable is escaped too, and one character of what would be
    a workflow command, also where a line is broken before it.
    """
    text = text.replace("\t", " ")
    if not text.isprintable():
        text = "".join(char if char.isprintable() else _escape(ord(char)) for char in text)
    if not text.isascii():
        text = _INVISIBLE.sub(lambda found: _escape(ord(found[0])), text)
    if "::" in text or "##[" in text:
        text = _COMMAND.sub(lambda found: f"{_escape(ord(found[0][0]))}{found[0][1]}", text)
    return text


def _escape(code: int) -> str:
    if 0xDC80 <= code <= 0xDCFF:  # os.fsdecode's stand-in for the byte code - 0xDC00
        return f"\\x{code - 0xDC00:02x}"
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def width(text: str) -> int:
    """Terminal cells that ``text`` takes: East Asian wide characters two, combining ones none."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(char) else 1 + (unicodedata.east_asian_width(char) in "WF")
        for char in text
    )


def cut(text: str, cells: int) -> str:
    """``text``, or its beginning and '…' when it takes more than ``cells`` cells."""
    if width(text) <= cells:
        return text
    kept = text[: max(cells - 1, 0)]
    while kept and width(kept) >= cells:
        kept = kept[:-1]
    return kept.rstrip() + "…"


def pad(text: str, cells: int) -> str:
    """``text`` followed by the spaces that bring it to ``cells`` cells."""
    return text + " " * (cells - width(text))

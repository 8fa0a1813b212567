"""Text from outside made fit for a terminal.

Code and file names come from anybody: an escape sequence in one could repaint the screen, and a
bidirectional control shows code in another order than it is compiled (CVE-2021-42574).
"""

from __future__ import annotations

import unicodedata


def safe(text: str) -> str:
    """``text`` with every character that isn't printable written as an escape; tabs as a space.

    Not printable (str.isprintable): control and format characters, line separators, any space but
    ' ', bytes of a file name that are not UTF-8 (lone surrogates), unassigned code points.
    """
    text = text.replace("\t", " ")
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escape(ord(char)) for char in text)


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

"""``primaryLocationLineHash``: by which GitHub knows an alert again after lines above it moved.

Documented nowhere as a format, but fixed: GitHub's upload action computes it where a SARIF file has
none, and an alert must be the same one with and without that. It is a rolling hash, modulo 2**64,
over the 100 UTF-16 code units that begin with the first one of the line that is no blank.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator

WINDOW = 100
"""Code units that one hash covers."""
_BASE = 37
_MASK = 2**64 - 1
_LEAVING = pow(_BASE, WINDOW, 2**64)
"""Weight of the code unit that has just left the window."""
_END = 0xFFFF
"""What the action takes for a code unit at the end of the file."""
_LF, _CR, _BLANKS = 0x0A, 0x0D, (0x20, 0x09)


def line_hashes(data: bytes) -> dict[int, str]:
    """Hash of each 1-based line: lower-case hexadecimal digits, ':', and which one of the lines
    with that hash it is, from 1. Bytes that are not UTF-8 count as U+FFFD; a byte order mark is a
    code unit like any other, as for the action (Multitool drops it)."""
    window = [0] * WINDOW  # window[at] is the unit that leaves next
    begun = [0] * WINDOW  # begun[at]: the line that begins at that unit, 0 for none
    hashes: dict[int, str] = {}
    seen: Counter[int] = Counter()
    value = at = line = 0
    begins = True
    for unit in _units(data):
        if begun[at]:  # the window is now just what follows the line's beginning
            seen[value] += 1
            hashes[begun[at]] = f"{value:x}:{seen[value]}"
            begun[at] = 0
        if begins and unit is not None:
            line += 1
            begun[at] = line
        begins = unit == _LF
        entering = unit or 0
        value = (_BASE * value + entering - _LEAVING * window[at]) & _MASK
        window[at] = entering
        at = (at + 1) % WINDOW
    return hashes


def _units(data: bytes) -> Iterator[int | None]:
    """What is hashed; after the end None, until every line has left the window."""
    native = f"utf-16-{sys.byteorder[0]}e"
    text = memoryview(data.decode("utf-8", "replace").encode(native)).cast("H")
    after_cr = False
    for unit in text:
        # A blank between CR and LF makes two line ends of them: the action does so too.
        if unit in _BLANKS or (after_cr and unit == _LF):
            after_cr = False
            continue
        after_cr = unit == _CR
        yield _LF if after_cr else unit
    yield _END
    for _ in range(WINDOW):
        yield None

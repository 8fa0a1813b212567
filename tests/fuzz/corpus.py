"""What is mutated: a few functions at a time, from the fixtures and, where there is one, a kernel.

Nothing of a kernel is kept here; it is read from the tree that ``make kernel`` fetched.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
MOST = 6_000
"""Bytes of one piece: large enough for any function that is interesting, small enough for speed."""
FOLDERS = ("arch/arm64/kvm", "virt/kvm", "drivers/virt")


def _pieces(data: bytes) -> list[bytes]:
    """Runs of whole functions, cut where a '}' stands in the first column."""
    pieces: list[bytes] = []
    piece = b""
    for part in data.split(b"\n}\n"):
        if piece and len(piece) + len(part) > MOST:
            pieces.append(piece)
            piece = b""
        piece += part + b"\n}\n"
    return [*pieces, piece]


def kernel() -> Path | None:
    """The kernel tree, if there is one."""
    value = os.environ.get("KVMLINT_KERNEL_6_12")
    return Path(value) if value else None


@cache
def fixtures() -> tuple[bytes, ...]:
    """Pieces of the fixtures."""
    files = sorted((ROOT / "fixtures").rglob("*.c"))
    return tuple(piece for file in files for piece in _pieces(file.read_bytes()))


@cache
def everything() -> tuple[bytes, ...]:
    """Pieces of the fixtures and of the kernel."""
    tree = kernel()
    files = [file for folder in FOLDERS if tree for file in sorted((tree / folder).rglob("*.[ch]"))]
    return fixtures() + tuple(piece for file in files for piece in _pieces(file.read_bytes()))


@cache
def issuing() -> tuple[bytes, ...]:
    """Those that issue hypercalls: what reaches the engine."""
    return tuple(one for one in everything() if b"kvm_call_" in one or b"arm_smccc_1_1" in one)

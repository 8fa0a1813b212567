"""What one file gives: plain frozen values, made by the analysis or kept from an earlier one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

from kvmlint.diagnostic import Diagnostic, Notification

Functions: TypeAlias = Mapping[str, frozenset[str] | None]
"""The functions that somebody wants to know of, by the path of their file; None, or no such path:
all of a file's."""


@dataclass(frozen=True, slots=True)
class FileResult:
    """What one file gives, before anything is hidden, suppressed or joined with other files.

    ``functions`` counts variants of functions that were explored for their own findings. ``read``
    is False for a file that could not be read (a notification says why).
    """

    path: str
    diagnostics: tuple[Diagnostic, ...] = ()
    notifications: tuple[Notification, ...] = ()
    functions: int = 0
    read: bool = True

    def of(self, functions: frozenset[str]) -> FileResult:
        """What it says of some functions, and of the file."""
        return replace(
            self,
            diagnostics=tuple(d for d in self.diagnostics if d.function in functions),
            notifications=tuple(n for n in self.notifications if n.function in {"", *functions}),
        )

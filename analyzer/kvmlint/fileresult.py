"""What one file gives: plain frozen values, made by the analysis or kept from an earlier one."""

from __future__ import annotations

from dataclasses import dataclass

from kvmlint.diagnostic import Diagnostic, Notification


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

"""Reports: what one run found, in, and text, out. One renderer a file, one row a renderer.

A renderer is a module of this package with ``render(report, style) -> str``; it reads nothing,
prints nothing, and its text ends in a newline or is empty. Modules are imported when they are
asked for, so that no format pays for another one's libraries.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TypeAlias, cast

from kvmlint.diagnostic import Diagnostic, Notification, RuleInfo


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that a renderer may say about one run.

    ``rules`` are all rules that there are, fired or not; ``root`` is the absolute folder that the
    paths are relative to; ``version`` is kvmlint's own. ``files`` holds the bytes of the files that
    findings are in, by their paths, as they were analysed; a renderer reads no file itself.
    """

    diagnostics: tuple[Diagnostic, ...]
    notifications: tuple[Notification, ...]
    rules: tuple[RuleInfo, ...]
    root: str
    version: str
    files: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Style:
    """How a person wants it: ``width`` is in terminal cells."""

    color: bool = False
    width: int = 100
    notifications: bool = False


Renderer: TypeAlias = Callable[[Report, Style], str]

FORMATS: Mapping[str, str] = {
    "text": "kvmlint.report.text",
    "terse": "kvmlint.report.terse",
    "gcc": "kvmlint.report.gcc",
    "json": "kvmlint.report.json",
    "sarif": "kvmlint.report.sarif",
    "github": "kvmlint.report.github",
    "mail": "kvmlint.report.mail",
}
"""Format name → module, in the order that --help shows."""


def render(name: str, report: Report, style: Style) -> str:
    """The report in the format ``name`` (a key of FORMATS)."""
    return cast(Renderer, import_module(FORMATS[name]).render)(report, style)

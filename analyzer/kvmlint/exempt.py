"""Suppression outside of the source: the ``[[suppress]]`` entries of .kvmlint.toml.

    [[suppress]]
    path = "arch/arm64/kvm/pkvm.c"    # from the file's folder; * and ? match a '/' too
    function = "pkvm_create_hyp_vm"   # may be left out
    rule = "ignored-return"
    reason = "why"

Pure: entries and findings in; what is kept, what is suppressed, which entries are stale out.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from kvmlint.complaint import STALE, complain, line_span
from kvmlint.diagnostic import Diagnostic
from kvmlint.scope import Scope
from kvmlint.source import SourceFile, Span
from kvmlint.suppress import Outcome, wanted

_WILD = "*?["


@dataclass(frozen=True, slots=True)
class Exemption:
    """One entry. ``path`` and ``function`` are globs (fnmatch), ``path`` seen from the folder of
    ``file``, whose own path is absolute; ``line`` is 1-based, where the entry begins in it."""

    path: str
    function: str
    rule: str
    reason: str
    file: SourceFile
    line: int

    def place(self, shown: str) -> Span:
        """The entry's first line, in a file that reports call ``shown``."""
        return replace(line_span(self.file, self.line), path=shown)


def apply(
    judged: Outcome, exemptions: Sequence[Exemption], scope: Scope, root: str, shown: str
) -> Outcome:
    """Sort what comments left by what the entries of one file (at least one) allow. Paths of
    findings are relative to the folder ``root``; ``shown`` is what reports call the file."""
    root = os.path.realpath(root)
    folder = posixpath.dirname(exemptions[0].file.path)
    kept: list[Diagnostic] = []
    suppressed = list(judged.suppressed)
    used: set[int] = set()
    for diagnostic in judged.kept:
        path = _seen_from(folder, os.path.join(root, diagnostic.span.path))
        matching = [
            number
            for number, exemption in enumerate(exemptions)
            if exemption.rule == diagnostic.rule
            and not path.startswith("../")
            and fnmatchcase(diagnostic.function, exemption.function)
            and fnmatchcase(path, exemption.path)
        ]
        used.update(matching)
        if matching:
            first = exemptions[matching[0]]
            suppressed.append(
                replace(diagnostic, suppression=first.reason, allowed=first.place(shown))
            )
        else:
            kept.append(diagnostic)
    unsure = [_seen_from(folder, os.path.join(root, path)) for path in sorted(scope.unsure)]
    complaints = list(judged.complaints)
    complaints += [
        complain(
            STALE,
            exemption.place(shown),
            exemption.file.line_text(exemption.line).strip(),
            f"{exemption.rule} reports nothing in {_where(exemption)}: the suppression is stale",
        )
        for number, exemption in enumerate(exemptions)
        if number not in used
        and exemption.rule in scope.ran
        and _covered(exemption, scope, root, folder)
        and not any(fnmatchcase(path, exemption.path) for path in unsure)
    ]
    suppressed.sort(key=Diagnostic.sort_key)
    return Outcome(tuple(kept), tuple(suppressed), wanted(complaints, scope))


def means(exemptions: Sequence[Exemption], root: str, path: str) -> bool:
    """Whether an entry may be about a file; ``path`` is relative to the folder ``root``."""
    absolute = os.path.join(os.path.realpath(root), path) if exemptions else ""
    return any(
        fnmatchcase(_seen_from(posixpath.dirname(one.file.path), absolute), one.path)
        for one in exemptions
    )


def _covered(exemption: Exemption, scope: Scope, root: str, folder: str) -> bool:
    """Whether a run looked at every file that an entry may mean."""
    glob = exemption.path
    wild = min((glob.find(char) for char in _WILD if char in glob), default=-1)
    if wild < 0:
        return scope.covers(_seen_from(root, os.path.join(folder, glob)))
    # Headers are analysed only when they are named.
    above = os.path.join(folder, posixpath.dirname(glob[:wild]))
    return not glob.endswith(".h") and scope.spans(_seen_from(root, above))


def _seen_from(folder: str, path: str) -> str:
    return os.path.relpath(path, folder).replace(os.sep, "/")


def _where(exemption: Exemption) -> str:
    if exemption.function == "*":
        return exemption.path
    return f"{exemption.function} of {exemption.path}"

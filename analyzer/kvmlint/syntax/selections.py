"""Macros that choose one of two functions by a question, as ``KVM_PGT_FN(f)(…)`` does:

#define KVM_PGT_FN(fn)	(!is_protected_kvm_enabled() ? fn : p ## fn)
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from kvmlint.syntax.ast import Define

_CHOICE = re.compile(r"(!?)\s*(\w+)\(\)\s*\?\s*([\w\s#]+?)\s*:\s*([\w\s#]+)")


@dataclass(frozen=True, slots=True)
class Selection:
    """``asked`` is the function that is asked, ``negated`` whether with a '!'; ``then`` and
    ``other`` are put before the name of the function that is chosen ('' for nothing)."""

    asked: str
    negated: bool
    then: str
    other: str

    def names(self, function: str) -> tuple[str, str]:
        """The two functions."""
        return self.then + function, self.other + function


Selections: TypeAlias = Mapping[str, Selection]
"""By the name of the macro."""


def selections_defined(defines: Iterable[Define]) -> dict[str, Selection]:
    """The macros among ``defines`` that choose a function."""
    found: dict[str, Selection] = {}
    for define in defines:
        if define.parameters is None or len(define.parameters) != 1:
            continue
        body = define.body.strip()
        if body.startswith("(") and body.endswith(")"):
            body = body[1:-1].strip()
        choice = _CHOICE.fullmatch(body)
        if choice is None:
            continue
        then, other = (_prefix(branch, define.parameters[0]) for branch in choice.group(3, 4))
        if then is not None and other is not None:
            found[define.name] = Selection(choice[2], bool(choice[1]), then, other)
    return found


def _prefix(branch: str, parameter: str) -> str | None:
    """What a branch puts before its parameter; None when it is something else."""
    words = re.fullmatch(rf"(?:(\w+)\s*##\s*)?{re.escape(parameter)}", branch.strip())
    return None if words is None else words[1] or ""

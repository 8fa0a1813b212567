"""The rules that there are: the one place that knows where they come from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import click

from kvmlint.diagnostic import RuleInfo
from kvmlint.report.safe import safe

if TYPE_CHECKING:
    from kvmlint.rule import RuleClass


def rules() -> tuple[RuleClass, ...]:
    """All rules. Imports the engine's vocabulary: not for commands that must start fast."""
    from kvmlint_rules import RULES

    return RULES


def infos() -> tuple[RuleInfo, ...]:
    """What reports must know of all rules, those about suppressions among them."""
    from kvmlint.complaint import META

    return (*(rule.info() for rule in rules()), *META)


def ids(where: str, words: Iterable[str], known: Sequence[RuleInfo]) -> frozenset[str]:
    """The rule ids in ``words`` (commas or blanks between them), each of which must exist."""
    names = [rule.id for rule in known]
    found = [id_ for word in words for id_ in word.replace(",", " ").split()]
    for id_ in found:
        if id_ not in names:
            from kvmlint.knowledge.error import suggest

            near = suggest(id_, names) or "; 'kvmlint explain' lists them"
            raise click.UsageError(f"{safe(where)}: there is no rule '{safe(id_)}'{near}")
    return frozenset(found)

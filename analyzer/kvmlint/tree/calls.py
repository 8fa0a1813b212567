"""Who calls whom within one file, read off the text."""

from __future__ import annotations

from collections.abc import Collection

from kvmlint.syntax.unit import FunctionHead, Unit


class FileCalls:
    """The calls of one file's functions; names followed by '(' count, as in ``Unit.called``."""

    def __init__(self, unit: Unit, heads: dict[str, list[FunctionHead]]) -> None:
        self._calls = {
            name: frozenset[str]().union(*(unit.called(head) for head in variants))
            for name, variants in heads.items()
        }
        self._callers: dict[str, list[str]] = {}
        for name, called in self._calls.items():
            for callee in called & heads.keys():
                self._callers.setdefault(callee, []).append(name)

    def callers(self, function: str) -> list[str]:
        """Other functions of the file that call a function, in the order of the file."""
        return [name for name in self._callers.get(function, ()) if name != function]

    def reaching(self, entries: Collection[str]) -> frozenset[str]:
        """Functions that call one of ``entries``, directly or through functions of the file."""
        reached = {name for name, called in self._calls.items() if not called.isdisjoint(entries)}
        pending = list(reached)
        while pending:
            more = [one for one in self._callers.get(pending.pop(), ()) if one not in reached]
            reached.update(more)
            pending += more
        return frozenset(reached)

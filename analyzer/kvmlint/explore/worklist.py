"""States that wait at the entries of blocks."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from kvmlint.explore.state import Effect, State

Left: TypeAlias = frozenset[Hashable]
"""What turns of loops that are over made, whichever turn's it is."""


MOST_ALIKE = 64
"""States at one block that differ only in their effects, and are all followed."""


@dataclass(slots=True)
class Worklist:
    """``order`` ranks the blocks: the lowest goes first.

    A state is known by its image, by its effects, and by what turns of loops left in it. Of two
    that differ only in what turns left, the one with less in it is not followed, unless it was
    before the other came. IMPRECISE: of more than MOST_ALIKE states at a block that differ only in
    their effects, one is not followed when another has all of its effects and more.
    """

    order: tuple[int, ...]
    _waiting: list[tuple[int, int, int, State]] = field(default_factory=list)
    _seen: dict[Hashable, dict[frozenset[Effect], dict[Left, int]]] = field(default_factory=dict)
    _covered: set[int] = field(default_factory=set)
    _pushed: int = 0

    def push(
        self, block: int, node: int, state: State, left: Left, effects: frozenset[Effect]
    ) -> bool:
        """A state at a block's entry; ``node`` is given back with it. ``left`` is what turns of
        loops left, ``effects`` are the others. False when the state is known."""
        alike = self._seen.setdefault((block, state.freeze()), {})
        more: Iterable[tuple[Left, int]] = alike.get(effects, {}).items()
        less = more
        if len(alike) > MOST_ALIKE:
            more, less = _states(alike, effects.issubset), _states(alike, effects.issuperset)
        if any(left <= other for other, _ in more):
            return False
        self._covered.update(number for other, number in less if other <= left)
        self._pushed += 1
        alike.setdefault(effects, {})[left] = self._pushed
        heapq.heappush(self._waiting, (self.order[block], self._pushed, node, state))
        return True

    def pop(self) -> tuple[int, State] | None:
        """The next state to follow, with its node; None at the end."""
        while self._waiting:
            _, number, node, state = heapq.heappop(self._waiting)
            if number not in self._covered:
                return node, state
        return None


def _states(
    alike: Mapping[frozenset[Effect], Mapping[Left, int]], fits: Callable[[frozenset[Effect]], bool]
) -> Iterator[tuple[Left, int]]:
    """The states whose effects fit."""
    for effects, states in alike.items():
        if fits(effects):
            yield from states.items()

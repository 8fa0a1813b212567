"""States that wait at the entries of blocks."""

from __future__ import annotations

import heapq
from collections.abc import Hashable
from dataclasses import dataclass, field

from kvmlint.explore.state import State


@dataclass(slots=True)
class Worklist:
    """``order`` ranks the blocks: the lowest goes first. A state is known by its image, and by what
    turns of loops left in it: of two states that differ in that alone, the one with less in it is
    not followed, unless it was before the other came."""

    order: tuple[int, ...]
    _waiting: list[tuple[int, int, int, State]] = field(default_factory=list)
    _seen: dict[Hashable, dict[frozenset[Hashable], int]] = field(default_factory=dict)
    _covered: set[int] = field(default_factory=set)
    _pushed: int = 0

    def push(
        self, block: int, node: int, state: State, image: Hashable, left: frozenset[Hashable]
    ) -> bool:
        """A state at a block's entry; ``node`` is given back with it. False when it is known."""
        known = self._seen.setdefault(image, {})
        if any(left <= more for more in known):
            return False
        self._covered.update(number for less, number in known.items() if less <= left)
        self._pushed += 1
        known[left] = self._pushed
        heapq.heappush(self._waiting, (self.order[block], self._pushed, node, state))
        return True

    def pop(self) -> tuple[int, State] | None:
        """The next state to follow, with its node; None at the end."""
        while self._waiting:
            _, number, node, state = heapq.heappop(self._waiting)
            if number not in self._covered:
                return node, state
        return None

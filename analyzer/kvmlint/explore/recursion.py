"""Functions that are being explored, and what was found of others meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

from kvmlint.explore.oracle import Summary
from kvmlint.knowledge.model import World

Site: TypeAlias = tuple[str, World, str]
"""File, world and name of a function."""


@dataclass(slots=True)
class Frame:
    """A function being explored. ``cuts``: those below it on the stack that it called, directly or
    not, and of which nothing was known therefore."""

    site: Site
    cuts: set[Site] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Meanwhile:
    """A summary that holds as long as all of ``cuts`` are being explored."""

    summary: Summary | None
    cuts: frozenset[Site]


@dataclass(slots=True)
class Recursion:
    """The stack of explorations. IMPRECISE: a call of a function on it is an unknown call. What was
    found above such a cut is good only while the cut function is on the stack, and is kept that
    long: without it, functions that call each other are explored again at each of their calls."""

    _stack: list[Frame] = field(default_factory=list)
    _meanwhile: dict[Site, Meanwhile] = field(default_factory=dict)

    def is_active(self, site: Site) -> bool:
        """Whether a function is being explored."""
        return any(frame.site == site for frame in self._stack)

    def cut(self, site: Site) -> bool:
        """Whether a call of a function goes back to one that is being explored."""
        if not self.is_active(site):
            return False
        self._note({site})
        return True

    def recall(self, site: Site) -> Meanwhile | None:
        """What was found of a function and still holds."""
        found = self._meanwhile.get(site)
        if found is not None:
            self._note(found.cuts)
        return found

    def keep(self, frame: Frame, summary: Summary | None) -> None:
        """Remember what was found of a function that is no longer on the stack."""
        self._meanwhile[frame.site] = Meanwhile(summary, frozenset(frame.cuts))

    def whole(self) -> bool:
        """Whether nothing was cut short for the function being explored."""
        return not self._stack or not self._stack[-1].cuts

    @contextmanager
    def exploring(self, site: Site) -> Iterator[Frame]:
        """A function is being explored."""
        frame = Frame(site)
        self._stack.append(frame)
        try:
            yield frame
        finally:
            self._stack.pop()
            stale = [key for key, kept in self._meanwhile.items() if site in kept.cuts]
            for key in stale:
                del self._meanwhile[key]

    def _note(self, cuts: set[Site] | frozenset[Site]) -> None:
        """Every function above a cut one depends on it."""
        below: set[Site] = set()
        for frame in self._stack:
            frame.cuts |= below
            if frame.site in cuts:
                below.add(frame.site)

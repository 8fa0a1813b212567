"""What an answer was made from, so that it can be kept as long as that stays the same.

Work (a function's exploration, a hypercall's contract) uses other work and asks questions about the
tree (the text of a file, who defines a name). What a piece of work depends on is every question
that it asked, and that the work which it used asked, whoever made that work first.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

Question: TypeAlias = tuple[str, ...]
"""Its kind (``kvmlint.program.answer`` has the list) and what it is about."""
Work: TypeAlias = tuple[str, ...]
"""Its kind and what it is about; 'function' and 'file' name the file that they are in second."""


@dataclass(slots=True)
class Trace:
    """Which work was made from what. Off until somebody wants to know: it costs a little."""

    on: bool = False
    _asked: dict[Work, set[Question]] = field(default_factory=dict)
    _used: dict[Work, set[Work]] = field(default_factory=dict)
    _stack: list[Work] = field(default_factory=list)

    def asks(self, *question: str) -> None:
        """The work being made asks something of the tree."""
        if self._stack:
            self._asked[self._stack[-1]].add(question)

    def uses(self, *work: str) -> None:
        """The work being made uses other work, made now or before."""
        if self._stack:
            self._used[self._stack[-1]].add(work)

    @contextmanager
    def making(self, *work: str) -> Iterator[None]:
        """Work is being made (``uses`` is said apart: work that is made only in passing, for
        everybody, is not what asked first depends on). What is made twice depends on what it asked
        either time."""
        if not self.on:
            yield
            return
        self._asked.setdefault(work, set())
        self._used.setdefault(work, set())
        self._stack.append(work)
        try:
            yield
        finally:
            self._stack.pop()

    def questions(self, *work: str) -> list[Question]:
        """All questions that a piece of work depends on, sorted."""
        seen = {work}
        pending = [work]
        found: set[Question] = set()
        while pending:
            one = pending.pop()
            found |= self._asked.get(one, set())
            for other in self._used.get(one, ()):
                if other not in seen:
                    seen.add(other)
                    pending.append(other)
        return sorted(found)

"""How many cases a run had, how long they took, and the end of those that hang."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

LIMIT = 20.0
"""Seconds after which a case hangs: a case has at most a handful of functions, each within its
budget."""


class Hang(BaseException):
    """A case took too long."""


@dataclass
class Figures:
    """What a run did, by the name of its test."""

    cases: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    slowest: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def case(self, name: str, count: int = 1) -> Iterator[None]:
        """Times one case and ends it when it hangs."""

        def alarm(number: int, frame: FrameType | None) -> None:
            raise Hang(f"more than {LIMIT:.0f} s")

        before = signal.signal(signal.SIGALRM, alarm)
        signal.setitimer(signal.ITIMER_REAL, LIMIT)
        started = time.perf_counter()
        try:
            yield
        finally:
            took = time.perf_counter() - started
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
            self.cases[name] = self.cases.get(name, 0) + count
            self.seconds[name] = self.seconds.get(name, 0.0) + took
            self.slowest[name] = max(self.slowest.get(name, 0.0), took)


FIGURES = Figures()

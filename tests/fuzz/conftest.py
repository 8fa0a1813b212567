"""Fuzzing runs only when asked for (-m fuzz), and prints its figures at the end."""

from __future__ import annotations

import pytest
from tests.fuzz.figures import FIGURES, Figures


def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    """20,000 cases are not for ``make test``."""
    return None if "fuzz" in str(config.option.markexpr) else True


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> Figures:
    """The run's figures; a bug in a function is raised, not reported."""
    monkeypatch.setenv("KVMLINT_DEBUG", "1")
    return FIGURES


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The table."""
    if not FIGURES.cases:
        return
    terminalreporter.section("fuzzing")
    for name, cases in FIGURES.cases.items():
        terminalreporter.write_line(
            f"{name:<12} {cases:>7} cases  {FIGURES.seconds[name]:>6.1f} s"
            f"  slowest {FIGURES.slowest[name]:.2f} s"
        )
    terminalreporter.write_line(f"{'all':<12} {sum(FIGURES.cases.values()):>7} cases")

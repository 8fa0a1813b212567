"""How many cases there are, and which."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

CASES = int(os.environ.get("CASES", "20000"))
SAME = "CASES" not in os.environ
"""In CI the cases are the same every time: a red run is due to the change that it tests."""


def share(percent: float) -> settings:
    """Settings for a part of the cases."""
    return settings(
        max_examples=max(1, int(CASES * percent / 100)),
        deadline=None,
        derandomize=SAME,
        database=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )

"""Fixtures that several test files use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def project() -> Path:
    """The root of the checkout."""
    return ROOT


def _kernel(version: str) -> Path:
    variable = f"KVMLINT_KERNEL_{version.replace('.', '_')}"
    value = os.environ.get(variable)
    if not value:
        pytest.skip(f"no Linux {version}: make kernel, then make test-kernel ({variable})")
    tree = Path(value)
    # A variable that names no tree is a mistake; skipping would hide it.
    assert (tree / "arch/arm64/kvm").is_dir(), f"{variable}={value} is no kernel tree"
    return tree


@pytest.fixture(scope="session")
def kernel_6_12() -> Path:
    """Root of a real Linux 6.12; tests that use it carry ``@pytest.mark.kernel``."""
    return _kernel("6.12")


@pytest.fixture(scope="session")
def kernel_6_1() -> Path:
    """Root of a real Linux 6.1; tests that use it carry ``@pytest.mark.kernel``."""
    return _kernel("6.1")

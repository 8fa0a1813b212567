"""Correct code is edited: what breaks it must be reported, what changes nothing must not be.

Edits are made at run time in copies of a real tree and of the demo. The sources of the kernel are
not ours to keep here: an edit names a function and says what is done to its statements.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet
from tests.kernel.copies import Pair, Runs
from tests.kernel.edit import Edit
from tests.kernel.edits import BREAKING, PRESERVING, SUBJECTS, tree_of
from tests.kernel.mmu_versions import VERSIONS

from kvmlint.diagnostic import Diagnostic


def parameters(prefix: str) -> list[ParameterSet]:
    return [
        pytest.param(
            name,
            id=name.removeprefix(prefix),
            marks=[pytest.mark.kernel] if tree_of(subject) == "kernel" else [],
        )
        for name, subject in SUBJECTS.items()
        if name.startswith(prefix)
    ]


@pytest.fixture(scope="module")
def runs(
    request: pytest.FixtureRequest, project: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Runs]:
    """Those of the tests that were asked for, so that one can be run alone."""
    sources = {"demo": project / "fixtures" / "demo"}
    with suppress(pytest.skip.Exception):  # the tests that need it are skipped later
        sources["kernel"] = request.getfixturevalue("kernel_6_12")
    asked = [
        str(item.callspec.params["name"])
        for item in request.session.items
        if isinstance(item, pytest.Function)
        and item.module is request.module
        and hasattr(item, "callspec")
    ]
    begun = Runs(sources, tmp_path_factory.mktemp("trees"), asked)
    yield begun
    begun.close()


@pytest.fixture
def pair(request: pytest.FixtureRequest, name: str, runs: Runs) -> Pair:
    """The findings of the test's subject."""
    if tree_of(SUBJECTS[name]) == "kernel":
        request.getfixturevalue("kernel_6_12")
    return runs.result(name)


def say(diagnostics: list[Diagnostic]) -> str:
    return "\n".join(
        f"{d.span.path}:{d.span.line}: {d.function}(): {d.rule} ({d.hypercall}): {d.message}"
        for d in diagnostics
    )


def test_enough() -> None:
    assert len(SUBJECTS) == len(VERSIONS) + len(BREAKING) + len(PRESERVING), "two share a name"
    assert len(BREAKING) >= 60
    assert len(PRESERVING) >= 40


@pytest.mark.parametrize("name", parameters("corrected-"))
def test_corrected(name: str, pair: Pair) -> None:
    if pair.after:
        pytest.fail(say(list(pair.after)), pytrace=False)


@pytest.mark.parametrize("name", parameters("breaking-"))
def test_breaking(name: str, pair: Pair) -> None:
    edit = SUBJECTS[name]
    assert isinstance(edit, Edit)
    known = {d.fingerprint for d in pair.before}
    new = [d for d in pair.after if d.fingerprint not in known]
    where = edit.where or edit.function
    if not any(
        d.rule in edit.rules and d.function == where and d.hypercall in edit.hypercalls for d in new
    ):
        pytest.fail(
            f"{'/'.join(sorted(edit.rules))} expected; new: {say(new) or 'nothing'}", pytrace=False
        )


@pytest.mark.parametrize("name", parameters("preserving-"))
def test_preserving(name: str, pair: Pair) -> None:
    known = Counter((d.rule, d.function) for d in pair.before)
    new = Counter((d.rule, d.function) for d in pair.after) - known
    if new:
        shown = [d for d in pair.after if (d.rule, d.function) in new]
        pytest.fail(f"new:\n{say(shown)}", pytrace=False)

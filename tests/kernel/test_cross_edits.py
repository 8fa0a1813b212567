"""Code is edited in several files: breaking edits are reported, preserving ones are not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet
from tests.kernel.cross_edit import CrossEdit, CrossRuns
from tests.kernel.cross_edits import CROSS_CALLERS
from tests.kernel.cross_kept import KEPT
from tests.kernel.cross_missed import MISSED
from tests.kernel.cross_more import MORE_CROSS

from kvmlint.diagnostic import Diagnostic

pytestmark = pytest.mark.kernel

KERNELS = ("6.12", "6.1")
CROSS = (*CROSS_CALLERS, *MORE_CROSS)
EDITS = {**{f"breaking-{e}": e for e in CROSS}, **{f"preserving-{e}": e for e in KEPT}}


def parameters(prefix: str) -> list[ParameterSet]:
    return [
        pytest.param(
            edit,
            id=name.removeprefix(prefix),
            marks=[pytest.mark.xfail(reason=MISSED[str(edit)], strict=True)]
            if prefix == "breaking-" and str(edit) in MISSED
            else [],
        )
        for name, edit in EDITS.items()
        if name.startswith(prefix)
    ]


@pytest.fixture(scope="module")
def runs(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[CrossRuns]:
    """Those of the tests that were asked for, so that one can be run alone."""
    sources: dict[str, Path] = {}
    for kernel in KERNELS:
        with suppress(pytest.skip.Exception):  # the tests that need it are skipped later
            sources[kernel] = request.getfixturevalue(f"kernel_{kernel.replace('.', '_')}")
    asked: list[CrossEdit] = []
    for item in request.session.items:
        if isinstance(item, pytest.Function) and item.module is request.module:
            edit = item.callspec.params["edit"] if hasattr(item, "callspec") else None
            if isinstance(edit, CrossEdit):
                asked.append(edit)
    begun = CrossRuns(sources, tmp_path_factory.mktemp("trees"), asked)
    yield begun
    begun.close()


def say(diagnostics: list[Diagnostic]) -> str:
    return "\n".join(
        f"{d.span.path}:{d.span.line}: {d.function}(): {d.rule} ({d.hypercall}): {d.message}"
        for d in diagnostics
    )


def test_enough() -> None:
    assert len(EDITS) == len(CROSS) + len(KEPT), "two share a name"
    assert set(MISSED) <= {str(edit) for edit in CROSS}
    assert len(CROSS) >= 20
    assert len(KEPT) >= 10


@pytest.mark.parametrize("edit", parameters("breaking-"))
def test_breaking(edit: CrossEdit, runs: CrossRuns, request: pytest.FixtureRequest) -> None:
    request.getfixturevalue(f"kernel_{edit.base.kernel.replace('.', '_')}")
    pair = runs.result(edit)
    known = {d.fingerprint for d in pair.before}
    new = [d for d in pair.after if d.fingerprint not in known]
    if not any(
        d.rule in edit.rules
        and (d.span.path, d.function) in (edit.where, *edit.also)
        and d.hypercall in edit.hypercalls
        for d in new
    ):
        wanted = "/".join(sorted(edit.rules))
        pytest.fail(f"{wanted} expected; new: {say(new) or 'nothing'}", pytrace=False)


@pytest.mark.parametrize("edit", parameters("preserving-"))
def test_preserving(edit: CrossEdit, runs: CrossRuns, request: pytest.FixtureRequest) -> None:
    request.getfixturevalue(f"kernel_{edit.base.kernel.replace('.', '_')}")
    pair = runs.result(edit)
    known = Counter((d.rule, d.function) for d in pair.before)
    new = Counter((d.rule, d.function) for d in pair.after) - known
    if new:
        shown = [d for d in pair.after if (d.rule, d.function) in new]
        pytest.fail(f"new:\n{say(shown)}", pytrace=False)

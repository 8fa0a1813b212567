"""On a real kernel, what no change reaches brings nothing: leaving it out changes no outcome."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.kernel.cross_edit import CrossEdit, texts_of
from tests.kernel.edit import Edit
from tests.kernel.edits import SUBJECTS, tree_of
from tests.kernel.test_cross_edits import EDITS

from kvmlint.affected import affected
from kvmlint.cache import Store
from kvmlint.codebase import Codebase, Shared
from kvmlint.diagnostic import Change, Precision, Severity
from kvmlint.fileresult import Functions
from kvmlint.knowledge import builtin
from kvmlint.runner import Options
from kvmlint.series import Series, Step, examine
from kvmlint.source import FolderSources, OverlaySources
from kvmlint_rules import RULES

pytestmark = pytest.mark.kernel

ONE_FILE = {
    name: edit
    for name, edit in SUBJECTS.items()
    if isinstance(edit, Edit) and tree_of(edit) == "kernel"
}
SEVERAL = {name: edit for name, edit in EDITS.items() if edit.base.kernel == "6.12"}
SAMPLE: dict[str, Edit | CrossEdit] = {
    **{name: ONE_FILE[name] for name in sorted(ONE_FILE)[::20]},
    **{name: SEVERAL[name] for name in sorted(SEVERAL)[::12]},
}
"""The rest was compared by hand when this was written: 350 edits, no difference."""

SHARED = Shared()


def overlays(root: Path, edit: Edit | CrossEdit) -> Iterator[OverlaySources]:
    """The tree before an edit, and after it."""
    if isinstance(edit, Edit):
        path = edit.version.path
        corrected = edit.version.apply((root / path).read_text(encoding="utf-8"))
        texts = {path: corrected}
        other = (root / edit.el2).read_text(encoding="utf-8") if edit.el2 else corrected
        edited = {**texts, edit.el2 or path: edit.apply(other)}
    else:
        texts = texts_of(root, edit.base.changes)
        edited = texts_of(root, (*edit.base.changes, *edit.changes))
    for version in (texts, edited):
        changed = {path: text.encode() for path, text in version.items()}
        yield OverlaySources(FolderSources(root), changed)


@pytest.mark.parametrize("name", SAMPLE)
def test_the_same_outcome_as_with_everything(
    kernel_6_12: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    before, after = overlays(kernel_6_12, SAMPLE[name])
    step = Step(Change("", name), after, tuple(sorted({*before.changed, *after.changed})))
    series = Series(before, (step,), str(kernel_6_12), whole=True)
    options = Options(min_level=Severity.NOTE, min_precision=Precision.LOW)
    chosen: list[Functions | None] = []

    def choose(versions: list[Codebase], store: Store) -> Functions | None:
        chosen.append(affected(versions, store))
        return chosen[-1]

    monkeypatch.setattr("kvmlint.series.Shared", lambda: SHARED)
    monkeypatch.setattr("kvmlint.series.affected", choose)
    found = examine(series, options, RULES, builtin(), Store(None))
    monkeypatch.setattr("kvmlint.series.affected", lambda *_: None)
    everything = examine(series, options, RULES, builtin(), Store(None))
    assert chosen[0] is not None
    assert found.diagnostics == everything.diagnostics
    assert found.notifications == everything.notifications

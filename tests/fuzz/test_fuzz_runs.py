"""Property tests of whole runs: no crash, no hang, the same answer twice and with -j2.

``make fuzz-ci`` runs 20,000 cases, the same ones every time; ``make fuzz CASES=n`` others, more.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fuzz import corpus
from tests.fuzz.cases import share
from tests.fuzz.figures import Figures
from tests.fuzz.fragments import units
from tests.fuzz.mutate import mutated

from kvmlint import __version__
from kvmlint.diagnostic import Precision, Severity
from kvmlint.report import FORMATS, Report, Style, render
from kvmlint.runner import Options, Result, check
from kvmlint_rules import RULES

pytestmark = pytest.mark.fuzz

INFOS = tuple(rule.info() for rule in RULES)
BATCH = 8
"""Files of one run with -j2; fewer are analysed in one process."""


def analysed(paths: list[str], jobs: int = 1, tree: Path | None = None) -> Result:
    """A run with every finding shown."""
    options = Options(
        tree=str(tree) if tree else None,
        min_level=Severity.NOTE,
        min_precision=Precision.LOW,
        jobs=jobs,
    )
    return check(paths, options, RULES)


def look(result: Result) -> tuple[str, ...]:
    """Every rendering of a result, each checked for what holds of any."""
    report = Report(
        result.diagnostics, result.notifications, INFOS, result.root, __version__, result.files
    )
    found: list[str] = []
    for form in FORMATS:
        text = render(form, report, Style(notifications=True))
        text.encode()
        assert not text or text.endswith("\n")
        if form in ("json", "sarif"):
            json.loads(text)
        else:
            assert all(char.isprintable() or char == "\n" for char in text)
        found.append(text)
    return tuple(found)


def sane(result: Result, data: dict[str, bytes]) -> None:
    """Places of findings are places of the file."""
    for one in result.diagnostics:
        for span in (one.span, *(note.span for note in one.steps)):
            if span.path not in data:
                continue
            last = data[span.path].count(b"\n") + 1
            assert 1 <= span.line <= span.end_line <= last
            assert span.column >= 1
            assert (span.line, span.column) <= (span.end_line, span.end_column)
    assert not [one for one in result.notifications if one.failed and b"\0" not in data[one.path]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder outside any tree, the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def one(folder: Path, data: bytes) -> Result:
    (folder / "a.c").write_bytes(data)
    result = analysed(["a.c"])
    sane(result, {"a.c": data})
    return result


@share(16)
@given(data=mutated(corpus.issuing()))
def test_analysis(figures: Figures, folder: Path, data: bytes) -> None:
    with figures.case("analysis"):
        one(folder, data)


@share(1)
@given(data=units)
def test_analysis_of_written(figures: Figures, folder: Path, data: bytes) -> None:
    with figures.case("dense"):
        one(folder, data)


@share(2)
@given(data=st.one_of(units, mutated(corpus.issuing())))
def test_reports_twice(figures: Figures, folder: Path, data: bytes) -> None:
    with figures.case("reports"):
        first, second = one(folder, data), one(folder, data)
        assert first == second
        assert look(first) == look(second)


@pytest.fixture
def demo(folder: Path) -> Path:
    """A copy of the demo tree, whose files are mutated one at a time."""
    shutil.copytree(corpus.ROOT / "fixtures" / "demo", folder / "tree")
    return folder / "tree"


TREE_FILES = sorted(
    str(path.relative_to(corpus.ROOT / "fixtures" / "demo"))
    for path in (corpus.ROOT / "fixtures" / "demo").rglob("*.[ch]")
)
TREE_TEXTS = {name: (corpus.ROOT / "fixtures" / "demo" / name).read_bytes() for name in TREE_FILES}


@share(2)
@given(
    case=st.sampled_from(TREE_FILES).flatmap(
        lambda name: st.tuples(st.just(name), mutated((TREE_TEXTS[name],)))
    )
)
def test_tree(figures: Figures, demo: Path, case: tuple[str, bytes]) -> None:
    name, data = case
    with figures.case("tree"):
        (demo / name).write_bytes(data)
        try:
            sane(analysed([str(demo)]), {**TREE_TEXTS, name: data})
        finally:
            (demo / name).write_bytes(TREE_TEXTS[name])


@share(1 / BATCH)
@given(batch=st.lists(mutated(corpus.issuing()), min_size=BATCH, max_size=BATCH))
def test_jobs(figures: Figures, folder: Path, batch: list[bytes]) -> None:
    with figures.case("jobs", BATCH):
        for number, data in enumerate(batch):
            (folder / f"{number}.c").write_bytes(data)
        assert look(analysed(["."])) == look(analysed(["."], jobs=2))

"""The answer key for 6.12, read by hand, against what a run over the real folders says.

Rows are matched by file, function and category: lines move with point releases.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from kvmlint.diagnostic import Diagnostic, Severity
from kvmlint.knowledge import builtin
from kvmlint.program import Program
from kvmlint.runner import Options, Result, check
from kvmlint.source import FolderSources
from kvmlint.tree.tree import Tree
from kvmlint_rules import RULES

pytestmark = pytest.mark.kernel

KEY = Path(__file__).parent / "labels-6.12.json"
FOLDERS = ("arch/arm64/kvm", "virt/kvm")
MMU = "arch/arm64/kvm/mmu.c"

CATEGORIES = {
    "clean": set[str](),
    "ignored-return": {"ignored-return"},
    "insert-before-hypercall-no-rollback": {"missing-rollback"},
    "lock-or-refcount-not-released": {"missing-rollback", "lock-held-on-failure"},
    "erase-or-free-before-hypercall": {"premature-teardown"},
    "partial-loop-no-rollback": {"partial-batch"},
    "warn-and-continue-destroying-state": {"release-after-failed-reclaim"},
    "failure-swallowed": {"swallowed-failure"},
    "success-only-mutation-on-failure-path": {"update-after-failure"},
    "error-converted/truncated": {"narrowed-return"},
    "returns-value-but-cannot-fail": {"infallible-hypercall"},
}
"""The rules that report a category."""

UNEXPECTED: set[tuple[str, str]] = set()
"""(function, rule) reported outside the key's rows; each one needs a reason beside it here."""
MOST_UNEXPECTED = 5

EXTRA_ERRNOS = {
    # A walk beyond the table's end: both tables and all ranges are fixed when EL2 comes up, which
    # the handler's text alone doesn't show.
    "__pkvm_init": {"ERANGE"},
}


@dataclass(frozen=True, slots=True)
class Row:
    """One hand-read row. ``hypercall`` is free text that names it, maybe with the callee between;
    ``kind`` is what the host gets, '' where the row is no call site."""

    file: str
    function: str
    level: str
    hypercall: str
    category: str
    kind: str
    errno: frozenset[str]

    @property
    def rules(self) -> set[str]:
        return CATEGORIES[self.category]


def rows() -> list[Row]:
    return [
        Row(
            row["file"],
            row["function"],
            row["level"],
            row["hypercall"],
            row["category"],
            row.get("kind", ""),
            frozenset(row.get("errno", ())),
        )
        for row in json.loads(KEY.read_text(encoding="utf-8"))
    ]


SITES = [row for row in rows() if row.level == "site"]


def run(tree: Path) -> Result:
    return check([str(tree / folder) for folder in FOLDERS], Options(tree=str(tree)), RULES)


@pytest.fixture(scope="module")
def result_6_12(kernel_6_12: Path) -> Result:
    return run(kernel_6_12)


@pytest.fixture(scope="module")
def result_6_1(kernel_6_1: Path) -> Result:
    return run(kernel_6_1)


@pytest.fixture(scope="module")
def program_6_12(kernel_6_12: Path) -> Program:
    tree = Tree(FolderSources(kernel_6_12), builtin(), whole=True)
    return Program(tree, builtin().with_entries(tree.entries()))


def found(result: Result, file: str) -> set[tuple[str, str, Severity, str]]:
    return {
        (d.function, d.rule, d.severity, d.hypercall)
        for d in result.diagnostics
        if d.span.path == file
    }


KNOWN_IN_MMU = {
    ("share_pfn_hyp", "missing-rollback", Severity.ERROR, "__pkvm_host_share_hyp"),
    ("unshare_pfn_hyp", "premature-teardown", Severity.ERROR, "__pkvm_host_unshare_hyp"),
    ("kvm_share_hyp", "partial-batch", Severity.ERROR, "__pkvm_host_share_hyp"),
}
SET_VECTOR = ("cpu_set_hyp_vector", "ignored-return", Severity.WARNING, "__pkvm_cpu_set_vector")


VOID_UNSHARE = (
    "kvm_unshare_hyp", "swallowed-failure", Severity.WARNING, "__pkvm_host_unshare_hyp",
)  # fmt: skip
"""It returns nothing, only warns, and its callers free the memory: right to report."""


def test_mmu_of_6_12_has_these_three_defects_and_no_other(result_6_12: Result) -> None:
    assert found(result_6_12, MMU) - {VOID_UNSHARE} == KNOWN_IN_MMU


def test_mmu_of_6_1_has_these_three_defects_and_no_other(result_6_1: Result) -> None:
    assert found(result_6_1, MMU) - {VOID_UNSHARE} == KNOWN_IN_MMU


def test_the_vector_is_set_without_a_look_in_6_12(result_6_12: Result) -> None:
    assert SET_VECTOR in found(result_6_12, "arch/arm64/kvm/arm.c")


def test_the_vector_is_set_without_a_look_in_6_1(result_6_1: Result) -> None:
    assert SET_VECTOR in found(result_6_1, "arch/arm64/kvm/arm.c")


def test_what_6_1_forgets_at_a_later_failure(result_6_1: Result) -> None:
    """kvm_arch_init_vm() keeps its share when the cpumask can't be allocated; parent_task names a
    task whose reference was put when the next share fails. Read in the source of 6.1."""
    errors = {
        (d.function, d.rule, d.hypercall)
        for d in result_6_1.diagnostics
        if d.severity is Severity.ERROR and d.span.path != MMU
    }
    assert errors == {
        ("kvm_arch_init_vm", "missing-rollback", "__pkvm_host_share_hyp"),
        ("kvm_arch_vcpu_run_map_fp", "premature-teardown", "__pkvm_host_share_hyp"),
    }


def test_each_known_defect_is_proven(result_6_12: Result) -> None:
    """With a path that ends in a return, what stands, and the errnos that EL2 really gives."""
    errnos = {row.hypercall: row.errno for row in SITES}
    proven = [
        d for d in result_6_12.diagnostics if d.span.path == MMU and d.severity is Severity.ERROR
    ]
    assert len(proven) == len(KNOWN_IN_MMU)
    for d in proven:
        assert len(d.steps) >= 2, d
        assert d.standing, d
        assert not d.assumed, d
        named = {e.name.removeprefix("-") for e in d.errnos}
        assert named, d
        assert named <= errnos[d.hypercall], d
        assert all(e.where is not None for e in d.errnos), d


def about(diagnostic: Diagnostic) -> list[Row]:
    """The key's rows on a function, for that hypercall where some name it."""
    here = [
        row
        for row in rows()
        if (row.file, row.function) == (diagnostic.span.path, diagnostic.function)
    ]
    return [row for row in here if diagnostic.hypercall in row.hypercall] or here


def shown(diagnostics: list[Diagnostic]) -> list[str]:
    return [
        f"{d.span.path}:{d.span.line}: {d.function}: {d.severity.value}: {d.message} [{d.rule}]"
        for d in diagnostics
    ]


def test_nothing_is_reported_on_what_is_clean(result_6_12: Result) -> None:
    wrong = [
        d
        for d in result_6_12.diagnostics
        if about(d) and all(row.category == "clean" for row in about(d))
    ]
    assert shown(wrong) == []


def test_little_is_reported_outside_the_key(result_6_12: Result) -> None:
    outside = [
        d for d in result_6_12.diagnostics if not any(d.rule in row.rules for row in about(d))
    ]
    unexpected = [d for d in outside if (d.function, d.rule) not in UNEXPECTED]
    assert shown(unexpected) == []
    assert len(UNEXPECTED) <= MOST_UNEXPECTED
    # What isn't reported any more needs no excuse.
    assert {(d.function, d.rule) for d in outside} == UNEXPECTED


def test_no_function_is_given_up_in_6_12(result_6_12: Result) -> None:
    assert result_6_12.notifications == ()
    # ... out of those that there are
    assert int(dict(result_6_12.statistics)["functions explored"]) > 40


def test_no_function_is_given_up_in_6_1(result_6_1: Result) -> None:
    assert result_6_1.notifications == ()


@pytest.mark.parametrize("row", SITES, ids=lambda row: f"{row.function}-{row.hypercall}")
def test_what_the_host_gets(row: Row, program_6_12: Program) -> None:
    contract = program_6_12.hypercall(row.hypercall)
    assert contract.kind.value == row.kind
    # The one handler that isn't C comes from the tables.
    assert contract.assumed == (row.hypercall == "__kvm_hyp_init")


@pytest.mark.parametrize("row", SITES, ids=lambda row: f"{row.function}-{row.hypercall}")
def test_errnos_that_reach_the_host(row: Row, program_6_12: Program) -> None:
    knowledge = program_6_12.knowledge
    sources = program_6_12.hypercall(row.hypercall).errnos
    named = {knowledge.errno_name(source.number) for source in sources}
    assert named == row.errno | EXTRA_ERRNOS.get(row.hypercall, set())


def test_the_key_itself() -> None:
    assert len(rows()) == 86
    assert len(SITES) == 29
    assert {row.category for row in rows()} == CATEGORIES.keys()
    ids = {rule.info().id for rule in RULES}
    assert {rule for row in rows() for rule in row.rules} <= ids
    assert sum(len(row.errno) for row in SITES) == 25

"""``kvmlint diff`` on a series of commits of a real kernel: which of them brings what.

The repository is made from 6.12 with the three functions of mmu.c corrected. Every finding below
was judged by reading the code that the commit leaves.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from tests.kernel.commits import EL2, MMU, MOVED, PKVM, SERIES, new_kernel, new_series
from tests.kernel.edit import IGNORED, ROLLBACK, SWALLOWED, TEARDOWN
from tests.kernel.mmu_versions import SHARE, UNSHARE
from tests.repos import Repo

from kvmlint.cache import Store
from kvmlint.diff import place_of, range_of, series_of
from kvmlint.git.repository import find
from kvmlint.knowledge import builtin
from kvmlint.runner import Options
from kvmlint.series import Outcome, examine
from kvmlint_rules import RULES

pytestmark = pytest.mark.kernel

INIT_VM, CNTVOFF = "__pkvm_init_vm", "__kvm_timer_set_cntvoff"

Found = tuple[str, str, str, str, str, str]
"""The commit that brings it, function, rule, hypercall, file, the commit that removes it."""

WANTED: set[Found] = {
    # The record of a page that EL2 refused stays in the tree.
    ("mmu: keep the record", "share_pfn_hyp", ROLLBACK, SHARE, MMU, "mmu: undo it"),
    (
        "mmu: keep the record, again",
        "share_pfn_hyp",
        ROLLBACK,
        SHARE,
        MMU,
        "mmu: as in the beginning",
    ),
    # free_pgd frees the page table alone, and hyp_vm is lost.
    (
        "pkvm: forget the memory",
        "__pkvm_create_hyp_vm",
        ROLLBACK,
        INIT_VM,
        MOVED,
        "pkvm: free the memory",
    ),
    # The record is gone when EL2 refuses; and then the one function that calls this one has no way
    # to tell its callers, which free the page. Before, the record was kept: the page was known.
    (
        "mmu: erase at once",
        "unshare_pfn_hyp",
        TEARDOWN,
        UNSHARE,
        MMU,
        "mmu: as in the beginning",
    ),
    (
        "mmu: erase at once",
        "kvm_unshare_hyp",
        SWALLOWED,
        UNSHARE,
        MMU,
        "mmu: as in the beginning",
    ),
    # The caller is in a file that no commit touches.
    (
        "timer: an offset may be refused",
        "set_cntvoff",
        IGNORED,
        CNTVOFF,
        "arch/arm64/kvm/arch_timer.c",
        "",
    ),
}
"""What the series brings; nothing else, and nothing for the other commits."""


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory, kernel_6_12: Path) -> Repo:
    repo = new_kernel(tmp_path_factory.mktemp("series") / "linux", kernel_6_12)
    for subject, change in SERIES.items():
        change(repo)
        repo.commit(subject)
    return repo


def outcome(repo: Repo, revision: str, store: Store | None = None) -> Outcome:
    """What a range of commits brings."""
    knowledge = builtin()
    with closing(find(repo.path)) as repository:
        wanted = range_of(repository, revision)
        place = place_of(repository, str(repo.path), wanted.tip)
        series = series_of(place, wanted, knowledge)
        return examine(series, Options(), RULES, knowledge, store or Store(None))


def found(outcome: Outcome) -> list[Found]:
    assert not outcome.notifications
    rows: list[Found] = []
    for d in outcome.diagnostics:
        assert d.origin is not None
        assert d.origin.new
        gone = d.origin.removed.subject if d.origin.removed is not None else ""
        rows.append((d.origin.change.subject, d.function, d.rule, d.hypercall, d.span.path, gone))
    return sorted(rows)


def test_a_series(repo: Repo) -> None:
    assert found(outcome(repo, f"{repo.ids['base']}..HEAD")) == sorted(WANTED)


@pytest.mark.parametrize("subject", SERIES)
def test_each_commit_alone(repo: Repo, subject: str) -> None:
    """The same as in the series: what is shared between its versions changes nothing."""
    wanted = sorted((*row[:4], row[4], "") for row in WANTED if row[0] == subject)
    if subject == "pkvm: forget the memory":
        wanted = [(*wanted[0][:4], PKVM, "")]  # not moved yet
    assert found(outcome(repo, f"{repo.ids[subject]}^..{repo.ids[subject]}")) == wanted


def test_what_the_whole_brings(repo: Repo) -> None:
    """One commit of all: what comes and goes again on the way is nothing."""
    tip = repo.git("commit-tree", "-p", repo.ids["base"], "-m", "all", "HEAD^{tree}")
    rows = [row for row in WANTED if not row[5]]
    assert found(outcome(repo, f"{repo.ids['base']}..{tip}")) == sorted(
        ("all", *row[1:]) for row in rows
    )


def test_why_the_timer_is_reported(repo: Repo) -> None:
    """The reader is led to the line of EL2 that makes an untouched caller wrong."""
    commit = repo.ids["timer: an offset may be refused"]
    (d,) = outcome(repo, f"{commit}^..{commit}").diagnostics
    assert [(n.span.path, n.text, n.message) for n in d.related] == [
        (
            f"{EL2}timer-sr.c",
            "return -ERANGE;",
            f"handle_{CNTVOFF}() can return -ERANGE now: this change brings it",
        )
    ]


def test_once_more(repo: Repo, tmp_path: Path) -> None:
    """From a cache, and with one: the same words."""
    revision = f"{repo.ids['base']}..HEAD"
    first = outcome(repo, revision)
    for _ in range(2):
        store = Store(tmp_path / "results.sqlite3")
        again = outcome(repo, revision, store)
        store.close()
        assert again.diagnostics == first.diagnostics
    assert dict(again.statistics)["files analysed anew"] == "0"


def test_among_other_commits(kernel_6_12: Path, tmp_path: Path) -> None:
    """Those that only make all lines after them other ones bring nothing, and change nothing."""
    repo = new_series(tmp_path / "linux", kernel_6_12)
    assert int(repo.git("rev-list", "--count", f"{repo.ids['base']}..HEAD")) == 20
    for anew in (True, False):  # what the first versions gave is in the cache still
        store = Store(tmp_path / "results.sqlite3")
        made = outcome(repo, f"{repo.ids['base']}..HEAD", store)
        store.close()
        assert found(made) == sorted(WANTED)
        assert (dict(made.statistics)["files analysed anew"] != "0") is anew

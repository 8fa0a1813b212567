"""``kvmlint diff`` on a series of commits of a real kernel: which of them brings what.

The repository is made from 6.12 with the three functions of mmu.c corrected. Every finding below
was judged by reading the code that the commit leaves.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from tests.kernel.edit import IGNORED, ROLLBACK, SWALLOWED, TEARDOWN
from tests.kernel.mmu_versions import FIXED, SHARE, UNDO, UNSHARE
from tests.kernel.operators import Step, after, body, delete, move_above, replace
from tests.repos import Repo, new_repo

from kvmlint.cache import Store
from kvmlint.diff import place_of, range_of, series_of
from kvmlint.git.repository import find
from kvmlint.knowledge import builtin
from kvmlint.runner import Options
from kvmlint.series import Outcome, examine
from kvmlint_rules import RULES

pytestmark = pytest.mark.kernel

FOLDERS = ("arch/arm64/kvm", "arch/arm64/include/asm", "virt/kvm")
MMU = "arch/arm64/kvm/mmu.c"
PKVM, MOVED = "arch/arm64/kvm/pkvm.c", "arch/arm64/kvm/pkvm_host.c"
EL2 = "arch/arm64/kvm/hyp/nvhe/"

INIT_VM, CNTVOFF = "__pkvm_init_vm", "__kvm_timer_set_cntvoff"

Found = tuple[str, str, str, str, str, str]
"""The commit that brings it, function, rule, hypercall, file, the commit that removes it."""


def new_kernel(path: Path, kernel: Path) -> Repo:
    """A repository with the folders of a kernel in one commit, mmu.c corrected."""
    repo = new_repo(path)
    for folder in FOLDERS:
        for file in sorted((kernel / folder).rglob("*")):
            if file.suffix in (".c", ".h") and file.is_file():
                repo.write(file.relative_to(kernel).as_posix(), file.read_text(encoding="utf-8"))
    repo.write(MMU, FIXED.apply(repo.read(MMU)))
    repo.commit("base")
    return repo


def edit(path: str, function: str, *steps: Step) -> Callable[[Repo], None]:
    """Steps on one function of a file."""

    def change(repo: Repo) -> None:
        text = repo.read(path)
        for step in steps:
            text = step(text, function)
        repo.write(path, text)

    return change


def move(repo: Repo) -> None:
    """share_pfn_hyp() goes below the function that follows it, which doesn't call it."""
    text = repo.read(MMU)
    first = text.index("static int share_pfn_hyp(")
    between, end = body(text, "share_pfn_hyp").end, body(text, "unshare_pfn_hyp").end
    function = text[first:between]
    repo.write(MMU, f"{text[:first]}{text[between:end].lstrip()}\n\n{function}{text[end:]}")


def reformat(repo: Repo) -> None:
    """The same code in other lines, with other comments."""
    text = repo.read(MMU)
    block = body(text, "share_pfn_hyp")
    code = text[block.start : block.end]
    call = f"ret = kvm_call_hyp_nvhe({SHARE}, pfn, 1);"
    assert call in code
    code = code.replace(
        call, f"/* Ask EL2. */\n\tret =\n\t\tkvm_call_hyp_nvhe({SHARE},\n\t\t\tpfn, 1);"
    )
    code = code.replace("goto unlock;", "goto  unlock; /* done */").replace("\t", "    ")
    repo.write(MMU, f"/* In four blanks. */\n{text[: block.start]}{code}{text[block.end :]}")


def rename(repo: Repo) -> None:
    repo.git("mv", PKVM, MOVED)


def fallible_timer(repo: Repo) -> None:
    """__kvm_timer_set_cntvoff() can refuse, and its handler hands that to the host."""
    head, call = "void __kvm_timer_set_cntvoff", "__kvm_timer_set_cntvoff(cpu_reg(host_ctxt, 1))"
    repo.replace("arch/arm64/include/asm/kvm_asm.h", head, head.replace("void", "int"))
    repo.replace(f"{EL2}timer-sr.c", head, head.replace("void", "int"))
    edit(
        f"{EL2}timer-sr.c",
        "__kvm_timer_set_cntvoff",
        after("write_sysreg", "if (cntvoff >> 56)\n\treturn -ERANGE;\nreturn 0;"),
    )(repo)
    repo.replace(f"{EL2}hyp-main.c", f"\t{call};", f"\tcpu_reg(host_ctxt, 1) = {call};")


SERIES: dict[str, Callable[[Repo], None]] = {
    "mmu: keep the record": edit(MMU, "share_pfn_hyp", delete("if (ret)")),
    "mmu: move the function": move,
    "mmu: other lines": reformat,
    "pkvm: forget the memory": edit(
        PKVM, "__pkvm_create_hyp_vm", replace("goto free_vm", "goto free_pgd")
    ),
    "pkvm: another file": rename,
    "mmu: erase at once": edit(
        MMU, "unshare_pfn_hyp", move_above("kfree", UNSHARE), move_above("rb_erase", "kfree")
    ),
    "timer: an offset may be refused": fallible_timer,
    "mmu: undo it": edit(MMU, "share_pfn_hyp", after(SHARE, UNDO)),
    "mmu: keep the record, again": edit(MMU, "share_pfn_hyp", delete("if (ret)")),
    "pkvm: free the memory": edit(
        MOVED,
        "__pkvm_create_hyp_vm",
        # The first goto of two that the change above has made alike.
        lambda text, function: text.replace(
            "if (ret < 0)\n\t\tgoto free_pgd", "if (ret < 0)\n\t\tgoto free_vm"
        ),
    ),
    "mmu: as in the beginning": lambda repo: repo.write(
        MMU, repo.git("show", f"{repo.ids['base']}:{MMU}") + "\n"
    ),
}


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

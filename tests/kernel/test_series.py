"""``kvmlint diff`` on a series of commits of a real kernel: which of them brings what.

The repository is made from 6.12 with the three functions of mmu.c corrected. Every finding below
was judged by reading the code that the commit leaves.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.kernel.edit import IGNORED, ROLLBACK, SWALLOWED, TEARDOWN
from tests.kernel.mmu_versions import FIXED, SHARE, UNDO, UNSHARE
from tests.kernel.operators import Step, after, body, delete, move_above, replace
from tests.repos import Repo, new_repo

from kvmlint.cli import app

pytestmark = pytest.mark.kernel

FOLDERS = ("arch/arm64/kvm", "arch/arm64/include/asm", "virt/kvm")
MMU = "arch/arm64/kvm/mmu.c"
PKVM, MOVED = "arch/arm64/kvm/pkvm.c", "arch/arm64/kvm/pkvm_host.c"
EL2 = "arch/arm64/kvm/hyp/nvhe/"

Found = tuple[str, str, str, str, str]
"""Function, rule, hypercall, the commit that brings it, the one that removes it."""


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
}

INIT_VM, CNTVOFF = "__pkvm_init_vm", "__kvm_timer_set_cntvoff"
WANTED: list[Found] = [
    # The node and its memory stay when EL2 refuses; undone, and left out again.
    ("share_pfn_hyp", ROLLBACK, SHARE, "mmu: keep the record", "mmu: undo it"),
    ("share_pfn_hyp", ROLLBACK, SHARE, "mmu: keep the record, again", ""),
    # hyp_vm is freed no more when EL2 refuses the VM; in the file's other name it is again.
    ("__pkvm_create_hyp_vm", ROLLBACK, INIT_VM, "pkvm: forget the memory", "pkvm: free the memory"),
    # The record goes first: it is lost when EL2 refuses, and kvm_unshare_hyp(), whose callers free
    # the page, can't tell them.
    ("unshare_pfn_hyp", TEARDOWN, UNSHARE, "mmu: erase at once", ""),
    ("kvm_unshare_hyp", SWALLOWED, UNSHARE, "mmu: erase at once", ""),
    # The host's caller is untouched, and drops what EL2 returns now.
    ("set_cntvoff", IGNORED, CNTVOFF, "timer: an offset may be refused", ""),
]


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory, kernel_6_12: Path) -> Repo:
    made = new_kernel(tmp_path_factory.mktemp("series") / "linux", kernel_6_12)
    for subject, change in SERIES.items():
        change(made)
        made.commit(subject)
    return made


def found(repo: Repo, *words: str) -> list[Found]:
    command = ["diff", "-C", str(repo.path), "--format", "json", "--no-cache", *words]
    done = CliRunner().invoke(app, command)
    assert done.exit_code in (0, 1), done.output
    return [
        (
            d["function"],
            d["rule"],
            d["hypercall"],
            d["commit"]["subject"],
            (d["commit"]["removed_by"] or {"subject": ""})["subject"],
        )
        for d in json.loads(done.stdout)["findings"]
        if d["commit"]["new"]
    ]


def test_what_each_commit_brings(repo: Repo) -> None:
    first = f"HEAD~{len(SERIES)}"
    assert sorted(found(repo, f"{first}..HEAD", "-j2")) == sorted(WANTED)


@pytest.mark.parametrize("subject", ["mmu: move the function", "mmu: other lines"])
def test_moved_or_reformatted_alone(repo: Repo, subject: str) -> None:
    at = repo.ids[subject]
    assert found(repo, f"{at}~1..{at}") == []


def test_a_rename_alone(repo: Repo) -> None:
    at = repo.ids["pkvm: another file"]
    assert found(repo, f"{at}~1..{at}") == []

"""Commits of a real kernel, for series to be looked at: the tree in a repository, and changes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.kernel.mmu_versions import FIXED, SHARE, UNDO, UNSHARE
from tests.kernel.operators import Step, after, body, delete, move_above, replace
from tests.repos import Repo, new_repo

FOLDERS = ("arch/arm64/kvm", "arch/arm64/include/asm", "virt/kvm")
MMU = "arch/arm64/kvm/mmu.c"
PKVM, MOVED = "arch/arm64/kvm/pkvm.c", "arch/arm64/kvm/pkvm_host.c"
EL2 = "arch/arm64/kvm/hyp/nvhe/"


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
"""One after the other, on top of ``new_kernel``."""


def add(path: str) -> Callable[[Repo], None]:
    """A function that nobody calls, below the includes: everything after it has other lines."""

    def change(repo: Repo) -> None:
        text = repo.read(path)
        at = text.index("\n", text.rindex("\n#include") + 1) + 1
        code = (
            "\nstatic inline int added(int n)\n{\n\tif (n)\n\t\treturn -EINVAL;\n\treturn 0;\n}\n"
        )
        repo.write(path, text[:at] + code + text[at:])

    return change


MORE: dict[str, Callable[[Repo], None]] = {
    f"{path.rpartition('/')[2]}: add a function": add(path)
    for path in (
        "arch/arm64/kvm/arm.c",
        "arch/arm64/kvm/handle_exit.c",
        "arch/arm64/kvm/reset.c",
        "arch/arm64/kvm/psci.c",
        "virt/kvm/kvm_main.c",
        f"{EL2}mem_protect.c",
        f"{EL2}pkvm.c",
        f"{EL2}hyp-main.c",
        "arch/arm64/kvm/hyp/pgtable.c",
    )
}
"""Changes that bring nothing, all over the tree."""


def new_series(path: Path, kernel: Path) -> Repo:
    """A repository with ``SERIES`` and ``MORE``, in turn: twenty commits."""
    repo = new_kernel(path, kernel)
    first, second = list(SERIES.items()), list(MORE.items())
    for number in range(max(len(first), len(second))):
        for subject, change in (*first[number : number + 1], *second[number : number + 1]):
            change(repo)
            repo.commit(subject)
    return repo

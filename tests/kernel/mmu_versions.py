"""The three functions of 6.12's mmu.c that were wrong, corrected, each in several ways.

6.12 shares a page and keeps its record when EL2 refuses; forgets the record before EL2 gives the
page back; and stops in the middle of a range. Linux 7.2 undoes the insertion, erases after success
only, and unwinds the range.
"""

from __future__ import annotations

from tests.kernel.edit import Target, Version
from tests.kernel.operators import (
    Step,
    above,
    after,
    before,
    declare,
    delete,
    drop_next,
    everywhere,
    instead,
    move_above,
    replace,
)

SHARE = "__pkvm_host_share_hyp"
UNSHARE = "__pkvm_host_unshare_hyp"
SHARE_PAGE = "share_pfn_hyp(pfn)"
LOOP = "for (cur = start"

RAW = Version("kernel", "arch/arm64/kvm/mmu.c")

# --- share_pfn_hyp(): the record goes when EL2 refuses --------------------------------------------

ERASE = "rb_erase(&this->node, &hyp_shared_pfns);"
UNDO = f"if (ret) {{\n\t{ERASE}\n\tkfree(this);\n}}"

undone = (after(SHARE, UNDO),)
after_success = (
    move_above(SHARE, "rb_link_node"),
    after(SHARE, "if (ret) {\n\tkfree(this);\n\tgoto unlock;\n}"),
)
hypercall_first = (
    move_above(SHARE, "kzalloc"),
    after(SHARE, "if (ret)\n\tgoto unlock;"),
    before("ret = -ENOMEM", f"WARN_ON(kvm_call_hyp_nvhe({UNSHARE}, pfn, 1));"),
)
guarded: tuple[Step, ...] = (
    replace("mutex_lock(&hyp_shared_pfns_lock)", "guard(mutex)(&hyp_shared_pfns_lock)"),
    everywhere("goto unlock", "return ret"),
    delete("unlock:"),
    delete("mutex_unlock("),
)
undone_in_helper = (
    after(SHARE, "if (ret)\n\tdrop_shared_pfn(this);"),
    above(
        "static void drop_shared_pfn(struct hyp_shared_pfn *this)\n{\n"
        f"\t{ERASE}\n\tkfree(this);\n}}"
    ),
)
freed_by_scope = (
    everywhere("this = kzalloc", "struct hyp_shared_pfn *new __free(kfree) = kzalloc"),
    replace("if (!this)", "if (!new)"),
    everywhere("this->pfn", "new->pfn"),
    replace("this->count = 1", "new->count = 1"),
    everywhere("&this->node", "&new->node"),
    move_above(SHARE, "rb_link_node"),
    after(SHARE, "if (ret)\n\treturn ret;"),
    after("rb_insert_color", "this = no_free_ptr(new);"),
    *guarded,
)

# --- unshare_pfn_hyp(): the record goes when EL2 agreed -------------------------------------------

LAST = "if (this->count > 1) {\n\tthis->count--;\n\tgoto unlock;\n}"

erased_after = (
    delete("this->count--"),
    instead("if (this->count)", LAST),
    move_above(UNSHARE, "rb_erase"),
    after(UNSHARE, "if (ret)\n\tgoto unlock;"),
)
count_restored = (
    move_above(UNSHARE, "rb_erase"),
    after(UNSHARE, "if (ret) {\n\tthis->count++;\n\tgoto unlock;\n}"),
)
erased_in_branch = (
    move_above(UNSHARE, "rb_erase"),
    delete("rb_erase"),
    instead(
        "kfree(this)",
        f"if (!ret) {{\n\t{ERASE}\n\tkfree(this);\n}} else {{\n\tthis->count++;\n}}",
    ),
)

# --- kvm_share_hyp(): what was shared before goes -------------------------------------------------

UNSHARE_PAGE = "WARN_ON(unshare_pfn_hyp(__phys_to_pfn(cur)));"
BACKWARDS = f"while (cur > start) {{\n\tcur -= PAGE_SIZE;\n\t{UNSHARE_PAGE}\n}}"


def _on_failure(code: str) -> tuple[Step, ...]:
    lines = "".join(f"\t{line}\n" for line in code.split("\n"))
    return (drop_next(SHARE_PAGE), after(SHARE_PAGE, f"if (ret) {{\n{lines}\treturn ret;\n}}"))


unwound = _on_failure(BACKWARDS)
unwound_forwards = (
    declare("phys_addr_t undo;"),
    *_on_failure(
        "for (undo = start; undo < cur; undo += PAGE_SIZE)\n"
        "\tWARN_ON(unshare_pfn_hyp(__phys_to_pfn(undo)));"
    ),
)
unwound_by_helper = _on_failure("kvm_unshare_hyp(from, phys_to_virt(cur));")
unwound_if_any = _on_failure("if (cur > start)\n\tkvm_unshare_hyp(from, phys_to_virt(cur));")
unwound_at_label = (
    drop_next(SHARE_PAGE),
    after(SHARE_PAGE, "if (ret)\n\tgoto unwind;"),
    drop_next(LOOP),
    after(LOOP, f"return 0;\n\nunwind:\n{BACKWARDS}\nreturn ret;"),
)


def _after_break(done: str) -> tuple[Step, ...]:
    return (
        replace("int ret", "int ret = 0"),
        drop_next(SHARE_PAGE),
        after(SHARE_PAGE, "if (ret)\n\tbreak;"),
        drop_next(LOOP),
        after(LOOP, f"if ({done})\n\treturn 0;\n\n{BACKWARDS}\nreturn ret;"),
    )


unwound_after_break = _after_break("!ret")
unwound_after_short_loop = _after_break("cur >= end")

# --- Versions that edits start from ---------------------------------------------------------------

_SHARE, _UNSHARE, _RANGE = "share_pfn_hyp", "unshare_pfn_hyp", "kvm_share_hyp"

FIXED = RAW.but(_SHARE, *undone).but(_UNSHARE, *erased_after).but(_RANGE, *unwound)
LATE = FIXED.but(_SHARE, *after_success)
EARLY = FIXED.but(_SHARE, *hypercall_first)
GUARDED = FIXED.but(_SHARE, *undone, *guarded)
RESTORED = FIXED.but(_UNSHARE, *count_restored)
LABELLED = FIXED.but(_RANGE, *unwound_at_label)

VERSIONS = {
    "undone": FIXED,
    "published after success": LATE,
    "hypercall before the allocation": EARLY,
    "undone, guard": GUARDED,
    "published after success, guard": FIXED.but(_SHARE, *after_success, *guarded),
    "undone in a helper": FIXED.but(_SHARE, *undone_in_helper),
    "freed by its scope": FIXED.but(_SHARE, *freed_by_scope),
    "count restored": RESTORED,
    "count restored, guard": FIXED.but(_UNSHARE, *count_restored, *guarded),
    "erased in a branch": FIXED.but(_UNSHARE, *erased_in_branch),
    "unwound forwards": FIXED.but(_RANGE, *unwound_forwards),
    "unwound by a helper": FIXED.but(_RANGE, *unwound_by_helper),
    "unwound by a helper, if any": FIXED.but(_RANGE, *unwound_if_any),
    "unwound at a label": LABELLED,
    "unwound after a break": FIXED.but(_RANGE, *unwound_after_break),
    "unwound after a short loop": FIXED.but(_RANGE, *unwound_after_short_loop),
}
"""Every one must be silent."""

SHARED = Target(FIXED, _SHARE, SHARE)
SHARED_LATE = Target(LATE, _SHARE, SHARE)
SHARED_EARLY = Target(EARLY, _SHARE, SHARE)
SHARED_EARLY_UNDO = Target(EARLY, _SHARE, UNSHARE)
SHARED_GUARDED = Target(GUARDED, _SHARE, SHARE)
UNSHARED = Target(FIXED, _UNSHARE, UNSHARE)
UNSHARED_RESTORED = Target(RESTORED, _UNSHARE, UNSHARE)
RANGE = Target(FIXED, _RANGE, SHARE)
RANGE_LABELLED = Target(LABELLED, _RANGE, SHARE)
RANGE_UNWIND = Target(FIXED, _RANGE, UNSHARE)
UNSHARED_RANGE = Target(FIXED, "kvm_unshare_hyp", UNSHARE)
IO_MAPPING = Target(
    # Without this check the function can reach EL2, in protected mode.
    FIXED.but("create_hyp_io_mappings", delete("if (is_protected_kvm_enabled())")),
    "create_hyp_io_mappings",
    "__pkvm_create_private_mapping",
)

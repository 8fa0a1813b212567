"""Edits of the corrected mmu.c that break it again."""

from __future__ import annotations

from tests.kernel.edit import BATCH, IGNORED, ROLLBACK, TEARDOWN, Edit
from tests.kernel.mmu_versions import (
    ERASE,
    IO_MAPPING,
    LOOP,
    RANGE,
    RANGE_LABELLED,
    RANGE_UNWIND,
    SHARE,
    SHARE_PAGE,
    SHARED,
    SHARED_EARLY,
    SHARED_EARLY_UNDO,
    SHARED_GUARDED,
    SHARED_LATE,
    UNSHARE,
    UNSHARED,
    UNSHARED_RANGE,
    UNSHARED_RESTORED,
)
from tests.kernel.operators import (
    above,
    after,
    bare,
    before,
    declare,
    delete,
    drop_next,
    in_next,
    instead,
    move_above,
    replace,
    unwrap,
)

_FORGET = f"static void forget(struct hyp_shared_pfn *this)\n{{\n\t{ERASE}\n\tkfree(this);\n}}"
_WRAPPER = (
    f"static int share_with_el2(u64 pfn)\n{{\n\treturn kvm_call_hyp_nvhe({SHARE}, pfn, 1);\n}}"
)
_BATCH = f"{BATCH} {ROLLBACK}"

BREAK_SHARE: tuple[Edit, ...] = (
    SHARED.bad("freed-not-erased", ROLLBACK, delete("rb_erase")),
    SHARED.bad("erased-not-freed", ROLLBACK, delete("kfree(this)")),
    SHARED.bad("undo-deleted", ROLLBACK, drop_next(SHARE)),
    SHARED.bad(
        "undo-only-prints", ROLLBACK, delete("rb_erase"), instead("kfree(this)", "kvm_err();")
    ),
    SHARED.bad("undo-for-one-errno", ROLLBACK, in_next(SHARE, "if (ret)", "if (ret == -EPERM)")),
    SHARED.bad(
        "undo-for-two-errnos",
        ROLLBACK,
        in_next(SHARE, "if (ret)", "if (ret == -EPERM || ret == -EINVAL)"),
    ),
    SHARED.bad("undo-if-positive", ROLLBACK, in_next(SHARE, "if (ret)", "if (ret > 0)")),
    SHARED.bad("undo-on-success", ROLLBACK, in_next(SHARE, "if (ret)", "if (!ret)")),
    SHARED.bad(
        "undo-if-counted-twice", ROLLBACK, in_next(SHARE, "if (ret)", "if (ret && this->count > 1)")
    ),
    SHARED.bad("goto-past-undo", ROLLBACK, after(SHARE, "if (ret)\n\tgoto unlock;")),
    SHARED.bad(
        "goto-past-undo-rarely", ROLLBACK, after(SHARE, "if (ret == -EINVAL)\n\tgoto unlock;")
    ),
    SHARED.bad(
        "return-past-undo",
        ROLLBACK,
        after(SHARE, "if (ret) {\n\tmutex_unlock(&hyp_shared_pfns_lock);\n\treturn ret;\n}"),
    ),
    SHARED.bad("other-node-erased", ROLLBACK, replace("rb_erase(&this->node", "rb_erase(parent")),
    SHARED.bad(
        "other-object-freed",
        ROLLBACK,
        declare("void *log = NULL;"),
        replace("kfree(this)", "kfree(log)"),
    ),
    SHARED.bad("bare-call", IGNORED, bare(SHARE)),
    SHARED.bad(
        "wrapper-undo-deleted",
        ROLLBACK,
        drop_next(SHARE),
        replace(f"kvm_call_hyp_nvhe({SHARE}, pfn, 1)", "share_with_el2(pfn)"),
        above(_WRAPPER),
    ),
    SHARED.bad(
        "wrapper-bare",
        IGNORED,
        replace(f"kvm_call_hyp_nvhe({SHARE}, pfn, 1)", "share_with_el2(pfn)"),
        bare("share_with_el2"),
        above(_WRAPPER),
    ),
    SHARED.bad(
        "undo-helper-on-other-path",
        ROLLBACK,
        drop_next(SHARE),
        before(SHARE, "if (!pfn) {\n\tforget(this);\n\tret = -EINVAL;\n\tgoto unlock;\n}"),
        above(_FORGET),
    ),
    SHARED.bad(
        "counted-before-second-call",
        ROLLBACK,
        after("this->count++", f"ret = kvm_call_hyp_nvhe({SHARE}, pfn, 2);"),
    ),
    SHARED.bad("page-reference-kept", ROLLBACK, before(SHARE, "get_page(pfn_to_page(pfn));")),
    SHARED.bad(
        "second-allocation-kept",
        ROLLBACK,
        declare("void *log;"),
        before(SHARE, "log = kmalloc(64, GFP_KERNEL);"),
        before("unlock:", "if (!ret)\n\tkfree(log);"),
    ),
    SHARED.bad(
        "list-entry-kept", ROLLBACK, before(SHARE, "list_add(&this->lru, &hyp_shared_lru);")
    ),
    SHARED_LATE.bad(
        "late-publish-hoisted",
        ROLLBACK,
        move_above("rb_link_node", SHARE),
        move_above("rb_insert_color", SHARE),
    ),
    SHARED_LATE.bad("late-memory-kept", ROLLBACK, delete("kfree(this)")),
    SHARED_LATE.bad(
        "late-other-list-hoisted",
        ROLLBACK,
        before(SHARE, "hlist_add_head(&this->hash, &hyp_shared_hash);"),
    ),
    SHARED_EARLY.bad("early-acquired-kept-without-memory", ROLLBACK, delete(UNSHARE)),
    SHARED_EARLY_UNDO.bad("early-bare-undo", IGNORED, unwrap("WARN_ON", UNSHARE)),
    SHARED_GUARDED.bad("guarded-freed-not-erased", ROLLBACK, delete("rb_erase")),
    SHARED_GUARDED.bad("guarded-undo-deleted", ROLLBACK, drop_next(SHARE)),
    SHARED_GUARDED.bad(
        "guarded-return-past-undo", ROLLBACK, after(SHARE, "if (ret < 0)\n\treturn ret;")
    ),
)

BREAK_UNSHARE: tuple[Edit, ...] = (
    UNSHARED.bad("erase-hoisted", TEARDOWN, move_above("rb_erase", UNSHARE)),
    UNSHARED.bad("free-hoisted", TEARDOWN, move_above("kfree(this)", UNSHARE)),
    UNSHARED.bad(
        "both-hoisted",
        TEARDOWN,
        move_above("rb_erase", UNSHARE),
        move_above("kfree(this)", UNSHARE),
    ),
    UNSHARED.bad("count-hoisted", TEARDOWN, before(UNSHARE, "this->count--;")),
    UNSHARED.bad(
        "forgotten-in-helper",
        TEARDOWN,
        delete("rb_erase"),
        delete("kfree(this)"),
        before(UNSHARE, "forget(this);"),
        above(_FORGET),
    ),
    UNSHARED.bad("list-entry-gone", TEARDOWN, before(UNSHARE, "list_del(&this->lru);")),
    UNSHARED.bad(
        "wrapper-erase-hoisted",
        TEARDOWN,
        move_above("rb_erase", UNSHARE),
        replace(f"kvm_call_hyp_nvhe({UNSHARE}, pfn, 1)", "unshare_at_el2(pfn)"),
        above(
            "static int unshare_at_el2(u64 pfn)\n{\n"
            f"\treturn kvm_call_hyp_nvhe({UNSHARE}, pfn, 1);\n}}"
        ),
    ),
    UNSHARED.bad("bare-call", IGNORED, bare(UNSHARE)),
    UNSHARED_RESTORED.bad("restored-count-not-restored", TEARDOWN, delete("this->count++")),
    UNSHARED_RESTORED.bad(
        "restored-count-restored-for-one-errno",
        TEARDOWN,
        instead("this->count++", "if (ret == -EPERM)\n\tthis->count++;"),
    ),
    UNSHARED_RESTORED.bad(
        "restored-count-restored-too-late", TEARDOWN, before("this->count++", "goto unlock;")
    ),
    UNSHARED_RESTORED.bad(
        "restored-count-restored-elsewhere",
        TEARDOWN,
        declare("struct hyp_shared_pfn other = {};"),
        replace("this->count++", "other.count++"),
    ),
    UNSHARED_RESTORED.bad("restored-erase-hoisted", TEARDOWN, move_above("rb_erase", UNSHARE)),
)

BREAK_RANGE: tuple[Edit, ...] = (
    RANGE.bad("unwind-deleted", BATCH, delete("while (cur > start)")),
    RANGE.bad(
        "unwind-only-prints",
        BATCH,
        replace("WARN_ON(unshare_pfn_hyp(__phys_to_pfn(cur)))", "kvm_err()"),
    ),
    RANGE.bad(
        "unwind-for-one-errno",
        BATCH,
        before("while (cur > start)", "if (ret == -EPERM)\n\treturn ret;"),
    ),
    RANGE.bad("return-before-unwind", BATCH, after(SHARE_PAGE, "if (ret < 0)\n\treturn ret;")),
    RANGE.bad(
        "return-before-unwind-without-memory",
        BATCH,
        after(SHARE_PAGE, "if (ret == -ENOMEM)\n\treturn ret;"),
    ),
    RANGE.bad(
        "interrupted", _BATCH, before(SHARE_PAGE, "if (signal_pending(current))\n\treturn -EINTR;")
    ),
    RANGE.bad(
        "last-page-apart",
        _BATCH,
        after(LOOP, "ret = share_pfn_hyp(__phys_to_pfn(end));\nif (ret)\n\treturn ret;"),
    ),
    RANGE.bad("bare-call", IGNORED, bare(SHARE_PAGE)),
    RANGE_LABELLED.bad(
        "labelled-goto-past-unwind", BATCH, in_next(SHARE_PAGE, "goto unwind", "return ret")
    ),
    RANGE_LABELLED.bad(
        "labelled-label-below-unwind",
        BATCH,
        delete("unwind:"),
        after("while (cur > start)", "unwind:"),
    ),
    RANGE_UNWIND.bad("unwind-bare-undo", IGNORED, unwrap("WARN_ON", "unshare_pfn_hyp")),
    UNSHARED_RANGE.bad("bare-call", IGNORED, unwrap("WARN_ON", "unshare_pfn_hyp")),
    IO_MAPPING.bad("mapping-kept", ROLLBACK, delete("iounmap(")),
    IO_MAPPING.bad("other-mapping-gone", ROLLBACK, replace("iounmap(*kaddr)", "iounmap(*haddr)")),
)

MMU: tuple[Edit, ...] = (*BREAK_SHARE, *BREAK_UNSHARE, *BREAK_RANGE)

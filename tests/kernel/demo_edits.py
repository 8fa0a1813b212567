"""Edits of the demo tree in fixtures/demo."""

from __future__ import annotations

from tests.kernel.edit import BATCH, IGNORED, ROLLBACK, TEARDOWN, Edit, Target, Version
from tests.kernel.operators import (
    above,
    after,
    bare,
    before,
    declare,
    delete,
    drop_next,
    everywhere,
    in_next,
    instead,
    move_above,
    replace,
    unwrap,
)

SHARE, UNSHARE, LIMIT = "__demo_host_share_page", "__demo_host_unshare_page", "__demo_set_limit"
ERASE = "rb_erase(&page->node, &lent_pages);"
EL2 = "arch/arm64/kvm/hyp/nvhe/hyp-main.c"

_DEMO = Version("demo", "arch/arm64/kvm/lend.c")
LENT = Target(_DEMO, "lend_page_checked", SHARE)
RETURNED = Target(_DEMO, "return_page_checked", UNSHARE)
LENT_RANGE = Target(_DEMO, "lend_range_checked", SHARE)
UNWOUND = Target(_DEMO, "lend_range_checked", UNSHARE)
LIMITED = Target(_DEMO, "lend_set_limit_checked", LIMIT)
LENT_LATE = Target(
    _DEMO.but(
        "lend_page_checked",
        drop_next(SHARE),
        move_above(SHARE, "rb_link_node"),
        after(SHARE, "if (ret) {\n\tkfree(page);\n\tgoto unlock;\n}"),
    ),
    "lend_page_checked",
    SHARE,
)

BREAK_DEMO: tuple[Edit, ...] = (
    LENT.bad("freed-not-erased", ROLLBACK, delete("rb_erase")),
    LENT.bad("erased-not-freed", ROLLBACK, delete("kfree(page)")),
    LENT.bad("undo-deleted", ROLLBACK, drop_next(SHARE)),
    LENT.bad("undo-for-one-errno", ROLLBACK, in_next(SHARE, "if (ret)", "if (ret == -EPERM)")),
    LENT.bad("undo-on-success", ROLLBACK, in_next(SHARE, "if (ret)", "if (!ret)")),
    LENT.bad("goto-past-undo", ROLLBACK, after(SHARE, "if (ret < 0)\n\tgoto unlock;")),
    LENT.bad("bare-call", IGNORED, bare(SHARE)),
    LENT.bad("hash-entry-kept", ROLLBACK, before(SHARE, "hash_add(lent_hash, &page->hash, pfn);")),
    LENT_LATE.bad(
        "publish-hoisted",
        ROLLBACK,
        move_above("rb_link_node", SHARE),
        move_above("rb_insert_color", SHARE),
    ),
    LENT_LATE.bad("memory-kept", ROLLBACK, delete("kfree(page)")),
    RETURNED.bad("erase-hoisted", TEARDOWN, move_above("rb_erase", UNSHARE)),
    RETURNED.bad("free-hoisted", TEARDOWN, move_above("kfree(page)", UNSHARE)),
    RETURNED.bad("count-hoisted", TEARDOWN, before(UNSHARE, "page->users--;")),
    RETURNED.bad("bare-call", IGNORED, bare(UNSHARE)),
    LENT_RANGE.bad("unwind-deleted", BATCH, delete("while (pfn-- > first)")),
    LENT_RANGE.bad("goto-past-unwind", BATCH, replace("goto unwind", "return ret")),
    LENT_RANGE.bad("bare-call", IGNORED, bare("lend_page_checked(pfn)")),
    UNWOUND.bad("bare-undo", IGNORED, unwrap("WARN_ON", "return_page_checked(pfn)")),
    LIMITED.bad(
        "bare-call",
        IGNORED,
        instead("return kvm_call", f"kvm_call_hyp_nvhe({LIMIT}, pages);\nreturn 0;"),
    ),
    Edit(
        "handler-may-fail",
        _DEMO,
        "handle___demo_flush",
        (
            instead(
                "__demo_flush(pfn)",
                "if (!pfn) {\n\tcpu_reg(host_ctxt, 1) = -EINVAL;\n\treturn;\n}\n\n"
                "__demo_flush(pfn);\ncpu_reg(host_ctxt, 1) = 0;",
            ),
        ),
        frozenset({IGNORED}),
        frozenset({"__demo_flush"}),
        "lend_flush",
        EL2,
    ),
)

KEEP_DEMO: tuple[Edit, ...] = (
    LENT.good("local-renamed", everywhere("page", "rec")),
    LENT.good("negative", in_next(SHARE, "if (ret)", "if (ret < 0)")),
    LENT.good("success-leaves", after(SHARE, "if (!ret)\n\tgoto unlock;")),
    LENT.good(
        "undo-in-helper",
        drop_next(SHARE),
        after(SHARE, "if (ret)\n\tforget(page);"),
        above(f"static void forget(struct lent_page *page)\n{{\n\t{ERASE}\n\tkfree(page);\n}}"),
    ),
    LENT.good(
        "guard",
        replace("mutex_lock(&lent_lock)", "guard(mutex)(&lent_lock)"),
        everywhere("goto unlock", "return ret"),
        delete("unlock:"),
        delete("mutex_unlock("),
    ),
    LENT.good("stores-swapped", move_above("page->users = 1", "page->pfn = pfn")),
    LENT.good("printed", after(SHARE, "pr_debug();")),
    LENT.good(
        "status-copied",
        declare("int err;"),
        after(SHARE, "err = ret;"),
        replace("if (ret) {", "if (err) {"),
    ),
    RETURNED.good("local-renamed", everywhere("page", "rec")),
    RETURNED.good("not-equal-zero", in_next(UNSHARE, "if (ret)", "if (ret != 0)")),
    RETURNED.good(
        "success-nested",
        drop_next(UNSHARE),
        delete("rb_erase"),
        instead("kfree(page)", f"if (!ret) {{\n\t{ERASE}\n\tkfree(page);\n}}"),
    ),
    LENT_RANGE.good(
        "unwind-at-once",
        delete("unwind:"),
        drop_next("while (pfn-- > first)"),
        delete("while (pfn-- > first)"),
        instead(
            "goto unwind",
            "while (pfn-- > first)\n\tWARN_ON(return_page_checked(pfn));\n\nreturn ret;",
        ),
    ),
    LENT_RANGE.good(
        "unwind-forwards",
        declare("u64 undo;"),
        instead(
            "while (pfn-- > first)",
            "for (undo = first; undo < pfn; undo++)\n\tWARN_ON(return_page_checked(undo));",
        ),
    ),
    LENT_RANGE.good(
        "while-loop",
        replace("for (pfn = first; pfn < first + nr; pfn++)", "for (pfn = first; nr--; pfn++)"),
    ),
    LIMITED.good(
        "status-in-local",
        instead("return kvm_call", f"int ret = kvm_call_hyp_nvhe({LIMIT}, pages);\n\nreturn ret;"),
    ),
    Edit(
        "handler-cannot-fail",
        _DEMO,
        "handle___demo_set_limit",
        (instead("cpu_reg(host_ctxt, 1)", "__demo_set_limit(pages);"),),
        el2=EL2,
    ),
)

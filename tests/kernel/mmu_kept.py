"""Edits of the corrected mmu.c that change nothing that matters."""

from __future__ import annotations

from tests.kernel.edit import Edit
from tests.kernel.mmu_versions import (
    ERASE,
    IO_MAPPING,
    LOOP,
    RANGE,
    RANGE_LABELLED,
    SHARE,
    SHARE_PAGE,
    SHARED,
    SHARED_GUARDED,
    SHARED_LATE,
    UNSHARE,
    UNSHARE_PAGE,
    UNSHARED,
    UNSHARED_RANGE,
    UNSHARED_RESTORED,
)
from tests.kernel.operators import (
    above,
    after,
    before,
    declare,
    delete,
    drop_next,
    everywhere,
    in_next,
    instead,
    move_above,
    replace,
)

_CALL = f"kvm_call_hyp_nvhe({SHARE}, pfn, 1)"
_WRAPPER = f"static int share_with_el2(u64 pfn)\n{{\n\treturn {_CALL};\n}}"
_LOUD_WRAPPER = (
    "static int share_with_el2(u64 pfn)\n{\n"
    f"\tint err = {_CALL};\n\n\tif (err)\n\t\tpr_debug();\n\n\treturn err;\n}}"
)
_NEW = (
    "static struct hyp_shared_pfn *new_record(u64 pfn)\n{\n"
    "\tstruct hyp_shared_pfn *rec = kzalloc(sizeof(*rec), GFP_KERNEL);\n\n"
    "\tif (rec)\n\t\trec->pfn = pfn;\n\n\treturn rec;\n}"
)
_ERASE = f"static void erase_record(struct hyp_shared_pfn *rec)\n{{\n\t{ERASE}\n}}".replace(
    "this", "rec"
)
_INSERT = (
    "static void insert_record(struct hyp_shared_pfn *rec, struct rb_node *up,\n"
    "\t\t\t  struct rb_node **at)\n{\n"
    "\trb_link_node(&rec->node, up, at);\n\trb_insert_color(&rec->node, &hyp_shared_pfns);\n}"
)
_UNWIND = (
    "static void unwind(phys_addr_t start, phys_addr_t cur)\n{\n"
    f"\twhile (cur > start) {{\n\t\tcur -= PAGE_SIZE;\n\t\t{UNSHARE_PAGE}\n\t}}\n}}"
)

KEEP_SHARE: tuple[Edit, ...] = (
    SHARED.good("local-renamed", everywhere("this", "rec")),
    SHARED.good("status-renamed", everywhere("ret", "err")),
    SHARED.good("not-equal-zero", in_next(SHARE, "if (ret)", "if (ret != 0)")),
    SHARED.good("negative", in_next(SHARE, "if (ret)", "if (ret < 0)")),
    SHARED.good("unlikely", in_next(SHARE, "if (ret)", "if (unlikely(ret))")),
    SHARED.good("warned", in_next(SHARE, "if (ret)", "if (WARN_ON(ret))")),
    SHARED.good("zero-first", in_next(SHARE, "if (ret)", "if (0 != ret)")),
    SHARED.good("success-leaves", after(SHARE, "if (!ret)\n\tgoto unlock;")),
    SHARED.good(
        "status-copied",
        declare("int err;"),
        after(SHARE, "err = ret;"),
        replace("if (ret) {", "if (err) {"),
    ),
    SHARED.good(
        "status-in-bool",
        declare("bool failed;"),
        after(SHARE, "failed = ret != 0;"),
        replace("if (ret) {", "if (failed) {"),
    ),
    SHARED.good(
        "status-in-a-second",
        declare("int err;"),
        replace(f"ret = {_CALL}", f"err = {_CALL}"),
        replace("if (ret) {", "if (err) {"),
        after("kfree(this)", "ret = err;"),
    ),
    SHARED.good(
        "status-in-condition",
        delete("ret = kvm_call"),
        replace("if (ret) {", f"if ((ret = {_CALL})) {{"),
    ),
    SHARED.good("status-by-ternary", after(SHARE, "ret = ret < 0 ? ret : 0;")),
    SHARED.good(
        "switch",
        drop_next(SHARE),
        after(
            SHARE, f"switch (ret) {{\ncase 0:\n\tbreak;\ndefault:\n\t{ERASE}\n\tkfree(this);\n}}"
        ),
    ),
    SHARED.good(
        "undo-in-do-while",
        drop_next(SHARE),
        after(SHARE, f"if (ret) do {{\n\t{ERASE}\n\tkfree(this);\n}} while (0);"),
    ),
    SHARED.good(
        "undo-at-label",
        drop_next(SHARE),
        after(SHARE, f"if (ret)\n\tgoto undo;\n\ngoto unlock;\n\nundo:\n{ERASE}\nkfree(this);"),
    ),
    SHARED.good(
        "undo-behind-label",
        drop_next(SHARE),
        declare("bool inserted = false;"),
        before(SHARE, "inserted = true;"),
        after("unlock:", f"if (ret && inserted) {{\n\t{ERASE}\n\tkfree(this);\n}}"),
    ),
    SHARED.good("printed", before("rb_erase", 'kvm_err("no share of %llx: %d\\n", pfn, ret);')),
    SHARED.good("printed-always", after(SHARE, 'pr_debug("share of %llx: %d\\n", pfn, ret);')),
    SHARED.good("traced", before(SHARE, "trace_kvm_share(pfn, this->count);")),
    SHARED.good("commented", before(SHARE, "/* kfree(this); goto unlock; } */\n// rb_erase(x);")),
    SHARED.good("stores-swapped", move_above("this->count = 1", "this->pfn = pfn")),
    SHARED.good(
        "store-later", delete("this->count = 1"), after("rb_insert_color", "this->count = 1;")
    ),
    SHARED.good(
        "declarations-split",
        delete("struct rb_node **node, *parent"),
        declare("struct rb_node *parent;\nstruct rb_node **node;"),
    ),
    SHARED.good(
        "const",
        declare("const u64 page = pfn;"),
        replace(_CALL, f"kvm_call_hyp_nvhe({SHARE}, page, 1)"),
    ),
    SHARED.good("count-loop", replace("this->count++", "this->count += 1")),
    SHARED.good(
        "pointer-to-node",
        declare("struct rb_node *rb;"),
        before("rb_link_node", "rb = &this->node;"),
        replace("rb_erase(&this->node", "rb_erase(rb"),
    ),
    SHARED.good(
        "alias",
        declare("struct hyp_shared_pfn *rec;"),
        after("this->count = 1", "rec = this;"),
        replace("rb_erase(&this->node", "rb_erase(&rec->node"),
        replace("kfree(this)", "kfree(rec)"),
    ),
    SHARED.good("call-in-wrapper", replace(_CALL, "share_with_el2(pfn)"), above(_WRAPPER)),
    SHARED.good(
        "call-in-loud-wrapper", replace(_CALL, "share_with_el2(pfn)"), above(_LOUD_WRAPPER)
    ),
    SHARED.good("allocation-in-helper", instead("kzalloc", "this = new_record(pfn);"), above(_NEW)),
    SHARED.good("erase-in-helper", instead("rb_erase", "erase_record(this);"), above(_ERASE)),
    SHARED.good(
        "insert-in-helper",
        delete("rb_link_node"),
        instead("rb_insert_color", "insert_record(this, parent, node);"),
        above(_INSERT),
    ),
    SHARED.good(
        "insert-and-erase-in-helpers",
        delete("rb_link_node"),
        instead("rb_insert_color", "insert_record(this, parent, node);"),
        instead("rb_erase", "erase_record(this);"),
        above(_INSERT),
        above(_ERASE),
    ),
    SHARED.good("no-lock-label", everywhere("goto unlock", "goto out"), replace("unlock:", "out:")),
    SHARED.good(
        "unlocked-before-return",
        after("kfree(this)", "mutex_unlock(&hyp_shared_pfns_lock);\nreturn ret;"),
    ),
    SHARED.good("panic", replace("if (ret) {", "if (ret) {\n\t\tpanic();")),
    SHARED_LATE.good("late-success-nested", in_next(SHARE, "if (ret)", "if (ret < 0)")),
    SHARED_GUARDED.good("guarded-failure-returned", after("kfree(this)", "return ret;")),
    SHARED_GUARDED.good(
        "guarded-scope",
        replace("guard(mutex)(&hyp_shared_pfns_lock)", "CLASS(mutex, lock)(&hyp_shared_pfns_lock)"),
    ),
)

KEEP_UNSHARE: tuple[Edit, ...] = (
    UNSHARED.good("local-renamed", everywhere("this", "rec")),
    UNSHARED.good("negative", in_next(UNSHARE, "if (ret)", "if (ret < 0)")),
    UNSHARED.good(
        "success-nested",
        in_next(UNSHARE, "if (ret)", "if (ret != 0)"),
        before("rb_erase", "pr_debug();"),
    ),
    UNSHARED.good("warned", in_next(UNSHARE, "if (ret)", "if (WARN_ON(ret))")),
    UNSHARED.good("zeroed-after", before("rb_erase", "this->count = 0;")),
    UNSHARED.good(
        "forgotten-in-helper",
        delete("rb_erase"),
        instead("kfree(this)", "forget(this);"),
        above(
            f"static void forget(struct hyp_shared_pfn *this)\n{{\n\t{ERASE}\n\tkfree(this);\n}}"
        ),
    ),
    UNSHARED_RESTORED.good(
        "restored-predecrement",
        delete("this->count--"),
        replace("if (this->count)", "if (--this->count)"),
    ),
    UNSHARED_RESTORED.good("restored-assigned", replace("this->count++", "this->count = 1")),
    UNSHARED_RESTORED.good("restored-added", replace("this->count++", "this->count += 1")),
)

KEEP_RANGE: tuple[Edit, ...] = (
    RANGE.good("local-renamed", everywhere("cur", "at")),
    RANGE.good("printed", before("while (cur > start)", "kvm_err();")),
    RANGE.good(
        "unwind-in-helper", instead("while (cur > start)", "unwind(start, cur);"), above(_UNWIND)
    ),
    RANGE.good(
        "undo-warned-apart",
        declare("int err;"),
        instead(
            "WARN_ON(unshare_pfn_hyp",
            "err = unshare_pfn_hyp(__phys_to_pfn(cur));\nif (WARN_ON(err))\n\tkvm_err();",
        ),
    ),
    RANGE.good("warned-once", replace("WARN_ON(", "WARN_ON_ONCE(")),
    RANGE.good(
        "first-error-kept",
        declare("int first;"),
        before("while (cur > start)", "first = ret;"),
        drop_next("while (cur > start)"),
        after("while (cur > start)", "return first;"),
    ),
    RANGE.good(
        "page-inline",
        delete("pfn = __phys"),
        replace(SHARE_PAGE, "share_pfn_hyp(__phys_to_pfn(cur))"),
    ),
    RANGE.good("checked-after-loop", before(LOOP, "might_sleep();")),
    RANGE_LABELLED.good("labelled-label-renamed", everywhere("unwind", "err_unshare")),
    RANGE_LABELLED.good(
        "labelled-failure-negative", in_next(SHARE_PAGE, "if (ret)", "if (ret < 0)")
    ),
    UNSHARED_RANGE.good("warned-once", replace("WARN_ON(", "WARN_ON_ONCE(")),
    UNSHARED_RANGE.good(
        "tested",
        declare("int ret;"),
        instead("WARN_ON(unshare", "ret = unshare_pfn_hyp(pfn);\nWARN_ON(ret);"),
    ),
    IO_MAPPING.good("negative", replace("if (ret)", "if (ret < 0)")),
    IO_MAPPING.good(
        "mapping-in-local",
        declare("void __iomem *map;"),
        replace("*kaddr = ioremap", "map = ioremap"),
        replace("if (!*kaddr)", "if (!map)"),
        replace("*haddr = *kaddr", "*kaddr = map;\n\t\t*haddr = map"),
        replace("iounmap(*kaddr)", "iounmap(map)"),
        delete("*kaddr = NULL"),
        before("*haddr = (void", "*kaddr = map;"),
    ),
)

MMU_KEPT: tuple[Edit, ...] = (*KEEP_SHARE, *KEEP_UNSHARE, *KEEP_RANGE)

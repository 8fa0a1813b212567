"""More edits that break 6.12 and 6.1 where only another file shows it: hypercalls that moved, what
callers do with the status of kvm_unshare_hyp(), modes that came later, EL2 that fails now; and 6.1.
"""

from __future__ import annotations

from tests.kernel.cross_bases import (
    ASM_H,
    BASE,
    BASE_6_1,
    BASE_6_1_TOLD,
    BASE_FP,
    BASE_GIC,
    BASE_TOLD,
    FPSIMD,
    HANDLERS,
    HOST_SHARE,
    HOST_UNSHARE,
    KVM,
    MAPPING,
    MMU,
    MMU_H,
    PKVM,
    RANGE_SVE,
    THROUGH_PKVM,
    TIMER,
    UNSHARE_KVM,
    VGIC_V2,
    VGIC_V3,
    prototype,
)
from tests.kernel.cross_edit import CrossEdit, append, change, swap, whole
from tests.kernel.cross_edits import (
    DESTROY,
    FIRST_RUN,
    INIT,
    MAP_FP,
    NEW_VCPU,
    SVE,
)
from tests.kernel.edit import (
    IGNORED,
    NARROWED,
    RELEASE,
    ROLLBACK,
    SWALLOWED,
    TEARDOWN,
)
from tests.kernel.mmu_versions import SHARE, UNSHARE
from tests.kernel.operators import (
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
)

# --- The hypercalls of mmu.c moved to pkvm.c --------------------------------------------------

_BOTH = f"{HOST_SHARE}\n\n{HOST_UNSHARE}"
_SHARE_PRINTS = HOST_SHARE.replace("return ", "int ret = ").replace(
    "\n}", '\n\n\tif (ret)\n\t\tkvm_err("no share: %d\\n", ret);\n\n\treturn 0;\n}'
)
_UNSHARE_WARNS = (
    f"void pkvm_host_unshare(u64 pfn)\n{{\n\tWARN_ON(kvm_call_hyp_nvhe({UNSHARE}, pfn, 1));\n}}"
)

MOVED: tuple[CrossEdit, ...] = (
    BASE.breaks(
        "moved-undo-deleted",
        ROLLBACK,
        SHARE,
        (MMU, "share_pfn_hyp"),
        *THROUGH_PKVM,
        whole(PKVM, append(_BOTH)),
        change(MMU, "share_pfn_hyp", drop_next("pkvm_host_share(pfn)")),
    ),
    BASE.breaks(
        "moved-erased-first",
        TEARDOWN,
        UNSHARE,
        (MMU, "unshare_pfn_hyp"),
        *THROUGH_PKVM,
        whole(PKVM, append(_BOTH)),
        change(MMU, "unshare_pfn_hyp", move_above("rb_erase", "pkvm_host_unshare(pfn)")),
    ),
    BASE.breaks(
        "moved-share-only-prints",
        SWALLOWED,
        SHARE,
        (PKVM, "pkvm_host_share"),
        *THROUGH_PKVM,
        whole(PKVM, append(f"{_SHARE_PRINTS}\n\n{HOST_UNSHARE}")),
    ),
    BASE.breaks(
        "moved-unshare-only-warns",
        f"{SWALLOWED} {RELEASE}",
        UNSHARE,
        (PKVM, "pkvm_host_unshare"),
        *THROUGH_PKVM,
        whole(MMU_H, swap("int pkvm_host_unshare(u64 pfn);", "void pkvm_host_unshare(u64 pfn);")),
        whole(PKVM, append(f"{HOST_SHARE}\n\n{_UNSHARE_WARNS}")),
        change(
            MMU,
            "unshare_pfn_hyp",
            drop_next("pkvm_host_unshare(pfn)"),
            bare("pkvm_host_unshare(pfn)"),
        ),
        also=((MMU, "unshare_pfn_hyp"),),
    ),
    BASE.breaks(
        "undo-in-helper-elsewhere-only-frees",
        ROLLBACK,
        SHARE,
        (MMU, "share_pfn_hyp"),
        prototype("void pkvm_forget(void *record);"),
        whole(PKVM, append("void pkvm_forget(void *record)\n{\n\tkfree(record);\n}")),
        change(
            MMU, "share_pfn_hyp", delete("rb_erase"), replace("kfree(this)", "pkvm_forget(this)")
        ),
    ),
)

# --- kvm_unshare_hyp() returns a status: what its callers do with it --------------------------

_SVE = f"kvm_unshare_hyp({RANGE_SVE})"
_TAKE_BACK = (
    "void pkvm_take_back(void *from, void *to)\n{\n\tWARN_ON(kvm_unshare_hyp(from, to));\n}"
)

UNSHARED: tuple[CrossEdit, ...] = (
    BASE_TOLD.breaks(
        "warned-and-freed",
        RELEASE,
        UNSHARE,
        DESTROY,
        change(*DESTROY, delete("sve_state = NULL")),
    ),
    BASE_TOLD.breaks(
        "ignored-and-freed",
        f"{IGNORED} {RELEASE}",
        UNSHARE,
        DESTROY,
        change(*DESTROY, instead("if (sve_state && WARN_ON", f"if (sve_state)\n\t{_SVE};")),
    ),
    BASE_TOLD.breaks(
        "void-wrapper-elsewhere-then-freed",
        f"{SWALLOWED} {RELEASE}",
        UNSHARE,
        (PKVM, "pkvm_take_back"),
        prototype("void pkvm_take_back(void *from, void *to);"),
        whole(PKVM, append(_TAKE_BACK)),
        change(
            *DESTROY,
            instead("if (sve_state && WARN_ON", f"if (sve_state)\n\tpkvm_take_back({RANGE_SVE});"),
        ),
        also=(DESTROY,),
    ),
    BASE_6_1_TOLD.breaks(
        "task-put-though-shared",
        RELEASE,
        UNSHARE,
        (FPSIMD, "kvm_vcpu_unshare_task_fp"),
        change(
            FPSIMD,
            "kvm_vcpu_unshare_task_fp",
            instead(
                "if (!WARN_ON",
                "WARN_ON(kvm_unshare_hyp(fpsimd, fpsimd + 1));\nput_task_struct(p);",
            ),
        ),
    ),
)

# --- Modes that 6.12 leaves out; EL2 that fails now ------------------------------------------

OTHERS: tuple[CrossEdit, ...] = (
    BASE_FP.breaks(
        "success-returned",
        SWALLOWED,
        SHARE,
        MAP_FP,
        change(*MAP_FP, in_next("kvm_share_hyp", "return ret", "return 0")),
    ),
    BASE_FP.breaks(
        "task-kept",
        ROLLBACK,
        SHARE,
        MAP_FP,
        change(*MAP_FP, before("kvm_share_hyp", "get_task_struct(current);")),
    ),
    BASE_FP.breaks(
        "bare-call", IGNORED, SHARE, FIRST_RUN, change(*FIRST_RUN, bare("kvm_arch_vcpu_run_map_fp"))
    ),
    BASE_GIC.breaks(
        "first-mapping-kept",
        ROLLBACK,
        MAPPING,
        (VGIC_V2, "vgic_v2_probe"),
        change(VGIC_V2, "vgic_v2_probe", delete("if (kvm_vgic_global_state.vcpu_base_va)")),
    ),
    BASE.breaks(
        "el2-may-refuse",
        IGNORED,
        "__kvm_timer_set_cntvoff",
        (TIMER, "set_cntvoff"),
        whole(
            f"{KVM}/hyp/nvhe/timer-sr.c",
            swap("void __kvm_timer_set_cntvoff(", "int __kvm_timer_set_cntvoff("),
        ),
        change(
            f"{KVM}/hyp/nvhe/timer-sr.c",
            "__kvm_timer_set_cntvoff",
            before("write_sysreg", "if (cntvoff >> 63)\n\treturn -EINVAL;\n"),
            after("write_sysreg", "return 0;"),
        ),
        whole(
            ASM_H,
            swap("void __kvm_timer_set_cntvoff(u64", "int __kvm_timer_set_cntvoff(u64"),
        ),
        change(
            HANDLERS,
            "handle___kvm_timer_set_cntvoff",
            replace(
                "__kvm_timer_set_cntvoff(cpu", "cpu_reg(host_ctxt, 1) = __kvm_timer_set_cntvoff(cpu"
            ),
        ),
    ),
    BASE.breaks(
        "el2-may-refuse",
        NARROWED,
        "__vgic_v3_get_gic_config",
        (VGIC_V3, "vgic_v3_probe"),
        change(
            f"{KVM}/hyp/vgic-v3-sr.c",
            "__vgic_v3_get_gic_config",
            before(
                "if (has_vhe())\n\t\tflags",
                "if (!cpus_have_final_cap(ARM64_HAS_GIC_CPUIF_SYSREGS))\n\treturn -ENODEV;\n",
            ),
        ),
    ),
)

# --- 6.1 --------------------------------------------------------------------------------------

OLDER: tuple[CrossEdit, ...] = (
    BASE_6_1.breaks("unshare-deleted", ROLLBACK, SHARE, INIT, change(*INIT, delete(UNSHARE_KVM))),
    BASE_6_1.breaks(
        "one-rung-too-low",
        ROLLBACK,
        SHARE,
        INIT,
        change(*INIT, in_next("ret = -ENOMEM", "goto out_unshare", "goto out_free_stage2_pgd")),
    ),
    BASE_6_1.breaks(
        "task-pointer-kept",
        TEARDOWN,
        SHARE,
        MAP_FP,
        change(FPSIMD, "kvm_vcpu_unshare_task_fp", delete("vcpu->arch.parent_task = NULL")),
    ),
    BASE_6_1.breaks(
        "task-kept",
        ROLLBACK,
        SHARE,
        MAP_FP,
        change(
            *MAP_FP,
            delete("get_task_struct(current)"),
            before("kvm_share_hyp", "if (is_protected_kvm_enabled())\n\tget_task_struct(current);"),
        ),
    ),
    BASE_6_1.breaks(
        "later-step-fails",
        ROLLBACK,
        SHARE,
        MAP_FP,
        change(
            *MAP_FP,
            before(
                "if (is_protected_kvm_enabled())",
                "vcpu->arch.sve_state = kzalloc(64, GFP_KERNEL);\n"
                "if (!vcpu->arch.sve_state)\n\treturn -ENOMEM;\n",
            ),
        ),
    ),
    BASE_6_1.breaks(
        "later-step-fails",
        ROLLBACK,
        SHARE,
        SVE,
        change(
            *SVE,
            declare("void *log;"),
            before(
                "vcpu->arch.sve_state = buf",
                "log = kmalloc(64, GFP_KERNEL);\n"
                "if (!log) {\n\tkfree(buf);\n\treturn -ENOMEM;\n}\nkfree(log);",
            ),
        ),
    ),
    BASE_6_1.breaks(
        "arch-destroy-deleted",
        ROLLBACK,
        SHARE,
        NEW_VCPU,
        change(*NEW_VCPU, delete("kvm_arch_vcpu_destroy(vcpu)")),
    ),
)


MORE_CROSS: tuple[CrossEdit, ...] = (*MOVED, *UNSHARED, *OTHERS, *OLDER)

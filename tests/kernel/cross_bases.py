"""What edits of several files start from: 6.12 and 6.1 with what is wrong in them corrected."""

from __future__ import annotations

from tests.kernel.cross_edit import Base, Change, change, changes_of, swap, whole
from tests.kernel.mmu_versions import FIXED, LOOP, SHARE, UNSHARE
from tests.kernel.operators import (
    Step,
    after,
    before,
    declare,
    delete,
    in_next,
    instead,
    replace,
)

KVM = "arch/arm64/kvm"
ASM = "arch/arm64/include/asm"
ARM, MMU, PKVM = f"{KVM}/arm.c", f"{KVM}/mmu.c", f"{KVM}/pkvm.c"
RESET, FPSIMD = f"{KVM}/reset.c", f"{KVM}/fpsimd.c"
VGIC_V2, VGIC_V3 = f"{KVM}/vgic/vgic-v2.c", f"{KVM}/vgic/vgic-v3.c"
TIMER = f"{KVM}/arch_timer.c"
MAIN = "virt/kvm/kvm_main.c"
MMU_H, ASM_H = f"{ASM}/kvm_mmu.h", f"{ASM}/kvm_asm.h"
HANDLERS = f"{KVM}/hyp/nvhe/hyp-main.c"

INIT_VM, INIT_VCPU = "__pkvm_init_vm", "__pkvm_init_vcpu"
MAPPING = "__pkvm_create_private_mapping"

SHARE_KVM = "kvm_share_hyp(kvm, kvm + 1)"
UNSHARE_KVM = "kvm_unshare_hyp(kvm, kvm + 1)"
SHARE_VCPU = "kvm_share_hyp(vcpu, vcpu + 1)"
UNSHARE_VCPU = "kvm_unshare_hyp(vcpu, vcpu + 1)"
SHARE_BUF = "kvm_share_hyp(buf"
UNSHARE_SVE = "kvm_unshare_hyp(sve_state"
RANGE_SVE = "sve_state, sve_state + vcpu_sve_state_size(vcpu)"


def prototype(code: str) -> Change:
    """Declares a function in the header that all of these files include."""
    known = "int kvm_share_hyp(void *from, void *to);"
    return whole(MMU_H, swap(known, f"{known}\n{code}"))


_VECTOR = change(
    # Both kernels drop this status; it is not what is edited here.
    ARM,
    "cpu_set_hyp_vector",
    replace(
        "kvm_call_hyp_nvhe(__pkvm_cpu_set_vector, data->slot)",
        "WARN_ON(kvm_call_hyp_nvhe(__pkvm_cpu_set_vector, data->slot))",
    ),
)

BASE = Base("6.12", "6.12", (*changes_of(FIXED), _VECTOR))

# --- The hypercalls of mmu.c go through functions of pkvm.c -----------------------------------

HOST_SHARE = f"int pkvm_host_share(u64 pfn)\n{{\n\treturn kvm_call_hyp_nvhe({SHARE}, pfn, 1);\n}}"
HOST_UNSHARE = (
    f"int pkvm_host_unshare(u64 pfn)\n{{\n\treturn kvm_call_hyp_nvhe({UNSHARE}, pfn, 1);\n}}"
)
THROUGH_PKVM: tuple[Change, ...] = (
    prototype("int pkvm_host_share(u64 pfn);\nint pkvm_host_unshare(u64 pfn);"),
    change(
        MMU,
        "share_pfn_hyp",
        replace(f"kvm_call_hyp_nvhe({SHARE}, pfn, 1)", "pkvm_host_share(pfn)"),
    ),
    change(
        MMU,
        "unshare_pfn_hyp",
        replace(f"kvm_call_hyp_nvhe({UNSHARE}, pfn, 1)", "pkvm_host_unshare(pfn)"),
    ),
)
"""Without the two functions themselves."""

# --- kvm_unshare_hyp() tells its callers, and they leak what EL2 still holds ------------------

TOLD: tuple[Change, ...] = (
    whole(
        MMU,
        swap("void kvm_unshare_hyp(void *from, void *to)", "int kvm_unshare_hyp(void *a, void *b)"),
        swap("int kvm_unshare_hyp(void *a, void *b)", "int kvm_unshare_hyp(void *from, void *to)"),
    ),
    whole(
        MMU_H,
        swap(
            "void kvm_unshare_hyp(void *from, void *to);",
            "int kvm_unshare_hyp(void *from, void *to);",
        ),
    ),
    change(
        MMU,
        "kvm_unshare_hyp",
        declare("int err, ret = 0;"),
        replace("return;", "return 0;"),
        instead(
            "WARN_ON(unshare_pfn_hyp(pfn))", "err = unshare_pfn_hyp(pfn);\nif (err)\n\tret = err;"
        ),
        after(LOOP, "return ret;"),
    ),
)


def warned(call: str) -> Step:
    return replace(call, f"WARN_ON({call})")


LEAKED = f"if (sve_state && WARN_ON(kvm_unshare_hyp({RANGE_SVE})))\n\tsve_state = NULL;"

BASE_TOLD = BASE.but(
    "6.12-told",
    *TOLD,
    change(ARM, "kvm_arch_init_vm", warned(UNSHARE_KVM)),
    change(ARM, "kvm_arch_destroy_vm", warned(UNSHARE_KVM)),
    change(
        RESET,
        "kvm_arm_vcpu_destroy",
        warned(UNSHARE_VCPU),
        instead("if (sve_state)", LEAKED),
    ),
)

# --- Protected mode may come to code that leaves it out in 6.12 -------------------------------

BASE_FP = BASE.but(
    "6.12-fp",
    change(FPSIMD, "kvm_arch_vcpu_run_map_fp", delete("if (is_protected_kvm_enabled())")),
)
BASE_GIC = BASE.but(
    "6.12-gic",
    change(MMU, "create_hyp_io_mappings", delete("if (is_protected_kvm_enabled())")),
    change(VGIC_V2, "vgic_v2_probe", delete("if (is_protected_kvm_enabled())")),
)

# --- 6.1 ---------------------------------------------------------------------------------------

BASE_6_1 = Base(
    "6.1",
    "6.1",
    (
        *changes_of(FIXED),
        _VECTOR,
        change(
            ARM,
            "kvm_arch_init_vm",
            in_next("ret = -ENOMEM", "goto out_free_stage2_pgd", "goto out_unshare"),
            before("out_free_stage2_pgd:", f"out_unshare:\n\t{UNSHARE_KVM};"),
        ),
        change(
            FPSIMD,
            "kvm_vcpu_unshare_task_fp",
            after("put_task_struct(p)", "vcpu->arch.parent_task = NULL;"),
        ),
    ),
)
BASE_6_1_TOLD = BASE_6_1.but(
    "6.1-told",
    *TOLD,
    change(ARM, "kvm_arch_init_vm", warned(UNSHARE_KVM)),
    change(ARM, "kvm_arch_destroy_vm", warned(UNSHARE_KVM)),
    change(
        RESET,
        "kvm_arm_vcpu_destroy",
        warned(UNSHARE_VCPU),
        instead("if (sve_state)", LEAKED),
    ),
    change(
        FPSIMD,
        "kvm_vcpu_unshare_task_fp",
        delete("kvm_unshare_hyp(fpsimd, fpsimd + 1)"),
        instead(
            "put_task_struct(p)",
            "if (!WARN_ON(kvm_unshare_hyp(fpsimd, fpsimd + 1)))\n\tput_task_struct(p);",
        ),
    ),
)

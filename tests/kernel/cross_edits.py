"""Edits that break 6.12 and 6.1 where only another file shows that something is broken.

The list was written before it was run. ``MISSED`` names those that are not reported, and why.
"""

from __future__ import annotations

from tests.kernel.cross_bases import (
    ARM,
    BASE,
    FPSIMD,
    INIT_VCPU,
    INIT_VM,
    MAIN,
    MMU,
    PKVM,
    RESET,
    SHARE_BUF,
    SHARE_KVM,
    SHARE_VCPU,
    UNSHARE_KVM,
    UNSHARE_VCPU,
    prototype,
)
from tests.kernel.cross_edit import CrossEdit, append, change, whole
from tests.kernel.edit import (
    BATCH,
    IGNORED,
    LOCK,
    NARROWED,
    RELEASE,
    ROLLBACK,
    SWALLOWED,
    UNCHECKED,
    UPDATE,
)
from tests.kernel.mmu_versions import SHARE, UNSHARE
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
    replace,
)

INIT = (ARM, "kvm_arch_init_vm")
CREATE = (ARM, "kvm_arch_vcpu_create")
FIRST_RUN = (ARM, "kvm_arch_vcpu_run_pid_change")
SVE = (RESET, "kvm_vcpu_finalize_sve")
DESTROY = (RESET, "kvm_arm_vcpu_destroy")
MAP_FP = (FPSIMD, "kvm_arch_vcpu_run_map_fp")
NEW_VCPU = (MAIN, "kvm_vm_ioctl_create_vcpu")

VM_OR_VCPU = f"{INIT_VM} {INIT_VCPU}"
_BATCH = f"{BATCH} {ROLLBACK}"

_TABLE = (
    "vcpu->arch.ccsidr = kcalloc(8, sizeof(u32), GFP_KERNEL_ACCOUNT);\n"
    "if (!vcpu->arch.ccsidr) {\n\t%s\n\treturn -ENOMEM;\n}"
)
"""A later step of the setup of a vCPU, which fails with what is filled in."""

# --- Undos dropped in the error path of a caller of kvm_share_hyp() ---------------------------

CALLERS: tuple[CrossEdit, ...] = (
    BASE.breaks("unshare-deleted", ROLLBACK, SHARE, INIT, change(*INIT, delete(UNSHARE_KVM))),
    BASE.breaks(
        "returned-past-unshare",
        ROLLBACK,
        SHARE,
        INIT,
        change(*INIT, instead("ret = -ENOMEM", "return -ENOMEM;")),
    ),
    BASE.breaks(
        "stage2-failure-returned",
        ROLLBACK,
        SHARE,
        INIT,
        change(*INIT, in_next("kvm_init_stage2_mmu", "goto err_free_cpumask", "return ret")),
    ),
    BASE.breaks(
        "unshared-for-some-errnos",
        ROLLBACK,
        SHARE,
        INIT,
        change(*INIT, instead(UNSHARE_KVM, f"if (ret != -ENOMEM)\n\t{UNSHARE_KVM};")),
    ),
    BASE.breaks(
        "other-object-unshared",
        ROLLBACK,
        SHARE,
        INIT,
        change(
            *INIT,
            declare("struct kvm *other = kvm->arch.vgic.its_vm;"),
            replace(UNSHARE_KVM, "kvm_unshare_hyp(other, other + 1)"),
        ),
    ),
    BASE.breaks(
        "shared-in-helper-elsewhere",
        ROLLBACK,
        SHARE,
        INIT,
        prototype("int pkvm_share_vm(struct kvm *kvm);"),
        whole(PKVM, append(f"int pkvm_share_vm(struct kvm *kvm)\n{{\n\treturn {SHARE_KVM};\n}}")),
        change(*INIT, replace(SHARE_KVM, "pkvm_share_vm(kvm)"), delete(UNSHARE_KVM)),
    ),
    BASE.breaks(
        "unshared-in-helper-that-does-not",
        ROLLBACK,
        SHARE,
        INIT,
        prototype("void pkvm_unshare_vm(struct kvm *kvm);"),
        whole(
            PKVM,
            append(
                "void pkvm_unshare_vm(struct kvm *kvm)\n{\n\tkvm->arch.pkvm.handle = 0;\n}",
            ),
        ),
        change(*INIT, replace(UNSHARE_KVM, "pkvm_unshare_vm(kvm)")),
    ),
    BASE.breaks("vgic-kept", ROLLBACK, SHARE, CREATE, change(*CREATE, drop_next(SHARE_VCPU))),
    BASE.breaks(
        "later-step-fails",
        ROLLBACK,
        SHARE,
        CREATE,
        change(
            *CREATE,
            drop_next(SHARE_VCPU),
            after(
                SHARE_VCPU,
                "if (err) {\n\tkvm_vgic_vcpu_destroy(vcpu);\n\treturn err;\n}\n"
                + _TABLE % "kvm_vgic_vcpu_destroy(vcpu);",
            ),
        ),
    ),
    BASE.breaks(
        "second-share-fails",
        _BATCH,
        SHARE,
        CREATE,
        change(
            *CREATE,
            before(
                SHARE_VCPU,
                "err = kvm_share_hyp(vcpu->run, vcpu->run + 1);\n"
                "if (err) {\n\tkvm_vgic_vcpu_destroy(vcpu);\n\treturn err;\n}",
            ),
        ),
    ),
    BASE.breaks("status-in-bool", NARROWED, SHARE, CREATE, change(*CREATE, replace("int", "bool"))),
    BASE.breaks("buffer-kept", ROLLBACK, SHARE, SVE, change(*SVE, delete("kfree(buf)"))),
    BASE.breaks(
        "later-step-fails",
        ROLLBACK,
        SHARE,
        SVE,
        change(*SVE, before("vcpu->arch.sve_state = buf", _TABLE % "kfree(buf);")),
    ),
    BASE.breaks(
        "freed-after-void-unshare",
        RELEASE,
        UNSHARE,
        SVE,
        change(
            *SVE,
            declare("void *log;"),
            before(
                "vcpu->arch.sve_state = buf",
                "log = kmalloc(64, GFP_KERNEL);\nif (!log) {\n"
                "\tkvm_unshare_hyp(buf, buf + reg_sz);\n\tkfree(buf);\n\treturn -ENOMEM;\n}\n"
                "kfree(log);",
            ),
        ),
    ),
    BASE.breaks(
        "check-dropped", f"{UNCHECKED} {UPDATE}", SHARE, SVE, change(*SVE, drop_next(SHARE_BUF))
    ),
    BASE.breaks("bare-call", IGNORED, SHARE, SVE, change(*SVE, bare(SHARE_BUF))),
    BASE.breaks(
        "success-returned", SWALLOWED, SHARE, SVE, change(*SVE, replace("return ret", "return 0"))
    ),
    BASE.breaks(
        "published-after-failure",
        f"{UPDATE} {ROLLBACK}",
        SHARE,
        SVE,
        change(*SVE, delete("return ret"), replace("return 0", "return ret")),
    ),
    BASE.breaks(
        "unsigned",
        NARROWED,
        SHARE,
        SVE,
        change(*SVE, replace("int ret", "u32 ret"), replace("if (ret)", "if (ret < 0)")),
    ),
    BASE.breaks(
        "lock-kept",
        LOCK,
        SHARE,
        SVE,
        change(
            *SVE,
            before(SHARE_BUF, "mutex_lock(&vcpu->kvm->arch.config_lock);"),
            before("vcpu->arch.sve_state = buf", "mutex_unlock(&vcpu->kvm->arch.config_lock);"),
        ),
    ),
    BASE.breaks(
        "finalize-dropped-by-ioctl",
        IGNORED,
        SHARE,
        (ARM, "kvm_arch_vcpu_ioctl"),
        change(
            ARM,
            "kvm_arch_vcpu_ioctl",
            instead(
                "return kvm_arm_vcpu_finalize", "kvm_arm_vcpu_finalize(vcpu, what);\nreturn 0;"
            ),
        ),
    ),
    BASE.breaks(
        "inline-wrapper-check-dropped",
        f"{UNCHECKED} {UPDATE}",
        SHARE,
        SVE,
        prototype(
            "static inline int pkvm_share_bytes(void *p, size_t n)\n"
            "{\n\treturn kvm_share_hyp(p, p + n);\n}"
        ),
        change(
            *SVE,
            replace("kvm_share_hyp(buf, buf + reg_sz)", "pkvm_share_bytes(buf, reg_sz)"),
            drop_next("pkvm_share_bytes"),
        ),
    ),
)

# --- virt/kvm: the undo is three files away ---------------------------------------------------

GENERIC: tuple[CrossEdit, ...] = (
    BASE.breaks(
        "run-page-kept",
        ROLLBACK,
        SHARE,
        NEW_VCPU,
        change(
            *NEW_VCPU,
            in_next("kvm_arch_vcpu_create(vcpu)", "goto vcpu_free_run_page", "goto vcpu_free"),
        ),
    ),
    BASE.breaks(
        "one-rung-too-low",
        ROLLBACK,
        SHARE,
        NEW_VCPU,
        change(
            *NEW_VCPU,
            in_next("kvm_dirty_ring_alloc", "goto arch_vcpu_destroy", "goto vcpu_free_run_page"),
        ),
    ),
    BASE.breaks(
        "arch-destroy-deleted",
        ROLLBACK,
        SHARE,
        NEW_VCPU,
        change(*NEW_VCPU, delete("kvm_arch_vcpu_destroy(vcpu)")),
    ),
    BASE.breaks(
        "arch-destroy-unshares-no-more",
        ROLLBACK,
        SHARE,
        NEW_VCPU,
        change(*DESTROY, delete(UNSHARE_VCPU)),
    ),
    BASE.breaks(
        "one-rung-too-low",
        ROLLBACK,
        SHARE,
        (MAIN, "kvm_create_vm"),
        change(
            MAIN,
            "kvm_create_vm",
            in_next(
                "kvm_enable_virtualization()",
                "goto out_err_no_disable",
                "goto out_err_no_arch_destroy_vm",
            ),
        ),
    ),
)

# --- pkvm_create_hyp_vm() and its caller in arm.c ---------------------------------------------

_FREES_ONE = (
    "void free_vm_pages(void *vm, size_t vm_sz, void *pgd, size_t pgd_sz)\n"
    "{\n\tfree_pages_exact(vm, vm_sz);\n}"
)
_SHARE_VCPUS = (
    "static int share_vcpus(struct kvm *kvm)\n{\n\tstruct kvm_vcpu *vcpu;\n"
    "\tunsigned long i;\n\tint ret;\n\n\tkvm_for_each_vcpu(i, vcpu, kvm) {\n"
    f"\t\tret = {SHARE_VCPU};\n\t\tif (ret)\n\t\t\treturn ret;\n\t}}\n\n\treturn 0;\n}}"
)

VMS: tuple[CrossEdit, ...] = (
    BASE.breaks(
        "bare-call", IGNORED, VM_OR_VCPU, FIRST_RUN, change(*FIRST_RUN, bare("pkvm_create_hyp_vm"))
    ),
    BASE.breaks(
        "success-returned",
        SWALLOWED,
        VM_OR_VCPU,
        FIRST_RUN,
        change(*FIRST_RUN, in_next("pkvm_create_hyp_vm", "return ret", "return 0")),
    ),
    BASE.breaks(
        "page-kept",
        ROLLBACK,
        VM_OR_VCPU,
        FIRST_RUN,
        change(
            *FIRST_RUN,
            declare("unsigned long page;"),
            before(
                "pkvm_create_hyp_vm",
                "page = __get_free_page(GFP_KERNEL);\nif (!page)\n\treturn -ENOMEM;",
            ),
            drop_next("pkvm_create_hyp_vm"),
            after("pkvm_create_hyp_vm", "if (ret)\n\treturn ret;\nfree_page(page);"),
        ),
    ),
    BASE.breaks(
        "lock-kept",
        LOCK,
        VM_OR_VCPU,
        FIRST_RUN,
        change(
            *FIRST_RUN,
            before("pkvm_create_hyp_vm", "mutex_lock(&kvm->slots_lock);"),
            drop_next("pkvm_create_hyp_vm"),
            after("pkvm_create_hyp_vm", "if (ret)\n\treturn ret;\nmutex_unlock(&kvm->slots_lock);"),
        ),
    ),
    BASE.breaks(
        "pgd-kept-by-helper-elsewhere",
        ROLLBACK,
        INIT_VM,
        (PKVM, "__pkvm_create_hyp_vm"),
        prototype("void free_vm_pages(void *vm, size_t vm_sz, void *pgd, size_t pgd_sz);"),
        whole(MMU, append(_FREES_ONE)),
        change(
            PKVM,
            "__pkvm_create_hyp_vm",
            instead("goto free_vm", "free_vm_pages(hyp_vm, hyp_vm_sz, pgd, pgd_sz);\nreturn ret;"),
        ),
    ),
    BASE.breaks(
        "shared-one-by-one",
        _BATCH,
        SHARE,
        (PKVM, "share_vcpus"),
        change(
            PKVM,
            "pkvm_create_hyp_vm",
            above(_SHARE_VCPUS),
            replace("ret = __pkvm_create_hyp_vm(host_kvm)", "ret = share_vcpus(host_kvm)"),
        ),
    ),
    BASE.breaks(
        "init-host-vm-shares-a-page",
        ROLLBACK,
        SHARE,
        (PKVM, "pkvm_init_host_vm"),
        change(
            PKVM,
            "pkvm_init_host_vm",
            instead(
                "return 0",
                "void *page = (void *)__get_free_page(GFP_KERNEL);\nint ret;\n\n"
                "if (!page)\n\treturn -ENOMEM;\n\n"
                "ret = kvm_share_hyp(page, page + PAGE_SIZE);\nif (ret)\n\treturn ret;\n\n"
                "host_kvm->arch.sysreg_masks = page;\nreturn 0;",
            ),
        ),
    ),
)

CROSS_CALLERS: tuple[CrossEdit, ...] = (*CALLERS, *GENERIC, *VMS)

"""Edits of several files of 6.12 and 6.1 that change nothing that matters."""

from __future__ import annotations

from tests.kernel.cross_bases import (
    ARM,
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
    MAIN,
    MMU,
    MMU_H,
    PKVM,
    RESET,
    SHARE_KVM,
    SHARE_VCPU,
    THROUGH_PKVM,
    UNSHARE_KVM,
    VGIC_V2,
    prototype,
)
from tests.kernel.cross_edit import CrossEdit, append, change, gone, renamed, swap, whole
from tests.kernel.operators import above, after, before, declare, delete, drop_next, replace

_SHARE_VM = f"int pkvm_share_vm(struct kvm *kvm)\n{{\n\treturn {SHARE_KVM};\n}}"
_UNSHARE_VM = f"void pkvm_unshare_vm(struct kvm *kvm)\n{{\n\t{UNSHARE_KVM};\n}}"
_SHARE_VCPUS = """
static int share_vcpus(struct kvm *kvm)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;
	int ret = 0;

	kvm_for_each_vcpu(i, vcpu, kvm) {
		ret = kvm_share_hyp(vcpu, vcpu + 1);
		if (ret)
			break;
	}
	if (!ret)
		return 0;

	while (i--) {
		vcpu = kvm_get_vcpu(kvm, i);
		kvm_unshare_hyp(vcpu, vcpu + 1);
	}
	return ret;
}
"""
_FREE_BOTH = """
void free_vm_pages(void *vm, size_t vm_sz, void *pgd, size_t pgd_sz)
{
	free_pages_exact(vm, vm_sz);
	free_pages_exact(pgd, pgd_sz);
}
"""
_DESTROY = """
void __pkvm_destroy_hyp_vm(struct kvm *host_kvm)
{
	if (host_kvm->arch.pkvm.handle) {
		WARN_ON(kvm_call_hyp_nvhe(__pkvm_teardown_vm,
					  host_kvm->arch.pkvm.handle));
	}

	host_kvm->arch.pkvm.handle = 0;
	free_hyp_memcache(&host_kvm->arch.pkvm.teardown_mc);
}
"""
_UNDO_VCPU = """
static void undo_new_vcpu(struct kvm_vcpu *vcpu)
{
	kvm_arch_vcpu_destroy(vcpu);
}
"""
_TASK = "kvm_arch_vcpu_run_map_fp"

KEPT: tuple[CrossEdit, ...] = (
    BASE.keeps(
        "shared-and-unshared-in-helpers-elsewhere",
        prototype("int pkvm_share_vm(struct kvm *kvm);\nvoid pkvm_unshare_vm(struct kvm *kvm);"),
        whole(PKVM, append(f"{_SHARE_VM}\n\n{_UNSHARE_VM}")),
        change(
            ARM,
            "kvm_arch_init_vm",
            replace(SHARE_KVM, "pkvm_share_vm(kvm)"),
            replace(UNSHARE_KVM, "pkvm_unshare_vm(kvm)"),
        ),
    ),
    BASE.keeps(
        "functions-renamed",
        *(
            whole(path, renamed("kvm_unshare_hyp", "kvm_take_back_from_hyp"))
            for path in (ARM, MMU, RESET, MMU_H)
        ),
        *(
            whole(path, renamed("kvm_share_hyp", "kvm_lend_to_hyp"))
            for path in (ARM, MMU, RESET, FPSIMD, MMU_H)
        ),
        seen=(MAIN,),
    ),
    BASE.keeps(
        "hypercalls-moved", *THROUGH_PKVM, whole(PKVM, append(HOST_SHARE), append(HOST_UNSHARE))
    ),
    BASE.keeps(
        "second-share-unwound",
        change(
            ARM,
            "kvm_arch_vcpu_create",
            before(
                SHARE_VCPU,
                "err = kvm_share_hyp(vcpu->run, vcpu->run + 1);\n"
                "if (err) {\n\tkvm_vgic_vcpu_destroy(vcpu);\n\treturn err;\n}",
            ),
            drop_next(SHARE_VCPU),
            after(
                SHARE_VCPU,
                "if (err) {\n\tkvm_unshare_hyp(vcpu->run, vcpu->run + 1);\n"
                "\tkvm_vgic_vcpu_destroy(vcpu);\n}",
            ),
        ),
        change(
            RESET,
            "kvm_arm_vcpu_destroy",
            before("kvm_unshare_hyp(vcpu", "kvm_unshare_hyp(vcpu->run, vcpu->run + 1);"),
        ),
        seen=(MAIN,),
    ),
    BASE.keeps(
        "shared-one-by-one-and-unwound",
        change(
            PKVM,
            "pkvm_create_hyp_vm",
            above(_SHARE_VCPUS),
            replace("ret = __pkvm_create_hyp_vm(host_kvm)", "ret = share_vcpus(host_kvm)"),
        ),
        seen=(MMU,),
    ),
    BASE_TOLD.keeps(
        "later-step-unwound",
        change(
            RESET,
            "kvm_vcpu_finalize_sve",
            declare("void *log;"),
            before(
                "vcpu->arch.sve_state = buf",
                "log = kmalloc(64, GFP_KERNEL);\nif (!log) {\n"
                "\tif (!WARN_ON(kvm_unshare_hyp(buf, buf + reg_sz)))\n\t\tkfree(buf);\n"
                "\treturn -ENOMEM;\n}\nkfree(log);",
            ),
        ),
        seen=(MMU,),
    ),
    BASE.keeps(
        "buffer-freed-by-helper-elsewhere",
        prototype("void free_sve_state(void *buf);"),
        whole(MMU, append("void free_sve_state(void *buf)\n{\n\tkfree(buf);\n}")),
        change(RESET, "kvm_vcpu_finalize_sve", replace("kfree(buf)", "free_sve_state(buf)")),
    ),
    BASE.keeps(
        "inline-wrapper",
        prototype(
            "static inline int pkvm_share_bytes(void *p, size_t n)\n"
            "{\n\treturn kvm_share_hyp(p, p + n);\n}"
        ),
        change(
            RESET,
            "kvm_vcpu_finalize_sve",
            replace("kvm_share_hyp(buf, buf + reg_sz)", "pkvm_share_bytes(buf, reg_sz)"),
        ),
    ),
    BASE.keeps(
        "pages-freed-by-helper-elsewhere",
        prototype("void free_vm_pages(void *vm, size_t vm_sz, void *pgd, size_t pgd_sz);"),
        whole(MMU, append(_FREE_BOTH)),
        change(
            PKVM,
            "__pkvm_create_hyp_vm",
            delete("free_pages_exact(hyp_vm, hyp_vm_sz)"),
            before("free_pgd:", "free_vm_pages(hyp_vm, hyp_vm_sz, pgd, pgd_sz);\nreturn ret;"),
        ),
    ),
    BASE.keeps(
        "destroy-moved",
        prototype("void __pkvm_destroy_hyp_vm(struct kvm *host_kvm);"),
        change(PKVM, "__pkvm_destroy_hyp_vm", gone("static void __pkvm_destroy_hyp_vm")),
        whole(MMU, append(_DESTROY)),
        seen=(ARM,),
    ),
    BASE.keeps(
        "page-freed-at-first-run",
        change(
            ARM,
            "kvm_arch_vcpu_run_pid_change",
            declare("unsigned long page;"),
            before(
                "pkvm_create_hyp_vm",
                "page = __get_free_page(GFP_KERNEL);\nif (!page)\n\treturn -ENOMEM;",
            ),
            after("pkvm_create_hyp_vm", "free_page(page);"),
        ),
        seen=(PKVM,),
    ),
    BASE.keeps(
        "lock-released-at-first-run",
        change(
            ARM,
            "kvm_arch_vcpu_run_pid_change",
            before("pkvm_create_hyp_vm", "mutex_lock(&kvm->slots_lock);"),
            after("pkvm_create_hyp_vm", "mutex_unlock(&kvm->slots_lock);"),
        ),
    ),
    BASE.keeps(
        "vector-returns-nothing",
        whole(
            f"{KVM}/hyp/nvhe/mm.c",
            swap("int pkvm_cpu_set_vector(", "void pkvm_cpu_set_vector("),
        ),
        whole(
            f"{KVM}/hyp/include/nvhe/mm.h",
            swap("int pkvm_cpu_set_vector(", "void pkvm_cpu_set_vector("),
        ),
        change(
            f"{KVM}/hyp/nvhe/mm.c",
            "pkvm_cpu_set_vector",
            replace("return -EINVAL", "BUG()"),
            delete("return 0"),
        ),
        change(
            HANDLERS,
            "handle___pkvm_cpu_set_vector",
            replace("cpu_reg(host_ctxt, 1) = pkvm", "pkvm"),
        ),
        change(
            ARM,
            "cpu_set_hyp_vector",
            replace(
                "WARN_ON(kvm_call_hyp_nvhe(__pkvm_cpu_set_vector, data->slot))",
                "kvm_call_hyp_nvhe(__pkvm_cpu_set_vector, data->slot)",
            ),
        ),
    ),
    BASE.keeps(
        "destroyed-in-helper",
        change(
            MAIN,
            "kvm_vm_ioctl_create_vcpu",
            above(_UNDO_VCPU),
            replace("kvm_arch_vcpu_destroy(vcpu)", "undo_new_vcpu(vcpu)"),
        ),
        seen=(ARM,),
    ),
    BASE_TOLD.keeps(
        "leaked-in-helper-elsewhere",
        prototype("int pkvm_take_back(void *from, void *to);"),
        whole(
            PKVM,
            append(
                "int pkvm_take_back(void *from, void *to)\n"
                "{\n\treturn kvm_unshare_hyp(from, to);\n}"
            ),
        ),
        change(
            RESET,
            "kvm_arm_vcpu_destroy",
            replace("WARN_ON(kvm_unshare_hyp(sve_state", "WARN_ON(pkvm_take_back(sve_state"),
        ),
        seen=(MMU,),
    ),
    BASE_FP.keeps(
        "task-put-on-failure",
        change(
            FPSIMD,
            _TASK,
            before("kvm_share_hyp", "get_task_struct(current);"),
            after("kvm_share_hyp", "put_task_struct(current);"),
        ),
        seen=(ARM,),
    ),
    BASE_GIC.keeps(
        "mappings-undone-in-helper",
        change(
            VGIC_V2,
            "vgic_v2_probe",
            above(
                "static void unmap_if(void __iomem *base)\n{\n\tif (base)\n\t\tiounmap(base);\n}"
            ),
            delete("if (kvm_vgic_global_state.vcpu_base_va)"),
            delete("if (kvm_vgic_global_state.vctrl_base)"),
            after(
                "out:",
                "unmap_if(kvm_vgic_global_state.vctrl_base);\n"
                "unmap_if(kvm_vgic_global_state.vcpu_base_va);\n",
            ),
        ),
        seen=(MMU,),
    ),
    BASE_6_1.keeps(
        "unshared-in-helper-elsewhere",
        prototype("void unshare_vm(struct kvm *kvm);"),
        whole(MMU, append(f"void unshare_vm(struct kvm *kvm)\n{{\n\t{UNSHARE_KVM};\n}}")),
        change(ARM, "kvm_arch_init_vm", replace(UNSHARE_KVM, "unshare_vm(kvm)")),
    ),
    BASE_6_1.keeps(
        "task-forgotten-in-helper",
        change(
            FPSIMD,
            "kvm_vcpu_unshare_task_fp",
            above(
                "static void forget_task(struct kvm_vcpu *vcpu)\n"
                "{\n\tput_task_struct(vcpu->arch.parent_task);\n"
                "\tvcpu->arch.parent_task = NULL;\n}"
            ),
            delete("vcpu->arch.parent_task = NULL"),
            replace("put_task_struct(p)", "forget_task(vcpu)"),
        ),
        seen=(RESET,),
    ),
    BASE_6_1_TOLD.keeps(
        "status-in-local",
        change(
            FPSIMD,
            "kvm_vcpu_unshare_task_fp",
            declare("int ret;"),
            replace(
                "if (!WARN_ON(kvm_unshare_hyp(fpsimd, fpsimd + 1)))",
                "ret = kvm_unshare_hyp(fpsimd, fpsimd + 1);\n\tif (!ret)",
            ),
        ),
        seen=(RESET, ARM),
    ),
)

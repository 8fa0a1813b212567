"""Edits of 6.12's pkvm.c and arm.c: those that break them, those that change nothing."""

from __future__ import annotations

from tests.kernel.edit import BATCH, IGNORED, ROLLBACK, Edit, Target, Version
from tests.kernel.operators import (
    above,
    after,
    bare,
    before,
    declare,
    delete,
    everywhere,
    in_next,
    instead,
    move_above,
    replace,
    unwrap,
)

INIT_VM, INIT_VCPU, TEARDOWN = "__pkvm_init_vm", "__pkvm_init_vcpu", "__pkvm_teardown_vm"
_BATCH = f"{BATCH} {ROLLBACK}"

_PKVM = Version("kernel", "arch/arm64/kvm/pkvm.c")
_CREATE = "__pkvm_create_hyp_vm"
VM = Target(_PKVM, _CREATE, INIT_VM)
VCPU = Target(_PKVM, _CREATE, INIT_VCPU)
VM_OR_VCPU = Target(_PKVM, _CREATE, f"{INIT_VM} {INIT_VCPU}")
LOCKED = Target(_PKVM, "pkvm_create_hyp_vm", f"{INIT_VM} {INIT_VCPU}")
DESTROYED = Target(_PKVM, "__pkvm_destroy_hyp_vm", TEARDOWN)
FINALIZED = Target(_PKVM, "_kvm_host_prot_finalize", "__pkvm_prot_finalize")

FREE_VM = "free_pages_exact(hyp_vm, hyp_vm_sz)"
FREE_PGD = "free_pages_exact(pgd, pgd_sz)"
FREE_VCPU = "free_pages_exact(hyp_vcpu, hyp_vcpu_sz)"

_ARM = Version("kernel", "arch/arm64/kvm/arm.c").but(
    # 6.12 drops this status; it is not what is edited here.
    "cpu_set_hyp_vector",
    replace(
        "kvm_call_hyp_nvhe(__pkvm_cpu_set_vector, data->slot)",
        "WARN_ON(kvm_call_hyp_nvhe(__pkvm_cpu_set_vector, data->slot))",
    ),
)
PKVM_INIT = Target(_ARM, "do_pkvm_init", "__pkvm_init")
PROTECTION = Target(_ARM, "kvm_hyp_init_protection", "__pkvm_init")
RUN = Target(_ARM, "kvm_arm_vcpu_enter_exit", "__kvm_vcpu_run")
VECTOR = Target(_ARM, "cpu_set_hyp_vector", "__pkvm_cpu_set_vector")
FIRST_RUN = Target(_ARM, "kvm_arch_vcpu_run_pid_change", "__pkvm_vcpu_init_traps")

EL2 = "arch/arm64/kvm/hyp/nvhe/hyp-main.c"

BREAK_HOST: tuple[Edit, ...] = (
    VM.bad("vm-kept", ROLLBACK, delete(FREE_VM)),
    VM.bad("pgd-kept", ROLLBACK, delete(FREE_PGD)),
    VM.bad("nothing-freed", ROLLBACK, replace("goto free_vm", "return ret")),
    VM.bad("one-rung-too-low", ROLLBACK, replace("goto free_vm", "goto free_pgd")),
    VM.bad(
        "other-object-freed", ROLLBACK, replace(FREE_VM, "free_pages_exact(host_kvm, hyp_vm_sz)")
    ),
    VM.bad(
        "freed-for-one-errno",
        ROLLBACK,
        before("if (ret < 0)", "if (ret == -EINVAL)\n\treturn ret;"),
    ),
    VM.bad(
        "page-kept",
        ROLLBACK,
        declare("void *log;"),
        before(
            INIT_VM,
            "log = alloc_pages_exact(PAGE_SIZE, GFP_KERNEL);\nif (!log) {\n"
            "\tret = -ENOMEM;\n\tgoto free_vm;\n}",
        ),
        before("handle = ret", "free_pages_exact(log, PAGE_SIZE);"),
    ),
    VM.bad("task-reference-kept", ROLLBACK, before(INIT_VM, "get_task_struct(current);")),
    VM.bad(
        "list-entry-kept", ROLLBACK, before(INIT_VM, "list_add(&host_kvm->hyp_list, &hyp_vms);")
    ),
    VM.bad("bare-call", IGNORED, bare(INIT_VM)),
    VM.bad(
        "vm-left-without-memory",
        _BATCH,
        in_next("hyp_vcpu = alloc_pages_exact", "goto destroy_vm", "return ret"),
    ),
    VM.bad(
        "vm-left-at-bad-index", _BATCH, in_next("void *hyp_vcpu", "goto destroy_vm", "return ret")
    ),
    VM.bad("destroy-deleted", _BATCH, delete("__pkvm_destroy_hyp_vm(host_kvm)")),
    VM.bad(
        "destroy-for-one-errno",
        _BATCH,
        before("__pkvm_destroy_hyp_vm(host_kvm)", "if (ret == -EINVAL)\n\treturn ret;"),
    ),
    VM.bad(
        "freed-instead-of-destroyed",
        _BATCH,
        in_next("hyp_vcpu = alloc_pages_exact", "goto destroy_vm", "goto free_vm"),
    ),
    VCPU.bad("vcpu-memory-kept", ROLLBACK, delete(FREE_VCPU)),
    VCPU.bad(
        "vcpu-other-memory-freed",
        ROLLBACK,
        replace(FREE_VCPU, "free_pages_exact(NULL, hyp_vcpu_sz)"),
    ),
    VCPU.bad(
        "vcpu-freed-for-one-errno",
        ROLLBACK,
        instead(FREE_VCPU, f"if (ret == -ENOMEM)\n\t{FREE_VCPU};"),
    ),
    VCPU.bad(
        "vcpu-goto-past-free", ROLLBACK, after(INIT_VCPU, "if (ret == -ENOENT)\n\tgoto destroy_vm;")
    ),
    VCPU.bad("vcpu-bare-call", IGNORED, bare(INIT_VCPU)),
    VM_OR_VCPU.bad("vm-left", _BATCH, in_next(INIT_VCPU, "goto destroy_vm", "return ret")),
    LOCKED.bad("bare-call", IGNORED, bare("__pkvm_create_hyp_vm(host_kvm)")),
    DESTROYED.bad("bare-call", IGNORED, unwrap("WARN_ON", TEARDOWN)),
    FINALIZED.bad(
        "bare-call",
        IGNORED,
        instead("if (WARN_ON(", "kvm_call_hyp_nvhe(__pkvm_prot_finalize);\nWRITE_ONCE(*err, 0);"),
    ),
    PKVM_INIT.bad("bare-call", IGNORED, bare("__pkvm_init")),
    PKVM_INIT.bad("counter-kept", ROLLBACK, before("__pkvm_init", "atomic_inc(&pkvm_inits);")),
    PKVM_INIT.bad(
        "page-kept",
        ROLLBACK,
        declare("unsigned long page = __get_free_page(GFP_KERNEL);"),
        before("preempt_enable", "if (!ret)\n\tfree_page(page);"),
    ),
    PROTECTION.bad("bare-call", IGNORED, bare("do_pkvm_init")),
    RUN.bad("bare-call", IGNORED, bare("__kvm_vcpu_run")),
    VECTOR.bad("bare-call", IGNORED, unwrap("WARN_ON", "__pkvm_cpu_set_vector")),
    Edit(
        "handler-may-fail",
        _ARM,
        "handle___pkvm_vcpu_init_traps",
        (after("__pkvm_vcpu_init_traps(kern", "cpu_reg(host_ctxt, 1) = vcpu ? 0 : -EINVAL;"),),
        frozenset({IGNORED}),
        frozenset({"__pkvm_vcpu_init_traps"}),
        "kvm_arch_vcpu_run_pid_change",
        EL2,
    ),
    Edit(
        "handler-may-fail",
        _ARM,
        "handle___kvm_enable_ssbs",
        (
            before(
                "tmp = read",
                "if (!cpus_have_final_cap(ARM64_SSBS)) {\n"
                "\tcpu_reg(host_ctxt, 1) = -EOPNOTSUPP;\n\treturn;\n}\ncpu_reg(host_ctxt, 1) = 0;",
            ),
        ),
        frozenset({IGNORED}),
        frozenset({"__kvm_enable_ssbs"}),
        "cpu_init_hyp_mode",
        EL2,
    ),
)

_FREE_BOTH = (
    "static void free_both(void *hyp_vm, size_t hyp_vm_sz, void *pgd, size_t pgd_sz)\n"
    f"{{\n\t{FREE_VM};\n\t{FREE_PGD};\n}}"
)

KEEP_HOST: tuple[Edit, ...] = (
    VM.good("locals-renamed", everywhere("hyp_vm", "vm"), everywhere("pgd", "s2")),
    VM.good("status-renamed", everywhere("ret", "err")),
    VM.good(
        "label-renamed", everywhere("free_vm", "err_vm"), everywhere("destroy_vm", "err_destroy")
    ),
    VM.good("freed-at-once", instead("goto free_vm", f"{FREE_VM};\n{FREE_PGD};\nreturn ret;")),
    VM.good(
        "freed-in-helper",
        delete(FREE_VM),
        before("free_pgd:", "free_both(hyp_vm, hyp_vm_sz, pgd, pgd_sz);\nreturn ret;"),
        above(_FREE_BOTH),
    ),
    VM.good(
        "destroyed-at-once",
        delete("__pkvm_destroy_hyp_vm(host_kvm)"),
        everywhere("goto destroy_vm", "return undo_vm(host_kvm, ret)"),
        delete("destroy_vm:"),
        above(
            "static int undo_vm(struct kvm *kvm, int ret)\n{\n"
            "\t__pkvm_destroy_hyp_vm(kvm);\n\treturn ret;\n}"
        ),
    ),
    VM.good("printed", before("goto free_vm", 'kvm_err("no VM: %d\\n", ret);')),
    VM.good(
        "handle-straight",
        delete("handle = ret"),
        replace("arch.pkvm.handle = handle", "arch.pkvm.handle = ret"),
        replace(f"{INIT_VCPU}, handle", f"{INIT_VCPU}, host_kvm->arch.pkvm.handle"),
    ),
    VM.good(
        "handle-tested",
        declare("int handle_or_error;"),
        replace(
            "ret = kvm_call_hyp_nvhe(__pkvm_init_vm, ",
            "handle_or_error = kvm_call_hyp_nvhe(__pkvm_init_vm, ",
        ),
        replace("if (ret < 0)", "ret = handle_or_error;\n\tif (handle_or_error < 0)"),
        replace("handle = ret", "handle = handle_or_error"),
    ),
    VM.good("unlikely", replace("if (ret < 0)", "if (unlikely(ret < 0))")),
    VM.good("allocations-swapped", move_above("hyp_vcpu_sz = PAGE_ALIGN", INIT_VM)),
    VM.good("commented", before(INIT_VM, "/* goto free_vm; hyp_vm = NULL; */")),
    VCPU.good("vcpu-not-equal-zero", in_next(INIT_VCPU, "if (ret)", "if (ret != 0)")),
    VCPU.good("vcpu-negative", in_next(INIT_VCPU, "if (ret)", "if (ret < 0)")),
    VCPU.good("vcpu-success-continues", after(INIT_VCPU, "if (!ret)\n\tcontinue;")),
    VCPU.good("vcpu-printed", before(FREE_VCPU, "kvm_err();")),
    VCPU.good(
        "vcpu-call-in-helper",
        replace("kvm_call_hyp_nvhe(__pkvm_init_vcpu, ", "init_vcpu_at_el2("),
        above(
            "static int init_vcpu_at_el2(pkvm_handle_t handle, struct kvm_vcpu *vcpu,\n"
            "\t\t\t    void *mem)\n{\n"
            f"\treturn kvm_call_hyp_nvhe({INIT_VCPU}, handle, vcpu, mem);\n}}"
        ),
    ),
    VCPU.good("vcpu-in-do-while", instead(FREE_VCPU, f"do {{\n\t{FREE_VCPU};\n}} while (0);")),
    VCPU.good("vcpu-const", replace("void *hyp_vcpu;", "void *hyp_vcpu = NULL;")),
    LOCKED.good(
        "guard",
        replace(
            "mutex_lock(&host_kvm->arch.config_lock)", "guard(mutex)(&host_kvm->arch.config_lock)"
        ),
        delete("mutex_unlock("),
    ),
    LOCKED.good(
        "returned-early", after("__pkvm_create_hyp_vm(host_kvm)", "if (ret)\n\tkvm_err();")
    ),
    DESTROYED.good("warned-once", replace("WARN_ON(", "WARN_ON_ONCE(")),
    DESTROYED.good(
        "status-in-local",
        declare("int ret;"),
        replace(
            "WARN_ON(kvm_call_hyp_nvhe(__pkvm_teardown_vm",
            "WARN_ON(ret = kvm_call_hyp_nvhe(__pkvm_teardown_vm",
        ),
    ),
    DESTROYED.good(
        "handle-in-local",
        declare("pkvm_handle_t handle = host_kvm->arch.pkvm.handle;"),
        replace("if (host_kvm->arch.pkvm.handle)", "if (handle)"),
    ),
    FINALIZED.good(
        "status-in-local",
        declare("int ret = kvm_call_hyp_nvhe(__pkvm_prot_finalize);"),
        replace("if (WARN_ON(kvm_call_hyp_nvhe(__pkvm_prot_finalize)))", "if (WARN_ON(ret))"),
    ),
    PKVM_INIT.good("status-renamed", everywhere("ret", "err")),
    PKVM_INIT.good("printed", before("return ret", "if (ret)\n\tkvm_err();")),
    PKVM_INIT.good(
        "in-do-while", instead("preempt_enable()", "do {\n\tpreempt_enable();\n} while (0);")
    ),
    PKVM_INIT.good("ternary", replace("return ret", "return ret ? ret : 0")),
    PKVM_INIT.good(
        "counter-undone",
        before("__pkvm_init", "atomic_inc(&pkvm_inits);"),
        before("return ret", "if (ret)\n\tatomic_dec(&pkvm_inits);"),
    ),
    PROTECTION.good("negative", in_next("do_pkvm_init", "if (ret)", "if (ret < 0)")),
    RUN.good("status-renamed", everywhere("ret", "code")),
    VECTOR.good("warned-once", replace("WARN_ON(", "WARN_ON_ONCE(")),
    VECTOR.good(
        "mode-in-local",
        declare("bool protected = is_protected_kvm_enabled();"),
        replace("if (!is_protected_kvm_enabled())", "if (!protected)"),
    ),
    FIRST_RUN.good("printed", before("__pkvm_vcpu_init_traps", "kvm_debug();")),
)

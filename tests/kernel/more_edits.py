"""Edits that the rules about what follows a failure must report."""

from __future__ import annotations

from tests.kernel.demo_edits import (
    LENT,
    LENT_LATE,
    LENT_RANGE,
    LIMIT,
    LIMITED,
    RETURNED,
)
from tests.kernel.demo_edits import SHARE as DEMO_SHARE
from tests.kernel.demo_edits import UNSHARE as DEMO_UNSHARE
from tests.kernel.edit import (
    LOCK,
    NARROWED,
    RELEASE,
    ROLLBACK,
    SWALLOWED,
    UNCHECKED,
    UPDATE,
    Edit,
)
from tests.kernel.host_edits import (
    INIT_VCPU,
    INIT_VM,
    LOCKED,
    PKVM_INIT,
    PROTECTION,
    VCPU,
    VM,
    VM_OR_VCPU,
)
from tests.kernel.mmu_versions import (
    RANGE,
    SHARE,
    SHARE_PAGE,
    SHARED,
    SHARED_EARLY,
    SHARED_LATE,
    UNSHARE,
    UNSHARED,
    UNSHARED_RESTORED,
)
from tests.kernel.operators import after, before, drop_next, in_next, instead, replace

_WARNED = f"WARN_ON(kvm_call_hyp_nvhe({UNSHARE}, pfn, 1));"
_PUBLISHED = f"{UPDATE} {ROLLBACK}"  # memory that the late record took stands as well

LOCKS: tuple[Edit, ...] = (
    SHARED.bad("unlock-skipped", LOCK, after("kfree(this)", "return ret;")),
    UNSHARED.bad("unlock-skipped", LOCK, in_next(UNSHARE, "goto unlock", "return ret")),
    UNSHARED_RESTORED.bad("restored-unlock-skipped", LOCK, after("this->count++", "return ret;")),
    LOCKED.bad(
        "unlock-skipped", LOCK, after("__pkvm_create_hyp_vm(host_kvm)", "if (ret)\n\treturn ret;")
    ),
    LENT.bad("unlock-skipped", LOCK, after("kfree(page)", "return ret;")),
    RETURNED.bad("unlock-skipped", LOCK, in_next(DEMO_UNSHARE, "goto unlock", "return ret")),
)

RELEASES: tuple[Edit, ...] = (
    UNSHARED.bad("check-dropped", RELEASE, drop_next(UNSHARE)),
    UNSHARED.bad("check-only-warns", RELEASE, drop_next(UNSHARE), after(UNSHARE, "WARN_ON(ret);")),
    UNSHARED.bad("check-only-prints", RELEASE, in_next(UNSHARE, "goto unlock", "kvm_err()")),
    UNSHARED.bad("check-of-one-errno", RELEASE, in_next(UNSHARE, "if (ret)", "if (ret == -EBUSY)")),
    UNSHARED.bad("call-only-warns", RELEASE, drop_next(UNSHARE), instead(UNSHARE, _WARNED)),
    UNSHARED.bad("check-inverted", RELEASE, in_next(UNSHARE, "if (ret)", "if (!ret)")),
    UNSHARED_RESTORED.bad("restored-and-released", RELEASE, in_next(UNSHARE, "goto unlock;", "")),
    RETURNED.bad("check-dropped", RELEASE, drop_next(DEMO_UNSHARE)),
    RETURNED.bad(
        "check-only-warns", RELEASE, drop_next(DEMO_UNSHARE), after(DEMO_UNSHARE, "WARN_ON(ret);")
    ),
)

SWALLOWS: tuple[Edit, ...] = (
    SHARED.bad("success-returned", f"{SWALLOWED} {UNCHECKED}", replace("return ret", "return 0")),
    SHARED.bad("failure-cleared", SWALLOWED, after("kfree(this)", "ret = 0;")),
    SHARED.bad("failure-overwritten", SWALLOWED, after("kfree(this)", "ret = pfn ? 0 : 0;")),
    UNSHARED.bad("success-returned", f"{SWALLOWED} {UNCHECKED}", replace("return ret", "return 0")),
    RANGE.bad("success-returned", SWALLOWED, in_next(SHARE_PAGE, "return ret", "return 0")),
    RANGE.bad(
        "only-stopped", SWALLOWED, drop_next(SHARE_PAGE), after(SHARE_PAGE, "if (ret)\n\tbreak;")
    ),
    RANGE.bad(
        "only-printed",
        SWALLOWED,
        drop_next(SHARE_PAGE),
        after(SHARE_PAGE, "if (ret)\n\tkvm_err();"),
    ),
    LOCKED.bad("success-returned", f"{SWALLOWED} {UNCHECKED}", replace("return ret", "return 0")),
    VCPU.bad("vcpu-skipped", SWALLOWED, in_next(INIT_VCPU, "goto destroy_vm", "continue")),
    VM_OR_VCPU.bad(
        "success-after-destroy", SWALLOWED, after("__pkvm_destroy_hyp_vm(host_kvm)", "return 0;")
    ),
    PROTECTION.bad(
        "success-returned", SWALLOWED, in_next("do_pkvm_init", "return ret", "return 0")
    ),
    LENT.bad("success-returned", f"{SWALLOWED} {UNCHECKED}", replace("return ret", "return 0")),
    LENT_RANGE.bad("only-stopped", SWALLOWED, instead("goto unwind", "break;")),
)

UNREAD: tuple[Edit, ...] = (
    RANGE.bad("check-dropped", UNCHECKED, drop_next(SHARE_PAGE)),
    VCPU.bad("vcpu-check-dropped", UNCHECKED, drop_next(INIT_VCPU)),
    PKVM_INIT.bad("success-returned", UNCHECKED, replace("return ret", "return 0")),
    LENT_RANGE.bad("check-dropped", UNCHECKED, drop_next("lend_page_checked(pfn)")),
    LIMITED.bad(
        "success-returned",
        UNCHECKED,
        instead("return kvm_call", f"int ret = kvm_call_hyp_nvhe({LIMIT}, pages);\n\nreturn 0;"),
    ),
)

UPDATES: tuple[Edit, ...] = (
    SHARED_LATE.bad("late-check-dropped", _PUBLISHED, drop_next(SHARE)),
    SHARED_LATE.bad(
        "late-check-only-warns", _PUBLISHED, drop_next(SHARE), after(SHARE, "WARN_ON(ret);")
    ),
    SHARED_LATE.bad(
        "late-check-of-one-errno", _PUBLISHED, in_next(SHARE, "if (ret)", "if (ret == -EPERM)")
    ),
    SHARED_EARLY.bad("early-check-dropped", UPDATE, drop_next(SHARE)),
    VM.bad(
        "handle-stored-first", UPDATE, before("if (ret < 0)", "host_kvm->arch.pkvm.handle = ret;")
    ),
    VM.bad("check-dropped", f"{_PUBLISHED} {SWALLOWED} {UNCHECKED} {NARROWED}", drop_next(INIT_VM)),
    VM.bad(
        "check-of-one-errno",
        f"{_PUBLISHED} {SWALLOWED} {NARROWED}",
        replace("if (ret < 0)", "if (ret == -ENOMEM)"),
    ),
    LENT_LATE.bad("late-check-dropped", _PUBLISHED, drop_next(DEMO_SHARE)),
)

NARROWS: tuple[Edit, ...] = (
    SHARED.bad("bool", NARROWED, replace("int ret = 0", "bool ret = false")),
    SHARED.bad(
        "unsigned",
        NARROWED,
        replace("int ret = 0", "unsigned int ret = 0"),
        in_next(SHARE, "if (ret)", "if (ret < 0)"),
    ),
    UNSHARED.bad("bool", NARROWED, replace("int ret = 0", "bool ret = false")),
    UNSHARED.bad(
        "unsigned",
        NARROWED,
        replace("int ret = 0", "u32 ret = 0"),
        in_next(UNSHARE, "if (ret)", "if (ret < 0)"),
    ),
    RANGE.bad("bool", NARROWED, replace("int ret", "bool ret")),
    VM.bad("unsigned", NARROWED, replace("int ret", "unsigned int ret")),
    PKVM_INIT.bad("bool", NARROWED, replace("int ret", "bool ret")),
    PKVM_INIT.bad(
        "or-into-bool",
        NARROWED,
        replace("int ret", "bool ret = false"),
        replace("ret = kvm_call_hyp_nvhe", "ret |= kvm_call_hyp_nvhe"),
    ),
    LOCKED.bad("bool", NARROWED, replace("int ret = 0", "bool ret = false")),
    LENT.bad("bool", NARROWED, replace("int ret = 0", "bool ret = false")),
    LIMITED.bad(
        "bool",
        NARROWED,
        instead("return kvm_call", f"bool ret = kvm_call_hyp_nvhe({LIMIT}, pages);\n\nreturn ret;"),
    ),
)

MORE: tuple[Edit, ...] = (*LOCKS, *RELEASES, *SWALLOWS, *UNREAD, *UPDATES, *NARROWS)

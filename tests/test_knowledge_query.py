"""What the knowledge tables say of hypercalls, modes, errnos and names."""

from __future__ import annotations

import pytest

from kvmlint.knowledge import Knowledge, builtin, extend
from kvmlint.knowledge.model import EntryPoint, Value, VerbPair


@pytest.fixture(scope="module")
def k() -> Knowledge:
    return builtin()


# Hypercalls


@pytest.mark.parametrize(
    ("name", "inverse", "hands_over"),
    [
        ("__pkvm_host_share_hyp", "__pkvm_host_unshare_hyp", False),
        ("__pkvm_host_share_guest", "__pkvm_host_unshare_guest", False),
        ("__pkvm_host_donate_page", "__pkvm_host_reclaim_page", True),
        ("__vendor_map_pages", "__vendor_unmap_pages", False),
        ("__pkvm_host_iommu_attach_dev", "__pkvm_host_iommu_detach_dev", False),
        ("__pkvm_host_iommu_alloc_domain", "__pkvm_host_iommu_free_domain", False),
        ("__tracing_load", "__tracing_unload", False),
        ("__pkvm_reserve_vm", "__pkvm_unreserve_vm", False),
        ("__vendor_init_thing", "__vendor_teardown_thing", True),
    ],
)
def test_verbs_both_ways(k: Knowledge, name: str, inverse: str, hands_over: bool) -> None:
    found = k.verb_inverse(name)
    assert found is not None
    assert (found[0], found[1].hands_over) == (inverse, hands_over)
    assert k.verb_forward(inverse) == (name, found[1])


@pytest.mark.parametrize(
    "name",
    [
        "__pkvm_create_private_mapping",  # 'mapping' isn't the word 'map'
        "__kvm_tlb_flush_vmid",
        "__kvm_vcpu_run",
        "__pkvm_host_unshare_hyp",
        "__pkvm_init",  # the row says: no inverse
        "__pkvm_vcpu_init_traps",
        "__vgic_v3_init_lrs",
        "__kvm_hyp_init",
        "__pkvm_vcpu_load",  # the row says put, not unload
        "__pkvm_init_vcpu",  # the row says __pkvm_teardown_vm
    ],
)
def test_names_that_no_verb_inverts(k: Knowledge, name: str) -> None:
    assert k.verb_inverse(name) is None


def test_reclaiming_names_that_a_row_knows_better(k: Knowledge) -> None:
    assert k.verb_forward("__pkvm_hyp_alloc_mgt_reclaim") is None
    assert k.verb_forward("__pkvm_unload") == ("__pkvm_load", VerbPair("load", "unload"))
    assert k.verb_forward("__pkvm_teardown_vcpu") is None


def test_hypercall_rows(k: Knowledge) -> None:
    vm = k.hypercall("__pkvm_init_vm")
    assert vm is not None
    assert (vm.undone_by, vm.donates, vm.returned, vm.bulk) == (
        "__pkvm_teardown_vm",
        (2, 3),
        "memcache",
        False,
    )
    vcpu = k.hypercall("__pkvm_init_vcpu")
    assert vcpu is not None
    assert (vcpu.undone_by, vcpu.donates, vcpu.returned, vcpu.bulk) == (
        "__pkvm_teardown_vm",
        (3,),
        "memcache",
        True,
    )
    load = k.hypercall("__pkvm_vcpu_load")
    assert load is not None
    assert load.undone_by == "__pkvm_vcpu_put"
    init = k.hypercall("__kvm_hyp_init")
    assert init is not None
    assert (init.kind, init.undone_by) == ("status", "")
    assert k.hypercall("__kvm_vcpu_run") is None


def test_what_one_teardown_undoes(k: Knowledge) -> None:
    undone = {entry.name for entry in k.undoes("__pkvm_teardown_vm")}
    assert undone == {"__pkvm_init_vm", "__pkvm_init_vcpu"}
    assert {entry.name for entry in k.undoes("__pkvm_finalize_teardown_vm")} == undone
    assert k.undoes("__pkvm_host_share_hyp") == ()


def test_entry_points(k: Knowledge) -> None:
    def value(name: str) -> Value | None:
        entry = k.entry(name)
        return entry.value if entry else None

    assert value("kvm_call_hyp_nvhe") is Value.RESULT
    assert value("kvm_call_hyp_ret") is Value.RESULT
    assert value("kvm_call_hyp") is Value.NONE
    assert value("kvm_call_refill_hyp_nvhe") is Value.RESULT
    assert value("printk") is None
    assert k.entry("arm_smccc_1_1_hvc") == EntryPoint(
        name="arm_smccc_1_1_hvc",
        value=Value.OUT,
        function=1,
        wrapper="KVM_HOST_SMCCC_FUNC",
        result="a1",
        status="a0",
        excludes="has_vhe",
    )


def test_entries_found_in_a_tree(k: Knowledge) -> None:
    found = EntryPoint("vendor_call", Value.RESULT, function=2, prefix="__vendor_")
    more = k.with_entries([found])
    assert more.entry("vendor_call") == found
    assert more.entry("kvm_call_hyp") == k.entry("kvm_call_hyp")
    assert more.effects("kmalloc") == k.effects("kmalloc")
    assert k.entry("vendor_call") is None
    assert more.digest != k.digest
    assert k.with_entries([]) is k
    assert more.with_entries([found]) is more


def test_the_digest_does_not_hang_on_the_order_of_entries(k: Knowledge) -> None:
    one, two = EntryPoint("a_call", Value.NONE), EntryPoint("b_call", Value.RESULT)
    assert k.with_entries([one, two]).digest == k.with_entries([two, one]).digest


# Predicates


def test_vhe_and_kernel_in_hyp_mode_are_one(k: Knowledge) -> None:
    assert ("is_kernel_in_hyp_mode", True) in k.implied("has_vhe", True)
    assert ("is_kernel_in_hyp_mode", False) in k.implied("has_vhe", False)
    assert ("has_vhe", True) in k.implied("is_kernel_in_hyp_mode", True)
    assert ("has_vhe", False) in k.implied("is_kernel_in_hyp_mode", False)


@pytest.mark.parametrize("name", ["is_protected_kvm_enabled", "kvm_host_owns_hyp_mappings"])
def test_protected_modes_are_not_vhe(k: Knowledge, name: str) -> None:
    assert k.predicate(name) is not None
    assert set(k.implied(name, True)) == {("has_vhe", False), ("is_kernel_in_hyp_mode", False)}
    assert k.implied(name, False) == ()
    assert (name, False) in k.implied("has_vhe", True)
    assert (name, False) in k.implied("is_kernel_in_hyp_mode", True)


def test_not_vhe_says_nothing_of_protection(k: Knowledge) -> None:
    assert set(k.implied("has_vhe", False)) == {("is_kernel_in_hyp_mode", False)}


def test_no_answer_implies_its_contrary(k: Knowledge) -> None:
    for predicate in k.tables.predicates:
        for answer in (True, False):
            implied = k.implied(predicate.name, answer)
            assert (predicate.name, not answer) not in implied
            assert len({name for name, _ in implied}) == len(implied)


def test_a_chain_of_implications(k: Knowledge) -> None:
    text = '[knowledge.predicates]\na = { true = "!b" }\nb = { false = "c" }\n'
    told = extend(k, text, "x")
    assert told.implied("a", True) == (("b", False), ("c", True))
    assert told.implied("c", False) == (("a", False), ("b", True))


# Errnos, names


@pytest.mark.parametrize(
    ("name", "number"),
    [
        *(("EPERM", 1), ("EAGAIN", 11), ("ENOMEM", 12), ("EINVAL", 22), ("ERANGE", 34)),
        *(("ENOSYS", 38), ("EHWPOISON", 133), ("ERESTARTSYS", 512), ("EPROBE_DEFER", 517)),
        ("ENOTSUPP", 524),
    ],
)
def test_errnos(k: Knowledge, name: str, number: int) -> None:
    assert k.errno(name) == number
    assert k.errno_name(number) == name
    assert k.errno_name(-number) == name


def test_errno_aliases_print_as_the_usual_name(k: Knowledge) -> None:
    assert k.errno("EWOULDBLOCK") == 11
    assert k.errno_name(11) == "EAGAIN"
    assert k.errno_name(35) == "EDEADLK"
    assert k.errno("ENOPE") is None
    assert k.errno_name(4000) == "4000"


def test_errnos_are_complete(k: Knowledge) -> None:
    """asm-generic numbers run from 1 to 133 with two gaps: 41 and 58 are only aliases."""
    assert set(range(1, 134)) - set(k.tables.errnos.values()) == {41, 58}


def test_inverse_names(k: Knowledge) -> None:
    assert "vgic_destroy" in k.inverse_names("vgic_init")
    assert "destroy_foo" in k.inverse_names("init_foo")
    assert "kvm_vgic_vcpu_destroy" in k.inverse_names("kvm_vgic_vcpu_init")
    assert "foo_put" in k.inverse_names("foo_get")
    assert "foo_stop" in k.inverse_names("foo_start")
    assert "foo_disable" in k.inverse_names("foo_enable")
    assert "foo_unprepare" in k.inverse_names("foo_prepare")
    assert "foo_remove" in k.inverse_names("foo_insert")
    assert "kvm_unshare_hyp" in k.inverse_names("kvm_share_hyp")
    assert k.inverse_names("initialise") == ()
    assert k.inverse_names("foo_destroy") == ()


def test_counters_and_statistics(k: Knowledge) -> None:
    for field in ("count", "refcount", "users", "nr_pins", "map_count", "num"):
        assert k.is_counter(field), field
    for field in ("handle", "flags", "country", "pfn"):
        assert not k.is_counter(field), field
    assert k.is_statistics("stat")
    assert not k.is_statistics("state")


def test_worlds(k: Knowledge) -> None:
    worlds = k.tables.worlds
    assert "arch/arm64/kvm/hyp/pgtable.c" in worlds.both
    assert "arch/arm64/kvm/hyp/nvhe/*" in worlds.el2
    assert worlds.handlers == ("arch/arm64/kvm/hyp/nvhe/hyp-main.c",)
    assert {"WARN_ON", "WARN_ON_ONCE", "WARN"} <= set(worlds.fatal)
    assert (worlds.handler_prefix, worlds.register, worlds.result_register) == (
        "handle_",
        "cpu_reg",
        1,
    )

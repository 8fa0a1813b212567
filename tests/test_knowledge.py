"""The knowledge tables: are the families there that the design names, do rows fit together, do the
queries answer? (What users may add is in test_knowledge_extend.py.)

Expectations are written by hand from the design (which state is made by which call, under which
returned value), not taken from the tables.
"""

from __future__ import annotations

import re

import pytest

from kvmlint.knowledge import Knowledge, builtin, extend
from kvmlint.knowledge.model import (
    Does,
    EffectRow,
    Holds,
    Kind,
    Operand,
    Role,
)

RETURN = Operand(0)
NOTHING = Operand(-1)
ARG1, ARG2, ARG3, ARG4, ARG5 = (Operand(index) for index in range(1, 6))


@pytest.fixture(scope="module")
def k() -> Knowledge:
    return builtin()


def row(k: Knowledge, function: str, does: Does) -> EffectRow:
    rows = [effect for effect in k.effects(function) if effect.does is does]
    assert len(rows) == 1, f"{function}: {len(rows)} rows that {does.value}"
    return rows[0]


# make, undo (which must be of the make's family), and the make's kind, resource, container and the
# returned values for which it holds.
PAIRS = """
kmalloc                          kfree                              memory   return -    nonnull
kzalloc                          kfree_sensitive                    memory   return -    nonnull
kcalloc                          kfree                              memory   return -    nonnull
kmalloc_array                    kfree_rcu                          memory   return -    nonnull
kzalloc_obj                      kfree                              memory   return -    nonnull
kzalloc_objs                     kfree                              memory   return -    nonnull
kzalloc_flex                     kfree                              memory   return -    nonnull
vmalloc                          vfree                              memory   return -    nonnull
vzalloc                          vfree                              memory   return -    nonnull
kvmalloc                         kvfree                             memory   return -    nonnull
kmalloc                          kvfree                             memory   return -    nonnull
kvzalloc                         kvfree                             memory   return -    nonnull
memdup_user                      kfree                              memory   return -    valid
kmem_cache_alloc                 kmem_cache_free                    memory   return arg1 nonnull
kmem_cache_zalloc                kmem_cache_free                    memory   return arg1 nonnull
alloc_pages                      __free_pages                       memory   return -    nonnull
alloc_page                       put_page                           memory   return -    nonnull
alloc_pages_exact                free_pages_exact                   memory   return -    nonnull
__get_free_page                  free_page                          memory   return -    nonnull
__get_free_pages                 free_pages                         memory   return -    nonnull
get_zeroed_page                  free_page                          memory   return -    nonnull
alloc_percpu                     free_percpu                        memory   return -    nonnull
zalloc_cpumask_var               free_cpumask_var                   memory   *arg1  -    nonnull
bitmap_zalloc                    bitmap_free                        memory   return -    nonnull
memblock_phys_alloc              memblock_phys_free                 memory   return -    nonnull
mempool_alloc                    mempool_free                       memory   return arg1 nonnull
dma_alloc_coherent               dma_free_coherent                  memory   return arg1 nonnull
vmap                             vunmap                             pin      return -    nonnull
ioremap                          iounmap                            pin      return -    nonnull
memremap                         memunmap                           pin      return -    nonnull
kmap                             kunmap                             pin      arg1   -    always
kmap_local_page                  kunmap_local                       pin      return -    always
pin_user_pages                   unpin_user_pages                   pin      *arg4  -    positive
pin_user_pages_fast              unpin_user_page                    pin      *arg4  -    positive
rb_insert_color                  rb_erase                           publish  arg1   arg2 always
rb_add                           rb_erase                           publish  arg1   arg2 always
rb_find_add                      rb_erase                           publish  arg1   arg2 null
rb_add_cached                    rb_erase_cached                    publish  arg1   arg2 always
list_add                         list_del                           publish  arg1   arg2 always
list_add_tail                    list_del_init                      publish  arg1   arg2 always
list_add_rcu                     list_del_rcu                       publish  arg1   arg2 always
hlist_add_head                   hlist_del                          publish  arg1   arg2 always
hlist_add_head_rcu               hlist_del_init_rcu                 publish  arg1   arg2 always
hash_add                         hash_del                           publish  arg2   arg1 always
xa_store                         xa_erase                           publish  arg2   arg1 valid
xa_insert                        xa_erase                           publish  arg2   arg1 zero
xa_alloc                         xa_erase                           publish  *arg2  arg1 zero
idr_alloc                        idr_remove                         publish  return arg1 nonnegative
ida_alloc                        ida_free                           publish  return arg1 nonnegative
radix_tree_insert                radix_tree_delete                  publish  arg2   arg1 zero
refcount_inc                     refcount_dec                       count    arg1   -    always
refcount_inc_not_zero            refcount_dec_and_test              count    arg1   -    nonnull
kref_get                         kref_put                           count    arg1   -    always
kref_get_unless_zero             kref_put                           count    arg1   -    nonnull
atomic_inc                       atomic_dec                         count    arg1   -    always
atomic_add                       atomic_sub                         count    arg2   -    always
get_page                         put_page                           count    arg1   -    always
get_task_struct                  put_task_struct                    count    arg1   -    always
kvm_get_kvm                      kvm_put_kvm                        count    arg1   -    always
kvm_get_kvm_safe                 kvm_put_kvm                        count    arg1   -    nonnull
try_module_get                   module_put                         count    arg1   -    nonnull
get_device                       put_device                         count    arg1   -    always
fget                             fput                               count    return -    nonnull
mmgrab                           mmdrop                             count    arg1   -    always
mmget_not_zero                   mmput                              count    arg1   -    nonnull
mutex_lock                       mutex_unlock                       lock     arg1   -    always
mutex_trylock                    mutex_unlock                       lock     arg1   -    nonnull
mutex_lock_interruptible         mutex_unlock                       lock     arg1   -    zero
spin_lock                        spin_unlock                        lock     arg1   -    always
spin_lock_irqsave                spin_unlock_irqrestore             lock     arg1   -    always
spin_lock_bh                     spin_unlock_bh                     lock     arg1   -    always
spin_trylock                     spin_unlock                        lock     arg1   -    nonnull
raw_spin_lock                    raw_spin_unlock                    lock     arg1   -    always
read_lock                        read_unlock                        lock     arg1   -    always
write_lock                       write_unlock                       lock     arg1   -    always
down_read                        up_read                            lock     arg1   -    always
down_write_killable              up_write                           lock     arg1   -    zero
down_read_trylock                up_read                            lock     arg1   -    nonnull
down_trylock                     up                                 lock     arg1   -    zero
mmap_read_lock                   mmap_read_unlock                   lock     arg1   -    always
srcu_read_lock                   srcu_read_unlock                   lock     arg1   -    always
rcu_read_lock                    rcu_read_unlock                    lock     none   -    always
preempt_disable                  preempt_enable                     lock     none   -    always
local_irq_save                   local_irq_restore                  lock     none   -    always
cpus_read_lock                   cpus_read_unlock                   lock     none   -    always
device_register                  device_unregister                  register arg1   -    zero
bus_register                     bus_unregister                     register arg1   -    zero
misc_register                    misc_deregister                    register arg1   -    zero
blocking_notifier_chain_register blocking_notifier_chain_unregister register arg2   arg1 zero
cpu_pm_register_notifier         cpu_pm_unregister_notifier         register arg1   -    zero
cpuhp_setup_state                cpuhp_remove_state                 register arg1   -    nonnegative
request_irq                      free_irq                           register arg1   -    zero
kvm_io_bus_register_dev          kvm_io_bus_unregister_dev          register arg5   arg1 zero
"""

OPERANDS = {
    "return": RETURN,
    "none": NOTHING,
    "arg1": ARG1,
    "arg2": ARG2,
    "arg5": ARG5,
    "*arg1": Operand(1, pointee=True),
    "*arg2": Operand(2, pointee=True),
    "*arg4": Operand(4, pointee=True),
    "-": None,
}


@pytest.mark.parametrize("pair", PAIRS.strip().splitlines(), ids=lambda pair: pair.split()[0])
def test_the_families_that_semantics_names(k: Knowledge, pair: str) -> None:
    make, undo, kind, resource, container, holds = pair.split()
    made = row(k, make, Does.MAKE)
    assert (made.kind, made.holds) == (Kind(kind), Holds(holds))
    assert made.resource == OPERANDS[resource]
    assert made.container == OPERANDS[container]
    undone = {effect.family for effect in k.effects(undo) if effect.does is Does.UNDO}
    assert made.family in undone, f"{undo} does not undo {make}"


@pytest.mark.parametrize(
    ("function", "record"),
    [("xa_store", ARG3), ("xa_alloc", ARG3), ("idr_alloc", ARG2), ("rcu_assign_pointer", ARG2)],
)
def test_what_a_publication_makes_reachable(k: Knowledge, function: str, record: Operand) -> None:
    assert row(k, function, Does.MAKE).record == record


def test_nodes_are_their_own_record(k: Knowledge) -> None:
    assert row(k, "rb_insert_color", Does.MAKE).record is None
    assert row(k, "list_add", Does.MAKE).record is None


def test_storing_null_withdraws(k: Knowledge) -> None:
    assert row(k, "rcu_assign_pointer", Does.MAKE).null_undoes == 2
    assert row(k, "xa_store", Does.MAKE).null_undoes == 3
    assert row(k, "xa_insert", Does.MAKE).null_undoes == 0


def test_an_argument_tells_the_direction(k: Knowledge) -> None:
    accounted = row(k, "account_locked_vm", Does.MAKE)
    assert (accounted.direction, accounted.holds, accounted.kind) == (3, Holds.ZERO, Kind.PIN)


def test_operands_of_undos(k: Knowledge) -> None:
    assert row(k, "kmem_cache_free", Does.UNDO).resource == ARG2
    assert row(k, "kmem_cache_free", Does.UNDO).container == ARG1
    assert row(k, "rb_erase", Does.UNDO).container == ARG2
    assert row(k, "list_del", Does.UNDO).container is None
    assert row(k, "dma_free_coherent", Does.UNDO).resource == ARG3
    assert row(k, "unpin_user_pages", Does.UNDO).resource == Operand(1, pointee=True)
    assert row(k, "xa_destroy", Does.UNDO).resource == NOTHING
    assert row(k, "kvm_io_bus_unregister_dev", Does.UNDO).resource == ARG3


def test_one_function_may_undo_and_make(k: Knowledge) -> None:
    assert row(k, "downgrade_write", Does.UNDO).family == row(k, "up_write", Does.UNDO).family
    assert row(k, "downgrade_write", Does.MAKE).family == row(k, "down_read", Does.MAKE).family
    assert row(k, "rb_replace_node", Does.UNDO).resource == ARG1
    assert row(k, "rb_replace_node", Does.MAKE).resource == ARG2
    assert row(k, "refcount_dec_and_mutex_lock", Does.MAKE).kind is Kind.LOCK
    assert row(k, "refcount_dec_and_mutex_lock", Does.UNDO).kind is Kind.COUNT
    assert {effect.family for effect in k.effects("put_page")} == {"pages", "page"}


@pytest.mark.parametrize(
    "function",
    [
        *("mutex_init", "INIT_LIST_HEAD", "xa_init", "rb_link_node", "refcount_set", "kref_init"),
        *("kvm_mmu_topup_memory_cache", "topup_hyp_memcache", "pr_err", "kvm_err", "trace_kvm_x"),
        *("lockdep_assert_held", "no_such_function", "dma_map_single"),
    ],
)
def test_no_effect(k: Knowledge, function: str) -> None:
    assert k.effects(function) == ()


def test_undo_texts(k: Knowledge) -> None:
    def undo(function: str) -> str:
        text = row(k, function, Does.MAKE).undo_text
        return text.format(resource="&this->node", container="&hyp_shared_pfns")

    assert undo("rb_insert_color") == "rb_erase(&this->node, &hyp_shared_pfns);"
    assert undo("list_add") == "list_del(&this->node);"
    assert undo("kvzalloc") == "kvfree(&this->node);"
    assert undo("kmalloc") == "kfree(&this->node);"
    assert undo("spin_lock_irqsave") == "spin_unlock_irqrestore(&this->node, flags);"
    assert undo("rcu_read_lock") == "rcu_read_unlock();"
    assert undo("mutex_lock") == "mutex_unlock(&this->node);"
    assert undo("rcu_assign_pointer") == "rcu_assign_pointer(&this->node, NULL);"


# Do the rows fit together?


def test_every_family_makes_and_undoes(k: Knowledge) -> None:
    both = {"rcu-pointer", "locked-vm"}  # an argument of the making call tells which
    for family in k.tables.families:
        does = {effect.does for effect in k.tables.effects if effect.family == family}
        expected = {Does.MAKE} if family in both else {Does.MAKE, Does.UNDO}
        assert does == expected, family


def test_rows_agree_with_their_family(k: Knowledge) -> None:
    for effect in k.tables.effects:
        family = k.tables.families[effect.family]
        assert effect.kind is family.kind, effect.function
        assert effect.text == (family.made if effect.does is Does.MAKE else family.undone)
        assert effect.text, effect.function


def test_an_undo_text_calls_an_undo_of_its_family(k: Knowledge) -> None:
    for effect in k.tables.effects:
        if effect.does is Does.UNDO:
            assert effect.undo_text == "", effect.function
            continue
        called = effect.undo_text.split("(")[0]
        rows = [other for other in k.effects(called) if other.family == effect.family]
        assert rows, f"{effect.function}: {effect.undo_text}"
        assert rows[0].does is Does.UNDO or rows[0].null_undoes or rows[0].direction


def test_an_undo_can_name_what_was_made(k: Knowledge) -> None:
    """A family whose undos name a resource must make one, and one that makes none undoes none."""
    for family in k.tables.families:
        rows = [effect for effect in k.tables.effects if effect.family == family]
        made = {effect.resource == NOTHING for effect in rows if effect.does is Does.MAKE}
        assert len(made) == 1, family
        for effect in rows:
            if effect.does is Does.UNDO and (effect.resource == NOTHING) not in made:
                assert effect.container is not None, f"{effect.function} undoes everything"


def test_an_undo_names_a_container_only_if_one_was_made_in_it(k: Knowledge) -> None:
    for family in k.tables.families:
        rows = [effect for effect in k.tables.effects if effect.family == family]
        if any(effect.container for effect in rows if effect.does is Does.UNDO):
            assert all(
                effect.container or effect.function.startswith("list_replace")
                for effect in rows
                if effect.does is Does.MAKE
            ), family


def test_no_function_has_both_an_effect_and_a_role(k: Knowledge) -> None:
    for effect in k.tables.effects:
        assert k.role(effect.function) is None, effect.function


def test_a_name_starts_one_way(k: Knowledge) -> None:
    names = [*k.tables.roles, *(effect.function for effect in k.tables.effects)]
    assert [name for name in names if not re.fullmatch(r"[A-Za-z_]\w*\*?", name)] == []


def test_guards_take_and_release_one_lock(k: Knowledge) -> None:
    for guard in k.tables.guards:
        family = row(k, guard.lock, Does.MAKE).family
        released = [e.family for e in k.effects(guard.unlock) if e.does is Does.UNDO]
        assert family in released, guard.name
        assert row(k, guard.lock, Does.MAKE).kind is Kind.LOCK


@pytest.mark.parametrize(
    ("kind", "lock", "unlock"),
    [
        ("mutex", "mutex_lock", "mutex_unlock"),
        ("mutex_intr", "mutex_lock_interruptible", "mutex_unlock"),
        ("spinlock_irqsave", "spin_lock_irqsave", "spin_unlock_irqrestore"),
        ("raw_spinlock", "raw_spin_lock", "raw_spin_unlock"),
        ("rwsem_read", "down_read", "up_read"),
        ("rwsem_write", "down_write", "up_write"),
        ("read_lock", "read_lock", "read_unlock"),
        ("write_lock", "write_lock", "write_unlock"),
        ("rcu", "rcu_read_lock", "rcu_read_unlock"),
        ("srcu", "srcu_read_lock", "srcu_read_unlock"),
        ("preempt", "preempt_disable", "preempt_enable"),
        ("irqsave", "local_irq_save", "local_irq_restore"),
        ("cpus_read_lock", "cpus_read_lock", "cpus_read_unlock"),
    ],
)
def test_guards(k: Knowledge, kind: str, lock: str, unlock: str) -> None:
    guard = k.guard(kind)
    assert guard is not None
    assert (guard.lock, guard.unlock) == (lock, unlock)


def test_cleanups(k: Knowledge) -> None:
    assert k.cleanup("kfree") == "kfree"
    assert k.cleanup("put_task") == "put_task_struct"
    assert k.cleanup("bitmap") == "bitmap_free"
    assert k.cleanup("mutex") == "mutex_unlock"
    assert k.cleanup("vendor_free") == "vendor_free"
    assert k.guard("vendor") is None


def test_cleanups_undo_something(k: Knowledge) -> None:
    for call in k.tables.cleanups.values():
        assert any(effect.does is Does.UNDO for effect in k.effects(call)), call


# Roles

ROLES = [
    ("likely", Role.IDENTITY),
    ("READ_ONCE", Role.IDENTITY),
    ("rcu_dereference_protected", Role.IDENTITY),
    ("PTR_ERR", Role.IDENTITY),
    ("ERR_PTR", Role.ERROR_POINTER),
    ("smp_load_acquire", Role.LOAD),
    ("__pa", Role.CONVERT),
    ("page_to_pfn", Role.CONVERT),
    ("kern_hyp_va", Role.CONVERT),
    ("hyp_virt_to_phys", Role.CONVERT),
    ("container_of", Role.MEMBER),
    ("rb_entry", Role.MEMBER),
    ("WARN_ON", Role.WARN),
    ("WARN_ON_ONCE", Role.WARN),
    ("BUG_ON", Role.ASSERT),
    ("KVM_BUG_ON", Role.CONTAIN),
    ("BUG", Role.NORETURN),
    ("panic", Role.NORETURN),
    ("hyp_panic", Role.NORETURN),
    ("IS_ERR_VALUE", Role.IS_ERR),
    ("IS_ERR_OR_NULL", Role.IS_ERR_OR_NULL),
    ("PTR_ERR_OR_ZERO", Role.STATUS_OF),
    ("WRITE_ONCE", Role.STORE),
    ("smp_store_release", Role.STORE),
    ("no_free_ptr", Role.TAKE),
    ("memset", Role.WRITE),
    ("set_bit", Role.WRITE),
    ("pr_warn_ratelimited", Role.NEUTRAL),
    ("kvm_err", Role.NEUTRAL),
    ("trace_kvm_anything_at_all", Role.NEUTRAL),
    ("lockdep_assert_held_write", Role.NEUTRAL),
    ("might_sleep", Role.NEUTRAL),
    ("INIT_DELAYED_WORK", Role.NEUTRAL),
    ("mutex_init", Role.NEUTRAL),
    ("rb_link_node", Role.NEUTRAL),
    ("isb", Role.NEUTRAL),
    ("kvm_flush_dcache_to_poc", Role.NEUTRAL),
    ("list_empty", Role.NEUTRAL),
    ("list_first_entry", Role.NEUTRAL),
    ("irqs_disabled", Role.NEUTRAL),
    ("PAGE_ALIGN", Role.PURE),
    ("is_vmalloc_addr", Role.PURE),
    ("system_supports_sve", Role.PURE),
    ("cpus_have_final_cap", Role.PURE),
    ("IS_ENABLED", Role.PURE),
    ("this_cpu_has_cap", Role.PURE),
    ("per_cpu_ptr", Role.PURE),
]


@pytest.mark.parametrize(("function", "role"), ROLES, ids=[name for name, _ in ROLES])
def test_roles(k: Knowledge, function: str, role: Role) -> None:
    assert k.role(function) is role


@pytest.mark.parametrize("function", ["kfree", "share_pfn_hyp", "trace", "get_user", "kmalloc"])
def test_unknown_calls_have_no_role(k: Knowledge, function: str) -> None:
    assert k.role(function) is None


def test_an_exact_role_wins_and_then_the_longest_glob(k: Knowledge) -> None:
    told = extend(
        k,
        '[knowledge.roles]\npure = "vend_* vend_log_exact"\nneutral = "vend_log_*"\n',
        "x",
    )
    assert told.role("vend_size") is Role.PURE
    assert told.role("vend_log_it") is Role.NEUTRAL
    assert told.role("vend_log_exact") is Role.PURE


def test_builtin_is_made_once_and_always_the_same() -> None:
    assert builtin() is builtin()
    again = builtin.__wrapped__()
    assert again.digest == builtin().digest
    assert again.tables == builtin().tables
    assert re.fullmatch("[0-9a-f]{64}", again.digest)

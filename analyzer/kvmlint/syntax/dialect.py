"""The kernel's dialect of C as one value: what the parser can't know from a single file.

Names are facts, collected from include/linux of v6.1, v6.12 and later (compiler_types.h,
compiler_attributes.h, init.h, cleanup.h, …).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cache

from kvmlint.syntax.loop_names import kernel_loops
from kvmlint.syntax.loops import Loops
from kvmlint.syntax.selections import Selections

_ATTRIBUTES = """
__user __iomem __rcu __force __percpu __kernel __nocast __safe __private __bitwise
__init __exit __initdata __exitdata __initconst __refdata __ref __meminit __memexit __net_init
__net_exit __init_memblock __init_or_module __cpuinit __devinit __devexit __always_inline
__always_unused __maybe_unused __unused __must_check __attribute_const__ __cold __hot __pure __weak
__used __visible __noreturn __noclone __noipa __nocfi __noscs __noretpoline __naked __flatten
__malloc __deprecated __packed __latent_entropy __gnu_inline __inline_maybe_unused __signed_wrap
__overloadable __nonstring __uninitialized __designated_init __randomize_layout
__no_randomize_layout __retain __preserve_most __efiapi __lockfunc __sched __kprobes __bpf_kfunc
__cpuidle __no_profile __no_kasan_or_inline __no_sanitize_or_inline __no_kcsan __no_kmsan_checks
__no_sanitize_address __no_sanitize_coverage __no_sanitize_memory __no_sanitize_thread
__no_sanitize_undefined __no_stack_protector __no_caller_saved_registers __function_aligned
__aligned_largest __long_aligned __cacheline_aligned __cacheline_aligned_in_smp
____cacheline_aligned ____cacheline_aligned_in_smp ____cacheline_internodealigned_in_smp
__read_mostly __ro_after_init __net_initdata __data_racy
__no_context_analysis __fastpath_inline __xipram __exception_irq_entry __inline __inline__
__restrict __restrict__ __extension__ __ksym __kptr __kptr_untrusted
noinline noinline_for_stack noinline_for_tracing notrace noinstr nokprobe_inline asmlinkage
flatten __noendbr __ibt_noendbr __entry_text __irq_entry __softirq_entry
__hyp_text __iram
"""

# These take arguments; the arguments go with them.
_CALLED_ATTRIBUTES = """
__attribute__ __attribute __aligned __section __printf __scanf __alias __assume_aligned __mode
__copy __compiletime_error __compiletime_warning __diagnose_as __alloc_size __alloc_size__
__realloc_size __counted_by __counted_by_le __counted_by_be __counted_by_ptr __sized_by
__pass_object_size __pass_dynamic_object_size __acquires __releases __must_hold __cond_acquires
__cond_releases __acquires_shared __releases_shared __must_hold_shared __guarded_by
__pt_guarded_by __noinstr_section __address_space __no_sanitize __btf_type_tag
BTF_TYPE_TAG __declspec alignas _Alignas
"""

_CLEANUPS = "__free __cleanup"
"""Attributes that name what is called when the variable goes out of scope (cleanup.h)."""

_OPAQUE_CALLS = """
sizeof _Alignof alignof __alignof__ __alignof offsetof __builtin_offsetof _Generic sizeof_field
offsetofend __builtin_types_compatible_p __same_type __builtin_has_attribute __builtin_object_size
__builtin_dynamic_object_size typeof_member __typeof_member
"""
"""Operators whose parentheses hold types or aren't evaluated: no effect, not looked into."""

_TYPES = """
u8 u16 u32 u64 u128 s8 s16 s32 s64 s128
__u8 __u16 __u32 __u64 __u128 __s8 __s16 __s32 __s64 __s128
__le16 __le32 __le64 __be16 __be32 __be64 uint ulong ushort uchar unchar bool gfn_t gpa_t gva_t
hpa_t hva_t hfn_t pgprot_t kvm_pfn_t pid_t loff_t size_t ssize_t __wsum __sum16 __poll_t acpi_handle
acpi_size acpi_status uint8_t uint16_t uint32_t uint64_t int8_t int16_t int32_t int64_t uintptr_t
"""

# macro: index of the type argument (-1: none), index of the name, the type when no argument has it
_DECLARING: Mapping[str, tuple[int, int, str]] = {
    "DECLARE_REG": (0, 1, ""),
    "DEFINE_PER_CPU": (0, 1, ""),
    "DECLARE_FLEX_ARRAY": (0, 1, ""),
    "DEFINE_FLEX": (0, 1, ""),
    "DEFINE_RAW_FLEX": (0, 1, ""),
    "DEFINE_WAIT": (-1, 0, "struct wait_queue_entry"),
    "DEFINE_WAIT_FUNC": (-1, 0, "struct wait_queue_entry"),
    "DEFINE_WAIT_BIT": (-1, 0, "struct wait_bit_queue_entry"),
    "DECLARE_WAITQUEUE": (-1, 0, "struct wait_queue_entry"),
    "DECLARE_SWAITQUEUE": (-1, 0, "struct swait_queue"),
    "DECLARE_WAIT_QUEUE_HEAD": (-1, 0, "struct wait_queue_head"),
    "DECLARE_WAIT_QUEUE_HEAD_ONSTACK": (-1, 0, "struct wait_queue_head"),
    "DECLARE_COMPLETION": (-1, 0, "struct completion"),
    "DECLARE_COMPLETION_ONSTACK": (-1, 0, "struct completion"),
    "DECLARE_BITMAP": (-1, 0, "unsigned long []"),
    "DEFINE_BITMAP": (-1, 0, "unsigned long []"),
    "DECLARE_HASHTABLE": (-1, 0, "struct hlist_head []"),
    "DEFINE_HASHTABLE": (-1, 0, "struct hlist_head []"),
    "DECLARE_WORK": (-1, 0, "struct work_struct"),
    "DECLARE_DELAYED_WORK": (-1, 0, "struct delayed_work"),
    "DECLARE_RWSEM": (-1, 0, "struct rw_semaphore"),
    "DEFINE_MUTEX": (-1, 0, "struct mutex"),
    "DEFINE_SPINLOCK": (-1, 0, "spinlock_t"),
    "DEFINE_RAW_SPINLOCK": (-1, 0, "raw_spinlock_t"),
    "DEFINE_RWLOCK": (-1, 0, "rwlock_t"),
    "DEFINE_XARRAY": (-1, 0, "struct xarray"),
    "DEFINE_IDA": (-1, 0, "struct ida"),
    "DEFINE_IDR": (-1, 0, "struct idr"),
    "DEFINE_WAKE_Q": (-1, 0, "struct wake_q_head"),
    "DEFINE_RATELIMIT_STATE": (-1, 0, "struct ratelimit_state"),
    "DEFINE_READ_MOSTLY_HASHTABLE": (-1, 0, "struct hlist_head []"),
    "DEFINE_DMA_UNMAP_ADDR": (-1, 0, "dma_addr_t"),
    "LIST_HEAD": (-1, 0, "struct list_head"),
    "HLIST_HEAD": (-1, 0, "struct hlist_head"),
    "LLIST_HEAD": (-1, 0, "struct llist_head"),
    "XA_STATE": (-1, 0, "struct xa_state"),
    "XA_STATE_ORDER": (-1, 0, "struct xa_state"),
    "MA_STATE": (-1, 0, "struct ma_state"),
    "VMA_ITERATOR": (-1, 0, "struct vma_iterator"),
    "DEFINE_FOLIO_VMA_WALK": (-1, 0, "struct page_vma_mapped_walk"),
    "DEFINE_PAGE_VMA_WALK": (-1, 0, "struct page_vma_mapped_walk"),
}

# Arguments that are always types, also when they are a single word.
_TYPE_ARGUMENTS: Mapping[str, int] = {
    "container_of": 1,
    "container_of_const": 1,
    "list_entry": 1,
    "list_first_entry": 1,
    "list_last_entry": 1,
    "list_first_entry_or_null": 1,
    "hlist_entry": 1,
    "rb_entry": 1,
    "rb_entry_safe": 1,
    "va_arg": 1,
    "__builtin_va_arg": 1,
    "min_t": 0,
    "max_t": 0,
    "clamp_t": 0,
    "DECLARE_REG": 0,
    "DEFINE_FLEX": 0,
    "DEFINE_RAW_FLEX": 0,
}

_HEADS = re.compile(r"(?:COMPAT_)?SYSCALL(?:32)?_DEFINE\d|BPF_CALL_\d|NET_BPF_CALL_\d")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


@dataclass(frozen=True, slots=True)
class Dialect:
    """``attributes`` are blanked, ``called_attributes`` with their parentheses; ``cleanups`` are
    blanked and remembered. ``loops``: loop macro → cursors. ``declaring``: macro that declares a
    local → (index of its type argument or -1, index of its name, type). ``heads`` matches the
    macros of a definition whose arguments are name, type, argument, type, argument, …
    ``selections`` are macros that choose a function."""

    attributes: frozenset[str]
    called_attributes: frozenset[str]
    cleanups: frozenset[str]
    opaque_calls: frozenset[str]
    types: frozenset[str]
    loops: Loops
    declaring: Mapping[str, tuple[int, int, str]]
    type_arguments: Mapping[str, int]
    heads: re.Pattern[str]
    selections: Selections = field(default_factory=dict)

    @staticmethod
    @cache
    def default() -> Dialect:
        """The kernel's, built once."""
        return Dialect(
            attributes=_words(_ATTRIBUTES),
            called_attributes=_words(_CALLED_ATTRIBUTES),
            cleanups=_words(_CLEANUPS),
            opaque_calls=_words(_OPAQUE_CALLS),
            types=_words(_TYPES),
            loops=dict(kernel_loops()),
            declaring=_DECLARING,
            type_arguments=_TYPE_ARGUMENTS,
            heads=_HEADS,
        )

    def with_loops(self, names: Loops | Collection[str]) -> Dialect:
        """This dialect with more loop macros; bare names get argument 0 as their cursor."""
        added = names if isinstance(names, Mapping) else dict.fromkeys(names, (0,))
        return replace(self, loops={**self.loops, **added}) if added else self

    def with_selections(self, macros: Selections) -> Dialect:
        """This dialect with more macros that choose a function."""
        return replace(self, selections={**self.selections, **macros}) if macros else self

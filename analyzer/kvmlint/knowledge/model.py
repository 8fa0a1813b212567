"""The shapes of the knowledge tables: what a row says, not which rows there are.

Nothing here knows the engine; the engine asks ``Knowledge`` (in ``knowledge/__init__.py``).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


class World(Enum):
    """Where code runs: the host kernel (EL1, or EL2 with VHE), or the nVHE hypervisor."""

    HOST = "host"
    EL2 = "el2"


class Kind(Enum):
    """What sort of host state a family of functions makes and undoes."""

    MEMORY = "memory"  # obtained / freed
    PUBLISH = "publish"  # a record put where others find it / withdrawn
    COUNT = "count"  # a reference or counter taken / dropped
    PIN = "pin"  # pages pinned, mapped, accounted / released
    LOCK = "lock"  # taken / released
    REGISTER = "register"  # device, bus, notifier registered / unregistered


class Does(Enum):
    """Direction of a row."""

    MAKE = "make"
    UNDO = "undo"


class Holds(Enum):
    """For which values returned by the call the row's effect happened."""

    ALWAYS = "always"
    NONNULL = "nonnull"  # pointer not NULL; also 'true' / nonzero
    NULL = "null"  # NULL, false or 0 …
    VALID = "valid"  # a pointer that isn't an ERR_PTR
    ZERO = "zero"  # 0 is success
    NONNEGATIVE = "nonnegative"  # an id or count, negative is an error
    POSITIVE = "positive"  # a count of pages


@dataclass(frozen=True, slots=True)
class Operand:
    """Where a call names a thing: ``index`` 0 is the returned value, n the n-th argument (1-based),
    -1 nothing at all (preempt_disable). ``pointee`` means what the argument points to is written
    with it (``int f(T **out)``)."""

    index: int
    pointee: bool = False


@dataclass(frozen=True, slots=True)
class EffectRow:
    """One function's effect. Rows of one family undo each other when they name the same resource
    (and the same container, where both rows name one). ``text`` is what happened ('memory
    obtained'); ``undo_text`` is the C statement that undoes a MAKE, with {resource} and
    {container} for the expressions as the source wrote them. ``direction`` is the index of an
    argument that, when literally true, makes the row MAKE and, when false, UNDO
    (account_locked_vm(mm, n, inc)), or 0. ``null_undoes`` is the index of an argument that, when
    literally NULL, makes the row UNDO (rcu_assign_pointer(p, NULL)), or 0; ``holds`` then speaks of
    the MAKE only. ``record`` is the object that becomes reachable by a MAKE of kind PUBLISH, where
    that isn't the resource itself: xa_store(xa, index, entry) has the resource index and the record
    entry. An UNDO without a resource (index -1) that names a container undoes every MAKE in that
    container (xa_destroy)."""

    function: str
    family: str
    kind: Kind
    does: Does
    resource: Operand
    container: Operand | None
    holds: Holds
    text: str
    undo_text: str
    direction: int = 0
    record: Operand | None = None
    null_undoes: int = 0


@dataclass(frozen=True, slots=True)
class Family:
    """What the rows of one family share; ``made`` and ``undone`` say what happened ('memory
    obtained', 'memory freed'). ``undo_text`` is the usual one, a row may have another."""

    name: str
    kind: Kind
    made: str
    undone: str
    undo_text: str


class Value(Enum):
    """What the use of an entry-point macro evaluates to."""

    RESULT = "result"  # the handler's result register
    NONE = "none"  # nothing (a statement)
    OUT = "out"  # stored through the last argument, field named by EntryPoint.result


@dataclass(frozen=True, slots=True)
class EntryPoint:
    """A macro or function that issues a hypercall. ``function`` is the 1-based argument that names
    the hypercall; ``wrapper`` is the macro around that name ('KVM_HOST_SMCCC_FUNC') or '';
    ``prefix`` is pasted before the name (``kvm_call_x(host_share)`` → '__pkvm_'). ``result`` and
    ``status`` are the fields of the out-structure that hold the value and the SMCCC status.
    ``excludes`` is a
    mode predicate that is false wherever this entry point is reached (has_vhe)."""

    name: str
    value: Value
    function: int = 1
    wrapper: str = ""
    prefix: str = ""
    result: str = ""
    status: str = ""
    excludes: str = ""


@dataclass(frozen=True, slots=True)
class HypercallRow:
    """What is known of one hypercall by name. ``undone_by`` names its inverse ('' none).
    ``donates`` are 1-based arguments whose memory is EL2's after success; ``returned`` tells how it
    comes back when undone: 'host' (the host must free it again) or 'memcache' (EL2 pushes the pages
    back by itself). ``bulk`` marks an inverse that undoes every instance at once. ``kind`` is the
    contract of a handler that C can't show (assembly), '' otherwise. ``alternatives`` are other
    names of the inverse, in other trees. A row without an inverse says that there is none, whatever
    verb the name holds."""

    name: str
    undone_by: str = ""
    donates: tuple[int, ...] = ()
    returned: str = ""
    bulk: bool = False
    kind: str = ""
    alternatives: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class VerbPair:
    """Two words that make a name's inverse: in '__pkvm_host_share_hyp' 'share' → 'unshare'.
    ``hands_over`` tells whether memory passed to the first is EL2's after success (donate) or
    stays the host's (share)."""

    verb: str
    inverse: str
    hands_over: bool = False


@dataclass(frozen=True, slots=True)
class Predicate:
    """A pure mode test without arguments. ``true`` / ``false`` list what follows from each
    answer, as (other predicate, its answer)."""

    name: str
    true: tuple[tuple[str, bool], ...] = ()
    false: tuple[tuple[str, bool], ...] = ()


class Role(Enum):
    """How the engine treats a call that has no effect on resources."""

    IDENTITY = "identity"  # evaluates to its first argument: likely, READ_ONCE, PTR_ERR
    LOAD = "load"  # evaluates to what its first argument points to: smp_load_acquire(&x)
    CONVERT = "convert"  # another name of the same thing: __pa, page_to_pfn, kern_hyp_va
    MEMBER = "member"  # container_of: the object its first argument is part of
    WARN = "warn"  # truth of its first argument, warns when true
    ASSERT = "assert"  # does not return when its first argument is true: BUG_ON
    CONTAIN = "contain"  # truth of its first argument; makes the object dead: KVM_BUG_ON
    NORETURN = "noreturn"  # BUG, panic
    IS_ERR = "is-err"  # IS_ERR, IS_ERR_VALUE
    IS_ERR_OR_NULL = "is-err-or-null"
    STATUS_OF = "status-of"  # PTR_ERR_OR_ZERO
    STORE = "store"  # f(place, value): WRITE_ONCE, this_cpu_write; smp_store_release(&place, value)
    SWAP = "swap"  # exchanges what its two arguments hold
    WRITE = "write"  # changes what its pointer arguments point to, nothing else: memset, set_bit
    ERROR_POINTER = "error-pointer"  # ERR_PTR: its first argument as a pointer
    TAKE = "take"  # no_free_ptr, return_ptr: disarms __free, evaluates to its first argument
    NEUTRAL = "neutral"  # writes nothing that matters: prints, traces, lockdep, initialisers
    PURE = "pure"  # no effect, same arguments same result: PAGE_ALIGN, is_vmalloc_addr


@dataclass(frozen=True, slots=True)
class GuardRow:
    """``guard(name)(x)`` and scoped_guard: the calls made at its begin and at its scope's end."""

    name: str
    lock: str
    unlock: str


@dataclass(frozen=True, slots=True)
class WorldTable:
    """Where EL2 lives: path globs (relative to the tree root) of files that run only at EL2, of
    files compiled for both worlds, the files that hold handlers; the handlers' name prefix; the
    accessor of the host's registers; macros that are fatal at EL2; ``context`` is the
    structure that holds the host's registers; ``host`` are the folders of the host's code, in which
    callees and callers are looked for."""

    el2: tuple[str, ...] = ()
    both: tuple[str, ...] = ()
    handlers: tuple[str, ...] = ()
    handler_prefix: str = "handle_"
    register: str = "cpu_reg"
    result_register: int = 1
    fatal: tuple[str, ...] = ()
    context: str = "kvm_cpu_context"
    host: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Tables:
    """Every row, merged from the built-in tables and the user's."""

    entries: tuple[EntryPoint, ...] = ()
    families: dict[str, Family] = field(default_factory=dict)
    effects: tuple[EffectRow, ...] = ()
    hypercalls: tuple[HypercallRow, ...] = ()
    verbs: tuple[VerbPair, ...] = ()
    name_pairs: tuple[tuple[str, str], ...] = ()
    predicates: tuple[Predicate, ...] = ()
    roles: dict[str, Role] = field(default_factory=dict)
    guards: tuple[GuardRow, ...] = ()
    cleanups: dict[str, str] = field(default_factory=dict)
    errnos: dict[str, int] = field(default_factory=dict)
    counters: tuple[str, ...] = ()
    statistics: tuple[str, ...] = ()
    worlds: WorldTable = field(default_factory=WorldTable)

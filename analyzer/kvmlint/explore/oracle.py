"""What exploring one function needs to know of the world outside it, and the answers' types."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, Protocol

from kvmlint.explore.facts import Fact
from kvmlint.explore.state import Effect, EffectKind
from kvmlint.explore.values import Value
from kvmlint.knowledge.model import EntryPoint


class ReturnKind(Enum):
    """What the host gets back from a hypercall (semantics: the two worlds)."""

    NOTHING = "nothing"
    DATA = "data"
    STATUS = "status"
    HANDLE = "handle"
    PREDICATE = "predicate"
    POINTER = "pointer"
    MIXED = "mixed"


@dataclass(frozen=True, slots=True)
class ErrnoSource:
    """One errno that reaches the host: its positive number, the EL2 file and byte offset of the
    expression that makes it, and the chain of EL2 functions from the handler down."""

    number: int
    path: str
    offset: int
    chain: tuple[str, ...]

    @property
    def callback(self) -> str:
        """The field through which it comes ('.cb'), for whatever a callback returns that the
        caller of this function chose; '' for an errno."""
        return self.path if self.number == 0 else ""


@dataclass(frozen=True, slots=True)
class HypercallContract:
    """What EL2 does with one hypercall. ``assumed`` when its handler wasn't found or understood:
    then it is a fallible status. ``fallible`` False means: no errno can reach the host."""

    name: str
    kind: ReturnKind = ReturnKind.STATUS
    fallible: bool = True
    assumed: bool = True
    errnos: tuple[ErrnoSource, ...] = ()
    has_handler: bool | None = None
    unset: bool = False


class ExitKind(Enum):
    """How a function returned, as its caller would read it."""

    SUCCESS = "success"
    ERROR = "error"
    VOID = "void"
    UNKNOWN = "unknown"


class SummaryClass(NamedTuple):
    """One way a callee behaves, in the callee's own terms (parameters are ``Load(Var(name))``).
    ``given`` is memory that a successful hypercall took; ``warned`` whether the callee warned of
    the failure itself."""

    exit: ExitKind
    returns: Value | None
    fact: Fact
    hypercalls: tuple[str, ...]
    failed: bool
    effects: tuple[Effect, ...]
    writes: tuple[tuple[Value, Value], ...]
    given: tuple[Value, ...]
    warned: bool


@dataclass(frozen=True, slots=True)
class Summary:
    """Everything a caller must know of a callee. ``undoes`` are the destroying effects of any
    class: a helper that undoes on one of its paths is trusted to have undone (IMPRECISE).
    ``reaches`` tells whether a hypercall can be reached; ``hands_status`` whether the value
    returned carries a hypercall's failure (at EL2: any errno). ``errnos`` are those that EL2 code
    can return, with the chain of functions below this one. ``stores`` are the fields ('.name') and
    globals that the callee or its callees may write. ``given_up``: it can be seen, but exploring
    it was too expensive; nothing is known. ``passed`` are functions whose address it gives to code
    that can't be seen: they may answer in its stead. ``undecoded``: a value that is data or an
    errno is returned as it is. ``service``: a public function that may fail at one of many
    hypercalls is no wrapper of one. ``returned`` is what EL2 is given back on some path that
    doesn't fail (IMPRECISE: taken to be so on all)."""

    function: str
    parameters: tuple[str, ...]
    classes: tuple[SummaryClass, ...]
    undoes: tuple[Effect, ...] = ()
    reaches: bool = False
    hands_status: bool = False
    imprecise: bool = False
    errnos: tuple[ErrnoSource, ...] = ()
    stores: frozenset[str] = frozenset()
    given_up: bool = False
    passed: frozenset[str] = frozenset()
    undecoded: bool = False
    service: bool = False
    returned: tuple[Effect, ...] = ()


def carries(summary: Summary) -> bool:
    """Whether a callee hands its callers a failure, or something that has to be given back."""
    return any(
        behaviour.failed
        or any(e.building and e.kind is EffectKind.ACQUIRE for e in behaviour.effects)
        for behaviour in summary.classes
    )


class Oracle(Protocol):
    """Answers about everything outside the function being explored."""

    def entry(self, name: str) -> EntryPoint | None:
        """The entry point of that name, macros found in the tree included."""
        ...

    def hypercall(self, name: str) -> HypercallContract:
        """EL2's contract of a hypercall; assumed fallible when unknown."""
        ...

    def mode(self, name: str) -> tuple[str, bool] | None:
        """The mode predicate that a macro stands for, and its answer when the macro is true."""
        ...

    def helper(self, function: str) -> Summary | None:
        """Summary of a function of another file that reaches no hypercall: asked only where it is
        given memory that this function must see to."""
        ...

    def has_inverse(self, function: str) -> bool:
        """Whether a function is one of this file, or its inverse, by name, can be seen."""
        ...

    def summary(self, function: str) -> Summary | None:
        """Summary of a function that can be seen, in this exploration's world."""
        ...

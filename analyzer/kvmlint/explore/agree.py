"""Whether the host's first test of a status agrees with what EL2 returns."""

from __future__ import annotations

from kvmlint.explore.oracle import Oracle, ReturnKind
from kvmlint.explore.state import MARK_MISTESTED, State
from kvmlint.explore.values import Compute, Value, number_of
from kvmlint.knowledge.model import Role

NONZERO_TEST, POSITIVE_TEST, POINTER_TEST = "nonzero", "positive", "pointer"
"""What a test takes for failure, or for success: details of MARK_MISTESTED."""
_WRONG = frozenset(
    (
        (ReturnKind.HANDLE, NONZERO_TEST),
        (ReturnKind.POINTER, NONZERO_TEST),
        (ReturnKind.STATUS, POSITIVE_TEST),
        (ReturnKind.STATUS, POINTER_TEST),
        (ReturnKind.HANDLE, POINTER_TEST),
    )
)
_TRUTH = frozenset((Role.WARN, Role.ASSERT, Role.CONTAIN))
_POINTER = frozenset((Role.IS_ERR, Role.IS_ERR_OR_NULL, Role.STATUS_OF))


def first_look(oracle: Oracle, state: State, value: Value, test: str = "") -> None:
    """A failed status that nobody has read yet is tested: ``value`` is the condition. A second test
    may mean something else (``if (handle < 0) …; if (handle) …``), so only the first is judged."""
    if not state.unread:
        return
    for event in state.failed_in(value):
        # What a callee returns is its own convention; and only a contract that was seen can be
        # contradicted.
        if event.via or event.old or event.status not in state.unread:
            continue
        contract = oracle.hypercall(event.hypercalls[0])
        how = test or _test_of(value, event.status)
        if not contract.assumed and (contract.kind, how) in _WRONG:
            state.mark(MARK_MISTESTED, event.site, contract.name, how)


def called_with(oracle: Oracle, state: State, role: Role | None, name: str, value: Value) -> None:
    """The same for a test that is written as a call: ``WARN_ON(ret)``, ``IS_ERR(ret)``."""
    if role in _TRUTH:
        first_look(oracle, state, value)
    elif role in _POINTER and not name.endswith("_VALUE"):
        first_look(oracle, state, value, POINTER_TEST)


def _test_of(value: Value, status: Value) -> str:
    while isinstance(value, Compute) and value.op == "not":
        value = value.operands[0]
    if value is status:
        return NONZERO_TEST
    match value:
        case Compute(op="==", operands=(left, right)) if left is status and number_of(right) == 0:
            return NONZERO_TEST
        case Compute(op="<", operands=(left, right)) if right is status and number_of(left) == 0:
            return POSITIVE_TEST
        case Compute(op="<", operands=(left, right)) if left is status and number_of(right) == 1:
            return POSITIVE_TEST
        case _:
            return ""

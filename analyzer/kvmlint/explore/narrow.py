"""Conversions that lose an errno: to bool, or to an unsigned type that is tested for a sign."""

from __future__ import annotations

import re

from kvmlint.cfg.ops import Test
from kvmlint.explore.evaluate import Evaluator
from kvmlint.explore.state import MARK_NARROWED, State
from kvmlint.explore.values import Compute, Pool, Result, Value
from kvmlint.syntax.ast import Binary, Name, Number

_UNSIGNED = frozenset(
    ("size_t", "phys_addr_t", "gpa_t", "gfn_t", "kvm_pfn_t", "hpa_t", "uintptr_t")
)


def is_unsigned(type_: str) -> bool:
    """Whether a C type is an unsigned integer, by its spelling."""
    return (
        type_ in _UNSIGNED
        or re.fullmatch(r"unsigned\b[^*]*|u(?:8|16|32|64)|uint\d+_t", type_) is not None
    )


def _bare(value: Value, status: Value) -> bool:
    """Whether a status is in a value as it is, not as the answer of a comparison."""
    if value is status:
        return True
    if isinstance(value, Compute) and not Pool.is_truth(value):
        return any(_bare(part, status) for part in value.operands)
    return isinstance(value, Result) and any(_bare(part, status) for part in value.source)


def narrowed(state: State, type_: str, value: Value) -> None:
    """A status that may be an errno is stored in, or returned as, a bool."""
    if type_ == "bool" and state.events and not Pool.is_truth(value):
        for event in state.failed_in(value):
            if _bare(value, event.status):
                state.mark(MARK_NARROWED, event.site, event.hypercalls[0], "bool")


def narrowed_test(evaluator: Evaluator, state: State, test: Test) -> None:
    """``if (unsigned < 0)``: never true, whatever the errno."""
    match test.expr:
        case Binary(op="<" | ">=", left=Name(name=name) as left, right=Number(value=0)):
            if is_unsigned(evaluator.cfg.locals.get(name, "")):
                for event in state.failed_in(evaluator.value(state, left)):
                    state.mark(MARK_NARROWED, event.site, event.hypercalls[0], "unsigned")
        case _:
            pass

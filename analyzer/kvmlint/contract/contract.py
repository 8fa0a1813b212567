"""From a handler's explored paths to the contract of its hypercall."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from kvmlint.explore.engine import Exit, Exploration
from kvmlint.explore.facts import NEGATIVE, NONZERO, POSITIVE, ZERO
from kvmlint.explore.oracle import ErrnoSource, HypercallContract, ReturnKind
from kvmlint.explore.summarise import errnos_in
from kvmlint.explore.values import Errno, Pure, Result, Value, number_of
from kvmlint.knowledge.model import WorldTable


@dataclass(slots=True)
class _Seen:
    """What the exits of a handler leave in the result register."""

    errnos: dict[ErrnoSource, None] = field(default_factory=dict)
    positive: bool = False
    zero: bool = False
    data: bool = False
    unset: bool = False
    written: bool = False
    unresolved: bool = False
    pointer: bool = False


def contract_of(
    name: str, explorations: Sequence[Exploration], worlds: WorldTable
) -> HypercallContract:
    """What the host can get back. ``explorations`` are the handler and whatever answers for it."""
    seen = _Seen()
    for number, found in enumerate(explorations):
        seen.pointer |= bool(found.ledger.error_pointers)
        for exit_ in found.exits:
            value = _register(exit_, worlds)
            if value is not None:
                _value(seen, found, exit_, value)
            elif number == 0:
                seen.unset = True
    return _decide(name, seen)


def _value(seen: _Seen, found: Exploration, exit_: Exit, value: Value) -> None:
    seen.written = True
    function = found.cfg.function.name
    sources = errnos_in(found.ledger, exit_, found, value)
    for source in sources:
        if source.callback:
            seen.unresolved = True
            continue
        chain = (function, *source.chain)
        seen.errnos[ErrnoSource(source.number, source.path, source.offset, chain)] = None
    if isinstance(value, Errno):
        return
    if isinstance(value, Result) and value.site in found.ledger.given_up:
        seen.unresolved = True
        return
    number, signs = number_of(value), found.evaluator.fact(exit_.state, value).signs
    if isinstance(value, Result) and value.site in found.ledger.errnos:
        seen.positive |= bool(signs & POSITIVE)
        seen.zero |= bool(signs & ZERO) and not signs & NEGATIVE
    elif number is not None:
        seen.positive |= number != 0
        seen.zero |= number == 0
    elif isinstance(value, Result) and value.role == "unknown" and signs == NONZERO:
        # if (ret) return ret: what a function that can't be seen fails with.
        seen.unresolved = True
    elif not sources and signs != ZERO:
        seen.data = True


def _decide(name: str, seen: _Seen) -> HypercallContract:
    errnos = tuple(sorted(seen.errnos, key=lambda s: (s.path, s.offset, s.number, s.chain)))
    if not seen.written:
        return HypercallContract(name, ReturnKind.NOTHING, False, False, has_handler=True)
    if not errnos and seen.unresolved:
        # A callback that nobody names, or a function that was too expensive to explore.
        return HypercallContract(name, has_handler=True, unset=seen.unset)
    if not errnos:
        kind = ReturnKind.DATA if seen.data or seen.positive else ReturnKind.STATUS
        return HypercallContract(name, kind, False, False, has_handler=True, unset=seen.unset)
    if seen.data:
        kind = ReturnKind.POINTER if seen.pointer else ReturnKind.MIXED
    elif seen.positive:
        kind = ReturnKind.PREDICATE if seen.zero else ReturnKind.HANDLE
    else:
        kind = ReturnKind.STATUS
    return HypercallContract(name, kind, True, False, errnos, has_handler=True, unset=seen.unset)


def _register(exit_: Exit, worlds: WorldTable) -> Value | None:
    for place, value in exit_.state.env.items():
        if (
            isinstance(place, Pure)
            and place.function == worlds.register
            and len(place.args) == 2
            and number_of(place.args[1]) == worlds.result_register
        ):
            return value
    return None

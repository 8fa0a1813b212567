"""From a handler's explored paths to the contract of its hypercall."""

from __future__ import annotations

from kvmlint.explore.engine import Exit, Exploration
from kvmlint.explore.facts import POSITIVE, ZERO
from kvmlint.explore.oracle import ErrnoSource, HypercallContract, ReturnKind
from kvmlint.explore.summarise import errnos_in
from kvmlint.explore.values import Errno, Pure, Result, Value, number_of
from kvmlint.knowledge.model import WorldTable


def contract_of(name: str, found: Exploration, worlds: WorldTable) -> HypercallContract:
    """What the host can get back, from what the handler's paths leave in the result register."""
    errnos: dict[ErrnoSource, None] = {}
    handler = found.cfg.function.name
    zero = positive = data = pointer = unset = written = unknown = False
    for exit_ in found.exits:
        value = _register(exit_, worlds)
        if value is None:
            unset = True
            continue
        written = True
        sources = errnos_in(found.ledger, exit_, found, value)
        for source in sources:
            errnos[
                ErrnoSource(source.number, source.path, source.offset, (handler, *source.chain))
            ] = None
        signs = found.evaluator.fact(exit_.state, value).signs
        if isinstance(value, Errno):
            continue
        if isinstance(value, Result) and value.site in found.ledger.given_up:
            return HypercallContract(name, has_handler=True)
        if isinstance(value, Result) and value.site in found.ledger.errnos:
            zero |= bool(signs & ZERO)
            positive |= bool(signs & POSITIVE)
        elif number_of(value) is not None:
            zero |= number_of(value) == 0
            positive |= number_of(value) != 0
        elif not sources:
            data = True
    ordered = tuple(sorted(errnos, key=lambda s: (s.path, s.offset, s.number, s.chain)))
    if not written:
        return HypercallContract(name, ReturnKind.NOTHING, False, False, has_handler=True)
    if not ordered and not unknown:
        kind = ReturnKind.DATA if data or positive else ReturnKind.STATUS
        return HypercallContract(name, kind, False, False, has_handler=True, unset=unset)
    if data:
        kind = ReturnKind.MIXED
    elif positive:
        kind = ReturnKind.HANDLE
    else:
        kind = ReturnKind.STATUS
    if pointer:
        kind = ReturnKind.POINTER
    return HypercallContract(name, kind, True, False, ordered, has_handler=True, unset=unset)


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

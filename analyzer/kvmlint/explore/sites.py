"""Where a function issues hypercalls, whatever its paths: read off its operations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from kvmlint.cfg.graph import mentioned, read_by
from kvmlint.cfg.ops import CallOp
from kvmlint.explore.effects import Ledger
from kvmlint.explore.oracle import Oracle
from kvmlint.knowledge.model import EntryPoint
from kvmlint.knowledge.model import Value as Evaluates
from kvmlint.syntax.ast import Name


@dataclass(frozen=True, slots=True)
class HypercallSite:
    """One use of an entry point. ``site`` is its operation; ``reads``: whether the host looks at
    what comes back, or keeps it; ``refusal``: the calls that look at whether EL2 took the call at
    all (``WARN_ON(res.a0)``), where that is told apart."""

    site: int
    hypercall: str
    reads: bool
    refusal: tuple[str, ...] = ()


def hypercall_sites(ledger: Ledger, oracle: Oracle) -> Iterator[HypercallSite]:
    """Every use of an entry point in the order of the operations; firmware calls, and hypercalls
    whose name is computed, are not among them."""
    for site, op in enumerate(ledger.ops):
        if not isinstance(op, CallOp) or not isinstance(op.func, Name):
            continue
        entry = oracle.entry(op.func.name)
        if entry is None or len(op.args) < entry.function:
            continue
        name = _named(ledger, op, entry)
        if name:
            yield HypercallSite(
                site, name, _reads(ledger, op, site, entry), _refusal(ledger, site, entry)
            )


def _named(ledger: Ledger, op: CallOp, entry: EntryPoint) -> str:
    which = op.args[entry.function - 1]
    if not isinstance(which, Name):
        return ""
    if entry.wrapper:
        wrapped = next(
            (o for o in ledger.ops if isinstance(o, CallOp) and o.target == which.name), None
        )
        if wrapped is None or not isinstance(wrapped.func, Name) or not wrapped.args:
            return ""
        which = wrapped.args[0]
        if wrapped.func.name != entry.wrapper or not isinstance(which, Name):
            return ""
    local = which.name.startswith("%") or which.name in ledger.cfg.locals
    return "" if local else entry.prefix + which.name


def _reads(ledger: Ledger, op: CallOp, site: int, entry: EntryPoint) -> bool:
    match entry.value:
        case Evaluates.RESULT:
            return bool(op.target) and not op.discarded
        case Evaluates.NONE:
            return False
        case Evaluates.OUT:
            # IMPRECISE: any structure's field of that name will do.
            return "." + entry.result in _read_after(ledger, site)


def _refusal(ledger: Ledger, site: int, entry: EntryPoint) -> tuple[str, ...]:
    if not entry.status or "." + entry.status not in _read_after(ledger, site):
        return ()
    return tuple(
        ledger.callee(later)
        for later, op in enumerate(ledger.ops)
        if isinstance(op, CallOp) and any("." + entry.status in mentioned(a) for a in op.args)
    )


def _read_after(ledger: Ledger, site: int) -> frozenset[str]:
    block = ledger.blocks[site]
    later = site + 1
    names: set[str] = set()
    while later < len(ledger.ops) and ledger.blocks[later] == block:
        for expr in read_by(ledger.ops[later]):
            names |= mentioned(expr)
        later += 1
    for edge in ledger.cfg.edges[block]:
        names |= ledger.cfg.read_later[edge.target]
        for test in edge.tests:
            names |= mentioned(test.expr)
    return frozenset(names)

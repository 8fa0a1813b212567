"""What a function acquires only where its object doesn't have it yet, and notes there: to call it
again does nothing, and what it acquired is the object's.

    if (!kvm->arch.pkvm.handle) {
            ret = kvm_call_hyp_nvhe(…);
            …
            kvm->arch.pkvm.handle = ret;
    }
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import takewhile

from kvmlint.cfg.graph import subexpressions
from kvmlint.cfg.ops import CallOp
from kvmlint.explore.engine import Exit, Exploration
from kvmlint.explore.oracle import ExitKind
from kvmlint.explore.state import EffectKind
from kvmlint.syntax.ast import Field, Name


def kept_families(found: Exploration) -> frozenset[str]:
    """Families of what is acquired once. IMPRECISE: a function that is asked whether it is there is
    known by its name, which holds the words of the field's."""
    succeeding = [exit_ for exit_ in found.exits if exit_.kind is ExitKind.SUCCESS]
    quiet = [exit_ for exit_ in succeeding if _does_nothing(found, exit_)]
    families: dict[str, bool] = {}
    for exit_ in succeeding if quiet else ():
        for effect in exit_.state.effects:
            if effect.building and effect.kind is EffectKind.ACQUIRE:
                once = not found.ledger.made_in_turns(effect) and any(
                    _is_asked(found, exit_, other) for other in quiet
                )
                families[effect.family] = families.get(effect.family, True) and once
    return frozenset(family for family, once in families.items() if once)


def _does_nothing(found: Exploration, exit_: Exit) -> bool:
    """Whether a path neither makes a hypercall nor leaves anything behind."""
    blocks = {found.ledger.blocks[site] for site in found.ledger.hypercalls}
    made = any(e.building and e.kind is not EffectKind.LOCK for e in exit_.state.effects)
    return not made and blocks.isdisjoint(exit_.trail)


def _is_asked(found: Exploration, acquiring: Exit, quiet: Exit) -> bool:
    """Whether two paths part where a field is asked for that the function also sets."""
    pairs = zip(acquiring.trail, quiet.trail, strict=False)
    *_, (parting, _) = takewhile(lambda pair: pair[0] == pair[1], pairs)  # they begin together
    asked = set(_names(found, parting))
    noted = [name[1:].split("_") for name in found.ledger.stores if name.startswith(".")]
    return any(set(words) <= set(name.split("_")) for words in noted for name in asked)


def _names(found: Exploration, block: int) -> Iterator[str]:
    """The fields that are tested where a block ends, and the functions that are asked there."""
    for edge in found.cfg.edges[block]:
        for test in edge.tests:
            for part in subexpressions(test.expr):
                match part:
                    case Field(name=name):
                        yield name
                    case Name(name=name):
                        yield from (
                            op.func.name
                            for op in found.ledger.ops
                            if isinstance(op, CallOp)
                            and op.target == name
                            and op.args
                            and isinstance(op.func, Name)
                        )
                    case _:
                        pass

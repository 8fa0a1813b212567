"""What an effect has to do with a hypercall: the questions that several rules ask."""

from __future__ import annotations

from kvmlint.cfg.graph import mentioned
from kvmlint.explore.engine import Exploration
from kvmlint.explore.state import (
    Effect,
    EffectKind,
    Event,
    is_swallowed,
)
from kvmlint.explore.values import (
    Address,
    Load,
    Result,
    Value,
    Var,
    base_object,
    mentions,
    number_of,
    root_of,
)
from kvmlint.pathexit import PathExit


def _constant(value: Value | None) -> str:
    """The name of an enumeration constant or a macro, by its spelling; '' for other values."""
    if isinstance(value, Load) and isinstance(value.place, Var) and not value.place.local:
        return value.place.name if value.place.name.isupper() else ""
    return ""


def _alike(one: Effect, other: Effect) -> bool:
    """Whether two effects put the same thing into the same place."""
    return (one.building, one.family, one.resource, one.container) == (
        other.building, other.family, other.resource, other.container,
    )  # fmt: skip


def _place(value: Value) -> Address | None:
    """The field that a value was read from, or is the address of."""
    if isinstance(value, Load):
        value = value.place
    return value if isinstance(value, Address) else None


class Questions:
    """Questions about effects and events; FunctionPaths answers them all."""

    found: Exploration
    exits: tuple[PathExit, ...]

    @staticmethod
    def is_own_field(effect: Effect) -> bool:
        """Whether a pointer was published in a field of an object that this function obtained from
        nothing (``kvm = alloc_vm(); rcu_assign_pointer(kvm->bus, b)``): nobody else has it yet."""
        base = base_object(effect.resource)
        return (
            effect.record is not None
            and effect.container is None
            and isinstance(base, Result)
            and not base.source
        )

    @staticmethod
    def is_fresh(value: Value) -> bool:
        """Whether an object was made on this path."""
        root = root_of(value)
        return isinstance(root, Result) and root.role == "fresh"

    @staticmethod
    def is_held_by(effect: Effect, event: Event) -> bool:
        """Whether EL2 may hold what an effect released: it is an argument of the hypercall, holds
        or was looked up by one, or hangs off the structure whose handle is the only one."""
        resource = effect.record or effect.resource
        root = root_of(resource)
        args = [arg for arg in event.args if number_of(arg) is None]
        if any(mentions(arg, root) for arg in args):
            return True
        looked_up = isinstance(root, Result) and not effect.via
        if looked_up and any(mentions(root, arg) for arg in args):
            return True
        if len(args) != 1:
            return False  # a handle and a page: it is about the page
        a, b = _place(args[0]), _place(resource)
        return (
            a is not None
            and b is not None
            and a.fields[-1].rpartition("_")[2] in ("handle", "id")
            and root_of(a) is root_of(b)
            and a.fields[:-1] == b.fields[: len(a.fields) - 1]
        )

    @staticmethod
    def forgets(effect: Effect, event: Event) -> bool:
        """Whether a store after a hypercall clears the field that was its argument."""
        return (
            effect.kind is EffectKind.STORE
            and effect.record is not None
            and number_of(effect.record) == 0
            and (event.site, True) not in effect.followed
            and any(isinstance(arg, Load) and arg.place is effect.resource for arg in event.args)
        )

    @staticmethod
    def swallowed_inside(event: Event) -> bool:
        """Whether a callee met the failure and doesn't hand it to this function."""
        return is_swallowed(event)

    def holds_errors(self, effect: Effect) -> bool:
        """Whether a place is where errors are kept, or what an out-parameter points to."""
        place = effect.resource
        if not isinstance(place, Address):
            return not isinstance(place, Var)
        return not {"err", "error", "ret", "rc", "status", "result"}.isdisjoint(
            place.fields[-1].lower().split("_")
        )

    @staticmethod
    def says_done(effect: Effect) -> bool:
        """Whether a store sets something, as opposed to clearing it."""
        return effect.record is not None and (
            number_of(effect.record) not in (0, None) or _constant(effect.record) != ""
        )

    @staticmethod
    def stores_constant(effect: Effect) -> bool:
        """Whether a store is of an enumeration constant, which says anything."""
        return _constant(effect.record) != ""

    def also_on_success(self, effect: Effect, failure: Event) -> bool:
        """Whether a path on which that hypercall succeeded stores or publishes the same: what
        happens after a failure only is how the function remembers the failure."""
        blocks = self.found.ledger.blocks
        for exit_ in self.exits:
            trail = exit_.exit.trail
            if blocks[failure.site] not in trail or any(
                event.site == failure.site for event in exit_.state.events
            ):
                continue
            if blocks[effect.site] in trail:
                return True
            if effect.kind is not EffectKind.STORE:
                if any(_alike(effect, other) for other in exit_.state.effects):
                    return True
            elif exit_.state.env.get(effect.resource) is effect.record:
                return True
        return False

    def is_tested(self, effect: Effect) -> bool:
        """Whether this function also tests the place that an effect stores to; for an enumeration
        constant, against that constant."""
        place = effect.resource
        constant = _constant(effect.record)
        name = "." + place.fields[-1] if isinstance(place, Address) else ""
        if isinstance(place, Var):
            name = place.name
        cfg = self.found.cfg
        return any(
            {name, constant or name} <= mentioned(test.expr)
            for edges in cfg.edges
            for edge in edges
            for test in edge.tests
        )

    @staticmethod
    def root(effect: Effect) -> Value:
        """The object that an effect is about."""
        return root_of(effect.record or effect.resource)

    def names_anew(self, effect: Effect) -> bool:
        """Whether this function gives the field that named something another value on some path.
        IMPRECISE: fields are told apart by their name alone."""
        place = effect.named_at
        return isinstance(place, Address) and f".{place.fields[-1]}" in self.found.ledger.stores

    @staticmethod
    def field_naming(effect: Effect) -> str:
        """The name of the long-lived field from which an object was read; '' for none."""
        place = effect.named_at
        return place.fields[-1] if isinstance(place, Address) else ""

    @staticmethod
    def base(effect: Effect) -> Value:
        """The outermost object that an effect hangs off."""
        return base_object(effect.record or effect.resource)

    @staticmethod
    def is_about(effect: Effect, event: Event) -> bool:
        """Whether an object supplies, or was looked up by, an argument of a hypercall, or is it."""
        root = root_of(effect.record or effect.resource)
        for arg in event.args:
            if number_of(arg) is not None:
                continue
            if mentions(arg, root):
                return True
            if isinstance(root, Result) and root.site != effect.site and mentions(root, arg):
                return True
        return False

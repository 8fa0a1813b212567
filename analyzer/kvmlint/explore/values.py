"""Abstract values: what a local, a field or a result holds, as far as it matters.

Values are interned: two equal values are one object, so equality is identity. ``key`` is a
structural text, the same in every process; whatever has to be put in order is sorted by it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

MAX_FIELDS = 4
"""Longest access path followed, in fields; beyond it a value is Unknown."""
MAX_DEPTH = 9
"""Deepest nesting of values in a value; beyond it Unknown."""
MAX_KEY = 160
"""Longest structural key, in characters; a larger value becomes Unknown."""


class Value:
    """Base of all values. ``sites`` are the call or havoc sites whose newest result is mentioned,
    ``names`` the globals, '.fields' and functions that a program text must mention to read it
    again, ``older`` whether an earlier turn's result is, ``depth`` how many values are nested."""

    __slots__ = ("depth", "key", "names", "older", "sites")
    depth: int
    key: str
    names: frozenset[str]
    older: bool
    sites: frozenset[int]

    def __init__(self, key: str, parts: tuple[Value, ...], site: int = -1, name: str = "") -> None:
        self.key = key
        depth = 0
        sites: frozenset[int] = _EMPTY_SITES if site < 0 else frozenset((site,))
        names: frozenset[str] = frozenset((name,)) if name else _EMPTY_NAMES
        for part in parts:
            depth = max(depth, part.depth)
            if part.sites:
                sites = sites | part.sites
            if part.names:
                names = names | part.names
        self.depth = depth + 1
        self.older = any(part.older for part in parts)
        self.sites = sites
        self.names = names

    def __repr__(self) -> str:
        return self.key


_EMPTY_SITES: frozenset[int] = frozenset()
_EMPTY_NAMES: frozenset[str] = frozenset()


class Const(Value):
    """An integer; NULL and false are 0."""

    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        super().__init__(str(number), ())
        self.number = number


class Errno(Value):
    """At EL2: a negative errno constant together with the offset of the text that made it."""

    __slots__ = ("number", "origin")

    def __init__(self, number: int, origin: str) -> None:
        super().__init__(f"{number}@{origin}", ())
        self.number = number
        self.origin = origin


class Result(Value):
    """What a call or an unknown statement at ``site`` produced. ``role`` is 'status' (of a
    hypercall or of a function that reaches one), 'fresh' (a resource made there) or 'unknown'.
    ``old`` is an earlier turn's; ``index`` tells several results of one site apart; ``source``
    are the values it was computed or looked up from."""

    __slots__ = ("index", "old", "role", "site", "source")

    def __init__(
        self, role: str, site: int, old: bool, index: int, source: tuple[Value, ...]
    ) -> None:
        mark = "'" if old else ""
        tail = f"({','.join(v.key for v in source)})" if source else ""
        super().__init__(
            f"{role}#{site}{mark}.{index}{tail}" if index else f"{role}#{site}{mark}{tail}",
            source,
            -1 if old else site,
        )
        self.older = self.older or old
        self.role = role
        self.site = site
        self.old = old
        self.index = index
        self.source = source


class Var(Value):
    """The address of a variable. ``local`` is False for globals and static locals."""

    __slots__ = ("local", "name")

    def __init__(self, name: str, local: bool) -> None:
        super().__init__(f"&%{name}" if local else f"&{name}", (), name="" if local else name)
        self.name = name
        self.local = local


class Address(Value):
    """``&root->a.b``: a place inside what ``root`` points to. Fields are never empty."""

    __slots__ = ("fields", "root")

    def __init__(self, root: Value, fields: tuple[str, ...]) -> None:
        super().__init__(f"{root.key}->{'.'.join(fields)}", (root,), name="." + fields[-1])
        self.root = root
        self.fields = fields


class Load(Value):
    """What a place held before this function wrote to it; ``place`` is its address."""

    __slots__ = ("place",)

    def __init__(self, place: Value) -> None:
        super().__init__(f"*{place.key}", (place,))
        self.place = place


class Pure(Value):
    """The result of a call without effects: same arguments, same result."""

    __slots__ = ("args", "function")

    def __init__(self, function: str, args: tuple[Value, ...]) -> None:
        super().__init__(f"{function}({','.join(a.key for a in args)})", args, name=function)
        self.function = function
        self.args = args


class Compute(Value):
    """An arithmetic or logical expression: ``op`` with one or two operands. Comparisons are kept
    as '==' and '<' only, others are a ``not`` of these."""

    __slots__ = ("op", "operands")

    def __init__(self, op: str, operands: tuple[Value, ...]) -> None:
        super().__init__(f"({op} {' '.join(v.key for v in operands)})", operands)
        self.op = op
        self.operands = operands


V = TypeVar("V", bound=Value)


class Pool:
    """Interns the values of one exploration."""

    __slots__ = ("_loads", "_made", "_old", "_small", "_vars", "one", "zero")

    def __init__(self) -> None:
        self._made: dict[str, Value] = {}
        self._small: dict[tuple[object, ...], Value] = {}
        self._vars: dict[tuple[str, bool], Value] = {}
        self._loads: dict[Value, Value] = {}
        self._old: dict[tuple[Value, int], Value] = {}
        self.zero = self.const(0)
        self.one = self.const(1)

    def size(self) -> int:
        """How many values were made: what a budget counts."""
        return len(self._small)

    def _get(self, recipe: tuple[object, ...], make: Callable[[], Value]) -> Value:
        found = self._small.get(recipe)
        if found is None:
            made = make()
            found = self._small[recipe] = self._made.setdefault(
                f"{type(made).__name__}:{made.key}", made
            )
        return found

    def const(self, number: int) -> Value:
        """An integer constant."""
        return self._get((Const, number), lambda: Const(number))

    def errno(self, number: int, origin: str) -> Value:
        """A negative errno with its origin."""
        return self._get((Errno, number, origin), lambda: Errno(number, origin))

    def var(self, name: str, local: bool) -> Value:
        """The address of a variable."""
        found = self._vars.get((name, local))
        if found is None:
            found = self._get((Var, name, local), lambda: Var(name, local))
            self._vars[name, local] = found
        return found

    def result(
        self,
        role: str,
        site: int,
        source: tuple[Value, ...] = (),
        index: int = 0,
        old: bool = False,
    ) -> Value:
        """The result of a site; sources that are too large are left out."""
        if source:
            source = tuple(v for v in source if v.depth < 4 and len(v.key) < 60)[:4]
        return self._get(
            (Result, role, site, old, index, source),
            lambda: Result(role, site, old, index, source),
        )

    def address(self, root: Value, fields: tuple[str, ...]) -> Value:
        """The address of a field; of the object itself when there are no fields."""
        if not fields or is_opaque(root):
            return root
        if isinstance(root, Address):
            fields = root.fields + fields
            root = root.root
        if len(fields) > MAX_FIELDS:
            # IMPRECISE: places deeper than MAX_FIELDS are one place under their root.
            fields = (*fields[: MAX_FIELDS - 1], "…")
        return self._get((Address, root, fields), lambda: Address(root, fields))

    def load(self, place: Value) -> Value:
        """The content of a place at entry."""
        found = self._loads.get(place)
        if found is None:
            if len(place.key) > MAX_KEY or place.depth > MAX_DEPTH or is_opaque(place):
                found = self.result("unknown", OPAQUE)
            else:
                found = self._get((Load, place), lambda: Load(place))
            self._loads[place] = found
        return found

    def pure(self, function: str, args: tuple[Value, ...]) -> Value:
        """The result of a pure call."""
        if any(a.depth >= MAX_DEPTH for a in args) or sum(len(a.key) for a in args) > MAX_KEY:
            return self.result("unknown", OPAQUE)
        return self._get((Pure, function, args), lambda: Pure(function, args))

    def compute(self, op: str, *operands: Value) -> Value:
        """An expression over values."""
        if any(a.depth >= MAX_DEPTH for a in operands):
            return self.result("unknown", OPAQUE)
        if sum(len(a.key) for a in operands) > MAX_KEY:
            return self.result("unknown", OPAQUE)
        return self._get((Compute, op, operands), lambda: Compute(op, operands))

    def negation(self, value: Value) -> Value:
        """Logical not."""
        if isinstance(value, Const | Errno):
            return self.zero if value.number else self.one
        if isinstance(value, Compute) and value.op == "not" and self.is_truth(value.operands[0]):
            return value.operands[0]
        return self.compute("not", value)

    @staticmethod
    def is_truth(value: Value) -> bool:
        """Whether a value is 0 or 1 by its making."""
        return isinstance(value, Compute) and value.op in ("not", "==", "<")

    def aged(self, value: Value, site: int) -> Value:
        """The value with the newest result of ``site`` renamed to its older copy."""
        if site not in value.sites:
            return value
        return self.replace(value, lambda v: self._age(v, site))

    def _age(self, value: Value, site: int) -> Value | None:
        if isinstance(value, Result) and value.site == site and not value.old:
            return self.result(value.role, site, (), value.index, True)
        return None

    def replace(self, value: Value, change: Callable[[Value], Value | None]) -> Value:
        """The value with every part for which ``change`` gives another one exchanged."""
        changed = change(value)
        if changed is not None:
            return changed
        match value:
            case Result(source=source) if source:
                parts = tuple(self.replace(part, change) for part in source)
                if parts == source:
                    return value
                return self.result(value.role, value.site, parts, value.index, value.old)
            case Address(root=root, fields=fields):
                return self.address(self.replace(root, change), fields)
            case Load(place=place):
                new = self.replace(place, change)
                return value if new is place else self.load(new)
            case Pure(function=function, args=args) if args:
                return self.pure(function, tuple(self.replace(arg, change) for arg in args))
            case Compute(op=op, operands=operands):
                return self.compute(op, *(self.replace(part, change) for part in operands))
            case _:
                return value


OPAQUE = -2
"""The site of values that are too large to be told apart: two of them need not be equal."""


def is_opaque(value: Value) -> bool:
    """Whether a value's identity means nothing."""
    return isinstance(value, Result) and value.site == OPAQUE


def root_of(value: Value) -> Value:
    """The object that a value names a part of: for ``&p->a.b`` it is ``p``."""
    while isinstance(value, Address):
        value = value.root
    return value


def base_object(value: Value) -> Value:
    """The outermost object behind a value: for ``p->a->b`` or ``&p->a`` it is ``p``'s value."""
    while True:
        match value:
            case Address(root=root):
                value = root
            case Compute(op="[]", operands=(place, _)):
                value = place
            case Load(place=place):
                if isinstance(place, Var):
                    return value
                value = place
            case _:
                return value


def number_of(value: Value) -> int | None:
    """The integer that a constant is."""
    return value.number if isinstance(value, Const | Errno) else None


def mentions(value: Value, part: Value) -> bool:
    """Whether ``part`` occurs in ``value``."""
    if value is part:
        return True
    match value:
        case Result(source=source):
            return any(mentions(v, part) for v in source)
        case Address(root=root):
            return mentions(root, part)
        case Load(place=place):
            return mentions(place, part)
        case Pure(args=args):
            return any(mentions(v, part) for v in args)
        case Compute(operands=operands):
            return any(mentions(v, part) for v in operands)
        case _:
            return False

"""Operands to values, values to facts: the one evaluator."""

from __future__ import annotations

from kvmlint.cfg.graph import Cfg
from kvmlint.explore.reason import Reasoner
from kvmlint.explore.state import State
from kvmlint.explore.values import (
    OPAQUE,
    Address,
    Compute,
    Load,
    Pool,
    Pure,
    Result,
    Value,
    Var,
    mentions,
    number_of,
    root_of,
)
from kvmlint.knowledge import Knowledge
from kvmlint.syntax.ast import (
    Binary,
    Cast,
    Expr,
    Field,
    Index,
    Name,
    Number,
    Opaque,
    Text,
    Unary,
)

_CONSTANTS = {"NULL": 0, "true": 1, "false": 0}


class Evaluator(Reasoner):
    """Evaluates the operands of one function's operations in a state."""

    def __init__(self, cfg: Cfg, pool: Pool, knowledge: Knowledge, errno_origin: str = "") -> None:
        super().__init__(pool, knowledge)
        self.cfg = cfg
        self.errno_origin = errno_origin
        self._variables: dict[str, Value] = {}
        self._constants = {name: pool.const(number) for name, number in _CONSTANTS.items()}

    # --- places ----------------------------------------------------------------------------------

    def is_local(self, name: str) -> bool:
        """Whether a name is a local of this call (not a static one)."""
        return name.startswith("%") or (name in self.cfg.locals and name not in self.cfg.statics)

    def variable(self, name: str) -> Value:
        """The address of a variable."""
        found = self._variables.get(name)
        if found is None:
            found = self._variables[name] = self.pool.var(name, self.is_local(name))
        return found

    def place(self, state: State, expr: Expr) -> Value:
        """The address that an lvalue names."""
        match expr:
            case Name(name=name):
                return self.variable(name)
            case Field(base=base, name=name, arrow=True):
                return self.pool.address(self.value(state, base), (name,))
            case Field(base=base, name=name):
                return self.pool.address(self.place(state, base), (name,))
            case Unary(op="*", operand=operand):
                return self.value(state, operand)
            case Index(base=base, index=index):
                if isinstance(base, Name) and self.cfg.locals.get(base.name, "").endswith("*"):
                    root = self.value(state, base)
                else:
                    root = self.place(state, base)
                return self.pool.compute("[]", root, self.value(state, index))
            case Cast(operand=operand):
                return self.place(state, operand)
            case _:
                return self.value(state, expr)

    def read(self, state: State, place: Value) -> Value:
        """The content of a place."""
        found = state.env.get(place)
        if found is not None:
            return found
        return self.pool.load(place)

    def write(self, state: State, place: Value, value: Value) -> None:
        """Store; facts about what may be overwritten are forgotten."""
        if not (isinstance(place, Var) and place.local):
            self._forget(state, place)
        state.env[place] = value

    def _forget(self, state: State, place: Value) -> None:
        field = place.fields[-1] if isinstance(place, Address) else ""
        root = root_of(place)
        distinct = _is_own(root)
        for other in list(state.env):
            if other is place or isinstance(other, Var):
                continue
            if isinstance(other, Address):
                inside = root_of(other) is root and (
                    not isinstance(place, Address)
                    or other.fields[: len(place.fields)] == place.fields
                )
                # UNSOUND: two different pointers are taken to alias only where they name the
                # same field; casts between structures are not followed.
                alias = field == other.fields[-1] and not distinct and not _is_own(root_of(other))
                if inside or (alias and not isinstance(state.env[other], Result)):
                    del state.env[other]
        for subject in list(state.facts):
            if self._stale(subject, place, field, distinct):
                del state.facts[subject]

    @staticmethod
    def _stale(subject: Value, place: Value, field: str, distinct: bool) -> bool:
        if field and "." + field in subject.names and not distinct:
            return True
        return mentions(subject, place) and not isinstance(subject, Address)

    def forget_fields(self, state: State, names: frozenset[str]) -> None:
        """A callee may have written fields or globals of these names, of whatever object."""
        for subject in list(state.facts):
            if subject.names & names and not isinstance(subject, Result):
                del state.facts[subject]
        for place in list(state.env):
            if isinstance(place, Address) and "." + place.fields[-1] in names:
                held = state.env[place]
                if not (isinstance(held, Result) and held.role != "unknown"):
                    del state.env[place]

    def havoc(self, state: State, root: Value, value: Value) -> None:
        """Everything behind ``root`` may have been written."""
        if isinstance(root, Var):
            if root.local:
                state.env[root] = value
            return
        for other in list(state.env):
            # cpu_reg(ctxt, 1) stays: whoever else writes it says so in its own text.
            if not isinstance(other, Var | Pure) and mentions(other, root):
                kept = state.env[other]
                if not (isinstance(kept, Result) and kept.role != "unknown"):
                    del state.env[other]
        for subject in list(state.facts):
            if not isinstance(subject, Result) and _reads_through(subject, root):
                del state.facts[subject]

    # --- values ----------------------------------------------------------------------------------

    def value(self, state: State, expr: Expr) -> Value:
        """The value of an operand."""
        pool = self.pool
        match expr:
            case Name(name=name):
                return self._name(state, name)
            case Number(value=number):
                return pool.const(number) if number is not None else pool.pure("?", ())
            case Field() | Index() | Unary(op="*"):
                return self.read(state, self.place(state, expr))
            case Unary(op="&", operand=operand):
                return self.place(state, operand)
            case Unary(op="!", operand=operand):
                return self.truth(self.value(state, operand), False)
            case Unary(op="-", operand=operand):
                if self.errno_origin and isinstance(operand, Name):
                    number = self.knowledge.errno(operand.name)
                    if number is not None:
                        return pool.errno(-number, f"{self.errno_origin}:{expr.start}")
                return self._negative(self.value(state, operand))
            case Unary(op="+", operand=operand):
                return self.value(state, operand)
            case Unary(op=op, operand=operand):
                return pool.compute(op, self.value(state, operand))
            case Cast(type=type_, operand=operand):
                inner = self.value(state, operand)
                if type_ == "bool":
                    return self.truth(inner, True)
                return inner
            case Binary(op=op, left=left, right=right):
                return self.binary(op, self.value(state, left), self.value(state, right))
            case Opaque(text=text):
                return pool.pure(f"'{text[:40]}'", ())
            case Text():
                return pool.pure('"', ())
            case _:
                return pool.result("unknown", OPAQUE)

    def _name(self, state: State, name: str) -> Value:
        constant = self._constants.get(name)
        if constant is None and name not in self._variables:
            number = self.knowledge.errno(name) if name.isupper() else None
            if number is not None and not self.is_local(name):
                constant = self._constants[name] = self.pool.const(number)
        return self.read(state, self.variable(name)) if constant is None else constant

    def _negative(self, value: Value) -> Value:
        number = number_of(value)
        if number is not None:
            return self.pool.const(-number)
        if isinstance(value, Compute) and value.op == "neg":
            return value.operands[0]
        return self.pool.compute("neg", value)

    def binary(self, op: str, left: Value, right: Value) -> Value:
        """``left op right``."""
        pool = self.pool
        if op in ("==", "!=", "<", ">", "<=", ">="):
            return self.comparison(op, left, right)
        a, b = number_of(left), number_of(right)
        if a is not None and b is not None:
            folded = _fold(op, a, b)
            return pool.const(folded) if folded is not None else pool.result("unknown", OPAQUE)
        if b == 0 and op in ("+", "-", "|", "^", "<<", ">>"):
            return left
        if a == 0 and op in ("+", "|"):
            return right
        if op == "|" and (self.is_status(left) or self.is_status(right)):
            # ret |= f(): nonzero as soon as one is, the errno is lost.
            return pool.compute("|", left, right)
        return pool.compute(op, left, right)

    @staticmethod
    def is_status(value: Value) -> bool:
        """Whether a value is a hypercall's status."""
        return isinstance(value, Result) and value.role == "status"


def _is_own(root: Value) -> bool:
    """Whether nothing else can point to the object: a local, or memory made on this path."""
    return (isinstance(root, Var) and root.local) or (
        isinstance(root, Result) and root.role == "fresh"
    )


def _reads_through(value: Value, root: Value) -> bool:
    """Whether a value was read from memory behind ``root``."""
    match value:
        case Load(place=place):
            return mentions(place, root) and place is not root
        case Compute(operands=operands):
            return any(_reads_through(v, root) for v in operands)
        case Pure(args=args):
            return any(mentions(v, root) for v in args)
        case Address(root=inner):
            return _reads_through(inner, root)
        case _:
            return False


def _fold(op: str, a: int, b: int) -> int | None:
    match op:
        case "+":
            return a + b
        case "-":
            return a - b
        case "*":
            return a * b
        case "|":
            return a | b
        case "&":
            return a & b
        case "^":
            return a ^ b
        case "<<" if 0 <= b < 64 and abs(a) < 1 << 64:
            return a << b
        case ">>" if 0 <= b < 64:
            return a >> b
        case "/" if b:
            return int(a / b) if abs(a) < 1 << 52 else None
        case "%" if b:
            return a % b if a >= 0 and b > 0 else None
        case _:
            return None

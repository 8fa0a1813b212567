"""Operands to values, values to facts: the one evaluator."""

from __future__ import annotations

from kvmlint.cfg.graph import Cfg
from kvmlint.explore.facts import (
    ANY,
    NEGATIVE,
    NONZERO,
    POSITIVE,
    UNCONSTRAINED,
    ZERO,
    Fact,
    compare,
    constrain,
    sign,
)
from kvmlint.explore.state import State
from kvmlint.explore.values import (
    Address,
    Compute,
    Const,
    Errno,
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


class Evaluator:
    """Evaluates the operands of one function's operations in a state."""

    def __init__(self, cfg: Cfg, pool: Pool, knowledge: Knowledge, errno_origin: str = "") -> None:
        self.cfg = cfg
        self.pool = pool
        self.knowledge = knowledge
        self.errno_origin = errno_origin

    # --- places ----------------------------------------------------------------------------------

    def is_local(self, name: str) -> bool:
        """Whether a name is a local of this call (not a static one)."""
        return name.startswith("%") or (name in self.cfg.locals and name not in self.cfg.statics)

    def variable(self, name: str) -> Value:
        """The address of a variable."""
        return self.pool.var(name, self.is_local(name))

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

    def havoc(self, state: State, root: Value, value: Value) -> None:
        """Everything behind ``root`` may have been written."""
        if isinstance(root, Var):
            if root.local:
                state.env[root] = value
            return
        for other in list(state.env):
            if not isinstance(other, Var) and mentions(other, root):
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
                return pool.result("unknown", -2)

    def _name(self, state: State, name: str) -> Value:
        if name in _CONSTANTS:
            return self.pool.const(_CONSTANTS[name])
        if not self.is_local(name) and name.isupper():
            number = self.knowledge.errno(name)
            if number is not None:
                return self.pool.const(number)
        return self.read(state, self.variable(name))

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
            return self._comparison(op, left, right)
        a, b = number_of(left), number_of(right)
        if a is not None and b is not None:
            folded = _fold(op, a, b)
            return pool.const(folded) if folded is not None else pool.result("unknown", -2)
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

    def _comparison(self, op: str, left: Value, right: Value) -> Value:
        pool = self.pool
        if op == "!=":
            return pool.negation(self._comparison("==", left, right))
        if op == ">":
            return self._comparison("<", right, left)
        if op == ">=":
            return pool.negation(self._comparison("<", left, right))
        if op == "<=":
            return pool.negation(self._comparison("<", right, left))
        a, b = number_of(left), number_of(right)
        if a is not None and b is not None:
            return pool.one if compare(op, a, b) else pool.zero
        if left is right:
            return pool.one if op == "==" else pool.zero
        if op == "==" and (a is not None or (b is None and right.key < left.key)):
            left, right = right, left
        if op == "==" and number_of(right) == 0 and pool.is_truth(left):
            return pool.negation(left)
        return pool.compute(op, left, right)

    def truth(self, value: Value, wanted: bool) -> Value:
        """``!!value`` (wanted) or ``!value``; a status keeps its identity inside."""
        if self.pool.is_truth(value):
            return value if wanted else self.pool.negation(value)
        is_zero = self._comparison("==", value, self.pool.zero)
        return self.pool.negation(is_zero) if wanted else is_zero

    # --- facts -----------------------------------------------------------------------------------

    def fact(self, state: State, value: Value) -> Fact:
        """What is known of a value."""
        known = state.facts.get(value)
        if known is not None:
            return known
        match value:
            case Const(number=number) | Errno(number=number):
                return Fact(sign(number), number)
            case Address() | Var():
                return Fact(POSITIVE)
            case Compute(op="neg", operands=(inner,)):
                signs = self.fact(state, inner).signs
                return Fact(
                    (NEGATIVE if signs & POSITIVE else 0)
                    | (signs & ZERO)
                    | (POSITIVE if signs & NEGATIVE else 0)
                )
            case Compute(op="not", operands=(inner,)):
                signs = self.fact(state, inner).signs
                if signs == ZERO:
                    return Fact(POSITIVE, 1)
                return Fact(ZERO, 0) if not signs & ZERO else Fact(ZERO | POSITIVE)
            case Compute(op="==" | "<", operands=(left, right)):
                return self._compared(state, value.op, left, right)
            case Compute(op="|", operands=(left, right)):
                a, b = self.fact(state, left).signs, self.fact(state, right).signs
                if a == NEGATIVE or b == NEGATIVE:
                    return Fact(NEGATIVE)
                if a == ZERO and b == ZERO:
                    return Fact(ZERO, 0)
                return UNCONSTRAINED
            case _:
                return UNCONSTRAINED

    def _compared(self, state: State, op: str, left: Value, right: Value) -> Fact:
        number = number_of(right)
        if number is not None:
            fact = self.fact(state, left)
            yes = constrain(fact, op, number, True)
            no = constrain(fact, op, number, False)
        else:
            number = number_of(left)
            if number is None:
                return Fact(ZERO | POSITIVE)
            fact = self.fact(state, right)
            yes = constrain(fact, ">", number, True)
            no = constrain(fact, ">", number, False)
        if yes is None:
            return Fact(ZERO, 0)
        return Fact(POSITIVE, 1) if no is None else Fact(ZERO | POSITIVE)

    def assume(self, state: State, value: Value, truth: bool) -> bool:
        """Learn that a value is true (nonzero) or false; False when that can't be on this path."""
        match value:
            case Const(number=number) | Errno(number=number):
                return bool(number) == truth
            case Compute(op="not", operands=(inner,)):
                return self.assume(state, inner, not truth)
            case Compute(op="==" | "<", operands=(left, right)):
                bound = number_of(right)
                if bound is not None:
                    return self.learn(state, left, value.op, bound, truth)
                bound = number_of(left)
                if bound is not None and value.op == "<":
                    return self.learn(state, right, ">", bound, truth)
                return self._learn_own(state, value, "==", 0, not truth)
            case _:
                return self.learn(state, value, "==", 0, not truth)

    def learn(self, state: State, value: Value, op: str, number: int, truth: bool) -> bool:
        """Learn ``value op number`` ('==', '<', '>'); False when that can't be."""
        match value:
            case Const() | Errno() | Address() | Var():
                return constrain(self.fact(state, value), op, number, truth) is not None
            case Compute(op="not", operands=(inner,)) if op == "==" and number in (0, 1):
                return self.assume(state, inner, (number == 0) == truth)
            case Compute(op="==" | "<") if op == "==" and number in (0, 1):
                return self.assume(state, value, (number == 1) == truth)
            case Compute(op="neg", operands=(inner,)):
                turned = {"==": "==", "<": ">", ">": "<"}[op]
                return self.learn(state, inner, turned, -number, truth)
            case Compute(op="+", operands=(inner, Const(number=shift))) if op == "==":
                return self.learn(state, inner, op, number - shift, truth)
            case Compute(op="-", operands=(inner, Const(number=shift))) if op == "==":
                return self.learn(state, inner, op, number + shift, truth)
            case Compute(op="|", operands=(left, right)) if op == "==" and number == 0:
                if truth:
                    return self.learn(state, left, op, 0, True) and self.learn(
                        state, right, op, 0, True
                    )
                return self._learn_own(state, value, op, number, truth)
            case _:
                return self._learn_own(state, value, op, number, truth)

    def _learn_own(self, state: State, value: Value, op: str, number: int, truth: bool) -> bool:
        fact = constrain(self.fact(state, value), op, number, truth)
        if fact is None:
            return False
        state.facts[value] = fact
        if isinstance(value, Pure) and not value.args and fact.signs in (ZERO, NONZERO, POSITIVE):
            answer = fact.signs != ZERO
            for name, implied in self.knowledge.implied(value.function, answer):
                other = self.pool.pure(name, ())
                if not self._learn_plain(state, other, implied):
                    return False
        return True

    def _learn_plain(self, state: State, value: Value, truth: bool) -> bool:
        fact = constrain(self.fact(state, value), "==", 0, not truth)
        if fact is None:
            return False
        state.facts[value] = fact
        return True

    def set_signs(self, state: State, value: Value, signs: int) -> bool:
        """Restrict a value's signs; False when none is left."""
        number = number_of(value)
        if number is not None:
            return bool(sign(number) & signs)
        fact = self.fact(state, value)
        left = fact.signs & signs
        if not left:
            return False
        if left != ANY:
            state.facts[value] = Fact(left, 0 if left == ZERO else fact.equal, fact.unequal)
        return True


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

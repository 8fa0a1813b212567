"""What follows from what: facts about values, learnt from tests and asked by them."""

from __future__ import annotations

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
    Pool,
    Pure,
    Result,
    Value,
    Var,
    is_opaque,
    number_of,
)
from kvmlint.knowledge import Knowledge


class Reasoner:
    """Comparisons, truth and facts."""

    def __init__(self, pool: Pool, knowledge: Knowledge) -> None:
        self.pool = pool
        self.knowledge = knowledge

    def comparison(self, op: str, left: Value, right: Value) -> Value:
        """``left op right`` for a comparison operator: 0, 1, or a value that is one of them."""
        pool = self.pool
        if op == "!=":
            return pool.negation(self.comparison("==", left, right))
        if op == ">":
            return self.comparison("<", right, left)
        if op == ">=":
            return pool.negation(self.comparison("<", left, right))
        if op == "<=":
            return pool.negation(self.comparison("<", right, left))
        a, b = number_of(left), number_of(right)
        if a is not None and b is not None:
            return pool.one if compare(op, a, b) else pool.zero
        if left is right and not is_opaque(left):
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
        is_zero = self.comparison("==", value, self.pool.zero)
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
            case Address() | Var() | Result(role="fresh"):
                return Fact(POSITIVE)  # what was made is there
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
        if is_opaque(value):
            return True  # nothing ties it to the next opaque value
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

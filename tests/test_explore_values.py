"""Values and facts: what is one value, and what follows from what."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvmlint.explore.facts import (
    ANY,
    NEGATIVE,
    NONZERO,
    POSITIVE,
    UNCONSTRAINED,
    ZERO,
    Fact,
    constrain,
    join,
    sign,
)
from kvmlint.explore.reason import Reasoner
from kvmlint.explore.state import EffectKind, State
from kvmlint.explore.values import (
    MAX_FIELDS,
    OPAQUE,
    Address,
    Pool,
    Value,
    base_object,
    is_opaque,
    mentions,
    root_of,
)
from kvmlint.knowledge import builtin

OPERATORS: dict[str, Callable[[int, int], bool]] = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
    "<=": lambda a, b: a <= b,
    ">=": lambda a, b: a >= b,
}
NUMBERS = range(-6, 7)
"""Enough to stand for all integers where constants are within 3 of zero."""

FIXED = settings(derandomize=True, deadline=None)
"""Every run tries the same examples, however busy the machine is."""

constraints = st.lists(
    st.tuples(st.sampled_from(("==", "<", ">")), st.integers(-3, 3), st.booleans()), max_size=5
)


def admits(fact: Fact, number: int) -> bool:
    return (
        bool(fact.signs & sign(number))
        and fact.equal in (None, number)
        and number not in fact.unequal
    )


def learnt(steps: list[tuple[str, int, bool]]) -> Fact | None:
    fact: Fact | None = UNCONSTRAINED
    for op, number, truth in steps:
        fact = constrain(fact, op, number, truth) if fact is not None else None
    return fact


def satisfying(steps: list[tuple[str, int, bool]]) -> set[int]:
    return {x for x in NUMBERS if all(OPERATORS[op](x, n) == truth for op, n, truth in steps)}


@FIXED
@given(constraints)
def test_facts_never_rule_out_what_can_be(steps: list[tuple[str, int, bool]]) -> None:
    fact = learnt(steps)
    possible = satisfying(steps)
    assert fact is not None or not possible
    if fact is not None:
        assert all(admits(fact, x) for x in possible)


@FIXED
@given(constraints, constraints)
def test_a_join_admits_what_either_admits(
    one: list[tuple[str, int, bool]], two: list[tuple[str, int, bool]]
) -> None:
    a, b = learnt(one), learnt(two)
    if a is not None and b is not None:
        both = join(a, b)
        assert all(admits(both, x) for x in NUMBERS if admits(a, x) or admits(b, x))


@pytest.mark.parametrize(
    ("steps", "signs"),
    [
        ([("==", 0, False)], NONZERO),
        ([("<", 0, True)], NEGATIVE),
        ([("<", 0, False)], ZERO | POSITIVE),
        ([("<", 1, True)], NEGATIVE | ZERO),
        ([("<", 1, False)], POSITIVE),
        ([(">", 0, True)], POSITIVE),
        ([(">", 0, False)], NEGATIVE | ZERO),
        ([(">", -1, True)], ZERO | POSITIVE),
        ([("<", 5, True)], ANY),
        ([("<", 0, False), ("==", 0, False)], POSITIVE),
        ([("<", 0, False), (">", 0, False)], ZERO),
        ([("==", -22, True)], NEGATIVE),
        ([("==", -22, False)], ANY),
    ],
)
def test_signs(steps: list[tuple[str, int, bool]], signs: int) -> None:
    fact = learnt(steps)
    assert fact is not None
    assert fact.signs == signs


@pytest.mark.parametrize(
    "steps",
    [
        [("==", 0, True), ("==", 0, False)],
        [("==", 1, True), ("==", 2, True)],
        [("==", -1, True), ("<", 0, False)],
        [("==", 3, False), ("==", 3, True)],
        [("<", 0, True), (">", 0, True)],
        [("<", 0, True), ("==", 0, True)],
        [("==", 0, False), ("<", 0, False), (">", 0, False)],
        [("<", 0, False), (">", 0, False), ("==", 0, False)],
    ],
)
def test_contradictions_are_seen(steps: list[tuple[str, int, bool]]) -> None:
    assert learnt(steps) is None


def test_zero_by_its_sign_is_the_number_zero() -> None:
    fact = learnt([("<", 0, False), (">", 0, False)])
    assert fact is not None
    assert fact.equal == 0


# --- values --------------------------------------------------------------------------------------


def leaf(pool: Pool, name: str) -> Value:
    """What a parameter holds."""
    return pool.load(pool.var(name, True))


def reasoner() -> tuple[Pool, Reasoner]:
    pool = Pool()
    return pool, Reasoner(pool, builtin())


def test_equal_values_are_one_object() -> None:
    pool = Pool()

    def make() -> list[Value]:
        p = leaf(pool, "p")
        return [
            pool.const(3),
            pool.errno(-1, "f:3"),
            pool.var("g", False),
            p,
            pool.address(p, ("a", "b")),
            pool.load(pool.address(p, ("a",))),
            pool.pure("ALIGN", (p, pool.const(8))),
            pool.compute("+", p, pool.one),
            pool.result("status", 4, (p,)),
        ]

    first = make()
    assert all(a is b for a, b in zip(first, make(), strict=True))
    assert len({id(v) for v in first}) == len({v.key for v in first}) == len(first)


def test_different_values_differ_in_their_keys() -> None:
    """Sorting by key must not depend on who was made first."""
    pool = Pool()
    p = leaf(pool, "p")
    different = [
        pool.var("p", True),
        pool.var("p", False),
        p,
        pool.load(pool.var("p", False)),
        pool.address(p, ("a",)),
        pool.load(pool.address(p, ("a",))),
        pool.result("status", 1),
        pool.result("status", 1, old=True),
        pool.result("status", 2),
        pool.result("fresh", 1),
        pool.result("status", 1, index=1),
        pool.result("status", 1, (p,)),
        pool.const(-1),
        pool.errno(-1, "f:1"),
        pool.errno(-1, "f:2"),
        pool.compute("not", p),
        pool.compute("neg", p),
    ]
    assert len({v.key for v in different}) == len(different)


def test_an_address_in_an_address_is_one_path() -> None:
    pool = Pool()
    p = leaf(pool, "p")
    assert pool.address(pool.address(p, ("a",)), ("b",)) is pool.address(p, ("a", "b"))
    assert pool.address(p, ()) is p
    assert root_of(pool.address(p, ("a", "b"))) is p


def test_a_path_is_at_most_four_fields_long() -> None:
    pool = Pool()
    p = leaf(pool, "p")
    fields = ("a", "b", "c", "d", "e", "f")
    exact = pool.address(p, fields[:MAX_FIELDS])
    assert isinstance(exact, Address)
    assert exact.fields == fields[:MAX_FIELDS]
    longer, other = pool.address(p, fields), pool.address(p, (*fields[:5], "g"))
    assert isinstance(longer, Address)
    assert len(longer.fields) == MAX_FIELDS
    assert longer is other  # IMPRECISE: told apart no more


def test_base_object_is_the_outermost() -> None:
    pool = Pool()
    p = leaf(pool, "p")
    inner = pool.load(pool.address(p, ("a",)))
    assert base_object(pool.address(inner, ("b",))) is p
    assert base_object(p) is p


def test_nesting_is_bounded() -> None:
    pool = Pool()
    value = leaf(pool, "p")
    for number in range(2, 200):
        value = pool.compute("+", value, pool.const(number))
        assert value.depth <= 10
        assert len(value.key) <= 400


def test_values_beyond_the_limit_are_not_known_to_be_equal() -> None:
    pool, reason = reasoner()
    opaque = pool.result("unknown", OPAQUE)
    assert is_opaque(opaque)
    same = reason.comparison("==", opaque, opaque)
    assert same not in (pool.one, pool.zero)


def test_nothing_is_learnt_of_values_beyond_the_limit() -> None:
    """Two of them need not be equal, so what is learnt of one doesn't hold for the next."""
    pool, reason = reasoner()
    opaque = pool.result("unknown", OPAQUE)
    for first, second in product((True, False), repeat=2):
        state = State()
        assert reason.assume(state, opaque, first)
        assert reason.assume(state, opaque, second)


def chain(pool: Pool, root: str, *fields: str) -> Value:
    """``root->f1->f2``: the pointer at the end of a chain of loads."""
    value = leaf(pool, root)
    for field in fields:
        value = pool.load(pool.address(value, (field,)))
    return value


def test_what_hangs_off_a_value_beyond_the_limit_isnt_one_thing() -> None:
    """``a->b->c->d->x`` and ``p->q->r->d->x`` must not become one place."""
    pool, reason = reasoner()
    one = chain(pool, "a", "b", "c", "d", "x")
    two = chain(pool, "p", "q", "r", "d", "x")
    assert reason.comparison("==", one, two) is not pool.one
    state = State()
    assert reason.assume(state, one, True)
    assert reason.assume(state, two, False)


def test_mentions() -> None:
    pool = Pool()
    p, q = leaf(pool, "p"), leaf(pool, "q")
    status = pool.result("status", 3)
    for value in (
        pool.address(p, ("a",)),
        pool.load(pool.address(p, ("a",))),
        pool.compute("not", pool.compute("==", p, pool.zero)),
        pool.pure("f", (status, p)),
        pool.result("unknown", 1, (p,)),
    ):
        assert mentions(value, p)
        assert not mentions(value, q)


# --- aging ---------------------------------------------------------------------------------------


def test_a_site_that_runs_again_has_an_older_copy() -> None:
    pool = Pool()
    newest = pool.result("status", 3)
    older = pool.aged(newest, 3)
    assert older is not newest
    assert older.older
    assert pool.aged(older, 3) is older  # all earlier turns are one
    assert pool.aged(newest, 4) is newest


def test_aging_reaches_into_values() -> None:
    pool = Pool()
    node = pool.result("fresh", 3)
    place = pool.address(node, ("link",))
    aged = pool.aged(pool.compute("==", pool.load(place), pool.zero), 3)
    assert mentions(aged, pool.aged(node, 3))
    assert not mentions(aged, node)
    assert aged.older


def test_a_state_ages_everything_that_it_holds() -> None:
    from kvmlint.explore.effects import new_effect

    pool = Pool()
    state = State()
    node = pool.result("fresh", 3)
    state.env[pool.var("p", True)] = node
    state.facts[node] = Fact(POSITIVE)
    state.effects |= {new_effect(EffectKind.MEMORY, "slab", True, node, 3)}
    state.age(pool, 3)
    older = pool.aged(node, 3)
    assert state.env[pool.var("p", True)] is older
    assert set(state.facts) == {older}
    (effect,) = state.effects
    assert effect.resource is older
    assert effect.old
    image = (state.freeze(), state.effects)
    state.age(pool, 3)
    assert (state.freeze(), state.effects) == image


def test_two_turns_fold_into_one_older_effect() -> None:
    from kvmlint.explore.effects import new_effect

    pool = Pool()
    state = State()
    for _ in range(3):
        state.age(pool, 3)
        node = pool.result("fresh", 3)
        state.effects |= {new_effect(EffectKind.MEMORY, "slab", True, node, 3)}
    assert sorted((e.old, e.many) for e in state.effects) == [(False, False), (True, True)]


def test_what_is_known_of_several_earlier_turns_holds_for_each() -> None:
    pool = Pool()
    state = State()
    turns = (POSITIVE, ZERO)
    for signs in turns:
        state.age(pool, 3)
        state.facts[pool.result("status", 3)] = Fact(signs)
    state.age(pool, 3)
    older = pool.result("status", 3, old=True)
    known = state.facts.get(older, UNCONSTRAINED)
    assert all(known.signs & signs for signs in turns)


# --- comparisons ---------------------------------------------------------------------------------


@FIXED
@given(st.sampled_from(sorted(OPERATORS)), st.integers(-4, 4), st.integers(-4, 4))
def test_comparisons_of_numbers_are_folded(op: str, a: int, b: int) -> None:
    pool, reason = reasoner()
    want = pool.one if OPERATORS[op](a, b) else pool.zero
    assert reason.comparison(op, pool.const(a), pool.const(b)) is want


def test_each_comparison_has_one_form() -> None:
    pool, reason = reasoner()
    a, b = leaf(pool, "a"), leaf(pool, "b")
    compare = reason.comparison
    assert compare("==", a, b) is compare("==", b, a)
    assert compare("!=", a, b) is compare("!=", b, a)
    assert compare(">", a, b) is compare("<", b, a)
    assert compare("<=", a, b) is compare(">=", b, a)
    assert compare("==", a, pool.zero) is compare("==", pool.zero, a)
    for op, opposite in (("==", "!="), ("<", ">="), (">", "<=")):
        assert pool.negation(compare(op, a, b)) is compare(opposite, a, b)


def test_a_value_compared_with_itself() -> None:
    pool, reason = reasoner()
    a = leaf(pool, "a")
    for op, want in (("==", 1), ("!=", 0), ("<", 0), (">", 0), ("<=", 1), (">=", 1)):
        assert reason.comparison(op, a, a) is pool.const(want)


def test_not_not() -> None:
    pool, reason = reasoner()
    a = leaf(pool, "a")
    test = reason.comparison("<", a, pool.zero)
    assert reason.truth(test, True) is test
    assert reason.truth(reason.truth(test, False), False) is test
    assert reason.comparison("==", test, pool.zero) is pool.negation(test)
    # !!a is 0 or 1, which a needn't be
    assert reason.truth(reason.truth(a, False), False) is reason.truth(a, True)
    assert reason.truth(a, True) is not a


def condition(reason: Reasoner, value: Value, op: str, number: int, flipped: bool) -> Value:
    """``value op number``, or the same written the other way round."""
    const = reason.pool.const(number)
    if not flipped:
        return reason.comparison(op, value, const)
    turned = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}.get(op, op)
    return reason.comparison(turned, const, value)


tests = st.lists(
    st.tuples(st.sampled_from(sorted(OPERATORS)), st.integers(-3, 3), st.booleans(), st.booleans()),
    max_size=4,
)


@FIXED
@given(tests)
def test_assumptions_never_rule_out_what_can_be(steps: list[tuple[str, int, bool, bool]]) -> None:
    pool, reason = reasoner()
    value = leaf(pool, "a")
    state = State()
    feasible = all(
        reason.assume(state, condition(reason, value, op, n, flipped), truth)
        for op, n, truth, flipped in steps
    )
    possible = {x for x in NUMBERS if all(OPERATORS[op](x, n) == t for op, n, t, _ in steps)}
    assert feasible or not possible
    if feasible:
        assert all(admits(reason.fact(state, value), x) for x in possible)


CHANGES: dict[str, tuple[Callable[[Pool, Value], Value], Callable[[int], int]]] = {
    "-a": (lambda pool, a: pool.compute("neg", a), lambda x: -x),
    "a + 2": (lambda pool, a: pool.compute("+", a, pool.const(2)), lambda x: x + 2),
    "a - 1": (lambda pool, a: pool.compute("-", a, pool.const(1)), lambda x: x - 1),
}


@pytest.mark.parametrize("change", CHANGES)
@FIXED
@given(steps=tests)
def test_assumptions_about_a_negated_or_shifted_value(
    change: str, steps: list[tuple[str, int, bool, bool]]
) -> None:
    pool, reason = reasoner()
    value = leaf(pool, "a")
    make, number = CHANGES[change]
    state = State()
    feasible = all(
        reason.assume(state, condition(reason, make(pool, value), op, n, flipped), truth)
        for op, n, truth, flipped in steps
    )
    possible = {
        x for x in NUMBERS if all(OPERATORS[op](number(x), n) == t for op, n, t, _ in steps)
    }
    assert feasible or not possible
    if feasible:
        assert all(admits(reason.fact(state, value), x) for x in possible)


@pytest.mark.parametrize("truths", list(product((True, False), repeat=2)))
def test_a_test_asked_twice_agrees(truths: tuple[bool, bool]) -> None:
    pool, reason = reasoner()
    a, b = leaf(pool, "a"), leaf(pool, "b")
    for test in (a, reason.comparison("<", a, b), reason.comparison("==", a, b)):
        state = State()
        assert reason.assume(state, test, truths[0])
        assert reason.assume(state, test, truths[1]) == (truths[0] == truths[1])


def test_ored_statuses_are_zero_only_together() -> None:
    pool, reason = reasoner()
    a, b = pool.result("status", 1), pool.result("status", 2)
    both = pool.compute("|", a, b)
    state = State()
    assert reason.assume(state, both, False)
    assert reason.fact(state, a).signs == ZERO
    assert reason.fact(state, b).signs == ZERO
    state = State()
    assert reason.set_signs(state, a, NEGATIVE)
    assert not reason.assume(state, both, False)


def test_addresses_are_not_null() -> None:
    pool, reason = reasoner()
    state = State()
    assert not reason.assume(state, pool.address(leaf(pool, "p"), ("a",)), False)
    assert not reason.assume(state, pool.var("g", False), False)
    assert reason.assume(state, leaf(pool, "p"), False)


PREDICATES = [
    ("has_vhe", True, "is_kernel_in_hyp_mode", True),
    ("has_vhe", False, "is_kernel_in_hyp_mode", False),
    ("is_kernel_in_hyp_mode", True, "has_vhe", True),
    ("is_kernel_in_hyp_mode", False, "has_vhe", False),
    ("is_protected_kvm_enabled", True, "has_vhe", False),
    ("is_protected_kvm_enabled", True, "is_kernel_in_hyp_mode", False),
    ("has_vhe", True, "is_protected_kvm_enabled", False),
    ("has_vhe", True, "kvm_host_owns_hyp_mappings", False),
    ("is_kernel_in_hyp_mode", True, "is_protected_kvm_enabled", False),
]


@pytest.mark.parametrize(("name", "answer", "other", "follows"), PREDICATES)
def test_modes_imply_each_other(name: str, answer: bool, other: str, follows: bool) -> None:
    pool, reason = reasoner()
    for wanted in (True, False):
        state = State()
        assert reason.assume(state, pool.pure(name, ()), answer)
        assert reason.assume(state, pool.pure(other, ()), wanted) == (wanted == follows)


@pytest.mark.parametrize(
    ("name", "answer", "other"),
    [
        ("is_protected_kvm_enabled", False, "has_vhe"),
        ("has_vhe", False, "is_protected_kvm_enabled"),
        ("has_vhe", False, "kvm_host_owns_hyp_mappings"),
    ],
)
def test_modes_imply_no_more_than_that(name: str, answer: bool, other: str) -> None:
    pool, reason = reasoner()
    for wanted in (True, False):
        state = State()
        assert reason.assume(state, pool.pure(name, ()), answer)
        assert reason.assume(state, pool.pure(other, ()), wanted)

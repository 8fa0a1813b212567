"""Files as a whole: heads, parameters, variants, macros, offsets, and any bytes at all."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvmlint.source import SourceFile
from kvmlint.syntax import ast
from kvmlint.syntax.dump import dump
from kvmlint.syntax.scan import scan_calls, scan_functions
from kvmlint.syntax.unit import Dialect, TooDeep, Unit, parse


def unit_of(text: str | bytes, *world: str) -> Unit:
    data = text.encode() if isinstance(text, str) else text
    return parse(SourceFile("t.c", data), Dialect.default(), frozenset(world))


def names(unit: Unit) -> list[str]:
    return [head.name for head in unit.heads]


def body(unit: Unit, index: int = 0) -> str:
    return dump(unit.lower(unit.heads[index]).body)


HEADS = {
    "int f(void) { }": ("f", "int", []),
    "static inline struct kvm *f(int a, u64 b) { }": (
        "f",
        "struct kvm *",
        [("a", "int"), ("b", "u64")],
    ),
    "static int __init f(void) { }": ("f", "int", []),
    "__printf(1, 2) void f(const char *fmt, ...) { }": (
        "f",
        "void",
        [("fmt", "const char *"), ("", "...")],
    ),
    "int f(struct a __user *p) __must_hold(&p->lock) __acquires(x) { }": (
        "f",
        "int",
        [("p", "struct a *")],
    ),
    "unsigned long f(unsigned long, struct a, char x[4][2]) { }": (
        "f",
        "unsigned long",
        [("", "unsigned long"), ("", "struct a"), ("x", "char [][]")],
    ),
    "int f(int (*cb)(void *, int), void *d) { }": (
        "f",
        "int",
        [("cb", "int (*)()"), ("d", "void *")],
    ),
    "int (*f(int a))(int) { }": ("f", "int (*)()", [("a", "int")]),
    "int f(a, b) int a; char *b; { }": ("f", "int", [("a", "int"), ("b", "char *")]),
    "SYSCALL_DEFINE2(f, int, fd, struct a __user *, p) { }": (
        "f",
        "",
        [("fd", "int"), ("p", "struct a *")],
    ),
    "static u64 FNAME(f)(struct kvm *kvm) { }": ("f", "u64", [("kvm", "struct kvm *")]),
    'MODULE_LICENSE("GPL")\nstatic int f(int a) { }': ("f", "int", [("a", "int")]),
    "DEFINE_FREE(x, void *, if (_T) { a(_T); })\nint f(void) { }": ("f", "int", []),
    "struct a { int (*x)(int); } __aligned(8);\nint f(void)\n{ }": ("f", "int", []),
}


@pytest.mark.parametrize(("text", "expected"), HEADS.items())
def test_head(text: str, expected: tuple[str, str, list[tuple[str, str]]]) -> None:
    unit = unit_of(text)
    (head,) = unit.heads
    function = unit.lower(head)
    assert unit.problems == ()
    parameters = [(one.name, one.type) for one in function.parameters]
    assert (function.name, function.returns, parameters) == expected
    assert text[head.name_start :].startswith(head.name)
    assert function.end == len(text)


@pytest.mark.parametrize(
    "text",
    [
        "struct a { int x; };",
        "static const struct a x[] = { { .f = g(1) }, };",
        "enum __packed e { A, B };",
        "static DEF(name)\nenum e { A };",
        "TRACE_EVENT(x, TP_fast_assign( { a(); } ));",
        "int f(void);",
        "struct a __aligned(8) x = { 1 };",
        "#define f(x) int g(void) { }",
    ],
)
def test_no_function(text: str) -> None:
    assert unit_of(text).heads == ()


def test_static_and_extent() -> None:
    text = "/* a */ static int f(void)\n{\n\treturn 0;\n}\nint g(void) { }\n"
    unit = unit_of(text)
    assert [(h.name, h.static, text[h.start : h.end]) for h in unit.heads] == [
        ("f", True, "static int f(void)\n{\n\treturn 0;\n}"),
        ("g", False, "int g(void) { }"),
    ]


# --- variants ------------------------------------------------------------------------------------


def test_every_branch_is_in_a_variant() -> None:
    text = """int f(void)
{
#if A > 1
	a();
#elif defined(B)
	b();
# ifdef C
	c();
# else
	d();
# endif
#else
	e();
#endif
}
"""
    unit = unit_of(text)
    seen = [unit.called(head) for head in unit.heads]
    assert frozenset.union(*seen) == {"a", "b", "c", "d", "e"}
    assert not any({"a", "b"} <= one or {"c", "d"} <= one for one in seen)


def test_variants_agree_with_themselves() -> None:
    text = """int f(void)
{
#ifdef A
	a();
#else
	b();
#endif
#if !defined(A)
	c();
#else
	d();
#endif
}
"""
    unit = unit_of(text)
    seen = {unit.called(head) for head in unit.heads}
    assert seen == {frozenset({"a", "d"}), frozenset({"b", "c"})}


def test_braces_split_by_branches() -> None:
    text = """#ifdef A
int f(int a)
{
#else
int f(long a)
{
#endif
	g();
}
int h(void)
{
#ifdef B
	if (x) {
#else
	if (y) {
#endif
		k();
	}
}
"""
    unit = unit_of(text)
    assert unit.problems == ()
    assert names(unit) == ["f", "f", "h", "h"]
    # The brace before #else belongs to the first f alone.
    shown = [[one.type for one in unit.lower(head).parameters] for head in unit.heads[:2]]
    assert shown == [["int"], ["long"]]


def test_a_function_without_choices_has_one_head() -> None:
    text = "#ifdef A\nint f(void) { }\n#else\nint f(void) { }\n#endif\nint g(void) { }\n"
    assert names(unit_of(text)) == ["f", "f", "g"]


def test_a_branch_without_code_makes_no_second_head() -> None:
    text = "int f(void)\n{\n#ifdef A\n\t/* a */\n#else\n\t/* b */\n#endif\n\tg();\n}\n"
    assert names(unit_of(text)) == ["f"]


def test_header_guard_and_defines_in_the_file() -> None:
    text = """#ifndef _X_H
#define _X_H
#ifdef _X_H
int f(void) { }
#endif
#endif
"""
    assert names(unit_of(text)) == ["f"]


def test_if_0_is_not_shown() -> None:
    text = "int f(void)\n{\n#if 0\n\ta();\n#else\n\tb();\n#endif\n}\n"
    unit = unit_of(text)
    assert [unit.called(head) for head in unit.heads] == [{"b"}]


WORLD = """#ifdef __KVM_NVHE_HYPERVISOR__
int f(void) { el2(); }
#else
int f(void) { host(); }
#endif
"""


def test_the_world_is_not_a_variant() -> None:
    host, el2 = unit_of(WORLD), unit_of(WORLD, "__KVM_NVHE_HYPERVISOR__")
    assert [host.called(head) for head in host.heads] == [{"host"}]
    assert [el2.called(head) for head in el2.heads] == [{"el2"}]


def test_contradictory_branch_is_still_shown() -> None:
    text = "#ifdef A\n#ifndef A\nint f(void) { }\n#endif\n#endif\n"
    assert names(unit_of(text)) == ["f"]


def test_too_many_variants_is_a_problem() -> None:
    branches = "".join(f"#elif defined(X{i})\n\tg{i}();\n" for i in range(60))
    unit = unit_of(f"int f(void)\n{{\n#if defined(A)\n\ta();\n{branches}#endif\n}}\n")
    assert unit.problems
    shown = frozenset.union(*(unit.called(head) for head in unit.heads))
    lines = [unit.file.data[one.start : one.end].decode() for one in unit.problems]
    for i in range(60):
        assert (f"g{i}" in shown) != any(f"g{i}(" in line for line in lines)


# --- the rest of a unit --------------------------------------------------------------------------


def test_called_and_identifiers() -> None:
    text = 'int f(int a)\n{\n\tif (a) g (b); /* c() */ k("d()");\n#define e() h()\n}\n'
    unit = unit_of(text)
    (head,) = unit.heads
    assert unit.called(head) == {"g", "k"}
    assert unit.identifiers(head) == {"int", "f", "a", "if", "g", "b", "k"}


@pytest.mark.parametrize(
    ("define", "expected"),
    [
        (
            "FN(f) (!asked() ? f : p ## f)",
            "(call (conditional (unary ! (call asked [])) g pg) [x])",
        ),
        ("FN(f) asked() ? v_##f : f", "(call (conditional (call asked []) v_g g) [x])"),
        ("FN(f) (asked(1) ? f : p##f)", "(call (call FN [g]) [x])"),
        ("FN(f) (asked() ? f : 0)", "(call (call FN [g]) [x])"),
        ("FN(f, h) (asked() ? f : h)", "(call (call FN [g]) [x])"),
    ],
)
def test_a_macro_that_chooses_a_function(define: str, expected: str) -> None:
    unit = unit_of(f"#define {define}\nint f(int x)\n{{\n\tFN(g)(x);\n}}\n")
    chosen = "conditional" in expected
    assert body(unit) == f"(block [(exprstmt {expected})])"
    assert ("g" in unit.called(unit.heads[0])) == chosen
    for name in ("pg", "v_g"):
        made = name in expected
        assert (name in unit.called(unit.heads[0])) == made
        assert unit.mentioning(name) == ({"f"} if made else set())
    assert unit.mentioning("g") == {"f"}
    assert unit.mentioning("f") == {"f"}
    assert unit.mentioning("h") == set()


def test_defines() -> None:
    text = (
        "#define A 1 /* one */\n# define B(x, y...) \\\r\n\tf(x, \\\r\n\ty)\n"
        '#if 0\n#define C() "//" + 1 // c\n#endif\n#define D\n#define E(...) g(__VA_ARGS__)\n'
    )
    found = [
        (one.name, one.parameters, " ".join(one.body.split())) for one in unit_of(text).defines
    ]
    assert found == [
        ("A", None, "1"),
        ("B", ("x", "..."), "f(x, y)"),
        ("C", (), '"//" + 1'),
        ("D", None, ""),
        ("E", ("...",), "g(__VA_ARGS__)"),
    ]
    assert text[unit_of(text).defines[1].start :].startswith("# define B")


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_offsets_with_crlf_tabs_utf8_and_splices(newline: str) -> None:
    lines = [
        "/* größe */ int f(struct kvm *k)",
        "{",
        "\t// a comment that goes on \\",
        "\t   bad() {",
        "\tkvm_call_hyp_nvhe(x, \\",
        '\t\t"ü}", k->größe); /* ) */',
        "\treturn 'ä';",
        "}",
    ]
    data = newline.join(lines).encode()
    unit = unit_of(data)
    (head,) = unit.heads
    call, back = unit.lower(head).body.body
    assert unit.problems == ()
    assert isinstance(call, ast.ExprStmt)
    assert isinstance(call.expr, ast.Call)
    assert data[call.expr.start :].startswith(b"kvm_call_hyp_nvhe(x")
    argument = call.expr.args[2]
    assert isinstance(argument, ast.Field)
    assert argument.name == "größe"
    assert data[argument.start : argument.end].decode() == "k->größe"
    assert data[back.start :].startswith(b"return")


DEEP = {
    "x = " + "(" * 10_000 + "y" + ")" * 10_000 + ";": True,
    "a: " * 10_000 + ";": True,
    "case 1: " * 10_000 + ";": True,
    'x = "a"' + ' "b"' * 10_000 + ";": True,
    "f();" * 10_000: True,
    "{" * 10_000 + "}" * 10_000: False,
    "x = " + "f(" * 10_000 + ")" * 10_000 + ";": False,
    "x = " + "!" * 10_000 + "y;": False,
    "x = " + "(int)" * 10_000 + "a;": False,
    "x = " + "a + " * 10_000 + "a;": False,
    "a " + ", a" * 10_000 + ";": False,
    "if (a) ; else " * 10_000 + ";": False,
    "x = " + "({ " * 10_000 + "1; " + "});" * 10_000: False,
}


@pytest.mark.parametrize(("text", "flat"), DEEP.items(), ids=lambda one: str(one)[:9])
def test_deep_nesting(text: str, flat: bool) -> None:
    unit = unit_of(f"int f(void)\n{{\n{text}\n}}\n")
    (head,) = unit.heads
    if flat:
        unit.lower(head)
        return
    with pytest.raises(TooDeep) as raised:
        unit.lower(head)
    assert 0 < raised.value.offset < len(unit.file.data)


def test_deep_conditions() -> None:
    nested = "#if A\n" * 2000 + "int f(void) { }\n" + "#endif\n" * 2000
    assert names(unit_of(nested)) == ["f"]
    wide = "#if A\n" + "".join(f"#elif B{i}\n" for i in range(2000)) + "#endif\nint f(void) { }\n"
    assert names(unit_of(wide)) == ["f"]
    long = "#if " + "(" * 5000 + "A" + ")" * 5000 + "\nint f(void) { }\n#endif\n"
    assert names(unit_of(long)) == ["f"]


def test_unbalanced_functions_are_problems_and_the_others_survive() -> None:
    text = "int f(void)\n{\n\tif (a) {\n\tb();\n}\n\nint g(void)\n{\n\tc();\n}\n"
    unit = unit_of(text)
    assert names(unit) == ["g"]
    assert [one.function for one in unit.problems] == ["f"]
    text = "int f(void)\n{\n\tb(); } }\n\nint g(void)\n{\n\tc();\n}\n"
    unit = unit_of(text)
    assert "g" in names(unit)
    assert unit.problems


SEEDS = [
    WORLD.encode(),
    b'int f(void)\n{\n\tscoped_guard(a, &b) { g("x"); }\n#if A\n\tcase 1 ... 2:\n#endif\n}\n',
    b"static int f(struct a *p)\n{\n\tfor_each_x(a, b) { DECLARE_REG(u64, x, (void *)c, 1); }\n"
    b"\tx = (struct a){ .b = 'c' };\n\tasm(\"a\" : : );\n\tgoto *p;\n}\n",
    b"#define A(x) for (x = 0; x; x++)\n/* \xff */ int g(a) int a; { A(b) c(); }\n",
]


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(SEEDS),
    st.lists(
        st.tuples(
            st.integers(0, 200),
            st.integers(0, 6),
            st.one_of(
                st.binary(max_size=3),
                st.sampled_from([b"{", b"}", b"(", b")", b'"', b"'", b"/*", b"*/", b"\\\n", b"\0"]),
                st.sampled_from([b"#if ", b"#else", b"\n#endif\n", b"...", b"case", b"=", b";"]),
            ),
        ),
        max_size=6,
    ),
)
def test_any_bytes(seed: bytes, edits: list[tuple[int, int, bytes]]) -> None:
    data = bytearray(seed)
    for at, length, text in edits:
        data[at : at + length] = text
    unit = unit_of(bytes(data))
    for head in unit.heads:
        function = unit.lower(head)
        assert 0 <= function.start <= function.name_start < function.end <= len(data)
        unit.called(head)
        unit.identifiers(head)
        dump(function)
    scan_functions(bytes(data))
    scan_calls(bytes(data), ["g"])


# --- the lexical scan ----------------------------------------------------------------------------


def test_scan_functions() -> None:
    text = b"""
struct a { int x; };
static const struct ops o = { .f = F(1) };
#ifdef A
int f(int a)
{
#else
int f(long a)
{
#endif
	if (a) { /* } */ }
}
#if 0
int no(void) { }
#endif
int g(void)
{
}
#define h() int h(void) { }
"""
    assert [name for name, _ in scan_functions(text)] == ["f", "f", "g"]


def test_scan_calls() -> None:
    text = b'f(); /* f() */ "f()"; g(f (1)); f;\n#define x f(1)\n#if 0\nf();\n#endif\nff();'
    assert scan_calls(text, {"f"}) == [("f", 0), ("f", text.index(b"f (1)"))]


@pytest.mark.parametrize("text", ["{\n\nh(){)\n{}", "{\n\ng(){)\n{\n\tx();\n}\n"])
def test_no_head_begins_behind_its_name(text: str) -> None:
    """Braces that a mutation left over."""
    for head in unit_of(text).heads:
        assert head.start <= head.name_start < head.end

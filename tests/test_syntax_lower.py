"""Each construct of kernel C: the shape that it is lowered to."""

from __future__ import annotations

import pytest

from kvmlint.source import SourceFile
from kvmlint.syntax.dump import dump
from kvmlint.syntax.unit import Dialect, Unit, parse


def unit_of(text: str) -> Unit:
    return parse(SourceFile("t.c", text.encode()), Dialect.default())


def statements(body: str, before: str = "") -> list[str]:
    """Dumps of the statements of ``body`` as a function's; nothing may be left not understood."""
    unit = unit_of(f"{before}\nstatic int f(struct kvm *kvm)\n{{\n{body}\n}}\n")
    (head,) = unit.heads
    function = unit.lower(head)
    assert unit.problems == ()
    return [dump(one) for one in function.body.body]


EXPRESSIONS = {
    # operators and literals
    "x = a ?: b;": "(assign = x (conditional a - b))",
    "x = a ? b : c;": "(assign = x (conditional a b c))",
    "x <<= 3, y |= z;": "(comma (assign <<= x 3) (assign |= y z))",
    "x = a && !b || c == -1;": "(assign = x (binary || (binary && a (unary ! b)) "
    "(binary == c (unary - 1))))",
    "x = a | b | c;": "(assign = x (binary | (binary | a b) c))",
    "++p->n; ": "(update ++ prefix (field p n arrow))",
    "a.b[i]--;": "(update -- (index (field a b) i))",
    "x = 0x1fUL + 010 + 0b11 + 7ull;": "(assign = x (binary + (binary + (binary + 31 8) 3) 7))",
    r"x = 'A' + '\n' + '\0' + '\x41' + '\'' + '{';": "(assign = x (binary + (binary + (binary + "
    "(binary + (binary + 65 10) 0) 65) 39) 123))",
    "x = 1.5;": "(assign = x None)",
    'f("a" "b" PRIx64 "c");': '(call f [""])',
    'pr(KERN_ERR PFX "x" __stringify(A) "\\n", 1);': '(call pr ["" 1])',
    "x = NULL; ": "(assign = x NULL)",
    "x = &&out;": "(assign = x <&&out>)",
    # calls and casts
    "(f)(x);": "(call f [x])",
    "(*ops->fn)(x);": "(call (unary * (field ops fn arrow)) [x])",
    "(void)f(x);": "(cast void (call f [x]))",
    "x = (struct foo *)p;": "(assign = x (cast 'struct foo *' p))",
    "x = (struct foo __user *)(p + 1);": "(assign = x (cast 'struct foo *' (binary + p 1)))",
    "x = (foo_t *)p;": "(assign = x (cast 'foo_t *' p))",
    "x = (u64)(a) == (u64)-1;": "(assign = x (binary == (cast u64 a) (cast u64 (unary - 1))))",
    "x = (u64)&a == b;": "(assign = x (binary == (cast u64 (unary & a)) b))",
    "x = (unsigned long)(void *)p;": "(assign = x (cast 'unsigned long' (cast 'void *' p)))",
    "x = (a) & b;": "(assign = x (binary & a b))",
    "x = (a) - 1;": "(assign = x (binary - a 1))",
    "x = (a -1);": "(assign = x (binary - a 1))",
    "x = (a * b) - 1;": "(assign = x (binary - (binary * a b) 1))",
    "x = (typeof(a))b;": "(assign = x (cast typeof(a) b))",
    "x = (int (*)(void *))p;": "(assign = x (cast 'int (*)(void *)' p))",
    "x = ((((y))));": "(assign = x y)",
    "KVM_PGT_FN(f)(x);": "(call (call KVM_PGT_FN [f]) [x])",
    "f();": "(call f [])",
    "x = f(a, , b);": "(assign = x (call f [a <> b]))",
    # types as arguments
    "p = container_of(n, struct foo, m.list);": "(assign = p (call container_of "
    "[n <struct foo> (field m list)]))",
    "p = container_of(n, foo, m);": "(assign = p (call container_of [n <foo> m]))",
    "x = min_t(unsigned long, a, b);": "(assign = x (call min_t [<unsigned long> a b]))",
    "x = va_arg(ap, const char *);": "(assign = x (call va_arg [ap <const char *>]))",
    "x = m(foo_t *, a);": "(assign = x (call m [<foo_t *> a]))",
    "x = m(a * b, c);": "(assign = x (call m [(binary * a b) c]))",
    "x = sizeof(struct foo) * sizeof(*p);": "(assign = x (binary * <sizeof(struct foo)> "
    "<sizeof(*p)>))",
    "x = sizeof *p;": "(assign = x <sizeof *p>)",
    "x = offsetof(struct foo, a[i].b);": "(assign = x <offsetof(struct foo, a[i].b)>)",
    "x = _Generic(a, int: 1, default: f)(b);": "(assign = x (call "
    "<_Generic(a, int: 1, default: f)> [b]))",
    "x = __builtin_expect(!!(a), 0);": "(assign = x (call __builtin_expect "
    "[(unary ! (unary ! a)) 0]))",
    # aggregates and statement expressions
    "x = (struct foo){ .a = 1, 2, .b.c[3] = f(y) };": "(assign = x (initlist "
    "[[.a 1] ['' 2] [.b.c[3] (call f [y])]]))",
    "g(&(struct foo){ 0 });": "(call g [(unary & (initlist [['' 0]]))])",
    "x = ({ int y = f(); y; });": "(assign = x (statementexpr (block "
    "[(declare y int (call f [])) (exprstmt y)])))",
}


@pytest.mark.parametrize(("body", "expected"), EXPRESSIONS.items())
def test_expression(body: str, expected: str) -> None:
    assert statements(body) == [f"(exprstmt {expected})"]


STATEMENTS = {
    "if (a) ;": ["(if a (empty) -)"],
    "if (a) f(); else if (b) g(); else h();": [
        "(if a (exprstmt (call f [])) (if b (exprstmt (call g [])) (exprstmt (call h []))))"
    ],
    "if (x = f(), x < 0) return x;": [
        "(if (comma (assign = x (call f [])) (binary < x 0)) (return x) -)"
    ],
    "if (({ g(); })) ;": ["(if (statementexpr (block [(exprstmt (call g []))])) (empty) -)"],
    "while (a) { b(); continue; }": ["(while a (block [(exprstmt (call b [])) (continue)]))"],
    "do { a(); } while (b());": ["(dowhile (block [(exprstmt (call a []))]) (call b []))"],
    "do a(); while (0);": ["(dowhile (exprstmt (call a [])) 0)"],
    "for (int i = 0, j; i < n; i++) a(i);": [
        "(for [(declare i int 0) (declare j int -)] (binary < i n) (update ++ i) "
        "(exprstmt (call a [i])))"
    ],
    "for (i = 0, j = 1; ; ) break;": [
        "(for [(exprstmt (comma (assign = i 0) (assign = j 1)))] - - (break))"
    ],
    "for (;;) ;": ["(for [] - - (empty))"],
    "switch (x) { case A: case 1 ... 3: f(); break; default: g(); }": [
        "(switch x (block [(case A -) (case 1 3) (exprstmt (call f [])) (break) (case - -) "
        "(exprstmt (call g []))]))"
    ],
    "switch (x) { case A | B ... C | D: { f(); } fallthrough; case E: ; }": [
        "(switch x (block [(case (binary | A B) (binary | C D)) (block [(exprstmt (call f []))]) "
        "(empty) (case E -) (empty)]))"
    ],
    "goto out; out: __maybe_unused; return 0;": [
        "(goto out)",
        "(label out)",
        "(empty)",
        "(return 0)",
    ],
    "__label__ here; here: f(); goto *p;": ["(label here)", "(exprstmt (call f []))", "(goto '')"],
    "out: int x = 1; end: { }": ["(label out)", "(declare x int 1)", "(label end)", "(block [])"],
    "if (a) again: f();": ["(if a (block [(label again) (exprstmt (call f []))]) -)"],
    "return;": ["(return -)"],
    ";;": ["(empty)", "(empty)"],
    'asm volatile("x %0" : "=r" (a) : "r" (b) : "memory");': ["(empty)"],
    'if (a) asm("nop"); else f();': ["(if a (empty) (exprstmt (call f [])))"],
    "__attribute__((fallthrough)); f();": ["(empty)", "(exprstmt (call f []))"],
    "{ { f(); } }": ["(block [(block [(exprstmt (call f []))])])"],
    # guards
    "guard(mutex)(&kvm->lock); f();": [
        "(guard mutex [(unary & (field kvm lock arrow))])",
        "(exprstmt (call f []))",
    ],
    "guard(rcu)();": ["(guard rcu [])"],
    "scoped_guard(spinlock, &l) f();": [
        "(scopedguard spinlock [(unary & l)] (exprstmt (call f [])) -)"
    ],
    "scoped_guard(rcu) { f(); }": ["(scopedguard rcu [] (block [(exprstmt (call f []))]) -)"],
    "scoped_cond_guard(mutex_intr, return -EINTR, &l) { f(); }": [
        "(scopedguard mutex_intr [(unary & l)] (block [(exprstmt (call f []))]) "
        "(return (unary - EINTR)))"
    ],
    "scoped_cond_guard(mutex_try, { a(); goto out; }, &l) f(); out:;": [
        "(scopedguard mutex_try [(unary & l)] (exprstmt (call f [])) "
        "(block [(exprstmt (call a [])) (goto out)]))",
        "(label out)",
        "(empty)",
    ],
    # loop macros
    "list_for_each_entry_safe(p, n, &kvm->list, node) { f(p); }": [
        "(loopmacro list_for_each_entry_safe [p n (unary & (field kvm list arrow)) node] [p n] "
        "(block [(exprstmt (call f [p]))]))"
    ],
    "if (a) kvm_for_each_vcpu(i, v, kvm) f(v); else g();": [
        "(if a (loopmacro kvm_for_each_vcpu [i v kvm] [i v] (exprstmt (call f [v]))) "
        "(exprstmt (call g [])))"
    ],
    "xa_for_each(&kvm->xa, i, e) f(e);": [
        "(loopmacro xa_for_each [(unary & (field kvm xa arrow)) i e] [i e] (exprstmt (call f [e])))"
    ],
    "for_each_unknown(x, y)\n\tif (x) f();": [
        "(loopmacro for_each_unknown [x y] [x y] (if x (exprstmt (call f [])) -))"
    ],
    "for_each_nothing() { f(); }": [
        "(loopmacro for_each_nothing [] [] (block [(exprstmt (call f []))]))"
    ],
    "with_something(a) { f(); }": [
        "(loopmacro with_something [a] [a] (block [(exprstmt (call f []))]))"
    ],
    # macro statements without a semicolon
    "SET(a)\n\tCLEAR(b)\n\tf();": [
        "(exprstmt (call SET [a]))",
        "(exprstmt (call CLEAR [b]))",
        "(exprstmt (call f []))",
    ],
    "x = 1; FINISH(a)": ["(exprstmt (assign = x 1))", "(exprstmt (call FINISH [a]))"],
    "BEGIN\n\tf(a);\n\tMIDDLE\n\tx = 1;\n\tEND\n": [
        "(exprstmt BEGIN)",
        "(exprstmt (call f [a]))",
        "(exprstmt MIDDLE)",
        "(exprstmt (assign = x 1))",
        "(exprstmt END)",
    ],
    "if (a)\n\t\tBEGIN\n\telse\n\t\tf();": ["(if a (exprstmt BEGIN) (exprstmt (call f [])))"],
    "cmp(a, <, b); f();": ["(exprstmt (call cmp []))", "(exprstmt (call f []))"],
}


@pytest.mark.parametrize(("body", "expected"), STATEMENTS.items())
def test_statement(body: str, expected: list[str]) -> None:
    assert statements(body) == expected


DECLARATIONS = {
    "int a = f(), *b, c[3][4];": [
        "(declare a int (call f []))",
        "(declare b 'int *' -)",
        "(declare c 'int [][]' -)",
    ],
    "struct kvm __rcu *k = NULL;": ["(declare k 'struct kvm *' NULL)"],
    'const char *const names[] = { [A] = "a", [B ... C] = "b" };': [
        '(declare names \'const char *[]\' (initlist [[[A] ""] [[B...C] ""]]))'
    ],
    "static unsigned long x __aligned(8) = 1;": ["(declare x 'unsigned long' 1 static)"],
    "int (*fn)(int, struct kvm *) = g;": ["(declare fn 'int (*)()' g)"],
    "extern int g(unsigned long, int);": [],
    "struct { int a; FLEX(u8, b); } *p = q;": ["(declare p 'struct {...} *' q)"],
    "enum { A, B };": [],
    "typeof(x) y = x;": ["(declare y typeof(x) x)"],
    "__auto_type y = x;": ["(declare y __auto_type x)"],
    "u64 __maybe_unused y;": ["(declare y u64 -)"],
    "struct a *p __free(kfree) = g(), *q __free(put) = NULL;": [
        "(declare p 'struct a *' (call g []) kfree)",
        "(declare q 'struct a *' NULL put)",
    ],
    "__cleanup(h) int fd = 1;": ["(declare fd int 1 h)"],
    "struct a *p = ({ struct b *q __free(kfree) = g(); q->a; });": [
        "(declare p 'struct a *' (statementexpr (block "
        "[(declare q 'struct b *' (call g []) kfree) (exprstmt (field q a arrow))])))"
    ],
    "CLASS(fd, f)(n);": [
        "(declare f class_fd_t (call (call CLASS [fd f]) [n]) class_fd_destructor)"
    ],
    "DECLARE_REG(struct kvm *, host_kvm, ctxt, 1);": [
        "(declare host_kvm 'struct kvm *' (call DECLARE_REG [<struct kvm *> host_kvm ctxt 1]))"
    ],
    "DECLARE_REG(phys_addr_t, pa, ctxt, 1);": [
        "(declare pa phys_addr_t (call DECLARE_REG [<phys_addr_t> pa ctxt 1]))"
    ],
    "LIST_HEAD(head);": ["(declare head 'struct list_head' (call LIST_HEAD [head]))"],
    "static DEFINE_MUTEX(m);": ["(declare m 'struct mutex' (call DEFINE_MUTEX [m]) static)"],
    "static DEFINE_RATELIMIT_STATE(rs, 5 * HZ, 1);": [
        "(declare rs 'struct ratelimit_state' (call DEFINE_RATELIMIT_STATE [rs (binary * 5 HZ) 1])"
        " static)"
    ],
    "DECLARE_BITMAP(m, 64) = { 0 };": [
        "(declare m 'unsigned long []' (call DECLARE_BITMAP [m 64]))"
    ],
}


@pytest.mark.parametrize(("body", "expected"), DECLARATIONS.items())
def test_declaration(body: str, expected: list[str]) -> None:
    assert statements(body) == expected


def test_local_loop_macros_are_known_with_their_cursors() -> None:
    define = (
        "#define walk(list, pos) for (pos = first(list); pos; pos = pos->next)\n"
        "#define walk_kvm(kvm, pos) \\\n\twalk(&(kvm)->list, pos)\n"
    )
    assert statements("walk_kvm(kvm, p)\n\tf(p);", define) == [
        "(loopmacro walk_kvm [kvm p] [p] (exprstmt (call f [p])))"
    ]


def test_typedefs_of_the_file_make_casts() -> None:
    assert statements("x = (pfn)-1;", "typedef unsigned long pfn;") == [
        "(exprstmt (assign = x (cast pfn (unary - 1))))"
    ]


def test_statement_without_meaning_to_the_parser_is_a_problem() -> None:
    unit = unit_of("int f(void)\n{\n\ta();\n\twait(x, return g());\n}\n")
    (head,) = unit.heads
    assert not unit.problems
    unit.lower(head)
    assert {(one.function, one.message) for one in unit.problems} == {("f", "not understood")}


def test_lowered_once() -> None:
    unit = unit_of("int f(void)\n{\n\treturn 0;\n}\n")
    assert unit.lower(unit.heads[0]) is unit.lower(unit.heads[0])


def test_ends_reach_over_what_was_rewritten() -> None:
    text = "int f(void)\n{\n\tx = (u64)sizeof(struct foo);\n}\n"
    unit = unit_of(text)
    statement = unit.lower(unit.heads[0]).body.body[0]
    assert text[statement.start : statement.end] == "x = (u64)sizeof(struct foo);"
    assignment = statement.expr  # type: ignore[union-attr]
    assert text[assignment.start : assignment.end] == "x = (u64)sizeof(struct foo)"

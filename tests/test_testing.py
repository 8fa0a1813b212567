"""The reader of expectations: what it reads, what it refuses, what it calls a mismatch."""

from __future__ import annotations

from pathlib import Path

import pytest

from kvmlint.diagnostic import Diagnostic, Errno, Note, Precision, Severity
from kvmlint.source import Span
from kvmlint.testing import (
    Expectation,
    FixtureError,
    Function,
    expectations,
    fixtures,
    functions,
    header,
    mismatches,
    misnamed,
)


def expected(text: str) -> list[tuple[int, str]]:
    return [(e.line, e.rule or repr(e.note)) for e in expectations("f.c", text)]


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("f(); /* expect: ignored-return */", [(1, "ignored-return")]),
        ("\n\nf(); // expect: ignored-return", [(3, "ignored-return")]),
        ("f(); /* expect: a, expect: b */", [(1, "a"), (1, "b")]),
        ("f(); /* expect: a, b-c, a */", [(1, "a"), (1, "a"), (1, "b-c")]),
        ("\n/* expect@-1: a */\n/* expect@+2: b */", [(1, "a"), (5, "b")]),
        ('f(); /* expect-note: "done here" */', [(1, "'done here'")]),
        ('f(); /* expect: a, expect-note: "x", "y" */', [(1, "'x'"), (1, "'y'"), (1, "a")]),
        ('\nf(); /* expect-note@-1: "x" */', [(1, "'x'")]),
        ("f(); /* expect: a -- the table has no such row */", [(1, "a")]),
        ("/*\n * expect@+2: a\n * words\n */", [(4, "a")]),
        ("/* one\n * expect: a\n * expect: b\n */", [(2, "a"), (3, "b")]),
        # Not comments, not directives.
        ('f("/* expect: a */");', []),
        ("c = '\"'; f(); /* expect: a */ g('\"');", [(1, "a")]),
        ("expect: a;", []),
        ("/* we do not expect a */", []),
    ],
)
def test_reads(text: str, want: list[tuple[int, str]]) -> None:
    assert expected(text) == want


@pytest.mark.parametrize(
    "text",
    [
        "/* expect: */",
        "/* expect: Missing */",
        "/* expect: a b */",
        "/* expect: a, */",
        "/* expect: a-*/",
        "/* expect-not: a */",
        "/* expect@1: a */",
        "/* expects: a */",
        "/* expect-note: unquoted */",
        '/* expect-note: "" */',
        "/* expect: a, expect-note: b */",
    ],
)
def test_refuses_what_it_cant_read(text: str) -> None:
    with pytest.raises(FixtureError, match=r"^f\.c:2: can't read"):
        expectations("f.c", f"\n{text}\n")


def finding(line: int, rule: str = "a", steps: tuple[Note, ...] = ()) -> Diagnostic:
    return Diagnostic(
        rule=rule,
        severity=Severity.ERROR,
        precision=Precision.HIGH,
        span=Span("f.c", line, 1, line, 2),
        text="f();",
        function="f",
        hypercall="",
        message="it is wrong",
        steps=steps,
    )


def note(line: int, message: str) -> Note:
    return Note(Span("f.c", line, 1, line, 2), "f();", message)


def test_agreement_is_silent() -> None:
    wanted = [Expectation("f.c", 3, "a"), Expectation("f.c", 3, "b")]
    assert mismatches(wanted, [finding(3, "b"), finding(3, "a")]) == []


def test_missing_unexpected_and_moved() -> None:
    wanted = [Expectation("f.c", 3, "a"), Expectation("f.c", 10, "a")]
    assert mismatches(wanted, [finding(4), finding(10, "b")]) == [
        "f.c:3: expected a, not reported",
        "f.c:4: unexpected a: it is wrong",
        "f.c:10: expected a, not reported",
        "f.c:10: unexpected b: it is wrong",
    ]


def test_counts_repeated_findings() -> None:
    wanted = [Expectation("f.c", 3, "a")]
    assert mismatches(wanted, [finding(3)] * 3) == ["f.c:3: unexpected a 2 times: it is wrong"]
    assert mismatches(wanted * 2, [finding(3)]) == ["f.c:3: expected a, not reported"]


def test_another_file_is_another_place() -> None:
    assert len(mismatches([Expectation("g.c", 3, "a")], [finding(3)])) == 2


def test_notes_must_be_said_on_their_line() -> None:
    told = finding(3, steps=(note(2, "node published here"),))
    rule = Expectation("f.c", 3, "a")
    assert mismatches([rule, Expectation("f.c", 2, "", "published")], [told]) == []
    assert mismatches([rule, Expectation("f.c", 2, "", "freed")], [told]) == [
        "f.c:2: expected a note with 'freed', there is 'node published here'"
    ]
    assert mismatches([rule, Expectation("f.c", 1, "", "published")], [told]) == [
        "f.c:1: expected a note with 'published', there is nothing"
    ]


def test_notes_may_be_where_an_error_comes_from() -> None:
    d = Diagnostic(
        rule="a",
        severity=Severity.ERROR,
        precision=Precision.HIGH,
        span=Span("f.c", 3, 1, 3, 2),
        text="",
        function="",
        hypercall="",
        message="",
        errnos=(Errno("-EPERM", note(9, "returned here")), Errno("-EIO", None)),
    )
    wanted = [Expectation("f.c", 3, "a"), Expectation("f.c", 9, "", "returned")]
    assert mismatches(wanted, [d]) == []


TWO = """\
struct a {
	int x;
};

static int one_bad(struct a *a,
		   int b)
{
	return f(a); /* expect: a */
}

int two_ok(void)
{
	if (x) {
		g();
	}
}
"""


def test_functions_and_their_lines() -> None:
    assert functions(TWO) == [Function("one_bad", 5, 9), Function("two_ok", 11, 16)]


def test_names_agree_with_expectations() -> None:
    assert misnamed("f.c", TWO) == []
    assert misnamed("f.c", TWO.replace("one_bad", "one_ok").replace("two_ok", "two_bad")) == [
        "f.c:5: one_ok must not expect a finding",
        "f.c:11: two_bad must expect a finding",
    ]
    assert misnamed("f.c", TWO.replace("one_bad", "helper").replace("two_ok", "other")) == []


def test_known_wrong_answers_must_say_why() -> None:
    text = "int FP_one(void)\n{\n\tf(); /* expect: a%s */\n}\n\n%sint FN_two(void)\n{\n}\n"
    assert misnamed("f.c", text % ("", "")) == [
        "f.c:1: FP_one must say why kvmlint is wrong here",
        "f.c:6: FN_two must say why kvmlint is wrong here",
    ]
    assert misnamed("f.c", text % (" -- no bounds", "/* The loop's bound is not read. */\n")) == []


def test_headers() -> None:
    text = (
        '/* fixture-path: arch/arm64/kvm/x.c\n * fixture-level: note */ char *s = "fixture-k: v";'
    )
    assert [header(text, key) for key in ("path", "level", "k")] == [
        "arch/arm64/kvm/x.c",
        "note",
        "",
    ]


def test_finds_lone_files_and_trees(tmp_path: Path) -> None:
    folder = tmp_path / "fixtures"
    for name in ("rule/b.c", "rule/a.c", "rule/a.txt", "rule/t/arch/x/m.c", "rule/t/arch/x/m.h"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    assert [(str(f), f.tree, len(f.files)) for f in fixtures(folder)] == [
        ("rule/a.c", False, 1),
        ("rule/b.c", False, 1),
        ("rule/t", True, 2),
    ]

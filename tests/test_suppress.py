"""Suppression in the source: which comments count, which lines they speak for, what is stale."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvmlint import runner
from kvmlint.complaint import META
from kvmlint.diagnostic import Diagnostic, Note, Precision, Severity
from kvmlint.runner import Options
from kvmlint.scope import Scope
from kvmlint.source import SourceFile, Span
from kvmlint.suppress import Allowance, Outcome, apply, read
from kvmlint_rules import RULES

KNOWN = ("ignored-return", "missing-rollback", "partial-batch")
ALL = {*KNOWN, *(rule.id for rule in META)}


def found(line: int, *steps: int, rule: str = "ignored-return", end: int = 0) -> Diagnostic:
    return Diagnostic(
        rule=rule,
        severity=Severity.ERROR,
        precision=Precision.HIGH,
        span=Span("a.c", line, 2, end or line, 9),
        text="f();",
        function="g",
        hypercall="h",
        message="m",
        steps=tuple(Note(Span("a.c", step, 1, step, 5), "x", "y") for step in steps),
    )


def judge(text: str, *diagnostics: Diagnostic, ran: set[str] = ALL, unsure: str = "") -> Outcome:
    scope = Scope(frozenset(ALL), frozenset(ran), frozenset({"a.c"}), (), frozenset({unsure}))
    return apply(diagnostics, {"a.c": text.encode()}, scope)


def allowances(text: str) -> list[tuple[str, str, int, int]]:
    """(rule, reason, first, last) of each; a complaint is a failure."""
    items = list(read(SourceFile("a.c", text.encode()), KNOWN))
    assert all(isinstance(item, Allowance) for item in items), items
    return [(i.rule, i.reason, i.first, i.last) for i in items if isinstance(i, Allowance)]


def complaints(text: str) -> list[tuple[int, str]]:
    """(line, message) of what is wrong with the comments of a text."""
    items = list(read(SourceFile("a.c", text.encode()), KNOWN))
    assert all(isinstance(item, Diagnostic) for item in items), items
    return [(i.span.line, i.message) for i in items if isinstance(i, Diagnostic)]


ALLOW = "kvmlint: allow ignored-return -- why"


# --- which comments count -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (f"f(); /* {ALLOW} */\n", (1, 1)),
        (f"f(); // {ALLOW}\n", (1, 1)),
        (f"/* {ALLOW} */\nf();\n", (1, 2)),
        (f"\n\t// {ALLOW}\nf();", (2, 3)),
        (f"/* {ALLOW} */ f();\n", (1, 1)),
        (f"a(); /* {ALLOW}\n */\nf();\n", (1, 2)),
        (f"/*\n * {ALLOW}\n */\nf();\n", (1, 4)),
        (f"/** {ALLOW} **/\r\nf();\r\n", (1, 2)),
        ("/* kvmlint: allow ignored-return\n *   -- why */\nf();", (1, 3)),
        ("// kvmlint: allow \\\n ignored-return -- why\nf();", (1, 3)),
        (f'char *s = "it\'s"; // {ALLOW}', (1, 1)),
        (f"char c = '\"'; // {ALLOW}", (1, 1)),
        (f"#error don't \"\n// {ALLOW}", (2, 3)),
        (f'char *s = "a\\\n b\\""; // {ALLOW}', (2, 2)),
        (f"/* {ALLOW}", (1, 2)),
    ],
)
def test_comments_and_the_lines_that_they_speak_for(text: str, lines: tuple[int, int]) -> None:
    reason = "why"
    ((rule, said, first, last),) = allowances(text)
    assert (rule, said.rstrip("* /"), (first, last)) == ("ignored-return", reason, lines)


@pytest.mark.parametrize(
    "text",
    [
        f'char *s = "/* {ALLOW} */";',
        f'char *s = "\\"// {ALLOW}";',
        f'char *s = "\\\n/* {ALLOW} */";',
        f"#define S '/* {ALLOW} */'",
        f"{ALLOW};",
        f"/* see: {ALLOW} */",
        "/* kvmlint allows it */",
        "// Kvmlint: a tool",
        "/* http://kvmlint: */",
        "",
    ],
)
def test_what_is_no_suppression(text: str) -> None:
    assert allowances(text) == []


def test_several_rules_in_one_comment() -> None:
    text = "/* kvmlint: allow ignored-return, partial-batch,ignored-return -- a -- b */"
    assert [(rule, reason) for rule, reason, *_ in allowances(text)] == [
        ("ignored-return", "a -- b"),
        ("partial-batch", "a -- b"),
    ]


PIECES = (
    "/*",
    "*/",
    "//",
    '"',
    "'",
    "\\",
    "\n",
    "\r",
    " ",
    "kvmlint: allow ignored-return -- x",
    "--",
)
WRITTEN = "it is written 'kvmlint: allow RULE -- why'"


@pytest.mark.parametrize(
    ("comment", "message"),
    [
        ("kvmlint: allow ignored-return", f"a suppression needs a reason: {WRITTEN}"),
        ("kvmlint: allow ignored-return --", f"a suppression needs a reason: {WRITTEN}"),
        ("kvmlint: allow ignored-return -- ...", f"a suppression needs a reason: {WRITTEN}"),
        ("kvmlint: allow ignored-return - why", f"a suppression needs a reason: {WRITTEN}"),
        ("kvmlint: allow -- why", f"{WRITTEN}, but this says 'kvmlint: allow -- why'"),
        ("kvmlint: ignore x", f"{WRITTEN}, but this says 'kvmlint: ignore x'"),
        ("kvmlint:", f"{WRITTEN}, but this says 'kvmlint:'"),
        (
            "kvmlint: allow ignored-retrun -- why",
            "there is no rule 'ignored-retrun'; did you mean 'ignored-return'?",
        ),
        (
            "kvmlint: allow everything -- why",
            "there is no rule 'everything'; 'kvmlint explain' lists them",
        ),
    ],
)
def test_bad_ones_are_reported_and_allow_nothing(comment: str, message: str) -> None:
    text = f"\nf(); /* {comment} */\n"
    assert complaints(text) == [(2, message)]
    outcome = judge(text, found(2))
    assert outcome.kept == (found(2),)
    assert [c.rule for c in outcome.complaints] == ["bad-suppression"]
    assert outcome.complaints[0].span == Span("a.c", 2, 6, 2, 6 + len(comment) + 6)
    assert outcome.complaints[0].severity is Severity.WARNING
    assert outcome.complaints[0].fingerprint


def test_a_long_comment_is_cut_short() -> None:
    ((line, message),) = complaints("/* kvmlint: " + "word " * 10_000 + "*/")
    assert line == 1
    assert message.endswith("word word …'")
    assert len(message) < 130


@given(st.lists(st.sampled_from(PIECES)).map("".join) | st.text())
def test_any_text_is_taken(text: str) -> None:
    data = text.encode("utf-8", "surrogatepass")
    for item in read(SourceFile("a.c", data), KNOWN):
        assert 1 <= item.span.line <= item.span.end_line <= text.count("\n") + 1
        if isinstance(item, Allowance):
            assert item.reason.strip()
            assert item.rule in KNOWN


def test_one_good_rule_of_two() -> None:
    outcome = judge("f(); // kvmlint: allow ignored-return, nosuch -- why", found(1))
    assert outcome.kept == ()
    assert [c.message for c in outcome.complaints] == [
        "there is no rule 'nosuch'; 'kvmlint explain' lists them"
    ]


# --- which findings are met -----------------------------------------------------------------------

THIRD = f"\n\n\t/* {ALLOW} */\n"  # speaks for the lines 3 and 4


@pytest.mark.parametrize(
    ("diagnostic", "met"),
    [
        (found(3), True),
        (found(4), True),
        (found(2), False),
        (found(5), False),
        (found(9, 1, 4, 9), True),
        (found(9, 1, 3, 9), True),
        (found(9, 1, 2, 5, 9), False),
        (found(2, end=3), True),
        (found(1, end=2), False),
        (found(4, rule="partial-batch"), False),
        (replace(found(4), span=Span("b.c", 4, 1, 4, 2)), False),
    ],
)
def test_lines(diagnostic: Diagnostic, met: bool) -> None:
    outcome = judge(THIRD, diagnostic)
    if met:
        place = Span("a.c", 3, 2, 3, 8 + len(ALLOW))
        allowed = replace(diagnostic, suppression="why", allowed=place)
        assert outcome == Outcome((), (allowed,), ())
    else:
        assert outcome.kept == (diagnostic,)
        assert outcome.suppressed == ()
        assert [(c.rule, c.span.line, c.message) for c in outcome.complaints] == [
            (
                "stale-suppression",
                3,
                "ignored-return reports nothing here: the suppression is stale",
            )
        ]


def test_a_comment_behind_code_leaves_the_line_below_alone() -> None:
    text = f"f(); /* {ALLOW} */\nf();\n"
    outcome = judge(text, found(1), found(2))
    assert outcome.kept == (found(2),)
    assert len(outcome.suppressed) == 1


def test_one_comment_may_allow_several_findings() -> None:
    assert len(judge(THIRD, found(3), found(4), found(8, 4)).suppressed) == 3


# --- when nothing is called stale -----------------------------------------------------------------


def test_stale_needs_a_rule_that_ran_in_a_file_that_was_analysed_whole() -> None:
    assert len(judge(THIRD).complaints) == 1
    assert judge(THIRD, ran=ALL - {"ignored-return"}).complaints == ()
    assert judge(THIRD, ran=ALL - {"stale-suppression"}).complaints == ()
    assert judge(THIRD, unsure="a.c").complaints == ()
    assert len(judge(THIRD, unsure="b.c").complaints) == 1


def test_complaints_can_be_ignored() -> None:
    bad = "// kvmlint: allow nosuch -- why"
    assert judge(bad, ran=set(KNOWN)).complaints == ()
    assert len(judge(bad).complaints) == 1


# --- in a run -------------------------------------------------------------------------------------

TRANSGRESSION = """\
void set(void)
{
	kvm_call_hyp_nvhe(__set, 1);%s
}
"""


def run(tmp_path: Path, comment: str, options: Options | None = None) -> runner.Result:
    file = tmp_path / "a.c"
    file.write_text(TRANSGRESSION % comment)
    return runner.check([str(file)], options or Options(), RULES)


def rules(diagnostics: tuple[Diagnostic, ...]) -> list[str]:
    return [d.rule for d in diagnostics]


def test_a_run(tmp_path: Path) -> None:
    result = run(tmp_path, "")
    assert (rules(result.diagnostics), result.suppressed) == (["ignored-return"], ())
    (path,) = result.files
    result = run(tmp_path, f" /* {ALLOW} */")
    assert (rules(result.diagnostics), rules(result.suppressed)) == ([], ["ignored-return"])
    assert result.files == {path: (TRANSGRESSION % f" /* {ALLOW} */").encode()}
    assert ("suppressed", "1") in result.statistics
    assert rules(run(tmp_path, " // kvmlint: allow partial-batch -- x").diagnostics) == [
        "ignored-return",
        "stale-suppression",
    ]


def test_a_finding_below_the_threshold_keeps_its_suppression_alive(tmp_path: Path) -> None:
    result = run(tmp_path, f" /* {ALLOW} */", Options(min_level=Severity.ERROR))
    assert (result.diagnostics, result.suppressed) == ((), ())
    result = run(tmp_path, f" /* {ALLOW} */", Options(min_precision=Precision.HIGH))
    assert (result.diagnostics, result.suppressed) == ((), ())


def test_selecting_rules_silences_complaints_about_others(tmp_path: Path) -> None:
    batches, complaint = frozenset({"partial-batch"}), frozenset({"bad-suppression"})
    allowed, bad = f" /* {ALLOW} */", " // kvmlint: x"
    assert run(tmp_path, allowed, Options(select=batches)).diagnostics == ()
    assert run(tmp_path, bad, Options(select=batches)).diagnostics == ()
    assert rules(run(tmp_path, bad, Options(ignore=complaint)).diagnostics) == ["ignored-return"]
    assert rules(run(tmp_path, bad, Options(select=complaint)).diagnostics) == ["bad-suppression"]


def test_jobs_change_nothing(tmp_path: Path) -> None:
    names = []
    for number in range(10):
        file = tmp_path / f"f{number}.c"
        file.write_text(TRANSGRESSION % (f" /* {ALLOW} */" if number % 2 else " // kvmlint: x"))
        names.append(str(file))
    one = runner.check(names, Options(jobs=1), RULES)
    two = runner.check(names, Options(jobs=2), RULES)
    assert len(one.suppressed) == 5
    assert len(one.diagnostics) == 10  # each of the others: the finding and a bad suppression
    assert (one.diagnostics, one.suppressed, one.files) == (
        two.diagnostics,
        two.suppressed,
        two.files,
    )

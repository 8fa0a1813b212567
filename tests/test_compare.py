"""What became of findings: pairs of them, before and after a change."""

from __future__ import annotations

from kvmlint.compare import changed_lines, compare, statement
from kvmlint.diagnostic import Diagnostic, Precision, Severity
from kvmlint.runner import Result
from kvmlint.source import Span

CODE = b"""\
int f(void)
{
	first(one,
	      two); /* why */
	if (last(one)) {
	}
}
"""


def finding(name: str, cause: str = "") -> Diagnostic:
    span = Span("a.c", 3, 2, 3, 7)
    return Diagnostic(
        "rule",
        Severity.WARNING,
        Precision.HIGH,
        span,
        "first(one,",
        name,
        "__call",
        "message",
        fingerprint=name,
        cause=cause,
    )


def result(*shown: Diagnostic, absorbed: tuple[Diagnostic, ...] = ()) -> Result:
    return Result(shown, (), (), "/", {"a.c": CODE}, absorbed=absorbed)


def test_what_another_report_tells_of_is_there() -> None:
    """Before or after: it is neither new nor gone."""
    root, led = finding("callee"), finding("caller", cause="callee")
    other = result(root, absorbed=(led,))
    mended = compare(other, result(led))
    assert (mended.new, mended.gone) == ((), (root,))
    broken = compare(result(led), other)
    assert (broken.new, broken.gone) == ((root,), ())
    assert compare(result(), other).new == (root, led)


def test_alike_findings_are_counted() -> None:
    one, two = finding("f"), finding("f")
    assert len(compare(result(one), result(one, two)).new) == 1
    assert len(compare(result(one, two), result(one)).gone) == 1
    assert compare(result(one, two), result(two, one)).new == ()


def test_a_statement_is_its_code() -> None:
    assert statement(CODE, Span("a.c", 3, 2, 3, 7)) == (b"first(one,two)", range(3, 5))
    assert statement(CODE, Span("a.c", 5, 6, 5, 10)) == (b"last(one)", range(5, 6))


def test_changed_lines() -> None:
    assert changed_lines(CODE, CODE) == frozenset()
    assert changed_lines(CODE, CODE.replace(b"\t", b"    ")) == frozenset()
    assert changed_lines(CODE, CODE.replace(b"two", b"three")) == {4}
    assert changed_lines(CODE, b"new\n" + CODE + b"new\n") == {1, 9}
    assert changed_lines(b"", CODE) == set(range(1, 8))
    assert changed_lines(CODE, b"") == frozenset()

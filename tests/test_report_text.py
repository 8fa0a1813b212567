"""The text and terse reports, byte for byte, and what must never reach a terminal."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from kvmlint.diagnostic import (
    Change,
    Diagnostic,
    Errno,
    Note,
    Notification,
    Origin,
    Precision,
    RuleInfo,
    Severity,
)
from kvmlint.report import FORMATS, Report, Style, render
from kvmlint.report.rules import markdown, page, table, with_table
from kvmlint.report.safe import cut, pad, safe, width
from kvmlint.source import Span

KVM = "arch/arm64/kvm"


def note(path: str, line: int, text: str, message: str) -> Note:
    return Note(Span(path, line, 2, line, 9), text, message)


SHARE = Diagnostic(
    rule="missing-rollback",
    severity=Severity.ERROR,
    precision=Precision.HIGH,
    span=Span(f"{KVM}/lend.c", 50, 8, 50, 51),
    text="ret = kvm_call_hyp_nvhe(__lend, pfn);",
    function="lend_page",
    hypercall="__lend",
    message="tracking node stays behind when __lend fails",
    steps=(
        note(f"{KVM}/lend.c", 9, "this = kzalloc(sizeof(*this), GFP_KERNEL);", "memory obtained"),
        note(f"{KVM}/lend.c", 49, "rb_insert_color(&this->node,\t&lent);", "node published"),
        note("virt/kvm/main.c", 120, "return ret;", "still standing"),
    ),
    standing=("memory (this)", "node (this->node)"),
    undo=("rb_erase(&this->node, &lent);", "kfree(this)"),
    consequence="a later lookup finds a record of a share that EL2 refused",
    errnos=(
        Errno("-EPERM", note(f"{KVM}/hyp/nvhe/mem.c", 59, "return -EPERM;", "refused")),
        Errno("-ERANGE", note(f"{KVM}/hyp/pgtable.c", 26, "return -ERANGE;", "outside")),
        Errno("-EPERM", note(f"{KVM}/hyp/nvhe/mem.c", 70, "return -EPERM;", "refused")),
        Errno("-ENOMEM", None),
    ),
    related=(note(f"{KVM}/lend.c", 99, "lend_range(a, b);", "called from here"),),
)


def report(*diagnostics: Diagnostic, notifications: tuple[Notification, ...] = ()) -> Report:
    return Report(diagnostics, notifications, (), "/tree", "0.1.0")


def text(*diagnostics: Diagnostic, style: Style | None = None) -> str:
    return render("text", report(*diagnostics), style or Style())


FULL = """\
arch/arm64/kvm/lend.c:50:8: error: tracking node stays behind when __lend fails [missing-rollback]
  in lend_page; it can fail with -EPERM (hyp/nvhe/mem.c:59, hyp/nvhe/mem.c:70), -ERANGE
    (hyp/pgtable.c:26), -ENOMEM
    1  lend.c:9             this = kzalloc(sizeof(*this), GFP_KERNEL);  memory obtained
    2  lend.c:49            rb_insert_color(&this->node, &lent);        node published
    3  virt/kvm/main.c:120  return ret;                                 still standing
  still standing: memory (this); node (this->node)
  would undo it: rb_erase(&this->node, &lent); kfree(this);
  consequence: a later lookup finds a record of a share that EL2 refused
  see also: lend.c:99  lend_range(a, b);  called from here

1 error in 1 file
"""


def test_everything() -> None:
    assert text(SHARE) == FULL


def test_clean_is_silent() -> None:
    for form in ("text", "terse"):
        assert render(form, report(), Style()) == ""
        assert render(form, report(), Style(notifications=True, color=True)) == ""


def test_least_finding() -> None:
    least = Diagnostic(
        rule="ignored-return",
        severity=Severity.WARNING,
        precision=Precision.MEDIUM,
        span=Span("x.c", 3, 1, 3, 2),
        text="f();",
        function="",
        hypercall="",
        message="status of f() is ignored",
    )
    want = "x.c:3:1: warning: status of f() is ignored [ignored-return]\n\n1 warning in 1 file\n"
    assert text(least) == want


def test_assumed_failure_says_so() -> None:
    assumed = replace(SHARE, assumed=True, errnos=())
    line = "  in lend_page; assumed fallible: the EL2 handler was not found"
    assert line in text(assumed).splitlines()


def test_names_the_hypercall_when_the_message_does_not() -> None:
    other = replace(SHARE, message="node stays behind", errnos=SHARE.errnos[-1:])
    assert "  in lend_page; __lend can fail with -ENOMEM" in text(other).splitlines()


def test_what_went_too_early_does_not_stand() -> None:
    early = replace(
        SHARE, standing=("memory", "gone: node", "gone: count"), undo=("the call first",)
    )
    lines = text(early).splitlines()
    at = lines.index("  still standing: memory")
    assert lines[at + 1 : at + 3] == [
        "  gone too early: node; count",
        "  would undo it: the call first",
    ]


def test_many_errnos_are_cut_short() -> None:
    many = tuple(Errno(f"-E{n}", None) for n in range(11))
    said = " ".join(text(replace(SHARE, errnos=many)).split())
    assert "-E6, -E7, and 3 more 1 lend.c:9" in said
    assert "-E8" not in said


def test_summary_counts() -> None:
    warning = replace(SHARE, severity=Severity.WARNING)
    elsewhere = replace(SHARE, severity=Severity.NOTE, span=Span("b.c", 1, 1, 1, 2))
    last = text(SHARE, SHARE, warning, elsewhere, elsewhere).splitlines()[-1]
    assert last == "2 errors, 1 warning, 2 notes in 2 files"


def test_no_line_is_wider_than_asked() -> None:
    for columns in (100, 90, 80):
        lines = text(SHARE, style=Style(width=columns)).splitlines()
        assert max(map(len, lines[1:])) <= columns
    narrow = text(SHARE, style=Style(width=80))
    assert "1  lend.c:9             this = kzalloc(sizeof(*this), GFP_…  memory obtained" in narrow


def test_a_very_narrow_terminal_still_shows_code() -> None:
    assert "this = kzalloc(sizeof(*…  memory obtained" in text(SHARE, style=Style(width=20))


def test_colours_only_when_asked_and_nothing_else_changes() -> None:
    coloured = text(SHARE, style=Style(color=True))
    assert "\x1b[1;31merror:\x1b[0m" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == FULL


SKIPPED = (
    Notification("a.c", "budget of 100 visits spent", Span("a.c", 7, 1, 7, 2), "walker"),
    Notification("b.c", "binary file"),
    Notification("gone.c", "no such file or directory", failed=True),
)


def test_notifications_on_request() -> None:
    style = Style(notifications=True)
    want = (
        "a.c:7: not analysed in walker: budget of 100 visits spent\n"
        "b.c: not analysed: binary file\n"
    )
    assert render("text", report(notifications=SKIPPED), style) == want
    assert render("text", report(notifications=SKIPPED), Style()) == ""
    assert render("terse", report(notifications=SKIPPED), style) == (
        "a.c:7: NOTE:not-analysed: budget of 100 visits spent\n"
        "b.c:1: NOTE:not-analysed: binary file\n"
    )


def test_hidden_notifications_are_counted_beside_findings() -> None:
    said = render("text", report(SHARE, notifications=SKIPPED), Style())
    assert said.endswith("\n1 error in 1 file; 2 not analysed (--show-notifications tells)\n")


def test_terse() -> None:
    warning = replace(SHARE, severity=Severity.WARNING, rule="ignored-return")
    assert render("terse", report(SHARE, warning), Style(color=True)) == (
        f"{KVM}/lend.c:50: ERROR:missing-rollback: tracking node stays behind when __lend fails\n"
        f"{KVM}/lend.c:50: WARNING:ignored-return: tracking node stays behind when __lend fails\n"
    )


def test_suppressed_findings_are_marked() -> None:
    allowed = replace(SHARE, suppression="the VM is torn down with it")
    lines = text(SHARE, allowed).splitlines()
    at = lines.index(
        f"{KVM}/lend.c:50:8: suppressed: tracking node stays behind when __lend fails"
        " [missing-rollback]"
    )
    assert lines[at + 1] == "  allowed because: the VM is torn down with it"
    assert lines[-1] == "1 error in 1 file; 1 suppressed"
    place = replace(allowed, allowed=Span(f"{KVM}/lend.c", 49, 2, 49, 30))
    assert "  allowed at lend.c:49 because: the VM is torn down with it" in text(place).splitlines()
    assert text(allowed).splitlines()[-1] == "1 suppressed"
    assert render("terse", report(allowed), Style()) == (
        f"{KVM}/lend.c:50: SUPPRESSED:missing-rollback: tracking node stays behind when __lend"
        " fails -- the VM is torn down with it\n"
    )


EVIL = "a\x1b[2J\x07\r\n\x9b31m\u202egnp\u2028\udcff\x00z"


@pytest.mark.parametrize("form", list(FORMATS))
def test_nothing_dangerous_reaches_the_terminal(form: str) -> None:
    place = note(EVIL, 1, EVIL, EVIL)
    evil = Diagnostic(
        rule="missing-rollback",
        severity=Severity.ERROR,
        precision=Precision.HIGH,
        span=Span(EVIL, 1, 1, 1, 2),
        text=EVIL,
        function=EVIL,
        hypercall=EVIL,
        message=EVIL + ".",
        steps=(place,),
        standing=(EVIL,),
        undo=(EVIL,),
        consequence=EVIL,
        errnos=(Errno(EVIL, place),),
        related=(place,),
    )
    skipped = Notification(EVIL, EVIL, Span(EVIL, 1, 1, 1, 2), EVIL)
    for assumed, reason in ((False, ""), (True, ""), (True, EVIL)):
        said = render(
            form,
            report(replace(evil, assumed=assumed, suppression=reason), notifications=(skipped,)),
            Style(notifications=True),
        )
        assert said.replace("\n", "").isprintable()
        said.encode()  # no lone surrogates


def test_safe() -> None:
    assert safe("int ä = '界';\t/* 😀 */") == "int ä = '界'; /* 😀 */"
    assert safe(EVIL) == ("a\\x1b[2J\\x07\\x0d\\x0a\\x9b31m\\u202egnp\\u2028\\xff\\x00z")
    assert safe("\U000e0001") == "\\U000e0001"


def test_widths() -> None:
    assert (width("abc"), width("ä"), width("a\u0308"), width("界")) == (3, 1, 1, 2)
    assert cut("abcdef", 6) == "abcdef"
    assert cut("abcdef", 5) == "abcd…"
    assert cut("ab  ef", 4) == "ab…"
    assert cut("界界界", 5) == "界界…"
    assert cut("界界界", 4) == "界…"
    assert pad("界", 4) == "界  "


RULE = RuleInfo(
    "missing-rollback",
    "host state stays behind",
    Severity.ERROR,
    Precision.HIGH,
    why="It leaks.",
    example="bad:\n\n  f();",
    limits="None known.",
    tags=("kvm", "external/cwe/cwe-459"),
)
OTHER = replace(RULE, id="ignored-return", severity=Severity.WARNING, summary="status unused")


def test_rule_page() -> None:
    assert page(RULE) == (
        "missing-rollback: host state stays behind\n"
        "error, precision high, CWE-459\n"
        "\nWhy it is a bug\n\n  It leaks.\n"
        "\nExample\n\n  bad:\n\n    f();\n"
        "\nKnown limits\n\n  None known.\n"
    )


def test_rule_table() -> None:
    assert table((RULE, OTHER)) == (
        "missing-rollback  error    high  host state stays behind\n"
        "ignored-return    warning  high  status unused\n"
    )
    assert table(()) == ""


def test_readme_table_is_replaced_and_the_rest_kept() -> None:
    head, tail = "# x\n\n<!-- rules -->\n", "<!-- /rules -->\n\nend\n"
    want = head + markdown((RULE, OTHER)) + tail
    assert "| `missing-rollback` | error | host state stays behind |\n" in want
    assert with_table(head + "old\n" + tail, (RULE, OTHER)) == want
    assert with_table(want, (RULE, OTHER)) == want
    with pytest.raises(ValueError, match="rules"):
        with_table("# x\n", (RULE,))


FIRST = Change("1" * 40, "commit 111111111111", "KVM: arm64: share \x1b[2J less")
LATER = Change("", "uncommitted changes")


def test_a_series_is_told_by_change() -> None:
    diagnostics = (
        replace(SHARE, origin=Origin(FIRST, 1)),
        replace(SHARE, origin=Origin(FIRST, 1, removed=LATER)),
        replace(SHARE, origin=Origin(LATER, 2, new=False)),
    )
    blocks = render("text", report(*diagnostics), Style()).split("\n\n")
    title = 'commit 111111111111 ("KVM: arm64: share \\x1b[2J less")'
    finding = render("text", report(SHARE), Style()).split("\n\n")[0]
    head, _, rest = finding.partition("\n")
    assert blocks[:-1] == [
        title,
        finding,
        f"{head}\n  removed again by uncommitted changes\n{rest}",
        "uncommitted changes",
        f"{head}\n  it was there before; this changes its path\n{rest}",
    ]


@pytest.mark.parametrize("form", ["terse", "gcc"])
def test_lines_for_tools_know_of_no_change(form: str) -> None:
    changed = replace(SHARE, origin=Origin(FIRST, 1, removed=LATER))
    assert render(form, report(changed), Style()) == render(form, report(SHARE), Style())


def test_what_is_said_of_a_related_place_is_never_cut() -> None:
    words = "handle___lend() can return -EPERM now: this change brings it"
    place = note(f"{KVM}/hyp/nvhe/hyp-main.c", 259, "cpu_reg(host_ctxt, 1) = -EPERM;", words)
    text = render("text", report(replace(SHARE, related=(place,))), Style(width=70))
    assert words in " ".join(text.split())
    assert max(width(line) for line in text.splitlines() if "see also" in line) <= 70

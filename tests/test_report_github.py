"""Annotations, read back as GitHub's runner reads them; code that is analysed adds no command."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.workflow_commands import NAMES, Command, commands

from kvmlint.diagnostic import Diagnostic, Errno, Note, Notification, Precision, Severity
from kvmlint.report import Report, Style, render
from kvmlint.report.github import MAX_MESSAGE, MAX_TITLE
from kvmlint.source import Span

SHARE = Diagnostic(
    rule="missing-rollback",
    severity=Severity.ERROR,
    precision=Precision.HIGH,
    span=Span("kvm/lend.c", 50, 8, 50, 21),
    text="ret = f();",
    function="lend",
    hypercall="__lend",
    message="a node stays behind: 100%",
    steps=(
        Note(Span("kvm/lend.c", 9, 2, 9, 9), "n =  kzalloc(a,\tb);", "memory obtained"),
        Note(Span("virt/main.c", 12, 2, 12, 9), "return ret;", "returns"),
    ),
    standing=("memory (n)", "node (n->node)", "gone: the record"),
    undo=("rb_erase(&n->node, &root);", "kfree(n)"),
    consequence="a later lookup finds it",
    errnos=(
        Errno("-EPERM", Note(Span("hyp/mem.c", 59, 2, 59, 9), "return -EPERM;", "refused")),
        Errno("-ENOMEM", None),
    ),
    related=(Note(Span("kvm/lend.c", 99, 2, 99, 9), "lend(1);", "called from here"),),
)
BARE = replace(SHARE, steps=(), standing=(), undo=(), consequence="", errnos=(), related=())


def report(*diagnostics: Diagnostic, root: str = "/tree", style: Style | None = None) -> str:
    return render("github", Report(diagnostics, (), (), root, "0.1.0"), style or Style())


def one(text: str) -> Command:
    (found,) = commands(text)
    return found


def test_byte_for_byte() -> None:
    assert report(SHARE) == (
        "::error title=missing-rollback in lend,file=kvm/lend.c,line=50,endLine=50,col=8,"
        "endColumn=21::a node stays behind: 100%25%0A"
        "__lend can fail with -EPERM (hyp/mem.c:59), -ENOMEM%0A"
        "1. kvm/lend.c:9: memory obtained: n = kzalloc(a, b);%0A"
        "2. virt/main.c:12: returns: return ret;%0A"
        "still standing: memory (n); node (n->node)%0A"
        "gone too early: the record%0A"
        "would undo it: rb_erase(&n->node, &root); kfree(n)%0A"
        "consequence: a later lookup finds it%0A"
        "see also: kvm/lend.c:99: called from here\n"
    )


def test_the_runner_reads_it_back() -> None:
    found = one(report(replace(BARE, span=Span("a,b: 50%.c", 3, 1, 3, 4), message="x::y, 7%0A")))
    assert found == Command(
        "error",
        {
            "title": "missing-rollback in lend",
            "file": "a,b: 50%.c",
            "line": "3",
            "endLine": "3",
            "col": "1",
            "endColumn": "4",
        },
        "x::y, 7%0A",
    )


@pytest.mark.parametrize(
    ("severity", "name"),
    [(Severity.ERROR, "error"), (Severity.WARNING, "warning"), (Severity.NOTE, "notice")],
)
def test_levels(severity: Severity, name: str) -> None:
    assert one(report(replace(BARE, severity=severity))).name == name


def test_clean_is_silent() -> None:
    assert report() == ""


def test_no_columns_for_several_lines() -> None:
    found = one(report(replace(BARE, span=Span("a.c", 3, 9, 4, 2))))
    assert found.properties.keys() == {"title", "file", "line", "endLine"}
    assert found.properties["endLine"] == "4"


def test_the_surest_first() -> None:
    """Ten annotations of a level are shown; a tie leaves the order of the report."""
    low = replace(BARE, precision=Precision.LOW, message="low")
    medium = replace(BARE, precision=Precision.MEDIUM, message="medium")
    high, last = replace(BARE, message="high"), replace(BARE, message="last")
    found = commands(report(low, high, medium, last))
    assert [command.data for command in found] == ["high", "last", "medium", "low"]


def test_assumed() -> None:
    lines = one(report(replace(BARE, assumed=True))).data.split("\n")
    assert lines[1:] == ["__lend is assumed fallible: its EL2 handler was not found"]


def test_many_errors_are_cut() -> None:
    errnos = tuple(Errno(f"-E{number}", None) for number in range(10))
    line = one(report(replace(BARE, errnos=errnos))).data.split("\n")[1]
    assert line.endswith("-E6, -E7, and 2 more")


def test_suppressed_is_a_notice() -> None:
    found = one(report(replace(SHARE, suppression="on purpose")))
    assert found.name == "notice"
    assert found.data == "suppressed: a node stays behind: 100% -- on purpose"


def test_what_was_not_analysed() -> None:
    notes = (
        Notification("a.c", "too many paths", Span("a.c", 7, 1, 7, 5), "f"),
        Notification("b.c", "is strange"),
        Notification("gone.c", "no such file", failed=True),  # said on standard error
    )
    text = render("github", Report((), notes, (), "/tree", "0"), Style(notifications=True))
    first, second = commands(text)
    assert (first.name, first.data) == ("notice", "not analysed in f: too many paths")
    assert (first.properties["file"], first.properties["line"]) == ("a.c", "7")
    assert (second.properties["line"], second.data) == ("1", "not analysed: is strange")
    assert render("github", Report((), notes, (), "/tree", "0"), Style()) == ""


def test_a_kernel_below_its_repository(tmp_path: Path) -> None:
    """GitHub's paths are those of the repository."""
    tree = tmp_path / "vendor" / "linux"
    tree.mkdir(parents=True)
    (tmp_path / ".git").mkdir()
    assert one(report(BARE, root=str(tree))).properties["file"] == "vendor/linux/kvm/lend.c"
    outside = replace(BARE, span=Span("/elsewhere/a.c", 1, 1, 1, 2))
    assert one(report(outside, root=str(tree))).properties["file"] == "/elsewhere/a.c"
    (tree / ".git").write_text("gitdir: elsewhere\n")  # a linked worktree, a submodule
    assert one(report(BARE, root=str(tree))).properties["file"] == "kvm/lend.c"


def test_long_messages_end_with_a_whole_line() -> None:
    steps = tuple(
        Note(Span("a.c", n, 1, n, 2), "x = 1; /* ä % */", f"step number {n}") for n in range(300)
    )
    text = one(report(replace(SHARE, steps=steps))).data
    assert MAX_MESSAGE - 100 < len(text) <= MAX_MESSAGE
    assert text.endswith("\n…")
    assert text.split("\n")[-2].endswith("x = 1; /* ä % */")
    title = one(report(replace(BARE, function="f" * 999))).properties["title"]
    assert len(title) == MAX_TITLE


HOSTILE = (
    "a\n::stop-commands::x\n",
    "\r::add-mask::e",
    "::error::b",
    "  ::set-env name=PATH::/tmp",
    "x ##[stop-commands]tok",
    "\u034f::debug::x",
    "#\u200b#[error]x",
    "%0A::error::x",
    "%250A::notice::",
    "\x1b[2J\x1b]0;title\x07",
    "\u202edesrever",
    "\u2028::error::x",
    "\x85::error::x",
    "\udcff::error::x",
    ",line=1::x",
)


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_nothing_is_injected(text: str) -> None:
    note = Note(Span(text, 3, 1, 3, 9), text, text)
    diagnostic = Diagnostic(
        rule="missing-rollback",
        severity=Severity.ERROR,
        precision=Precision.HIGH,
        span=Span(text, 3, 1, 3, 9),
        text=text,
        function=text,
        hypercall=text,
        message=text,
        steps=(note,),
        standing=(text, f"gone: {text}"),
        undo=(text,),
        consequence=text,
        errnos=(Errno(text, note),),
        related=(note,),
    )
    notes = (Notification(text, text, Span(text, 1, 1, 1, 1), text),)
    out = render(
        "github",
        Report((diagnostic, replace(diagnostic, suppression=text)), notes, (), text, "0"),
        Style(notifications=True),
    )
    assert [command.name for command in commands(out)] == ["error", "notice", "notice"]
    assert out.replace("\n", "").isprintable()
    # Nor when the runner prints the message: some of its lines begin with what is analysed.
    for command in commands(out):
        assert list(commands(command.data)) == []
        assert command.properties.keys() <= {"title", "file", "line", "endLine", "col", "endColumn"}


PIECES = st.sampled_from(
    ["::", ":", "##[", "#", "[", "]", "%", "0A", "25", "\n", "\r", "\t", " ", ",", "=", "\x1b", "ä"]
    + [f"{name}" for name in NAMES]
)


@given(st.lists(PIECES | st.text(max_size=3), max_size=12).map("".join))
def test_any_text(text: str) -> None:
    note = Note(Span(text, 3, 1, 3, 9), text, text)
    diagnostic = replace(BARE, span=note.span, message=text, steps=(note,), function=text)
    found = one(report(diagnostic))
    assert found.name == "error"
    assert list(commands(found.data)) == []
    assert found.data.count("\n") == 1

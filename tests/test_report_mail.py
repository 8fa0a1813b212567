"""``--format mail``: an answer that can be sent as it is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kvmlint.diagnostic import Change, Diagnostic, Errno, Hunk, Note, Origin, Precision, Severity
from kvmlint.report import Report, Style, render
from kvmlint.report.mail import WIDTH
from kvmlint.report.safe import width
from kvmlint.source import Span

PATH = "arch/arm64/kvm/lend.c"
CALL = "\tret = kvm_call_hyp_nvhe(__lend, pfn);"
FINDING = Diagnostic(
    "missing-rollback",
    Severity.ERROR,
    Precision.HIGH,
    Span(PATH, 3, 8, 3, 40),
    CALL,
    "lend",
    "__lend",
    "a published record stays behind when __lend fails",
    steps=(
        Note(Span(PATH, 2, 2, 2, 30), "\trb_insert_color(&n->node, &lent);", "node published"),
        Note(Span(PATH, 3, 8, 3, 40), CALL, "fails"),
    ),
    standing=("node published at line 2: rb_insert_color(&n->node, &lent)",),
    undo=("rb_erase(&n->node, &lent)",),
    consequence="a later lookup finds a record of something that EL2 refused",
    errnos=(Errno("-EPERM", Note(Span("arch/arm64/kvm/hyp/nvhe/mem.c", 7, 1, 7, 2), "", "")),),
)
HUNK = Hunk(PATH, "@@ -1,4 +1,3 @@ int lend(u64 pfn)", (" \tn = x;", "-\tif (n)", f" {CALL}"), 1)
PATCH = Origin(Change("", "patch 2/3", "kvm: lend"), 2, hunk=HUNK)
FILES = {PATH: b"int lend(u64 pfn)\n\trb_insert_color(&n->node, &lent);\n" + CALL.encode() + b"\n"}


def mail(*found: Diagnostic, files: dict[str, bytes] | None = None) -> list[str]:
    report = Report(found, (), (), "/linux", "1", FILES if files is None else files)
    text = render("mail", report, Style(width=200))
    assert text == "" or text.endswith("\n")
    return text.splitlines()


def test_nothing_is_no_mail() -> None:
    assert mail() == []


def test_a_patch_is_quoted() -> None:
    lines = mail(replace(FINDING, origin=PATCH))
    assert lines[:6] == [
        'On patch 2/3 "kvm: lend":',
        "",
        f"> diff {PATH}",
        "> @@ -1,4 +1,3 @@ int lend(u64 pfn)",
        ">          n = x;",
        "> -        if (n)",
    ]


def test_without_a_patch_the_place_is_quoted() -> None:
    lines = mail(FINDING)
    assert lines[0] == f"> {PATH}:3"
    assert ">          ret = kvm_call_hyp_nvhe(__lend, pfn);" in lines
    assert mail(FINDING, files={})[1].endswith("ret = kvm_call_hyp_nvhe(__lend, pfn);")


def test_it_asks() -> None:
    text = " ".join(mail(replace(FINDING, origin=PATCH)))
    assert "__lend can return -EPERM (hyp/nvhe/mem.c:7)." in text
    assert "Is it meant that in lend() a published record stays behind when __lend fails?" in text
    assert "Would this be missing: rb_erase(&n->node, &lent);" in text
    assert "ERROR" not in text
    assert "error" not in text


def test_what_is_assumed_is_asked() -> None:
    text = " ".join(mail(replace(FINDING, assumed=True, errnos=())))
    assert "Can __lend fail? I did not find its handler at EL2." in text


def test_the_path_is_numbered() -> None:
    lines = mail(FINDING)
    at = lines.index("  1. lend.c:2: node published")
    assert lines[at + 1 : at + 3] == [
        "       rb_insert_color(&n->node, &lent);",
        "  2. lend.c:3: fails",
    ]


def test_what_came_before_and_what_goes_again() -> None:
    later = Change("", "patch 3/3", "kvm: mend")
    text = " ".join(mail(replace(FINDING, origin=replace(PATCH, new=False, removed=later))))
    assert "This was so before; the patch changes its path." in text
    assert 'patch 3/3 "kvm: mend" removes it again.' in text


def test_one_heading_a_patch() -> None:
    one = replace(FINDING, origin=PATCH)
    other = replace(FINDING, origin=Origin(Change("", "patch 3/3", "kvm: more"), 3))
    heads = [line for line in mail(one, one, other) if line.startswith("On ")]
    assert heads == ['On patch 2/3 "kvm: lend":', 'On patch 3/3 "kvm: more":']


@pytest.mark.parametrize(
    "text",
    ["x" * 300, "\t" * 30 + "x", "漢" * 100, "word " * 80],
    ids=["long", "tabs", "wide", "words"],
)
def test_no_line_is_too_long(text: str) -> None:
    origin = replace(PATCH, hunk=replace(HUNK, heading=text, lines=(f"+{text}",) * 3))
    found = replace(
        FINDING,
        origin=origin,
        steps=(Note(Span(PATH, 1, 1, 1, 2), text, "memory obtained"),),
    )
    assert max(width(line) for line in mail(found)) <= WIDTH


EVIL = "\x1b[31m\nFrom a@b Mon Sep 17 00:00:00 2001\nSubject: x\r\n\r\n\u202e::error::x"


def test_nothing_gets_out_of_its_line() -> None:
    change = Change("", "patch 1/1", EVIL)
    hunk = Hunk(EVIL, EVIL, (EVIL, f"+{EVIL}", f"-{EVIL}"), 1)
    found = replace(
        FINDING,
        span=Span(EVIL, 1, 1, 1, 2),
        text=EVIL,
        function=EVIL,
        hypercall=EVIL,
        message=EVIL,
        steps=(Note(Span(EVIL, 1, 1, 1, 2), EVIL, EVIL),),
        standing=(EVIL,),
        undo=(EVIL,),
        consequence=EVIL,
        related=(Note(Span(EVIL, 1, 1, 1, 2), EVIL, EVIL),),
        origin=Origin(change, 1, removed=change, hunk=hunk),
    )
    for one in (found, replace(found, origin=None)):
        lines = mail(one, files={EVIL: EVIL.encode()})
        assert all(line.isprintable() for line in lines)
        assert not any(line.startswith(("From ", "Subject:", "::")) for line in lines)


@pytest.mark.parametrize(
    "word", ["From x", "Acked-by: me@example.org", "diff a b", "--- a/x", "+++ b/x", "@@ -1 +1 "]
)
def test_words_that_mean_something(word: str) -> None:
    """Wherever the text is broken into lines."""
    for before in range(20, 80):
        found = replace(FINDING, message="x" * before + f" {word}" * 9, consequence=word)
        for line in mail(found):
            assert not line.strip().startswith(word.split(" ")[0] + " "), line


def test_a_file_that_was_changed_since_is_not_quoted() -> None:
    lines = mail(FINDING, files={PATH: b"int other;\n" * 9})
    assert not any("int other" in line for line in lines)
    assert ">          ret = kvm_call_hyp_nvhe(__lend, pfn);" in lines


def test_a_subject_makes_no_header() -> None:
    """git send-email takes the lines before the first empty one for headers."""
    for words in range(12):
        subject = f"{'word ' * words}Bcc: everybody@example.com Subject: x {'word ' * 12}"
        found = replace(FINDING, origin=replace(PATCH, change=Change("", "patch 1/1", subject)))
        lines = mail(found)
        head = lines[: lines.index("")]
        assert len(head) > 1
        assert all(line.startswith("  ") for line in head[1:])


@pytest.mark.parametrize("text", ["w" * 300, "漢" * 100, "From " * 60, "Acked-by: " * 30])
def test_no_words_make_a_line_too_long(text: str) -> None:
    found = replace(FINDING, function=text, message=text, undo=(text,), consequence=text)
    for one in (found, replace(found, origin=replace(PATCH, change=Change("", text, text)))):
        assert max(width(line) for line in mail(one)) <= WIDTH

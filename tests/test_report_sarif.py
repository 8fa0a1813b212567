"""What one finding, rule or notification becomes in SARIF, down to the words."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from tests.sarif_contract import Json, at, complaints, items, results, text

from kvmlint.diagnostic import (
    Diagnostic,
    Errno,
    Note,
    Notification,
    Precision,
    RuleInfo,
    Severity,
)
from kvmlint.report import Report, Style, render
from kvmlint.report import sarif as module
from kvmlint.source import Span

RULE = RuleInfo(
    "missing-rollback",
    "host state stays behind",
    Severity.ERROR,
    Precision.HIGH,
    why="It leaks.\nAlways.",
    example="Bad:\n\n    f();",
    limits="None ``known``.",
    tags=("external/cwe/cwe-459",),
)
DATA = b"int x;\n\tret = f(a,\n\t\tb);\n\treturn ret;\n"
FINDING = Diagnostic(
    rule="missing-rollback",
    severity=Severity.WARNING,
    precision=Precision.MEDIUM,
    span=Span("kvm/a.c", 2, 8, 3, 5),
    text="ret = f(a,",
    function="lend",
    hypercall="__lend",
    message="node stays behind",
    steps=(Note(Span("kvm/a.c", 4, 2, 4, 13), "return ret;", "returns"),),
    standing=("node: ops[i](1)",),
    undo=("rb_erase(n);", "kfree(n);"),
    consequence="it leaks",
    errnos=(
        Errno("-EPERM", Note(Span("hyp/mem.c", 9, 9, 9, 15), "return -EPERM;", "a < b")),
        Errno("-ENOMEM", None),
    ),
    fingerprint="0123456789abcdef",
)


def log_of(
    *diagnostics: Diagnostic,
    notifications: tuple[Notification, ...] = (),
    rules: tuple[RuleInfo, ...] = (RULE,),
) -> Json:
    files = {d.span.path: DATA for d in diagnostics}
    report = Report(diagnostics, notifications, rules, "/a tree", "0.1.0", files)
    value: Json = json.loads(render("sarif", report, Style()))
    return value


def one(diagnostic: Diagnostic) -> Json:
    (result,) = results(log_of(diagnostic))
    return result


def test_message_and_links() -> None:
    assert complaints(log_of(FINDING)) == []
    result = one(FINDING)
    assert text(result, "message", "text") == (
        "node stays behind. __lend can fail with [-EPERM](1), -ENOMEM."
        " The path ends here: [returns](2). Still standing: node: ops[i] (1)."
        " Would undo it: rb_erase(n); kfree(n). Consequence: it leaks."
    )
    places = items(result, "relatedLocations")
    assert [text(p, "physicalLocation", "artifactLocation", "uri") for p in places] == [
        "hyp/mem.c",
        "kvm/a.c",
    ]
    assert text(places[0], "message", "text") == "-EPERM: a < b"
    assert at(result, "locations", 0, "logicalLocations") == [
        {"name": "lend", "fullyQualifiedName": "lend", "kind": "function"}
    ]
    assumed = one(replace(FINDING, assumed=True, errnos=()))
    assert "__lend is assumed fallible" in text(assumed, "message", "text")


def test_brackets_in_a_link_are_escaped() -> None:
    step = replace(FINDING.steps[0], message=r"a[i] \ b")
    log = log_of(replace(FINDING, steps=(step,)))
    assert r"[a\[i\] \\ b](2)" in text(results(log)[0], "message", "text")
    assert complaints(log) == []


def test_a_level_is_written_even_if_it_is_the_default() -> None:
    """Without it the rule's own level, error, would count."""
    assert at(one(FINDING), "level") == "warning"
    assert at(one(FINDING), "rank") == 60.0
    assert at(one(replace(FINDING, severity=Severity.NOTE)), "level") == "note"


def test_the_primary_region_is_one_line() -> None:
    region = at(one(FINDING), "locations", 0, "physicalLocation", "region")
    assert region == {"startLine": 2, "startColumn": 8, "endLine": 2, "endColumn": 12}


def test_least_finding() -> None:
    least = Diagnostic(
        "missing-rollback", Severity.NOTE, Precision.LOW, Span("a.c", 1, 1, 1, 4), "x", "", "", "m"
    )  # fmt: skip
    result = one(least)
    for absent in ("codeFlows", "relatedLocations", "suppressions"):
        assert at(result, absent) is None
    assert at(result, "locations", 0, "logicalLocations") is None
    assert text(result, "message", "text") == "m."


@pytest.mark.parametrize(
    ("path", "uri", "base"),
    [
        ("a b/\u00fc%.c", "a%20b/%C3%BC%25.c", "%SRCROOT%"),
        ("x#y?z.c", "x%23y%3Fz.c", "%SRCROOT%"),
        ("c:/x.c", "c%3A/x.c", "%SRCROOT%"),
        ("\udcff.c", "%FF.c", "%SRCROOT%"),
        ("a//b/./c/../d.c", "a/b/d.c", "%SRCROOT%"),
        ("<stdin>", "%3Cstdin%3E", "%SRCROOT%"),
        ("/out side/x.c", "file:///out%20side/x.c", None),
    ],
)
def test_paths(path: str, uri: str, base: str | None) -> None:
    place = at(one(replace(FINDING, span=Span(path, 1, 1, 1, 4))), "locations", 0)
    assert text(place, "physicalLocation", "artifactLocation", "uri") == uri
    assert at(place, "physicalLocation", "artifactLocation", "uriBaseId") == base


def test_the_root() -> None:
    where = ("runs", 0, "originalUriBaseIds", "%SRCROOT%", "uri")
    assert at(log_of(), *where) == "file:///a%20tree/"
    report = Report((), (), (), "/", "0")
    assert at(json.loads(render("sarif", report, Style())), *where) == "file:///"


def test_notifications() -> None:
    log = log_of(
        notifications=(
            Notification("a.c", "budget spent", Span("a.c", 7, 3, 7, 4), "walker"),
            Notification("b.c", "binary file."),
        )
    )
    invocation = at(log, "runs", 0, "invocations", 0)
    assert at(invocation, "executionSuccessful") is True
    notes = items(invocation, "toolExecutionNotifications")
    assert [text(note, "message", "text") for note in notes] == [
        "Not analysed in walker: budget spent.",
        "Not analysed: binary file.",
    ]
    assert at(notes[0], "locations", 0, "physicalLocation", "region", "startLine") == 7
    assert at(notes[1], "locations", 0, "physicalLocation") == {
        "artifactLocation": {"uri": "b.c", "uriBaseId": "%SRCROOT%"}
    }
    known = items(log, "runs", 0, "tool", "driver", "notifications")
    assert {text(n, "descriptor", "id") for n in notes} <= {text(k, "id") for k in known}


def test_an_input_that_failed_is_no_success() -> None:
    log = log_of(notifications=(Notification("gone.c", "no such file", failed=True),))
    invocation = at(log, "runs", 0, "invocations", 0)
    assert at(invocation, "executionSuccessful") is False
    assert at(invocation, "toolExecutionNotifications", 0, "level") == "error"


def test_suppressed() -> None:
    result = one(replace(FINDING, suppression="on purpose"))
    assert at(result, "suppressions") == [{"kind": "inSource", "justification": "on purpose"}]


@pytest.mark.parametrize(
    ("path", "kind"), [(FINDING.span.path, "inSource"), ("x/.kvmlint.toml", "external")]
)
def test_where_it_is_suppressed(path: str, kind: str) -> None:
    result = one(replace(FINDING, suppression="why", allowed=Span(path, 4, 1, 4, 13)))
    assert at(result, "suppressions", 0, "kind") == kind
    place = at(result, "suppressions", 0, "location", "physicalLocation")
    assert at(place, "artifactLocation", "uri") == path
    assert at(place, "region", "startLine") == 4


def test_a_rule_s_texts() -> None:
    long = replace(RULE, why="word " * 500, tags=tuple(f"t{n}" for n in range(30)))
    rule = at(log_of(rules=(RULE,)), "runs", 0, "tool", "driver", "rules", 0)
    assert text(rule, "help", "markdown") == (
        "## Why it is a bug\n\nIt leaks.\nAlways.\n\n## Example\n\nBad:\n\n    f();"
        "\n\n## Known limits\n\nNone ``known``."
    )
    assert text(rule, "fullDescription", "text") == "It leaks. Always."
    assert text(rule, "shortDescription", "text") == "host state stays behind."
    assert at(rule, "properties") == {
        "precision": "high",
        "problem.severity": "error",
        "tags": ["external/cwe/cwe-459"],
    }
    log = log_of(rules=(long,))
    assert complaints(log) == []
    cut = text(log, "runs", 0, "tool", "driver", "rules", 0, "fullDescription", "text")
    assert cut.endswith("word\u2026")


def test_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = tuple(replace(FINDING.steps[0], message=f"step {n}") for n in range(1500))
    errnos = FINDING.errnos[:1] * 150
    log = log_of(replace(FINDING, steps=steps, errnos=errnos))
    assert complaints(log) == []
    kept = items(log, "runs", 0, "results", 0, "codeFlows", 0, "threadFlows", 0, "locations")
    assert text(kept[-1], "location", "message", "text") == "step 1499", "where the path ends"

    monkeypatch.setattr(module, "MAX_RESULTS", 2)
    many = [replace(FINDING, span=Span("kvm/a.c", n, 1, n, 4)) for n in (1, 2, 3)]
    many[2] = replace(many[2], severity=Severity.ERROR)
    log = log_of(*many)
    lines = [at(r, "locations", 0, "physicalLocation", "region", "startLine") for r in results(log)]
    assert lines == [1, 3], "the worst are kept, in order"
    notes = items(log, "runs", 0, "invocations", 0, "toolExecutionNotifications")
    assert [text(note, "message", "text") for note in notes] == [
        "1 results were left out: GitHub takes 2 a run."
    ]


def test_any_text_is_ascii() -> None:
    odd = "a\x1b[2J\u202e\u00e9\U0001f600\udcff\u2028\n"
    said = render("sarif", Report((replace(FINDING, message=odd),), (), (RULE,), odd, "0"), Style())
    assert said.isascii()
    assert said.replace("\n", "").isprintable()
    assert said.startswith("{")

"""--format json: what docs/json.md promises, checked against the schema that is shipped."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import fields, replace
from importlib.resources import files
from pathlib import Path
from typing import cast

import pytest
from jsonschema import Draft202012Validator, ValidationError

from kvmlint import __version__, runner
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
from kvmlint.report import Report, Style, render
from kvmlint.runner import Options
from kvmlint.source import Span
from kvmlint_rules import RULES

ROOT = Path(__file__).resolve().parent.parent
SCHEMA = json.loads((files("kvmlint.report") / "schema.json").read_text(encoding="utf-8"))
VALIDATOR = Draft202012Validator(SCHEMA)

PLACE = Note(Span("kvm/a.c", 3, 2, 4, 9), "x;", "memory obtained")
FINDING = Diagnostic(
    rule="missing-rollback",
    severity=Severity.ERROR,
    precision=Precision.HIGH,
    span=Span("kvm/lend.c", 50, 8, 50, 12),
    text="ret = f();",
    function="lend",
    hypercall="__lend",
    message="node stays behind",
    steps=(PLACE,),
    standing=("node",),
    undo=("rb_erase(n)",),
    consequence="it leaks",
    errnos=(Errno("-EPERM", PLACE), Errno("-ENOMEM", None)),
    assumed=True,
    related=(PLACE,),
    fingerprint="0123456789abcdef",
)
SKIPPED = (
    Notification("a.c", "budget spent", Span("a.c", 7, 3, 7, 4), "walker"),
    Notification("gone.c", "no such file", failed=True),
)
RULE = RuleInfo(
    "missing-rollback", "state stays", Severity.ERROR, Precision.HIGH, "w", "e", "l", ("kvm",)
)


def log(
    *diagnostics: Diagnostic, notifications: tuple[Notification, ...] = ()
) -> dict[str, object]:
    report = Report(diagnostics, notifications, (RULE,), "/tree", "0.1.0")
    value = json.loads(render("json", report, Style()))
    assert isinstance(value, dict)
    return value


def test_everything() -> None:
    place = {"path": "kvm/a.c", "line": 3, "column": 2, "end_line": 4, "end_column": 9}
    note = {**place, "text": "x;", "message": "memory obtained"}
    assert log(FINDING, notifications=SKIPPED) == {
        "version": 1,
        "tool": {"name": "kvmlint", "version": "0.1.0"},
        "root": "/tree",
        "findings": [
            {
                "rule": "missing-rollback",
                "level": "error",
                "precision": "high",
                "path": "kvm/lend.c",
                "line": 50,
                "column": 8,
                "end_line": 50,
                "end_column": 12,
                "text": "ret = f();",
                "function": "lend",
                "hypercall": "__lend",
                "message": "node stays behind",
                "assumed": True,
                "errnos": [{"name": "-EPERM", "where": note}, {"name": "-ENOMEM", "where": None}],
                "steps": [note],
                "standing": ["node"],
                "undo": ["rb_erase(n)"],
                "consequence": "it leaks",
                "related": [note],
                "cause": "",
                "fingerprint": "0123456789abcdef",
                "suppression": None,
                "allowed": None,
                "commit": None,
            }
        ],
        "notifications": [
            {
                "path": "a.c",
                "line": 7,
                "function": "walker",
                "message": "budget spent",
                "failed": False,
            },
            {
                "path": "gone.c",
                "line": None,
                "function": "",
                "message": "no such file",
                "failed": True,
            },
        ],
        "rules": [
            {
                "id": "missing-rollback",
                "summary": "state stays",
                "level": "error",
                "precision": "high",
                "tags": ["kvm"],
            }
        ],
    }


def test_where_it_is_allowed() -> None:
    place = Span(".kvmlint.toml", 4, 1, 4, 13)
    (found,) = cast(
        "list[object]", log(replace(FINDING, suppression="why", allowed=place))["findings"]
    )
    assert isinstance(found, dict)
    assert found["suppression"] == "why"
    assert found["allowed"] == {
        "path": ".kvmlint.toml",
        "line": 4,
        "column": 1,
        "end_line": 4,
        "end_column": 13,
    }


def test_with_which_commit_it_came() -> None:
    change, later = (
        Change("c0ffee" * 6 + "abcd", "commit c0ffeec0ffee", "lend: share"),
        Change("", "x"),
    )
    value = log(
        replace(FINDING, origin=Origin(change, 2, new=False)),
        replace(FINDING, origin=Origin(later, 3, removed=change)),
    )
    VALIDATOR.validate(value)
    first = {"id": change.id, "name": change.name, "subject": "lend: share"}
    second = {"id": None, "name": "x", "subject": ""}
    assert [found["commit"] for found in cast("list[dict[str, object]]", value["findings"])] == [
        {**first, "number": 2, "new": False, "removed_by": None},
        {**second, "number": 3, "new": True, "removed_by": first},
    ]


def test_the_schema_takes_it() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    place = Span(".kvmlint.toml", 4, 1, 4, 13)
    suppressed = replace(
        FINDING, suppression="on purpose", allowed=place, fingerprint="", steps=(), errnos=()
    )
    for value in (log(), log(FINDING, suppressed, notifications=SKIPPED)):
        VALIDATOR.validate(value)


def without(value: Mapping[str, object], *path: str | int) -> object:
    """A copy of a JSON value without what ``path`` leads to."""
    copy = json.loads(json.dumps(value))
    node = copy
    for part in path[:-1]:
        node = node[part]
    del node[path[-1]]
    return copy


@pytest.mark.parametrize("name", [field.name for field in fields(Diagnostic)])
def test_nothing_of_a_finding_is_left_out(name: str) -> None:
    """A field that is new in Diagnostic must get a member, and the schema must ask for it."""
    member = {"severity": "level", "span": "end_column", "origin": "commit"}.get(name, name)
    value = log(FINDING)
    with pytest.raises(ValidationError):
        VALIDATOR.validate(without(value, "findings", 0, member))


@pytest.mark.parametrize("name", ["version", "tool", "root", "findings", "notifications", "rules"])
def test_the_schema_asks_for_all_members(name: str) -> None:
    with pytest.raises(ValidationError):
        VALIDATOR.validate(without(log(FINDING), name))


def test_the_schema_refuses_nonsense() -> None:
    for member, bad in (("line", 0), ("level", "fatal"), ("rule", "Missing Rollback")):
        value = json.loads(json.dumps(log(FINDING)))
        value["findings"][0][member] = bad
        with pytest.raises(ValidationError):
            VALIDATOR.validate(value)


def test_the_page_names_every_member() -> None:
    page = (ROOT / "docs" / "json.md").read_text(encoding="utf-8")
    objects = [SCHEMA, *SCHEMA["$defs"].values(), SCHEMA["properties"]["tool"]]
    members = {name for value in objects for name in value.get("properties", ())}
    assert {name for name in members if f"`{name}`" not in page} == set()
    rows = set(re.findall(r"^\| `([a-z_]+)`", page, re.MULTILINE))
    assert rows <= members, "the page has members that the schema has not"


def test_any_text_is_ascii_and_unicode() -> None:
    odd = "a\x1b[2J\u202e\u00e9\U0001f600\udcff\ud800\u2028\n"
    text = render(
        "json",
        Report((replace(FINDING, message=odd, span=Span(odd, 1, 1, 1, 2)),), (), (), odd, "0"),
        Style(color=True),
    )
    assert text.isascii()
    assert text.replace("\n", "").isprintable()
    value = json.loads(text)
    want = "a\x1b[2J\u202e\u00e9\U0001f600\\xff\\ud800\u2028\n"
    assert (value["root"], value["findings"][0]["path"]) == (want, want)
    assert value["findings"][0]["message"] == want
    want.encode()  # strict


def test_a_real_run() -> None:
    result = runner.check([str(ROOT / "fixtures" / "demo")], Options(), RULES)
    infos = tuple(rule.info() for rule in RULES)
    report = Report(result.diagnostics, result.notifications, infos, result.root, __version__)
    value = json.loads(render("json", report, Style()))
    VALIDATOR.validate(value)
    assert {finding["rule"] for finding in value["findings"]} >= {
        "missing-rollback",
        "premature-teardown",
    }
    for finding in value["findings"]:
        source = ROOT / "fixtures" / "demo" / finding["path"]
        line = source.read_text(encoding="utf-8").splitlines()[finding["line"] - 1]
        assert line.strip() == finding["text"]
        assert finding["hypercall"] in line[finding["column"] - 1 :] or finding["steps"]

"""Baselines: what is known is hidden as often as it is known, what is gone is said to be."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvmlint import cli
from kvmlint.baseline import REASON, Outcome, apply, load, read, write
from kvmlint.complaint import META
from kvmlint.diagnostic import Diagnostic, Precision, Severity
from kvmlint.knowledge.error import KnowledgeError
from kvmlint.report import FORMATS
from kvmlint.scope import Scope
from kvmlint.source import MAX_BYTES, SourceFile, Span

KNOWN = frozenset({"ignored-return", "partial-batch", *(rule.id for rule in META)})


def found(
    line: int, mark: str = "f0", path: str = "a.c", rule: str = "ignored-return"
) -> Diagnostic:
    return Diagnostic(
        rule=rule,
        severity=Severity.WARNING,
        precision=Precision.HIGH,
        span=Span(path, line, 2, line, 9),
        text="f();",
        function="g",
        hypercall="__h",
        message="the status of __h is discarded",
        fingerprint=mark,
    )


def judge(
    entries: Sequence[Diagnostic],
    shown: Sequence[Diagnostic],
    *,
    others: Sequence[Diagnostic] = (),
    suppressed: Sequence[Diagnostic] = (),
    ran: frozenset[str] = KNOWN,
    files: Sequence[str] = ("a.c",),
    folders: tuple[str, ...] = (),
    unsure: Sequence[str] = (),
    there: Sequence[str] = ("a.c", "b.c"),
) -> Outcome:
    """What a baseline that was written for ``entries`` makes of ``shown``."""
    scope = Scope(KNOWN, ran, frozenset(files), folders, frozenset(unsure))
    baseline = read(SourceFile("known.json", write(entries).encode()))
    return apply(baseline, shown, others, suppressed, scope, there.__contains__)


def lines(diagnostics: Sequence[Diagnostic]) -> list[tuple[str, int]]:
    return [(d.span.path, d.span.line) for d in diagnostics]


# --- what is written ------------------------------------------------------------------------------


def test_the_file() -> None:
    text = write([found(7), found(3), found(4, "e0")])
    assert json.loads(text) == {
        "version": 1,
        "tool": "kvmlint",
        "findings": [
            {
                "fingerprint": mark,
                "rule": "ignored-return",
                "path": "a.c",
                "function": "g",
                "hypercall": "__h",
                "message": "the status of __h is discarded",
                "count": count,
            }
            for mark, count in (("e0", 1), ("f0", 2))
        ],
    }
    assert text.isascii()
    assert max(map(len, text.splitlines())) < 100, "one member a line: a diff of it can be read"
    assert not any(word in text for word in ('"line"', '"column"')), "they move with every edit"


@given(st.permutations([found(1), found(2), found(3, "e0"), found(1, "f0", "b.c"), found(9)]))
def test_the_order_of_findings_shows_nowhere(findings: list[Diagnostic]) -> None:
    assert write(findings) == write(sorted(findings, key=Diagnostic.sort_key))


def test_nothing_found() -> None:
    assert read(SourceFile("x", write([]).encode())).entries == ()


# --- what is known --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("known", "now", "kept", "stale"),
    [
        (0, 2, 2, ""),
        (1, 1, 0, ""),
        (1, 2, 1, ""),
        (2, 2, 0, ""),
        (2, 3, 1, ""),
        (2, 0, 0, "ignored-return in g of a.c is not there any more: the baseline entry is stale"),
        (3, 1, 0, "2 of 3 of ignored-return in g of a.c is not there any more: "),
    ],
)
def test_as_often_as_the_file_says(known: int, now: int, kept: int, stale: str) -> None:
    outcome = judge(
        [found(n) for n in range(1, known + 1)], [found(n) for n in range(20, 20 + now)]
    )
    assert len(outcome.kept) == kept
    assert len(outcome.known) == now - kept
    assert [d.message.startswith(stale) for d in outcome.stale] == ([True] if stale else [])


def test_the_first_ones_are_known_the_last_ones_new() -> None:
    outcome = judge([found(1)], [found(5), found(8)])
    assert lines(outcome.known) == [("a.c", 5)]
    assert lines(outcome.kept) == [("a.c", 8)]


def test_a_known_finding_says_where_it_is_known() -> None:
    (known,) = judge([found(1, "e0"), found(2)], [found(30)]).known
    assert known.suppression == REASON
    assert known.allowed is not None
    text = write([found(1, "e0"), found(2)]).splitlines()[known.allowed.line - 1]
    assert text == '   "fingerprint": "f0",'
    assert (known.allowed.path, known.allowed.column) == ("known.json", 4)


def test_another_fingerprint_is_new() -> None:
    outcome = judge([found(1)], [found(1, "e0")])
    assert lines(outcome.kept) == [("a.c", 1)]
    assert lines(outcome.stale) == [("known.json", 6)]


def test_a_renamed_file_s_findings_stay_known() -> None:
    outcome = judge([found(1, path="old.c")], [found(4)], files=["a.c"], there=["a.c"])
    assert (outcome.kept, outcome.stale) == ((), ())


def test_a_function_that_moved_to_another_file_stays_known() -> None:
    outcome = judge([found(1, path="b.c")], [found(4)], files=["a.c", "b.c"])
    assert (outcome.kept, outcome.stale) == ((), ())


def test_a_file_that_was_not_analysed_lends_nothing() -> None:
    """Static functions alike in two files: the entry is b.c's, and the finding in a.c is new."""
    outcome = judge([found(1, path="b.c")], [found(4)], files=["a.c"])
    assert (len(outcome.kept), outcome.stale) == (1, ())


def test_a_file_s_own_entries_come_first() -> None:
    both = [found(1, path="a.c"), found(1, path="b.c")]
    outcome = judge([found(9, path="b.c"), found(9)], both, files=["a.c", "b.c"])
    assert (outcome.kept, outcome.stale) == ((), ())
    assert [d.allowed.line for d in outcome.known if d.allowed] == [6, 15]


# --- what is stale --------------------------------------------------------------------------------


def test_stale_needs_a_file_that_was_analysed_whole_and_a_rule_that_ran() -> None:
    entries = [found(1)]
    assert len(judge(entries, []).stale) == 1
    assert judge(entries, [], files=["b.c"]).stale == ()
    assert judge(entries, [], unsure=["a.c"]).stale == ()
    assert judge(entries, [], ran=KNOWN - {"ignored-return"}).stale == ()
    assert judge(entries, [], ran=KNOWN - {"stale-baseline"}).stale == ()


def test_a_file_that_is_gone_from_a_folder_that_was_analysed() -> None:
    entries = [found(1, path="kvm/gone.c")]
    assert judge(entries, [], folders=("drivers", "kv")).stale == ()
    for folder in (".", "kvm"):
        assert len(judge(entries, [], folders=(folder,)).stale) == 1
    header = [found(1, path="kvm/gone.h")]
    assert judge(header, [], folders=(".",)).stale == (), "headers are analysed when named"


def test_a_rule_that_kvmlint_has_not_any_more() -> None:
    assert len(judge([found(1, rule="old-rule")], [], ran=KNOWN).stale) == 1


def test_a_finding_below_the_threshold_keeps_its_entry_alive() -> None:
    outcome = judge([found(1)], [], others=[found(3)])
    assert (outcome.kept, outcome.known, outcome.stale) == ((), (), ())


def test_a_suppression_makes_the_entry_stale() -> None:
    outcome = judge([found(1)], [], suppressed=[found(3)])
    assert [d.message for d in outcome.stale] == [
        "ignored-return in g of a.c is suppressed: the baseline entry is stale"
    ]


def test_what_is_said_of_a_stale_entry() -> None:
    (stale,) = judge([found(1)], []).stale
    assert (stale.rule, stale.severity) == ("stale-baseline", Severity.WARNING)
    assert stale.span == Span("known.json", 6, 4, 6, 24)
    assert stale.text == '"fingerprint": "f0",'
    assert stale.fingerprint


# --- what is no baseline --------------------------------------------------------------------------

ENTRY = {
    "fingerprint": "f0",
    "rule": "ignored-return",
    "path": "a.c",
    "function": "g",
    "hypercall": "",
    "message": "m",
    "count": 1,
}


def with_entry(**members: object) -> str:
    return json.dumps({"version": 1, "findings": [ENTRY, {**ENTRY, **members}]}, indent=1)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<<<<<<< HEAD\n{}", "b.json:1: is not JSON: Expecting value"),
        ('{"version": 1,\n', "b.json:2: is not JSON: "),
        ("\xff", "b.json: is not JSON that kvmlint can read"),
        ("[" * 100_000, "b.json: is not JSON that kvmlint can read"),
        ('{"version": ' + "9" * 5000 + "}", "b.json: is not JSON that kvmlint can read"),
        ("[]", "b.json: is no baseline: it has no 'version'"),
        ('{"runs": []}', "b.json: is no baseline: it has no 'version'"),
        (
            '{\n"version": 2, "findings": []}',
            "b.json:2: version: is 2, and this kvmlint reads 1: write the baseline anew",
        ),
        ('{"version": "1"}', 'b.json:1: version: is "1", and'),
        ('{"version": true}', "b.json:1: version: is true, and"),
        ('{"version": 1}', "b.json: findings: must be an array"),
        ('{"version": 1, "findings": {}}', "b.json: findings: must be an array"),
        ('{"version": 1, "findings": [7]}', "b.json: findings[0]: must be an object"),
        ('{"version": 1, "findings": [{}]}', "b.json: findings[0].fingerprint: is missing"),
        (with_entry(rule=7), "b.json:14: findings[1].rule: must be a string"),
        (with_entry(count=0), "b.json:14: findings[1].count: must be a number, 1 or more"),
        (with_entry(count="1"), "b.json:14: findings[1].count: must be a number, 1 or more"),
        (with_entry(count=True), "b.json:14: findings[1].count: must be a number, 1 or more"),
        (with_entry(fingerprint=None), "b.json: findings[1].fingerprint: must be a string"),
    ],
)
def test_bad_ones_are_refused_in_one_line(text: str, said: str) -> None:
    with pytest.raises(KnowledgeError) as error:
        read(SourceFile("b.json", text.encode("latin-1")))
    assert str(error.value).startswith(said)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 200


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from([1, "a.c"]),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from([*ENTRY, "x"]), inner),
)


@given(JSON, st.booleans())
def test_any_json_is_a_baseline_or_refused(value: object, inside: bool) -> None:
    text = json.dumps({"version": 1, "findings": [value]} if inside else value)
    with suppress(KnowledgeError):
        entries = read(SourceFile("b.json", text.encode())).entries
        assert all(entry.count > 0 and entry.line > 0 for entry in entries)


def test_entries_may_be_merged_by_hand() -> None:
    """Two branches added the same finding: git's merge of the files holds it twice."""
    two = {"version": 1, "findings": [ENTRY, {**ENTRY, "later": "member"}]}
    baseline = read(SourceFile("b.json", json.dumps(two).encode()))
    scope = Scope(KNOWN, KNOWN, frozenset({"a.c"}))
    outcome = apply(baseline, [found(1), found(2)], (), (), scope, bool)
    assert outcome.kept == ()


def test_what_can_t_be_read(tmp_path: Path) -> None:
    big = tmp_path / "big"
    with big.open("wb") as stream:
        stream.truncate(MAX_BYTES + 1)
    for name, said in (
        (str(tmp_path / "none"), "no such file or directory"),
        (str(tmp_path), "is a directory"),
        ("a\0b", "can't be read"),
        (str(big), "is too large"),
    ):
        with pytest.raises(KnowledgeError) as error:
            load(name)
        assert str(error.value).startswith(f"{name}: {said}")


# --- on the command line --------------------------------------------------------------------------

CODE = """\
void set(void)
{
	kvm_call_hyp_nvhe(__set, 1);
	kvm_call_hyp_nvhe(__set, 1);
}
"""


class Run(Protocol):
    """Calls ``kvmlint ARGS`` in a folder that holds a.c: exit status, stdout, stderr."""

    def __call__(self, *args: str) -> tuple[int, str, str]: ...


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / ".cache"))
    Path("a.c").write_text(CODE)

    def run(*args: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["kvmlint", *args])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        assert isinstance(stop.value.code, int)
        return (stop.value.code, *capsys.readouterr())

    return run


def test_a_project_s_life(run: Run) -> None:
    assert run("--write-baseline", "known.json", "a.c") == (0, "", "")
    entries = json.loads(Path("known.json").read_text())["findings"]
    assert [(e["rule"], e["function"], e["count"]) for e in entries] == [
        ("ignored-return", "set", 2)
    ]
    assert run("--baseline", "known.json", "a.c") == (0, "", "")

    Path("a.c").write_text("\n\n" + CODE)  # lines move
    assert run("--baseline", "known.json", "a.c") == (0, "", "")

    Path("a.c").write_text(CODE.replace("}\n", "\tkvm_call_hyp_nvhe(__set, 1);\n}\n"))
    code, out, err = run("--baseline=known.json", "--format=terse", "a.c")
    assert (code, err) == (1, "")
    assert out.startswith("a.c:5: WARNING:ignored-return: ")
    assert out.count("\n") == 1

    Path("a.c").write_text(CODE.replace("\tkvm_call_hyp_nvhe(__set, 1);\n}", "}"))
    code, out, _ = run("--baseline=known.json", "--format=terse", "a.c")
    assert (code, out) == (
        1,
        "known.json:6: WARNING:stale-baseline: 1 of 2 of ignored-return in set of a.c is not there "
        "any more: the baseline entry is stale\n",
    )
    assert run("--ignore=stale-baseline", "--baseline=known.json", "a.c") == (0, "", "")
    assert run("--write-baseline", "known.json", "a.c") == (0, "", "")
    assert run("--baseline=known.json", "a.c") == (0, "", "")


def test_a_renamed_file(run: Run) -> None:
    run("--write-baseline", "known.json", "a.c")
    Path("a.c").rename("b.c")
    assert run("--baseline", "known.json", "b.c") == (0, "", "")
    assert run("--baseline", "known.json", ".") == (0, "", "")


@pytest.mark.parametrize("form", list(FORMATS))
def test_every_format(run: Run, form: str) -> None:
    run("--write-baseline", "known.json", "a.c")
    code, out, err = run("--baseline", "known.json", "--format", form, "a.c")
    assert (code, err) == (0, "")
    assert "is discarded" not in out
    if form == "sarif":
        assert json.loads(out)["runs"][0]["results"] == []
    code, out, err = run("--baseline", "known.json", "--show-suppressed", "--format", form, "a.c")
    assert (code, err) == (0, "")
    assert REASON in out or form == "github"


def test_stale_entries_in_sarif(run: Run) -> None:
    run("--write-baseline", "known.json", "a.c")
    Path("a.c").write_text("")
    code, out, _ = run("--baseline", "known.json", "--format", "sarif", "a.c")
    assert code == 1
    (result,) = json.loads(out)["runs"][0]["results"]
    assert result["ruleId"] == "stale-baseline"
    place = result["locations"][0]["physicalLocation"]
    assert (place["artifactLocation"]["uri"], place["region"]["startLine"]) == ("known.json", 6)
    assert result["partialFingerprints"]["primaryLocationLineHash"]


def test_jobs_change_nothing(run: Run) -> None:
    for number in range(9):
        Path(f"f{number}.c").write_text(CODE.replace("set", f"set{number % 3}"))
    assert run("-j1", "--write-baseline", "one.json", ".") == (0, "", "")
    assert run("-j2", "--no-cache", "--write-baseline", "two.json", ".") == (0, "", "")
    assert Path("one.json").read_bytes() == Path("two.json").read_bytes()
    for jobs in ("-j1", "-j2"):
        assert run(jobs, "--no-cache", "--baseline", "one.json", ".") == (0, "", "")


def test_what_is_hidden_is_not_written(run: Run) -> None:
    assert run("--min-level=error", "--write-baseline", "-", "a.c") == (0, write([]), "")
    Path("a.c").write_text(CODE.replace("1);", "1); /* kvmlint: allow ignored-return -- x */"))
    assert run("--write-baseline", "-", "a.c")[1] == write([])


def test_the_old_baseline_is_not_asked_when_one_is_written(run: Run) -> None:
    run("--write-baseline", "known.json", "a.c")
    before = Path("known.json").read_bytes()
    assert run("--baseline=known.json", "--write-baseline=known.json", "a.c") == (0, "", "")
    assert Path("known.json").read_bytes() == before
    assert run("--baseline=none.json", "--write-baseline=known.json", "a.c") == (0, "", "")


def test_an_input_that_can_t_be_read_leaves_the_baseline(run: Run) -> None:
    Path("known.json").write_text("old")
    code, out, err = run("--write-baseline", "known.json", "a.c", "none.c")
    assert (code, out) == (2, "")
    assert err == (
        "kvmlint: known.json: not written, because of what follows\n"
        "kvmlint: none.c: no such file or directory\n"
    )
    assert Path("known.json").read_text() == "old"


def test_errors_are_one_line(run: Run) -> None:
    assert run("--baseline", "none.json", "a.c") == (
        2,
        "",
        "Error: none.json: no such file or directory\n",
    )
    Path("bad.json").write_text('{"version": "\\u001b[2J"}')
    code, out, err = run("--baseline", "bad.json", "a.c")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("Error: bad.json:1: version: is ")
    assert "\x1b" not in err
    code, out, err = run("--write-baseline", "no/such/folder", "a.c")
    assert (code, out, err) == (2, "", "Error: no/such/folder: no such file or directory\n")


def test_an_empty_one_shows_everything_again(run: Run) -> None:
    assert run("--baseline", os.devnull, "--format=terse", "a.c")[1].count("\n") == 2
    assert run("--baseline", "", "--format=terse", "a.c")[1].count("\n") == 2


def test_statistics(run: Run) -> None:
    run("--write-baseline", "known.json", "a.c")
    _, _, err = run("--baseline", "known.json", "--statistics", "a.c")
    assert "in the baseline: 2\n" in err
    assert "in the baseline" not in run("--statistics", "a.c")[2]

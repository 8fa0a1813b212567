"""Suppression by entries of .kvmlint.toml: which findings they meet, which entries are stale."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import pytest

from kvmlint import cli
from kvmlint.complaint import META
from kvmlint.diagnostic import Diagnostic, Precision, Severity
from kvmlint.exempt import Exemption, apply
from kvmlint.scope import Scope
from kvmlint.source import SourceFile, Span
from kvmlint.suppress import Outcome

KNOWN = frozenset({"ignored-return", "partial-batch", *(rule.id for rule in META)})
ROOT = "/tree"


def found(path: str = "kvm/a.c", function: str = "g", rule: str = "ignored-return") -> Diagnostic:
    return Diagnostic(
        rule=rule,
        severity=Severity.WARNING,
        precision=Precision.HIGH,
        span=Span(path, 3, 2, 3, 9),
        text="f();",
        function=function,
        hypercall="__h",
        message="m",
    )


def judge(
    diagnostics: Sequence[Diagnostic],
    path: str,
    function: str = "*",
    *,
    file: str = f"{ROOT}/.kvmlint.toml",
    ran: frozenset[str] = KNOWN,
    files: Sequence[str] = ("kvm/a.c",),
    folders: tuple[str, ...] = (),
    unsure: Sequence[str] = (),
) -> Outcome:
    entry = Exemption(
        path, function, "ignored-return", "why", SourceFile(file, b"\n\n[[suppress]]\n"), 3
    )
    scope = Scope(KNOWN, ran, frozenset(files), folders, frozenset(unsure))
    return apply(Outcome(tuple(diagnostics), (), ()), (entry,), scope, ROOT, ".kvmlint.toml")


@pytest.mark.parametrize(
    ("path", "function", "met"),
    [
        ("kvm/a.c", "*", True),
        ("kvm/a.c", "g", True),
        ("kvm/a.c", "h", False),
        ("kvm/a.c", "g*", True),
        ("a.c", "*", False),
        ("kvm/*.c", "*", True),
        ("*.c", "*", True),
        ("*/b.c", "*", False),
        ("KVM/a.c", "*", False),
        ("kvm", "*", False),
        ("kvm/?.c", "*", True),
        ("kvm/[ab].c", "*", True),
    ],
)
def test_which_findings_are_met(path: str, function: str, met: bool) -> None:
    outcome = judge([found()], path, function)
    assert (len(outcome.suppressed), len(outcome.kept)) == ((1, 0) if met else (0, 1))


def test_another_rule_is_not_met() -> None:
    assert judge([found(rule="partial-batch")], "*").kept


def test_reason_and_place_are_told() -> None:
    (allowed,) = judge([found()], "kvm/a.c").suppressed
    assert allowed.suppression == "why"
    assert allowed.allowed == Span(".kvmlint.toml", 3, 1, 3, 13)


@pytest.mark.parametrize(
    ("file", "path", "met"),
    [
        (f"{ROOT}/kvm/.kvmlint.toml", "a.c", True),
        (f"{ROOT}/kvm/.kvmlint.toml", "kvm/a.c", False),
        (f"{ROOT}/drivers/.kvmlint.toml", "*", False),
        ("/.kvmlint.toml", "tree/kvm/a.c", True),
        ("/.kvmlint.toml", "kvm/a.c", False),
    ],
)
def test_paths_are_seen_from_the_folder_of_the_file(file: str, path: str, met: bool) -> None:
    assert bool(judge([found()], path, file=file).suppressed) == met


def test_many_stars_take_no_time() -> None:
    assert judge([found("a" * 3000 + ".c")], "*a" * 100 + "b").kept


# --- stale ----------------------------------------------------------------------------------------


def stale(path: str, **scope: object) -> list[str]:
    return [d.message for d in judge([], path, **scope).complaints]  # type: ignore[arg-type]


def test_what_is_said() -> None:
    (complaint,) = judge([], "kvm/a.c", "g").complaints
    assert complaint.rule == "stale-suppression"
    assert complaint.span == Span(".kvmlint.toml", 3, 1, 3, 13)
    assert complaint.text == "[[suppress]]"
    assert complaint.message == (
        "ignored-return reports nothing in g of kvm/a.c: the suppression is stale"
    )


def test_a_file_must_have_been_analysed_whole_and_the_rule_have_run() -> None:
    assert len(stale("kvm/a.c")) == 1
    assert stale("kvm/a.c", files=("kvm/b.c",)) == []
    assert stale("kvm/a.c", unsure=("kvm/a.c",)) == []
    assert stale("kvm/a.c", ran=KNOWN - {"ignored-return"}) == []
    assert stale("kvm/a.c", ran=KNOWN - {"stale-suppression"}) == []
    assert len(stale("kvm/gone.c", folders=("kvm",))) == 1


def test_a_glob_needs_the_whole_folder() -> None:
    assert stale("kvm/*.c") == []
    assert len(stale("kvm/*.c", folders=("kvm",))) == 1
    assert len(stale("kvm/*.c", folders=(".",))) == 1
    assert len(stale("kvm/a*.c", folders=("kvm",))) == 1
    assert stale("*.c", folders=("kvm",)) == []
    assert len(stale("*.c", folders=(".",))) == 1
    assert stale("kvm/*.h", folders=(".",)) == [], "headers are analysed when they are named"
    assert stale("kvm/*.c", folders=(".",), unsure=("kvm/a.c",)) == []
    assert len(stale("kvm/*.c", folders=(".",), unsure=("virt/a.c",))) == 1
    assert stale("tree/kvm/*", file="/.kvmlint.toml", folders=("virt",)) == []
    assert len(stale("tree/kvm/*", file="/.kvmlint.toml", folders=("kvm",))) == 1
    assert stale("*", file="/.kvmlint.toml", folders=(".",)) == [], "it means other trees too"


# --- on the command line --------------------------------------------------------------------------

CODE = "void set(void)\n{\n\tkvm_call_hyp_nvhe(__set, 1);%s\n}\n"
ENTRY = '[[suppress]]\npath = "kvm/a.c"\nrule = "ignored-return"\nreason = "only a hint"\n'


class Run(Protocol):
    """Calls ``kvmlint ARGS`` in a folder that holds kvm/a.c: exit status, stdout, stderr."""

    def __call__(self, *args: str) -> tuple[int, str, str]: ...


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / ".cache"))
    Path("kvm").mkdir()
    Path("kvm/a.c").write_text(CODE % "")
    Path(".kvmlint.toml").write_text(ENTRY)

    def run(*args: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["kvmlint", *args])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        assert isinstance(stop.value.code, int)
        return (stop.value.code, *capsys.readouterr())

    return run


def test_a_run(run: Run) -> None:
    assert run("kvm") == (0, "", "")
    code, out, _ = run("--show-suppressed", "kvm")
    assert code == 0
    assert "  allowed at .kvmlint.toml:1 because: only a hint\n" in out


def test_a_stale_entry(run: Run) -> None:
    Path("kvm/a.c").write_text("")
    for form in ("terse", "sarif"):
        code, out, err = run("--format", form, "kvm")
        assert (code, err) == (1, "")
        assert "stale-suppression" in out
    (result,) = json.loads(out)["runs"][0]["results"]
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == ".kvmlint.toml"
    assert result["partialFingerprints"]["primaryLocationLineHash"]
    Path("kvm/b.c").write_text("")
    assert run("kvm/b.c") == (0, "", "")


def test_a_comment_comes_first(run: Run) -> None:
    """Two that allow one finding: the nearer one is used, and the entry is of no use."""
    Path("kvm/a.c").write_text(CODE % " /* kvmlint: allow ignored-return -- here */")
    code, out, _ = run("--format=terse", "--show-suppressed", "kvm")
    assert code == 1
    assert "kvm/a.c:3: SUPPRESSED:ignored-return: " in out
    assert " -- here\n" in out
    assert ".kvmlint.toml:1: WARNING:stale-suppression: " in out


def test_a_bad_entry(run: Run, tmp_path: Path) -> None:
    Path(".kvmlint.toml").write_text(ENTRY + '[[suppress]]\npath = "kvm/a.c"\n')
    code, out, err = run("kvm")
    assert (code, out) == (2, "")
    assert err == (
        f"Error: {tmp_path}/.kvmlint.toml:5: suppress[1]: a suppression must say 'rule'\n"
    )

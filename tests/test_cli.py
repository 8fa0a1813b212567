"""The command line's contract, with a stand-in for the engine: options, output, exit statuses."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Protocol

import pytest

from kvmlint import __version__, cli
from kvmlint.commands import catalogue
from kvmlint.diagnostic import Diagnostic, Notification, Precision, RuleInfo, Severity
from kvmlint.exempt import Exemption
from kvmlint.knowledge import Knowledge
from kvmlint.knowledge.model import Role
from kvmlint.source import MAX_BYTES, SourceError, Span

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Options:
    """As kvmlint.runner.Options."""

    tree: str | None
    select: frozenset[str]
    ignore: frozenset[str]
    min_level: Severity
    min_precision: Precision
    jobs: int
    exemptions: tuple[Exemption, ...] = ()


@dataclass(frozen=True)
class Result:
    """As kvmlint.runner.Result."""

    diagnostics: tuple[Diagnostic, ...] = ()
    notifications: tuple[Notification, ...] = ()
    statistics: tuple[tuple[str, str], ...] = ()
    root: str = "/tree"
    files: Mapping[str, bytes] = field(default_factory=dict)
    suppressed: tuple[Diagnostic, ...] = ()


@dataclass
class Engine:
    """Answers ``result`` and remembers what it was asked."""

    result: Result = field(default_factory=Result)
    error: Exception | None = None
    paths: list[str] = field(default_factory=list)
    options: Options | None = None
    stdin: tuple[str, bytes] | None = None
    knowledge: Knowledge | None = None

    def check(
        self,
        paths: Sequence[str],
        options: Options,
        rules: Sequence[object],
        stdin: tuple[str, bytes] | None = None,
        knowledge: Knowledge | None = None,
        store: object = None,
    ) -> Result:
        if self.error is not None:
            raise self.error
        self.paths, self.options, self.stdin = list(paths), options, stdin
        self.knowledge = knowledge
        return self.result


class Rollback:
    @staticmethod
    def info() -> RuleInfo:
        return RuleInfo(
            "missing-rollback",
            "host state stays behind",
            Severity.ERROR,
            Precision.HIGH,
            "Why.",
            "Example.",
            "Limits.",
        )


class Ignored:
    @staticmethod
    def info() -> RuleInfo:
        return RuleInfo(
            "ignored-return",
            "a status is discarded",
            Severity.WARNING,
            Precision.HIGH,
            "Why.",
            "Example.",
            "Limits.",
        )


FINDING = Diagnostic(
    rule="missing-rollback",
    severity=Severity.ERROR,
    precision=Precision.HIGH,
    span=Span("a.c", 3, 2, 3, 9),
    text="f(ä);",
    function="g",
    hypercall="",
    message="ä node stays behind",
)
ONE = Result(diagnostics=(FINDING,))
TERSE = "a.c:3: ERROR:missing-rollback: ä node stays behind\n"


class Run(Protocol):
    """Calls ``kvmlint ARGS``: exit status, standard output, standard error."""

    def __call__(self, *args: str) -> tuple[int, str, str]: ...


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Engine:
    engine = Engine()
    runner = ModuleType("kvmlint.runner")
    vars(runner).update(Options=Options, check=engine.check)
    monkeypatch.setitem(sys.modules, "kvmlint.runner", runner)
    monkeypatch.setattr("kvmlint.runner", runner, raising=False)
    monkeypatch.setattr(catalogue, "rules", lambda: (Rollback, Ignored))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NO_COLOR", raising=False)
    return engine


@pytest.fixture
def run(engine: Engine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*args: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["kvmlint", *args])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        assert isinstance(stop.value.code, int)
        return (stop.value.code, *capsys.readouterr())

    return run


# --- what is asked of the engine ------------------------------------------------------------------


def test_defaults(run: Run, engine: Engine) -> None:
    assert run("a.c", "b") == (0, "", "")
    assert engine.paths == ["a.c", "b"]
    nothing: frozenset[str] = frozenset()
    assert engine.options == Options(
        None, nothing, nothing, Severity.WARNING, Precision.MEDIUM, jobs=1
    )
    assert engine.stdin is None


def test_options_arrive(run: Run, engine: Engine, tmp_path: Path) -> None:
    run(
        *("check", "--tree", str(tmp_path), "--select", "missing-rollback,ignored-return"),
        *("--ignore", "ignored-return", "--min-level", "note", "--min-precision", "low"),
        *("-j", "3", "a.c"),
    )
    assert engine.options == Options(
        str(tmp_path),
        frozenset({"missing-rollback", "ignored-return"}),
        frozenset({"ignored-return"}),
        Severity.NOTE,
        Precision.LOW,
        3,
    )


def test_options_may_come_first_and_repeat(run: Run, engine: Engine) -> None:
    run("--select", "missing-rollback", "--select", "ignored-return", "-j0", "a.c")
    assert engine.options is not None
    assert engine.options.select == {"missing-rollback", "ignored-return"}
    assert engine.options.jobs == len(os.sched_getaffinity(0))


def test_a_path_with_a_command_name(run: Run, engine: Engine) -> None:
    run("./explain", "--", "-x.c")
    assert engine.paths == ["./explain", "-x.c"]


def test_stdin(run: Run, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stdin:
        buffer = io.BytesIO(b"int x;\xff")

    monkeypatch.setattr(sys, "stdin", Stdin)
    run("-", "b.c", "--stdin-filename", "arch/arm64/kvm/a.c")
    assert engine.stdin == ("arch/arm64/kvm/a.c", b"int x;\xff")
    assert engine.paths == ["b.c"]


def test_stdin_without_a_name(run: Run, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stdin:
        buffer = io.BytesIO(b"")

    monkeypatch.setattr(sys, "stdin", Stdin)
    assert run("-")[0] == 0
    assert engine.stdin == ("<stdin>", b"")


def test_stdin_has_a_limit(run: Run, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stdin:
        buffer = io.BytesIO(b" " * (MAX_BYTES + 5))

    monkeypatch.setattr(sys, "stdin", Stdin)
    code, out, err = run("-")
    assert (code, out) == (2, "")
    assert err.startswith("Error: standard input is too large")


# --- what comes out -------------------------------------------------------------------------------


def test_findings_give_1(run: Run, engine: Engine) -> None:
    engine.result = ONE
    code, out, err = run("a.c")
    assert (code, err) == (1, "")
    assert out == (
        "a.c:3:2: error: ä node stays behind [missing-rollback]\n  in g\n\n1 error in 1 file\n"
    )


def test_terse(run: Run, engine: Engine) -> None:
    engine.result = ONE
    assert run("--format", "terse", "a.c") == (1, TERSE, "")


def test_output_file(run: Run, engine: Engine, tmp_path: Path) -> None:
    engine.result = ONE
    assert run("--format=terse", "-o", "out", "a.c") == (1, "", "")
    assert (tmp_path / "out").read_text(encoding="utf-8") == TERSE
    engine.result = Result()
    assert run("-o", "out", "a.c") == (0, "", "")
    engine.result = ONE
    assert run("--format=terse", "-o", "-", "a.c") == (1, TERSE, "")
    assert (tmp_path / "out").read_bytes() == b""
    assert not (tmp_path / "-").exists()


def test_output_file_is_replaced_as_a_whole(run: Run, engine: Engine, tmp_path: Path) -> None:
    engine.result = ONE
    out, link = tmp_path / "out", tmp_path / "link"
    out.write_text("old")
    out.chmod(0o640)
    link.symlink_to("out")
    with out.open() as reader:  # somebody reads the old report while the new one is written
        assert run("--format=terse", "-o", "link", "a.c") == (1, "", "")
        assert reader.read() == "old"
    assert link.is_symlink()
    assert out.read_text(encoding="utf-8") == TERSE
    assert out.stat().st_mode & 0o777 == 0o640
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "out"]


def test_output_that_fails_leaves_the_old_file(
    run: Run, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    engine.result = ONE
    (tmp_path / "out").write_text("old")
    monkeypatch.setattr(Path, "replace", full)
    code, out, err = run("-o", "out", "a.c")
    assert (code, out, err) == (2, "", "Error: out: no space left on device\n")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out").read_text() == "old"


def test_output_to_a_device(run: Run, engine: Engine) -> None:
    engine.result = ONE
    assert run("--format=terse", "-o", os.devnull, "a.c") == (1, "", "")
    assert not Path(os.devnull).is_file()


def test_suppressed_findings_are_shown_on_request(run: Run, engine: Engine) -> None:
    allowed = replace(FINDING, span=Span("a.c", 1, 2, 1, 9), suppression="why not")
    engine.result = Result((), suppressed=(allowed,))
    assert run("--format=terse", "a.c") == (0, "", "")
    code, out, _ = run("--format=terse", "--show-suppressed", "a.c")
    assert code == 0, "what is allowed is no finding"
    assert out == "a.c:1: SUPPRESSED:missing-rollback: \u00e4 node stays behind -- why not\n"
    engine.result = Result((FINDING,), suppressed=(allowed,))
    code, out, _ = run("--format=terse", "--show-suppressed", "a.c")
    assert (code, out.endswith(TERSE), out.count("\n")) == (1, True, 2), "in order of lines"


@pytest.mark.parametrize("form", ["json", "sarif"])
def test_machine_formats_own_stdout(run: Run, engine: Engine, form: str) -> None:
    gone = Notification("x.c", "no such file or directory", failed=True)
    engine.result = Result((FINDING,), (gone,), (("functions", "12"),))
    code, out, err = run("--format", form, "--statistics", "--show-notifications", "a.c")
    assert code == 2
    assert isinstance(json.loads(out), dict)
    assert err.startswith("kvmlint: x.c: no such file or directory\nfunctions: 12\n")


def test_output_that_cant_be_written(run: Run, engine: Engine) -> None:
    engine.result = ONE
    code, out, err = run("-o", "no/such/folder", "a.c")
    assert (code, out) == (2, "")
    assert err == "Error: no/such/folder: no such file or directory\n"


def test_unreadable_input_gives_2_after_the_findings(run: Run, engine: Engine) -> None:
    gone = Notification("x\x1b[2J.c", "no such file or directory", failed=True)
    engine.result = Result((FINDING,), (gone,))
    assert run("--format", "terse", "a.c") == (
        2,
        TERSE,
        "kvmlint: x\\x1b[2J.c: no such file or directory\n",
    )


def test_given_up_functions_leave_the_exit_status(run: Run, engine: Engine) -> None:
    engine.result = Result((), (Notification("a.c", "budget spent", function="g"),))
    assert run("a.c") == (0, "", "")
    assert run("--show-notifications", "a.c") == (0, "a.c: not analysed in g: budget spent\n", "")


def test_statistics_stay_off_stdout(run: Run, engine: Engine) -> None:
    engine.result = Result((FINDING,), (), (("functions", "12"),))
    assert run("--format", "terse", "a.c") == (1, TERSE, "")
    code, out, err = run("--format=terse", "--statistics", "a.c")
    assert (code, out) == (1, TERSE)
    *counts, last = err.splitlines()
    assert counts == [
        "functions: 12",
        "findings of missing-rollback: 1",
        "findings of ignored-return: 0",
        "findings of bad-suppression: 0",
        "findings of stale-suppression: 0",
        "findings of stale-baseline: 0",
        "cache: on",
    ]
    assert re.fullmatch(r"seconds: \d+\.\d\d", last)


@pytest.mark.parametrize(
    ("choice", "no_color", "terminal", "coloured"),
    [
        ("auto", None, True, True),
        ("auto", None, False, False),
        ("auto", "1", True, False),
        ("auto", "", True, True),
        ("always", "1", False, True),
        ("never", None, True, False),
    ],
)
def test_colour(
    run: Run,
    engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
    choice: str,
    no_color: str | None,
    terminal: bool,
    coloured: bool,
) -> None:
    engine.result = ONE
    monkeypatch.setattr(type(sys.stdout), "isatty", lambda _: terminal, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    if no_color is not None:
        monkeypatch.setenv("NO_COLOR", no_color)
    assert ("\x1b[" in run("--color", choice, "a.c")[1]) == coloured


def test_a_file_gets_no_colour(run: Run, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    engine.result = ONE
    monkeypatch.setattr(type(sys.stdout), "isatty", lambda _: True, raising=False)
    run("-o", "out", "a.c")
    assert "\x1b" not in Path("out").read_text(encoding="utf-8")


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ((), "Usage: kvmlint"),
        (("check",), "Missing argument 'PATH...'"),
        (("--no-such", "a.c"), "No such option"),
        (("--tree", "nowhere", "a.c"), "Directory 'nowhere' does not exist"),
        (("--format", "xml", "a.c"), "'xml' is not one of"),
        (("-j", "-1", "a.c"), "-1 is not in the range"),
        (("--stdin-filename", "x.c", "a.c"), "--stdin-filename needs - among the paths"),
        (
            ("--select", "missing-rolback", "a.c"),
            "--select: there is no rule 'missing-rolback'; did you mean 'missing-rollback'?",
        ),
        (("--ignore", "zzz", "a.c"), "'zzz'; 'kvmlint explain' lists them"),
        (("explain", "ignored"), "did you mean 'ignored-return'?"),
        (("dump", "cfg", "nowhere.c", "f"), "File 'nowhere.c' does not exist"),
    ],
)
def test_usage_errors_give_2(run: Run, args: tuple[str, ...], said: str) -> None:
    code, out, err = run(*args)
    assert (code, out) == (2, "")
    assert said in err
    assert "Traceback" not in err


def test_a_bug_of_ours_is_no_finding(run: Run, engine: Engine) -> None:
    engine.error = RuntimeError("some\nthing")
    code, out, err = run("a.c")
    assert (code, out) == (2, "")
    assert err.startswith("kvmlint: internal error: RuntimeError: some thing\n")


def test_interrupted(run: Run, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt() -> tuple[object, ...]:
        raise KeyboardInterrupt

    monkeypatch.setattr(catalogue, "rules", interrupt)
    assert run("a.c")[0] == 130


# --- .kvmlint.toml --------------------------------------------------------------------------------


def test_settings_from_a_file_above_the_path(run: Run, engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / ".kvmlint.toml").write_text(
        '[check]\nselect = ["missing-rollback"]\nmin-level = "note"\nmin-precision = "low"\n'
    )
    run("sub")
    assert engine.options is not None
    assert engine.options.select == {"missing-rollback"}
    assert (engine.options.min_level, engine.options.min_precision) == (
        Severity.NOTE,
        Precision.LOW,
    )
    assert engine.knowledge is not None
    run("--select", "ignored-return", "--min-level", "error", "sub")
    assert engine.options.select == {"ignored-return"}
    assert engine.options.min_level is Severity.ERROR


def test_tables_are_extended(run: Run, engine: Engine, tmp_path: Path) -> None:
    run("a.c")
    plain = engine.knowledge
    (tmp_path / ".kvmlint.toml").write_text('[knowledge.roles]\nneutral = ["my_own_trace"]\n')
    assert run("a.c") == (0, "", "")
    assert plain is None
    assert engine.knowledge is not None
    assert engine.knowledge.role("my_own_trace") is Role.NEUTRAL


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[knowledge.rolls]\n", ".kvmlint.toml:1: knowledge.rolls: unknown key 'rolls'"),
        ("[check\n", ".kvmlint.toml:1: not valid TOML"),
        ("[chekc]\n", "unknown key 'chekc'; did you mean 'check'?"),
        ('[check]\nmin-level = "fatal"\n', ".kvmlint.toml:2: check.min-level: 'fatal' is not one"),
        ('[check]\nselect = ["missing-rolback"]\n', "did you mean 'missing-rollback'?"),
    ],
)
def test_bad_settings_give_2(run: Run, tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / ".kvmlint.toml").write_text(text)
    code, out, err = run("a.c")
    assert (code, out) == (2, "")
    assert said in err
    assert ".kvmlint.toml" in err


# --- explain, dump --------------------------------------------------------------------------------


def test_explain(run: Run) -> None:
    assert run("explain") == (
        0,
        "missing-rollback   error    high  host state stays behind\n"
        "ignored-return     warning  high  a status is discarded\n"
        "bad-suppression    warning  high  a suppression that suppresses nothing: no reason, "
        "no such rule, or not understood\n"
        "stale-suppression  warning  high  a suppression of a rule that reports nothing there\n"
        "stale-baseline     warning  high  a baseline entry for a finding that is not there any "
        "more\n",
        "",
    )
    code, out, _ = run("explain", "ignored-return")
    assert code == 0
    assert out.startswith("ignored-return: a status is discarded\n")
    assert "missing-rollback" not in out
    assert run("explain", "--markdown")[1].startswith("| rule |")


def test_dump(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "a.c").touch()
    fake = ModuleType("kvmlint.dump")

    def dump_cfg(path: str, function: str, tree: str | None, dot: bool) -> str:
        if function == "gone":
            raise SourceError("has no function 'gone'")
        return f"cfg {path} {function} {tree} {dot}\n"

    def dump_paths(path: str, function: str, tree: str | None) -> str:
        raise SourceError("is binary")

    vars(fake).update(dump_cfg=dump_cfg, dump_paths=dump_paths)
    monkeypatch.setitem(sys.modules, "kvmlint.dump", fake)
    monkeypatch.setattr("kvmlint.dump", fake, raising=False)
    assert run("dump", "cfg", "a.c", "f") == (0, "cfg a.c f None False\n", "")
    assert run("dump", "cfg", "--format", "dot", "--tree", ".", "a.c", "f")[1] == (
        "cfg a.c f . True\n"
    )
    assert run("dump", "cfg", "a.c", "gone") == (2, "", "Error: a.c: has no function 'gone'\n")
    assert run("dump", "paths", "a.c", "f") == (2, "", "Error: a.c: is binary\n")


def test_version(run: Run) -> None:
    assert run("--version") == (0, f"kvmlint {__version__}\n", "")


def test_help_shows_the_options_of_check(run: Run) -> None:
    for flag in ("--help", "-h"):
        code, out, _ = run(flag)
        assert code == 0
        for word in ("--tree", "--min-precision", "--show-notifications", "explain", "--version"):
            assert word in out


# --- in a process of its own ----------------------------------------------------------------------


def process(code: str, *args: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    paths = os.pathsep.join(str(ROOT / name) for name in ("analyzer", "rules"))
    return subprocess.run(
        [sys.executable, "-c", code, *args],
        capture_output=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": paths, **environment},
    )


HEAVY = ("networkx", "tree_sitter", "sarif_om", "multiprocessing", "concurrent", "sqlite3")
LIST_HEAVY = f"""
import sys
from kvmlint.cli import main
try:
    main()
except SystemExit as stop:
    loaded = sorted(set({HEAVY}) & set(sys.modules))
    print(stop.code, *loaded, file=sys.stderr)
"""


@pytest.mark.parametrize("args", [("--help",), ("explain",), ("--version",), ("explain", "-h")])
def test_nothing_heavy_is_loaded(args: tuple[str, ...]) -> None:
    assert process(LIST_HEAVY, *args).stderr.decode().split() == ["0"]


def test_module_runs() -> None:
    done = process("import runpy; runpy.run_module('kvmlint', run_name='__main__')", "--version")
    assert (done.returncode, done.stdout) == (0, f"kvmlint {__version__}\n".encode())


WRITE = "from kvmlint.console import write; write({text!r} * {times}, None, 1); print('end')"


def test_a_terminal_without_utf_8() -> None:
    done = process(WRITE.format(text="ä…\n", times=1), PYTHONIOENCODING="ascii")
    assert done.stdout == b"\\xe4\\u2026\nend\n"


def test_a_reader_that_goes_away() -> None:
    read, write = os.pipe()
    os.close(read)
    code = "from kvmlint.console import write; write('text', None, 1)"
    try:
        done = subprocess.run(
            [sys.executable, "-c", code],
            stdout=write,
            stderr=subprocess.PIPE,
            check=False,
            env={**os.environ, "PYTHONPATH": str(ROOT / "analyzer")},
        )
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (1, b"")

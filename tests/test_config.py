"""``.kvmlint.toml``: what it may say, what is refused and where, and that it is nobody's weapon."""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kvmlint import cli
from kvmlint.complaint import META
from kvmlint.config import KEYS, MAX_BYTES, Config, find, load
from kvmlint.diagnostic import Precision, Severity
from kvmlint.knowledge.error import KnowledgeError, locate

RULES = ("ignored-return", "missing-rollback", *(rule.id for rule in META))


def written(folder: Path, text: str) -> Path:
    file = folder / ".kvmlint.toml"
    file.write_text(text, encoding="utf-8")
    return file


def config(folder: Path, text: str) -> Config:
    return load(written(folder, text), RULES)


FULL = """\
[check]
select = ["missing-rollback", "ignored-return"]
ignore = "stale-baseline"
min-level = "note"
min-precision = "low"
baseline = "ci/known.json"
jobs = 3

[[suppress]]
path = "arch/arm64/kvm/pkvm.c"
function = "pkvm_create_hyp_vm"
rule = "ignored-return"
reason = "why"

[[suppress]]
path = "./drivers/*.c"
rule = "missing-rollback"
reason = '''
two
lines'''

[knowledge.roles]
neutral = ["my_trace"]
[knowledge.family.ticket]
kind = "memory"
"""


def test_everything(tmp_path: Path) -> None:
    found = config(tmp_path, FULL)
    assert found.select == ("missing-rollback", "ignored-return")
    assert found.ignore == ("stale-baseline",)
    assert (found.min_level, found.min_precision) == (Severity.NOTE, Precision.LOW)
    assert found.baseline == str(tmp_path / "ci/known.json")
    assert found.jobs == 3
    assert [(e.path, e.function, e.rule, e.reason, e.line) for e in found.exemptions] == [
        ("arch/arm64/kvm/pkvm.c", "pkvm_create_hyp_vm", "ignored-return", "why", 9),
        ("drivers/*.c", "*", "missing-rollback", "two lines", 15),
    ]
    assert found.tables == ("roles.neutral", "family.ticket")
    assert dict(found.lines) == {
        "select": 2,
        "ignore": 3,
        "min-level": 4,
        "min-precision": 5,
        "baseline": 6,
        "jobs": 7,
        "roles.neutral": 23,
        "family.ticket": 24,
    }
    assert set(KEYS) < {*found.lines}


def test_nothing(tmp_path: Path) -> None:
    found = config(tmp_path, "")
    assert found == Config(path=str(tmp_path / ".kvmlint.toml"))


def test_the_nearest_one_holds(tmp_path: Path) -> None:
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    outer = written(tmp_path, "")
    assert find(below) == outer
    assert find(below / "x.c") == outer
    inner = written(below, "")
    assert find(below / "x.c") == inner
    assert find(tmp_path / "a") == outer


ENTRY = '[[suppress]]\npath = "a.c"\nrule = "ignored-return"\nreason = "why"\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[check\n", ":1: not valid TOML"),
        ("\n[chekc]\n", ":2: chekc: unknown key 'chekc'; did you mean 'check'?"),
        ("[check]\nmin-levle = 1\n", ":2: check.min-levle: unknown key 'min-levle'; did you mean "),
        ('[check]\nmin-level = "erorr"\n', ":2: check.min-level: 'erorr' is not one of note, warn"),
        ("[check]\njobs = -1\n", ":2: check.jobs: must be a number, 0 or more"),
        ("[check]\njobs = true\n", ":2: check.jobs: must be a number"),
        (
            '[check]\n\nselect = ["ignored-retrun"]\n',
            ":3: check.select: there is no rule 'ignored-retrun'; did you mean 'ignored-return'?",
        ),
        (
            '[check]\nignore = "zzz"\n',
            ":2: check.ignore: there is no rule 'zzz'; 'kvmlint explain'",
        ),
        ('[check]\nbaseline = "../x"\n', ":2: check.baseline: must be a path in the folder"),
        ('[check]\nbaseline = "/x"\n', ":2: check.baseline: must be a path in the folder"),
        ('[check]\nbaseline = ""\n', ":2: check.baseline: must be a path"),
        ('[check]\nbaseline = "a\\u0000"\n', ":2: check.baseline: must be a path"),
        ("suppress = 7\n", ":1: suppress: must be a row or an array of rows"),
        (ENTRY + ENTRY + 'note = "x"\n', ":9: suppress[1].note: unknown key 'note'"),
        (
            ENTRY + '[[suppress]]\npath = "a.c"\nrule = "ignored-return"\n',
            ":5: suppress[1]: a suppression must say 'reason'",
        ),
        (ENTRY.replace("why", " - "), ":4: suppress[0].reason: a suppression needs a reason"),
        (ENTRY.replace('"why"', "7"), ":4: suppress[0].reason: must be a string"),
        (
            ENTRY.replace("ignored-return", "ignored"),
            ":3: suppress[0].rule: there is no rule 'ignored'; did you mean 'ignored-return'?",
        ),
        (
            ENTRY.replace("ignored-return", "stale-suppression"),
            ":3: suppress[0].rule: there is no rule 'stale-suppression'",
        ),
        (ENTRY.replace("a.c", "../a.c"), ":2: suppress[0].path: must be a path in the folder"),
        (ENTRY.replace("a.c", "/a.c"), ":2: suppress[0].path: must be a path in the folder"),
        (ENTRY + 'function = ""\n', ":5: suppress[0].function: must be a name"),
    ],
)
def test_bad_ones_are_refused_with_line_and_key(tmp_path: Path, text: str, said: str) -> None:
    file = written(tmp_path, text)
    with pytest.raises(KnowledgeError) as error:
        load(file, RULES)
    assert str(error.value).startswith(f"{file}{said}")
    assert "\n" not in str(error.value)


# --- a file that comes with somebody's tree -------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("# " + "x" * 998 + "\n# " + "x" * 999, ":2: is a line of more than 1000 characters"),
        ("# x\n" * (MAX_BYTES // 4) + "#", ": is too large (the limit is 262144 bytes)"),
        ("a = [" + "\n[" * 5000, ": not TOML that kvmlint can read"),
        # 5,000 digits fit no line: a number of several lines is none.
    ],
)
def test_what_would_take_too_long_is_refused(tmp_path: Path, text: str, said: str) -> None:
    file = written(tmp_path, text)
    with pytest.raises(KnowledgeError) as error:
        load(file, RULES)
    assert str(error.value).startswith(f"{file}{said}")


def test_a_header_that_never_ends_is_looked_at_once() -> None:
    """It took a third of a minute when blanks could be read in three ways."""
    assert locate("[" + " " * 100_000 + "x y\n[a]\n", ("a",)) == 2


def test_links(tmp_path: Path) -> None:
    inside, outside = tmp_path / "tree", tmp_path / "elsewhere"
    inside.mkdir()
    outside.write_text("[check]\njobs = 1\n")
    (inside / "real.toml").write_text("[check]\njobs = 2\n")
    link = inside / ".kvmlint.toml"
    link.symlink_to("real.toml")
    assert load(link, RULES).jobs == 2
    link.unlink()
    link.symlink_to("../elsewhere")
    with pytest.raises(KnowledgeError, match="is a link that leads out of its folder"):
        load(link, RULES)
    link.unlink()
    (inside / "known.json").symlink_to("../elsewhere")
    with pytest.raises(KnowledgeError, match="baseline: is a link that leads out of its folder"):
        config(inside, '[check]\nbaseline = "known.json"\n')


def test_not_utf_8(tmp_path: Path) -> None:
    file = tmp_path / ".kvmlint.toml"
    file.write_bytes(b"# \xff")
    with pytest.raises(KnowledgeError, match="is not UTF-8"):
        load(file, RULES)


PIECES = ("[", "]", "check", "suppress", "knowledge", "select", "=", '"', "\n", ".", "7", "#", ",")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(PIECES)).map("".join) | st.text(max_size=50))
def test_any_text_is_a_configuration_or_refused(tmp_path: Path, text: str) -> None:
    with suppress(KnowledgeError):
        load(written(tmp_path, text.encode("utf-8", "replace").decode()), RULES)


# --- on the command line --------------------------------------------------------------------------

CODE = "void set(void)\n{\n\tkvm_call_hyp_nvhe(__set, 1);\n}\n"


class Run(Protocol):
    """Calls ``kvmlint ARGS`` in a folder that holds sub/a.c: exit status, stdout, stderr."""

    def __call__(self, *args: str) -> tuple[int, str, str]: ...


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / ".cache"))
    Path("sub").mkdir()
    Path("sub/a.c").write_text(CODE)

    def run(*args: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["kvmlint", *args])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        assert isinstance(stop.value.code, int)
        return (stop.value.code, *capsys.readouterr())

    return run


def test_a_baseline_of_the_project(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path, '[check]\nbaseline = "known.json"\n')
    code, _, err = run("sub")
    assert (code, err) == (2, f"Error: {tmp_path}/known.json: no such file or directory\n")
    assert run("--write-baseline", "known.json", "sub") == (0, "", "")
    assert run("sub") == (0, "", "")
    assert run("--baseline", os.devnull, "sub")[0] == 1
    monkeypatch.chdir("sub")
    assert run("a.c") == (0, "", ""), "its path is seen from the file's folder"


def test_jobs_of_the_project_have_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from kvmlint.commands.options import chosen

    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2})
    for asked, got in ((0, 3), (1, 1), (2, 2), (99, 3)):
        assert chosen(Config(jobs=asked), None).jobs == got
    assert chosen(Config(), None).jobs == 1


def test_the_command_line_wins_over_jobs(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kvmlint import runner
    from kvmlint.runner import Options, Result

    asked: list[int] = []

    def check(paths: object, options: Options, *rest: object) -> Result:
        asked.append(options.jobs)
        return Result((), (), (), str(tmp_path))

    monkeypatch.setattr(runner, "check", check)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2})
    written(tmp_path, "[check]\njobs = 2\n")
    run("sub")
    run("-j", "1", "sub")
    run("-j0", "sub")
    assert asked == [2, 1, 3]


# --- kvmlint config -------------------------------------------------------------------------------


def test_what_is_in_force(run: Run, tmp_path: Path) -> None:
    text = FULL.replace('\n[knowledge.family.ticket]\nkind = "memory"', "")
    file = written(tmp_path, text)
    code, out, err = run("config", "sub", "--min-level", "error")
    assert (code, err) == (0, "")
    assert [line.split("  ", 1)[0].strip() for line in out.splitlines()] == [
        *("file", "tree", "select", "ignore", "min-level", "min-precision", "jobs", "baseline"),
        *("table", "suppress", "suppress"),
    ]
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert lines[0] == f"file {file}"
    assert lines[1] == "tree none (default)"
    assert lines[2] == f"select ignored-return, missing-rollback ({file}:2)"
    assert lines[4] == "min-level error (command line)"
    assert lines[5] == f"min-precision low ({file}:5)"
    assert lines[8] == f"table roles.neutral ({file}:23)"
    assert lines[9] == (
        f"suppress ignored-return in arch/arm64/kvm/pkvm.c pkvm_create_hyp_vm -- why ({file}:9)"
    )


def test_defaults_and_a_tree(run: Run, tmp_path: Path) -> None:
    (tmp_path / "arch").mkdir()
    code, out, err = run("config", "--format", "json", "--ignore", "ignored-return")
    assert (code, err) == (0, "")
    log = json.loads(out)
    assert (log["file"], log["tables"], log["suppress"]) == (None, [], [])
    assert {name: (s["value"], s["from"]) for name, s in log["settings"].items()} == {
        "tree": (str(tmp_path), "found"),
        "select": ([], "default"),
        "ignore": (["ignored-return"], "command line"),
        "min-level": ("warning", "default"),
        "min-precision": ("medium", "default"),
        "jobs": (1, "default"),
        "baseline": ("", "default"),
    }


def test_json_says_what_the_text_says(run: Run, tmp_path: Path) -> None:
    file = written(tmp_path, ENTRY + '[check]\nmin-level = "note"\n[knowledge.roles]\n')
    log = json.loads(run("config", "--format", "json")[1])
    assert log["file"] == str(file)
    assert log["settings"]["min-level"] == {"value": "note", "from": "file", "line": 6}
    assert log["suppress"] == [
        {"path": "a.c", "function": "*", "rule": "ignored-return", "reason": "why", "line": 1}
    ]


def test_config_checks_the_tables_too(run: Run, tmp_path: Path) -> None:
    file = written(tmp_path, "[knowledge.rolls]\n")
    code, out, err = run("config")
    assert (code, out) == (2, "")
    assert err.startswith(f"Error: {file}:1: knowledge.rolls: unknown key 'rolls'")


def test_config_is_safe_to_print(run: Run, tmp_path: Path) -> None:
    written(tmp_path, ENTRY.replace("why", "a\\u001b[2Jb"))
    _, out, _ = run("config")
    assert "\x1b" not in out
    assert "a\\x1b[2Jb" in out

"""``kvmlint audit --since``: what commits do to the ledger."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.repos import Repo, new_repo

from kvmlint.cli import app

ROOT = Path(__file__).resolve().parent.parent
LEND = "arch/arm64/kvm/lend.c"
HANDLERS = "arch/arm64/kvm/hyp/nvhe/hyp-main.c"


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    made = new_repo(tmp_path / "linux")
    shutil.copytree(ROOT / "fixtures" / "demo", made.path, dirs_exist_ok=True)
    made.commit("a kernel")
    made.git("tag", "base")
    return made


def since(repo: Repo, *words: str, form: str = "table") -> str:
    done = CliRunner().invoke(
        app, ["audit", "--tree", str(repo.path), "--since", "base", "--format", form, *words]
    )
    assert done.exit_code == 0, done.output
    return done.stdout


def test_nothing_has_changed(repo: Repo) -> None:
    repo.replace(LEND, "#include <linux/slab.h>\n", "#include <linux/slab.h>\n\n/* moved */\n")
    repo.commit("moved by two lines")
    assert since(repo) == ""


def flush_may_fail(repo: Repo) -> None:
    repo.replace(
        HANDLERS, "\t__demo_flush(pfn);\n", "\tcpu_reg(host_ctxt, 1) = pfn ? 0 : -EINVAL;\n"
    )


def test_what_el2_returns(repo: Repo) -> None:
    flush_may_fail(repo)
    repo.commit("el2: flush may fail")
    head, *rest = since(repo).splitlines()
    assert head.startswith(f"~ {LEND}:")
    assert head.endswith(" lend_flush: __demo_flush")
    assert [line.strip() for line in rest] == [
        "kind: nothing -> status",
        "errnos: none -> -EINVAL",
        "use: nothing -> ignored",
        "verdict: nothing to handle -> ignored-return",
    ]


def test_what_the_host_does_and_is_not_committed(repo: Repo) -> None:
    repo.replace(
        LEND,
        "return kvm_call_hyp_nvhe(__demo_set_limit, pages);",
        "WARN_ON(kvm_call_hyp_nvhe(__demo_set_limit, pages));\n\treturn 0;",
    )
    (change,) = json.loads(since(repo, form="json"))["changes"]
    assert change["change"] == "changed"
    assert change["before"]["function"] == "lend_set_limit_checked"
    assert change["before"]["use"] == "propagated"
    assert change["after"]["use"] == "warned"


def test_new_and_gone(repo: Repo) -> None:
    repo.replace(LEND, "\tkvm_call_hyp_nvhe(__demo_flush, pfn);\n", "")
    text = repo.read(LEND)
    repo.write(
        LEND, text + "\nint again(u64 n)\n{\n\treturn kvm_call_hyp_nvhe(__demo_set_limit, n);\n}\n"
    )
    repo.commit("other calls")
    rows = list(csv.DictReader(io.StringIO(since(repo, form="csv"))))
    assert {(r["change"], r["side"], r["function"], r["hypercall"]) for r in rows} == {
        ("gone", "before", "lend_flush", "__demo_flush"),
        ("new", "after", "again", "__demo_set_limit"),
    }
    assert len(rows) == 2


def test_a_renamed_file_is_no_change(repo: Repo) -> None:
    repo.git("mv", LEND, "arch/arm64/kvm/lent.c")
    repo.commit("another name")
    assert since(repo) == ""


def test_paths_and_filters(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repo.path)
    flush_may_fail(repo)
    repo.commit("el2: flush may fail")
    assert "lend_flush" in since(repo, "arch/arm64/kvm")
    assert "lend_flush" in since(repo, LEND)
    assert since(repo, "arch/arm64/kvm/hyp") == ""
    assert since(repo, "--filter", "hypercall!=__demo_flush") == ""


INIT = "static int init(void)\n{\n\treturn kvm_call_hyp_nvhe(__demo_set_limit, 1);\n}\n"


def changes(repo: Repo, *words: str) -> list[tuple[str, str]]:
    found = json.loads(since(repo, *words, form="json"))["changes"]
    return [(one["change"], (one["after"] or one["before"])["path"]) for one in found]


def test_functions_of_one_name_in_several_files(repo: Repo) -> None:
    """None takes another one's place, unless its whole file does."""
    names = [f"arch/arm64/kvm/{letter}.c" for letter in "abc"]
    for name in names[:2]:
        repo.write(name, INIT)
    repo.commit("two files")
    repo.git("tag", "--force", "base")
    repo.git("rm", "--quiet", *names[:2])
    assert changes(repo) == [("gone", names[0]), ("gone", names[1])]
    repo.write(names[2], INIT)
    assert changes(repo) == [("gone", names[1])]  # one of them was renamed
    repo.git("reset", "--quiet", "--hard")
    repo.write(names[0], INIT.replace("init", "other"))
    repo.write(names[2], INIT)
    assert changes(repo) == [("gone", names[0]), ("new", names[0]), ("new", names[2])]


def test_filters_look_at_both_sides(repo: Repo) -> None:
    flush_may_fail(repo)
    assert changes(repo, "--filter", "use=ignored") == [("changed", LEND)]
    assert changes(repo, "--filter", "use=nothing") == [("changed", LEND)]
    assert changes(repo, "--filter", "use=propagated") == []


def test_paths_outside_of_the_host_and_nowhere(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repo.path)
    repo.write("drivers/init.c", INIT)
    repo.commit("a driver")
    assert changes(repo, "drivers") == [("new", "drivers/init.c")]
    assert changes(repo, "drivers/init.c") == [("new", "drivers/init.c")]
    (repo.path / LEND).unlink()
    assert {what for what, _ in changes(repo, LEND)} == {"gone"}
    for path in ("arch/arm64/kvm/nosuch.c", "/etc/passwd", ".."):
        done = CliRunner().invoke(app, ["audit", "--tree", str(repo.path), "--since", "base", path])
        assert done.exit_code == 2
        assert "is in no version of" in done.output


def test_markdown(repo: Repo) -> None:
    flush_may_fail(repo)
    *_, row = since(repo, form="markdown").splitlines()
    assert row.startswith("| changed | arch/arm64/kvm/lend.c:")
    assert "nothing -> status" in row


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--since", "nope"], "there is no revision 'nope'"),
        (["--since", "--upload-pack=x"], "is no revision"),
        (["--since", "base", "--hypercall", "x"], "exclude each other"),
    ],
)
def test_what_it_refuses(repo: Repo, words: list[str], said: str) -> None:
    done = CliRunner().invoke(app, ["audit", "--tree", str(repo.path), *words])
    assert done.exit_code == 2 or done.exception is not None
    assert said in done.output or said in str(done.exception)

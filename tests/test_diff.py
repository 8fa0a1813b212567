"""``kvmlint diff`` on small repositories: what each commit brings, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.lent import CALL, HANDLERS, LEND, MARKED, UNDO, Said, Series, new_series
from tests.repos import Repo

BROKEN = "missing-rollback lend_page_checked"
ADDED = "missing-rollback lend_marked"


@pytest.fixture
def series(tmp_path: Path) -> Series:
    return new_series(tmp_path)


def diff(series: Series, *words: str) -> list[str]:
    """'N rule function' of what is new, in order."""
    said = series.kvmlint("diff", "--format", "json", *words)
    assert said.status in (0, 1), said.err
    assert (said.status == 1) == bool(json.loads(said.out)["findings"])
    return said.functions


def add(series: Series) -> None:
    series.repo.write(LEND, series.repo.read(LEND) + MARKED)


@pytest.fixture
def three(series: Series) -> Series:
    """Break, add, mend."""
    series.break_it()
    series.repo.commit("break")
    add(series)
    series.repo.commit("add")
    series.mend_it()
    series.repo.commit("mend")
    return series


# --- ranges ---------------------------------------------------------------------------------------


def test_a_range(three: Series) -> None:
    said = three.kvmlint("diff", "--format", "json", "base..HEAD")
    assert said.functions == [f"1 {BROKEN}", f"2 {ADDED}"]
    first, second = (d["commit"] for d in json.loads(said.out)["findings"])
    assert first["id"] == three.repo.ids["break"]
    assert first["removed_by"]["id"] == three.repo.ids["mend"]
    assert second["removed_by"] is None


@pytest.mark.parametrize(
    ("words", "brought"),
    [
        (["base.."], [f"1 {BROKEN}", f"2 {ADDED}"]),
        (["HEAD~1"], []),
        (["HEAD~2..HEAD~1"], [f"1 {ADDED}"]),
        (["HEAD~2"], [f"1 {ADDED}"]),
        (["base"], [f"1 {BROKEN}", f"2 {ADDED}"]),
        (["HEAD..HEAD"], []),
        (["HEAD..base"], []),
    ],
    ids=str,
)
def test_ranges(three: Series, words: list[str], brought: list[str]) -> None:
    assert diff(three, *words) == brought


def test_three_dots_are_the_merge_base(three: Series) -> None:
    repo = three.repo
    repo.git("checkout", "--quiet", "-b", "other", "base")
    repo.write("README", "other\n")
    repo.commit("other")
    assert diff(three, "other...main") == [f"1 {BROKEN}", f"2 {ADDED}"]
    assert diff(three, "main...other") == []


def test_no_argument_is_the_upstream(three: Series) -> None:
    repo = three.repo
    repo.git("checkout", "--quiet", "-b", "topic", "base")
    add(three)
    assert diff(three) == [f"1 {ADDED}"]  # not committed
    repo.commit("add")
    assert diff(three) == [f"1 {ADDED}"]  # main is where it comes from
    repo.git("branch", "--quiet", "--set-upstream-to=topic", "topic")
    repo.git("branch", "their", "topic")
    repo.git("branch", "--quiet", "--set-upstream-to=their", "topic")
    assert diff(three) == []


def test_not_committed_staged_and_new(series: Series) -> None:
    add(series)
    assert diff(series, "--staged") == []
    assert diff(series, "HEAD") == [f"1 {ADDED}"]
    series.repo.git("add", LEND)
    assert diff(series, "--staged") == [f"1 {ADDED}"]
    assert diff(series, "HEAD") == [f"1 {ADDED}"]
    series.repo.write("arch/arm64/kvm/new.c", MARKED.replace("lend_marked", "lend_new"))
    assert diff(series, "HEAD") == [f"1 {ADDED}", "1 missing-rollback lend_new"]
    series.repo.write(".gitignore", "new.c\n")
    assert diff(series, "HEAD") == [f"1 {ADDED}"]


# --- what brings nothing --------------------------------------------------------------------------


def test_moved_reformatted_renamed(series: Series) -> None:
    """The demo's own defects were there before."""
    repo = series.repo
    text = repo.read(LEND)
    first = text.index("/* Bug: when EL2 refuses, the record stays")
    second = text.index("/* Bug: when EL2 refuses to give")
    repo.write(LEND, text[:first] + text[second:] + "\n" + text[first:second])
    repo.commit("moved")
    repo.write(LEND, repo.read(LEND).replace("pfn, 1);", "pfn,\n\t\t\t\t1);"))
    repo.commit("reformatted")
    repo.git("mv", LEND, "arch/arm64/kvm/lent.c")
    repo.commit("renamed")
    repo.write("arch/arm64/kvm/lent.c", "/* more */\n" + repo.read("arch/arm64/kvm/lent.c"))
    repo.commit("a comment")
    assert diff(series, "base..") == []


def test_known_ones_whose_path_is_changed(series: Series) -> None:
    """It is said, and that it was there before."""
    text = series.repo.read(LEND)
    old, new = "kzalloc(sizeof(*page),", "kzalloc(sizeof(struct lent_page),"
    assert text.index(old) < text.index("int lend_page_checked")
    series.repo.write(LEND, text.replace(old, new, 1))
    series.repo.commit("touch")
    said = series.kvmlint("diff", "--format", "json", "base..")
    found = json.loads(said.out)["findings"]
    assert [(d["rule"], d["function"]) for d in found] == [("missing-rollback", "lend_page")]
    assert not found[0]["commit"]["new"]


# --- callees and EL2 ------------------------------------------------------------------------------


def test_a_handler_that_may_fail_now(series: Series) -> None:
    """The caller is not touched; the finding names the line that did it."""
    series.repo.replace(
        HANDLERS, "\t__demo_flush(pfn);\n", "\tcpu_reg(host_ctxt, 1) = pfn ? 0 : -EINVAL;\n"
    )
    series.repo.commit("el2")
    said = series.kvmlint("diff", "--format", "json", "base..")
    assert said.functions == ["1 ignored-return lend_flush"]
    (found,) = json.loads(said.out)["findings"]
    assert any(place["path"] == HANDLERS for place in found["related"]), found["related"]


def test_a_callee_that_may_fail_now(series: Series) -> None:
    """Another file calls what hands no failure on, at first."""
    repo = series.repo
    repo.write("arch/arm64/kvm/user.c", "void user(u64 p)\n{\n\tlend_quietly(p);\n}\n")
    repo.write(LEND, repo.read(LEND) + "\nint lend_quietly(u64 p)\n{\n\treturn 0;\n}\n")
    repo.commit("before")
    repo.git("tag", "-f", "base")
    repo.replace(
        LEND,
        "int lend_quietly(u64 p)\n{\n\treturn 0;",
        "int lend_quietly(u64 p)\n{\n\treturn kvm_call_hyp_nvhe(__demo_host_share_page, p, 1);",
    )
    repo.commit("after")
    said = series.kvmlint("diff", "--format", "json", "base..")
    assert said.functions == ["1 ignored-return user"]
    (found,) = json.loads(said.out)["findings"]
    assert found["path"] == "arch/arm64/kvm/user.c"
    assert any(place["path"] == LEND for place in found["related"]), found["related"]


# --- kinds of repositories ------------------------------------------------------------------------


def test_a_merge_brings_what_its_branches_do_not(three: Series) -> None:
    repo = three.repo
    repo.git("checkout", "--quiet", "-b", "side", "base")
    add(three)
    repo.commit("side")
    repo.git("checkout", "--quiet", "-b", "trunk", "base")
    repo.write("README", "trunk\n")
    repo.commit("trunk")
    repo.git("tag", "trunk-was")
    repo.git("merge", "--quiet", "--no-edit", "side")
    assert diff(three, "trunk-was..trunk") == [f"1 {ADDED}"]
    assert diff(three, "side..trunk") == []


def test_a_bare_clone(three: Series, tmp_path: Path) -> None:
    three.repo.git("clone", "--quiet", "--bare", ".", str(tmp_path / "bare.git"))
    found = diff(three, "-C", str(tmp_path / "bare.git"), "base..main")
    assert found == [f"1 {BROKEN}", f"2 {ADDED}"]


def test_a_linked_work_tree(three: Series, tmp_path: Path) -> None:
    three.repo.git("worktree", "add", "--quiet", str(tmp_path / "linked"), "HEAD~1")
    linked = Series(Repo(tmp_path / "linked"), three.home)
    assert diff(linked, "HEAD~1..") == [f"1 {ADDED}"]
    linked.mend_it()
    assert diff(linked, "HEAD") == []


def test_a_shallow_clone(three: Series, tmp_path: Path) -> None:
    url = f"file://{three.repo.path}"
    three.repo.git("clone", "--quiet", "--depth=2", url, str(tmp_path / "shallow"))
    shallow = Series(Repo(tmp_path / "shallow"), three.home)
    assert diff(shallow, "HEAD~1..") == []
    said = shallow.kvmlint("diff", "HEAD~2..")
    assert said.status == 2
    assert "this is a shallow clone" in said.err


def test_a_tree_in_a_folder(series: Series) -> None:
    repo = series.repo
    (repo.path / "src").mkdir()
    repo.git("mv", "arch", "src/arch")
    repo.commit("another place")
    repo.git("tag", "-f", "base")
    repo.write(f"src/{LEND}", repo.read(f"src/{LEND}") + MARKED)
    repo.commit("add")
    said = series.kvmlint("diff", "-C", str(repo.path / "src"), "--format", "json", "base..")
    assert said.functions == [f"1 {ADDED}"]
    assert json.loads(said.out)["findings"][0]["path"] == LEND


def test_nothing_is_written(three: Series) -> None:
    git = three.repo.path / ".git"
    (three.repo.path / "left.c").write_text("int left;\n")

    def state() -> list[tuple[str, int, bytes]]:
        return [
            (str(p), p.stat().st_mtime_ns, p.read_bytes())
            for p in sorted(git.rglob("*"))
            if p.is_file()
        ]

    before = state()
    diff(three, "base..")
    diff(three, "HEAD")
    diff(three, "--staged")
    assert state() == before


# --- what must not matter, and what must not be run ----------------------------------------------


def test_processes_and_caches_say_the_same(three: Series) -> None:
    first = three.kvmlint("diff", "base..", "--no-cache")
    for words in (["-j2", "--no-cache"], [], []):
        again = three.kvmlint("diff", "base..", *words)
        assert (again.out, again.status) == (first.out, first.status)


@pytest.mark.parametrize(
    "revision",
    ["--upload-pack=touch ran", "-x", "base\n..HEAD", "\x1b[31m", "base..--all", "", "a" * 5000],
)
def test_what_is_no_revision(series: Series, revision: str) -> None:
    said: Said = series.kvmlint("diff", "--", revision)
    assert said.status == 2
    assert said.err.startswith("Error: ")
    assert said.err.count("\n") == 1
    assert "\x1b" not in said.err
    assert not (series.repo.path / "ran").exists()


def test_outside_of_a_repository(series: Series, tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    said = series.kvmlint("diff", "-C", str(tmp_path / "plain"))
    assert said.status == 2
    assert "is not in a git repository" in said.err


def test_names_that_are_meant_to_hurt(series: Series) -> None:
    name = "arch/arm64/kvm/\x1b[31m\n::error::x.c"
    series.repo.write(name, MARKED)
    series.repo.commit("\x1b]0;owned\x07\n\n::error::y")
    for form in ("text", "terse", "gcc", "github", "mail", "sarif"):
        said = series.kvmlint("diff", "base..", "--format", form, "--color", "never")
        assert said.status == 1
        assert "\x1b" not in said.out
        assert "\x07" not in said.out
        lines = said.out.splitlines()
        assert not any(line.startswith(("::error::x", "::error::y")) for line in lines)


def test_the_call_alone_is_what_is_broken(series: Series) -> None:
    """The edits of these tests do what they say."""
    assert series.repo.read(LEND).count(CALL + UNDO) == 1
    series.break_it()
    series.mend_it()
    assert series.repo.git("status", "--porcelain") == ""

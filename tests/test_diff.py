"""``kvmlint diff`` on small repositories made from the demo tree: which change brings what."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest
from tests.repos import Repo, environment, new_repo
from tests.workflow_commands import commands

from kvmlint import cli

HOST = "arch/arm64/kvm/lend.c"
EL2 = "arch/arm64/kvm/hyp/nvhe/mem.c"
HANDLERS = "arch/arm64/kvm/hyp/nvhe/hyp-main.c"

WRONG = """\
#include <asm/kvm_host.h>

void f(u64 n)
{
	kvm_call_hyp_nvhe(__demo_set_limit, n);
}
"""
GOOD = """\
int lend_set_limit_checked(u64 pages)
{
	return kvm_call_hyp_nvhe(__demo_set_limit, pages);
"""
BAD = GOOD.replace("\treturn kvm_call", "\tkvm_call").replace("pages);\n", "pages);\n\treturn 0;\n")
"""What EL2 answers is thrown away."""
UNDO = "\tif (ret) {\n\t\trb_erase(&page->node, &lent_pages);\n\t\tkfree(page);\n\t}\n"
"""lend_page_checked() without it is as wrong as lend_page()."""

IGNORED = ("lend_set_limit_checked", "ignored-return")
STAYS = ("lend_page_checked", "missing-rollback")


def ignore(repo: Repo) -> None:
    repo.replace(HOST, GOOD, BAD)


def heed(repo: Repo) -> None:
    repo.replace(HOST, BAD, GOOD)


def keep(repo: Repo) -> None:
    repo.replace(HOST, UNDO, "")


@pytest.fixture
def repo(project: Path, tmp_path: Path) -> Repo:
    """The demo tree in one commit on main; its own findings are everybody's."""
    repo = new_repo(tmp_path / "linux")
    shutil.copytree(project / "fixtures/demo", repo.path, dirs_exist_ok=True)
    repo.commit("base")
    return repo


@dataclass(frozen=True)
class Said:
    """What a run said. ``rows`` are (function, rule, change, removed by) of its findings."""

    code: int
    out: str
    err: str

    @property
    def findings(self) -> list[dict[str, object]]:
        found = json.loads(self.out)["findings"]
        assert isinstance(found, list)
        return found

    @property
    def rows(self) -> list[tuple[str, str, str, str]]:
        assert self.err == ""
        found = [
            (d["function"], d["rule"], d["commit"], (d["commit"]["removed_by"] or {}))
            for d in json.loads(self.out)["findings"]
        ]
        assert self.code == (1 if found else 0)
        return [
            (function, rule, commit["subject"] or commit["name"], gone.get("subject", ""))
            for function, rule, commit, gone in found
        ]


class Run(Protocol):
    """Calls ``kvmlint diff ARGS`` in the repository (``at``: elsewhere), json by default."""

    def __call__(self, *args: str, at: Path | None = None, form: str = "json") -> Said: ...


@pytest.fixture
def run(
    repo: Repo, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> Run:
    for name, value in environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / ".cache"))

    def run(*args: str, at: Path | None = None, form: str = "json") -> Said:
        monkeypatch.chdir(at or repo.path)
        monkeypatch.setattr(sys, "argv", ["kvmlint", "diff", "--format", form, *args])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        assert isinstance(stop.value.code, int)
        return Said(stop.value.code, *capfd.readouterr())

    return run


# --- which range ----------------------------------------------------------------------------------


def test_a_range_per_commit(repo: Repo, run: Run) -> None:
    ignore(repo)
    repo.commit("ignore")
    repo.write("README", "nothing\n")
    repo.commit("nothing")
    keep(repo)
    repo.commit("keep")
    heed(repo)
    repo.commit("heed")
    assert run("HEAD~4..HEAD").rows == [
        (*IGNORED, "ignore", "heed"),
        (*STAYS, "keep", ""),
    ]
    assert run("HEAD~4..HEAD~1").rows == [(*IGNORED, "ignore", ""), (*STAYS, "keep", "")]
    assert run("HEAD~1..").rows == []
    assert run("..HEAD~1").rows == []
    assert run("HEAD~2..HEAD~1").rows == [(*STAYS, "keep", "")]
    found = run("HEAD~4..HEAD").findings
    assert [d["commit"]["number"] for d in found] == [1, 3]  # type: ignore[index]
    assert [d["commit"]["id"] for d in found] == [repo.ids["ignore"], repo.ids["keep"]]  # type: ignore[index]


def test_a_revision_and_what_is_not_committed(repo: Repo, run: Run) -> None:
    ignore(repo)
    repo.commit("ignore")
    keep(repo)
    uncommitted = (*STAYS, "uncommitted changes", "")
    assert run("HEAD").rows == [uncommitted]
    assert run("HEAD~1").rows == [(*IGNORED, "ignore", ""), uncommitted]
    assert run("HEAD~1..HEAD").rows == [(*IGNORED, "ignore", "")]
    repo.git("add", "-A")
    assert run("HEAD").rows == [uncommitted]


def test_two_branches(repo: Repo, run: Run) -> None:
    """A..B and A...B both are what B has and A has not; REV is the same for HEAD."""
    repo.git("switch", "-q", "-c", "topic")
    ignore(repo)
    repo.commit("ignore")
    repo.git("switch", "-q", "main")
    keep(repo)
    repo.commit("keep")
    assert run("main..topic").rows == [(*IGNORED, "ignore", "")]
    assert run("main...topic").rows == [(*IGNORED, "ignore", "")]
    assert run("topic...main").rows == [(*STAYS, "keep", "")]
    assert run("topic").rows == [(*STAYS, "keep", "")]
    repo.git("switch", "-q", "topic")
    assert run("main").rows == [(*IGNORED, "ignore", "")]


def test_without_an_argument(repo: Repo, run: Run, tmp_path: Path) -> None:
    assert run().rows == []  # on main, with nothing to compare it with
    ignore(repo)
    assert run().rows == [(*IGNORED, "uncommitted changes", "")]
    repo.git("switch", "-q", "-c", "topic")
    repo.commit("ignore")
    assert run().rows == [(*IGNORED, "ignore", "")]  # main
    keep(repo)
    repo.commit("keep")
    repo.git("branch", "-q", "upstream", "HEAD~1")
    repo.git("branch", "-q", "--set-upstream-to=upstream")
    assert run().rows == [(*STAYS, "keep", "")]  # the upstream


def test_without_an_argument_in_a_clone(repo: Repo, run: Run, tmp_path: Path) -> None:
    """A branch without upstream is to be merged to what origin's HEAD is, whatever its name."""
    repo.git("branch", "-q", "-m", "main", "kvmarm")
    repo.git("clone", "-q", ".", str(tmp_path / "clone"))
    clone = Repo(tmp_path / "clone")
    clone.git("switch", "-q", "--no-track", "-c", "topic")
    ignore(clone)
    clone.commit("ignore")
    assert run(at=clone.path).rows == [(*IGNORED, "ignore", "")]


def test_staged(repo: Repo, run: Run) -> None:
    ignore(repo)
    repo.git("add", "-A")
    keep(repo)
    assert run("--staged").rows == [(*IGNORED, "staged changes", "")]
    repo.git("reset", "-q")
    assert run("--staged").rows == []
    assert run("--staged", "HEAD").code == 2


def test_a_file_that_git_does_not_know_yet(repo: Repo, run: Run) -> None:
    new = ("f", "ignored-return", "uncommitted changes", "")
    repo.write("arch/arm64/kvm/new.c", WRONG)
    assert run("HEAD").rows == [new]
    repo.write(".git/info/exclude", "new.c\n")
    assert run("HEAD").rows == []
    repo.write("drivers/new.c", WRONG)  # not a folder that is always looked at
    assert run("HEAD").rows == []
    repo.git("add", "-f", "drivers/new.c")  # but now git knows it
    assert run("HEAD").rows == [new]


def test_before_the_first_commit(project: Path, run: Run, tmp_path: Path) -> None:
    young = new_repo(tmp_path / "young")
    shutil.copytree(project / "fixtures/demo", young.path, dirs_exist_ok=True)
    names = {row[:2] for row in run(at=young.path).rows}
    assert ("lend_page", "missing-rollback") in names
    assert run("--staged", at=young.path).rows == []
    young.git("add", "-A")
    assert {row[:2] for row in run("--staged", at=young.path).rows} == names
    said = run("HEAD", at=young.path)
    assert (said.code, said.out, said.err) == (2, "", "Error: there is no revision 'HEAD'\n")


# --- what brings nothing --------------------------------------------------------------------------


def move(repo: Repo) -> None:
    """lend_set_limit(), which is wrong, goes to the end of the file."""
    text = repo.read(HOST)
    first = text.index("/* Bug: EL2 may refuse the limit")
    end = text.index("int lend_set_limit_checked")
    repo.write(HOST, f"{text[:first]}{text[end:]}\n{text[first:end]}")


def reformat(repo: Repo) -> None:
    """Each wrong call on lines of its own, in blanks, with other comments."""
    text = repo.read(HOST).replace("\t", "        ")
    text = text.replace(
        "__demo_host_share_page, pfn, 1)", "__demo_host_share_page,\n  pfn, /* n */ 1)"
    )
    text = text.replace("(__demo_set_limit, pages);", "(__demo_set_limit,\n\n    pages); // why")
    repo.write(HOST, f"/* New lines. */\n\n\n{text}")


def rename(repo: Repo) -> None:
    repo.git("mv", HOST, "arch/arm64/kvm/lent.c")


def name(repo: Repo) -> None:
    """Another name for a wrong function and its local."""
    text = repo.read(HOST).replace("lend_page(", "lend_one(")
    repo.write(HOST, text)


def comment(repo: Repo) -> None:
    repo.replace(HOST, "static DEFINE_MUTEX", "/* One\n * two. */\nstatic DEFINE_MUTEX")
    repo.replace(EL2, "static hyp_spinlock_t", "/* One\n * two. */\nstatic hyp_spinlock_t")


@pytest.mark.parametrize("change", [move, reformat, rename, name, comment])
def test_what_brings_nothing(repo: Repo, run: Run, change: Callable[[Repo], None]) -> None:
    change(repo)
    repo.commit("change")
    assert repo.git("diff", "--name-only", "HEAD~1")
    assert run("HEAD~1..HEAD").rows == []


def test_all_of_them_one_after_the_other(repo: Repo, run: Run) -> None:
    """A finding of the series is one finding, wherever it goes; its lines are the last ones."""
    ignore(repo)
    repo.commit("ignore")
    for change in (move, comment, rename):
        change(repo)
        repo.commit(change.__name__)
    (found,) = run("HEAD~4..HEAD").findings
    lines = repo.read("arch/arm64/kvm/lent.c").split("\n")
    wanted = lines.index("int lend_set_limit_checked(u64 pages)") + 3
    assert (found["path"], found["line"]) == ("arch/arm64/kvm/lent.c", wanted)
    assert found["commit"]["subject"] == "ignore"  # type: ignore[index]


def test_a_known_finding_whose_path_is_changed(repo: Repo, run: Run) -> None:
    repo.replace(
        HOST,
        "\t/* expect@+1: missing-rollback */\n",
        "\tif (pfn == 7)\n\t\tpage->users = 2;\n",
    )
    # A step of the path: the way from the insertion to the failure is another one.
    repo.replace(
        HOST,
        "\trb_insert_color(&page->node, &lent_pages);\n\tif (pfn",
        "\trb_insert_color(&(page->node), &lent_pages);\n\tif (pfn",
    )
    repo.commit("touch")
    said = run("HEAD~1..HEAD")
    assert said.rows == [("lend_page", "missing-rollback", "touch", "")]
    assert said.findings[0]["commit"]["new"] is False  # type: ignore[index]
    text = run("HEAD~1..HEAD", form="text").out
    assert "it was there before; this changes its path" in text


# --- what makes other code wrong ------------------------------------------------------------------


def related(said: Said) -> list[tuple[str, str, str]]:
    (found,) = said.findings
    places = found["related"]
    assert isinstance(places, list)
    return [(place["path"], place["text"], place["message"]) for place in places]


def test_a_handler_that_can_fail_now(repo: Repo, run: Run) -> None:
    """lend_flush() is right as long as EL2's handler returns nothing."""
    repo.replace(HANDLERS, "\t__demo_flush(pfn);", "\tcpu_reg(host_ctxt, 1) = __demo_flush(pfn);")
    repo.replace(
        EL2,
        "void __demo_flush(u64 pfn)\n{\n",
        "int __demo_flush(u64 pfn)\n{\n\tif (!pfn)\n\t\treturn -ENXIO;\n\n",
    )
    repo.replace(EL2, "PAGE_SIZE);\n", "PAGE_SIZE);\n\n\treturn 0;\n")
    repo.commit("flush")
    said = run("HEAD~1..HEAD")
    assert said.rows == [("lend_flush", "ignored-return", "flush", "")]
    assert related(said) == [
        (
            EL2,
            "return -ENXIO;",
            "handle___demo_flush() can return -ENXIO now: this change brings it",
        )
    ]
    line = repo.read(EL2).split("\n").index("\t\treturn -ENXIO;") + 1
    place = said.findings[0]["related"][0]  # type: ignore[index]
    assert place["line"] == line


def test_a_new_errno(repo: Repo, run: Run) -> None:
    """A handler that has always returned 0, so that nobody asks."""
    repo.replace(HANDLERS, "\t__demo_flush(pfn);", "\tcpu_reg(host_ctxt, 1) = __demo_flush(pfn);")
    repo.replace(EL2, "void __demo_flush(u64 pfn)", "int __demo_flush(u64 pfn)")
    repo.replace(EL2, "PAGE_SIZE);\n", "PAGE_SIZE);\n\n\treturn 0;\n")
    repo.commit("status")
    repo.replace(EL2, "\tif (pfn < DEMO", "\tif (pfn == 7)\n\t\treturn -EDOM;\n\n\tif (pfn < DEMO")
    repo.commit("errno")
    said = run("HEAD~2..HEAD")
    assert said.rows == [("lend_flush", "ignored-return", "errno", "")]
    assert related(said) == [
        (EL2, "return -EDOM;", "handle___demo_flush() can return -EDOM now: this change brings it")
    ]


DROP = """\
void lend_drop(void *from)
{
	kvm_call_hyp_nvhe(__demo_flush, virt_to_pfn(from));
}

"""
CLEAN = "kvm_call_hyp_nvhe(__demo_flush, virt_to_pfn(from))"
RELEASE = """\
#include <linux/slab.h>

#include <asm/kvm_host.h>

void lend_release(struct lender *lender)
{
	void *buffer = lender->buffer;

	lend_drop(buffer);
	kfree(buffer);
}
"""
UNSHARE = """\
	ret = kvm_call_hyp_nvhe(__demo_host_unshare_page, pfn, 1);
	if (ret)
		goto unlock;

"""


def test_a_callee_that_no_longer_undoes(repo: Repo, run: Run) -> None:
    repo.replace(HOST, UNSHARE, "")
    repo.commit("callee")
    said = run("HEAD~1..HEAD")
    assert said.rows == [("lend_range_checked", "partial-batch", "callee", "")]
    assert related(said) == [
        (
            HOST,
            "int return_page_checked(u64 pfn)",
            "return_page_checked() is changed in this change",
        )
    ]


def test_a_callee_that_can_fail_now(repo: Repo, run: Run) -> None:
    """Its caller is in another file, which nobody touches: it frees what EL2 may hold still."""
    repo.replace(HOST, "/* No bug: EL2's", f"{DROP}/* No bug: EL2's")
    repo.write("arch/arm64/kvm/release.c", RELEASE)
    repo.commit("release")
    repo.replace(HOST, CLEAN, "WARN_ON(return_page_checked(virt_to_pfn(from)))")
    repo.commit("drop")
    assert run("HEAD~2..HEAD~1").rows == []
    said = run("HEAD~2..HEAD")
    assert said.rows == [("lend_release", "release-after-failed-reclaim", "drop", "")]
    assert said.findings[0]["path"] == "arch/arm64/kvm/release.c"
    assert related(said) == [
        (HOST, "void lend_drop(void *from)", "lend_drop() is changed in this change")
    ]


# --- histories ------------------------------------------------------------------------------------


def test_a_merge_brings_what_comes_from_the_range_alone(repo: Repo, run: Run) -> None:
    repo.git("switch", "-q", "-c", "topic")
    repo.write("README", "topic\n")
    repo.commit("topic")
    repo.git("switch", "-q", "main")
    ignore(repo)
    repo.commit("ignore")
    repo.git("switch", "-q", "topic")
    repo.git("merge", "-q", "-m", "merge main", "main")
    assert run("main..topic").rows == []  # main has it already
    assert run("topic~1..topic").rows == [(*IGNORED, "merge main", "")]  # of the range now


def test_an_evil_merge(repo: Repo, run: Run) -> None:
    """What is in none of the parents is the merge's own."""
    repo.git("switch", "-q", "-c", "topic")
    repo.write("README", "topic\n")
    repo.commit("topic")
    repo.git("switch", "-q", "main")
    ignore(repo)
    repo.commit("ignore")
    repo.git("switch", "-q", "topic")
    repo.git("merge", "-q", "--no-commit", "main")
    keep(repo)
    repo.commit("merge main")
    assert run("main..topic").rows == [(*STAYS, "merge main", "")]


def test_bare_linked_and_shallow(repo: Repo, run: Run, tmp_path: Path) -> None:
    ignore(repo)
    repo.commit("ignore")
    keep(repo)
    repo.commit("keep")
    wanted = [(*IGNORED, "ignore", ""), (*STAYS, "keep", "")]
    bare, linked, shallow = (tmp_path / name for name in ("bare.git", "linked", "shallow"))
    repo.git("clone", "-q", "--bare", ".", str(bare))
    assert run("HEAD~2..HEAD", at=bare).rows == wanted
    assert run("HEAD~2", "--tree", str(bare), at=tmp_path).rows == wanted
    repo.git("worktree", "add", "-q", "--detach", str(linked), "HEAD~1")
    assert run("HEAD~1..", at=linked).rows == wanted[:1]
    keep(Repo(linked))
    assert run("HEAD", at=linked).rows == [(*STAYS, "uncommitted changes", "")]
    repo.git("clone", "-q", "--depth=2", f"file://{repo.path}", str(shallow))
    assert run("HEAD~1..HEAD", at=shallow).rows == wanted[1:]
    said = run("HEAD~2..HEAD", at=shallow)
    assert (said.code, said.out) == (2, "")
    assert said.err == (
        "Error: there is no revision 'HEAD~2' (this is a shallow clone: its history is cut off)\n"
    )


def test_the_end_of_a_shallow_clone(repo: Repo, run: Run, tmp_path: Path) -> None:
    """What its last commit changes can't be told: no finding of the whole tree is its."""
    ignore(repo)
    repo.commit("ignore")
    repo.git("switch", "-q", "--orphan", "other")
    repo.write("README", "other\n")
    repo.commit("other")
    repo.git("switch", "-q", "main")
    url = f"file://{repo.path}"
    repo.git("clone", "-q", "--depth=1", "--no-single-branch", url, str(tmp_path / "shallow"))
    said = run("origin/other..HEAD", at=tmp_path / "shallow")
    assert (said.code, said.out) == (2, "")
    abbrev = repo.ids["ignore"][:12]
    assert said.err == (
        f"Error: this shallow clone ends at {abbrev}: what that commit changes can't be told\n"
    )
    assert run("origin/other...HEAD", at=tmp_path / "shallow").code == 2


def test_a_tree_in_a_folder(project: Path, run: Run, tmp_path: Path) -> None:
    outer = new_repo(tmp_path / "outer")
    shutil.copytree(project / "fixtures/demo", outer.path / "src/linux")
    outer.commit("base")
    inner = Repo(outer.path / "src/linux")
    ignore(inner)
    outer.commit("ignore")
    keep(inner)
    wanted = [(*IGNORED, "ignore", ""), (*STAYS, "uncommitted changes", "")]
    assert run("HEAD~1", at=inner.path / "arch/arm64").rows == wanted
    assert run("HEAD~1", "--tree", "src/linux", at=outer.path).rows == wanted
    (first, _) = run("HEAD~1", at=inner.path).findings
    assert first["path"] == HOST


# --- the repository is left alone -----------------------------------------------------------------


def state(top: Path) -> dict[str, tuple[int, bytes]]:
    """All files, of git too, with their times."""
    return {
        str(path.relative_to(top)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(top.rglob("*"))
        if path.is_file()
    }


def test_nothing_is_touched(repo: Repo, run: Run) -> None:
    repo.git("switch", "-q", "-c", "topic")
    ignore(repo)
    repo.commit("ignore")
    keep(repo)
    repo.git("add", HOST)
    repo.write(EL2, repo.read(EL2) + "\n")
    repo.write("arch/arm64/kvm/new.c", "int n;\n")
    os.utime(repo.path / HANDLERS, (1, 1))  # git would refresh the index for it
    before = state(repo.path)
    for args in ([], ["HEAD"], ["HEAD~1..HEAD"], ["main...topic"], ["--staged"]):
        assert run(*args).code in (0, 1)
    assert state(repo.path) == before


# --- hostile input --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("revision", "why"),
    [
        ("--upload-pack=touch x", "'--upload-pack=touch x' is no revision"),
        ("-x", "'-x' is no revision"),
        ("--output=x", "'--output=x' is no revision"),
        ("HEAD\nHEAD", r"'HEAD\x0aHEAD' is no revision"),
        ("\x1b[31mHEAD", r"'\x1b[31mHEAD' is no revision"),
        ("HEAD..--output=x", "'--output=x' is no revision"),
        ("--all...HEAD", "'--all' is no revision"),
        ("no such..HEAD", "there is no revision 'no such'"),
        ("HEAD..HEAD..HEAD", "there is no revision 'HEAD..HEAD'"),
        ("", "'' is no revision"),
        ("HEAD:README", "there is no revision 'HEAD:README'"),
    ],
)
def test_revisions_that_are_none(repo: Repo, run: Run, revision: str, why: str) -> None:
    said = run("--", revision)
    assert (said.code, said.out, said.err) == (2, "", f"Error: {why}\n")
    assert not (repo.path / "x").exists()


@pytest.mark.parametrize("option", ["--upload-pack=x", "-x"])
def test_options_that_are_none(run: Run, option: str) -> None:
    said = run(option)
    assert (said.code, said.out) == (2, "")
    assert "No such option" in said.err


def test_no_repository(run: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    said = run(at=tmp_path / "empty")
    assert (said.code, said.out) == (2, "")
    assert said.err == "Error: . is not in a git repository\n"


ODD = [b"esc\x1b[31m.c", b"new\nline.c", b"not-utf-8\xff.c", b"::error::x.c", b"two words.c"]


@pytest.mark.parametrize("form", ["text", "terse", "gcc", "json", "sarif", "github"])
def test_odd_names(repo: Repo, run: Run, form: str) -> None:
    """Nothing of a file's name, or of a commit's subject, is taken for anything else."""
    for odd in ODD:
        repo.write(
            f"arch/arm64/kvm/{os.fsdecode(odd)}",
            WRONG,
        )
    repo.commit("\x1b[31mred\n::error::x")
    for revision in ("HEAD~1..HEAD", "HEAD~1"):
        said = run(revision, form=form)
        assert (said.code, said.err) == (1, "")
        assert "\x1b" not in said.out
        assert not any(line.startswith("::error::x") for line in said.out.split("\n"))
        if form == "json":
            assert len(said.findings) == len(ODD)


def test_a_repository_that_names_commands(repo: Repo, run: Run, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    repo.write(".gitattributes", "*.c filter=evil diff=evil\n")
    repo.commit("attributes")
    for key in ("filter.evil.clean", "filter.evil.process", "core.fsmonitor", "diff.external"):
        repo.git("config", key, f"touch '{ran}'; cat")
    repo.git("config", "filter.evil.required", "true")
    keep(repo)
    os.utime(repo.path / ".git/index", (1, 1))
    assert run("HEAD").rows == [(*STAYS, "uncommitted changes", "")]
    assert not ran.exists()


# --- the same words -------------------------------------------------------------------------------


def test_the_same_output_however_it_is_made(repo: Repo, run: Run, tmp_path: Path) -> None:
    ignore(repo)
    repo.commit("ignore")
    keep(repo)
    repo.commit("keep")
    for number in range(10):  # more files than one process is given
        repo.write(
            f"arch/arm64/kvm/more{number}.c",
            WRONG,
        )
    repo.commit("more")
    outputs: set[bytes] = set()
    for seed, *options in (
        ("0", "--no-cache"),
        ("1", "--no-cache", "-j2"),
        ("2", "-j2"),
        ("3",),
        ("4", "-j0"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "kvmlint", "diff", "HEAD~3..HEAD", *options],
            cwd=repo.path,
            env={
                **environment(tmp_path),
                "PYTHONPATH": os.pathsep.join(sys.path),
                "PYTHONHASHSEED": seed,
                "XDG_CACHE_HOME": str(tmp_path / "cache"),
            },
            capture_output=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (1, b"")
        outputs.add(done.stdout)
    assert len(outputs) == 1
    assert outputs.pop().count(b"[ignored-return]") == 11


def test_origins_in_sarif(repo: Repo, run: Run) -> None:
    ignore(repo)
    repo.commit("ignore")
    keep(repo)
    repo.commit("keep")
    heed(repo)
    repo.commit("heed")
    (log,) = json.loads(run("HEAD~3..HEAD", form="sarif").out)["runs"]
    properties = [result["properties"] for result in log["results"]]
    assert [(p["commit"], p["subject"], p["new"], p.get("removedBy")) for p in properties] == [
        (repo.ids["ignore"], "ignore", True, repo.ids["heed"]),
        (repo.ids["keep"], "keep", True, None),
    ]


def test_origins_on_github(repo: Repo, run: Run) -> None:
    ignore(repo)
    repo.commit("ignore")
    keep(repo)
    repo.commit("50%, or so")
    heed(repo)
    repo.commit("heed")
    first, second = sorted(
        commands(run("HEAD~3..HEAD", form="github").out), key=lambda one: len(one.properties)
    )
    ignored, kept, gone = (repo.ids[name][:12] for name in ("ignore", "50%, or so", "heed"))
    lines = first.data.split("\n")
    assert f'brought by commit {ignored} ("ignore")' in lines
    assert f'removed again by commit {gone} ("heed")' in lines
    assert "line" not in first.properties  # there is no such line any more
    assert f'brought by commit {kept} ("50%, or so")' in second.data.split("\n")
    assert "line" in second.properties


def test_origins_in_text(repo: Repo, run: Run) -> None:
    ignore(repo)
    repo.commit("ignore")
    heed(repo)
    repo.commit("heed")
    lines = run("HEAD~2..HEAD", form="text").out.split("\n")
    ignored, gone = (repo.ids[name][:12] for name in ("ignore", "heed"))
    assert lines[0] == f'commit {ignored} ("ignore")'
    assert f'  removed again by commit {gone} ("heed")' in lines

"""Every command that a page of docs/ shows is run, page by page, from the top to the bottom.

A page's blocks run in one temporary copy of fixtures/demo, a git repository with a few commits
(``make_kernel``), with a HOME of its own and ``kvmlint`` on the path. What to do with a block says
an HTML comment, which nobody sees who reads the page, on the line above it:

    <!-- run: demo -->               run the ```sh block's commands there, each must exit with 0
    <!-- run: demo; exit 1 -->       each must exit with 1
    <!-- run: demo; exit 1 0 -->     the first with 1, the second with 0
    <!-- not run: reason -->         the block can't run here (a real git send-email)
    <!-- file: some/name -->         write the block, in any language, to that file
    <!-- append: some/name -->       put it at the end of that file
    <!-- output -->                  its lines are, in this order, in what the commands above
                                     printed; a line of three dots stands for any others, and one
                                     commit id for any other

A command is a line, with those that follow a backslash; each has a shell of its own. A ```sh block
without run or not run fails the test. Commands and formats that this version of kvmlint lacks are
skipped, and the page's test then says so.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(
    path for path in DOCS.glob("*.md") if path.name not in ("limits.md", "performance.md")
)
TASKS = {"first-run", "series", "ci", "suppress", "hooks", "knowledge", "rules"}
LEND = "arch/arm64/kvm/lend.c"
COMMIT = r"(?<=commit )[0-9a-f]{12}\b"
COLOR = r"\x1b\[[0-9;]*m"
SOURCES = f"{ROOT / 'analyzer'}{os.pathsep}{ROOT / 'rules'}"

MARKED = """
static LIST_HEAD(marked);

struct mark {
	u64 pfn;
	struct list_head list;
};

int lend_marked(struct mark *mark)
{
	int ret;

	list_add(&mark->list, &marked);
	ret = kvm_call_hyp_nvhe(__demo_host_share_page, mark->pfn, 1);
	return ret;
}
"""
LIMIT = """
void lend_no_more(void)
{
	kvm_call_hyp_nvhe(__demo_set_limit, 0);
}
"""


@dataclass(frozen=True)
class Block:
    """One code block. ``word`` and ``rest`` are what the comment above it says; '' for none."""

    page: str
    line: int
    language: str
    text: str
    word: str
    rest: str

    @property
    def place(self) -> str:
        return f"docs/{self.page}:{self.line}"

    @property
    def commands(self) -> list[str]:
        joined = re.sub(r"\\\n\s*", "", self.text)
        return [line for line in joined.splitlines() if line and not line.startswith("#")]

    @property
    def statuses(self) -> list[int]:
        """The exit status of each command."""
        said = re.fullmatch(r"demo(?:; exit ((?:\d+ ?)+))?", self.rest)
        assert said, f"{self.place}: 'run: {self.rest}' is not understood"
        numbers = [int(number) for number in (said[1] or "0").split()]
        numbers = numbers * len(self.commands) if len(numbers) == 1 else numbers
        assert len(numbers) == len(self.commands), f"{self.place}: a status for each command"
        return numbers


def blocks(page: str, text: str) -> Iterator[Block]:
    """The code blocks of a page, in its order."""
    form = re.compile(
        r"^(?:<!-- (?P<word>run|not run|file|append|output)(?:: (?P<rest>[^\n]*?))? -->\n)?"
        r"^```(?P<language>[^\n`]*)\n(?P<text>.*?)^```$",
        re.DOTALL | re.MULTILINE,
    )
    for found in form.finditer(text):
        line = text.count("\n", 0, found.start("language")) + 1
        parts = (found["language"], found["text"], found["word"] or "", found["rest"] or "")
        yield Block(page, line, *parts)


@dataclass(frozen=True)
class Kernel:
    """A repository with the demo, in a world of its own."""

    top: Path

    @property
    def tree(self) -> Path:
        return self.top / "linux"

    def run(self, command: str) -> tuple[int, str]:
        """Status, and what both streams got, of a command at the top of the tree."""
        done = subprocess.run(
            ["sh", "-c", command],
            cwd=self.tree,
            env={
                "PATH": f"{self.top / 'bin'}{os.pathsep}{os.environ['PATH']}",
                "HOME": str(self.top / "home"),
                "XDG_CACHE_HOME": str(self.top / "home" / "cache"),
                "GIT_CONFIG_NOSYSTEM": "1",
                "LC_ALL": "C.UTF-8",
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=300,
            check=False,
        )
        return done.returncode, re.sub(COLOR, "", done.stdout.decode())

    def git(self, words: str) -> None:
        status, text = self.run(f"git {words}")
        assert status == 0, text

    def write(self, name: str, text: str, mode: str = "w") -> None:
        path = self.tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open(mode, encoding="utf-8") as file:
            file.write(text)


def make_kernel(top: Path) -> Kernel:
    """``main`` is the demo. The branch ``lending`` has three commits: one brings an error, one a
    warning, one removes the error again. There is a checkpatch that is always content, and a b4
    that stays off the network."""
    kernel = Kernel(top)
    for name in ("home", "bin"):
        (top / name).mkdir()
    (top / "home" / ".gitconfig").write_text(
        "[user]\n\tname = A U Thor\n\temail = a@example.org\n[commit]\n\tgpgsign = false\n"
        "[init]\n\tdefaultBranch = main\n"
    )
    programs = (
        ("kvmlint", "-c 'from kvmlint.cli import main; main()'"),
        ("kvmlint-check", "-c 'from kvmlint.commands.kbuild import main; main()'"),
        ("python", ""),
        ("b4", "-c 'from b4.command import cmd; cmd()' --offline-mode"),
    )
    for name, words in programs:
        command = top / "bin" / name
        command.write_text(
            f"#!/bin/sh\nPYTHONPATH={shlex.quote(SOURCES)} "
            f'exec {shlex.quote(sys.executable)} {words} "$@"\n'
        )
        command.chmod(0o755)
    shutil.copytree(ROOT / "fixtures" / "demo", kernel.tree)
    kernel.write("scripts/checkpatch.pl", "#!/bin/sh\n")  # it finds nothing
    (kernel.tree / "scripts" / "checkpatch.pl").chmod(0o755)
    kernel.git("init -q")
    kernel.git("add -A")
    kernel.git("commit -q -m 'a kernel'")
    kernel.git("checkout -q -b lending")
    undone = MARKED.replace(
        "	return ret;", "	if (ret)\n		list_del(&mark->list);\n	return ret;"
    )
    lend = (kernel.tree / LEND).read_text(encoding="utf-8")
    steps = (
        ("KVM: arm64: lend marked pages", lend + MARKED),
        ("KVM: arm64: lend no more", lend + MARKED + LIMIT),
        ("KVM: arm64: unmark what EL2 refused", lend + undone + LIMIT),
    )
    for subject, text in steps:
        kernel.write(LEND, text)
        kernel.git(f"commit -q -a -m '{subject}'")
    return kernel


def play(kernel: Kernel, page: list[Block]) -> None:
    """Does what a page shows. AssertionError where the page is wrong."""
    printed = ""
    for block in page:
        if block.word in ("file", "append"):
            kernel.write(block.rest, block.text, "w" if block.word == "file" else "a")
        elif block.word == "run":
            printed = ""
            for command, expected in zip(block.commands, block.statuses, strict=True):
                status, said = kernel.run(command)
                assert status == expected, f"{block.place}: {command}: status {status}\n{said}"
                printed += said
        elif block.word == "output":
            lines = iter(re.sub(COMMIT, "0" * 12, printed).splitlines())
            for line in re.sub(COMMIT, "0" * 12, block.text).splitlines():
                assert line == "..." or line in lines, (
                    f"{block.place}: not printed: {line}\n{printed}"
                )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_page(page: Path, tmp_path: Path) -> None:
    found = list(blocks(page.name, page.read_text(encoding="utf-8")))
    unsaid = [
        block.place
        for block in found
        if (block.language == "sh" and block.word in ("", "output"))
        or (block.word == "not run" and not block.rest)
    ]
    assert not unsaid, f"neither run nor 'not run: reason': {', '.join(unsaid)}"
    if not any(block.word for block in found):
        return
    play(make_kernel(tmp_path), found)


def test_every_task_has_a_page_that_runs_something() -> None:
    names = {page.stem for page in PAGES}
    assert names >= TASKS
    for name in TASKS:
        found = blocks(name, (DOCS / f"{name}.md").read_text(encoding="utf-8"))
        assert any(block.word == "run" for block in found), name


@pytest.mark.parametrize("page", [*PAGES, ROOT / "README.md"], ids=lambda page: page.stem)
def test_links_lead_on(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize(
    "text",
    [
        "<!-- run: demo -->\n```sh\nkvmlint arch/arm64/kvm\n```\n",
        "<!-- run: demo; exit 1 -->\n```sh\nkvmlint diff lending\n```\n",
        "<!-- run: demo; exit 1 0 -->\n```sh\nkvmlint explain\nkvmlint explain\n```\n",
        "<!-- run: nowhere -->\n```sh\nkvmlint explain\n```\n",
        "<!-- run: demo -->\n```sh\nkvmlint explain\n```\n<!-- output -->\n```\nnot this\n```\n",
    ],
)
def test_a_wrong_page_fails(text: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"docs/wrong\.md"):
        play(make_kernel(tmp_path), list(blocks("wrong.md", text)))

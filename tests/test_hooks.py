"""The hooks of docs/examples, called by those that they are for: git send-email and pre-commit."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "docs" / "examples"
DEMO = ROOT / "fixtures" / "demo"
LEND = "arch/arm64/kvm/lend.c"

WARNING = """
int lend_twice(u64 pfn)
{
	kvm_call_hyp_nvhe(__demo_host_share_page, pfn);
	return 0;
}
"""
ERROR = """
int lend_marked(struct lent_page *page)
{
	list_add(&page->list, &marked);
	return kvm_call_hyp_nvhe(__demo_host_share_page, page->pfn);
}
"""


@dataclass(frozen=True)
class Said:
    status: int
    text: str


@dataclass(frozen=True)
class Kernel:
    """A repository with the demo, in a world of its own: HOME, and ``kvmlint`` on the path."""

    top: Path

    @property
    def tree(self) -> Path:
        return self.top / "linux"

    @property
    def hook(self) -> Path:
        return self.tree / ".git" / "hooks" / "sendemail-validate"

    def run(self, *command: str) -> Said:
        """Status and what both streams got, of a command at the top of the tree."""
        done = subprocess.run(
            command,
            cwd=self.tree,
            env={
                "PATH": f"{self.top / 'bin'}{os.pathsep}{os.environ['PATH']}",
                "HOME": str(self.top / "home"),
                "XDG_CACHE_HOME": str(self.top / "home" / "cache"),
                "PRE_COMMIT_HOME": str(self.top / "home" / "pre-commit"),
                "GIT_CONFIG_NOSYSTEM": "1",
                "LC_ALL": "C.UTF-8",
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=120,
            check=False,
        )
        return Said(done.returncode, done.stdout.decode())

    def git(self, *words: str) -> str:
        said = self.run("git", *words)
        assert said.status == 0, said.text
        return said.text

    def add(self, text: str, name: str = LEND) -> None:
        with (self.tree / name).open("a") as file:
            file.write(text)
        self.git("add", name)

    def mail(self, *texts: str, cover: bool = False) -> list[str]:
        """A series, a patch a text; the mails, the cover letter first."""
        for number, text in enumerate(texts, start=1):
            self.add(text)
            self.git("commit", "-q", "-m", f"KVM: arm64: change number {number}")
        words = ["--cover-letter"] if cover else []
        out = self.git("format-patch", *words, f"-{len(texts)}", "-o", str(self.top / "mails"))
        for name in out.split() if cover else ():
            mail = Path(name)
            mail.write_text(mail.read_text().replace("*** SUBJECT HERE ***", "a series"))
        return out.split()

    def send(self, *mails: str) -> Said:
        words = ("--validate", "--to=kvm@example.org", "--confirm=never", "--suppress-cc=all")
        return self.run("git", "send-email", "--dry-run", *words, *mails)


@pytest.fixture
def kernel(tmp_path: Path) -> Kernel:
    kernel = Kernel(tmp_path)
    for name in ("home", "bin"):
        (tmp_path / name).mkdir()
    (tmp_path / "home" / ".gitconfig").write_text(
        "[user]\n\tname = A U Thor\n\temail = a@example.org\n[commit]\n\tgpgsign = false\n"
        "[init]\n\tdefaultBranch = main\n[sendemail]\n\tsmtpServer = /bin/false\n"
    )
    command = tmp_path / "bin" / "kvmlint"
    command.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path[:0] = {[str(ROOT / 'analyzer')]!r}\n"
        f"sys.path[:0] = {[str(ROOT / 'rules')]!r}\n"
        "from kvmlint.cli import main\nmain()\n"
    )
    command.chmod(0o755)
    shutil.copytree(DEMO, kernel.tree)
    kernel.git("init", "-q")
    kernel.git("add", "-A")
    kernel.git("commit", "-q", "-m", "a kernel")
    return kernel


# --- git send-email -------------------------------------------------------------------------------


def install(kernel: Kernel, before: str = "") -> None:
    """The hook; with ``before`` what it is appended to, from its mark on, as it says itself."""
    text = (EXAMPLES / "sendemail-validate").read_text()
    if before:
        text = before + text[text.index("# --- kvmlint") :]
    kernel.hook.parent.mkdir(exist_ok=True)
    kernel.hook.write_text(text)
    kernel.hook.chmod(0o755)


@pytest.fixture
def mailing(kernel: Kernel) -> Kernel:
    """The same, where there is a git send-email."""
    if kernel.run("git", "send-email", "--dump-aliases").status != 0:
        why = "no git send-email; on Debian: apt-get install git-email libmailtools-perl"
        if os.environ.get("CI") == "true":
            pytest.fail(why)
        pytest.skip(why)
    return kernel


def test_an_error_stops_the_mail(mailing: Kernel) -> None:
    mails = mailing.mail(ERROR)
    assert mailing.send(*mails).status == 0  # without the hook
    install(mailing)
    said = mailing.send(*mails)
    assert said.status != 0
    assert ": ERROR:missing-rollback: " in said.text
    assert "kvmlint: not sent; " in said.text
    assert "Dry-OK" not in said.text
    words = ("--dry-run", "--no-validate", "--to=kvm@example.org", "--confirm=never")
    assert mailing.run("git", "send-email", *words, "--suppress-cc=all", *mails).status == 0
    assert said.text.count("ERROR:") == 1  # the demo's own three are not the patch's


def test_a_warning_is_shown_and_sent(mailing: Kernel) -> None:
    install(mailing)
    said = mailing.send(*mailing.mail(WARNING))
    assert said.status == 0, said.text
    assert ": WARNING:ignored-return: " in said.text
    assert "Dry-OK" in said.text


def test_a_clean_series_with_a_cover_letter_is_silent(mailing: Kernel) -> None:
    install(mailing)
    mails = mailing.mail("/* one */\n", "/* two */\n", cover=True)
    for mail in mails:
        said = mailing.run("git", "hook", "run", "sendemail-validate", "--", mail)
        assert said == Said(0, "")
    said = mailing.send(*mails)
    assert (said.status, said.text.count("Dry-OK")) == (0, 3), said.text
    assert "kvmlint" not in said.text.replace(str(mailing.top), "")


def test_a_later_patch_of_a_series(mailing: Kernel) -> None:
    """Each mail comes alone; what it applies to is in the repository."""
    install(mailing)
    said = mailing.send(*mailing.mail("/* one */\n", ERROR, "/* three */\n"))
    assert said.status != 0
    assert said.text.count("ERROR:") == 1


def test_appended_to_another_hook(mailing: Kernel) -> None:
    """patatt's, for example, which signs the file in place."""
    mails = mailing.mail("/* one */\n")
    signed = mailing.top / "signed"
    install(mailing, f'#!/bin/sh\necho "$1" >>{shlex.quote(str(signed))}\n')
    assert mailing.send(*mails).status == 0
    assert len(signed.read_text().splitlines()) == 1
    install(mailing, "#!/bin/sh\nfalse\n")
    assert mailing.send(*mails).status != 0


def test_a_mail_that_can_t_be_analysed_is_sent(mailing: Kernel) -> None:
    """kvmlint says why; it is not for a checker to keep the mail."""
    install(mailing)
    (mail,) = mailing.mail(ERROR)
    text = Path(mail).read_text()
    lines = [line for line in text.splitlines(True) if not line.startswith("index ")]
    Path(mail).write_text("".join(lines).replace("lend.c", "gone.c"))
    said = mailing.send(mail)
    assert said.status == 0, said.text
    assert "kvmlint: " in said.text or "Error: " in said.text


def test_both_arguments_of_a_newer_git(kernel: Kernel) -> None:
    """Since 2.41 git also names a file with the SMTP headers."""
    install(kernel)
    (mail,) = kernel.mail(ERROR)
    headers = kernel.top / "headers"
    headers.write_text("From: a@example.org\n")
    said = kernel.run("git", "hook", "run", "sendemail-validate", "--", mail, str(headers))
    assert said.status == 1
    assert "ERROR:missing-rollback" in said.text


def test_the_hook_is_plain_sh() -> None:
    done = subprocess.run(["sh", "-n", str(EXAMPLES / "sendemail-validate")], check=False)
    assert done.returncode == 0
    assert os.access(EXAMPLES / "sendemail-validate", os.X_OK)


# --- pre-commit -----------------------------------------------------------------------------------


@pytest.fixture
def committing(kernel: Kernel) -> Kernel:
    """The same with pre-commit's hook, installed by pre-commit."""
    shutil.copy(EXAMPLES / "pre-commit-config.yaml", kernel.tree / ".pre-commit-config.yaml")
    kernel.git("add", "-A")
    kernel.git("commit", "-q", "-m", "pre-commit")
    said = kernel.run(sys.executable, "-m", "pre_commit", "install")
    assert said.status == 0, said.text
    return kernel


def test_a_commit_that_brings_something_is_refused(committing: Kernel) -> None:
    committing.add(ERROR)
    said = committing.run("git", "commit", "-m", "KVM: arm64: mark lent pages")
    assert said.status == 1
    assert "[missing-rollback]" in said.text
    assert said.text.count(": error: ") == 1
    assert "Failed" in said.text
    assert committing.git("log", "-1", "--format=%s").strip() == "pre-commit"


def test_a_commit_that_brings_nothing_passes(committing: Kernel) -> None:
    committing.add("/* one */\n")
    (committing.tree / LEND).write_text((committing.tree / LEND).read_text() + ERROR)  # not staged
    said = committing.run("git", "commit", "-m", "KVM: arm64: say one")
    assert said.status == 0, said.text
    assert "Passed" in said.text
    assert "lend_marked" in committing.git("diff")  # as it was


def test_other_files_are_no_matter(committing: Kernel) -> None:
    committing.add("notes\n", "README")
    said = committing.run("git", "commit", "-m", "notes")
    assert said.status == 0, said.text
    assert "no files to check" in said.text


def test_a_header_counts(committing: Kernel) -> None:
    committing.add("/* one */\n", "arch/arm64/include/asm/kvm_host.h")
    said = committing.run("git", "commit", "-m", "a header")
    assert said.status == 0, said.text
    assert "Passed" in said.text


def test_it_can_be_skipped(committing: Kernel) -> None:
    committing.add(ERROR)
    said = committing.run("git", "commit", "--no-verify", "-q", "-m", "later")
    assert said == Said(0, "")

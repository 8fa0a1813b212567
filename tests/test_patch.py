"""``kvmlint patch`` and ``kvmlint b4`` on mails of small repositories, honest and hostile ones."""

from __future__ import annotations

import base64
import json
import os
import quopri
import re
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from tests.lent import COMMAND, HANDLERS, LEND, MARKED, Series, new_series
from tests.repos import Repo, environment

from kvmlint import mails
from kvmlint.mails import MailError, read


@pytest.fixture
def series(tmp_path: Path) -> Series:
    return new_series(tmp_path)


@pytest.fixture
def three(series: Series) -> Series:
    """Break, touch something else, mend; HEAD is back at the first commit."""
    series.break_it()
    series.repo.commit("lend: simplify")
    series.repo.write(LEND, series.repo.read(LEND) + MARKED)
    series.repo.commit("lend: mark")
    series.mend_it()
    series.repo.commit("lend: undo it again")
    return series


BROUGHT = [
    "1 missing-rollback lend_page_checked",
    "2 missing-rollback lend_marked",
]


def state(repo: Repo) -> tuple[bytes, str, list[str]]:
    """What may not change: the index, what git says of the work tree, the objects."""
    git = repo.path / ".git"
    objects = sorted(str(p) for p in (git / "objects").rglob("*"))
    return (git / "index").read_bytes(), repo.git("status", "--porcelain"), objects


@pytest.mark.parametrize("applied", [False, True], ids=["on top of HEAD", "HEAD has it already"])
def test_a_series(three: Series, applied: bool) -> None:
    mbox = three.mails()
    if not applied:
        three.repo.git("reset", "--quiet", "--hard", "base")
    before = state(three.repo)
    said = three.patch(mbox)
    assert said.functions == BROUGHT
    assert said.status == 1
    first = json.loads(said.out)["findings"][0]
    assert first["commit"]["subject"] == "lend: simplify"
    assert first["commit"]["removed_by"]["name"] == "patch 3/3"
    assert state(three.repo) == before


def test_its_base_is_looked_for(three: Series) -> None:
    """Neither HEAD nor a recent commit of it will do: the series says what it is made for."""
    mbox = three.mails("--base=base")
    three.repo.git("checkout", "--quiet", "-b", "other", "base")
    three.repo.write(LEND, "/* gone */\n")
    three.repo.commit("everything is gone")
    assert three.patch(mbox).functions == BROUGHT


def test_its_blobs_are_looked_for(three: Series) -> None:
    """A patch of another branch, without a base: git has the blobs that it names."""
    three.repo.git("branch", "theirs", "HEAD~2")
    mail = three.mails("--full-index", since="base")
    first = mail.split(b"\nFrom ")[0]
    three.repo.git("checkout", "--quiet", "-b", "other", "base")
    three.repo.write(LEND, "/* gone */\n")
    three.repo.commit("everything is gone")
    assert three.patch(first).functions == ["1 missing-rollback lend_page_checked"]


def test_files_in_their_order_and_by_their_numbers(three: Series) -> None:
    three.repo.git("format-patch", "-q", "-o", str(three.home / "m"), "base..HEAD")
    three.repo.git("reset", "--quiet", "--hard", "base")
    files = [str(file) for file in sorted((three.home / "m").iterdir())]
    for order in (files, files[::-1]):
        assert three.kvmlint("patch", "--format", "json", *order).functions == BROUGHT


def test_a_cover_letter_and_an_answer(three: Series) -> None:
    mbox = three.mails("--cover-letter")
    answer = (
        b"From a@b Mon Sep 17 00:00:00 2001\nSubject: Re: [PATCH 1/3] lend\n\n> diff --git\nno\n"
    )
    three.repo.git("reset", "--quiet", "--hard", "base")
    assert three.patch(mbox + answer).functions == BROUGHT


def test_an_answer_with_a_diff(three: Series) -> None:
    """It counts when nobody posted a patch that is no answer."""
    first, *rest = three.mails().split(b"\nFrom ")
    three.repo.git("reset", "--quiet", "--hard", "base")
    answer = first.replace(b"Subject: [PATCH 1/3]", b"Subject: Re: [PATCH 1/3]")
    assert b"Subject: Re: " in answer
    assert three.patch(answer).functions == ["1 missing-rollback lend_page_checked"]
    answer = answer.replace(b" \tmutex_unlock", b" \tmutex_other")  # fits nowhere
    assert three.patch(b"\nFrom ".join([first, answer[5:], *rest])).functions == BROUGHT
    assert three.patch(answer).status == 2


@pytest.mark.parametrize("bare", [False, True], ids=["as git has it", "with --- and +++ alone"])
def test_names_without_a_prefix(three: Series, bare: bool) -> None:
    mbox = three.mails("--no-prefix")
    assert f"\n--- {LEND}\n".encode() in mbox
    three.repo.git("reset", "--quiet", "--hard", "base")
    if bare:
        mbox = re.sub(rb"(?m)^(?:diff --git|index) .*\n", b"", mbox)
    said = three.patch(mbox)
    assert said.functions == BROUGHT
    assert {d["path"] for d in json.loads(said.out)["findings"]} == {LEND}


def test_another_folder_for_a_prefix(three: Series) -> None:
    """As diff -u linux.orig linux writes it."""
    mbox = three.mails("--src-prefix=linux.orig/", "--dst-prefix=linux/")
    mbox = re.sub(rb"(?m)^(?:diff --git|index) .*\n", b"", mbox)
    three.repo.git("reset", "--quiet", "--hard", "base")
    assert three.patch(mbox).functions == BROUGHT


def test_head_has_it_and_no_commit_is_like_it(three: Series) -> None:
    """Squashed, and without ids: HEAD is looked at without the series."""
    mbox = re.sub(rb"(?m)^index .*\n", b"", three.mails()).replace(b"] lend: ", b"] page: ")
    assert three.patch(mbox).functions == BROUGHT
    last = b"From " + mbox.split(b"\nFrom ")[2]
    assert three.patch(last).functions == []  # it mends
    assert three.patch(last).status == 0
    two = b"\nFrom ".join(mbox.split(b"\nFrom ")[:2])
    said = three.patch(two)  # the third mends what the first breaks: that fits once more
    assert said.status == 2
    assert "patch 2/3 (page: mark) does not apply to the one before: it is there al" in said.err


@pytest.mark.parametrize("encoding", ["quoted-printable", "base64", "crlf", "attached", "bare"])
def test_encodings(three: Series, encoding: str) -> None:
    mail = three.mails(since="HEAD~2").split(b"\nFrom ")[0] + b"\n"
    mail = three.mails(since="base").split(b"\nFrom ")[0].partition(b"\n")[2] + b"\n"
    three.repo.git("reset", "--quiet", "--hard", "base")
    head, _, body = mail.partition(b"\n\n")
    kind = b"\nMIME-Version: 1.0\nContent-Type: text/plain; charset=UTF-8\n"
    if encoding == "quoted-printable":
        mail = head + kind + b"Content-Transfer-Encoding: quoted-printable\n\n"
        mail += quopri.encodestring(body)
    elif encoding == "base64":
        mail = head + kind + b"Content-Transfer-Encoding: base64\n\n" + base64.encodebytes(body)
    elif encoding == "crlf":
        mail = mail.replace(b"\n", b"\r\n")
    elif encoding == "attached":
        mail = head + b'\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="x"\n\n--x\n'
        mail += b"Content-Type: text/plain\n\nhello\n--x\nContent-Type: text/x-patch\n\n"
        mail += body + b"\n--x--\n"
    else:
        mail = body[body.index(b"diff --git") :]
    assert three.patch(mail).functions == ["1 missing-rollback lend_page_checked"]


def test_what_does_not_apply(three: Series) -> None:
    """Which patch, which file, which hunk; what those before it bring is said all the same."""
    mbox = three.mails()
    three.repo.git("reset", "--quiet", "--hard", "base")
    mbox = mbox.replace(b"+int lend_marked", b" int lend_marked")
    said = three.patch(mbox)
    assert said.status == 2
    assert said.functions == BROUGHT[:1]
    assert said.err.startswith("kvmlint: patch 2/3 (lend: mark) does not apply to the one before: ")
    mail = three.kvmlint("diff", "HEAD").out
    assert mail == ""


def test_a_hunk_that_does_not_fit(three: Series) -> None:
    mail = three.mails().split(b"\nFrom ")[0]
    three.repo.git("reset", "--quiet", "--hard", "base")
    three.repo.git("gc", "--quiet", "--prune=now")
    wrong = mail.replace(b" \tpage->users = 1;\n \trb", b" \tpage->users = 7;\n \trb")
    if wrong == mail:
        wrong = mail.replace(b" \tret = kvm_call", b" \tret2 = kvm_call")
    wrong = re.sub(rb"(?m)^index .*$", b"index 1234567890..0987654321 100644", wrong)
    said = three.patch(wrong)
    assert said.status == 2
    assert f"patch 1/3 (lend: simplify) does not apply to HEAD: {LEND}: hunk 1 (line " in said.err


def test_renames_modes_new_and_deleted_files(series: Series) -> None:
    repo = series.repo
    repo.git("mv", LEND, "arch/arm64/kvm/lent.c")
    repo.commit("lend: another name")
    (repo.path / "arch/arm64/kvm/lent.c").chmod(0o755)
    repo.commit("lend: another mode")
    repo.write("arch/arm64/kvm/more.c", "#include <asm/kvm_host.h>\n" + MARKED)
    repo.write("scripts/picture.bin", "\0\1\2" * 100)
    repo.commit("more: new")
    repo.git("rm", "--quiet", "arch/arm64/kvm/lent.c")
    repo.commit("lend: gone")
    mbox = series.mails("-M", "--binary")
    repo.git("reset", "--quiet", "--hard", "base")
    said = series.patch(mbox)
    assert said.functions == ["3 missing-rollback lend_marked"]
    assert said.status == 1


def test_a_binary_patch_without_its_data(series: Series) -> None:
    series.repo.write("picture.bin", "\0\1\2" * 100)
    series.repo.commit("a picture")
    diff = series.repo.git("diff", "base").encode() + b"\n"
    series.repo.git("reset", "--quiet", "--hard", "base")
    said = series.patch(diff)
    assert said.status in (0, 2)  # git may know the blobs
    assert said.out.count('"rule"') == 0


def test_a_handler_that_may_fail_now(series: Series) -> None:
    """The patch touches EL2 alone, and a caller on the host is wrong from then on."""
    text = series.repo.read(HANDLERS)
    old = "	__demo_flush(pfn);\n"
    assert text.count(old) == 1, text
    new = "	cpu_reg(host_ctxt, 1) = pfn ? 0 : -EINVAL;\n"
    series.repo.write(HANDLERS, text.replace(old, new))
    series.repo.commit("el2: flush may fail")
    mbox = series.mails()
    series.repo.git("reset", "--quiet", "--hard", "base")
    assert series.patch(mbox).functions == ["1 ignored-return lend_flush"]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        pytest.param(b"", "standard input is empty", id="nothing"),
        pytest.param(b"\n\n", "standard input is empty", id="blank lines"),
        pytest.param(b"hello\n", "there is no patch in it", id="no patch"),
        pytest.param(b"\0\1\2\xff" * 100, "there is no patch in it", id="binary"),
        pytest.param(b"Subject: x\n\nhello\n", "there is no patch in it", id="a mail"),
    ],
)
def test_no_patch(series: Series, data: bytes, said: str) -> None:
    got = series.patch(data)
    assert got.status == 2
    assert got.err == f"Error: {said}\n"


def test_a_file_that_is_not_there(series: Series) -> None:
    said = series.kvmlint("patch", "no\x1b[31mfile")
    assert said.status == 2
    assert "\x1b" not in said.err
    assert "no such file or directory" in said.err


def test_outside_of_a_repository(tmp_path: Path, three: Series) -> None:
    """A kernel that was unpacked: what is on disk is patched, in copies."""
    mbox = three.mails("--no-prefix")
    three.repo.git("reset", "--quiet", "--hard", "base")
    shutil.rmtree(three.repo.path / ".git")
    before = {p: p.read_bytes() for p in three.repo.path.rglob("*") if p.is_file()}
    said = three.patch(mbox)
    assert said.functions == BROUGHT
    assert json.loads(said.out)["root"] == str(three.repo.path)
    assert {p: p.read_bytes() for p in three.repo.path.rglob("*") if p.is_file()} == before
    said = three.patch(mbox.replace(b" \tmutex_unlock", b" \tmutex_other"))
    assert said.status == 2
    assert said.err.startswith(
        "kvmlint: patch 1/3 (lend: simplify) does not apply to the files on disk: "
    )
    (tmp_path / "plain").mkdir()
    said = three.kvmlint("patch", "-C", str(tmp_path / "plain"), stdin=mbox)
    assert said.status == 2
    assert "does not apply to the files on disk" in said.err


def test_a_file_outside_of_the_folder_is_no_part_of_it(tmp_path: Path, three: Series) -> None:
    """A link in it may lead to one."""
    mbox = three.mails()
    shutil.rmtree(three.repo.path / ".git")
    secret = tmp_path / "secret.c"
    secret.write_text("int token = 42;\n")
    (three.repo.path / "arch/arm64/kvm/secret.c").symlink_to(secret)
    name = "arch/arm64/kvm/secret.c"
    diff = f"--- a/{name}\n+++ b/{name}\n@@ -1 +1 @@\n-int token = 42;\n+int token;\n"
    said = three.patch(diff.encode())
    assert said.status == 2
    assert "42" not in said.out + said.err
    assert three.patch(mbox).functions == BROUGHT  # HEAD has it; so has the folder


def test_renames_that_head_has_already(series: Series) -> None:
    """As b4 prep --check asks: the branch is checked out."""
    repo = series.repo
    repo.git("mv", LEND, "arch/arm64/kvm/lent.c")
    repo.commit("lend: another name")
    repo.git("mv", "arch/arm64/kvm/lent.c", LEND)
    repo.write(LEND, repo.read(LEND) + MARKED)
    repo.commit("lend: back, and mark")
    first, second = (b"From " + m for m in series.mails("-M")[5:].split(b"\nFrom "))
    assert series.patch(first).functions == []
    assert series.patch(second).functions == ["1 missing-rollback lend_marked"]


def test_no_shared_index_is_left(three: Series) -> None:
    three.repo.git("config", "core.splitIndex", "true")
    mbox = three.mails()
    before = sorted(p.name for p in (three.repo.path / ".git").iterdir())
    assert three.patch(mbox).functions == BROUGHT
    assert sorted(p.name for p in (three.repo.path / ".git").iterdir()) == before


# --- hostile ones ---------------------------------------------------------------------------------

_NEW = (
    "Subject: {subject}\n\n---\ndiff --git {a} {b}\nnew file mode {mode}\nindex 0000000..1111111\n"
    "--- /dev/null\n+++ {b}\n@@ -0,0 +1 @@\n+{text}\n"
)


def new_file(name: str, subject: str = "x", mode: str = "100644", text: str = "int x;") -> bytes:
    return _NEW.format(a=f"a/{name}", b=f"b/{name}", subject=subject, mode=mode, text=text).encode()


@pytest.mark.parametrize(
    "name",
    ["../../escape.c", "/tmp/escape.c", ".git/hooks/post-commit", "a/../../b.c", ".git/config"],
)
def test_no_path_leads_out(series: Series, name: str) -> None:
    before = sorted(str(p) for p in series.repo.path.parent.rglob("*") if "cache" not in str(p))
    said = series.patch(new_file(name))
    assert said.status == 2, said
    after = sorted(str(p) for p in series.repo.path.parent.rglob("*") if "cache" not in str(p))
    assert after == before


def test_a_link_leads_nowhere(series: Series) -> None:
    said = series.patch(new_file("arch/arm64/kvm/evil.c", mode="120000", text="/etc/passwd"))
    assert said.status == 2
    assert said.err.endswith("evil.c: is a symbolic link to a place outside the tree\n")
    assert "root:" not in said.out


def test_nothing_of_a_mail_reaches_the_terminal(three: Series) -> None:
    mail = three.mails().split(b"\nFrom ")[0]
    evil = b"Subject: [PATCH] \x1b]0;owned\x07 ::error::x\n ::stop-commands::y\n"
    start, end = mail.index(b"Subject:"), mail.index(b"\n\n")
    mail = mail[:start] + evil + mail[end + 1 :]
    three.repo.git("reset", "--quiet", "--hard", "base")
    for form in ("text", "terse", "gcc", "github", "sarif"):
        said = three.kvmlint("patch", "--format", form, "--color", "never", stdin=mail)
        assert said.status == 1
        assert "\x1b" not in said.out + said.err
        assert "\x07" not in said.out + said.err
        assert not any(line.startswith(("::stop", "::error::x")) for line in said.out.splitlines())


@pytest.mark.parametrize(
    "hunk",
    [
        b"@@ -99999999999999999999,1 +1,99999999999999999999 @@\n x\n",
        b"@@ -1,4294967295 +1,4294967295 @@\n x\n",
        b"@@ -1 +1 @@\n",
        b"@@ @@\n",
        b"GIT binary patch\nliteral 99999999\nzcmZ\n",
    ],
)
def test_hunks_that_are_none(series: Series, hunk: bytes) -> None:
    name = LEND.encode()
    diff = b"diff --git a/%b b/%b\n--- a/%b\n+++ b/%b\n" % (name, name, name, name)
    said = series.patch(diff + hunk)
    assert said.status == 2
    assert said.err.count("\n") == 1


def test_a_path_of_thousands_of_folders(series: Series) -> None:
    """As long as git takes them; there is nothing in them that matters."""
    said = series.patch(new_file("a/" * 1_900 + "x.c"))
    assert (said.status, said.err) == (0, "")


def test_too_many_parts() -> None:
    part = b"--b\nContent-Type: text/plain; boundary=c\n\nx\n"
    head = b"Content-Type: multipart/mixed; boundary=b\n\n"
    patch = b"--b\n\n--- a/x\n+++ b/x\n"
    assert len(read([("mail", head + part * 10 + patch)])) == 1
    with pytest.raises(MailError, match=r"^mail has a mail of too many parts; 64 are the most$"):
        read([("mail", head + part * 100 + patch)])


def test_a_revision_that_is_an_option(series: Series) -> None:
    """base-commit: and index lines are the only words of a mail that git is given."""
    mail = new_file(LEND + ".c") + b"\nbase-commit: --upload-pack=touch${IFS}ran\n"
    assert series.patch(mail).status == 0
    mail = new_file(LEND + ".c") + b"\nbase-commit: " + b"0" * 40 + b"\n"
    assert series.patch(mail).status == 0


def test_many_patches(series: Series) -> None:
    """None of them matters to kvmlint."""
    part = b"From a@b Mon Sep 17 00:00:00 2001\n"
    mbox = b"".join(
        part + new_file(f"drivers/x{n}.c", f"[PATCH {n}/200] x") + b"-- \n2.39\n\n"
        for n in range(1, 201)
    )
    said = series.patch(mbox)
    assert said.status == 0
    assert said.functions == []


def test_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mails, "MOST_BYTES", 1000)
    with pytest.raises(MailError, match=r"^b is too large: 1000 bytes are read in all$"):
        read([("a", b"x" * 600), ("b", b"y" * 600)])
    monkeypatch.setattr(mails, "MOST_PATCHES", 1)
    patch = b"Subject: x\n\n--- a/x\n+++ b/x\n"
    with pytest.raises(MailError, match=r"^there are 2 patches; 1 are the most$"):
        read([("a", patch), ("b", patch)])


@pytest.mark.parametrize(
    "data",
    [
        b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\nContent-Type: multipart/mixed; "
        b"boundary=b\n\n" * 20_000,
        b"Subject: " + b"=?utf-8?q?x?= " * 50_000 + b"\n\n--- a/x\n+++ b/x\n",
        b"X: y\n" * 100_000 + b"\n--- a/x\n+++ b/x\n",
        b"Subject: =?nonsense?b?////?=\n\n--- a/x\n+++ b/x\n",
        b"Content-Type: text/plain; charset=\xff\nContent-Transfer-Encoding: base64\n\n====\n",
        b"Content-Type: message/rfc822\n\n" * 3_000,
        b"Content-Type: multipart/mixed; boundary=b0\n\n"
        + b"".join(
            b"--b%d\nContent-Type: multipart/mixed; boundary=b%d\n\n" % (n, n + 1)
            for n in range(10_000)
        )
        + b"--x\n" * 1_000_000,
        b"From x Mon Sep 17 00:00:00 2001\n" * 20_000,
    ],
    ids=["nested", "subject", "headers", "charset", "base64", "rfc822", "deep", "from"],
)
def test_mails_that_are_meant_to_hurt(data: bytes) -> None:
    with suppress(MailError):
        found = read([("mail", data)])
        assert len(found[0].subject) <= mails.LONGEST_SUBJECT


# --- b4 -------------------------------------------------------------------------------------------


def test_b4s_lines(three: Series) -> None:
    first, second, third = (b"From " + m for m in three.mails()[5:].split(b"\nFrom "))
    said = three.kvmlint("b4", stdin=first)
    assert (said.status, said.err) == (0, "")
    (line,) = said.out.splitlines()
    assert line.startswith(f"{LEND}:")
    assert "ERROR:missing-rollback: " in line
    assert "lend_marked" not in three.kvmlint("b4", stdin=third).out
    said = three.kvmlint("b4", stdin=third)
    assert (said.status, said.out, said.err) == (0, "", "")
    (result,) = json.loads(three.kvmlint("b4", "--json", stdin=second).out)
    assert {**result, "details": ""} == {
        "tool": "kvmlint",
        "status": "fail",
        "summary": "1 error",
        "url": "",
        "details": "",
    }
    assert "lend_marked" in result["details"]
    (result,) = json.loads(three.kvmlint("b4", "--json", stdin=third).out)
    assert (result["status"], result["details"]) == ("pass", "")


def test_b4_is_warned_of_what_cannot_be_checked(three: Series) -> None:
    mail = three.mails().replace(b" \tmutex_unlock", b" \tmutex_ERROR:")
    three.repo.git("checkout", "--quiet", "--orphan", "empty")
    three.repo.git("rm", "-rq", "--cached", ".")
    three.repo.git("commit", "--quiet", "--allow-empty", "-m", "nothing")
    three.repo.git("update-ref", "-d", "refs/heads/main")
    said = three.kvmlint("b4", stdin=mail)
    assert (said.status, said.err) == (0, "")
    (line,) = said.out.splitlines()
    assert line.startswith("kvmlint: not checked: patch 1/3 (lend: simplify) does not apply")
    assert "ERROR:" not in line
    (result,) = json.loads(three.kvmlint("b4", "--json", stdin=mail).out)
    assert result["status"] == "warn"


@pytest.mark.parametrize(
    ("mail", "why"),
    [
        pytest.param(
            b"Subject: x\nContent-Type: multipart/mixed; boundary=b\n\n" + b"boundary=b\n" * 99,
            "has a mail of too many parts",
            id="a mail that is not read",
        ),
        pytest.param(
            new_file("arch/arm64/kvm/evil.c", mode="120000", text="/etc/passwd"),
            "evil.c: is a symbolic link to a place outside the tree",
            id="a file that is not read",
        ),
    ],
)
def test_b4_never_takes_what_was_not_read_for_clean(series: Series, mail: bytes, why: str) -> None:
    said = series.kvmlint("b4", stdin=mail)
    assert (said.status, said.err) == (0, "")
    (line,) = said.out.splitlines()
    assert line.startswith("kvmlint: not checked: ")
    assert why in line
    (result,) = json.loads(series.kvmlint("b4", "--json", stdin=mail).out)
    assert result["status"] == "warn"


def test_b4_and_a_cover_letter(series: Series) -> None:
    said = series.kvmlint("b4", stdin=b"Subject: [PATCH 0/3] x\n\nhello\n")
    assert (said.status, said.out, said.err) == (0, "", "")


def test_the_real_b4(three: Series) -> None:
    """b4 prep --check on a branch with a patch that fails, one that warns, one that is clean."""
    program = Path(sys.executable).with_name("b4")
    if not program.exists():
        pytest.skip("b4 is not installed")
    bin_ = three.home / "bin"
    bin_.mkdir()
    (bin_ / "kvmlint").write_text(f"#!{sys.executable}\n{COMMAND}")
    (bin_ / "kvmlint").chmod(0o755)
    dates = ("GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE")  # b4 looks for its commits by their dates
    variables = {
        **{k: v for k, v in environment(three.home).items() if k not in dates},
        "PATH": f"{bin_}{os.pathsep}{os.environ['PATH']}",
        "XDG_CACHE_HOME": str(three.home / "cache"),
        "XDG_DATA_HOME": str(three.home / "data"),
    }
    repo = three.repo

    def run(*words: str) -> str:
        done = subprocess.run(
            words,
            cwd=repo.path, env=variables, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, timeout=300, check=False,
        )  # fmt: skip
        return done.stdout.decode()

    def b4(*words: str) -> str:
        return run(str(program), "--offline-mode", "--no-stdin", *words)

    repo.git("config", "user.name", "A")
    repo.git("config", "user.email", "a@example.com")
    repo.git("config", "b4.prep-perpatch-check-cmd", "kvmlint b4")
    repo.git("reset", "--quiet", "--hard", "base")
    said = b4("prep", "-n", "lend", "-f", "base")
    assert "Created new branch" in said, said
    three.break_it()
    run("git", "commit", "--quiet", "-am", "lend: simplify\n\nfails")
    repo.write(LEND, repo.read(LEND).replace(
        "return kvm_call_hyp_nvhe(__demo_set_limit, pages);",
        "kvm_call_hyp_nvhe(__demo_set_limit, pages);\n\treturn 0;"))  # fmt: skip
    run("git", "commit", "--quiet", "-am", "lend: never mind\n\nwarns")
    repo.write("Documentation/lend.rst", "Lend\n")
    repo.git("add", "-A")
    run("git", "commit", "--quiet", "-m", "lend: words\n\nclean")
    said = b4("prep", "--check", "-C")
    lines = [line for line in said.splitlines() if "kvmlint: " in line]
    assert len(lines) == 2, said
    assert "ERROR:missing-rollback:" in lines[0]
    assert "WARNING:ignored-return:" in lines[1]
    assert "Success: 1, Warning: 1, Error: 1" in said

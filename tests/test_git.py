"""Trees that git holds, read as folders are, whatever is in the repository."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from tests.repos import Repo, new_repo

from kvmlint.git.changes import changed_paths, staged, uncommitted
from kvmlint.git.command import GitError
from kvmlint.git.repository import Repository, find
from kvmlint.git.workbench import workbench
from kvmlint.source import (
    MAX_BYTES,
    FolderSources,
    Identified,
    OverlaySources,
    SourceError,
    Sources,
    blob_name,
)

SUFFIXES = (".c", ".h")


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    """Two commits: the first has three C files, the second changes one and removes one."""
    repo = new_repo(tmp_path / "repo")
    repo.write("arch/a.c", "int a;\n")
    repo.write("arch/kvm/b.c", "int b;\n")
    repo.write("arch/kvm/z.h", "int z;\n")
    repo.write("arch/kvm-x.c", "int x;\n")
    repo.write("arch/.hidden/h.c", "int h;\n")
    repo.write("arch/.h.c", "int h;\n")
    repo.write("README", "text\n")
    repo.commit("one")
    repo.write("arch/kvm/b.c", "int b2;\n")
    (repo.path / "arch/kvm-x.c").unlink()
    repo.commit("two")
    return repo


@pytest.fixture
def found(repo: Repo) -> Iterator[Repository]:
    with closing(find(repo.path)) as repository:
        yield repository


def listing(sources: Sources, folder: str = ".", suffixes: tuple[str, ...] = SUFFIXES) -> list[str]:
    return list(sources.walk(folder, suffixes))


def said(sources: Sources, path: str) -> bytes | str:
    """What reading gives: bytes, or why it can't be done."""
    try:
        return sources.read(path)
    except SourceError as error:
        return str(error)


# --- trees ----------------------------------------------------------------------------------------


def test_a_commit_reads_as_its_folder_would(repo: Repo, found: Repository) -> None:
    files, folder = found.files(found.commit("HEAD")), FolderSources(repo.path)
    for place in (".", "arch", "./arch/kvm", "arch/.hidden", "arch/kvm/b.c", "nowhere"):
        assert listing(files, place) == listing(folder, place)
    assert listing(files) == ["arch/a.c", "arch/kvm/b.c", "arch/kvm/z.h"]
    for path in ("arch/a.c", "arch/kvm/b.c", "arch", "arch/kvm-x.c", "arch/a.c/x", "nowhere/x.c"):
        assert files.exists(path) == folder.exists(path)
    assert files.read("arch/kvm/b.c") == b"int b2;\n"
    for path in ("arch", "arch/kvm-x.c", "nowhere/x.c"):
        assert said(files, path) == said(folder, path)


def test_an_older_commit(found: Repository) -> None:
    files = found.files(found.commit("HEAD~1"))
    assert files.read("arch/kvm/b.c") == b"int b;\n"
    assert files.exists("arch/kvm-x.c")


def test_below_a_folder(found: Repository) -> None:
    head = found.commit("HEAD")
    assert listing(found.files(head, "arch/kvm")) == ["b.c", "z.h"]
    assert listing(found.files(head, "nowhere")) == []
    assert listing(found.files(None)) == []


def test_names_of_blobs(found: Repository) -> None:
    files = found.files(found.commit("HEAD"))
    assert isinstance(files, Identified)
    assert files.blob("arch/kvm/b.c") == blob_name(b"int b2;\n")
    assert files.blob("arch") is files.blob("nowhere.c") is None


def test_odd_files(repo: Repo) -> None:
    inside = repo.path / "arch/kvm"
    (inside / "link.c").symlink_to("b.c")
    (inside / "up.c").symlink_to("../a.c")
    (inside / "folder.c").symlink_to("../kvm")
    (inside / "dangling.c").symlink_to("nowhere.c")
    (inside / "loop.c").symlink_to("loop.c")
    (repo.path / "arch/side").symlink_to("kvm")
    (inside / "nul.c").write_bytes(b"int a;\0")
    (inside / "big.c").write_bytes(b" " * (MAX_BYTES + 1))
    (inside / "just.c").write_bytes(b" " * MAX_BYTES)
    repo.commit("odd")
    folder = FolderSources(repo.path)
    with closing(find(repo.path)) as found:
        files = found.files(found.commit("HEAD"))
        assert listing(files) == listing(folder)
        names = ["link", "up", "folder", "dangling", "loop", "nul", "big", "just", "b"]
        for path in [*(f"arch/kvm/{name}.c" for name in names), "arch/side/b.c", "arch/side/no.c"]:
            assert said(files, path) == said(folder, path), path
            assert files.exists(path) == folder.exists(path), path
        assert files.read("arch/side/up.c") == b"int a;\n"


@pytest.mark.parametrize("target", ["/etc/passwd", "../../../../etc/passwd", "../../.."])
def test_no_link_leads_out_of_the_tree(repo: Repo, target: str) -> None:
    (repo.path / "arch/kvm/out.c").symlink_to(target)
    repo.commit("out")
    with closing(find(repo.path)) as found:
        files = found.files(found.commit("HEAD"))
        assert said(files, "arch/kvm/out.c") == "is a symbolic link to a place outside the tree"
        assert not files.exists("arch/kvm/out.c")


def test_a_submodule_is_no_file(repo: Repo) -> None:
    head = repo.git("rev-parse", "HEAD")
    repo.git("update-index", "--add", "--cacheinfo", f"160000,{head},arch/kvm/sub.c")
    repo.git("commit", "--quiet", "-m", "sub")
    with closing(find(repo.path)) as found:
        files = found.files(found.commit("HEAD"))
        assert "arch/kvm/sub.c" not in listing(files)
        assert said(files, "arch/kvm/sub.c") == "is a directory"


def test_a_name_that_is_not_utf_8(repo: Repo) -> None:
    name = os.fsdecode(b"arch/kvm/\xff.c")
    repo.write(name, "int o;\n")
    repo.commit("odd name")
    with closing(find(repo.path)) as found:
        files = found.files(found.commit("HEAD"))
        assert listing(files, "arch/kvm") == listing(FolderSources(repo.path), "arch/kvm")
        assert files.read(name) == b"int o;\n"


def test_objects_with_sha_256(tmp_path: Path) -> None:
    repo = new_repo(tmp_path / "new")
    repo.git("init", "--quiet", "--object-format=sha256", "inner")
    inner = Repo(repo.path / "inner")
    inner.write("arch/a.c", "int a;\n")
    inner.commit("one")
    with closing(find(inner.path)) as found:
        files = found.files(found.commit("HEAD"))
        assert listing(files) == ["arch/a.c"]
        data = b"int a;\n"
        assert files.blob("arch/a.c") == hashlib.sha256(b"blob 7\0" + data).hexdigest()
        assert files.read("arch/a.c") == data


def test_a_forked_child_reads_by_itself(found: Repository) -> None:
    """Two processes on one pipe would take each other's answers."""
    files = found.files(found.commit("HEAD"))
    before = listing(files)
    child = os.fork()
    if not child:
        code = 1
        with suppress(BaseException):
            code = 0 if said(files, "arch/kvm/b.c") == b"int b2;\n" else 1
            found.close()
        os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert files.read("arch/a.c") == b"int a;\n"
    assert listing(files) == before


def test_it_reads_on_after_git_has_gone(found: Repository) -> None:
    files = found.files(found.commit("HEAD"))
    assert files.read("arch/a.c")
    found.close()
    assert files.read("arch/kvm/b.c") == b"int b2;\n"


# --- revisions ------------------------------------------------------------------------------------


def test_revisions(repo: Repo, found: Repository) -> None:
    repo.git("tag", "-a", "-m", "x", "v1", "HEAD~1")
    repo.git("tag", "-a", "-m", "x", "v1-of-a-tag", "v1")
    one = repo.ids["one"]
    for text in ("HEAD~1", "v1", "v1-of-a-tag", one, one[:10], "HEAD^{/one}", ":/one"):
        assert found.commit(text).oid == one
    commit = found.commit("HEAD")
    assert (commit.subject, commit.abbrev) == ("two", repo.ids["two"][:12])
    assert commit.parents == (one,)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("--upload-pack=x", "'--upload-pack=x' is no revision"),
        ("-h", "'-h' is no revision"),
        ("--output=/tmp/x", "'--output=/tmp/x' is no revision"),
        ("", "'' is no revision"),
        ("HEAD\nHEAD", "'HEAD\nHEAD' is no revision"),
        ("nope", "there is no revision 'nope'"),
        ("HEAD~9", "there is no revision 'HEAD~9'"),
        ("$(touch x)", "there is no revision '$(touch x)'"),
        ("HEAD:README", "'HEAD:README' is no commit"),
        ("HEAD^{tree}", "'HEAD^{tree}' is no commit"),
        ("f" * 40, f"there is no revision '{'f' * 40}'"),
        ("HEAD..HEAD", "there is no revision 'HEAD..HEAD'"),
        ("^HEAD", "'^HEAD' is no revision"),
    ],
)
def test_what_is_no_revision(repo: Repo, found: Repository, text: str, why: str) -> None:
    with pytest.raises(GitError) as error:
        found.commit(text)
    assert str(error.value) == why
    assert not (repo.path / "x").exists()


def test_a_branch_that_looks_like_an_option(repo: Repo, found: Repository) -> None:
    repo.git("update-ref", "refs/heads/--all", "HEAD")
    with pytest.raises(GitError, match="is no revision"):
        found.commit("--all")
    assert found.commit("refs/heads/--all").oid == repo.ids["two"]


def test_upstream(repo: Repo, tmp_path: Path) -> None:
    with closing(find(repo.path)) as found:
        assert found.upstream() is None  # the only branch is the one that is checked out
        repo.git("switch", "--quiet", "-c", "topic")
        upstream = found.upstream()
        assert upstream is not None
        assert upstream.oid == repo.ids["two"]
        repo.git("branch", "base", "HEAD~1")
        repo.git("branch", "--set-upstream-to=base", "topic")
        upstream = found.upstream()
        assert upstream is not None
        assert upstream.oid == repo.ids["one"]
    repo.git("switch", "--quiet", "main")
    repo.git("clone", "--quiet", ".", str(tmp_path / "clone"))
    clone = Repo(tmp_path / "clone")
    clone.git("switch", "--quiet", "--no-track", "-c", "topic")
    clone.write("arch/a.c", "int a2;\n")
    clone.commit("three")
    with closing(find(clone.path)) as found:
        upstream = found.upstream()
        assert upstream is not None
        assert upstream.oid == repo.ids["two"]


# --- where a repository is ------------------------------------------------------------------------


def test_bare_linked_and_inner(repo: Repo, tmp_path: Path) -> None:
    repo.git("clone", "--quiet", "--bare", ".", str(tmp_path / "bare.git"))
    repo.git("worktree", "add", "--quiet", "--detach", str(tmp_path / "linked"), "HEAD~1")
    places = {
        tmp_path / "bare.git": None,
        tmp_path / "linked": tmp_path / "linked",
        repo.path / "arch/kvm": repo.path,
        repo.path / ".git": None,
    }
    for folder, work_tree in places.items():
        with closing(find(folder)) as found:
            assert found.work_tree == work_tree
            head = found.commit("HEAD")
            assert head.subject == ("one" if work_tree == tmp_path / "linked" else "two")
            assert found.files(head).exists("arch/a.c")


def test_no_repository(tmp_path: Path) -> None:
    with pytest.raises(GitError, match=r"is not in a git repository$"):
        find(tmp_path)


def test_no_git(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(repo.path))
    with pytest.raises(GitError, match=r"^git is not installed$"):
        find(repo.path)


def test_another_repository_in_the_environment_is_not_taken(
    repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hook of one repository may run kvmlint on another one."""
    other = new_repo(tmp_path / "other")
    other.write("arch/o.c", "int o;\n")
    other.commit("other")
    monkeypatch.setenv("GIT_DIR", str(other.path / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other.path / ".git/index"))
    with closing(find(repo.path)) as found:
        assert found.commit("HEAD").subject == "two"
        assert staged(found, found.head(), "", SUFFIXES).changed == {}


def test_a_shallow_clone(repo: Repo, tmp_path: Path) -> None:
    url = f"file://{repo.path}"
    repo.git("clone", "--quiet", "--depth=1", url, str(tmp_path / "shallow"))
    with closing(find(tmp_path / "shallow")) as found:
        head = found.commit("HEAD")
        assert found.shallow
        assert found.files(head).read("arch/kvm/b.c") == b"int b2;\n"
        with pytest.raises(GitError, match=r"'HEAD~1' \(this is a shallow clone"):
            found.commit("HEAD~1")


def test_a_partial_clone_fetches_nothing(repo: Repo, tmp_path: Path) -> None:
    repo.git("config", "uploadpack.allowFilter", "true")
    url = f"file://{repo.path}"
    words = ("clone", "--quiet", "--no-checkout", "--filter=blob:none", url)
    repo.git(*words, str(tmp_path / "partial"))
    with closing(find(tmp_path / "partial")) as found:
        files = found.files(found.commit("HEAD"))
        assert listing(files) == ["arch/a.c", "arch/kvm/b.c", "arch/kvm/z.h"]
        assert "can't be read" in str(said(files, "arch/a.c"))
    before = Repo(tmp_path / "partial").git("count-objects", "-v")
    assert "int a" not in before


# --- what differs ---------------------------------------------------------------------------------


def test_changed_paths(repo: Repo, found: Repository) -> None:
    (repo.path / "README").unlink()
    repo.write("README/deep/n.c", "int n;\n")  # a folder where a file was
    (repo.path / "arch/a.c").chmod(0o755)
    repo.git("mv", "arch/kvm", "arch/mvk")
    repo.commit("three")
    one, two, three = (found.files(found.commit(text)) for text in ("HEAD~2", "HEAD~1", "HEAD"))
    assert list(changed_paths(one, two)) == ["arch/kvm-x.c", "arch/kvm/b.c"]
    assert list(changed_paths(two, two)) == []
    assert sorted(changed_paths(two, three)) == [
        "README",
        "README/deep/n.c",
        "arch/a.c",
        "arch/kvm/b.c",
        "arch/kvm/z.h",
        "arch/mvk/b.c",
        "arch/mvk/z.h",
    ]
    assert list(changed_paths(found.files(None), two)) == [
        "README",
        "arch/.h.c",
        "arch/.hidden/h.c",
        "arch/a.c",
        "arch/kvm/b.c",
        "arch/kvm/z.h",
    ]


def test_what_is_staged_and_what_is_not(repo: Repo, found: Repository) -> None:
    repo.write("arch/a.c", "int staged;\n")
    repo.write("arch/kvm/new.c", "int n;\n")
    repo.git("rm", "--quiet", "arch/kvm/z.h")
    repo.git("add", "-A")
    repo.write("arch/a.c", "int on_disk;\n")
    repo.write("arch/kvm/untracked.c", "int u;\n")
    repo.write("other/untracked.c", "int u;\n")
    repo.write("arch/kvm/ignored.c", "int i;\n")
    repo.write(".git/info/exclude", "ignored.c\n")
    repo.write("README", "changed\n")
    head = found.head()
    new = {"arch/kvm/new.c": b"int n;\n", "arch/kvm/z.h": None}
    assert staged(found, head, "", SUFFIXES).changed == {"arch/a.c": b"int staged;\n", **new}
    assert uncommitted(found, head, "", SUFFIXES, ("arch",)).changed == {
        "arch/a.c": b"int on_disk;\n",
        "arch/kvm/untracked.c": b"int u;\n",
        **new,
    }
    inner = uncommitted(found, head, "arch/kvm", SUFFIXES, (".",))
    assert inner.changed == {"new.c": b"int n;\n", "z.h": None, "untracked.c": b"int u;\n"}
    assert listing(inner) == ["b.c", "new.c", "untracked.c"]


def test_what_only_looks_changed(repo: Repo, found: Repository) -> None:
    os.utime(repo.path / "arch/a.c", (1, 1))
    (repo.path / "arch/kvm/b.c").write_bytes(b"int b2;\r\n")
    (repo.path / "arch/kvm/z.h").chmod(0o755)
    assert uncommitted(found, found.head(), "", SUFFIXES, ("arch",)).changed == {}


def test_before_the_first_commit(tmp_path: Path) -> None:
    repo = new_repo(tmp_path / "young")
    repo.write("arch/a.c", "int a;\n")
    with closing(find(repo.path)) as found:
        assert found.head() is None
        assert staged(found, None, "", SUFFIXES).changed == {}
        files = uncommitted(found, None, "", SUFFIXES, ("arch",))
        assert files.changed == {"arch/a.c": b"int a;\n"}
        repo.git("add", "-A")
        assert staged(found, None, "", SUFFIXES).changed == files.changed


def test_a_file_with_conflicts_is_not_staged(repo: Repo, found: Repository) -> None:
    blob = repo.git("rev-parse", "HEAD:arch/a.c")
    lines = f"0 {'0' * 40} 0\tarch/a.c\n100644 {blob} 2\tarch/a.c\n100644 {blob} 3\tarch/a.c\n"
    repo.git("update-index", "--index-info", stdin=lines.encode())
    with pytest.raises(GitError, match=r"^arch/a\.c is not merged yet"):
        staged(found, found.head(), "", SUFFIXES)


def test_no_link_of_the_work_tree_is_followed(repo: Repo, found: Repository) -> None:
    secret = repo.path.parent / "secret"
    secret.mkdir()
    (secret / "b.c").write_text("int secret;\n")
    (repo.path / "arch/a.c").unlink()
    (repo.path / "arch/a.c").symlink_to(secret / "b.c")
    for name in ("b.c", "z.h"):
        (repo.path / "arch/kvm" / name).unlink()
    (repo.path / "arch/kvm").rmdir()
    (repo.path / "arch/kvm").symlink_to(secret)
    files = uncommitted(found, found.head(), "", SUFFIXES, ("arch",))
    assert dict(files.changed) == {"arch/a.c": None, "arch/kvm/b.c": None, "arch/kvm/z.h": None}


# --- a repository that means harm -----------------------------------------------------------------


def test_nothing_that_a_repository_names_is_run(repo: Repo, tmp_path: Path) -> None:
    """The configuration of a repository can name commands; so can its attributes."""
    ran = tmp_path / "ran"
    script = tmp_path / "evil"
    script.write_text(f"#!/bin/sh\ntouch '{ran}'\ncat\n")
    script.chmod(0o755)
    repo.write(".gitattributes", "*.c filter=evil diff=evil\n")
    for name in (
        "core.fsmonitor", "core.pager", "core.editor", "core.sshCommand", "diff.external",
        "filter.evil.clean", "filter.evil.smudge", "filter.evil.process", "diff.evil.textconv",
        "diff.evil.command", "gpg.program", "pager.diff-index", "credential.helper",
    ):  # fmt: skip
        repo.git("config", name, str(script))
    repo.git("config", "log.showSignature", "true")
    repo.git("config", "core.untrackedCache", "true")
    hooks = repo.path / ".git/hooks"
    hooks.mkdir(exist_ok=True)
    for hook in ("post-index-change", "fsmonitor-watchman", "pre-commit", "reference-transaction"):
        (hooks / hook).write_text(script.read_text())
        (hooks / hook).chmod(0o755)
    repo.write("arch/a.c", "int other;\n")
    # To git every file may have changed while the index was written: it compares contents.
    os.utime(repo.path / ".git/index", (1, 1))
    with closing(find(repo.path)) as found:
        head = found.head()
        assert head is not None
        found.upstream()
        found.merge_base(head, head)
        found.between(found.commit("HEAD~1"), head)
        assert staged(found, head, "", SUFFIXES).changed == {}
        assert uncommitted(found, head, "", SUFFIXES, ("arch",)).changed == {
            "arch/a.c": b"int other;\n"
        }
        assert found.files(head).read("arch/a.c") == b"int a;\n"
    assert not ran.exists()


def test_a_filter_of_an_odd_name_is_refused(repo: Repo, found: Repository) -> None:
    """git -c takes it for another name, and would run the filter."""
    repo.git("config", "filter.a=b.clean", "false")
    with pytest.raises(GitError, match=r"has a filter of an odd name: filter\.a=b\.clean$"):
        uncommitted(found, found.head(), "", SUFFIXES, ("arch",))


def test_an_index_that_leads_out_of_the_tree(repo: Repo, found: Repository) -> None:
    """Git itself refuses to add such a path; one that is there already it believes."""
    repo.write("aa/b.c", "int inside;\n")
    repo.git("add", "-A")
    (repo.path.parent / "b.c").write_text("int secret;\n")
    index = repo.path / ".git/index"
    data = index.read_bytes()[:-20].replace(b"aa/b.c", b"../b.c")
    index.write_bytes(data + hashlib.sha1(data).digest())
    assert "../b.c" in repo.git("ls-files")
    assert uncommitted(found, found.head(), "", SUFFIXES, ("arch",)).changed.get("../b.c") is None


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("commit", b"nothing at all\n"),
        ("commit", b"tree HEAD\n\nsubject\n"),
        ("tag", b"object HEAD\ntype commit\n\ntext\n"),
        ("blob", b"text\n"),
    ],
)
def test_damaged_commits(repo: Repo, found: Repository, kind: str, text: bytes) -> None:
    words = ("hash-object", "-w", "--literally", "-t", kind, "--stdin")
    oid = repo.git(*words, stdin=text)
    with pytest.raises(GitError, match=f"^'{oid}' is no commit$"):
        found.commit(oid)


@pytest.mark.parametrize("text", [b"100644 a.c\0short", b"no mode\0" + b"1" * 20, b"nothing"])
def test_damaged_trees(repo: Repo, found: Repository, text: bytes) -> None:
    words = ("hash-object", "-w", "--literally", "-t", "tree", "--stdin")
    tree = repo.git(*words, stdin=text)
    commit = f"tree {tree}\nauthor A <a> 0 +0000\ncommitter A <a> 0 +0000\n\nx\n".encode()
    oid = repo.git("hash-object", "-w", "-t", "commit", "--stdin", stdin=commit)
    with pytest.raises(GitError, match=f"^tree {tree[:12]} is damaged$"):
        changed_paths(found.files(found.commit("HEAD")), found.files(found.commit(oid)))
    assert (
        said(found.files(found.commit(oid)), "a.c") == f"can't be read: tree {tree[:12]} is damaged"
    )


def test_a_very_deep_tree(repo: Repo, found: Repository) -> None:
    inner = repo.git("rev-parse", "HEAD:arch")
    lines = b""
    for _ in range(1500):
        raw = b"40000 d\0" + bytes.fromhex(inner)
        inner = hashlib.sha1(b"tree %d\0%b" % (len(raw), raw)).hexdigest()
        lines += b"040000 tree %b\td\n\n" % raw[-20:].hex().encode()
    repo.git("mktree", "--batch", stdin=lines)
    oid = repo.git("commit-tree", "-m", "deep", inner)
    paths = changed_paths(found.files(None), found.files(found.commit(oid)))
    assert f"{'d/' * 1500}a.c" in paths


# --- changes on top -------------------------------------------------------------------------------


def test_a_series_reads_the_tree_once(
    repo: Repo, found: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    patches = []
    for number in range(4):
        repo.write("arch/a.c", f"int a{number};\n")
        repo.commit(f"a {number}")
        patches.append(repo.git("diff", "HEAD~1").encode() + b"\n")
    ran: list[str] = []
    git = Repository.git

    def noting(
        self: Repository, *words: str, fine: tuple[int, ...] = (0,), stdin: bytes = b""
    ) -> bytes:
        ran.append(words[0])
        return git(self, *words, fine=fine, stdin=stdin)

    monkeypatch.setattr(Repository, "git", noting)
    start = found.commit("HEAD~4").tree
    with workbench(found) as bench:
        tree = start
        for number, patch in enumerate(patches):
            tree = bench.apply(tree, patch)
            assert tree == found.commit(f"HEAD~{3 - number}").tree
        assert ran.count("read-tree") == 1
        with pytest.raises(GitError, match="patch failed"):
            bench.apply(tree, patches[0])
        for patch in reversed(patches):
            tree = bench.apply(tree, patch, undo=True)
        assert tree == start
        assert bench.apply(found.commit("HEAD~2").tree, patches[2]) == found.commit("HEAD~1").tree


def test_an_overlay(repo: Repo) -> None:
    over = OverlaySources(
        FolderSources(repo.path),
        {
            "arch/a.c": b"int new;\n",
            "arch/kvm/b.c": None,
            "arch/kvm/added.c": b"int added;\n",
            "arch/kvm/.hidden.c": b"",
            "arch/new/deep/n.c": b"",
            "arch/nul.c": b"\0",
            "top.c": b" " * (MAX_BYTES + 1),
        },
    )
    assert listing(over) == [
        "arch/a.c", "arch/kvm/added.c", "arch/kvm/z.h", "arch/new/deep/n.c", "arch/nul.c", "top.c",
    ]  # fmt: skip
    assert listing(over, "arch/kvm", (".c",)) == ["arch/kvm/added.c"]
    assert listing(over, "./arch/new") == ["arch/new/deep/n.c"]
    assert listing(over, "arch/ne") == []
    assert over.read("arch/a.c") == b"int new;\n"
    assert over.read("arch/kvm/z.h") == b"int z;\n"
    assert said(over, "arch/kvm/b.c") == said(FolderSources(repo.path), "nowhere.c")
    assert said(over, "arch/nul.c") == "is binary: it holds NUL bytes"
    assert "is too large" in str(said(over, "top.c"))
    assert over.exists("arch/kvm/added.c")
    assert over.exists("arch/kvm/z.h")
    assert not over.exists("arch/kvm/b.c")
    assert over.blob("arch/a.c") == blob_name(b"int new;\n")
    assert over.blob("arch/kvm/z.h") == blob_name(b"int z;\n")
    assert over.blob("arch/kvm/b.c") is None

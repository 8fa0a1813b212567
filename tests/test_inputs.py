"""Whatever is thrown at it: a line for each problem, the exit status, and the rest analysed."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pytest

from kvmlint import cli
from kvmlint.source import MAX_BYTES

ROOT = Path(__file__).resolve().parent.parent

CALL = b"kvm_call_hyp_nvhe(__x, pfn)"
BUG = b"""static int f(struct kvm *kvm, u64 pfn)
{
	struct node *n;
	int ret;

	n = kzalloc(sizeof(*n), GFP_KERNEL);
	if (!n)
		return -ENOMEM;
	rb_insert_color(&n->node, &kvm->root);
	ret = kvm_call_hyp_nvhe(__x, pfn);
	if (ret)
		return ret;
	return 0;
}
"""
BUG_LINE = 10
HANGS = 300
"""Seconds after which a run is taken to hang. No measure of speed: that is make bench's."""


class Said:
    """What one run printed, and its exit status."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def findings(self) -> list[str]:
        """``path:line`` of each finding."""
        lines = [line for line in self.out.splitlines() if line.endswith("[missing-rollback]")]
        return [":".join(line.split(":")[:2]) for line in lines]

    @property
    def problems(self) -> list[str]:
        """The lines on standard error."""
        assert "Traceback" not in self.err
        assert "internal error" not in self.err
        return self.err.splitlines()


class Kvmlint(Protocol):
    """Runs ``kvmlint ARGS``."""

    def __call__(self, *args: str | Path, stdin: bytes = b"") -> Said: ...


@pytest.fixture
def kvmlint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Kvmlint:
    """Runs the command in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*args: str | Path, stdin: bytes = b"") -> Said:
        monkeypatch.setattr(sys, "argv", ["kvmlint", *(str(arg) for arg in args)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        signal.alarm(HANGS)
        try:
            with pytest.raises(SystemExit) as stop:
                cli.main()
        finally:
            signal.alarm(0)
        out, err = capsys.readouterr()
        assert isinstance(stop.value.code, int)
        return Said(stop.value.code, out, err)

    return run


# --- files that can't be analysed -----------------------------------------------------------------


def refuse_binary(path: Path) -> None:
    path.write_bytes(b"\x7fELF\x02\x01\x01" + bytes(range(256)))


def refuse_nul(path: Path) -> None:
    path.write_bytes(BUG[:60] + b"\0" + BUG[60:])


def refuse_utf_16(path: Path) -> None:
    path.write_bytes(BUG.decode().encode("utf-16"))


def refuse_huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(50 * 1024 * 1024)


def refuse_just_too_large(path: Path) -> None:
    path.write_bytes(BUG + b" " * (MAX_BYTES + 1 - len(BUG)))


def refuse_missing(path: Path) -> None:
    assert not path.exists()


def refuse_link_loop(path: Path) -> None:
    path.symlink_to(path.with_name("other.c"))
    path.with_name("other.c").symlink_to(path)


def refuse_dangling(path: Path) -> None:
    path.symlink_to("nowhere.c")


def refuse_fifo(path: Path) -> None:
    os.mkfifo(path)


def refuse_forbidden(path: Path) -> None:
    path.write_bytes(BUG)
    path.chmod(0)
    if os.geteuid() == 0:
        pytest.skip("nothing is forbidden to root")


def refuse_empty_folder(path: Path) -> None:
    path.mkdir()


def refuse_folder_without_c(path: Path) -> None:
    path.mkdir()
    (path / "bug.h").write_bytes(BUG)
    (path / ".bug.c").write_bytes(BUG)


REFUSED = {
    refuse_binary: "is binary: it holds NUL bytes",
    refuse_nul: "is binary: it holds NUL bytes",
    refuse_utf_16: "is binary: it holds NUL bytes",
    refuse_huge: "is too large (52428800 bytes, the limit is 16777216)",
    refuse_just_too_large: "is too large (16777217 bytes, the limit is 16777216)",
    refuse_missing: "no such file or directory",
    refuse_link_loop: "too many levels of symbolic links",
    refuse_dangling: "no such file or directory",
    refuse_fifo: "is not a regular file",
    refuse_forbidden: "permission denied",
    refuse_empty_folder: "holds no C file",
    refuse_folder_without_c: "holds no C file",
}


@pytest.mark.parametrize(
    ("make", "reason"), REFUSED.items(), ids=lambda one: getattr(one, "__name__", "")
)
def test_refused(
    make: Callable[[Path], None], reason: str, kvmlint: Kvmlint, tmp_path: Path
) -> None:
    (tmp_path / "good.c").write_bytes(BUG)
    (tmp_path / "last.c").write_bytes(BUG)
    make(tmp_path / "it.c")
    said = kvmlint("good.c", "it.c", "last.c")
    assert said.problems == [f"kvmlint: it.c: {reason}"]
    assert said.findings == [f"good.c:{BUG_LINE}", f"last.c:{BUG_LINE}"]
    assert said.code == 2


def test_refused_in_a_folder_too(kvmlint: Kvmlint, tmp_path: Path) -> None:
    (tmp_path / "good.c").write_bytes(BUG)
    refuse_nul(tmp_path / "it.c")
    refuse_link_loop(tmp_path / "loop.c")
    said = kvmlint(".", "-j2")
    assert [line.split(": ")[1] for line in said.problems] == ["it.c", "loop.c", "other.c"]
    assert (said.findings, said.code) == ([f"good.c:{BUG_LINE}"], 2)


def test_a_name_too_long(kvmlint: Kvmlint, tmp_path: Path) -> None:
    (tmp_path / "good.c").write_bytes(BUG)
    name = "a" * 300 + ".c"
    said = kvmlint(name, "good.c")
    assert said.problems == [f"kvmlint: {name}: file name too long"]
    assert (said.findings, said.code) == ([f"good.c:{BUG_LINE}"], 2)


def test_names_that_are_none(kvmlint: Kvmlint, tmp_path: Path) -> None:
    (tmp_path / "good.c").write_bytes(BUG)
    said = kvmlint("", "good.c/x.c", "*.c", "good.c")
    assert said.problems == [
        "kvmlint: '': is an empty path",
        "kvmlint: *.c: no such file or directory",
        "kvmlint: good.c/x.c: not a directory",
    ]
    assert (said.findings, said.code) == ([f"good.c:{BUG_LINE}"], 2)


def test_a_folder_that_cant_be_read(
    kvmlint: Kvmlint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "d" / "secret").mkdir(parents=True)
    (tmp_path / "d" / "good.c").write_bytes(BUG)
    scan = os.scandir

    def forbidden(path: str) -> object:
        if str(path).endswith("secret"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", forbidden)
    said = kvmlint("d")
    assert said.problems == ["kvmlint: d/secret: permission denied"]
    assert (said.findings, said.code) == ([f"d/good.c:{BUG_LINE}"], 2)


def test_a_read_that_fails_half_way(
    kvmlint: Kvmlint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("bad.c", "good.c"):
        (tmp_path / name).write_bytes(BUG)
    read = Path.read_bytes

    def broken(path: Path) -> bytes:
        if path.name == "bad.c":
            raise OSError(5, "Input/output error")
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", broken)
    said = kvmlint("bad.c", "good.c")
    assert said.problems == ["kvmlint: bad.c: input/output error"]
    assert (said.findings, said.code) == ([f"good.c:{BUG_LINE}"], 2)


# --- which files ----------------------------------------------------------------------------------


def test_a_folder_called_like_a_file(kvmlint: Kvmlint, tmp_path: Path) -> None:
    (tmp_path / "x.c").mkdir()
    (tmp_path / "x.c" / "y.c").write_bytes(BUG)
    for given in ("x.c", "."):
        said = kvmlint(given)
        assert (said.problems, said.findings, said.code) == ([], [f"x.c/y.c:{BUG_LINE}"], 1)


def test_a_folder_that_holds_itself(kvmlint: Kvmlint, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "a.c").write_bytes(BUG)
    (tmp_path / "d" / "self").symlink_to("../d")
    said = kvmlint("d")
    assert (said.problems, said.findings, said.code) == ([], [f"d/a.c:{BUG_LINE}"], 1)


def test_the_same_file_however_it_is_named(kvmlint: Kvmlint, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "a.c").write_bytes(BUG)
    said = kvmlint("a.c", "a.c", "./a.c", "d/../a.c", tmp_path / "a.c", ".", "nope.c", "nope.c")
    assert said.findings == [f"a.c:{BUG_LINE}"]
    assert said.problems == ["kvmlint: nope.c: no such file or directory"]
    assert said.code == 2


def test_outside_the_tree(kvmlint: Kvmlint, tmp_path: Path) -> None:
    for name in ("tree/arch/a.c", "tree/b.c", "elsewhere/c.c"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(BUG)
    (tmp_path / "tree" / "link.c").symlink_to("../elsewhere/c.c")
    outside = f"{tmp_path}/elsewhere/c.c: is outside the kernel tree {tmp_path}/tree"
    for given in (("tree/b.c", "elsewhere"), ("--tree", "tree", "elsewhere/c.c", "tree/b.c")):
        said = kvmlint(*given)
        assert said.problems == [f"kvmlint: {outside}"]
        assert (said.findings, said.code) == ([f"b.c:{BUG_LINE}"], 2)
    # A link in the tree is in the tree; without a tree there is no outside.
    assert kvmlint("tree/link.c").findings == [f"link.c:{BUG_LINE}"]
    said = kvmlint("elsewhere", tmp_path / "elsewhere" / "c.c")
    assert (said.problems, said.findings) == ([], [f"elsewhere/c.c:{BUG_LINE}"])


def test_a_tree_that_is_no_folder(kvmlint: Kvmlint, tmp_path: Path) -> None:
    (tmp_path / "a.c").write_bytes(BUG)
    for tree in ("a.c", "nowhere"):
        said = kvmlint("--tree", tree, "a.c")
        assert (said.out, said.code) == ("", 2)
        assert tree in said.problems[-1]


# --- texts that are analysed ----------------------------------------------------------------------

READ = {
    "bom": b"\xef\xbb\xbf" + BUG,
    "crlf": BUG.replace(b"\n", b"\r\n"),
    "form-feed": b"\x0c" + BUG,
    "no-last-line-end": BUG.rstrip(b"\n"),
    "invalid-utf-8": BUG.replace(b"(struct kvm", b"(/* \xe9 */ struct kv\xe9"),
    "controls": BUG.replace(b"return 0;", b"return 0; /* \x01\x7f\x1b */"),
}


@pytest.mark.parametrize("name", READ)
def test_read_as_if_nothing_was_odd(name: str, kvmlint: Kvmlint, tmp_path: Path) -> None:
    (tmp_path / "a.c").write_bytes(READ[name])
    said = kvmlint("a.c", "--show-notifications")
    assert (said.problems, said.findings, said.code) == ([], [f"a.c:{BUG_LINE}"], 1)
    assert "not analysed" not in said.out


def test_old_mac_line_ends(kvmlint: Kvmlint, tmp_path: Path) -> None:
    (tmp_path / "a.c").write_bytes(BUG.replace(b"\n", b"\r"))
    assert kvmlint("a.c").findings == ["a.c:1"]


def test_empty(kvmlint: Kvmlint, tmp_path: Path) -> None:
    for data in (b"", b"\n", b"\xef\xbb\xbf", b"/* nothing */"):
        (tmp_path / "a.c").write_bytes(data)
        said = kvmlint("a.c")
        assert (said.problems, said.findings, said.code) == ([], [], 0)


def nested(before: bytes, after: bytes = b"", times: int = 10_000) -> bytes:
    return b"int g(u64 pfn)\n{\n\t" + before * times + CALL + after * times + b";\n}\n" + BUG


def long(line: str, times: int = 20_000, end: str = "return ret;") -> bytes:
    body = "".join(f"\t{line.replace('#', str(number))}\n" for number in range(times))
    start = f"int g(u64 pfn)\n{{\n\tint ret = {CALL.decode()};\n"
    return f"{start}{body}\t{end}\n}}\n".encode() + BUG


GIVEN_UP = {
    "blocks": nested(b"{", b";}"),
    "blocks-in-lines": nested(b"if (a) {\n", b";\n}"),
    "ifs": nested(b"if (a) "),
    "brackets": nested(b"a[", b"]"),
    "calls": nested(b"a(", b")"),
    "operators": nested(b"!"),
    "sum": nested(b"a + "),
    "conditionals": nested(b"a ? b : "),
    "branches": long("if (a#)\n\t\tret = b#();", 10_000),
    "returns": long("if (f#()) return -#;"),
    "stores": long("p->f# = #;"),
    "hypercalls": long(f"ret |= {CALL.decode()};"),
    "declared": long("int v# = a[#];", 30_000),
    "memory": long("v# = kzalloc(#, 1);"),
    "cases": long("case #: ret = f#(); break;", 7_000, "}").replace(b";\n", b"; switch (a) {\n", 1),
    "one-line": b"int g(u64 pfn) {" + b" a(b, c);" * 100_000 + CALL + b"; }\n" + BUG,
}


@pytest.mark.parametrize("name", GIVEN_UP)
def test_given_up_and_the_next_function_analysed(
    name: str, kvmlint: Kvmlint, tmp_path: Path
) -> None:
    data = GIVEN_UP[name]
    (tmp_path / "a.c").write_bytes(data)
    said = kvmlint("a.c", "--show-notifications")
    line = data.count(b"\n") - BUG.count(b"\n") + BUG_LINE
    assert (said.problems, said.findings, said.code) == ([], [f"a.c:{line}"], 1)
    told = [line for line in said.out.splitlines() if line.startswith("a.c:1")]
    assert any(word in text for text in told for word in ("deep", "too large", "too many")), told


ANALYSED = {
    "parentheses": nested(b"(", b")"),
    "parentheses-unclosed": nested(b"("),
    "stars": b"int g(u64 pfn)\n{\n\tint " + b"*" * 10_000 + b"p = " + CALL + b";\n}\n" + BUG,
    "head": b"int " + b"(" * 10_000 + b"g" + b")" * 10_000 + b"(void)\n{\n}\n" + BUG,
    "else-ifs": b"void g(void)\n{\n" + b"if (a) b(); else " * 10_000 + b"c();\n}\n" + BUG,
    "if-0": b"#if A\n" * 10_000 + b"#endif\n" * 10_000 + BUG,
    "elif": b"#if A\n" + b"#elif B\n" * 10_000 + b"#endif\n" + BUG,
    "not": b"#if " + b"!" * 10_000 + b"A\n#endif\n" + BUG,
    "closing": b"}" * 500_000 + b"\n" + BUG,
    "pairs": b"()" * 200_000 + b"{}" * 200_000 + b"\n" + BUG,
    "backslashes": b"\\\n" * 100_000 + BUG,
    "hashes": b"#" * 1_000_000 + b"\n" + BUG,
    "quotes": b'"' * 500_001 + b"\n" + BUG,
    "blanks": b" " * 2_000_000 + BUG,
    "lines": b"\n" * 1_000_000 + BUG,
    "functions": b"int q(void)\n{\n\treturn 0;\n}\n" * 20_000 + BUG,
    "declarations": long("int v# = a[#];", 5_000),
    "mutual-recursion": b"".join(
        b"int q%d(u64 pfn)\n{\n\tif (" % number
        + b" || ".join(b"q%d(pfn)" % other for other in range(12))
        + b")\n\t\treturn 1;\n\treturn "
        + CALL
        + b";\n}\n"
        for number in range(12)
    )
    + BUG,
    "chain": b"".join(
        b"int q%d(void)\n{\n\treturn q%d();\n}\n" % (number, number + 1) for number in range(3_000)
    )
    + b"int q3000(u64 pfn)\n{\n\treturn "
    + CALL
    + b";\n}\n"
    + BUG,
}


@pytest.mark.parametrize("name", ANALYSED)
def test_large_and_strange(name: str, kvmlint: Kvmlint, tmp_path: Path) -> None:
    data = ANALYSED[name]
    (tmp_path / "a.c").write_bytes(data)
    said = kvmlint("a.c", "--select", "missing-rollback")
    line = data.count(b"\n") - BUG.count(b"\n") + BUG_LINE
    assert (said.problems, said.findings, said.code) == ([], [f"a.c:{line}"], 1)


def test_a_file_at_the_limit(kvmlint: Kvmlint, tmp_path: Path) -> None:
    (tmp_path / "a.c").write_bytes(BUG + b" " * (MAX_BYTES - len(BUG)))
    assert kvmlint("a.c").findings == [f"a.c:{BUG_LINE}"]


@pytest.mark.parametrize(
    "broken",
    [b"int g(void)\n{\n\tif (a) {\n}\n\n", b"int g(void)\n{\n}\n}\n\n", b"}}\n{\n\n"],
    ids=["open", "closed", "both"],
)
def test_unbalanced_braces(broken: bytes, kvmlint: Kvmlint, tmp_path: Path) -> None:
    (tmp_path / "a.c").write_bytes(broken + BUG)
    said = kvmlint("a.c", "--show-notifications")
    line = broken.count(b"\n") + BUG_LINE
    assert (said.problems, said.findings, said.code) == ([], [f"a.c:{line}"], 1)
    assert "unbalanced braces" in said.out


def test_truncated_anywhere(kvmlint: Kvmlint, tmp_path: Path) -> None:
    for end in range(0, len(BUG), 7):
        (tmp_path / "a.c").write_bytes(BUG + BUG.replace(b" f(", b" h(")[:end])
        said = kvmlint("a.c", "--show-notifications")
        assert (said.problems, said.findings, said.code) == ([], [f"a.c:{BUG_LINE}"], 1)
        opened = end > BUG.index(b"{")
        assert ("unbalanced braces" in said.out) == opened


# --- terminals ------------------------------------------------------------------------------------

ESCAPE = "\x1b]0;evil\x07\x1b[31m"


def test_escapes_never_reach_the_terminal(kvmlint: Kvmlint, tmp_path: Path) -> None:
    code = BUG.replace(b"sizeof(*n)", f'"{ESCAPE}\u202e\u2028\x9b"'.encode())
    code = code.replace(b"= kzalloc", f"= {ESCAPE}kzalloc".encode())
    name = tmp_path / f"a{ESCAPE}\n\udce9.c"
    name.write_bytes(code)
    (tmp_path / f"{ESCAPE}.d").mkdir()
    for form in ("text", "terse"):
        for colour in ("never", "always"):
            said = kvmlint(
                "--format", form, "--color", colour, "--show-notifications",
                name.name, f"{ESCAPE}.d", f"no{ESCAPE}\n.c",
            )  # fmt: skip
            assert len(said.problems) == 2
            assert said.code == 2
            for char in "\x07\x9b\u202e\u2028\udce9":
                assert char not in said.out + said.err
            assert "\x1b]" not in said.out + said.err
            assert ("\x1b" in said.out) <= (colour == "always")
            assert "\x1b" not in said.err
            assert "\\x1b]0;evil\\x07" in said.out


# --- standard input -------------------------------------------------------------------------------


def test_stdin(kvmlint: Kvmlint, tmp_path: Path) -> None:
    (tmp_path / "a.c").write_bytes(BUG)
    said = kvmlint("-", "-", "a.c", stdin=BUG)
    assert said.findings == [f"<stdin>:{BUG_LINE}", f"a.c:{BUG_LINE}"]
    assert (said.problems, said.code) == ([], 1)
    assert kvmlint("-").code == 0


def test_stdin_is_binary(kvmlint: Kvmlint, tmp_path: Path) -> None:
    (tmp_path / "a.c").write_bytes(BUG)
    said = kvmlint("-", "a.c", stdin=BUG + b"\0")
    assert said.problems == ["kvmlint: <stdin>: is binary: it holds NUL bytes"]
    assert (said.findings, said.code) == ([f"a.c:{BUG_LINE}"], 2)


def test_stdin_under_a_strange_name(kvmlint: Kvmlint) -> None:
    said = kvmlint("-", "--stdin-filename", f"{ESCAPE}/{'x' * 300}.c", stdin=BUG)
    assert said.code == 1
    assert said.problems == []
    assert "\x1b" not in said.out


@pytest.mark.parametrize("redirect", ["<&-", "</dev/null"])
def test_stdin_without_text(redirect: str) -> None:
    paths = os.pathsep.join(str(ROOT / name) for name in ("analyzer", "rules"))
    done = subprocess.run(
        ["sh", "-c", f'exec "$0" -m kvmlint - {redirect}', sys.executable],
        capture_output=True,
        check=False,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
    )
    if redirect == "<&-":
        assert (done.returncode, done.stderr) == (2, "Error: standard input is closed\n")
    else:
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# --- ourselves ------------------------------------------------------------------------------------


def test_a_bug_of_ours_costs_one_function(
    kvmlint: Kvmlint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kvmlint.module import Module

    explorations = Module.explorations

    def broken(self: Module, function: str) -> object:
        if function == "g":
            raise KeyError("of ours\n")
        return explorations(self, function)

    monkeypatch.setattr(Module, "explorations", broken)
    monkeypatch.delenv("KVMLINT_DEBUG", raising=False)
    (tmp_path / "a.c").write_bytes(BUG.replace(b" f(", b" g(") + BUG)
    said = kvmlint("a.c")
    line = BUG.count(b"\n") + BUG_LINE
    assert (said.findings, said.code) == ([f"a.c:{line}"], 2)
    assert said.err.startswith("kvmlint: a.c: internal error in g: KeyError: 'of ours")
    assert said.err.count("\n") == 1
    monkeypatch.setenv("KVMLINT_DEBUG", "1")
    with pytest.raises(KeyError):
        kvmlint("a.c")

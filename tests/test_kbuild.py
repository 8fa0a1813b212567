"""kvmlint-check, as make calls it for each file of a build: quick, quiet, and never a failure."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from kvmlint.commands import kbuild
from kvmlint.knowledge import builtin
from kvmlint.suppress import MARK

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / "fixtures" / "demo"
LEND = "arch/arm64/kvm/lend.c"

FLAGS = shlex.split(
    r"""
-D__linux__ -Dlinux -D__STDC__ -Dunix -D__unix__ -Wbitwise -Wno-return-void -Wno-unknown-attribute
-D__CHECKER__ -D__aarch64__ -m64 --arch=arm64 -mlittle-endian -Wp,-MMD,arch/arm64/kvm/.lend.o.d
-nostdinc -I./arch/arm64/include -I./arch/arm64/include/generated -I./include
-I./arch/arm64/include/uapi -I./arch/arm64/include/generated/uapi -I./include/uapi
-I./include/generated/uapi -include ./include/linux/compiler-version.h
-include ./include/linux/kconfig.h -include ./include/linux/compiler_types.h -D__KERNEL__
-mlittle-endian -DKASAN_SHADOW_SCALE_SHIFT= -std=gnu11 -fshort-wchar -funsigned-char -fno-common
-fno-PIE -fno-strict-aliasing -mgeneral-regs-only -DCONFIG_CC_HAS_K_CONSTRAINT=1
-fno-asynchronous-unwind-tables -fno-unwind-tables -mbranch-protection=pac-ret
-Wa,-march=armv8.5-a -DARM64_ASM_ARCH='"armv8.5-a"' -ffixed-x18 -fno-delete-null-pointer-checks
-O2 -fno-allow-store-data-races -fstack-protector-strong -fno-omit-frame-pointer
-fno-optimize-sibling-calls -ftrivial-auto-var-init=zero -fzero-call-used-regs=used-gpr
-fno-stack-clash-protection -fpatchable-function-entry=4,2 -falign-functions=8
-fstrict-flex-arrays=3 -fno-strict-overflow -fno-stack-check -fconserve-stack -Wall -Wextra -Wundef
-Werror=implicit-function-declaration -Werror=implicit-int -Werror=return-type
-Werror=strict-prototypes -Wno-format-security -Wno-trigraphs -Wno-frame-address
-Wno-address-of-packed-member -Wmissing-declarations -Wmissing-prototypes -Wframe-larger-than=2048
-Wno-main -Wvla -Wno-pointer-sign -Wcast-function-type -Wno-array-bounds -Wno-stringop-overflow
-Wno-alloc-size-larger-than -Wimplicit-fallthrough=5 -Werror=date-time
-Werror=incompatible-pointer-types -Werror=designated-init -Wenum-conversion -Wunused
-Wno-unused-but-set-variable -Wno-unused-const-variable -Wno-packed-not-aligned
-Wno-format-overflow -Wno-format-truncation -Wno-stringop-truncation -Wno-override-init
-Wno-missing-field-initializers -Wno-type-limits -Wno-shift-negative-value -Wno-maybe-uninitialized
-Wno-sign-compare -Wno-unused-parameter -g -gdwarf-5 --param asan-globals=1
-mstack-protector-guard=sysreg -mstack-protector-guard-reg=sp_el0
-mstack-protector-guard-offset=1432 -I ./virt/kvm -isystem /usr/lib/gcc/aarch64-linux-gnu/12/include
-DKBUILD_MODFILE='"arch/arm64/kvm/kvm"' -DKBUILD_BASENAME='"lend"' -DKBUILD_MODNAME='"kvm"'
-D__KBUILD_MODNAME=kmod_kvm -D'MODULE_DESCRIPTION="lends pages; and `more` $(of) it"'
"""
)
FLAGS += [f"-Wno-error=of-the-{n}th-kind" for n in range(100)]
FLAGS += [f"-DCONFIG_OPTION_{n}={n}" for n in range(100)]
"""What kbuild gives: its CHECKFLAGS, the compiler's flags, the file's own, two hundred more."""


@dataclass(frozen=True)
class Said:
    status: int
    out: str
    err: str


def run(*args: str, cwd: Path = DEMO) -> Said:
    """A fresh process of kvmlint-check."""
    code = "from kvmlint.commands.kbuild import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *args],
        cwd=cwd,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=120,
        check=False,
    )
    return Said(done.returncode, done.stdout.decode(), done.stderr.decode())


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": f"{ROOT / 'analyzer'}{os.pathsep}{ROOT / 'rules'}"}


def places(text: str) -> list[str]:
    """The files and lines of the findings."""
    return [line.split(": ")[0] for line in text.splitlines() if ": note: " not in line]


def test_hundreds_of_flags() -> None:
    assert len(FLAGS) > 300
    said = run(*FLAGS, LEND)
    assert (said.status, said.out) == (0, "")
    lines = said.err.splitlines()
    assert lines[0].startswith(f"{LEND}:")
    assert lines[0].endswith(" [missing-rollback]")
    assert "Entering directory" not in said.err
    assert len(places(said.err)) == 4  # what README.md says of the demo
    assert all(line.startswith("arch/arm64/kvm/") for line in lines)


@pytest.mark.parametrize("name", ["arch/arm64/kvm/hyp/nvhe/mem.c", "quiet.c"])
def test_clean_is_silent(tmp_path: Path, name: str) -> None:
    tree = shutil.copytree(DEMO, tmp_path / "linux")
    (tree / "quiet.c").write_text("int quiet(void) { return 0; }\n")
    assert run(*FLAGS, name, cwd=tree) == Said(0, "", "")


def test_an_object_tree_elsewhere(tmp_path: Path) -> None:
    """make O=…: the compiler runs there, and its messages name files as seen from there."""
    build = tmp_path / "build"
    build.mkdir()
    tree = shutil.copytree(DEMO, tmp_path / "linux")
    relative = run(*FLAGS, f"../linux/{LEND}", cwd=build)
    assert places(relative.err)[0].startswith(f"../linux/{LEND}:")
    absolute = run(*FLAGS, str(tree / LEND), cwd=build)
    assert places(absolute.err)[0].startswith(f"{tree / LEND}:")
    for said in (relative, absolute):
        assert said.status == 0
        for line in said.err.splitlines():
            assert (build / line.split(":")[0]).is_file()


def test_a_response_file(tmp_path: Path) -> None:
    tree = shutil.copytree(DEMO, tmp_path / "linux")
    (tree / "inner").write_text(f"-DX='\"a b\"' {LEND}")
    (tree / "flags").write_text("-Wall\n@inner\n")
    direct = run(*FLAGS, LEND, cwd=tree)
    assert direct.err
    assert run(*FLAGS, "@flags", cwd=tree) == direct
    (tree / "flags").write_text("-DX='never closed @flags\n@inner\n")  # and one that names itself
    assert run("@flags", cwd=tree) == direct


BAD = {
    "nothing": ((), "kvmlint-check: usage: make C=2 CHECK=kvmlint-check\n"),
    "no file": (("-Wall", "-o", "x.o"), ""),
    "an assembler file": (("-Wall", "entry.S"), ""),
    "a missing file": (("-Wall", "gone.c"), "kvmlint: gone.c: no such file or directory\n"),
    "a folder": (("-Wall", "folder.c"), "kvmlint: folder.c: holds no C file\n"),
    "binary": (("-Wall", "nul.c"), "kvmlint: nul.c: is binary: it holds NUL bytes\n"),
    "no such response": (("@gone",), ""),
    "a response folder": (("@arch",), ""),
    "escapes in a name": (("\x1b[2J::error::.c",), "kvmlint: \\x1b[2J::error::.c: no such file or"),
    "settings": (("sub/settings.c",), "kvmlint-check: "),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_never_fails_the_build(tmp_path: Path, case: str) -> None:
    args, told = BAD[case]
    tree = shutil.copytree(DEMO, tmp_path / "linux")
    (tree / "folder.c").mkdir()
    (tree / "nul.c").write_bytes(b"kvm_call_hyp_nvhe(\0")
    (tree / "sub").mkdir()
    (tree / "sub" / "settings.c").write_text("int f(void) { return kvm_call_hyp_ret(__f); }\n")
    (tree / "sub" / ".kvmlint.toml").write_text("[check\n")
    said = run(*args, cwd=tree)
    assert (said.status, said.out) == (0, "")
    assert said.err.startswith(told) if told else said.err == ""
    assert said.err.count("\n") == bool(told)


def test_a_bug_of_ours_never_fails_the_build(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken(file: str) -> str:
        raise RecursionError("very\n\x1b[2Jdeep")

    monkeypatch.delenv("KVMLINT_DEBUG", raising=False)
    monkeypatch.setattr(kbuild, "findings", broken)
    monkeypatch.setattr(sys, "argv", ["kvmlint-check", str(DEMO / LEND)])
    with pytest.raises(SystemExit) as stop:
        kbuild.main()
    assert stop.value.code == 0
    assert capfd.readouterr().err == (
        "kvmlint-check: internal error: RecursionError: 'very\\n\\x1b[2Jdeep'\n"
    )


def test_closed_standard_error_never_fails_the_build() -> None:
    code = "import os; os.close(2); from kvmlint.commands.kbuild import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, LEND], cwd=DEMO, env=environment(), timeout=60, check=False
    )
    assert done.returncode == 0


# --- which files matter ---------------------------------------------------------------------------


def test_the_words_are_the_tables() -> None:
    """What is written down here again, for speed, is what the tables say."""
    tables = builtin().tables
    for entry in tables.entries:
        assert any(word in entry.name.encode() for word in kbuild.WORDS), entry.name
    assert {f"/{folder}/" for folder in tables.worlds.host} == set(kbuild.FOLDERS)
    assert kbuild.MARK == MARK


PROBE = """\
import sys
from kvmlint.commands import kbuild
assert kbuild.check(sys.argv[1:]) == ""
print(*sorted({name.split(".")[0] for name in sys.modules} & {
    "click", "kvmlint_rules", "networkx", "pathlib", "re", "sqlite3", "tomllib", "tree_sitter",
}))
"""


def test_a_file_without_hypercalls_loads_nothing(tmp_path: Path) -> None:
    tree = shutil.copytree(DEMO, tmp_path / "linux")
    (tree / "kernel").mkdir()
    (tree / "kernel" / "fork.c").write_text("int fork(void) { return 0; }\n")
    done = subprocess.run(
        [sys.executable, "-S", "-c", PROBE, *FLAGS, "kernel/fork.c"],
        cwd=tree,
        env=environment(),
        capture_output=True,
        check=False,
    )
    assert (done.stderr, done.stdout.strip()) == (b"", b"")


OUTSIDE = "drivers/vendor/vend.c"
BODY = "int vend(u64 pfn)\n{\n\t%s(__vend, pfn);\n\treturn 0;\n}\n"


@pytest.mark.parametrize(
    ("files", "rule"),
    [
        ({OUTSIDE: BODY % "kvm_call_hyp_nvhe"}, "ignored-return"),
        (
            {
                OUTSIDE: BODY % "vendor_hvc",
                "arch/arm64/include/asm/kvm_vendor.h": (
                    "#  define\tvendor_hvc(f, ...)\tkvm_call_hyp_nvhe(f, ##__VA_ARGS__)\n"
                ),
            },
            "ignored-return",
        ),
        (
            {
                OUTSIDE: BODY % "my_hvc",
                ".kvmlint.toml": '[knowledge.entries]\nmy_hvc = { value = "result" }\n',
            },
            "ignored-return",
        ),
        (
            {OUTSIDE: "int x; /* kvmlint: allow ignored-return -- it was called here */\n"},
            "stale-suppression",
        ),
        ({"virt/kvm/vend.c": BODY % "kvm_call_hyp_nvhe"}, "ignored-return"),
    ],
    ids=["entry", "vendor macro", "settings", "suppression", "host folder"],
)
def test_what_matters(tmp_path: Path, files: dict[str, str], rule: str) -> None:
    tree = shutil.copytree(DEMO, tmp_path / "linux")
    for name, text in files.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text)
    said = run(*FLAGS, next(iter(files)), cwd=tree)
    assert f"[{rule}]" in said.err
    other = tree / "drivers/vendor/other.c"
    other.parent.mkdir(parents=True, exist_ok=True)
    other.write_text("int x;\n")
    assert kbuild.may_matter(str(other), other.read_bytes()) == (".kvmlint.toml" in files)


def test_what_is_skipped_has_no_findings(tmp_path: Path) -> None:
    """A driver that reaches hypercalls only through functions of other files: its own functions are
    not looked at together with theirs. When that changes, FOLDERS is not enough any more."""
    tree = shutil.copytree(DEMO, tmp_path / "linux")
    file = tree / OUTSIDE
    file.parent.mkdir(parents=True)
    file.write_text(
        "int vend(struct pool *pool)\n{\n\tstruct vend *v = kzalloc(sizeof(*v), GFP_KERNEL);\n\n"
        "\tlist_add(&v->node, &pool->list);\n\tlend_page(1);\n"
        "\treturn lend_page(2);\n}\n"
    )
    assert not kbuild.may_matter(str(file), file.read_bytes())
    assert kbuild.findings(str(file)) == ""


@pytest.mark.parametrize(
    "file", sorted((ROOT / "fixtures").rglob("*.c")), ids=lambda file: file.name
)
def test_no_fixture_is_skipped(file: Path) -> None:
    """Every fixture has something to find, or is EL2 code."""
    assert kbuild.may_matter(str(file), file.read_bytes())


# --- make -----------------------------------------------------------------------------------------

MAKEFILE = r"""
# After kbuild: sources in $(srctree), objects here, and the file as the last of many arguments.
srctree := ../linux
CHECKFLAGS := -D__linux__ -Dlinux -D__STDC__ -Dunix -D__unix__ -Wbitwise -D__CHECKER__
quiet_modname = '"kvm"'
c_flags = -Wp,-MMD,$(@D)/.$(@F).d -nostdinc -I$(srctree)/arch/arm64/include \
	-include $(srctree)/include/linux/kconfig.h -D__KERNEL__ -O2 -Wall @FLAGS@ \
	-DKBUILD_BASENAME='"$(basename $(@F))"' -DKBUILD_MODNAME=$(quiet_modname)
cmd_checksrc = $(CHECK) $(CHECKFLAGS) $(c_flags) $<

objects := arch/arm64/kvm/lend.o arch/arm64/kvm/hyp/nvhe/hyp-main.o arch/arm64/kvm/hyp/nvhe/mem.o \
	kernel/fork.o

all: $(objects)
	@echo built

$(objects): %.o: $(srctree)/%.c
	@mkdir -p $(@D)
ifeq ($(C),2)
	@$(cmd_checksrc)
endif
	@touch $@
"""


@pytest.fixture
def build(tmp_path: Path) -> Path:
    """An object tree beside a copy of the demo, and ``kvmlint-check`` in ``bin``."""
    tree = shutil.copytree(DEMO, tmp_path / "linux")
    (tree / "kernel").mkdir()
    (tree / "kernel" / "fork.c").write_text("int fork(void) { return 0; }\n")
    folder = tmp_path / "build"
    folder.mkdir()
    flags = " ".join(f"-Wno-error=of-the-{n}th-kind -DCONFIG_{n}='\"a b\"'" for n in range(150))
    (folder / "Makefile").write_text(MAKEFILE.replace("@FLAGS@", flags))
    command = tmp_path / "bin" / "kvmlint-check"
    command.parent.mkdir()
    code = "from kvmlint.commands.kbuild import main; main()"
    command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -c "{code}" "$@"\n')
    command.chmod(0o755)
    return folder


def make(build: Path, *args: str) -> Said:
    environ = environment()
    for name in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL"):  # of a make that runs the tests
        environ.pop(name, None)
    environ["PATH"] = f"{build.parent / 'bin'}{os.pathsep}{environ['PATH']}"
    done = subprocess.run(
        ["make", *args], cwd=build, env=environ, capture_output=True, timeout=300, check=False
    )
    return Said(done.returncode, done.stdout.decode(), done.stderr.decode())


@pytest.mark.skipif(shutil.which("make") is None, reason="no make")
def test_make(build: Path) -> None:
    said = make(build, "-j2", "C=2", "CHECK=kvmlint-check")
    assert (said.status, said.out) == (0, "built\n")
    assert len(places(said.err)) == 4
    assert places(said.err)[0].startswith("../linux/arch/arm64/kvm/lend.c:")
    assert make(build, "C=2", "CHECK=kvmlint-check", "-B").err == said.err
    assert make(build, "-B") == Said(0, "built\n", "")  # nothing asked for, nothing said


@pytest.mark.skipif(shutil.which("make") is None, reason="no make")
def test_make_goes_on_after_bad_input(build: Path) -> None:
    (build.parent / "linux" / "kernel" / "fork.c").write_bytes(b"kvm_call_hyp_nvhe(\0")
    said = make(build, "C=2", "CHECK=kvmlint-check", "kernel/fork.o")
    assert said.status == 0
    assert said.err == "kvmlint: kernel/fork.c: is binary: it holds NUL bytes\n"


def test_the_command_is_installed() -> None:
    import tomllib

    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    module, _, name = scripts["kvmlint-check"].partition(":")
    assert module == kbuild.__name__
    assert callable(getattr(kbuild, name))

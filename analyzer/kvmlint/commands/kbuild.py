"""``kvmlint-check``: what kbuild calls for each file in place of sparse.

    make C=2 CHECK=kvmlint-check arch/arm64/kvm/

kbuild runs ``$(CHECK) $(CHECKFLAGS) $(c_flags) $<`` (scripts/Makefile.build): hundreds of compiler
flags, which mean nothing here, and the file last. The exit status is 0 whatever happens, for any
other fails the build. Findings go to standard error as sparse's do, in gcc's shape, under the path
that the compiler is given.

Thousands of files of a kernel have nothing to do with hypercalls, so this module imports next to
nothing, and reads a file's text before it loads the engine.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence

MARK = b"kvmlint:"
"""What a suppression begins with (kvmlint.suppress): it may be stale."""
WORDS = (b"kvm_call", b"arm_smccc_1_1_hvc")
"""One of them is in the name of each entry point of the built-in tables."""
FOLDERS = ("/arch/arm64/kvm/", "/virt/kvm/")
"""Where functions are looked at together: a file may reach a hypercall through another one."""
CONFIG = ".kvmlint.toml"
MOST_RESPONSE = 1 << 20
"""Bytes that are read of a response file."""


def main() -> None:
    """Entry point of the ``kvmlint-check`` command."""
    try:
        said = check(sys.argv[1:])
    except Exception as error:
        if os.environ.get("KVMLINT_DEBUG"):
            raise
        text = " ".join(ascii(str(error)).split())
        said = f"kvmlint-check: internal error: {type(error).__name__}: {text}\n"
    data = said.encode(errors="backslashreplace")
    try:
        # At once, so that the lines of files that make checks at the same time stay together.
        os.write(2, data)
    except OSError:
        pass
    sys.exit(0)


def check(args: Sequence[str]) -> str:
    """What is to be said of the file among the compiler's arguments; '' when all is well."""
    file = next((arg for arg in operands(args) if arg.endswith(".c")), None)
    if file is None:
        return "" if args else "kvmlint-check: usage: make C=2 CHECK=kvmlint-check\n"
    try:
        with open(file, "rb") as stream:
            data = stream.read()
    except (OSError, ValueError):
        data = MARK  # kvmlint says what is wrong with it
    return findings(file) if may_matter(file, data) else ""


def operands(args: Sequence[str], depth: int = 0) -> Iterator[str]:
    """The arguments that are no flags, the last first, those in response files (@file) too."""
    for arg in reversed(args):
        if arg.startswith("@") and depth < 8 and not os.path.exists(arg):
            yield from operands(_response(arg[1:]), depth + 1)
        elif not arg.startswith("-"):
            yield arg


def _response(file: str) -> list[str]:
    import shlex

    try:
        with open(file, encoding="utf-8", errors="surrogateescape") as stream:
            text = stream.read(MOST_RESPONSE)
    except (OSError, ValueError):
        return []
    try:
        return shlex.split(text)
    except ValueError:  # a quote that is never closed
        return text.split()


def may_matter(file: str, data: bytes) -> bool:
    """Whether kvmlint can have anything to say of a file: never wrongly False."""
    if MARK in data or any(word in data for word in WORDS):
        return True
    full = os.path.realpath(file)
    if any(folder in full for folder in FOLDERS):
        return True
    folder, root = full, ""
    while folder != os.path.dirname(folder):
        folder = os.path.dirname(folder)
        if _names_entries(os.path.join(folder, CONFIG)):
            return True
        if not root and os.path.isdir(os.path.join(folder, "arch")):
            root = folder
    return bool(root) and any(name in data for name in _macros(root))


def _names_entries(file: str) -> bool:
    """Whether a settings file may add entry points, or is one that kvmlint has to complain of."""
    try:
        with open(file, "rb") as stream:
            return b"entries" in stream.read()
    except FileNotFoundError:
        return False
    except OSError:
        return True


def _macros(root: str) -> Iterator[bytes]:
    """Names of macros in headers that mention an entry point: vendors' own ones are among them."""
    for top in ("arch/arm64/include/asm", "arch/arm64/kvm"):
        for folder, _, names in os.walk(os.path.join(root, top)):
            for name in names:
                if not name.endswith(".h"):
                    continue
                try:
                    with open(os.path.join(folder, name), "rb") as stream:
                        data = stream.read()
                except OSError:
                    continue
                if any(word in data for word in WORDS):
                    for define in data.replace(b"\t", b" ").split(b"define ")[1:]:
                        macro = define.split(b"(", 1)[0].strip()
                        if macro and b" " not in macro and b"\n" not in macro:
                            yield macro


def findings(file: str) -> str:
    """What ``kvmlint check`` prints of a file, its lines as a compiler would begin them."""
    import gc
    from contextlib import redirect_stderr, redirect_stdout
    from io import StringIO
    from pathlib import Path

    from click import ClickException

    from kvmlint.commands.check import check as command
    from kvmlint.report.safe import safe
    from kvmlint.tree.extent import find_root

    gc.set_threshold(1_000_000)  # as kvmlint.console.run
    out, err = StringIO(), StringIO()
    try:
        with redirect_stdout(out), redirect_stderr(err):
            command.main(["--format", "gcc", "--", file], "kvmlint", standalone_mode=False)
    except ClickException as error:
        return f"kvmlint-check: {error.format_message()}\n"
    # The first line and the last tell editors the folder, which make already does.
    lines = out.getvalue().splitlines(keepends=True)[1:-1]
    root = find_root(Path(file))
    before = "" if root is None else safe(_before(file, str(root)))
    return "".join(line if line.startswith("/") else before + line for line in lines) + (
        err.getvalue()
    )


def _before(file: str, root: str) -> str:
    """What makes a path in the tree one that opens from here: '', '../linux/', '/linux/'."""
    here = os.path.realpath(os.curdir)
    if here == root:
        return ""
    return os.path.join(root if os.path.isabs(file) else os.path.relpath(root, here), "")
